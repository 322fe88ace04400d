"""The tables that a scan fills beside that of its rows, as dlt has to know them."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.data_types import TDataType
from dlt.extract import DltResource

from events_assets.errors import ConfigurationError
from events_assets.rows.identity import Identity
from events_assets.rows.names import distinct
from events_assets.rows.rules import TooDeep
from events_assets.scan.receipt import RECEIPT_COLUMNS, Receipt

RECEIPTS = "scan_receipts"
LOOPBACK_PORT = re.compile(r"(//(?:127\.0\.0\.1|localhost|\[::1\])):\d+")

QUARANTINE_COLUMNS: dict[str, Any] = {
    "document": {"data_type": "text"},
    "reason": {"data_type": "text"},
    "run_id": {"data_type": "text"},
}


class Aside(dict[str, Any]):
    """A row for another table than that of its resource."""


def declare(resource: DltResource, identity: Identity) -> DltResource:
    """Declares the tables beside that of a resource."""
    for table, columns in (
        (RECEIPTS, RECEIPT_COLUMNS),
        (_quarantine(resource.name), QUARANTINE_COLUMNS),
    ):
        # A table variant starts from the resource's own columns: {} drops them.
        for hints in ({}, columns):
            resource.apply_hints(
                table_name=table,
                write_disposition="append",
                primary_key=[],
                columns=hints,
                create_table_variant=True,
            )
    if identity.primary_key:
        # No key comes twice, so that dlt need not sort all rows to find one that does.
        resource.apply_hints(additional_table_hints={"x-stage-data-deduplicated": True})
    return resource


def require_origin(receipt: Receipt) -> str | None:
    """Remembers with a table which API its rows are of; while dlt extracts.

    Returns a warning where only the port of this machine is another one, as of a tunnel.

    Raises:
        ConfigurationError: they are of another one, which has no list in common with this one.
    """
    state = dlt.current.resource_state()
    before, now = state.get("origin", receipt.origin), receipt.origin
    portless = LOOPBACK_PORT.sub(r"\1", before), LOOPBACK_PORT.sub(r"\1", now)
    told = f"the table {receipt.resource} holds the rows of {before}, not of {now}"
    if not _have_a_list_in_common(*portless):
        raise ConfigurationError(
            f"{told}: set another dataset in [sources.events.warehouse], or where the API has only "
            f'moved, origin = "{before}" there'
        )
    state["origin"] = now
    is_same = _have_a_list_in_common(before, now)
    return None if is_same else f"{told}; if that is another API, set another dataset"


def _have_a_list_in_common(before: str, now: str) -> bool:
    return not {*before.split(", ")}.isdisjoint(now.split(", "))


def receipt_item(receipt: Receipt) -> Any:
    return dlt.mark.with_table_name(Aside(receipt.row()), RECEIPTS)


def quarantine_item(row: Any, reason: str, position: int, receipt: Receipt) -> Any:
    """A row that cannot be loaded, whole, with the reason."""
    aside = Aside(
        document=str(row) if isinstance(row, TooDeep) else json.dumps(row),
        reason=reason,
        position=position,
        scan=receipt.scans,
        run_id=receipt.run_id,
        quarantined_at=datetime.now(UTC),
    )
    return dlt.mark.with_table_name(aside, _quarantine(receipt.resource))


def empty_item(identity: Identity) -> Any:
    """Lets the table of the rows exist where none came, its key with the types it has, or text."""
    types = dict.fromkeys(identity.primary_key, "text") | identity.types
    columns: Any = {distinct(key): {"data_type": kind} for key, kind in types.items()}
    hints = dlt.mark.make_hints(columns=columns)
    return dlt.mark.with_hints(dlt.mark.materialize_table_schema(), hints)


def later_versions_win(table: str) -> None:
    """Lets the merge take the version of a row that was extracted last; while dlt extracts."""
    schema = dlt.current.source_schema()
    found: dict[str, Any] = schema.tables[schema.naming.normalize_table_identifier(table)]  # type: ignore[assignment]
    found["x-stage-data-deduplicated"] = False
    row_id = schema.naming.normalize_identifier("_dlt_id")
    found["columns"].setdefault(row_id, {"name": row_id})["dedup_sort"] = "desc"


def key_types(table: str, identity: Identity) -> dict[str, TDataType]:
    """The types that the key columns of a table have already; while dlt extracts."""
    schema = dlt.current.source_schema()
    found = schema.tables.get(schema.naming.normalize_table_identifier(table))
    columns = found["columns"] if found else {}
    names = {
        name: schema.naming.normalize_identifier(distinct(name)) for name in identity.primary_key
    }
    types = {name: columns.get(column, {}).get("data_type") for name, column in names.items()}
    return {name: data_type for name, data_type in types.items() if data_type}


def _quarantine(table: str) -> str:
    return f"quarantined_{table}"
