"""A server of many shapes: place of the key, style of paging, envelope, over real HTTP."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from events_assets.sample_api import Answer

KEY = "key-of-the-tests"
Query = dict[str, str]


def rows(count: int = 23) -> list[dict[str, Any]]:
    """Events whose fields are canonical."""
    return [
        {
            "id": n,
            "event_name": f"Event {n}",
            "start_time": f"2026-05-{1 + n % 28:02}T10:00:00+02:00",
            "end_time": f"2026-05-{1 + n % 28:02}T12:00:00+02:00",
        }
        for n in range(1, count + 1)
    ]


Page = tuple[list[Any], dict[str, Any], dict[str, str]]
"""Rows, what stands beside them (left out where the answer is a bare list), headers."""
Paging = Callable[[list[Any], Query, str], Page]


def offsets(position: str = "offset", size: str = "limit", most: int = 10) -> Paging:
    def page(events: list[Any], query: Query, _url: str) -> Page:
        start, count = int(query.get(position, 0)), int(query.get(size, most))
        return events[start : start + min(count, most)], {}, {}

    return page


def pages(
    number: str = "page", size: str = "page_size", most: int = 10, base: int = 1, links: str = ""
) -> Paging:
    """Page numbers; `links`: `json` or `header` tells the next page as a URL too."""

    def page(events: list[Any], query: Query, url: str) -> Page:
        asked = max(int(query.get(number, base)), base)
        count = min(int(query.get(size, most)), most)
        start = (asked - base) * count
        more = start + count < len(events)
        following = f"{url}?{urlencode({**query, number: asked + 1})}" if more else None
        extra = {"next": following, "previous": None} if links == "json" else {}
        headers = {"Link": f'<{following}>; rel="next"'} if links == "header" and more else {}
        return events[start : start + count], extra, headers

    return page


def cursors(param: str = "cursor", path: str = "next_cursor", most: int = 10) -> Paging:
    def page(events: list[Any], query: Query, _url: str) -> Page:
        start, count = int(query.get(param, "c0")[1:]), min(int(query.get("limit", most)), most)
        following = f"c{start + count}" if start + count < len(events) else None
        return events[start : start + count], {"meta": {path: following}}, {}

    return page


def last_ids(most: int = 10) -> Paging:
    def page(events: list[Any], query: Query, _url: str) -> Page:
        last, count = query.get("starting_after"), min(int(query.get("limit", most)), most)
        start = [str(event["id"]) for event in events].index(last) + 1 if last else 0
        return events[start : start + count], {"has_more": start + count < len(events)}, {}

    return page


@dataclass
class Shape:
    """How the server looks. `total`: path of the count in the answer, or `header:NAME`."""

    paging: Paging = field(default_factory=offsets)
    list_at: str = "data"
    total: str = "total"
    total_if: str = ""
    """A parameter without which nothing is counted."""
    key_in: str = ""
    """`query:NAME`, or `header:NAME:`, and a scheme: `header:Authorization:Token `."""
    path: str = "/events"
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, events: list[Any], url: str, query: Query, headers: Any) -> Answer:
        if not self._allows(query, headers):
            return Answer(401, {"detail": "who are you?"})
        page, document, headers = self.paging(events, query, url)
        sent = {**self.headers, **headers}
        counts = not self.total_if or self.total_if in query
        if self.total.startswith("header:") and counts:
            sent[self.total.removeprefix("header:")] = str(len(events))
        elif self.total and counts:
            _put(document, self.total, len(events))
        if self.list_at == "$":
            return Answer(200, page, sent)
        _put(document, self.list_at, page)
        return Answer(200, document, sent)

    def _allows(self, query: Query, headers: Any) -> bool:
        kind, _, place = self.key_in.partition(":")
        name, _, before = place.partition(":")
        sent = query.get(name) if kind == "query" else headers.get(name)
        return not kind or sent == before + KEY


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        document = document.setdefault(name, {})
    document[last] = value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        served: Served = self.server.served  # type: ignore[attr-defined]
        served.paths.append(self.path)
        url = urlsplit(self.path)
        answer = Answer(404, {"detail": "nothing here"})
        if url.path == served.shape.path:
            try:
                here, query = served.base_url + url.path, dict(parse_qsl(url.query))
                answer = served.shape.answer(served.events, here, query, self.headers)
            except ValueError:
                answer = Answer(400, {"detail": "a parameter is wrong"})
        body = json.dumps(answer.document).encode()
        self.send_response(answer.status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {**sent, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


@dataclass
class Served:
    """A running server: where it is, what it holds, and the path and query of each request."""

    base_url: str
    shape: Shape
    events: list[Any]
    paths: list[str] = field(default_factory=list)


@contextmanager
def serving_shape(shape: Shape, events: list[Any] | None = None) -> Iterator[Served]:
    """Serves events in a shape on a free port of 127.0.0.1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        served = Served(f"http://127.0.0.1:{server.server_port}", shape, events or rows())
        server.served = served  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
