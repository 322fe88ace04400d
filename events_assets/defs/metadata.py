"""What the Dagster UI shows of a load: the verdict, what changed, the next events and a picture
first, then the last loads, the whole receipt, and a few rows.

Numbers are drawn by the UI as plots over time: only those are numbers here that are worth one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from dlt import Dataset
from dlt.common.pipeline import LoadInfo
from tabulate import tabulate

from events_assets.defs.pictures import MOST_BARS, SHOWN_AT_ONCE, of_loads, over_time
from events_assets.descriptions import RECEIPT, of_column
from events_assets.drift import own_columns
from events_assets.retention import quarantined
from events_assets.rows.canonical import CANONICAL
from events_assets.rows.marks import DIGEST, fingerprint
from events_assets.scan.receipt import Receipt
from events_assets.scan.verdict import COMPLETE
from events_assets.sql import current, records, select

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
NAME_SHOWN = 80
LOADS_SHOWN = 5
FIRST = ("rows_inserted", "rows_updated", "rows_removed")
LAST = ("rows_quarantined", "requests")
CHANGES = {
    "inserted": "new",
    "updated": "changed",
    "removed": "removed",
    "unchanged": "unchanged",
}
FOR_PROGRAMS = ("resource", "event_columns")
"""Columns of the receipt that nobody needs to see."""

# Casting to a date by a time zone takes DuckDB seconds for a million of events.
DAYS = """
SELECT floor(EXTRACT(EPOCH FROM start_time) / 86400) AS day, {status} AS status, count(*) AS events
FROM {events} WHERE {current}
GROUP BY 1, 2
ORDER BY 1, 2
"""
EPOCH = date(1970, 1, 1).toordinal()
COMING = "AND start_time >= CURRENT_TIMESTAMP ORDER BY start_time, id"

Metadata = dict[str, Any]
ReceiptRow = dict[str, Any]


def load_metadata(dataset: Dataset, table: str, receipts: list[ReceiptRow]) -> Metadata:
    """What is shown of the load of a table, from its receipt and those of the loads before; rows
    that are marked as removed do not count."""
    receipt = receipts[0]
    rows = table_metadata(dataset, table)
    preview = rows.pop("preview")
    return {
        "verdict": verdict(receipt),
        **{name: receipt[name] for name in FIRST},
        "scan_seconds": round(scan_seconds(receipt), 3),
        **rows,
        **last_loads(receipts),
        **{name: receipt[name] for name in LAST},
        "receipt": whole_receipt(receipt),
        "preview": preview,
    }


def last_loads(receipts: list[ReceiptRow]) -> Metadata:
    """What the last loads changed: a picture as soon as there are several, and a line each."""
    shown: Metadata = {}
    loads = [(one["started_at"], _counts(one)) for one in reversed(receipts)]
    if len(loads) > 1:
        shown["changes_over_time"] = dg.MetadataValue.md(of_loads(loads))
    rows = ((_minute(one["started_at"]), _told(one)) for one in receipts[:LOADS_SHOWN])
    return shown | {"last_loads": markdown_table(rows, ["load (UTC)", "what changed"])}


def _counts(receipt: ReceiptRow) -> dict[str, int]:
    return {word: receipt[f"rows_{name}"] for name, word in CHANGES.items()}


def _told(receipt: ReceiptRow) -> str:
    """What a load changed in a few words, and its verdict where that is not `complete`."""
    counts = {word: n for word, n in _counts(receipt).items() if n and word != "unchanged"}
    told = ", ".join(f"{number:,} {word}" for word, number in counts.items()) or "nothing"
    return told + (f"; {receipt['verdict']}" if receipt["verdict"] != COMPLETE else "")


def _minute(time: datetime) -> str:
    """A time in UTC, on one line; the year where it is another one."""
    time = time.astimezone(UTC)
    year = " %Y" if time.year != datetime.now(UTC).year else ""
    return time.strftime(f"%d %b{year} %H:%M").replace(" ", "\N{NO-BREAK SPACE}")


def whole_receipt(receipt: ReceiptRow) -> dg.MarkdownMetadataValue:
    """All of a receipt, each number with what it means."""
    rows = (
        (name, str(receipt[name]), meaning)
        for name, meaning in RECEIPT.items()
        if name not in FOR_PROGRAMS and receipt.get(name) is not None
    )
    return markdown_table(rows, ["of this load", "", "meaning"])


def verdict(receipt: dict[str, Any]) -> str:
    """The verdict of a receipt, with its reason and its proof."""
    proof = f" ({receipt['proof']})" if receipt["proof"] else ""
    return f"{receipt['verdict']}: {receipt['reason']}{proof}"


def table_metadata(dataset: Dataset, table: str) -> Metadata:
    """The rows of a table: how many, the next events and a picture of all, a few of them whole."""
    there = current(dataset, table)
    ((count,),) = select(dataset, f"SELECT count(*) FROM {{{table}}} WHERE {there}")  # noqa: S608
    columns = dataset.schema.get_table_columns(table)
    shown: Metadata = {
        "dagster/row_count": count,
        "dagster/column_schema": column_schema(table, columns),
    }
    own = own_columns(dataset, table)
    names = [*dict.fromkeys([name for name in ("id", *CANONICAL) if name in own] + own)]
    names = names[:PREVIEW_COLUMNS]
    rows = []
    if table == "events" and columns["start_time"]["data_type"] == "timestamp":
        rows = _rows(dataset, table, names, COMING)
        shown["next_events"] = next_events(names, rows)
        shown["events_over_time"] = dg.MetadataValue.md(over_time(days(dataset)))
    preview = markdown_table(rows or _rows(dataset, table, names), names).md_str or ""
    # At a click: beside the rest it would be wider than the page.
    return shown | {"preview": dg.MetadataValue.md(preview.ljust(SHOWN_AT_ONCE))}


def _rows(dataset: Dataset, table: str, names: list[str], which: str = "") -> list[tuple[Any, ...]]:
    quoted = ", ".join(map(dataset.sql_client.escape_column_name, names))
    there = current(dataset, table)
    query = f"SELECT {quoted} FROM {{{table}}} WHERE {there} {which} LIMIT {PREVIEW_ROWS}"  # noqa: S608
    return select(dataset, query)


def next_events(names: list[str], rows: list[tuple[Any, ...]]) -> Any:
    """When the next events start, and what they are called, with their status."""
    if not rows:
        return "no event starts after now"
    found = [defaultdict(str, zip(names, row, strict=True)) for row in rows]
    told = (
        (one["start_time"], [str(one[key]) for key in ("event_name", "status") if one[key]])
        for one in found
    )
    shown = ((_minute(start), ", ".join(words)[:NAME_SHOWN]) for start, words in told)
    return markdown_table(shown, ["start (UTC)", "event"])


def days(dataset: Dataset) -> list[tuple[date | None, str | None, int]]:
    """The number of events of each day (UTC) and status, without those that are removed."""
    known = "status" in dataset.schema.get_table_columns("events")
    there = current(dataset, "events")
    rows = select(dataset, DAYS, status="status" if known else "NULL", current=there)
    return [
        (
            None if day is None else date.fromordinal(EPOCH + int(day)),
            None if status is None else str(status),
            number,
        )
        for day, status, number in rows
    ]


def column_schema(table: str, columns: Mapping[str, Any]) -> dg.TableSchema:
    """The columns of a table (dlt's) with their types and meanings, but for those of dlt."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                str(column["data_type"]),
                description=column.get("description") or of_column(table, name),
                constraints=dg.TableColumnConstraints(
                    nullable=column.get("nullable", True),
                    other=["primary key"] if column.get("primary_key") else [],
                ),
            )
            for name, column in columns.items()
            if not name.startswith("_dlt_") and name != DIGEST
        ]
    )


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
        f"{table}: {metadata['rows_replayed']:,} rows of the quarantine are loaded, "
        f"{metadata['rows_in_quarantine']:,} remain in it; "
        f"{metadata['dagster/row_count']:,} rows are there now"
    )


