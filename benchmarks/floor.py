"""The floor: the same pages over one connection, and DuckDB's own JSON reader.

Nothing is retried, proven, typed or merged: the least that any pipeline has to do. Settings come
from the environment: `BASE_URL`, `API_KEY`.
"""

import os

import duckdb
import requests

LIMIT = 100
TABLE = """
CREATE SCHEMA events_data;
CREATE TABLE events_data.events AS
SELECT DISTINCT ON (event.id) event.* REPLACE (
    event.start_time::TIMESTAMPTZ AS start_time, event.end_time::TIMESTAMPTZ AS end_time
)
FROM (SELECT unnest(data) AS event FROM read_json('pages.json'))
"""

with requests.Session() as session, open("pages.json", "wb") as pages:  # noqa: PTH123
    offset, total = 0, 1
    while offset < total:
        query = {"api_key": os.environ["API_KEY"], "offset": str(offset), "limit": str(LIMIT)}
        answer = session.get(f"{os.environ['BASE_URL']}/v1/events", params=query, timeout=60)
        answer.raise_for_status()
        pages.write(answer.content + b"\n")
        total = int(answer.content[-20:].rpartition(b":")[2].strip(b"}"))
        offset += LIMIT

with duckdb.connect("data/events.duckdb") as connection:
    connection.execute(TABLE)
