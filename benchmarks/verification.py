"""Compares what was loaded with what was made up, so that no load is fast because it is wrong."""

from pathlib import Path

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]

from benchmarks.events import Event, event

DATABASE = "data/events.duckdb"

COLUMNS = ", ".join(Event._fields)
EXPECTED = COLUMNS.replace("start_time, end_time", "start_time::TIMESTAMPTZ, end_time::TIMESTAMPTZ")
DIFFERENT = f"""
SELECT count(*) FROM (
    (SELECT {EXPECTED} FROM expected EXCEPT ALL SELECT {COLUMNS} FROM events_data.events)
    UNION ALL
    (SELECT {COLUMNS} FROM events_data.events EXCEPT ALL SELECT {EXPECTED} FROM expected)
)
"""  # noqa: S608

SCAN = """
SELECT epoch_ms(finished_at) - epoch_ms(started_at) FROM events_data.scan_receipts
ORDER BY finished_at DESC LIMIT 1
"""


class WronglyLoadedError(Exception):
    """The table does not hold the events that the API has."""


def verify(folder: Path, events: int) -> None:
    """Compares each row of the table `events` in a column each, and the rows of its lists.

    Raises:
        WronglyLoadedError: rows are missing, twice there, or different.
    """
    rows = [event(number) for number in range(events)]
    expected = pa.table(dict(zip(Event._fields, zip(*rows, strict=True), strict=True)))
    with duckdb.connect(str(folder / DATABASE)) as connection:
        connection.register("expected", expected)
        different = _number(connection, DIFFERENT)
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'events_data'"
        ).fetchall()
        tags = "SELECT sum(len(tags)) FROM events_data.events"
        if ("events__tags",) in tables:
            tags = "SELECT count(*) FROM events_data.events__tags"
        missing_tags = sum(number % 4 for number in range(events)) - _number(connection, tags)
    if different or missing_tags:
        raise WronglyLoadedError(
            f"{different} rows differ, {missing_tags} tags are missing in {folder}"
        )


def scan_seconds(folder: Path) -> float:
    """How long the last scan took, 0 where there are no receipts."""
    with duckdb.connect(str(folder / DATABASE)) as connection:
        try:
            return _number(connection, SCAN) / 1000
        except duckdb.CatalogException:
            return 0.0


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
