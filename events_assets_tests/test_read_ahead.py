"""Pages that are fetched before they are asked for are the same pages, in the same order."""

import itertools
import threading
import time
from collections import defaultdict
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events_assets import configuration, warehouse
from events_assets.http.read_ahead import ReadAhead
from events_assets.sample_api import Answer, serving
from events_assets.source import events_source
from events_assets_tests.conftest import event, failure

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
def test_a_total_that_is_known_costs_no_further_request(serve, ahead, count):
    asked = []
    for read_ahead in (0, 4):
        ahead(read_ahead)
        api = serve([event(number) for number in range(count)])
        scanned(api)
        asked.append(sorted(api.paths))
    assert asked[0] == asked[1]


def test_beyond_the_last_page_no_more_than_read_ahead_is_asked(serve, run, rows, ahead):
    api = serve([event(number) for number in range(1000)])
    api.intercept = lambda number, path: Answer(
        200, {"data": api.events[(start := offset(path)) : start + 100]}
    )
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(1000,)]
    assert sum(offset(path) >= 1000 for path in api.paths) <= 4 + 1


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
        """
[sources.events.client]
auth = { type = "api_key", name = "api_key", location = "query" }

[sources.events.resource_defaults]
primary_key = "id"
write_disposition = "merge"

[[sources.events.resources]]
name = "events"
[sources.events.resources.endpoint]
path = "/v1/events"
data_selector = "data"
paginator = { type = "page_number", base_page = 1, total_path = "pages" }
"""
    )
    api = serve([event(number) for number in range(95)])

    def page(number, path):
        asked = int(path.split("page=")[1].split("&")[0])
        return Answer(200, {"data": api.events[asked * 10 - 10 : asked * 10], "pages": 10})

    api.intercept = page
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(95,)]
    assert len(api.paths) == 10


def scanned(api):
    """The ids and the receipt of one load."""
    with warehouse.loading() as pipeline:
        pipeline.drop()
        config = configuration.rest_api_config()
        config["client"]["base_url"] = api.base_url
        pipeline.run(events_source(config, api.key), loader_file_format="parquet")
        with warehouse.reading() as dataset:
            return (
                warehouse.select(dataset, "SELECT id FROM {events} ORDER BY id"),
                warehouse.select(
                    dataset,
                    f"SELECT {RECEIPT} FROM {{scan_receipts}} ORDER BY started_at DESC LIMIT 1",
                ),
            )


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    count=st.integers(0, 700),
    caps=st.tuples(st.integers(1, 100), st.integers(20, 100), st.integers(0, 600)),
    total=st.booleans(),
)
def test_what_is_read_ahead_is_what_one_request_after_another_gives(
    tmp_path_factory, monkeypatch, ahead, count, caps, total
):
    found = []
    for read_ahead in (0, 4):
        database = str(tmp_path_factory.mktemp("warehouse") / "events.duckdb")
        monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__DATABASE", database)
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", "http://127.0.0.1")
        ahead(read_ahead)
        with serving([event(number) for number in range(count)], key="key-of-the-tests") as api:

            def page(number, path, api=api):
                start = offset(path)
                cap = caps[0] if start < caps[2] else caps[1]
                told = {"total": count} if total else {}
                return Answer(200, {"data": api.events[start : start + cap], **told})

            api.intercept = page
            found.append(scanned(api))
    assert found[0] == found[1]
    assert [row[0] for row in found[0][0]] == list(range(count))


class Fetched:
    """Fetches ten times a number; waits at `barriers` for others, and fails for some."""

    def __init__(self, barriers=None, failing=()):
        self.barriers, self.failing = barriers or {}, failing
        self.calls, self.done = [], defaultdict(threading.Event)

    def __call__(self, number):
        self.calls.append(number)
        if number in self.barriers:
            self.barriers[number].wait(20)
        self.done[number].set()
        if number in self.failing:
            raise ValueError(number)
        return 10 * number


@pytest.fixture
def reading():
    with ExitStack() as stack:

        def reading(fetch, threads):
            ahead = ReadAhead(fetch, threads)
            stack.callback(ahead.close)
            return ahead

        yield reading


def test_what_comes_next_is_being_fetched_while_one_is_waited_for(reading):
    together = threading.Barrier(3)
    fetch = Fetched(dict.fromkeys([1, 2, 3], together))
    ahead = reading(fetch, 2)
    assert ahead.get(1, [2, 3, 4, 5]) == 10  # the barrier opens for all three at once only
    assert [ahead.get(2, [3]), ahead.get(3, [])] == [20, 30]
    assert sorted(fetch.calls) == [1, 2, 3]


def test_what_was_foreseen_wrongly_is_dropped_and_fetched_anew(reading):
    fetch = Fetched()
    ahead = reading(fetch, 2)
    ahead.get(1, [2])
    assert fetch.done[2].wait(20)
    assert [ahead.get(7, []), ahead.get(2, [])] == [70, 20]
    assert fetch.calls.count(2) == 2


def test_a_failure_is_that_of_its_key_only(reading):
    fetch = Fetched(failing={2, 3})
    ahead = reading(fetch, 2)
    assert ahead.get(1, [2, 3]) == 10
    assert fetch.done[2].wait(20) and fetch.done[3].wait(20)
    with pytest.raises(ValueError, match="2"):
        ahead.get(2, [4])
    assert ahead.get(4, []) == 40


def test_without_threads_whoever_asks_fetches(reading):
    threads = []
    ahead = reading(lambda _: threads.append(threading.current_thread()), 0)
    for number in range(3):
        ahead.get(number, [number + 1])
    assert threads == [threading.current_thread()] * 3


def test_closing_fetches_nothing_else_and_leaves_no_thread(reading):
    hold = threading.Barrier(3)
    fetch = Fetched(dict.fromkeys([2, 3], hold))
    ahead = reading(fetch, 2)
    ahead.get(1, [2, 3])  # both wait for each other and for us
    ahead.get(7, [4, 5])  # one thread is left for these
    assert fetch.done[4].wait(20)
    hold.wait(20)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]
