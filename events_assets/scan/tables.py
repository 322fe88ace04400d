"""The tables that a scan fills beside that of its rows, as dlt has to know them."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dlt
from dlt.common.data_types import TDataType
from dlt.extract import DltResource

from events_assets.errors import ConfigurationError
from events_assets.rows.identity import Identity
from events_assets.rows.marks import INSTANT, MARKS, declare_marks
from events_assets.rows.names import distinct
from events_assets.scan.quarantine import QUARANTINE_COLUMNS, Aside, quarantine_of
from events_assets.scan.receipt import RECEIPT_COLUMNS, Receipt

RECEIPTS = "scan_receipts"
LOOPBACK_PORT = re.compile(r"(//(?:127\.0\.0\.1|localhost|\[::1\])):\d+")

EVENT_COLUMNS: dict[str, Any] = {
    "event_name": {"data_type": "text"},
    "start_time": {**INSTANT},
    "end_time": {**INSTANT},
}
"""Canonical columns beside `id`: they exist also where every value is null. `id` is before them; it
is typed by its data or, where it is not part of the key, a text that may be null."""

CHANGES, VERSIONS = "event_changes", "event_versions"
CHANGE_COLUMNS: dict[str, Any] = {
    "change": {"data_type": "text"},
    "field": {"data_type": "text"},
    "old_value": {"data_type": "text"},
    "new_value": {"data_type": "text"},
    "seen_at": {**INSTANT},
}
"""Beside the key of the event."""
VERSION_COLUMNS: dict[str, Any] = {**EVENT_COLUMNS, "status": {"data_type": "text"}, **MARKS}


def declare(resource: DltResource, identity: Identity, is_synced: bool) -> DltResource:
    """Declares the tables beside that of a resource."""
    _declare(resource, RECEIPTS, RECEIPT_COLUMNS)
    _declare(resource, quarantine_of(resource.name), QUARANTINE_COLUMNS)
    if is_synced:
        _declare(resource, CHANGES, CHANGE_COLUMNS)
    if identity.primary_key:
        # No key comes twice, so that dlt need not sort all rows to find one that does.
        resource.apply_hints(additional_table_hints={"x-stage-data-deduplicated": True})
    return resource


def _declare(resource: DltResource, table: str, columns: dict[str, Any]) -> None:
    """Declares a table that rows are appended to."""
    # A table variant starts from the resource's own columns: {} drops them.
    for hints in ({}, columns):
        resource.apply_hints(
            table_name=table,
            write_disposition="append",
            primary_key=[],
            columns=hints,
            schema_contract="evolve",  # that of the resource is for its own rows
            create_table_variant=True,
        )


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


def removal_items(identity: Identity, removed: list[Any], seen_at: datetime) -> Iterator[Any]:
    """Notes of rows that are gone; that they are marked follows from them, after the load."""
    note = {"change": "removed", "seen_at": seen_at}
    for key in removed:
        parts = key if len(identity.primary_key) > 1 else (key,)
        keys = dict(zip(map(distinct, identity.primary_key), parts, strict=True))
        yield dlt.mark.with_table_name(Aside(keys | note), CHANGES)


def empty_item(identity: Identity) -> Any:
    """Lets the table of the rows exist where none came."""
    hints = dlt.mark.make_hints(columns=_key_columns(identity))
    return dlt.mark.with_hints(dlt.mark.materialize_table_schema(), hints)


def sync_items(table: str, identity: Identity) -> Iterator[Any]:
    """Lets the tables exist that keep a table in step; the last columns of that are the marks."""
    schema = dlt.current.source_schema()
    name = schema.naming.normalize_table_identifier(table)
    declare_marks(schema, name)
    for beside, columns in ((CHANGES, CHANGE_COLUMNS), (VERSIONS, VERSION_COLUMNS)):
        _declare(dlt.current.resource(), beside, {**_key_columns(identity), **columns})
        if beside not in schema.data_table_names(seen_data_only=True):
            yield dlt.mark.with_table_name(dlt.mark.materialize_table_schema(), beside)


def _key_columns(identity: Identity) -> dict[str, Any]:
    """The columns of the key with the types they have, or text."""
    types = dict.fromkeys(identity.primary_key, "text") | identity.types
    return {distinct(key): {"data_type": kind} for key, kind in types.items()}


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
