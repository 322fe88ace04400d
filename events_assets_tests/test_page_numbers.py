"""Pages by number: where they end, and that rows which slip between two are never overlooked."""

import pytest

from events_assets.scan.verdict import COMPLETE, TORN, UNPROVEN
from events_assets_tests.simulation import Simulation, ids

ROWS = {"rows": lambda api: len(api.ids)}
PAGE_COUNT = {"total": lambda api: -(-len(api.ids) // 10)}


class Pages:
    """Ids behind page numbers from 1, or from 0; beyond the last page is an empty one or a 404."""

    def __init__(self, count, *, first=1, beyond=(), before=lambda api, number: None, **more):
        self.ids, self.first, self.beyond, self.more = list(range(count)), first, beyond, more
        self.before, self.requests = before, 0

    def __call__(self, query):
        self.requests += 1
        self.before(self, self.requests)
        number = int(query.get("page", self.first))
        page = self.ids[max(0, number - self.first) * 10 :][:10]
        if not page and self.beyond is None and number > self.first:
            return None
        return {"data": ids(page)} | {key: make(self) for key, make in self.more.items()}


def read(api, total=None, **config):
    """As many passes as it takes: the ids received, the verdict and its reason."""
    paginator = {"type": "page_number", "base_page": 1, **config}
    rows, receipt = Simulation(api, paginator, total=total).scan()
    return [*rows], receipt.verdict, receipt.reason


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 95])
@pytest.mark.parametrize("beyond", [(), None])
@pytest.mark.parametrize("more", [{}, ROWS, PAGE_COUNT, ROWS | PAGE_COUNT])
@pytest.mark.parametrize("configured", [{}, {"total_path": "total"}])
def test_page_numbers_lose_no_rows(count, beyond, more, configured):
    api = Pages(count, beyond=beyond, **more)
    received, verdict, reason = read(api, "rows" if "rows" in more else None, **configured)
    assert received == list(range(count))
    assert verdict == COMPLETE or (beyond is None and "refuses (404)" in reason)


@pytest.mark.parametrize("more", [{}, ROWS])
@pytest.mark.parametrize("count", [40, 45])
def test_an_api_that_gives_its_last_page_for_ever_has_an_end(count, more):
    def answer(query):
        number = min(int(query["page"]), -(-count // 10))
        page = ids(list(range(count))[10 * number - 10 :][:10])
        return {"data": page} | ({"rows": count} if more else {})

    received, verdict, _ = read(answer, "rows" if more else None)
    assert set(received) == set(range(count)) and verdict == COMPLETE


@pytest.mark.parametrize("beyond", [(), None])
def test_a_total_where_dlt_looks_for_the_number_of_pages_may_count_rows(beyond):
    received, verdict, _ = read(Pages(45, beyond=beyond, total=lambda api: len(api.ids)))
    assert received == list(range(45)) and verdict == COMPLETE


def test_page_0_and_page_1_may_be_the_same():
    received, verdict, _ = read(Pages(45, **ROWS), "rows", base_page=0)
    assert set(received) == set(range(45)) and verdict == COMPLETE


def test_a_first_page_that_is_left_out_is_told_by_the_total():
    received, verdict, _ = read(Pages(45, first=0, **ROWS), "rows")
    assert len(set(received)) == 35 and verdict == TORN


@pytest.mark.parametrize("more", [ROWS, {}])
@pytest.mark.parametrize("moves", [(0, 0), (7, 0), (0, 5), (7, -2)])
def test_rows_that_slip_between_two_pages_come_with_the_next_pass(more, moves):
    def move(api, number):
        if number == 3:
            del api.ids[:5]
        if number in (3, 4):
            change = moves[number - 3]
            api.ids = [*api.ids, *range(100, 100 + change)][: min(change, 0) or None]

    api = Pages(45, before=move, **more)
    received, found, _ = read(api, "rows" if more else None)
    assert set(api.ids) <= set(received) and found == COMPLETE


def test_pages_that_the_api_counts_but_does_not_give_are_torn():
    assert read(Pages(25, total=lambda api: 5), total_path="total")[1:] == (
        TORN,
        "the API counts 5 pages, but page 4 is empty",
    )


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("beyond", [(), None])
def test_page_numbers_that_dlt_detects_lose_no_page(first, beyond):
    pages = {"pages": lambda api: -(-len(api.ids) // 10)}
    received, _ = Simulation(Pages(45, first=first, beyond=beyond, **pages), "auto").read()
    assert set(received) == set(range(45))


@pytest.mark.parametrize("maximum", [1, 2, 3])
def test_a_pass_that_is_cut_short_as_configured_is_no_proof(maximum):
    received, verdict, reason = read(Pages(45, **ROWS), "rows", maximum_page=maximum + 1)
    assert received == list(range(10 * maximum))
    assert verdict == UNPROVEN and "as configured" in reason
