"""Pages by offset touch, whatever the API does meanwhile: no row is lost, and every pass ends."""

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from events_assets.errors import EndlessScanError
from events_assets.scan.verdict import COMPLETE, TORN
from events_assets_tests.simulation import Simulation, ids


class Api:
    """A list of ids behind offset paging, whose answers and rows may be tampered with."""

    def __init__(self, rows, *, cap=100, total=True, grid=False):
        self.rows, self.cap, self.total, self.grid = list(rows), cap, total, grid
        self.requests = 0
        self.before = lambda number: None

    def __call__(self, query):
        document = self.answer(int(query["offset"]), int(query["limit"]))
        return document | {"data": ids(document["data"])}

    def answer(self, offset, limit):
        self.requests += 1
        self.before(self.requests)
        assert self.requests < 5000, "the scan does not end"
        if self.grid:
            offset -= offset % limit
        page = self.rows[offset : offset + min(limit, self.cap)]
        return {"data": page} | ({"total": len(self.rows)} if self.total else {})


def scan(api, limit=10, overlap=1):
    """As many passes as it takes: the ids received, the verdict, and the receipt."""
    rows, receipt = Simulation(
        api, {"type": "offset", "limit": limit}, overlap, total="total"
    ).scan()
    return [*rows], receipt.verdict, receipt


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("cap", [1, 2, 3, 5, 9, 10, 11])
@pytest.mark.parametrize("count", [0, 1, 2, 9, 10, 11, 19, 20, 21, 105])
def test_capped_pages_lose_no_rows(count, cap, total):
    received, verdict, _ = scan(Api(range(count), cap=cap, total=total))
    assert set(received) == set(range(count)) and verdict == COMPLETE


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("caps", [(10, 5), (5, 10), (10, 1), (1, 10), (7, 2)])
def test_a_cap_that_changes_during_the_scan_loses_no_rows(caps, total):
    api = Api(range(100), total=total)
    api.before = lambda number: setattr(api, "cap", caps[number > 3])
    received, _, _ = scan(api)
    assert set(received) == set(range(100))


@pytest.mark.parametrize("total", [True, False])
def test_rows_removed_during_the_scan_take_no_others_with_them(total):
    api = Api(range(105), total=total)
    api.before = lambda number: number == 4 and api.rows.__delitem__(slice(0, 25))
    received, verdict, receipt = scan(api)
    assert set(range(25, 105)) <= set(received)
    assert receipt.step_backs > 0 and verdict == COMPLETE


def test_plain_offsets_are_read_again_until_two_passes_are_equal():
    api = Api(range(105))
    api.before = lambda number: number == 4 and api.rows.__delitem__(slice(0, 5))
    received, verdict, receipt = scan(api, overlap=0)
    assert set(range(5, 105)) <= set(received)
    assert (verdict, receipt.proof, receipt.scans) == (COMPLETE, "two equal passes", 3)


CHANGES = st.lists(
    st.tuples(
        st.integers(1, 25),  # before which request
        st.sampled_from(["remove", "insert"]),
        st.floats(0, 1),  # where
        st.integers(1, 40),  # how many
    ),
    max_size=6,
)


def changing(count, cap, total, changes):
    """An API whose rows come and go, without ever moving among themselves."""
    api = Api(range(count), cap=cap, total=total)
    new = iter(range(10_000, 99_999))

    def before(number):
        for at, kind, where, rows in changes:
            if at == number:
                place = int(where * len(api.rows))
                if kind == "remove":
                    del api.rows[place : place + rows]
                else:
                    api.rows[place:place] = [next(new) for _ in range(rows)]

    api.before = before
    return api


def test_rows_that_push_the_last_page_on_do_not_end_the_pass():
    api = changing(
        49, 6, True, [(1, "remove", 0.0, 2), (2, "remove", 0.0, 4), (16, "insert", 0, 3)]
    )
    received, verdict, _ = scan(api, 6, 3)  # the page before comes again, though nothing is ignored
    assert 48 in received or verdict != COMPLETE


@settings(max_examples=400)
@given(
    count=st.integers(0, 120),
    sizes=st.integers(1, 3).flatmap(
        lambda overlap: st.tuples(
            st.just(overlap), st.integers(overlap + 1, 15), st.integers(overlap + 1, 15)
        )
    ),
    total=st.booleans(),
    changes=CHANGES,
)
def test_rows_that_were_there_all_along_are_received(count, sizes, total, changes):
    overlap, cap, limit = sizes
    api = changing(count, cap, total, changes)
    try:
        received, verdict, _ = scan(api, limit, overlap)
    except EndlessScanError:  # said, not lost
        reject()
    lost = set(api.rows) & set(range(count)) - set(received)
    assert not lost or verdict != COMPLETE


