"""All asset checks on a table of many rows, beside the least that one of them needs.

Run in a project folder that has loaded some events; multiplies them to so many rows, and prints
the seconds of all checks and of counting the distinct ids, as JSON. The checks of the few rows
before show what Dagster needs around the queries, which is taken off.
"""

import json
import sys
import time

import dagster as dg
import duckdb

from benchmarks.verification import DATABASE
from events_assets.definitions import defs

CHECKS = dg.define_asset_job("checks", dg.AssetSelection.all_asset_checks())

MULTIPLY = """
INSERT INTO events_data.events
SELECT events.* REPLACE ((id + ? * place)::BIGINT AS id, _dlt_id || place AS _dlt_id)
FROM events_data.events AS events, range(1, ?) AS copies(place)
"""


def seconds_of_checks() -> float:
    job = dg.Definitions(
        assets=defs.assets, asset_checks=defs.asset_checks, resources=defs.resources, jobs=[CHECKS]
    ).resolve_job_def("checks")
    with dg.DagsterInstance.ephemeral() as instance:
        started = time.perf_counter()
        job.execute_in_process(instance=instance)
        return time.perf_counter() - started


def seconds_of_counting() -> float:
    with duckdb.connect(DATABASE) as connection:
        started = time.perf_counter()
        connection.execute("SELECT count(DISTINCT id) FROM events_data.events").fetchall()
        return time.perf_counter() - started


def main(rows: int) -> None:
    seconds_of_checks()
    few = min(seconds_of_checks() for _ in range(3))
    with duckdb.connect(DATABASE) as connection:
        (count,) = connection.execute("SELECT count(*) FROM events_data.events").fetchall()[0]
        connection.execute(MULTIPLY, [count, rows // count])
    many = min(seconds_of_checks() for _ in range(3))
    print(json.dumps([many - few, min(seconds_of_counting() for _ in range(3))]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
