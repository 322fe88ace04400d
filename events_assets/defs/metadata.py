"""What the Dagster UI shows of a load: its receipt as numbers, the rows it holds, a few of them."""

from dataclasses import fields
from datetime import datetime
from typing import Any

import dagster as dg
from dlt import Dataset
from tabulate import tabulate

from events_assets.scan.receipt import Receipt
from events_assets.warehouse import select

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
SHOWN_OTHERWISE = ("resource", "fingerprint", "verdict", "reason", "duplicate_ids_sample")
"""Fields of the receipt that are not listed one by one."""


def load_metadata(
    result: dg.MaterializeResult[Any], dataset: Dataset, run_id: str
) -> dg.MaterializeResult[Any]:
    """Adds row count, preview and receipt to what dagster-dlt tells of a load.

    The fingerprint of the rows becomes the data version, so that a load which changed nothing
    can be told from one that did.
    """
    assert result.asset_key  # noqa: S101, dagster-dlt sets it
    table = result.asset_key.path[-1]
    metadata = {key: value for key, value in (result.metadata or {}).items() if key != "jobs"}
    metadata["dagster/row_count"] = count(dataset, table)
    metadata["preview"] = dg.MetadataValue.md(preview(dataset, table))
    receipt = last_receipt(dataset, table, run_id)
    assert receipt  # noqa: S101, each load adds one for each resource
    metadata["verdict"] = f"{receipt['verdict']}: {receipt['reason']}"
    metadata |= {
        name.removeprefix("_"): str(value) if isinstance(value, datetime) else value
        for name, value in receipt.items()
        if value is not None and name not in SHOWN_OTHERWISE
    }
    seconds = (receipt["finished_at"] - receipt["started_at"]).total_seconds()
    metadata["scan_seconds"] = round(seconds, 3)
    metadata["rows_per_second"] = round(receipt["rows_received"] / seconds) if seconds else None
    return result._replace(
        metadata=metadata, data_version=dg.DataVersion(str(receipt["fingerprint"]))
    )


def summary(result: dg.MaterializeResult[Any]) -> str:
    """A load in one line."""
    shown = result.metadata or {}
    return (
        f"{result.asset_key.to_user_string() if result.asset_key else ''}: "
        f"{shown['rows_received']} rows received in {shown['requests']} requests, "
        f"{shown['rows_loaded']} loaded, {shown['repeats']} repeated, "
        f"{shown['rows_quarantined']} quarantined; {shown['verdict']}; "
        f"{shown['dagster/row_count']} rows in the table"
    )


def last_receipt(dataset: Dataset, resource: str, run_id: str) -> dict[str, Any] | None:
    """The receipt of a resource from the given run, else the newest one, None without any."""
    if "scan_receipts" not in dataset.tables:
        return None
    columns = [*(field.name for field in fields(Receipt)), "_dlt_load_id"]
    rows = select(
        dataset,
        f"SELECT {', '.join(columns)} FROM {{scan_receipts}} WHERE resource = %s "  # noqa: S608
        "AND _dlt_load_id IN (SELECT load_id FROM {_dlt_loads} WHERE status = 0) "
        "ORDER BY CASE WHEN run_id = %s THEN 0 ELSE 1 END, started_at DESC LIMIT 1",
        resource,
        run_id,  # its own, also where the clock was set back since the last one
    )
    return dict(zip(columns, rows[0], strict=True)) if rows else None


def count(dataset: Dataset, table: str) -> int:
    rows = select(dataset, f"SELECT count(*) FROM {{{table}}}")  # noqa: S608
    return int(rows[0][0])


def preview(dataset: Dataset, table: str) -> str:
    """A few rows as a Markdown table, without dlt's own columns."""
    known = dataset.schema.get_table_columns(table)
    columns = [name for name in known if not name.startswith("_dlt")][:PREVIEW_COLUMNS]
    quoted = ", ".join(map(dataset.sql_client.escape_column_name, columns))
    rows = select(dataset, f"SELECT {quoted} FROM {{{table}}} LIMIT {PREVIEW_ROWS}")  # noqa: S608
    return tabulate(rows, headers=columns, tablefmt="github")
