"""Walks along page numbers, cursors and links: what proves them, and how far they are lossless."""

import json

import pytest
import requests
from dlt.sources.rest_api.config_setup import create_paginator
from hypothesis import given, settings
from hypothesis import strategies as st

from events_assets.errors import EndlessScanError
from events_assets.paging.cursors import ChainScan, HeaderLinks
from events_assets.paging.page_numbers import PageNumberScan
from events_assets.paging.pages import Total, document_of
from events_assets.scan.receipt import COMPLETE, TORN, UNPROVEN, judge

URL = "http://127.0.0.1/v1/events"


def walk_through(walk, answer):
    """Walks as dlt's REST client does; returns the ids received and the verdict."""
    request = requests.Request("GET", URL, params={})
    walk.init_request(request)
    received = []
    while True:
        prepared = requests.Session().prepare_request(request)
        found = answer(prepared)
        response = requests.Response()
        response.url, response.request = prepared.url, prepared
        if found is None:
            assert walk.is_past_the_end(404)
            break
        document, headers = found if isinstance(found, tuple) else (found, {})
        response.headers.update(headers)
        response._content = json.dumps(document).encode()
        data = document if isinstance(document, list) else document["data"]
        document_of(response)
        received += data
        walk.update_state(response, data)
        walk.seen.update(data)
        walk.update_request(request)
        if not walk.has_next_page:
            break
        assert len(received) < 10_000
    verdict, reason = judge(len(set(received)), walk.evidence)
    return received, verdict, reason


def asked(request, name, default=None):
    query = requests.compat.urlsplit(request.url).query
    return dict(requests.compat.unquote_plus(p).split("=", 1) for p in query.split("&") if p).get(
        name, default
    )


def numbered(total=None, **config):
    return PageNumberScan(list, Total(total) if total else None, **{"base_page": 1, **config})


def test_a_header_may_hold_the_next_url_itself():
    def answer(request):
        page = int(asked(request, "token", 0))
        headers = {"Next-Page": f"{URL}?token={page + 1}"} if page < 4 else {}
        return {"data": [2 * page, 2 * page + 1]}, headers

    walk = ChainScan(list, paginator=HeaderLinks("Next-Page"))
    received, verdict, _ = walk_through(walk, answer)
    assert received == list(range(10)) and verdict == UNPROVEN  # the token is a position


def chain(total=None, has_more_path=None, **config):
    return ChainScan(list, Total(total) if total else None, create_paginator(config), has_more_path)


class Pages:
    """Ids behind page numbers from 1, or from 0."""

    def __init__(self, count, *, first=1, beyond=(), before=lambda api, number: None, **more):
        self.ids, self.first, self.beyond, self.more = list(range(count)), first, beyond, more
        self.before, self.requests = before, 0

    def __call__(self, request):
        self.requests += 1
        self.before(self, self.requests)
        number = int(asked(request, "page", self.first))
        page = self.ids[max(0, number - self.first) * 10 :][:10]
        if not page and self.beyond is None and number > self.first:
            return None
        return {"data": page} | {key: make(self) for key, make in self.more.items()}


ROWS = {"rows": lambda api: len(api.ids)}
PAGE_COUNT = {"total": lambda api: -(-len(api.ids) // 10)}


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 95])
@pytest.mark.parametrize("beyond", [(), None])
@pytest.mark.parametrize("more", [{}, ROWS, PAGE_COUNT, ROWS | PAGE_COUNT])
@pytest.mark.parametrize("configured", [{}, {"total_path": "total"}])
def test_page_numbers_lose_no_rows(count, beyond, more, configured):
    received, verdict, _ = walk_through(
        numbered("rows" if "rows" in more else None, **configured),
        Pages(count, beyond=beyond, **more),
    )
    assert received == list(range(count))
    assert verdict == (COMPLETE if "rows" in more else UNPROVEN)


