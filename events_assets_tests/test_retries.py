"""Which answers are asked for again, how often, and how long the pauses are."""

import logging
import time
from email.utils import formatdate
from threading import Event

import pytest
import requests

from events_assets.errors import ApiError
from events_assets.http.redaction import MASK, Redaction
from events_assets.http.session import ApiSession
from events_assets.sample_api import Answer
from events_assets.settings import HttpSettings
from events_assets_tests.conftest import event, failure


def failing(times: int, answer: Answer):
    return lambda number, path: answer if number <= times else None


@pytest.fixture
def get():
    """Asks an API for its first page, over a session with the default settings, hardly waiting."""
    with ApiSession("", HttpSettings(), Redaction(), logging.getLogger("test")) as session:

        def get(api, read_timeout=5.0):
            session.base_url, session.settings.backoff_factor = api.base_url, 0.001
            session.settings.read_timeout = read_timeout
            request = requests.Request(
                "GET",
                f"{api.base_url}/v1/events",
                params={"api_key": api.key},
                hooks={"response": lambda response, **_: response.raise_for_status()},
            )
            return session.send(session.prepare_request(request))

        yield get


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_costs_three_retries(serve, get, status):
    api = serve([event(1)])
    api.intercept = failing(3, Answer(status, {"error": "later"}))
    assert get(api).json()["total"] == 1
    assert len(api.paths) == 4


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_lasting_failure_is_given_up_after_four_attempts(serve, get, status):
    api = serve([event(1)])
    api.intercept = failing(99, Answer(status, {"error": "later"}))
    with pytest.raises(ApiError, match=rf"{status} .* after 4 attempts"):
        get(api)
    assert len(api.paths) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 410, 422, 501, 505, 507])
def test_no_other_status_is_asked_again(serve, get, status):
    api = serve([event(1)])
    api.intercept = failing(99, Answer(status, {"error": "no"}))
    with pytest.raises(ApiError, match=str(status)):
        get(api)
    assert len(api.paths) == 1


def test_retries_lose_no_event_and_are_counted_in_the_receipt(serve, run, rows):
    api = serve([event(1)])
    api.intercept = failing(3, Answer(503, {"error": "later"}))
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(1,)]
    assert rows("SELECT retries FROM scan_receipts") == [(3,)]


def test_global_dlt_settings_do_not_change_the_retries(serve, run, monkeypatch):
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    api = serve([event(1)])
    api.intercept = failing(3, Answer(503, {}))
    assert run().success
    assert len(api.paths) == 5


def test_the_number_of_retries_is_a_setting(serve, run, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__MAX_RETRIES", "1")
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__RETRY_STATUSES", "[418]")
    api = serve([event(1)])
    api.intercept = failing(99, Answer(418, {}))
    assert not run().success
    assert len(api.paths) == 2


def pauses(monkeypatch, headers: dict[str, str], **settings: float) -> list[float]:
    """The pauses between the attempts at a request that always fails, without waiting them."""
    waited: list[float] = []
    http = HttpSettings()
    for name, value in settings.items():
        setattr(http, name, value)
    session = ApiSession("http://127.0.0.1:1", http, Redaction(), logging.getLogger("test"))
    session._retrying.sleep = waited.append

    def answer(request, **_):
        response = requests.Response()
        response.status_code, response.headers, response.url = 503, headers, request.url
        raise requests.HTTPError("503", response=response, request=request)

    monkeypatch.setattr(session, "_send_once", answer)
    with pytest.raises(ApiError):
        session.send(requests.Request("GET", "http://127.0.0.1:1/v1/events").prepare())
    return waited


def test_pauses_double_from_the_factor(monkeypatch):
    assert pauses(monkeypatch, {}) == [2, 4, 8]


def test_retry_after_in_seconds_is_obeyed_where_it_is_longer(monkeypatch):
    assert pauses(monkeypatch, {"Retry-After": "5"}) == [5, 5, 8]


def test_retry_after_as_a_date_is_obeyed(monkeypatch):
    date = formatdate(time.time() + 20, usegmt=True)
    assert all(18 < pause <= 20 for pause in pauses(monkeypatch, {"Retry-After": date}))


@pytest.mark.parametrize("value", ["0", "-1", formatdate(0, usegmt=True), "soon", ""])
def test_a_retry_after_of_no_use_leaves_the_backoff(monkeypatch, value):
    assert pauses(monkeypatch, {"Retry-After": value}) == [2, 4, 8]


def test_a_retry_after_beyond_the_limit_ends_the_run_at_once_and_says_when(serve, run):
    api = serve([event(1)])
    api.intercept = failing(99, Answer(429, {}, {"Retry-After": "3600"}))
    result = run()
    assert len(api.paths) == 1
    assert "wait 3600 s, until 20" in failure(result)


def test_the_log_tells_the_schedule_of_retries(serve, run, capfd):
    api = serve([event(1)])
    api.intercept = failing(2, Answer(503, {}))
    assert run().success
    told = capfd.readouterr().err
    url = f"GET {api.base_url}/v1/events?offset=0&limit=100&api_key={MASK}"
    assert f"{url}: 503 Service Unavailable; attempt 1 of 4, next in 0.01 s" in told
    assert "attempt 2 of 4, next in 0.02 s" in told


def test_a_dropped_connection_is_asked_again(serve, run, rows):
    api = serve([event(1)])

    def drop(number, path):
        if number <= 2:
            raise ConnectionAbortedError("the tests drop this connection")

    api.intercept = drop
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(1,)]


def test_a_server_that_says_nothing_is_given_up_after_the_read_timeout(serve, get):
    api = serve([event(1)])
    over = Event()
    api.intercept = lambda number, path: over.wait(30) and None
    try:
        with pytest.raises(ApiError, match=r"cannot be read after 4 attempts: .*[Tt]imed out"):
            get(api, read_timeout=0.1)
    finally:
        over.set()
    assert len(api.paths) == 4
