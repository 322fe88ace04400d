"""A page that is asked for again comes only if it changed, where the API has ETags."""

import json
import logging
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from events_assets.errors import ApiError, NotAPageError
from events_assets.http.answer import Answer as Received
from events_assets.http.redaction import Redaction
from events_assets.http.session import ApiSession
from events_assets.sample_api import Answer, serving
from events_assets.settings import HttpSettings
from events_assets_tests.conftest import RESOURCE, event

pytestmark = pytest.mark.slow

CONFIG = f"""
{RESOURCE}
paginator = {{ type = "page_number", base_page = 1, total_path = "" }}
[sources.events.client]
auth = {{ type = "api_key", location = "query" }}
"""


def tagged(api, answer, weak=False, **headers):
    """The answer to the last request: with an ETag, or 304 if that is known."""
    body = json.dumps(answer).encode()
    etag = f'{"W/" * weak}"{sha256(body).hexdigest()}"'
    if api.headers[-1].get("If-None-Match") == etag:
        return Answer(304, b"", {"ETag": etag, **headers})
    return Answer(200, body, {"ETag": etag, **headers})


@pytest.fixture
def api():
    with serving([]) as api:
        yield api


@pytest.fixture
def session(api):
    http, log = HttpSettings(backoff_factor=0.001), logging.getLogger("test")
    with ApiSession(api.base_url, http, Redaction(), log, remembers=True) as session:
        yield session


def get(session, read=Received.require_json, method="GET", **parts):
    return session.ask(requests.Request(method, session.base_url + "/x", **parts), read)


def pages(api, events, change=lambda number: None, tags=True):
    def answer(number, path):
        change(number)
        page = int(parse_qs(urlsplit(path).query)["page"][0]) - 1
        document = {"data": events[page * 20 :][:20]}
        return tagged(api, document) if tags else Answer(200, document)

    api.intercept = answer


@pytest.mark.parametrize("tags", [True, False])
def test_a_second_pass_transfers_a_fraction_where_nothing_changed(
    serve, configure, run, rows, tags
):
    configure(CONFIG)
    api = serve()
    pages(api, [event(number, text="x" * 2000) for number in range(200)], tags=tags)
    assert run().success
    ((scans, verdict, sent, received),) = rows(
        "SELECT scans, verdict, requests, bytes FROM scan_receipts"
    )
    assert (scans, verdict, sent) == (2, "complete", len(api.paths))
    assert received < 500_000 if tags else received > 850_000


def test_a_page_that_changed_between_two_passes_is_seen(serve, configure, run, rows):
    configure(CONFIG)
    api, events = serve(), [event(number) for number in range(100)]

    def change(number):
        if number == 8:  # of the second pass
            events[90] = event(90, event_name="Another name")

    pages(api, events, change)
    assert run().success
    assert rows("SELECT scans, verdict FROM scan_receipts") == [(3, "complete")]
    assert rows("SELECT event_name FROM events WHERE id = 90") == [("Another name",)]
    assert rows("SELECT count(*) FROM events") == [(100,)]


@pytest.mark.parametrize("weak", [True, False])
def test_an_answer_that_still_holds_is_the_one_before_with_newer_headers(api, session, weak):
    api.intercept = lambda number, path: tagged(api, ["é"], weak, **{"X-Total": str(number)})
    for number in (1, 2, 3):
        answer = get(session, lambda answer: answer)
        assert (answer.status, answer.document, answer.body) == (200, ["é"], b'["\\u00e9"]')
        assert answer.headers["X-Total"] == str(number)
        assert answer.headers["Content-Type"] == "application/json"
    assert ["If-None-Match" in headers for headers in api.headers] == [False, True, True]
    assert session.traffic.requests == 3


def test_an_answer_that_still_holds_after_a_redirect_is_that_of_its_own_url(api, session):
    api.intercept = lambda number, path: (
        Answer(302, {}, {"Location": "/y", "ETag": '"x"'}) if path == "/x" else tagged(api, [path])
    )
    assert get(session) == get(session) == ["/y"]
    assert ["If-None-Match" in headers for headers in api.headers] == [False, False, False, True]


def test_what_is_asked_with_a_body_or_with_other_headers_is_another_answer(api, session):
    api.intercept = lambda number, path: tagged(api, [number])
    assert get(session, method="POST", json={"page": 1}) == [1]
    assert get(session, method="POST", json={"page": 1}) == [2]
    assert get(session, json={"page": 1}) == [3]
    assert get(session, headers={"Parent": "1"}) == [4]
    assert get(session, headers={"Parent": "2"}) == [5]
    assert not any("If-None-Match" in headers for headers in api.headers)


def test_an_answer_that_is_no_page_is_asked_for_anew(api, session):
    def read(answer):
        if len(api.paths) < 3:
            raise NotAPageError("no page")
        return answer.document

    api.intercept = lambda number, path: tagged(api, [])
    assert get(session, read) == []
    assert not any("If-None-Match" in headers for headers in api.headers)
    api.paths.clear()
    assert get(session, read) == []
    assert ["If-None-Match" in headers for headers in api.headers[3:]] == [True, False, False]


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": '"x"'}])
def test_an_answer_that_still_holds_though_there_was_none_is_a_failure(api, session, headers):
    api.intercept = lambda number, path: Answer(304, b"")
    with pytest.raises(ApiError, match="304 Not Modified, but nothing was received before"):
        get(session, headers=headers)
    assert len(api.paths) == 1


def test_that_another_answer_still_holds_is_a_failure(api, session):
    api.intercept = lambda number, path: tagged(api, [])
    assert get(session) == []
    api.intercept = lambda number, path: Answer(304, b"", {"ETag": '"another"'})
    with pytest.raises(ApiError, match="304 Not Modified"):
        get(session)
    api.intercept = lambda number, path: Answer(304, b"")
    with pytest.raises(ApiError, match="304 Not Modified"):
        get(session, headers={"If-None-Match": '"by hand"'})
    assert get(session) == []


def test_a_session_that_reads_once_keeps_nothing(api):
    api.intercept = lambda number, path: tagged(api, [])
    with ApiSession(api.base_url, HttpSettings(), Redaction(), logging.getLogger()) as session:
        assert get(session) == get(session) == []
    assert not any("If-None-Match" in headers for headers in api.headers)


def test_a_full_disk_costs_transfers_and_no_page(api, session, monkeypatch, caplog):
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115, closed with the session
    monkeypatch.setattr("events_assets.http.remembered.TemporaryFile", lambda **_: full)
    api.intercept = lambda number, path: tagged(api, [number])
    assert [get(session), get(session)] == [[1], [2]]
    assert not any("If-None-Match" in headers for headers in api.headers)
    assert [one.message for one in caplog.records if one.name == "test"] == [
        "no room in the temporary folder: pages are transferred again though unchanged"
    ]