@pytest.mark.parametrize("more", [{}, ROWS])
@pytest.mark.parametrize("count", [40, 45])
def test_an_api_that_gives_its_last_page_for_ever_has_an_end(count, more):
    def answer(request):
        number = min(int(asked(request, "page", 1)), -(-count // 10))
        return {"data": list(range(count))[10 * number - 10 :][:10]} | (
            {"rows": count} if more else {}
        )

    received, verdict, _ = walk_through(numbered("rows" if more else None), answer)
    assert set(received) == set(range(count)) and verdict == (COMPLETE if more else UNPROVEN)


@pytest.mark.parametrize("beyond", [(), None])
def test_a_total_where_dlt_looks_for_the_number_of_pages_may_count_rows(beyond):
    api = Pages(45, beyond=beyond, total=lambda api: len(api.ids))
    received, verdict, _ = walk_through(numbered(), api)
    assert received == list(range(45)) and verdict == COMPLETE


def test_page_0_and_page_1_may_be_the_same():
    api = Pages(45, **ROWS)
    received, verdict, _ = walk_through(numbered("rows", base_page=0), api)
    assert set(received) == set(range(45)) and verdict == COMPLETE


def test_a_first_page_that_is_left_out_is_told_by_the_total():
    received, verdict, _ = walk_through(numbered("rows"), Pages(45, first=0, **ROWS))
    assert len(set(received)) == 35 and verdict == TORN


@pytest.mark.parametrize(
    ("more", "moves", "verdict"),
    [
        (ROWS, (0, 0), TORN),
        (ROWS, (7, 0), UNPROVEN),  # the total only grows
        (ROWS, (0, 5), TORN),  # in the end the total is as before
        (ROWS, (7, -2), TORN),
        ({}, (0, 0), UNPROVEN),
    ],
)
def test_rows_that_slip_between_two_pages_are_never_called_complete(more, moves, verdict):
    def move(api, number):
        if number == 3:
            del api.ids[:5]
        if number in (3, 4):
            change = moves[number - 3]
            api.ids = [*api.ids, *range(100, 100 + change)][: min(change, 0) or None]

    walk = numbered("rows" if more else None)
    received, told, _ = walk_through(walk, Pages(45, before=move, **more))
    assert not set(range(45)) <= set(received)
    assert told == verdict


def test_pages_that_the_api_counts_but_does_not_give_are_torn():
    api = Pages(25, total=lambda api: 5)
    assert walk_through(numbered(total_path="total"), api)[1:] == (
        TORN,
        "the API counts 5 pages, but page 4 is empty",
    )


class Cursors:
    """Ids in order, each page after the last id of the one before; rows may come and go."""

    def __init__(self, count, form, moves=()):
        self.ids, self.form, self.moves, self.requests = list(range(count)), form, moves, 0

    def __call__(self, request):
        self.requests += 1
        for at, kind, place, rows in self.moves:
            if at == self.requests:
                index = int(place * len(self.ids))
                if kind == "remove":
                    del self.ids[index : index + rows]
                else:
                    after = self.ids[index - 1] if 0 < index <= len(self.ids) else -1
                    new = {after + (n + 1) / 100 for n in range(rows)}
                    self.ids = sorted({*self.ids, *new})
        after = asked(request, "after")
        left = [one for one in self.ids if after is None or one > float(after)]
        return self.form(left[:10], left[10:])


def null_at_the_end(page, left):
    return {"data": page, "next": page[-1] if left else None}


def absent_at_the_end(page, left):
    return {"data": page} | ({"next": page[-1]} if left else {})


def flag(page, left):
    return {"data": page, "has_more": bool(left)}


def link(page, left):
    return {"data": page, "next": f"{URL}?after={page[-1]}" if left else None}


def relative_link(page, left):
    return {"data": page, "next": f"?after={page[-1]}" if left else ""}


def link_header(page, left):
    other = f'<{URL}>; rel="first"'
    return page, {"Link": f'<{URL}?after={page[-1]}>; rel="next", {other}' if left else other}


def cursor_header(page, left):
    return page, {"Next": str(page[-1])} if left else {}


NEXT = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
LAST_ID = {"type": "cursor", "cursor_path": "data[-1]", "cursor_param": "after"}
CHAINS = [
    (NEXT, null_at_the_end),
    (NEXT, absent_at_the_end),
    (LAST_ID | {"has_more_path": "has_more"}, flag),
    (LAST_ID, lambda page, left: {"data": page}),
    ({"type": "json_link", "next_url_path": "next"}, link),
    ({"type": "json_link", "next_url_path": "next"}, relative_link),
    ({"type": "header_link"}, link_header),
    ({"type": "header_cursor", "cursor_key": "Next", "cursor_param": "after"}, cursor_header),
]


@pytest.mark.parametrize(("config", "form"), CHAINS)
@settings(max_examples=40, deadline=None)
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
    received, verdict, _ = walk_through(chain(**config), api)
    assert set(api.ids) & set(range(count)) <= set(received)
    assert verdict == COMPLETE or len(received) <= 10  # one page that does not say it is the last


@pytest.mark.parametrize(
    ("config", "form"),
    [
        (LAST_ID, lambda page, left: {"data": page}),
        (LAST_ID | {"has_more_path": "has_more"}, flag),
    ],
)
def test_the_id_0_at_the_end_of_a_page_is_not_the_end(config, form):
    api = Cursors(11, form)
    api.ids = [one - 9 for one in api.ids]  # the first page ends with 0
    received, verdict, _ = walk_through(chain(**config), api)
    assert received == api.ids and verdict == COMPLETE


def test_a_cursor_of_0_that_is_no_id_is_the_end():
    api = Cursors(25, lambda page, left: {"data": page, "next": page[-1] if left else 0})
    received, verdict, _ = walk_through(chain(**NEXT), api)
    assert received == list(range(25)) and verdict == COMPLETE


@pytest.mark.parametrize(
    ("config", "form", "verdict"),
    [
        (NEXT, null_at_the_end, COMPLETE),
        (NEXT, absent_at_the_end, UNPROVEN),  # a wrong cursor_path looks the same
        (NEXT, lambda page, left: {"data": page, "cursor": "x"}, UNPROVEN),
        ({"type": "json_link", "next_url_path": "next"}, link, COMPLETE),
        ({"type": "header_link"}, link_header, COMPLETE),
        ({"type": "header_cursor", "cursor_key": "Next"}, cursor_header, UNPROVEN),
        ({"type": "single_page"}, flag, UNPROVEN),
    ],
)
def test_a_single_page_proves_nothing_unless_it_says_that_it_is_the_last(config, form, verdict):
    assert walk_through(chain(**config), Cursors(5, form))[1] == verdict


def test_a_wrong_cursor_path_does_not_make_a_torn_scan_complete():
    wrong = NEXT | {"cursor_path": "cursor", "has_more_path": "has_more"}
    received, verdict, reason = walk_through(chain(**wrong), Cursors(45, flag))
    assert len(received) == 10 and verdict == TORN and "there is more after 10 rows" in reason


def test_a_total_outweighs_the_end_of_a_chain():
    api = Cursors(45, lambda page, left: null_at_the_end(page, left) | {"total": 50})
    assert walk_through(chain("total", **NEXT), api)[1] == TORN


@pytest.mark.parametrize("name", ["page", "offset"])
def test_a_link_that_names_a_position_proves_no_more_than_the_position(name):
    def answer(request):
        start = int(asked(request, name, "0")) * (10 if name == "page" else 1)
        following = start // 10 + 1 if name == "page" else start + 10
        more = start + 10 < 45
        return {
            "data": list(range(45))[start : start + 10],
            "next": f"{URL}?{name}={following}" if more else None,
        }

    received, verdict, _ = walk_through(chain(type="json_link", next_url_path="next"), answer)
    assert received == list(range(45)) and verdict == UNPROVEN


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("beyond", [(), None])
def test_page_numbers_that_dlt_detects_lose_no_page(first, beyond):
    pages = {"pages": lambda api: -(-len(api.ids) // 10)}
    received, _, _ = walk_through(
        chain(type="auto"), Pages(45, first=first, beyond=beyond, **pages)
    )
    assert set(received) == set(range(45))


@pytest.mark.parametrize(("form", "verdict"), [(link, COMPLETE), (link_header, COMPLETE)])
def test_links_that_dlt_detects_are_followed(form, verdict):
    received, told, _ = walk_through(chain(type="auto"), Cursors(45, form))
    assert received == list(range(45)) and told == verdict


def test_a_cursor_that_comes_back_ends_with_an_error():
    with pytest.raises(EndlessScanError, match="leads back"):
        walk_through(chain(**NEXT), lambda request: {"data": [1], "next": "again"})


def test_pages_without_anything_new_end_with_an_error():
    numbers = iter(range(10**6))
    with pytest.raises(EndlessScanError, match="brought no new row"):
        walk_through(chain(**NEXT), lambda request: {"data": [1], "next": f"c{next(numbers)}"})
