"""Which answers are asked for again, how often, and how long the pauses are."""

import logging
import time
from email.utils import formatdate
from logging.handlers import QueueHandler
from queue import Queue
from threading import Event, Thread

import pytest
import requests
from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from events_assets.errors import ApiError, EmptyPageError
from events_assets.http.answer import Answer as Received
from events_assets.http.redaction import MASK, Redaction
from events_assets.http.retry import hurried, retrying
from events_assets.http.session import ApiSession
from events_assets.sample_api import Answer, serving
from events_assets.settings import HttpSettings
from events_assets_tests.conftest import event, load_configured

PAGE = {"data": [], "total": 0}
TRANSIENT = [429, 500, 502, 503, 504]
FINAL = [400, 401, 403, 404, 408, 409, 410, 422, 501, 505, 507]


@pytest.fixture
def api():
    with serving([]) as api:
        yield api


@pytest.fixture
def session(api):
    """A session with the default settings that hardly waits between attempts."""
    with ApiSession(api.base_url, settings(), Redaction(api.key), logging.getLogger("test")) as one:
        yield one


def settings(**others):
    http = HttpSettings()
    for name, value in {"backoff_factor": 0.001, "read_timeout": 5.0, **others}.items():
        setattr(http, name, value)
    return http


def request(api, **parts):
    return requests.Request(
        "GET", f"{api.base_url}/v1/events", params={"api_key": api.key}, **parts
    )


def failing(times, answer):
    return lambda number, path: answer if number <= times else None


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_passing_failure_costs_three_retries(api, session, status):
    api.intercept = failing(3, Answer(status, {"error": "later"}))
    assert session.ask(request(api), Received.require_json) == PAGE
    assert (len(api.paths), session.traffic.requests, session.traffic.retries) == (4, 4, 3)


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_lasting_failure_is_given_up_after_four_attempts(api, session, status):
    api.intercept = failing(99, Answer(status, {"error": "later"}))
    with pytest.raises(ApiError, match=rf'{status} .* after 4 attempts; it says: "later"') as error:
        session.ask(request(api), Received.require_json)
    assert len(api.paths) == 4 and error.value.status == status


@pytest.mark.parametrize("status", FINAL)
def test_no_other_status_is_asked_again(api, session, status):
    api.intercept = failing(99, Answer(status, {"error": "no"}))
    with pytest.raises(ApiError, match=str(status)):
        session.ask(request(api), Received.require_json)
    assert len(api.paths) == 1


@pytest.mark.parametrize("status", FINAL)
def test_a_refusal_is_an_answer_to_whoever_asks_for_any(api, session, status):
    api.intercept = failing(99, Answer(status, {"error": "no"}))
    answer = session.ask(request(api), lambda answer: answer, any_status=True)
    assert (answer.status, answer.document) == (status, {"error": "no"})
    api.intercept = failing(99, Answer(503, {}))
    with pytest.raises(ApiError, match="after 4 attempts"):
        session.ask(request(api), lambda answer: answer, any_status=True)


def test_the_number_of_retries_is_a_setting(api):
    http = settings(max_retries=1, retry_statuses=[418])
    api.intercept = failing(99, Answer(418, {}))
    with (
        ApiSession(api.base_url, http, Redaction(), logging.getLogger("test")) as session,
        pytest.raises(ApiError, match=r"418 .* after 2 attempts"),
    ):
        session.ask(request(api), Received.require_json)
    assert len(api.paths) == 2


def test_who_is_in_a_hurry_retries_once_and_waits_a_minute_at_most():
    assert (hurried(settings()).max_retries, hurried(settings()).max_retry_after) == (1, 60)
    assert hurried(settings(max_retries=0)).max_retries == 0


def pauses(api, headers, **others):
    """The pauses between the attempts at a request that always fails, without waiting them."""
    api.intercept = lambda number, path: Answer(503, {}, headers)
    waited = []
    attempts = retrying(settings(backoff_factor=2.0, **others), lambda _: None, waited.append)
    with pytest.raises(requests.HTTPError):
        attempts(lambda: requests.get(api.base_url, timeout=5).raise_for_status())
    return waited


def test_pauses_double_from_the_factor(api):
    assert pauses(api, {}) == [2, 4, 8]


