"""Keeps the events in step: after each load it notes in `event_changes` what came, changed, went
and returned, and marks the events accordingly.

`event_versions` holds each event as it was when that was done last. What differs since then is
noted, all in one transaction; so it does not matter where a load was killed: what it had committed
is noted before the next one.
"""

from collections.abc import Iterator
from typing import Any

import dlt

from events_assets.destinations.base import Destination
from events_assets.drift import note_columns
from events_assets.scan.tables import CHANGES, EVENT_COLUMNS, VERSIONS
from events_assets.sql import execute, select

CURRENT = "current_events"
NOTED = (*EVENT_COLUMNS, "status")
"""Columns whose changes are noted."""

UNNOTED = """
SELECT DISTINCT _dlt_load_id FROM {events} WHERE _digest IS NOT NULL
EXCEPT SELECT DISTINCT _dlt_load_id FROM {event_versions}
"""

NOTE = """
INSERT INTO {event_changes} ({key}, change, field, old_value, new_value, seen_at,
                             _dlt_load_id, _dlt_id)
SELECT {key_of_event}, '{change}', {field}, {old}, {new}, e._changed_at,
       e._dlt_load_id, e._dlt_id || '-{suffix}'
FROM {events} AS e LEFT JOIN {event_versions} AS v ON {same}
WHERE e._dlt_load_id IN ({loads}) AND {condition}
"""

KEEP_MARKS = """
UPDATE {events} AS e SET
    _first_seen_at = v._first_seen_at,
    _changed_at = CASE WHEN v._digest = e._digest THEN v._changed_at ELSE e._changed_at END
FROM {event_versions} AS v
WHERE {same} AND e._dlt_load_id IN ({loads})
"""

FORGET_VERSIONS = """
DELETE FROM {event_versions} AS v
WHERE EXISTS (SELECT 1 FROM {events} AS e WHERE {same} AND e._dlt_load_id IN ({loads}))
"""

TAKE_VERSIONS = """
INSERT INTO {event_versions} ({columns})
SELECT {columns} FROM {events} WHERE _dlt_load_id IN ({loads})
"""

MARK_REMOVED = """
UPDATE {target} AS e SET _removed_at = v.seen_at
FROM {event_changes} AS v
WHERE {same} AND v.change = 'removed' AND v._dlt_load_id > e._dlt_load_id AND e._removed_at IS NULL
"""

SEE_CURRENT = "CREATE OR REPLACE VIEW {view} AS SELECT * FROM {events} WHERE _removed_at IS NULL"


def settle(dataset: dlt.Dataset) -> None:
    """Notes what differs from the last time, marks events, and makes the view of those that are
    there, where events are kept in step; and notes their columns."""
    if _is_in_step(dataset):
        _keep_in_step(dataset)
    note_columns(dataset)


def _keep_in_step(dataset: dlt.Dataset) -> None:
    client, columns = dataset.sql_client, dataset.schema.get_table_columns("events")
    key = _key(dataset)
    quoted = [*map(client.escape_column_name, key)]
    same = " AND ".join(f"e.{name} = v.{name}" for name in quoted)
    with client.begin_transaction():
        unnoted = [load_id for (load_id,) in select(dataset, UNNOTED)]
        if unnoted:
            loads = ", ".join(f"'{load_id}'" for load_id in unnoted)
            for parts in _notes(dataset, key):
                key_of_event = ", ".join(f"e.{name}" for name in quoted)
                parts |= {"key": ", ".join(quoted), "key_of_event": key_of_event}
                execute(dataset, NOTE, same=same, loads=loads, **parts)
            execute(dataset, KEEP_MARKS, same=same, loads=loads)
            execute(dataset, FORGET_VERSIONS, same=same, loads=loads)
            kept = columns.keys() & dataset.schema.get_table_columns(VERSIONS).keys()
            taken = ", ".join(map(client.escape_column_name, sorted(kept)))
            execute(dataset, TAKE_VERSIONS, columns=taken, loads=loads)
        for target in map(client.make_qualified_table_name, ("events", VERSIONS)):
            execute(dataset, MARK_REMOVED, target=target, same=same)
        execute(dataset, SEE_CURRENT, view=client.make_qualified_table_name(CURRENT))


def require_unique_keys(dataset: dlt.Dataset, destination: Destination) -> None:
    """Lets the database itself see to it that each event is there once, where events are kept in
    step."""
    if _is_in_step(dataset):
        destination.require_unique(dataset, "events", _key(dataset))


def drop_view(client: Any) -> None:
    """Drops the view until the events are settled again: columns of theirs are to change. `client`
    is the SqlClientBase of the dataset."""
    client.execute_sql(f"DROP VIEW IF EXISTS {client.make_qualified_table_name(CURRENT)}")


def _is_in_step(dataset: dlt.Dataset) -> bool:
    return {"events", CHANGES, VERSIONS} <= {*dataset.tables}


def _key(dataset: dlt.Dataset) -> list[str]:
    """The columns by which events are told apart."""
    columns = dataset.schema.get_table_columns("events")
    return [name for name, column in columns.items() if column.get("primary_key")]


def _notes(dataset: dlt.Dataset, key: list[str]) -> Iterator[dict[str, str]]:
    """What is noted, as parts of the statement: arrivals, returns, and changes of each column."""
    nothing = {"field": "NULL", "old": "NULL", "new": "NULL"}
    is_new = f"v.{dataset.sql_client.escape_column_name(key[0])} IS NULL"
    yield {"change": "arrived", "suffix": "arrived", "condition": is_new, **nothing}
    returned = "v._removed_at IS NOT NULL"
    yield {"change": "returned", "suffix": "returned", "condition": returned, **nothing}
    columns = dataset.schema.get_table_columns("events")
    for name in NOTED:
        if name in columns and name not in key:
            as_text = _as_text(columns[name]["data_type"])
            yield {
                "change": "changed",
                "suffix": name,
                "field": f"'{name}'",
                "old": as_text.format(f"v.{name}"),
                "new": as_text.format(f"e.{name}"),
                "condition": f"NOT ({is_new}) AND v.{name} IS DISTINCT FROM e.{name}",
            }


def _as_text(data_type: str | None) -> str:
    """How a value is noted: times in ISO 8601, in UTC."""
    if data_type == "timestamp":
        return "replace(CAST({} AT TIME ZONE 'UTC' AS VARCHAR), ' ', 'T') || 'Z'"
    return "CAST({} AS VARCHAR)"
