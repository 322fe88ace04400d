"""What a receipt claims: each proof alone, what it costs, and what is none."""

import base64
from http import HTTPStatus

import pytest

from events_assets.errors import ApiError, EndlessScanError
from events_assets_tests.simulation import Simulation, ids

OFFSETS = {"type": "offset", "limit": 10}
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}


class Api:
    """Ids behind offsets; `changes` are made before the requests of their numbers."""

    def __init__(self, numbers, changes=None, counts=True):
        self.ids, self.changes, self.counts, self.requests = list(numbers), changes or {}, counts, 0

    def __call__(self, query):
        self.requests += 1
        self.changes.get(self.requests, lambda ids: None)(self.ids)
        page = ids(self.ids[int(query["offset"]) :][:10])
        return {"data": page} | ({"total": len(self.ids)} if self.counts else {})


def scan(api, paginator=OFFSETS, **more):
    return Simulation(api, paginator, **{"total": "total"} | more).scan()


@pytest.mark.parametrize(
    ("count", "requests", "proof"),
    [(5, 2, "one answer"), (10, 2, "one answer"), (11, 2, None), (100, 12, None), (105, 12, None)],
)
def test_a_quiet_list_in_order_is_read_once(count, requests, proof):
    _, receipt = scan(Api(range(count)))
    assert receipt.proof == proof or receipt.proof == "touching pages in a fixed order"
    assert (receipt.verdict, receipt.scans, receipt.requests) == ("complete", 1, requests)


def test_a_quiet_list_in_no_order_is_read_twice():
    _, receipt = scan(Api([3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 97, 93, 23, 84]))
    assert (receipt.proof, receipt.scans) == ("two equal passes", 2)


def test_ids_of_thousands_of_digits_are_in_order():
    long = [f"{number}{'0' * 5000}" for number in range(5, 35)]
    rows, receipt = Simulation(
        lambda query: {"data": ids(long[int(query["offset"]) :][:10]), "total": 30},
        OFFSETS,
        total="total",
    ).scan()
    assert len(rows) == 30 and (receipt.verdict, receipt.scans) == ("complete", 1)


def test_a_row_that_moves_where_another_went_is_not_lost():
    def move(ids):  # no page shifts, and the rows that come are in order
        ids.remove(90)
        ids.insert(5, 90)
        ids.remove(12)

    rows, receipt = scan(Api(range(100), {5: move}))
    assert 90 in rows and receipt.verdict == "complete" and receipt.scans > 1


def newest(ids):
    ids.insert(0, ids[0] + 1)


def test_an_order_that_is_named_needs_no_second_pass():
    changes = dict.fromkeys((3, 7), newest)
    _, receipt = scan(Api(range(100, 0, -1), changes))
    assert (receipt.proof, receipt.scans) == ("touching pages in a fixed order", 2)
    _, receipt = scan(Api(range(100, 0, -1), changes), order="id")
    assert (receipt.proof, receipt.scans) == ("touching pages in a fixed order", 1)


@pytest.mark.parametrize("passes", [1, 2, 3, 5])
def test_a_list_that_moves_all_the_time_is_read_as_often_as_allowed_and_never_torn(passes):
    def shuffle(ids):
        ids.insert(3, ids.pop())

    api = Api([7, *range(100)], dict.fromkeys(range(500), shuffle))
    _, receipt = Simulation(api, OFFSETS, overlap=0, total="total").scan(passes)
    assert (receipt.verdict, receipt.scans) == ("unproven", passes)


def test_the_last_version_of_a_row_is_the_one_that_counts():
    versions = iter(range(1000))

    def answer(query):
        version = next(versions)
        first = 10 * int(query["page"])
        return {"data": [{"id": n, "version": version} for n in range(25)[first : first + 10]]}

    rows, receipt = scan(answer, {"type": "page_number", "base_page": 0})
    assert receipt.verdict == "unproven"
    assert [rows[n]["version"] for n in (0, 10, 20)] == [8, 9, 10]


def test_hundreds_of_empty_pages_with_fresh_cursors_are_no_repetition():
    def answer(query):
        page = int(query.get("cursor", 0))
        rows = ids([page]) if page % 400 == 0 else []
        return {"data": rows, "next": str(page + 1) if page < 1200 else None}

    rows, receipt = scan(answer, CURSOR)
    assert [*rows] == [0, 400, 800, 1200] and receipt.verdict == "complete"


def test_empty_pages_that_never_end_do_end_the_scan():
    with pytest.raises(EndlessScanError, match="1,000 pages in a row are empty"):
        scan(lambda query: {"data": [], "next": str(int(query.get("cursor", 0)) + 1)}, CURSOR)


def test_pages_without_end_are_bounded_by_the_total():
    def answer(query):
        return {"data": ids(range(start := int(query["offset"]), start + 10)), "total": 50}

    with pytest.raises(EndlessScanError, match="max_pages_factor in"):
        scan(answer)


