"""An answer that is none, or comes in pieces, is asked for again; a good one is read exactly."""

import gzip
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from events_assets.errors import ApiError
from events_assets.http.answer import Answer as Received
from events_assets.http.redaction import MASK, Redaction
from events_assets.http.session import ApiSession, prepared
from events_assets.sample_api import Answer, Handler, listening, serving
from events_assets.settings import HttpSettings

KEY = "key/of the tests"
PAGE = {"data": [], "total": 0}

NO_JSON = {
    "HTML": (
        Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html; charset=utf-8"}),
        "sent as text/html, 20 bytes",
    ),
    "empty body": (Answer(200, b""), "0 bytes that cannot be parsed"),
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
def api():
    with serving([], key=KEY) as api:
        yield api


@pytest.fixture
def session(api):
    with opened(api.base_url) as session:
        yield session


def opened(base_url, **settings):
    """A session that hardly waits between attempts."""
    http = HttpSettings()
    for name, value in {"backoff_factor": 0.001, "read_timeout": 0.3, **settings}.items():
        setattr(http, name, value)
    return ApiSession(base_url, http, Redaction(KEY), logging.getLogger("test"))


def get(session, path="/v1/events", read=lambda answer: answer, **parts):
    params = {"api_key": KEY}
    request = requests.Request("GET", session.base_url + path, params=params, **parts)
    return session.ask(request, read)


@pytest.mark.parametrize("name", NO_JSON)
def test_an_answer_that_is_no_json_is_never_an_empty_page(api, session, name):
    answer, told = NO_JSON[name]
    api.intercept = lambda number, path: answer
    with pytest.raises(ApiError) as raised:
        get(session, read=Received.require_json)
    assert told in str(raised.value) and "after 4 attempts" in str(raised.value)
    assert len(api.paths) == 4


@pytest.mark.parametrize("name", NO_JSON)
def test_an_answer_that_is_json_the_next_time_is_one(api, session, name):
    answer, _ = NO_JSON[name]
    api.intercept = lambda number, path: answer if number < 3 else None
    assert get(session, read=Received.require_json) == PAGE


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (
            b"[123456789012345678901234567890, -9223372036854775809]",
            [123456789012345678901234567890, -9223372036854775809],
        ),
        (b"[18446744073709551615, 0.1]", [18446744073709551615, 0.1]),
        ('["é"]'.encode("utf-16"), ["é"]),
        (b'\xef\xbb\xbf["\xc3\xa9"]', ["é"]),
        (b'["\\ud800"]', ["\ud800"]),
        (b"[Infinity]", [float("inf")]),
        (b"null", None),
    ],
)
def test_no_value_is_rounded_or_refused_by_the_fast_parser(api, session, body, document):
    api.intercept = lambda number, path: Answer(200, body)
    answer = get(session)
    assert answer.is_json and answer.document == document and answer.require_json() == document


@pytest.mark.parametrize(
    ("text", "encoding", "charset"),
    [
        ("Café", "iso-8859-1", "ISO-8859-1"),
        ("Café 5 €", "cp1252", '"windows-1252"'),
        ("Кафе", "cp1251", "windows-1251"),
        ("カフェ ソ", "shift_jis", "Shift_JIS"),
        ("联通", "gbk", "gbk"),  # its bytes are valid UTF-8, too
        ("Café", "cp037", "IBM037"),
        ("Café", "utf-16", "utf-16"),
        ("Café", "utf-16-be", "utf-16"),
        ("Café", "utf-16-le", "utf-16le"),
        ("Café", "utf-32", "utf-32"),
        ("Café", "utf-8-sig", "utf-8"),
        ("Café", "utf-8", "iso-8859-1"),  # wrong
        ("Café", "utf-8", "utf-16"),
        ("日", "utf-8", "gbk"),
        ("Café", "utf-8", "no-such-charset"),
        ("Café", "utf-8", "zip"),
        ("Café", "utf-8-sig", "iso-8859-1"),
        ("Café", "utf-16", "iso-8859-1"),
    ],
)
def test_no_text_is_garbled_by_its_charset(api, session, text, encoding, charset):
    body = json.dumps([text, 2**70], ensure_ascii=False).encode(encoding)
    head = {"Content-Type": f"application/json; charset={charset}"}
    api.intercept = lambda number, path: Answer(200, body, head)
    assert get(session, read=Received.require_json) == [text, 2**70]


