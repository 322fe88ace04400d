"""Tables as dlt makes them of rows, in memory: what it would write, without a pipeline."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.common.schema.typing import TWriteDisposition

from events_assets.arrow.coercion import fitting
from events_assets.arrow.convert import Conversion
from events_assets.dlt_private import Normalizer
from events_assets.rows.identity import Loadable
from events_assets.rows.names import Names
from events_assets.source import EVENT_COLUMNS

Rows = list[dict[str, Any]]


def columns(**types: str) -> Any:
    """Those of the table of events, as the source declares them, and others by their types."""
    own = {name: {"data_type": kind} for name, kind in types.items()}
    return EVENT_COLUMNS | own | {"id": {"nullable": False, "data_type": types.get("id", "bigint")}}


@contextmanager
def for_duckdb() -> Iterator[None]:
    """Values are converted as they are for DuckDB."""
    with fitting(), Container().injectable_context(capabilities()):
        yield


@cache
def capabilities() -> DestinationCapabilitiesContext:
    return dlt.destinations.duckdb().capabilities()


@cache
def declared(disposition: TWriteDisposition = "merge", **types: str) -> Schema:
    """A schema with the empty table of events."""
    schema = Schema("events")
    resource = dlt.resource(
        [],
        name="events",
        primary_key="id",
        write_disposition=disposition,
        columns=columns(**types),
    )
    for table in resource.compute_tables(schema.naming):
        schema.update_table(table)
    return schema


class Tables:
    """The table of events and those below it.

    `written` has what the last load wrote, by table: how many rows Arrow converted are in `arrow`.
    """

    def __init__(self, disposition: TWriteDisposition = "merge", **types: str) -> None:
        self.schema = declared(disposition, **types).clone()
        self.written: dict[str, Rows] = {}
        self.owners: dict[str, str] = {}
        self.arrow: dict[str, int] = {}

    def loadable(self, *rules: Any) -> Loadable:
        return Loadable(Names(self.schema.naming.normalize_path, self.owners), *rules)

    def convert(self, load_id: str, rows: Rows, loadable: Loadable, size: int) -> dict[int, str]:
        """Takes rows as a scan does, so many at a time; the places of those that were refused."""
        conversion = Conversion(self.schema, "events", load_id, loadable)
        refused: dict[int, str] = {}
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            reasons = conversion.take(some, [0] * len(some))
            refused.update({start + place: reason for place, reason in reasons.items()})
        self.write(load_id, conversion.rows)
        self.arrow = {}
        for name, parts in conversion.tables.items():
            self.arrow[name] = sum(len(part) for part in parts)
            found = [row for part in parts for row in part.to_pylist()]
            self.written.setdefault(name, []).extend(found)
        return refused

    def write(self, load_id: str, rows: Rows) -> None:
        """Takes rows as dlt does."""
        self.written = Written()
        if not rows:
            return
        normalizer = Normalizer(self.schema, load_id, self.written)
        for row in rows:
            normalizer.decide("events", row)
        self.schema = normalizer.schema

    def columns(self) -> dict[str, list[tuple[Any, ...]]]:
        """Names and types of the columns, in order, by table."""
        return {
            name: [
                (column["name"], column["data_type"], column.get("nullable", True))
                for column in table["columns"].values()
                if "data_type" in column
            ]
            for name, table in self.schema.tables.items()
            if not name.startswith("_dlt")
        }

    def values(self, column: str, table: str = "events") -> dict[Any, Any]:
        """The values of a column by the ids of events."""
        return {row["id"]: row.get(column) for row in self.written[table]}


class Written(dict[str, Rows]):
    """A storage of dlt's: rows by table."""

    def write_data_item(
        self, _load: str, _schema: str, table: str, row: Any, _columns: Any
    ) -> None:
        self.setdefault(table, []).append(row)


def content(tables: dict[str, Rows]) -> dict[str, list[str]]:
    """The rows of all tables, sorted, with the ids that dlt makes up told by their places."""
    places: dict[str, Any] = {}
    found: dict[str, list[str]] = {}
    for table in sorted(tables, key=len):  # parents come first
        found[table] = []
        for row in tables[table]:
            record = {name: _told(value) for name, value in row.items() if value is not None}
            parent, root = record.pop("_dlt_parent_id", None), record.pop("_dlt_root_id", None)
            place = (places[parent], table, record["_dlt_list_idx"]) if parent else record["id"]
            top = place
            while isinstance(top, tuple):
                top = top[0]
            assert root is None or places[root] == top
            assert record["_dlt_id"] not in places
            places[record.pop("_dlt_id")] = place
            found[table].append(repr((place, sorted(record.items()))))
        found[table].sort()
    return found


def _told(value: Any) -> Any:
    """Instants of any class in UTC."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
