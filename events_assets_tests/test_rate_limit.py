"""The rate limit of an API is kept before it is hit, and heeded when it is."""

import logging
import time
from email.utils import formatdate

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from events_assets.errors import ApiError
from events_assets.http.rate_limit import RateLimit, seconds_until
from events_assets.http.redaction import Redaction
from events_assets.http.session import ApiSession
from events_assets.sample_api import Answer, serving
from events_assets.settings import HttpSettings
from events_assets_tests.conftest import event, load_configured

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
    rate_limit = RateLimit(limit, period, clock)
    sent, not_before = [], 0.0
    for number, gap in enumerate(gaps):
        clock.now += gap
        if number in pauses:
            rate_limit.pause(pauses[number])
            not_before = max(not_before, clock.now + pauses[number])
        clock.now += rate_limit.reserve()
        sent.append(clock.now)
        assert clock.now >= not_before - 1e-6
    for first, last in zip(sent, sent[limit:], strict=False):
        assert last - first >= period - 1e-6


def test_without_a_limit_nothing_waits():
    rate_limit = RateLimit()
    assert [rate_limit.reserve() for _ in range(1000)] == [0.0] * 1000


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


@pytest.fixture
def arrivals():
    """Asks an API `count` times, and tells when the requests came, in seconds."""

    def arrivals(count, answer, rate_limit=None, **settings):
        http = HttpSettings()
        for name, value in {"backoff_factor": 0.001, **settings}.items():
            setattr(http, name, value)
        arrived = []

        def intercept(number, path):
            arrived.append(time.monotonic())
            return answer(number)

        with serving([]) as api:
            api.intercept = intercept
            log = logging.getLogger("test")
            with ApiSession(api.base_url, http, Redaction(), log, rate_limit) as session:
                for _ in range(count):
                    request = requests.Request("GET", api.base_url)
                    session.ask(request, lambda answer: answer.status)
                arrivals.traffic = session.traffic
        return arrived

    return arrivals


def page(headers=None):
    return Answer(200, {"data": []}, headers or {})


def test_a_rate_limit_that_is_kept_costs_no_retry(arrivals):
    # A clock that stands still: how fast the requests are does not shorten the waits.
    arrived = arrivals(5, lambda number: page(), RateLimit(2, 0.2, clock=lambda: 0.0))
    assert arrived[2] - arrived[1] >= 0.2 and arrived[4] - arrived[3] >= 0.4
    assert arrivals.traffic.retries == 0
    assert arrivals.traffic.seconds_waited == pytest.approx(0.2 + 0.2 + 0.4)


def test_sessions_that_share_a_rate_limit_keep_it_together(arrivals):
    rate_limit = RateLimit(1, 0.2, clock=lambda: 0.0)
    for seconds in (0.0, 0.2):
        arrivals(1, lambda number: page(), rate_limit)
        assert arrivals.traffic.seconds_waited == pytest.approx(seconds)


def test_the_last_request_that_is_left_makes_the_next_one_wait(arrivals):
    left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0.3"}
    first, second = arrivals(2, lambda number: page(left if number == 1 else None))
    assert second - first >= 0.3 and arrivals.traffic.retries == 0


@pytest.mark.parametrize("header", ["Retry-After", "X-Retry-After", "X-RateLimit-Reset"])
def test_a_refusal_is_heeded_whatever_the_header_is_called(arrivals, header):
    refusal = Answer(429, {}, {header: "0.3"})
    first, second = arrivals(1, lambda number: refusal if number == 1 else page())
    assert second - first >= 0.3 and arrivals.traffic.retries == 1


def test_when_a_limit_is_reset_says_nothing_about_other_failures(arrivals):
    failure = Answer(500, {}, {"X-RateLimit-Reset": "3600"})
    first, second = arrivals(1, lambda number: failure if number == 1 else page())
    assert second - first < 60


def test_a_limit_that_is_reset_tomorrow_ends_the_run_at_once(arrivals):
    with pytest.raises(ApiError, match="asks to wait 86400 s"):
        arrivals(1, lambda number: Answer(429, {}, {"X-RateLimit-Reset": "86400"}))


@pytest.mark.slow
def test_the_rate_limit_of_the_settings_keeps_the_api_from_refusing(serve, rows, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__MAX_REQUESTS", "3")
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__PERIOD", "0.5")
    api = serve([event(number) for number in range(600)])
    arrived = []

    def limited(number, path):
        arrived.append(time.monotonic())
        return Answer(429, {}) if number > 3 and arrived[-1] - arrived[-4] < 0.25 else None

    api.intercept = limited
    load_configured()
    assert rows("SELECT retries, seconds_waited > 0 FROM scan_receipts") == [(0, True)]
