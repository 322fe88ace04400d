"""Pages that are fetched before they are asked for are the same pages, in the same order."""

import itertools
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events_assets.sample_api import Answer
from events_assets_tests.conftest import RESOURCE, event, failure
from events_assets_tests.simulation import Simulation, ids

pytestmark = pytest.mark.slow  # each loads several times

RECEIPT = "verdict, reason, rows_received, rows_loaded, repeats, distinct_ids, step_backs, paging"


@pytest.fixture
def ahead(monkeypatch):
    """Switches read-ahead on; tests read one page after another otherwise."""

    def ahead(count):
        monkeypatch.setenv("SOURCES__EVENTS__SCAN__READ_AHEAD", str(count))

    ahead(4)
    return ahead


class Crowd:
    """Answers a request only when so many others are there, or no more will come."""

    def __init__(self, size):
        self.size, self.here, self.most = size, 0, 0
        self.lock = threading.Condition()

    def __call__(self, number, _path):
        with self.lock:
            self.here += 1
            self.most = max(self.most, self.here)
            self.lock.notify_all()
            if number > 1:
                self.lock.wait_for(lambda: self.most >= self.size, timeout=20)
            self.here -= 1


def test_several_requests_are_under_way_and_no_more_than_allowed(serve, run, rows, ahead):
    api = serve([event(number) for number in range(1500)])
    api.intercept = crowd = Crowd(5)
    assert run().success
    assert crowd.most == 5
    assert rows("SELECT count(*) FROM events") == [(1500,)]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 199, 200, 1200])
def test_a_total_that_is_known_costs_no_further_request(count):
    def page(query):
        asked.append((int(query["offset"]), int(query["limit"])))
        rows = ids(range(count)[asked[-1][0] :][: asked[-1][1]])
        return {"data": rows, "total": count}

    requests = []
    for threads in (0, 4):
        asked = []
        paginator = {"type": "offset", "limit": 100}
        rows, _ = Simulation(page, paginator, total="total", threads=threads).scan()
        assert [*rows] == [*range(count)]
        requests.append(sorted(asked))
    assert requests[0] == requests[1]


def test_beyond_the_last_page_no_more_than_read_ahead_is_asked(serve, run, rows, ahead):
    api = serve([event(number) for number in range(1000)])
    api.intercept = lambda number, path: Answer(
        200, {"data": api.events[(start := offset(path)) : start + 100]}
    )
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(1000,)]
    assert sum(offset(path) >= 1000 for path in api.paths) <= 2 * (4 + 1)


def offset(path):
    return int(path.split("offset=")[1].split("&")[0])


def test_a_failing_page_that_is_never_asked_for_is_no_failure(serve, run, rows, ahead):
    api = serve([event(number) for number in range(1000)])

    def answer(number, path):
        start = offset(path)
        if start > 1000:
            return Answer(400, {"error": "too far"})
        return Answer(200, {"data": api.events[start : start + 100]})

    api.intercept = answer
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(1000,)]


def test_a_failing_page_that_is_asked_for_fails_the_run(serve, run, ahead):
    api = serve([event(number) for number in range(1000)])
    api.intercept = lambda number, path: Answer(400, {}) if offset(path) == 594 else None
    assert "400 Bad Request" in failure(run())


def test_a_refusal_pauses_all(serve, run, rows, ahead, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__MAX_RETRIES", "1")
    api = serve([event(number) for number in range(1500)])
    after = []

    def answer(number, path):
        refuses = not after and offset(path) == 297
        if refuses or after:
            after.append(time.monotonic())
        return Answer(429, {}, {"Retry-After": "0.5"}) if refuses else None

    api.intercept = answer
    assert run().success
    assert rows("SELECT count(*), max(retries) FROM events, scan_receipts") == [(1500, 1)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(after)]
    assert max(gaps) > 0.3 and len(after) > 10


def test_a_scan_that_fails_leaves_no_thread_behind(serve, run, ahead):
    api = serve([event(number) for number in range(3000)])
    api.intercept = lambda number, path: Answer(500, {}) if offset(path) > 500 else None
    assert "500 Internal Server Error" in failure(run())
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]


def test_page_numbers_are_read_ahead_up_to_the_last(serve, run, rows, configure, ahead):
    configure(
        f"""
[sources.events.client]
auth = {{ type = "api_key", name = "api_key", location = "query" }}
{RESOURCE}
paginator = {{ type = "page_number", base_page = 1, total_path = "pages" }}
"""
    )
    api = serve([event(number) for number in range(95)])

    def page(number, path):
        asked = int(path.split("page=")[1].split("&")[0])
        return Answer(200, {"data": api.events[asked * 10 - 10 : asked * 10], "pages": 10})

    api.intercept = page
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(95,)]
    assert len(api.paths) == 2 * 10


@settings(max_examples=100)
@given(
    count=st.integers(0, 700),
    caps=st.tuples(st.integers(2, 100), st.integers(20, 100), st.integers(0, 600)),
    total=st.booleans(),
    number=st.booleans(),
)
def test_what_is_read_ahead_is_what_one_request_after_another_gives(count, caps, total, number):
    def page(query):
        if number:
            start, size = 50 * int(query["page"]), 50
        else:
            start = int(query["offset"])
            size = caps[0] if start < caps[2] else caps[1]
        return {"data": ids(range(count)[start : start + size])} | (
            {"rows": count} if total else {}
        )

    paginator = {"type": "page_number"} if number else {"type": "offset", "limit": 100}
    found = []
    for threads in (0, 4):
        rows, receipt = Simulation(page, paginator, total="rows", threads=threads).scan()
        told = receipt.row()
        found.append(([*rows], {name: told[name] for name in RECEIPT.split(", ")}))
    assert found[0] == found[1]
    assert found[0][0] == list(range(count))