def test_a_cursor_that_expires_starts_the_pass_anew():
    expired, requests = {3}, iter(range(1, 100))

    def answer(query):
        if next(requests) in expired:
            return None
        start = int(query.get("cursor", "t0")[1:])
        page = range(45)[start : start + 10]
        return {"data": ids(page), "next": f"t{start + 10}" if start < 40 else None}

    rows, receipt = scan(answer, CURSOR)
    assert [*rows] == [*range(45)] and receipt.verdict == "complete"
    expired.update(range(100))
    with pytest.raises(ApiError):
        scan(answer, CURSOR)


@pytest.mark.parametrize("status", [400, 404, 410, 416, 422])
def test_a_page_that_is_refused_after_the_last_one_is_the_end(status):
    def answer(query):
        page = ids(range(20)[10 * int(query["page"]) :][:10])
        return {"data": page, "total": 20} if page else HTTPStatus(status)

    rows, receipt = scan(answer, {"type": "page_number", "base_page": 0})
    assert len(rows) == 20 and receipt.proof == "two equal passes"


@pytest.mark.parametrize("status", [400, 422, 403])
def test_a_page_that_is_refused_before_the_last_one_is_no_end(status):
    def answer(query):
        page = ids(range(40)[10 * int(query["page"]) :][:10])
        return {"data": page, "total": 40} if query["page"] < "2" else HTTPStatus(status)

    with pytest.raises(ApiError):
        scan(answer, {"type": "page_number", "base_page": 0})


def test_a_row_that_moves_is_not_lost_though_all_rows_seem_to_have_come():
    def replace(ids):
        ids.remove(3)
        ids.append(200)

    def move(ids):
        ids.insert(5, ids.pop(ids.index(90)))

    rows, receipt = scan(Api(range(100), {4: replace, 8: move}))
    assert 90 in rows or receipt.verdict != "complete"


def test_a_purge_of_the_rows_read_is_no_repetition_of_pages():
    api = Api(range(600), {40: lambda ids: ids.__delitem__(slice(0, 250))})
    rows, receipt = scan(api, order="id")
    assert set(range(250, 600)) <= rows.keys()
    assert (receipt.verdict, receipt.scans) == ("complete", 1)


def broken(answer, number, document):
    """The API, with another answer to the request of a number, or of several."""
    numbers, requests = {number} if isinstance(number, int) else set(number), iter(range(1, 10**6))
    return lambda query: document if next(requests) in numbers else answer(query)


def test_the_total_of_a_short_page_is_no_whole_list():
    def answer(query):
        page = ids(range(int(query["offset"]), 50))[:9]
        return {"data": page, "total": len(page)}

    rows, receipt = Simulation(broken(answer, 2, {"data": []}), OFFSETS, 0, total="total").scan()
    assert len(rows) == 50 and receipt.proof == "two equal passes"


@pytest.mark.parametrize("empty", [[1], [1, 2]])
def test_an_empty_answer_is_asked_for_again(empty):
    api = broken(Api(range(5)), empty, {"data": [], "total": 0})
    rows, receipt = scan(api)
    assert len(rows) == 5 and receipt.verdict == "complete"


def test_empty_passes_after_one_with_rows_prove_nothing():
    answer = Api([3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 97], counts=False)
    rows, receipt = scan(broken(answer, range(4, 20), {"data": []}))
    assert rows and receipt.verdict == "unproven"


def keyset(form=lambda page, more: {"next": str(page[-1]) if more else None}, first=0, count=45):
    """Ids, pages of ten after the cursor."""

    def answer(query):
        left = [n for n in range(first, first + count) if n > int(query.get("cursor", -1))]
        return {"data": ids(left[:10])} | form(left[:10], len(left) > 10)

    return answer


@pytest.mark.parametrize(
    "document", [{"data": []}, {"data": [], "next": None}, {"data": ids(range(20, 30))}]
)
def test_a_chain_that_breaks_off_is_not_complete(document):
    rows, receipt = scan(broken(keyset(), 3, document), CURSOR)
    assert len(rows) == 45 and receipt.proof == "named pages"


@pytest.mark.parametrize(
    ("first", "count", "param", "proof"),
    [
        (0, 45, "cursor", "named pages"),
        (1, 45, "after", "named pages"),
        (1, 45, "cursor", "two equal passes"),  # a key, or the number of rows
        (0, 45, "offset", "two equal passes"),
        (0, 45, "page", "two equal passes"),
        (0, 6, "cursor", "one answer"),
    ],
)
def test_a_cursor_that_may_be_a_position_is_no_place(first, count, param, proof):
    answer = keyset(first=first, count=count)
    api = lambda query: answer({"cursor": query[param]} if param in query else {})  # noqa: E731
    assert scan(api, CURSOR | {"cursor_param": param})[1].proof == proof


