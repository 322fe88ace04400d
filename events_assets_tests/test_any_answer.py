"""Property: whatever rows an API answers, each is in `events` or in `quarantined_events`."""

import json
import os
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from events_assets import warehouse
from events_assets_tests.conftest import load

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
ROWS = st.lists(EVENTS | VALUES, max_size=8)


@settings(
    max_examples=int(os.environ.get("EXAMPLES", 8)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(first=ROWS, second=ROWS)
def test_every_row_is_loaded_or_set_aside(
    project: Any, first: list[Any], second: list[Any]
) -> None:
    path = project / "data" / "events.duckdb"
    path.unlink(missing_ok=True)
    for rows in (first, second):  # the second load meets the columns of the first
        received, loaded, repeats, quarantined = load(rows)
        assert received == loaded + repeats + quarantined
        assert received >= len(rows)
    seen = {identity(row) for row in [*first, *second]}
    assert set(everything()) >= seen - {None}


def everything() -> list[Any]:
    """Identities of all rows that are in either table."""
    with warehouse.reading() as dataset:
        found = [str(key) for (key,) in warehouse.select(dataset, "SELECT id FROM {events}")]
        if "quarantined_events" in dataset.tables:
            query = "SELECT document FROM {quarantined_events}"
            found += [
                identity(json.loads(document)) for (document,) in warehouse.select(dataset, query)
            ]
        return found


def identity(row: Any) -> str:
    """The id of a row as text, as it is in the table; a row without one as a whole."""
    value = row.get("id") if isinstance(row, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return json.dumps(row, sort_keys=True)
