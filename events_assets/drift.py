"""Which columns the events have, and in how many of them each has a value: noted with each load, as
JSON in `event_columns` of its receipt, so that the next load can be compared with it.

    {"rows": 1200,
     "columns": {"event_name": ["text", 1200], "price": ["bigint", 7]},
     "known": {"event_name": [1200, 1200, "2026-11-23T14:35:07+00:00"]}}

`columns` has the data type (dlt's) of each, and the number of current events in which it is not
null. `known` has of each field that is watched the last state from which it did not fall: in how
many events, of how many, and when. So its loss is told in each load, not just in the first one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

import dlt

from events_assets import configuration
from events_assets.rows.marks import MARKS, REMOVED
from events_assets.scan.tables import RECEIPTS
from events_assets.sql import current, execute, select

FAR, FEW = 0.2, 10
"""A field falls where its share of the events does by more than this, in at least so many."""

FINISHED = """
SELECT {columns} FROM {scan_receipts}
WHERE resource = 'events' AND {condition}
AND _dlt_load_id IN (SELECT load_id FROM {_dlt_loads} WHERE status = 0)
ORDER BY started_at DESC LIMIT 1
"""

WRITTEN_SINCE = """
SELECT 1 FROM {events} WHERE _dlt_load_id > (
    SELECT max(_dlt_load_id) FROM {scan_receipts}
    WHERE resource = 'events' AND event_columns IS NOT NULL
) LIMIT 1
"""

NOTE_COLUMNS = """
UPDATE {scan_receipts} SET event_columns = %s WHERE resource = 'events' AND _dlt_load_id = %s
"""


@dataclass(frozen=True)
class Columns:
    """The columns of the events after the load that began `at` a time, in UTC."""

    at: datetime
    rows: int
    columns: dict[str, tuple[str, int]]
    known: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, at: datetime) -> Self:
        found = json.loads(text)
        return cls(at.astimezone(UTC), found["rows"], found["columns"], found["known"])

    def text(self) -> str:
        return json.dumps({"rows": self.rows, "columns": self.columns, "known": self.known})

    def filled(self, name: str) -> int:
        """The number of events in which a column has a value."""
        return self.columns[name][1] if name in self.columns else 0

    def new_since(self, before: Self) -> list[str]:
        """Columns that have values, and had none."""
        return [name for name in self.columns if self.filled(name) and not before.filled(name)]

    def retyped_since(self, before: Self) -> dict[str, tuple[str, str]]:
        """Columns of another data type than before, with both."""
        both = [name for name in self.columns if name in before.columns]
        types = {name: (before.columns[name][0], self.columns[name][0]) for name in both}
        return {name: (old, now) for name, (old, now) in types.items() if old != now}

    def has_fallen(self, name: str) -> bool:
        """Whether a field is in no event any more, or in far fewer than were known to have it; one
        that a single event had may go with it."""
        filled, rows, _ = self.known.get(name, (0, 0, ""))
        if filled < 2:
            return False
        is_far = filled / rows - self.filled(name) / self.rows > FAR
        if not self.filled(name):
            return is_far or filled >= FEW
        return is_far and self.lost(name) >= FEW

    def lost(self, name: str) -> int:
        """The number of events that would have a field, if its share were that which is known."""
        filled, rows, _ = self.known[name]
        return round(self.rows * filled / rows) - self.filled(name)

    def knowing(self, known: dict[str, tuple[int, int, str]], fields: Iterable[str]) -> Self:
        """With what is known of some fields: what was, where they have fallen from it."""
        found = replace(self, known={name: known[name] for name in fields if name in known})
        risen = {
            name: (self.filled(name), self.rows, self.at.isoformat(timespec="seconds"))
            for name in fields
            if self.filled(name) and not found.has_fallen(name)
        }
        return replace(self, known=found.known | risen)


def own_columns(dataset: dlt.Dataset, table: str) -> list[str]:
    """The columns of a table but for those of dlt and the marks."""
    known = dataset.schema.get_table_columns(table)
    return [name for name in known if not name.startswith("_dlt_") and name not in MARKS]


def before(dataset: dlt.Dataset, at: datetime) -> Columns | None:
    """What was noted last before the load that began at a time."""
    is_noted = f"event_columns IS NOT NULL AND started_at < '{at.isoformat()}'"
    found = select(dataset, FINISHED, columns="event_columns, started_at", condition=is_noted)
    return Columns.read(*found[0]) if found else None


def note_columns(dataset: dlt.Dataset) -> None:
    """Notes the columns with the receipt of the newest load, if that is not done yet. They are
    counted only where events were written or removed. An empty table tells nothing of its columns,
    and is noted as null."""
    if not {"events", RECEIPTS} <= {*dataset.tables}:
        return
    if "event_columns" not in dataset.schema.get_table_columns(RECEIPTS):
        return  # as an older version made them
    wanted = "_dlt_load_id, started_at, rows_removed, event_columns"
    found = select(dataset, FINISHED, columns=wanted, condition="1 = 1")
    if not found or found[0][-1]:
        return
    load_id, at, removed, _ = found[0]
    last = before(dataset, at)
    if last and not removed and not _are_written(dataset):
        now = replace(last, at=at.astimezone(UTC))
    else:
        now = _counted(dataset, at.astimezone(UTC))
    if now.rows:
        fields = configuration.check_settings().event_fields_are_filled.fields
        now = now.knowing(last.known if last else {}, fields)
        execute(dataset, NOTE_COLUMNS, now.text(), load_id)


def _are_written(dataset: dlt.Dataset) -> bool:
    """Whether events were written since columns were noted last, by a load that was killed, too;
    one that does not compare them always writes."""
    is_compared = REMOVED in dataset.schema.get_table_columns("events")
    return not is_compared or bool(select(dataset, WRITTEN_SINCE))


def _counted(dataset: dlt.Dataset, at: datetime) -> Columns:
    """The columns as they are now, by one look at the table."""
    known, own = dataset.schema.get_table_columns("events"), own_columns(dataset, "events")
    counts = [f"count({dataset.sql_client.escape_column_name(name)})" for name in own]
    ((rows, *filled),) = select(
        dataset,
        "SELECT {counts} FROM {events} WHERE {current}",
        counts=", ".join(["count(*)", *counts]),
        current=current(dataset, "events"),
    )
    types = [str(known[name]["data_type"]) for name in own]
    columns = dict(zip(own, zip(types, filled, strict=True), strict=True))
    return Columns(at, rows, columns)
