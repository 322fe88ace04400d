"""An answer that is no page is asked for again, then ends the run with what came instead."""

import gzip
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from events_assets.paging.pages import Rows

from events_assets.errors import ApiError
from events_assets.http.redaction import Redaction
from events_assets.http.session import ApiSession
from events_assets.sample_api import Answer, SampleApi
from events_assets.settings import HttpSettings
from events_assets_tests.conftest import event, failure

HTML = {"Content-Type": "text/html"}

NO_PAGES = {
    "error body": (Answer(200, {"error": "try later"}), "the document has the keys: error"),
    "HTML": (Answer(200, b"<html>Sign in</html>", HTML), "the body is text/html, 20 bytes"),
    "empty body": (Answer(200, b""), "0 bytes that cannot be parsed"),
    "other list": (Answer(200, {"items": [], "total": 0}), "lists are at: items"),
    "data is null": (Answer(200, {"data": None}), "at 'data' (data_selector), but there is null"),
    "data is an object": (Answer(200, {"data": {"id": 1}}), "there is an object"),
    "data is a text": (Answer(200, {"data": "none"}), "there is a text"),
    "data is a number": (Answer(200, {"data": 0}), "there is a number"),
    "a bare list": (Answer(200, [{"id": 1}]), "the document is a list"),
    "a bare null": (Answer(200, None), "the document is null"),
    "truncated JSON": (Answer(200, b'{"data": [{"id": 1}, {"i'), "cannot be parsed"),
    "too much promised": (Answer(200, b"{}", {"Content-Length": "9"}), "cannot be read"),
    "too little promised": (
        Answer(200, b'{"data": [{"id": 1}]}', {"Content-Length": "9"}),
        "9 bytes that cannot be parsed",
    ),
    "broken gzip": (
        Answer(200, b"\x1f\x8b\x08garbage", {"Content-Encoding": "gzip"}),
        "cannot be read",
    ),
    "truncated gzip": (
        Answer(
            200,
            gzip.compress(b'{"data": [' + b"1, " * 99 + b"1]}")[:-12],
            {"Content-Encoding": "gzip"},
        ),
        "cannot be",
    ),
    "not UTF-8": (Answer(200, b'{"data": ["\xff"]}'), "cannot be parsed"),
    "deep brackets": (Answer(200, b"[" * 100_000), "cannot be parsed"),
}


@pytest.fixture
def get():
    """Asks an API for its first page, hardly waiting between the attempts."""
    http = HttpSettings()
    http.backoff_factor, http.read_timeout = 0.001, 2.0
    with ApiSession("", http, Redaction(), logging.getLogger("test")) as session:
        session.check = lambda response: Rows("data")(response)

        def get(api):
            session.base_url = api.base_url
            url = f"{api.base_url}/v1/events?api_key={api.key}"
            return session.send(session.prepare_request(requests.Request("GET", url)))

        get.session = session
        yield get


@pytest.mark.parametrize("name", NO_PAGES)
def test_an_answer_that_is_no_page_is_never_an_empty_page(serve, get, name):
    answer, told = NO_PAGES[name]
    api = serve([event(1)])
    api.intercept = lambda number, path: answer
    with pytest.raises(ApiError) as raised:
        get(api)
    assert told in str(raised.value) and "after 4 attempts" in str(raised.value)
    assert len(api.paths) == 4


@pytest.mark.parametrize("name", NO_PAGES)
def test_an_answer_that_is_a_page_the_next_time_is_one(serve, get, name):
    answer, _ = NO_PAGES[name]
    api = serve([event(1)])
    api.intercept = lambda number, path: answer if number < 3 else None
    assert Rows("data")(get(api)) == [event(1)]


def test_an_error_body_in_the_middle_of_a_scan_leaves_the_tables_alone(serve, run, rows):
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: (
        Answer(200, {"error": "x"}) if "offset=99" in path else None
    )
    assert "expected at 'data'" in failure(run())
    assert rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'events'") == []


def test_the_message_quotes_no_data(serve, get):
    api = serve([])
    api.intercept = lambda number, path: Answer(200, {"error": "private words"})
    with pytest.raises(ApiError) as raised:
        get(api)
    assert "private words" not in str(raised.value)


def test_a_scan_ends_at_its_deadline(serve, run, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__DEADLINE", "0")
    serve([event(1)])
    assert "http.deadline" in failure(run())


def test_a_torn_scan_is_healed_by_a_second_one(serve, run, rows):
    api = serve([event(number) for number in range(150)])
    lost = {"number": 0}

    def lose_some(number, path):
        if "offset=99" in path and lost["number"] < 4:
            lost["number"] += 1
            return Answer(200, {"data": [], "total": 150})
        return None

    api.intercept = lose_some
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(150,)]
    ((scans, verdict, received, kept),) = rows(
        "SELECT scans, verdict, rows_received, rows_loaded + repeats + rows_quarantined"
        " FROM scan_receipts"
    )
    assert (scans, verdict, received) == (2, "complete", kept)


@pytest.mark.parametrize("status", [200, 400, 503])
def test_an_answer_that_drips_does_not_outlast_the_deadline(get, status):
    over = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not over.wait(0.02):
                self.wfile.write(b" ")

    with ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        get.session.settings.deadline = 0.5
        get.session.hooks["response"].append(lambda response, **_: response.raise_for_status())
        api = SampleApi(f"http://127.0.0.1:{server.server_port}", "key", [])
        try:
            with pytest.raises(ApiError, match=r"http\.deadline"):
                get(api)
        finally:
            over.set()
            server.shutdown()
