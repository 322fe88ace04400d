"""Keys whose type changes keep their rows; none of them is set aside for it."""

import pytest

from events_assets_tests.conftest import event, load

pytestmark = pytest.mark.slow

BIG = 2**63

CHANGES = [
    ([1, 2], ["evt_1", "2"], ["1", "2", "evt_1"]),
    ([1, 2], [2, BIG], ["1", "2", str(BIG)]),
    (["1", "a"], [1, 2], ["1", "2", "a"]),
    ([1], [-BIG - 1, "x", 2.0, "02"], ["-9223372036854775809", "02", "1", "2", "x"]),
]


@pytest.mark.parametrize(
    ("before", "then", "ids", "more"),
    [*((*change, {"tags": ["a"]}) for change in CHANGES), (*CHANGES[0], {})],
)
def test_keys_of_another_type_are_loaded_and_rows_keep_theirs(rows, before, then, ids, more):
    load([event(0, id=number, **more) for number in before])
    for _ in range(2):
        events = [event(0, id=number, event_name="new", **more) for number in then]
        _, loaded, _, quarantined = load(events)
        assert (loaded, quarantined) == (len(then), 0)
        assert rows("SELECT id FROM events_sample.events ORDER BY id") == [(one,) for one in ids]
        new = "SELECT count(*) FROM events_sample.events WHERE event_name = 'new'"
        assert rows(new) == [(len(then),)]
        if more:
            assert rows("SELECT count(*) FROM events_sample.events__tags") == [(len(ids),)]
    load([event(0, id=number, event_name="old", **more) for number in before])
    assert rows("SELECT count(*) FROM events_sample.events") == [(len(ids),)]


def test_keys_of_two_types_in_the_first_load_are_all_loaded(rows):
    ids = [*range(250), *(f"evt_{n}" for n in range(250)), BIG, "17"]
    _, loaded, _, quarantined = load([event(0, id=one) for one in ids])
    assert (loaded, quarantined) == (501, 0)
    assert rows("SELECT count(*), count(DISTINCT id) FROM events_sample.events") == [(501, 501)]
    assert rows("SELECT count(*) FROM events_sample.scan_receipts") == [(1,)]