@pytest.mark.parametrize(
    ("charset", "told"),
    [
        ("", " as UTF-8"),
        ("; charset=utf-8", " as UTF-8"),
        ("; charset=euc-jp", " as UTF-8 or euc-jp"),
        ("; charset=x-klingon", " as UTF-8, and the charset 'x-klingon' is unknown"),
    ],
)
def test_what_cannot_be_decoded_is_no_page(api, session, charset, told):
    head = {"Content-Type": f"application/json{charset}"}
    api.intercept = lambda number, path: Answer(200, b'["Caf\xe9"]', head)
    with pytest.raises(ApiError, match=f"application/json, 8 bytes that cannot be parsed{told}$"):
        get(session, read=Received.require_json)


def test_a_secret_is_seen_in_any_charset(api):
    head = {"Content-Type": "application/json; charset=iso-8859-1"}
    api.intercept = lambda number, path: Answer(200, '["Schlüssel"]'.encode("latin-1"), head)
    log = logging.getLogger("test")
    with ApiSession(api.base_url, HttpSettings(), Redaction("Schlüssel"), log) as session:
        assert get(session).holds_secret


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({KEY: 1}).encode(),
        json.dumps([KEY]).replace("/", "\\/").encode(),
        b'["\\u006bey/of the tests"]',
        json.dumps(["a?k=key%2Fof+the+tests"]).encode(),
        json.dumps([KEY]).encode("utf-16"),
        json.dumps([KEY]).encode("utf-32-le"),
        json.dumps([KEY, 2**70]).replace("k", "\\u006b").encode(),
    ],
)
def test_a_secret_in_an_answer_is_seen_however_it_is_written(api, session, body):
    api.intercept = lambda number, path: Answer(200, body)
    answer = get(session)
    assert answer.is_json and answer.holds_secret
    api.intercept = lambda number, path: Answer(200, ["k\\y", "of the tests"])
    assert not get(session).holds_secret
    api.intercept = lambda number, path: Answer(200, b"<a \\ b> " + KEY.encode())
    assert not get(session).is_json and get(session).holds_secret


def test_an_answer_knows_its_headers_and_links_and_where_it_came_from(api, session):
    headers = {"Link": '<https://a.example/2?x=1,2>; rel="next", </1>; rel=prev', "x-total": "7"}
    api.intercept = lambda number, path: (
        Answer(307, {}, {"Location": "/v2/events"}) if "v1" in path else Answer(200, [], headers)
    )
    answer = get(session)
    assert answer.links["next"]["url"] == "https://a.example/2?x=1,2"
    assert answer.headers["X-Total"] == "7"
    assert answer.redirected and answer.url == f"{api.base_url}/v2/events"
    assert answer.body == b"[]" and answer.response.json() == []
    assert not get(session, "/v2/events").redirected
    assert session.traffic.requests == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_never_takes_the_key_along(api, session, status):
    with serving([], key=KEY) as other:
        api.intercept = lambda number, path: Answer(
            status, {}, {"Location": f"{other.base_url}{path}"}
        )
        with pytest.raises(ApiError) as raised:
            get(session)
        with pytest.raises(ApiError, match="leads to another origin"):
            session.ask(requests.Request("GET", other.base_url), lambda answer: answer)
    assert other.paths == [] and session.traffic.requests == 1
    assert api.base_url in str(raised.value) and other.base_url in str(raised.value)


@pytest.mark.parametrize("status", [401, 404, 503])
def test_who_refused_after_a_redirect_is_named_and_not_who_was_asked(api, session, status):
    there = "/v2/key%2Fof%20the%20tests?api_key=key%2Fof+the+tests"
    api.intercept = lambda number, path: (
        Answer(307, {}, {"Location": there}) if "v1" in path else Answer(status, {})
    )
    with pytest.raises(ApiError) as raised:
        get(session)
    assert str(raised.value).startswith(f"GET {api.base_url}/v2/{MASK} answers {status}")


def test_a_cookie_set_by_a_redirect_is_sent_on(api, session):
    api.intercept = lambda number, path: (
        None
        if "seen=yes" in api.headers[-1].get("Cookie", "")
        else Answer(302, {}, {"Location": path, "Set-Cookie": "seen=yes; Path=/"})
    )
    assert get(session, read=Received.require_json) == PAGE
    assert len(api.paths) == 2


def test_the_failure_quotes_no_data_of_a_page(api, session):
    api.intercept = lambda number, path: Answer(200, b'{"name": "private words"')
    with pytest.raises(ApiError) as raised:
        get(session, read=Received.require_json)
    assert "private words" not in str(raised.value)


@pytest.mark.parametrize("link", ["ftp://127.0.0.1/x", "ftp://127.0.0.1:99999/", "data:,"])
@pytest.mark.parametrize("is_redirect", [True, False])
def test_a_link_of_another_scheme_leads_to_another_origin(api, session, link, is_redirect):
    api.intercept = lambda number, path: Answer(302, {}, {"Location": link})
    with pytest.raises(ApiError, match="leads to another origin") as raised:
        if is_redirect:
            get(session)
        else:
            session.ask(requests.Request("GET", link), lambda answer: answer)
    assert session.traffic.requests == len(api.paths) == is_redirect
    assert str(raised.value).count("ftp://127.0.0.1 ") == link.endswith("/x")


