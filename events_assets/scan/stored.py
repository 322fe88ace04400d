"""What the warehouse holds of a table already, with which a scan compares what comes."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import dlt

from events_assets import __version__
from events_assets.rows.identity import Identity, in_utc
from events_assets.rows.marks import DIGEST, REMOVED
from events_assets.rows.names import distinct

CHUNK = 10_000
"""Rows that are fetched together."""

Fetch = Callable[..., Iterable[Sequence[Any]]]


class Stored:
    """The rows of a table by their identities: `digests` of their content, None where it is not
    known or the row is marked as removed; those are in `removed`.

    `fingerprint` is the sum of the digests. `newer` are those that were written or marked by
    loads that ended after a scan had begun whose answers are only read now; `is_newer`: there were
    such loads. `outdated` are those that it would hold
    otherwise today, though their content is the same. All rows are fetched at once, or each when it
    is asked for.

    Args:
        fetch: gives key, digest, time of removal and whether it is outdated and newer, of some rows
            or all; None where there is nothing to compare with.
        is_outdated: the condition for that.
    """

    def __init__(self, fetch: Fetch | None = None, is_outdated: str = "1 = 0") -> None:
        self.digests: dict[Hashable, int | None] = {}
        self.removed: set[Hashable] = set()
        self.outdated: set[Hashable] = set()
        self.newer: set[Hashable] = set()
        self.is_newer = False
        self.fingerprint = 0
        self._fetch, self._is_outdated = fetch, is_outdated
        self._asked: set[Hashable] = set()

    @classmethod
    def of(cls, table: str, identity: Identity, began_at: datetime | None = None) -> "Stored":
        """The rows of a table of the warehouse; while dlt extracts.

        Args:
            began_at: when the scan had begun; None: now.
        """
        schema, since = dlt.current.source_schema(), _read_so_since()
        name = schema.naming.normalize_table_identifier(table)
        columns = schema.tables[name]["columns"] if name in schema.data_table_names() else {}
        keys = {
            schema.naming.normalize_identifier(distinct(key)): identity.types.get(key)
            for key in identity.primary_key
        }
        marks = [one if one in columns else "NULL" for one in (DIGEST, REMOVED)]
        is_outdated = f"_dlt_load_id < '{since}'"
        if not keys.keys() <= columns.keys():
            return cls()
        loads = _ended_since(began_at) if began_at else []
        is_newer = "1 = 0"
        if loads:
            is_newer = f"_dlt_load_id IN ({', '.join(map(repr, loads))})"
            if REMOVED in columns:
                first = datetime.fromtimestamp(float(min(loads)), UTC).isoformat()
                is_newer += f" OR coalesce({REMOVED} >= '{first}', 1 = 0)"
        fetch = partial(fetched, name, columns=keys, marks=[*marks, is_outdated, is_newer])
        found = cls(fetch, is_outdated)
        found.is_newer = bool(loads)
        return found

    def known_fingerprint(self) -> int | None:
        """The fingerprint, if there are rows, and the content of each is known and would be held so
        today."""
        if self._fetch is None:
            return None
        is_known = f"{DIGEST} IS NOT NULL AND ({REMOVED} IS NOT NULL OR NOT {self._is_outdated})"
        known = f"count(CASE WHEN {is_known} THEN 1 END)"
        total = f"sum(CASE WHEN {REMOVED} IS NULL THEN {DIGEST} END)"
        ((rows, known_rows, found),) = self._fetch(columns={}, marks=["count(*)", known, total])
        return int(found or 0) if 0 < rows == known_rows else None

    def fetch_all(self) -> None:
        """Fetches all rows at once."""
        if self._fetch:
            self._take(self._fetch())
        self._fetch, self.fingerprint = None, sum(filter(None, self.digests.values()))

    def look_up(self, identities: Iterable[Hashable]) -> None:
        """Fetches those rows, if they are not there yet."""
        if self._fetch:
            new = {*identities} - self._asked
            self._asked |= new
            keys = [one[0] if isinstance(one, tuple) else one for one in new]
            keys = [key for key in keys if not isinstance(key, bytes)]
            self._take(self._fetch(keys=keys) if keys else ())

    def current_rows(self) -> int:
        """The number of rows that are not marked as removed."""
        return len(self.digests) - len(self.removed)

    def vanished(self, came: Iterable[Hashable]) -> list[Hashable]:
        """The rows that are not marked as removed, and did not come."""
        return [*self.digests.keys() - self.removed - self.newer - set(came)]

    def _take(self, rows: Iterable[Sequence[Any]]) -> None:
        for *key, digest, removed_at, is_outdated, is_newer in rows:
            identity = tuple(map(_as_it_comes, key)) if len(key) > 1 else key[0]
            self.digests[identity] = None if removed_at else digest
            if removed_at:
                self.removed.add(identity)
            if is_outdated:
                self.outdated.add(identity)
            if is_newer:
                self.newer.add(identity)


def fetched(
    table: str,
    columns: Mapping[str, str | None],
    marks: Sequence[str] = (),
    where: str = "1 = 1",
    keys: Sequence[Any] = (),
) -> Iterator[Sequence[Any]]:
    """Rows of a table of the warehouse: those with one of the keys in the first column, or all;
    while dlt extracts. `marks` are further columns, as SQL.

    Columns known to be of integers are given as such, too, if a load was killed that made them
    texts.
    """
    with dlt.current.pipeline().sql_client(dlt.current.source_schema().name) as client:
        quoted = client.escape_column_name
        names = [
            f"CAST({quoted(name)} AS BIGINT)" if kind == "bigint" else quoted(name)
            for name, kind in columns.items()
        ]
        if keys:
            where = f"{names[0]} IN ({', '.join(['%s'] * len(keys))})"
        name = client.make_qualified_table_name(table)
        sql = f"SELECT {', '.join([*names, *marks])} FROM {name} WHERE {where}"  # noqa: S608
        with client.execute_query(sql, *keys) as cursor:
            while rows := cursor.fetchmany(CHUNK):
                yield from rows


def _ended_since(time: datetime) -> list[str]:
    """The loads of events that ended after a time; while dlt extracts."""
    with dlt.current.pipeline().sql_client(dlt.current.source_schema().name) as client:
        name = client.make_qualified_table_name("_dlt_loads")
        sql = f"SELECT load_id FROM {name} WHERE schema_name = 'events' AND inserted_at >= %s"  # noqa: S608
        return [str(load_id) for (load_id,) in client.execute_sql(sql, time) or []]


def _as_it_comes(value: Any) -> Hashable:
    """A part of a key as the identity of a row has it."""
    return in_utc(value) if isinstance(value, datetime) else value


def _read_so_since() -> str:
    """The load from which on rows became columns in the way in which they do now."""
    resource, schema = dlt.current.resource(), dlt.current.source_schema()
    ways = [__version__, dlt.__version__, schema.naming.name(), resource.compute_table_schema()]
    digest = blake2b(json.dumps(ways, default=str, sort_keys=True).encode()).hexdigest()[:32]
    state = dlt.current.resource_state()
    if state.get("read as") != digest:
        since = dlt.current.load_package_state()["load_id"]
        state["read as"], state["read so since"] = digest, since
    return str(state.get("read so since", ""))
