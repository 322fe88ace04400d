"""Cursors and links are followed to the end that the API names, which proves a pass or does not."""

from functools import reduce

import pytest
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api.config_setup import PAGINATOR_MAP
from hypothesis import given, settings
from hypothesis import strategies as st

from events_assets.errors import EndlessScanError
from events_assets.scan.verdict import COMPLETE, TORN, UNPROVEN
from events_assets_tests.simulation import URL, Simulation, ids


def read(paginator, api, rows_at="data", total=None):
    """As many passes as it takes: the ids received, the verdict, and its proof or its reason."""
    rows, receipt = Simulation(api, paginator, rows_at=rows_at, total=total).scan()
    return [*rows], receipt.verdict, receipt.proof or receipt.reason


class Cursors:
    """Ids in order, each page after the last id of the one before; rows may come and go."""

    def __init__(self, count, form, moves=()):
        self.ids, self.form, self.moves = [100 * number for number in range(count)], form, moves
        self.requests = 0

    def __call__(self, query):
        self.requests += 1
        for at, kind, place, rows in self.moves:
            if at == self.requests:
                index = int(place * len(self.ids))
                if kind == "remove":
                    del self.ids[index : index + rows]
                else:
                    after = self.ids[index - 1] if 0 < index <= len(self.ids) else -100
                    self.ids = sorted({*self.ids, *(after + n + 1 for n in range(rows))})
        after = query.get("after")
        left = [one for one in self.ids if after is None or one > int(after)]
        return self.form(left[:10], left[10:])


def null_at_the_end(page, left):
    return {"data": ids(page), "next": page[-1] if left else None}


def absent_at_the_end(page, left):
    return {"data": ids(page)} | ({"next": page[-1]} if left else {})


def flag(page, left):
    return {"data": ids(page), "has_more": bool(left)}


def nothing(page, left):
    return {"data": ids(page)}


def link(page, left):
    return {"data": ids(page), "next": f"{URL}?after={page[-1]}" if left else None}


def relative_link(page, left):
    return {"data": ids(page), "next": f"?after={page[-1]}" if left else ""}


def link_header(page, left):
    other = f'<{URL}>; rel="first"'
    here = f'<{URL}?after={page[-1]}>; rel="next", {other}' if left else other
    return {"data": ids(page)}, {"Link": here}


def cursor_header(page, left):
    return {"data": ids(page)}, {"Next": str(page[-1])} if left else {}


