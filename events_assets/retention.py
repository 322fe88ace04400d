"""What does not stay in the warehouse: what a killed load left behind, what a later load has said
anew, and what is old."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dlt

from events_assets.scan.quarantine import quarantine_of
from events_assets.scan.tables import CHANGES, RECEIPTS
from events_assets.settings import RetentionSettings
from events_assets.sql import execute, select

DOUBLES = """
DELETE FROM {table} WHERE rowid NOT IN (SELECT min(rowid) FROM {table} GROUP BY _dlt_id)
"""

UNFINISHED = """
DELETE FROM {table} WHERE {by_dlt}
AND _dlt_load_id NOT IN (SELECT load_id FROM {_dlt_loads} WHERE status = 0)
"""

SUPERSEDED = """
DELETE FROM {table} WHERE _dlt_id NOT IN (
    SELECT _dlt_id FROM (
        SELECT _dlt_id, document, row_number() OVER (
            PARTITION BY coalesce(row_key, _dlt_id)
            ORDER BY _dlt_load_id DESC,
                     CASE WHEN document IS NULL THEN 0 ELSE 1 END,
                     last_seen_at DESC
        ) AS place FROM {table}
    ) AS ranked
    WHERE place = 1 AND document IS NOT NULL
)
"""

OLD_RECEIPTS = """
DELETE FROM {scan_receipts} WHERE started_at < %s AND _dlt_load_id NOT IN (
    SELECT max(_dlt_load_id) FROM {scan_receipts} GROUP BY resource
)
"""
OLD = "DELETE FROM {table} WHERE {time} < %s"


def forget_doubles(dataset: dlt.Dataset) -> None:
    """Removes rows that DuckDB appended twice: dlt may not have heard that a job was done already
    when another one ran out of memory, and does it again, with the same row ids."""
    for table in _appended(dataset):
        execute(dataset, DOUBLES, table=_qualified(dataset, table))


def forget_unfinished(dataset: dlt.Dataset) -> None:
    """Removes what a killed load had added before it could replace the events: dlt merges `events`
    in one transaction, but appends to the tables beside it in others."""
    for table in _appended(dataset):
        by_dlt = "change = 'removed'" if table == CHANGES else "1 = 1"
        execute(dataset, UNFINISHED, table=_qualified(dataset, table), by_dlt=by_dlt)


def forget_superseded(dataset: dlt.Dataset) -> None:
    """Keeps the last word on each row that was set aside: rows leave that were loaded since."""
    for table in _quarantines(dataset):
        if "row_key" in dataset.schema.get_table_columns(table):
            execute(dataset, SUPERSEDED, table=_qualified(dataset, table))


def quarantined(dataset: dlt.Dataset, table: str) -> int:
    """The number of rows of a table that are set aside."""
    name = quarantine_of(table)
    if name not in dataset.tables:
        return 0
    ((count,),) = select(dataset, f"SELECT count(*) FROM {{{name}}}")  # noqa: S608
    return int(count)


def forget_old(dataset: dlt.Dataset, settings: RetentionSettings) -> None:
    """Removes what is older than it is to be kept; the last receipt of each table stays."""
    if settings.receipts and RECEIPTS in dataset.tables:
        execute(dataset, OLD_RECEIPTS, _before(settings.receipts))
    old = [(table, "last_seen_at", settings.quarantine) for table in _quarantines(dataset)]
    if CHANGES in dataset.tables:
        old.append((CHANGES, "seen_at", settings.changes))
    for table, time, days in old:
        if days and time in dataset.schema.get_table_columns(table):  # an older version had none
            execute(dataset, OLD, _before(days), table=_qualified(dataset, table), time=time)


def _appended(dataset: dlt.Dataset) -> list[str]:
    """The tables that rows are appended to."""
    beside = [table for table in (RECEIPTS, CHANGES) if table in dataset.tables]
    return [*beside, *_quarantines(dataset)]


def _quarantines(dataset: dlt.Dataset) -> Iterator[str]:
    return (table for table in dataset.tables if table.startswith(quarantine_of("")))


def _qualified(dataset: dlt.Dataset, table: str) -> str:
    return dataset.sql_client.make_qualified_table_name(table)


def _before(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
