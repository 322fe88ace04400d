"""What the Dagster UI shows of a load: its receipt as numbers, the rows it holds, a few of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import dagster as dg
from dlt import Dataset
from dlt.common.pipeline import LoadInfo
from tabulate import tabulate

from events_assets.drift import own_columns
from events_assets.retention import quarantined
from events_assets.rows.marks import DIGEST, fingerprint
from events_assets.scan.receipt import Receipt
from events_assets.sql import current, records, select

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
SHOWN_OTHERWISE = (
    *("resource", "fingerprint", "verdict", "reason"),
    *("duplicate_ids_sample", "event_columns", "_dlt_id"),
)
"""Columns of the receipt that are not listed one by one."""


def load_metadata(dataset: Dataset, table: str, receipt: dict[str, Any]) -> dict[str, Any]:
    """Row count and preview of a table, and the numbers of the receipt of its load; rows that are
    marked as removed do not count."""
    metadata = table_metadata(dataset, table) | {"verdict": verdict(receipt)}
    metadata |= {
        name.removeprefix("_"): str(value) if isinstance(value, datetime) else value
        for name, value in receipt.items()
        if value is not None and name not in SHOWN_OTHERWISE
    }
    seconds = (receipt["finished_at"] - receipt["started_at"]).total_seconds()
    metadata["scan_seconds"] = round(seconds, 3)
    metadata["rows_per_second"] = round(receipt["rows_received"] / seconds) if seconds else None
    return metadata


def verdict(receipt: dict[str, Any]) -> str:
    """The verdict of a receipt, with its reason and its proof."""
    proof = f" ({receipt['proof']})" if receipt["proof"] else ""
    return f"{receipt['verdict']}: {receipt['reason']}{proof}"


def table_metadata(dataset: Dataset, table: str) -> dict[str, Any]:
    there = current(dataset, table)
    ((count,),) = select(dataset, f"SELECT count(*) FROM {{{table}}} WHERE {there}")  # noqa: S608
    return {"dagster/row_count": count, "preview": preview(dataset, table)}


def replay_metadata(dataset: Dataset, table: str, info: LoadInfo) -> tuple[dict[str, Any], str]:
    """What a replay of the quarantine did to a table, and the version of the data after it."""
    load_id = info.loads_ids[0] if info.loads_ids else ""
    ((loaded,),) = select(
        dataset,
        f"SELECT count(*) FROM {{{table}}} WHERE _dlt_load_id = %s",  # noqa: S608
        load_id,
    )
    numbers = {"rows_replayed": loaded, "rows_in_quarantine": quarantined(dataset, table)}
    version = load_id
    if DIGEST in dataset.schema.get_table_columns(table):  # as the receipt of a scan would say
        there = current(dataset, table)
        query = f"SELECT sum({DIGEST}) FROM {{{table}}} WHERE {there}"  # noqa: S608
        version = fingerprint(int(select(dataset, query)[0][0] or 0))
    return table_metadata(dataset, table) | numbers, version


def replay_summary(table: str, metadata: dict[str, Any]) -> str:
    """A replay in one line."""
    return (
        f"{table}: {metadata['rows_replayed']} rows of the quarantine are loaded, "
        f"{metadata['rows_in_quarantine']} remain in it; "
        f"{metadata['dagster/row_count']} rows are there now"
    )


def summary(table: str, metadata: dict[str, Any]) -> str:
    """A load in one line."""
    return (
        f"{table}: {metadata['rows_received']} rows received in {metadata['requests']} requests: "
        f"{changes(metadata)}, {metadata['repeats']} repeated, "
        f"{metadata['rows_quarantined']} quarantined; {metadata['verdict']}; "
        f"{metadata['dagster/row_count']} rows are there now"
    )


def changes(metadata: dict[str, Any]) -> str:
    """What a load changed, in words."""
    words = {
        "inserted": "new",
        "updated": "changed",
        "removed": "removed",
        "unchanged": "unchanged",
    }
    return ", ".join(f"{metadata[f'rows_{name}']:,} {word}" for name, word in words.items())


def last_receipt(dataset: Dataset, resource: str, run_id: str) -> dict[str, Any]:
    """The receipt of a resource from the given run, else the newest one, empty without any.

    It has all that receipts have today: what an older version did not note has its default.
    """
    if "scan_receipts" not in dataset.tables:
        return {}
    # That of a window says nothing of all events.
    has_kinds = "scan_kind" in dataset.schema.get_table_columns("scan_receipts")
    of_all = f"(scan_kind <> 'window' OR run_id = '{run_id}')" if has_kinds else "1 = 1"
    found = records(
        dataset,
        "SELECT * FROM {scan_receipts} WHERE resource = %s AND {of_all} "
        "AND _dlt_load_id IN (SELECT load_id FROM {_dlt_loads} WHERE status = 0) "
        "ORDER BY CASE WHEN run_id = %s THEN 0 ELSE 1 END, started_at DESC LIMIT 1",
        resource,
        run_id,  # its own, also where the clock was set back since the last one
        of_all=of_all,
    )
    if not found:
        return {}
    noted = {name: value for name, value in found[0].items() if value is not None}
    return Receipt(resource).row() | noted


def preview(dataset: Dataset, table: str) -> dg.MarkdownMetadataValue:
    """A few rows, without the columns of dlt and the marks."""
    columns = own_columns(dataset, table)[:PREVIEW_COLUMNS]
    quoted = ", ".join(map(dataset.sql_client.escape_column_name, columns))
    there = current(dataset, table)
    query = f"SELECT {quoted} FROM {{{table}}} WHERE {there} LIMIT {PREVIEW_ROWS}"  # noqa: S608
    rows = select(dataset, query)
    return markdown_table(rows, columns)


def markdown_table(rows: Iterable[Iterable[Any]], headers: list[str]) -> dg.MarkdownMetadataValue:
    """Rows as a table for the UI, values as they are, `007` for one."""
    cells = [
        [None if cell is None else str(cell).replace("|", "\\|") for cell in row] for row in rows
    ]
    return dg.MetadataValue.md(tabulate(cells, headers, tablefmt="github", disable_numparse=True))
