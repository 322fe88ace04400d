"""What the warehouse holds of a table already, with which a scan compares what comes."""

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import dlt

from events_assets import __version__
from events_assets.rows.identity import Identity, in_utc
from events_assets.rows.marks import DIGEST, REMOVED
from events_assets.rows.names import distinct

CHUNK = 10_000
"""Rows that are fetched together."""


@dataclass
class Stored:
    """The rows of a table by their identities: `digests` of their content, None where it is not
    known or the row is marked as removed; those are in `removed`.

    `is_current` is whether the warehouse would hold the same today for a row of the same content.
    """

    digests: dict[Hashable, int | None] = field(default_factory=dict)
    removed: set[Hashable] = field(default_factory=set)
    is_current: bool = False

    def has(self, identity: Hashable, version: int) -> bool:
        """Whether it holds a row, with this content."""
        return self.digests.get(identity) == version

    def vanished(self, came: Iterable[Hashable]) -> list[Hashable]:
        """The rows that are not marked as removed, and did not come."""
        return [*self.digests.keys() - self.removed - set(came)]


def stored_rows(table: str, identity: Identity) -> Stored:
    """The rows of a table that are in the warehouse; while dlt extracts."""
    found = Stored(is_current=_is_read_as_before())
    pipeline, schema = dlt.current.pipeline(), dlt.current.source_schema()
    name = schema.naming.normalize_table_identifier(table)
    columns = schema.tables[name]["columns"] if name in schema.data_table_names() else {}
    keys = [schema.naming.normalize_identifier(distinct(key)) for key in identity.primary_key]
    if not {*keys} <= columns.keys():
        return found
    with pipeline.sql_client(schema.name) as client:
        wanted = [*map(client.escape_column_name, keys)]
        wanted += [one if one in columns else "NULL" for one in (DIGEST, REMOVED)]
        sql = f"SELECT {', '.join(wanted)} FROM {client.make_qualified_table_name(name)}"  # noqa: S608
        with client.execute_query(sql) as cursor:
            while rows := cursor.fetchmany(CHUNK):
                for *key, digest, removed_at in rows:
                    identity_of = tuple(map(_as_it_comes, key)) if len(key) > 1 else key[0]
                    found.digests[identity_of] = None if removed_at else digest
                    if removed_at:
                        found.removed.add(identity_of)
    return found


def _as_it_comes(value: Any) -> Hashable:
    """A part of a key as the identity of a row has it."""
    return in_utc(value) if isinstance(value, datetime) else value


def _is_read_as_before() -> bool:
    """Whether rows become columns in the same way as in the last load."""
    resource, schema = dlt.current.resource(), dlt.current.source_schema()
    ways = [__version__, dlt.__version__, schema.naming.name(), resource.compute_table_schema()]
    digest = blake2b(json.dumps(ways, default=str, sort_keys=True).encode()).hexdigest()[:32]
    state = dlt.current.resource_state()
    before, state["read as"] = state.get("read as"), digest
    return bool(before == digest)
