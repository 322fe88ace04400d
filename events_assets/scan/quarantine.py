"""Rows that cannot be loaded: where they go, what is there already, and when they leave.

`quarantined_<table>` has one row for each, whole, as the API gave it, with the reason. Each scan
adds those that it sets aside, and a note without a document for each that it could load; after the
load only the last word on each row is kept (`events_assets.retention`).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

import dlt

from events_assets.rows.identity import Identity
from events_assets.rows.marks import INSTANT
from events_assets.rows.rules import TooDeep, may_be_deep
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import fetched

QUARANTINE_COLUMNS: dict[str, Any] = {
    "row_key": {"data_type": "text"},
    "document": {"data_type": "text"},
    "reason": {"data_type": "text"},
    "endpoint": {"data_type": "text"},
    "run_id": {"data_type": "text"},
    "position": {"data_type": "bigint"},
    "scan": {"data_type": "bigint"},
    "first_seen_at": {**INSTANT},
    "last_seen_at": {**INSTANT},
}
"""`row_key` is the key as JSON, or a digest of a row without one, `endpoint` the resource that gave
the row, `position` its number there, from 0, in the pass `scan`."""

USED = frozenset(
    (
        *("_dlt_id", "row_key", "document", "endpoint", "position"),
        *("first_seen_at", "last_seen_at", "quarantined_at"),
    )
)
"""Columns that say what is there; the last one is by an older version."""

NEVER = datetime.fromtimestamp(0, UTC)
"""In place of a time that was removed by hand."""

MapRows = Callable[[list[Any]], list[Any]]


def quarantine_of(table: str) -> str:
    return f"quarantined_{table}"


class Aside(dict[str, Any]):
    """A row for another table than that of its resource."""


class Original(NamedTuple):
    """A row as the API gave it, and where that was."""

    row: Any
    endpoint: str
    position: int


class Entry(NamedTuple):
    """A row of the quarantine."""

    row_key: str
    original: Original
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass
class Quarantine:
    """The rows of a table that were set aside, before a scan and in it.

    `known` are those from before, by their identities as they are configured now, in the order in
    which they were seen last. A scan that asks the API sees rows; where `is_replay`, they are only
    looked at once more.
    """

    receipt: Receipt
    is_replay: bool = False
    known: Mapping[Hashable, Sequence[Entry]] = field(default_factory=dict)
    refused: dict[Hashable, str] = field(default_factory=dict)
    """Rows set aside in this scan, by their identities, with their keys."""

    def recall(self, identity: Identity, maps: Mapping[str, MapRows]) -> None:
        """Finds out what is there; while dlt extracts.

        Args:
            identity: what identifies rows.
            maps: what makes rows to be loaded of those of a list, by its name.
        """
        identity = identity.copy()  # the types of keys are for rows that are loaded to decide
        usual = next(iter(maps.values()))
        known = defaultdict[Hashable, list[Entry]](list)
        found = _entries(quarantine_of(self.receipt.resource))
        for entry in sorted(found, key=attrgetter("last_seen_at")):
            rows = maps.get(entry.original.endpoint, usual)([entry.original.row])
            known[identity(rows)[0]].append(entry)
        self.known = known

    def item(self, identity: Hashable, original: Original, reason: str) -> Any:
        """A row for the quarantine."""
        row, now = original.row, datetime.now(UTC)
        entries = self.known.get(identity, ())
        key = identity.hex() if isinstance(identity, bytes) else json.dumps(identity)
        self.refused[identity] = key
        self.receipt.rows_quarantined += 1
        return self._item(
            row_key=key,
            document=str(row) if isinstance(row, TooDeep) else json.dumps(row),
            reason=reason,
            endpoint=original.endpoint,
            position=original.position,
            scan=self.receipt.scans,
            run_id=self.receipt.run_id,
            first_seen_at=min((entry.first_seen_at for entry in entries), default=now),
            last_seen_at=max(entry.last_seen_at for entry in entries) if self.is_replay else now,
        )

    def notes(self, is_loaded: Callable[[Hashable], bool]) -> Iterator[Any]:
        """Notes of rows that leave: they could be loaded, or have another key now."""
        for identity, key in self.refused.items():
            if is_loaded(identity):
                yield self._item(row_key=key)
        for identity, entries in self.known.items():
            for key in {entry.row_key for entry in entries}:
                if is_loaded(identity) or self.refused.get(identity, key) != key:
                    yield self._item(row_key=key)

    def _item(self, **columns: Any) -> Any:
        return dlt.mark.with_table_name(Aside(columns), quarantine_of(self.receipt.resource))


def _entries(table: str) -> Iterator[Entry]:
    """What the warehouse holds; an older version noted less."""
    schema = dlt.current.source_schema()
    table = schema.naming.normalize_table_identifier(table)
    if table not in schema.data_table_names(seen_data_only=True):
        return
    names = dict.fromkeys(name for name in schema.tables[table]["columns"] if name in USED)
    for values in fetched(table, names, where="document IS NOT NULL"):
        noted = defaultdict[str, Any](lambda: None, zip(names, values, strict=True))
        document = noted["document"]
        row = TooDeep(document) if may_be_deep(document.encode()) else json.loads(document)
        at = noted["quarantined_at"] or NEVER
        yield Entry(
            noted["row_key"] or noted["_dlt_id"],
            Original(row, noted["endpoint"] or "", noted["position"]),
            (noted["first_seen_at"] or at).astimezone(UTC),
            (noted["last_seen_at"] or at).astimezone(UTC),
        )