def test_an_offset_in_base64_is_no_place():
    def answer(query):
        start = int(base64.b64decode(query.get("cursor", "")).decode().partition(":")[2] or 0)
        page, token = ids(range(1, 46))[start : start + 10], f"offset:{start + 10}".encode()
        return {"data": page, "next": base64.b64encode(token).decode() if start < 35 else None}

    assert scan(answer, CURSOR)[1].proof == "two equal passes"


def test_a_few_rows_in_order_are_no_order():
    def pair(query):
        left = [n for n in (3, 5, 8, 12, 14) if n > int(query.get("cursor", 0))]
        return {"data": ids(left[:2]), "next": left[1] if len(left) > 2 else None}

    assert scan(pair, CURSOR)[1].proof == "two equal passes"


def test_the_total_of_a_page_does_not_end_a_list_that_is_refused():
    answer = keyset(lambda page, more: {"next": page and page[-1], "total": len(page)})
    rows, receipt = scan(broken(answer, 2, HTTPStatus.NOT_FOUND), CURSOR)
    assert len(rows) == 45 or receipt.verdict != "complete"


def test_a_number_of_pages_that_falls_does_not_end_the_list():
    def answer(query):
        return {"data": ids(range(45)[10 * int(query["page"]) :][:10]), "pages": 5}

    short = answer({"page": 1}) | {"pages": 2}
    paginator = {"type": "page_number", "base_page": 0, "total_path": "pages"}
    _, receipt = Simulation(broken(answer, 2, short), paginator).scan()
    assert (receipt.proof, receipt.scans) == ("two equal passes", 2)


def by_request(query):
    """Equal rows, ordered otherwise on each page: a list of no moment."""
    order = sorted(range(60), key=lambda one: hash((one * 7919, query["offset"])))
    start = int(query["offset"])
    return {"data": ids(order[start : start + 10])}


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_equal_rows_that_change_places_with_each_page_are_never_complete(overlap):
    try:
        rows, receipt = scan(by_request, overlap=overlap, total=None)
    except EndlessScanError:
        return
    assert len(rows) == 60 or receipt.verdict != "complete"


def test_a_pass_that_steps_back_for_ever_without_getting_on_ends():
    def answer(query):  # the second and third page never touch
        start = int(query["offset"])
        page = range(start, start + 10) if start < 18 else range(100 * start, 100 * start + 10)
        return {"data": ids(page)}

    with pytest.raises(EndlessScanError, match="pages share no row"):
        scan(answer, total=None)


@pytest.mark.parametrize("counts", [False, True])
def test_a_row_that_moves_where_a_key_was_followed_is_not_lost(counts):
    """Rows come by the time of their last change, newest first, which the ids seem to follow."""
    order, requests = [*range(60, 0, -1)], iter(range(1, 1000))

    def answer(query):
        if next(requests) == 3:
            order.remove(5)
            order.insert(0, 5)
        start = order.index(int(query["cursor"])) + 1 if "cursor" in query else 0
        page = order[start : start + 10]
        following = page[-1] if start + 10 < len(order) else None
        return {"data": ids(page), "next": following} | ({"total": 60} if counts else {})

    rows, receipt = scan(answer, CURSOR)
    assert 5 in rows or receipt.verdict != "complete"


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_named_page_that_is_refused_after_a_short_one_is_no_end(status):
    def answer(query):
        start = int(query.get("cursor", 0))
        if start == 30:
            return HTTPStatus(status)
        size = 7 if start == 20 else 10  # a filter behind the pages
        return {"data": ids(range(60)[start : start + size]), "next": start + 10}

    try:
        rows, receipt = scan(answer, CURSOR)
    except ApiError:
        return
    assert len(rows) == 27 and receipt.verdict == "unproven"


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_api_that_refuses_all_but_multiples_of_the_limit_is_read_with_these(status):
    def answer(query):
        start = int(query["offset"])
        if start % 10:
            return HTTPStatus(status)
        return {"data": ids(range(60)[start : start + 10]), "total": 10}  # of the page

    rows, receipt = scan(answer)
    assert len(rows) == 60 and receipt.proof == "two equal passes"


@pytest.mark.parametrize("total", [10, None])
def test_an_api_that_lets_nobody_page_any_further_is_not_complete(total):
    def answer(query):
        start = int(query["offset"])
        page = ids(range(60)[start : start + 10])
        return {"data": page, "total": total and len(page)} if start < 40 else HTTPStatus(404)

    _, receipt = scan(answer)
    assert receipt.verdict == "unproven"


@pytest.mark.parametrize("paginator", [CURSOR, CURSOR | {"has_more_path": "more"}])
def test_a_short_outage_in_a_chain_is_no_end(paginator):
    requests = iter(range(1, 1000))

    def answer(query):
        number, start = next(requests), int(query.get("cursor", 0))
        page = [] if number in (3, 4) else range(60)[start : start + 10]
        is_last = not page or start == 50
        return {"data": ids(page), "next": None if is_last else page[-1] + 1, "more": not is_last}

    rows, receipt = scan(answer, paginator)
    assert len(rows) == 60 or receipt.verdict != "complete"