def test_retry_after_in_seconds_is_obeyed_where_it_is_longer(api):
    assert pauses(api, {"Retry-After": "5"}) == [5, 5, 8]


def test_retry_after_as_a_date_is_obeyed(api):
    date = formatdate(time.time() + 20, usegmt=True)
    assert all(18 < pause <= 20 for pause in pauses(api, {"Retry-After": date}))


@pytest.mark.parametrize("value", ["0", "-1", formatdate(0, usegmt=True), "soon", ""])
def test_a_retry_after_of_no_use_leaves_the_backoff(api, value):
    assert pauses(api, {"Retry-After": value}) == [2, 4, 8]


def test_a_wait_beyond_the_limit_ends_the_run_at_once_and_says_when(api, session):
    api.intercept = failing(99, Answer(429, {}, {"Retry-After": "3600"}))
    with pytest.raises(ApiError, match=r"asks to wait 3600 s, until 20.* than max_retry_after"):
        session.ask(request(api), Received.require_json)
    assert len(api.paths) == 1


def test_the_log_tells_the_schedule_of_retries_without_the_key(api, session, caplog):
    api.intercept = failing(2, Answer(503, {}))
    session.ask(request(api), Received.require_json)
    url = f"GET {api.base_url}/v1/events?api_key={MASK}"
    assert [record.getMessage() for record in caplog.records if record.name == "test"] == [
        f"{url}: 503 Service Unavailable; attempt 1 of 4, next in 0.001 s",
        f"{url}: 503 Service Unavailable; attempt 2 of 4, next in 0.002 s",
    ]


def test_a_dropped_connection_is_asked_again(api, session):
    def drop(number, path):
        if number <= 2:
            raise ConnectionAbortedError("the tests drop this connection")

    api.intercept = drop
    assert session.ask(request(api), Received.require_json) == PAGE
    assert len(api.paths) == 3


def test_a_server_that_says_nothing_is_given_up_after_the_read_timeout(api):
    over = Event()
    api.intercept = lambda number, path: over.wait(30) and None
    http = settings(read_timeout=0.1)
    try:
        with (
            ApiSession(api.base_url, http, Redaction(), logging.getLogger("test")) as session,
            pytest.raises(ApiError, match=r"cannot be read after 4 attempts: .*[Tt]imed out"),
        ):
            session.ask(request(api), Received.require_json)
    finally:
        over.set()
    assert len(api.paths) == 4


def test_an_empty_page_is_asked_for_again_and_counts_in_the_end(api, session):
    def read(answer):
        raise EmptyPageError("there should be more", ["what was read"])

    assert session.ask(request(api), read) == ["what was read"]
    assert len(api.paths) == 4


def test_what_a_hook_accepts_is_an_answer_and_what_it_ignores_is_none(api, session):
    api.intercept = failing(99, Answer(404, {"error": "no more"}))
    accepted = request(api, hooks={"response": lambda response, **_: None})
    assert session.ask(accepted, lambda answer: answer.status) == 404

    def ignore(response, **_):
        raise IgnoreResponseException

    with pytest.raises(IgnoreResponseException):
        session.ask(request(api, hooks={"response": ignore}), Received.require_json)
    assert len(api.paths) == 2


def test_closing_ends_a_pause_at_once(api):
    api.intercept = failing(99, Answer(503, {}))
    said = Queue()
    log = logging.Logger("test")  # noqa: LOG001, one of its own
    log.addHandler(QueueHandler(said))
    session = ApiSession(api.base_url, settings(backoff_factor=300.0), Redaction(), log)

    def ask():
        try:
            session.ask(request(api), Received.require_json)
        except ApiError as error:
            said.put(str(error))

    Thread(target=ask).start()
    assert "next in 300 s" in said.get(timeout=20).getMessage()
    session.close()
    assert said.get(timeout=20) == "the scan has ended" and len(api.paths) == 1


def test_retries_lose_no_event_and_are_counted_in_the_receipt(serve, rows, monkeypatch):
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")  # dlt's own, which changes nothing
    api = serve([event(1)])
    api.intercept = failing(3, Answer(503, {"error": "later"}))
    load_configured()
    assert rows("SELECT count(*) FROM events") == [(1,)]
    assert rows("SELECT retries FROM scan_receipts") == [(3,)]
