"""Property: whatever rows an API answers, each is in `events` or in `quarantined_events`."""

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from events_assets import sql, warehouse
from events_assets.rows.identity import Identity
from events_assets_tests.conftest import load
from events_assets_tests.tables import Tables, for_duckdb

KEYS = st.one_of(
    st.sampled_from(
        ["id", "ID", "event_name", "Event Name", "start_time", "venue", "tags", "", "é"]
    ),
    st.text(max_size=6),
)
TIMES = st.one_of(
    st.datetimes().map(lambda time: time.isoformat()),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "TBA", "", "0"]),
    st.integers(-(2**40), 2**40),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**62, 2**65),
    st.floats(),
    TIMES,
    st.text(st.characters(), max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
IDS = st.one_of(st.integers(0, 30), st.integers(0, 30).map(str), SCALARS, VALUES)
EVENTS = st.dictionaries(KEYS, VALUES, max_size=4).flatmap(
    lambda row: st.fixed_dictionaries({}, optional={"id": IDS, "start_time": TIMES | VALUES}).map(
        lambda fields: row | fields
    )
)
LOADS = st.tuples(*[st.lists(EVENTS | VALUES, max_size=30)] * 2)
"""The second load meets the columns of the first."""


@settings(
    max_examples=int(os.environ.get("EXAMPLES", 100)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(loads=LOADS, key_type=st.sampled_from(["bigint", "text"]))
def test_every_row_is_loaded_or_set_aside(loads: tuple[list[Any], ...], key_type: Any) -> None:
    """In memory, by the parts of a scan."""
    with for_duckdb():
        tables = Tables(id=key_type)
        for rows in loads:
            key = Identity(["id"])
            key.types["id"] = key_type
            keyed, aside = {}, []
            identities = key(rows)
            if key.widened:  # then all is read anew, into a column of texts
                return
            for row, found in zip(rows, identities, strict=True):
                if isinstance(found, bytes):
                    assert key.objection(row)
                    aside.append(row)
                else:
                    keyed[found] = row
            events = key.with_keys([*keyed.values()], keyed)
            refused = tables.convert("load", events, tables.loadable(), size=10)
            aside += [row for place, row in enumerate(keyed.values()) if place in refused]
            loaded = [row["id"] for row in tables.written.get("events", [])]
            assert len(loaded) == len(events) - len(refused)
            ended = [*map(str, loaded), *map(identity, aside)]
            assert {*ended} == {*map(identity, rows)}


@pytest.mark.slow
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(rows=st.lists(EVENTS | VALUES, min_size=40, max_size=60))
def test_every_row_is_in_the_warehouse(project: Any, rows: list[Any]) -> None:
    path = project / "data" / "events.duckdb"
    path.unlink(missing_ok=True)
    for some in (rows[::2], rows):  # the second load meets the columns of the first
        received, loaded, repeats, quarantined = load(some)
        assert received == loaded + repeats + quarantined
        assert received >= len(some)
    assert {*everything()} >= {*map(identity, rows)}


def everything() -> list[Any]:
    """Identities of all rows that are in either table."""
    with warehouse.reading() as dataset:
        found = [str(key) for (key,) in sql.select(dataset, "SELECT id FROM {events}")]
        if "quarantined_events" in dataset.tables:
            query = "SELECT document FROM {quarantined_events}"
            found += [identity(json.loads(document)) for (document,) in sql.select(dataset, query)]
        return found


def identity(row: Any) -> str:
    """The id of a row as text, as it is in the table; a row without one as a whole."""
    value = row.get("id") if isinstance(row, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return json.dumps(row, sort_keys=True)
