"""The rate limit of an API is kept before it is hit, and heeded when it is."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets.http.rate_limit import Budget, seconds_until
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure

NOW = 1_800_000_000.0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(
    limit=st.integers(1, 5),
    period=st.floats(0.1, 100),
    gaps=st.lists(st.floats(0, 50), min_size=1, max_size=60),
    pauses=st.dictionaries(st.integers(0, 59), st.floats(0, 50)),
)
def test_no_period_ever_holds_more_requests_than_allowed(limit, period, gaps, pauses):
    clock = Clock()
    budget = Budget(limit, period, clock)
    sent, not_before = [], 0.0
    for number, gap in enumerate(gaps):
        clock.now += gap
        if number in pauses:
            budget.pause(pauses[number])
            not_before = max(not_before, clock.now + pauses[number])
        clock.now += budget.reserve()
        sent.append(clock.now)
        assert clock.now >= not_before - 1e-6
    for first, last in zip(sent, sent[limit:], strict=False):
        assert last - first >= period - 1e-6


def test_without_a_limit_nothing_waits():
    budget = Budget()
    assert [budget.reserve() for _ in range(1000)] == [0.0] * 1000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        (" 7 ", 7),
        (str(int(NOW) + 30), 30),
        (str(int(NOW + 30) * 1000), 30),
        (formatdate(NOW + 30, usegmt=True), 30),
        ("2027-01-15T08:00:30Z", 30),
        ("2027-01-15T08:00:30", 30),
        (str(int(NOW) - 30), 0),
        ("soon", 0),
        ("", 0),
        ("-3", 0),
        ("nan", 0),
        ("inf", 0),
    ],
)
def test_each_form_of_a_time_to_wait_is_read(value, seconds):
    assert seconds_until(value, NOW) == pytest.approx(seconds)


def test_a_budget_keeps_the_api_from_refusing(serve, run, rows, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__MAX_REQUESTS", "3")
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__PERIOD", "0.5")
    api = serve([event(number) for number in range(600)])
    arrived = []

    def limited(number, path):
        arrived.append(time.monotonic())
        return Answer(429, {}) if number > 3 and arrived[-1] - arrived[-4] < 0.4 else None

    api.intercept = limited
    assert run().success
    assert rows("SELECT retries, seconds_waited > 0 FROM scan_receipts") == [(0, True)]


def test_the_last_request_that_is_left_makes_the_next_one_wait(serve, run, rows):
    api = serve([event(number) for number in range(150)])
    arrived = []

    def spent(number, path):
        arrived.append(time.monotonic())
        if number == 1:
            left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0.3"}
            return Answer(200, {"data": api.events[:100], "total": 150}, left)
        return None

    api.intercept = spent
    assert run().success
    assert arrived[1] - arrived[0] >= 0.3
    assert rows("SELECT retries FROM scan_receipts") == [(0,)]


@pytest.mark.parametrize("header", ["Retry-After", "X-Retry-After", "X-RateLimit-Reset"])
def test_a_refusal_is_heeded_whatever_the_header_is_called(serve, run, rows, header):
    api = serve([event(number) for number in range(5)])
    arrived = []

    def refuse(number, path):
        arrived.append(time.monotonic())
        return Answer(429, {}, {header: "0.3"}) if number == 1 else None

    api.intercept = refuse
    assert run().success
    assert arrived[1] - arrived[0] >= 0.3


def test_when_a_limit_is_reset_says_nothing_about_other_failures(serve, run):
    api = serve([event(1)])
    api.intercept = lambda number, path: (
        Answer(500, {}, {"X-RateLimit-Reset": "3600"}) if number == 1 else None
    )
    assert run().success


def test_a_limit_that_is_reset_tomorrow_ends_the_run_at_once(serve, run):
    api = serve([event(1)])
    api.intercept = lambda number, path: Answer(429, {}, {"X-RateLimit-Reset": "86400"})
    assert "asks to wait 86400 s" in failure(run())
    assert len(api.paths) == 1