def summary(table: str, receipt: ReceiptRow, rows: int) -> str:
    """A load in one line."""
    return (
        f"{table}: {receipt['rows_received']:,} rows received in {receipt['requests']:,} requests: "
        f"{changes(receipt)}, {receipt['repeats']:,} repeated, "
        f"{receipt['rows_quarantined']:,} quarantined; {verdict(receipt)}; "
        f"{rows:,} rows are there now"
    )


def scan_seconds(receipt: Mapping[str, Any]) -> float:
    """How long a scan took."""
    return float((receipt["finished_at"] - receipt["started_at"]).total_seconds())


def changes(receipt: ReceiptRow) -> str:
    """What a load changed, in words."""
    return ", ".join(f"{number:,} {word}" for word, number in _counts(receipt).items())


def last_receipt(dataset: Dataset, resource: str, run_id: str) -> ReceiptRow:
    """The receipt of a resource from the given run, else the newest one, empty without any."""
    return next(iter(last_receipts(dataset, resource, run_id, 1)), {})


def last_receipts(
    dataset: Dataset, resource: str, run_id: str, count: int = MOST_BARS
) -> list[ReceiptRow]:
    """The receipt of a resource from the given run, if there is one, and the newest others.

    They have all that receipts have today: what an older version did not note has its default.
    """
    if "scan_receipts" not in dataset.tables:
        return []
    # That of a window says nothing of all events.
    has_kinds = "scan_kind" in dataset.schema.get_table_columns("scan_receipts")
    of_all = f"(scan_kind <> 'window' OR run_id = '{run_id}')" if has_kinds else "1 = 1"
    found = records(
        dataset,
        "SELECT * FROM {scan_receipts} WHERE resource = %s AND {of_all} "
        "AND _dlt_load_id IN (SELECT load_id FROM {_dlt_loads} WHERE status = 0) "
        "ORDER BY CASE WHEN run_id = %s THEN 0 ELSE 1 END, started_at DESC LIMIT {count}",
        resource,
        run_id,  # its own, also where the clock was set back since the last one
        of_all=of_all,
        count=str(count),
    )
    usual = Receipt(resource).row()
    return [usual | {k: v for k, v in one.items() if v is not None} for one in found]


def markdown_table(rows: Iterable[Iterable[Any]], headers: list[str]) -> dg.MarkdownMetadataValue:
    """Rows as a table for the UI, values as they are, `007` for one."""
    cells = [
        [
            None if cell is None else " ".join(str(cell).replace("|", "\\|").splitlines())
            for cell in row
        ]
        for row in rows
    ]
    return dg.MetadataValue.md(tabulate(cells, headers, tablefmt="github", disable_numparse=True))
