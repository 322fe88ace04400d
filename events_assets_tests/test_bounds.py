"""No server can keep a scan beyond its deadline, or fill the memory: each bound is told."""

import gzip
import logging
import socketserver
import threading
import tracemalloc
import zlib
from contextlib import contextmanager
from functools import partial

import pytest
import requests

from events_assets.errors import ApiError
from events_assets.http.answer import Answer as Received
from events_assets.http.redaction import Redaction
from events_assets.http.session import ApiSession
from events_assets.settings import HttpSettings

pytestmark = pytest.mark.slow

MB = b" " * 1_000_000
OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Length: 2\r\n\r\n[]"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def session_with(speak, **settings):
    """A session with a server that says what `speak(is_over)` yields, byte for byte."""
    over = threading.Event()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, block_on_close = True, False

        def handle_error(self, *_):
            """Says nothing of clients that hang up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            for part in speak(over):
                self.wfile.write(part)

    http = HttpSettings(**{"max_retries": 0, **settings})
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            with ApiSession(url, http, Redaction(), logging.getLogger("test")) as session:
                yield session
        finally:
            over.set()
            server.shutdown()


def get(session):
    return session.ask(requests.Request("GET", session.base_url + "/x"), Received.require_json)


def told(speak, **settings):
    """How it ends, in words."""
    with session_with(speak, **settings) as session, pytest.raises(ApiError) as raised:
        get(session)
    assert str(raised.value).startswith(f"GET {session.base_url}/x answers with ")
    return str(raised.value)


def packed(encoding, size_in_mb):
    pack = {"gzip": zlib.compressobj(9, wbits=31), "deflate": zlib.compressobj(9)}[encoding]
    return b"".join(pack.compress(MB) for _ in range(size_in_mb)) + pack.flush()


def endless(before, part):
    def speak(over):
        yield before
        while not over.is_set():
            yield part

    return speak


def dripping(before, part=b" "):
    def speak(over):
        yield before
        while not over.wait(0.02):
            yield part

    return speak


@pytest.mark.parametrize(
    "speak",
    [
        endless(OK + b"\r\n", MB),
        endless(OK + b"Content-Length: 99999999999\r\n\r\n", MB),
        endless(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
        endless(CHUNKED, b"1\r\n \r\n" * 10_000),
        endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
    ],
    ids=["until it closes", "length", "chunks", "small chunks", "trailers"],
)
def test_a_body_without_end_ends_at_its_bound(speak):
    text = told(speak, max_body="3MB")
    assert "a body of more than 3MB" in text
    assert "raise max_body in [sources.events.http]" in text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip", "gzip, deflate"])
def test_a_bomb_is_not_unpacked(encoding):
    body = packed(encoding.split(", ")[-1], 100)
    if ", " in encoding:
        inner = packed("gzip", 400)
        body = gzip.compress(inner) if encoding == "gzip, gzip" else zlib.compress(inner)
    for status in (b"200 OK", b"404 Not Found"):
        head = b"HTTP/1.1 %b\r\nContent-Encoding: %b\r\n" % (status, encoding.encode())
        head += b"Content-Length: %d\r\n\r\n" % len(body)
        said = r"404 Not Found" if b"404" in status else r"answers with a body of more than 3MB"
        with (
            session_with(partial(lambda head, _: [head, body], head), max_body="3MB") as session,
            pytest.raises(ApiError, match=said),
        ):
            tracemalloc.start()
            try:
                get(session)
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
        assert peak < 12_000_000


@pytest.mark.parametrize(
    "speak",
    [
        endless(OK, b"X-A: " + b"a" * 8000 + b"\r\n"),
        endless(OK + b"X: ", b"a" * 8000),
        endless(b"", b"a" * 8000),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    ],
    ids=["large headers", "one header", "status line", "100", "103"],
)
def test_headers_without_end_end_at_their_bound(speak):
    text = told(speak)
    assert "headers, interim answers included, of more than 64kB" in text
    assert "raise max_headers in [sources.events.http]" in text


def test_too_many_headers_are_told():
    text = told(endless(OK, b"X: y\r\n"))
    assert "headers that cannot be read: got more than 100 headers" in text


def test_interim_answers_are_skipped():
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with session_with(lambda _: [interim, OK, JSON]) as session:
        assert get(session) == []


@pytest.mark.parametrize(
    "speak",
    [
        lambda over: over.wait(30) and (),
        dripping(b""),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(OK + b"X: "),
        dripping(OK + b"Content-Length: 9999\r\n\r\n"),
        dripping(CHUNKED),
        dripping(CHUNKED, b"1\r\n \r\n"),
        dripping(CHUNKED + b"0\r\nX: "),
        dripping(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    ],
    ids=["silence", "status", "100", "header", "body", "size", "chunks", "trailer", "gzip"],
)
def test_an_answer_that_trickles_does_not_outlast_the_deadline(speak):
    with (
        session_with(speak, deadline=0.3) as session,
        pytest.raises(ApiError, match=r"takes longer than http\.deadline, 0\.3 s"),
    ):
        get(session)


@pytest.mark.parametrize("status", [b"503 Later", b"429 Too Many", b"200 OK"])
def test_a_pause_does_not_outlast_the_deadline(status):
    head = b"HTTP/1.1 %b\r\n" % status
    wait = b"Retry-After: 60\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 60\r\n"
    with (
        session_with(lambda _: [head, wait, JSON], deadline=0.3, max_retries=3) as session,
        pytest.raises(ApiError, match=r"http\.deadline"),
    ):
        get(session)
        get(session)


def test_redirects_without_end_end_at_their_bound():
    loop = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with (
        session_with(lambda _: [loop], max_redirects=5) as session,
        pytest.raises(ApiError, match=r"/x leads .* more than 5 times.*raise max_redirects"),
    ):
        get(session)
    assert session.traffic.requests == 6


def test_what_is_counted_is_what_came_over_the_wire():
    body = gzip.compress(b"[" + b" " * 100_000 + b"]")
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with session_with(lambda _: [head, body]) as session:
        assert get(session) == []
        assert session.traffic.bytes == len(head + body)