@pytest.mark.parametrize("link", ["http://[x", "ftp://[x", "/\xff"])
def test_a_redirect_that_cannot_be_followed_is_a_failure_in_a_sentence(api, session, link):
    api.intercept = lambda number, path: Answer(302, {}, {"Location": link})
    with pytest.raises(ApiError, match=f"GET {api.base_url}/v1/events"):
        get(session)
    assert len(api.paths) == 1


def test_an_answer_that_is_none_after_a_redirect_names_where_it_led(api, session):
    api.intercept = lambda number, path: (
        Answer(302, {}, {"Location": "/login"}) if "v1" in path else Answer(200, b"<html>")
    )
    with pytest.raises(ApiError, match=f"^GET {api.base_url}/login answers with something else"):
        get(session, read=Received.require_json)


@pytest.mark.parametrize("link", ["http://[bad", "http://", "ftp://127.0.0.1/"])
def test_a_link_that_cannot_be_followed_is_a_failure_in_a_sentence(session, link):
    request = requests.Request("GET", link, params={"api_key": KEY})
    with pytest.raises(ApiError) as raised:
        session.ask(request, lambda answer: answer)
    told = str(raised.value)
    assert link.rstrip("/") in told and "key/of" not in told and "key%2Fof" not in told
    assert raised.value.__context__ is None


def test_no_half_of_a_key_is_left_where_a_refusal_is_cut(api, session):
    api.intercept = lambda number, path: Answer(400, {"error": "x" * 145 + " " + KEY})
    with pytest.raises(ApiError) as raised:
        get(session)
    assert "it says" in str(raised.value) and "key/of" not in str(raised.value)


def test_a_refusal_whose_body_breaks_off_is_still_that_refusal(api, session):
    api.intercept = lambda number, path: Answer(404, b"{", {"Content-Length": "99"})
    with pytest.raises(ApiError, match="404 Not Found: there is nothing at this address"):
        get(session)
    assert len(api.paths) == 1


def test_connections_are_kept_from_answer_to_answer_also_after_refusals():
    connections = set()

    class Counting(Handler):
        def do_GET(self):  # noqa: N802
            connections.add(self.client_address)
            number = len(self.path)
            self.send(Answer(503 if number % 2 else 200, {"padding": "x" * 40_000}))

    with listening(Counting) as (_, base_url), opened(base_url, max_retries=0) as session:
        for number in range(8):
            request = requests.Request("GET", f"{base_url}/{'x' * number}")
            try:
                session.ask(request, Received.require_json)
            except ApiError as error:
                assert error.status == 503
    assert len(connections) == 1


def test_nothing_is_sent_after_the_deadline(api):
    with (
        opened(api.base_url, deadline=0.0) as session,
        pytest.raises(ApiError, match=r"takes longer than http\.deadline, 0 s"),
    ):
        get(session)
    assert api.paths == []


@pytest.mark.parametrize("status", [200, 302, 400, 503])
def test_an_answer_that_drips_does_not_outlast_the_deadline(status):
    over = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "1000000")
            self.send_header("Location", "/")
            self.end_headers()
            while not over.wait(0.02):
                self.wfile.write(b" ")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with (
                opened(f"http://127.0.0.1:{server.server_port}", deadline=0.3) as session,
                pytest.raises(ApiError, match=r"http\.deadline"),
            ):
                get(session)
        finally:
            over.set()
            server.shutdown()


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"params": {"offset": 0, "tags": ["a", "ü b"], "none": None}},
        {"headers": {"accept": "text/plain", "User-Agent": None, "X": "1"}},
        {"method": "POST", "json": {"offset": 100}},
        {"method": "POST", "data": {"a": "b c"}},
        {"auth": ("user", "word")},
        {"cookies": {"own": "1"}},
    ],
)
def test_what_is_sent_is_what_requests_would_send(session, api, parts):
    session._requests.cookies.set("session", "2")
    request = requests.Request(**{"method": "GET", "url": f"{api.base_url}/v1/events?a=1", **parts})

    plain = session._requests
    ours, theirs = prepared(request, plain), plain.prepare_request(request)

    assert (ours.method, ours.url, ours.body) == (theirs.method, theirs.url, theirs.body)
    assert dict(ours.headers) == dict(theirs.headers)


def test_a_password_in_netrc_is_found_as_requests_finds_it(api, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with opened(api.base_url) as session:
        get(session)

    assert api.headers[-1]["Authorization"] == "Basic dXNlcjp3b3Jk"