NEXT = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
LAST_ID = {"type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "after"}
JSON_LINK = {"type": "json_link", "next_url_path": "next"}
CHAINS = [
    (NEXT, null_at_the_end),
    (NEXT, absent_at_the_end),
    (LAST_ID | {"has_more_path": "has_more"}, flag),
    (LAST_ID, nothing),
    (JSON_LINK, link),
    (JSON_LINK, relative_link),
    ({"type": "header_link"}, link_header),
    ({"type": "header_cursor", "cursor_key": "Next", "cursor_param": "after"}, cursor_header),
]


@pytest.mark.parametrize(("config", "form"), CHAINS)
@settings(max_examples=40)
@given(
    count=st.integers(11, 120),
    moves=st.lists(
        st.tuples(
            st.integers(1, 12),
            st.sampled_from(["remove", "insert"]),
            st.floats(0, 1),
            st.integers(1, 30),
        ),
        max_size=4,
    ),
)
def test_chains_lose_no_row_that_was_there_all_along(config, form, count, moves):
    api = Cursors(count, form, moves)
    there = set(api.ids)
    received, verdict, _ = read(config, api)
    assert set(api.ids) & there <= set(received)
    assert verdict == COMPLETE or (verdict == UNPROVEN and moves)


@pytest.mark.parametrize(
    ("config", "form"), [(LAST_ID, nothing), (LAST_ID | {"has_more_path": "has_more"}, flag)]
)
def test_the_id_0_at_the_end_of_a_page_is_not_the_end(config, form):
    api = Cursors(11, form)
    api.ids = [one - 900 for one in api.ids]  # the first page ends with 0
    received, verdict, _ = read(config, api)
    assert received == api.ids and verdict == COMPLETE


def test_a_cursor_of_0_that_is_no_id_is_the_end():
    api = Cursors(25, lambda page, left: {"data": ids(page), "next": page[-1] if left else 0})
    received, verdict, _ = read(NEXT, api)
    assert received == api.ids and verdict == COMPLETE


@pytest.mark.parametrize(
    ("config", "form", "verdict"),
    [
        (NEXT, null_at_the_end, COMPLETE),
        (NEXT, absent_at_the_end, UNPROVEN),  # a wrong cursor_path looks the same
        (NEXT, lambda page, left: {"data": ids(page), "cursor": "x"}, UNPROVEN),
        (JSON_LINK, link, COMPLETE),
        ({"type": "header_link"}, link_header, COMPLETE),
        ({"type": "header_cursor", "cursor_key": "Next"}, cursor_header, UNPROVEN),
        ({"type": "single_page"}, flag, UNPROVEN),
    ],
)
def test_a_single_page_proves_nothing_unless_it_says_that_it_is_the_last(config, form, verdict):
    assert read(config, Cursors(5, form))[1] == verdict


@pytest.mark.parametrize(
    "beside",
    [
        {"pageInfo": {"hasNextPage": True}},
        {"exceededTransferLimit": True},
        {"has_more": True, "count": 5},
        {"next": f"{URL}?page=2"},
        {"links": {"next": {"href": "/events?page=2"}}},
        {"@odata.nextLink": f"{URL}?$skip=5"},
        {"meta": {"pagination": {"links": {"next_page_url": f"{URL}?page=2"}}}},
    ],
)
def test_a_single_page_that_promises_more_is_torn_and_not_merely_unproven(beside):
    api = Cursors(5, lambda page, _: {"data": ids(page)} | beside)
    _, verdict, reason = read({"type": "single_page"}, api)
    assert verdict == TORN and "there is more after these 5 rows" in reason


@pytest.mark.parametrize(
    ("beside", "verdict"),
    [
        ({"hasNextPage": False, "next": None, "next_event": {"starts": "/"}}, UNPROVEN),
        ({"next": f"{URL}?page=2", "total": 5}, COMPLETE),
        (reduce(lambda inner, _: {"below": inner}, range(5_000), {}), UNPROVEN),
    ],
)
def test_a_single_page_that_promises_nothing_is_not_torn(beside, verdict):
    api = Cursors(5, lambda page, _: {"data": ids(page)} | beside)
    assert read({"type": "single_page"}, api, total="total")[1] == verdict


def test_a_wrong_cursor_path_does_not_make_a_torn_scan_complete():
    wrong = NEXT | {"cursor_path": "cursor", "has_more_path": "has_more"}
    received, verdict, reason = read(wrong, Cursors(45, flag))
    assert len(received) == 10 and verdict == TORN and "there is more after 10 rows" in reason


def test_a_total_outweighs_the_end_of_a_chain():
    api = Cursors(45, lambda page, left: null_at_the_end(page, left) | {"total": 50})
    assert read(NEXT, api, total="total")[1] == TORN


@pytest.mark.parametrize("name", ["page", "offset"])
@pytest.mark.parametrize("form", ["link", "cursor"])
def test_a_link_that_names_a_position_proves_no_more_than_the_position(name, form):
    def answer(query):
        start = int(query.get(name, "0")) * (10 if name == "page" else 1)
        following = start // 10 + 1 if name == "page" else start + 10
        page = ids(list(range(100, 145))[start : start + 10])
        named = f"{URL}?{name}={following}" if form == "link" else following
        return {"data": page, "next": named if start + 10 < 45 else None}

    paginator = JSON_LINK if form == "link" else NEXT | {"cursor_param": name}
    received, verdict, proof = read(paginator, answer)
    assert received == list(range(100, 145)) and (verdict, proof) == (COMPLETE, "two equal passes")


def test_a_header_may_hold_the_next_url_itself():
    def answer(query):
        page = int(query.get("token", 0))
        headers = {"Next-Page": f"{URL}?token={page + 1}"} if page < 4 else {}
        return {"data": ids([2 * page, 2 * page + 1])}, headers

    paginator = {"type": "header_link", "links_next_key": "Next-Page"}
    received, verdict, proof = read(paginator, answer)
    assert received == list(range(10))  # the token is a position
    assert (verdict, proof) == (COMPLETE, "two equal passes")


@pytest.mark.parametrize("form", [link, link_header])
def test_links_that_dlt_detects_are_followed(form):
    api = Cursors(45, form)
    received, verdict, _ = read("auto", api)
    assert received == api.ids and verdict == COMPLETE


def test_a_cursor_that_comes_back_ends_with_an_error():
    with pytest.raises(EndlessScanError, match="leads back"):
        read(NEXT, lambda query: {"data": ids([1]), "next": "again"})


def test_pages_without_anything_new_end_with_an_error():
    numbers = iter(range(10**6))
    with pytest.raises(EndlessScanError, match="brought no new row"):
        read(NEXT, lambda query: {"data": ids([1]), "next": f"c{next(numbers)}"})


class Backwards(BasePaginator):
    """Asks for page 3, 2, 1 and ends: nothing that dlt or this project knows."""

    def init_request(self, request):
        self.left = 3
        request.params = {"page": self.left}

    def update_state(self, _response, _data=None):
        self.left -= 1
        self._has_next_page = self.left > 0

    def update_request(self, request):
        request.params["page"] = self.left


@pytest.mark.parametrize(("total", "verdict"), [("total", COMPLETE), (None, UNPROVEN)])
def test_a_paginator_registered_with_dlt_is_followed_as_it_is(monkeypatch, total, verdict):
    monkeypatch.setitem(PAGINATOR_MAP, "backwards", Backwards)

    def answer(query):
        start = 10 * int(query["page"]) - 10
        return {"data": ids(range(start, start + 10)), "total": 30}

    for paginator in ("backwards", {"type": "backwards"}, Backwards()):
        for _ in range(2):  # a pass begins anew
            received, found, _ = read(paginator, answer, total=total)
            assert set(received) == set(range(30)) and found == verdict