@settings(max_examples=200)
@given(
    count=st.integers(0, 60),
    cap=st.integers(1, 12),
    overlap=st.integers(0, 2),
    total=st.booleans(),
    changes=CHANGES,
)
def test_a_receipt_adds_up_and_no_row_is_given_twice(count, cap, overlap, total, changes):
    api = changing(count, cap, total, changes)
    try:
        rows, receipt = Simulation(api, {"type": "offset", "limit": 10}, overlap).scan()
    except EndlessScanError:
        reject()
    assert len(rows) == receipt.rows_loaded
    assert receipt.rows_received == receipt.rows_loaded + receipt.repeats
    assert receipt.requests == api.requests >= receipt.pages


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("count", [0, 5, 10, 15, 20, 95])
def test_an_api_that_takes_only_multiples_of_the_limit_is_recognised(count, total):
    received, verdict, receipt = scan(Api(range(count), grid=True, total=total))
    assert set(received) == set(range(count)) and verdict == COMPLETE
    assert receipt.paging == ("plain" if count > 10 else receipt.paging)


def test_a_grid_of_offsets_wider_than_its_pages_is_torn():
    _, verdict, receipt = scan(Api(range(95), grid=True, cap=5, total=False))
    assert verdict == TORN and "set the paginator's limit to 5" in receipt.reason


def test_an_api_that_ignores_the_offset_ends_with_an_error():
    api = Api(range(50))
    api.answer = lambda offset, limit, rows=api.rows: {"data": rows[:limit], "total": 50}
    with pytest.raises(EndlessScanError, match="ignore the parameter 'offset'"):
        scan(api)


def test_an_api_without_paging_that_gives_all_it_counts_is_complete():
    api = Api(range(50))
    api.answer = lambda offset, limit, rows=api.rows: {"data": rows, "total": 50}
    received, verdict, _ = scan(api, limit=100)
    assert set(received) == set(range(50)) and verdict == COMPLETE


def test_an_api_that_clamps_the_offset_to_its_last_page_ends():
    api = Api(range(50), total=False)
    api.answer = lambda offset, limit: {"data": api.rows[min(offset, 40) :][:limit]}
    with pytest.raises(EndlessScanError):
        scan(api)


def test_an_api_that_goes_round_in_circles_ends_with_an_error():
    api = Api(range(50), total=False)
    api.answer = lambda offset, limit: {"data": [(offset + n) % 50 for n in range(limit)]}
    with pytest.raises(EndlessScanError, match="brought no new row"):
        scan(api)


def test_an_api_without_a_fixed_order_ends_with_an_error():
    api = Api(range(50), total=False)
    numbers = iter(range(0, 10**9, 10))
    api.answer = lambda offset, limit: {"data": list(range(start := next(numbers), start + limit))}
    with pytest.raises(EndlessScanError, match="another order each time"):
        scan(api)


def test_an_empty_page_that_breaks_a_promise_is_asked_for_again():
    api = Api(range(50))
    whole = api.answer
    empty = {3, 4}
    api.answer = lambda offset, limit: (
        {**whole(offset, limit), "data": []} if api.requests + 1 in empty else whole(offset, limit)
    )
    received, verdict, _ = scan(api)
    assert set(received) == set(range(50)) and verdict == COMPLETE


def test_an_empty_page_that_lasts_is_torn():
    api = Api(range(50))
    whole = api.answer
    api.answer = lambda offset, limit: (
        {"data": [], "total": 50} if offset >= 20 else whole(offset, limit)
    )
    _, verdict, receipt = scan(api)
    assert verdict == TORN and "gives none from offset" in receipt.reason


def test_rows_that_come_when_the_end_was_seen_already_were_not_seen_to_touch():
    api = Api(range(20), total=False)
    # The fourth page is nothing but the overlap, the fifth was to be empty.
    api.before = lambda number: number == 5 and api.rows.extend(range(100, 105))
    received, verdict, receipt = scan(api)
    assert set(received) == set(api.rows) and receipt.scans > 1 and verdict == COMPLETE


@pytest.mark.parametrize("total", [None, "50", " 50 ", 50.0])
def test_any_form_of_total_will_do(total):
    api = Api(range(50))
    whole = api.answer
    api.answer = lambda offset, limit: whole(offset, limit) | {"total": total}
    received, verdict, _ = scan(api)
    assert set(received) == set(range(50)) and verdict == COMPLETE


@pytest.mark.parametrize("total", ["many", True, [], -1, float("nan")])
def test_a_total_of_no_use_is_none(total):
    api = Api(range(50))
    whole = api.answer
    api.answer = lambda offset, limit: whole(offset, limit) | {"total": total}
    received, verdict, receipt = scan(api)
    assert set(received) == set(range(50)) and verdict == COMPLETE and receipt.scans == 2


@pytest.mark.parametrize("total", [10, 20, 45, 49])
def test_a_total_that_is_too_low_loses_no_rows(total):
    api = Api(range(50))
    whole = api.answer
    api.answer = lambda offset, limit: whole(offset, limit) | {"total": total}
    received, verdict, receipt = scan(api)
    assert set(received) == set(range(50)) and verdict == COMPLETE and receipt.scans == 2
