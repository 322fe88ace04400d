"""A server of many shapes: place of the key, style of paging, envelope, over real HTTP."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from events_assets.json_path import value_at
from events_assets.sample_api import Answer, Handler, listening

KEY = "key-of-the-tests"
Query = dict[str, str]


def rows(count: int = 23) -> list[dict[str, Any]]:
    """Events whose fields are canonical; each lasts a whole day in Vienna."""
    return [
        {
            "id": n,
            "event_name": f"Event {n}",
            "start_time": f"2026-05-{1 + n % 28:02}T00:00:00+02:00",
            "end_time": f"2026-05-{2 + n % 28:02}T00:00:00+02:00",
        }
        for n in range(1, count + 1)
    ]


Page = tuple[list[Any], dict[str, Any], dict[str, str]]
"""Rows, what stands beside them (left out where the answer is a bare list), headers."""
Paging = Callable[[list[Any], Query, str], Page]
"""Gets all rows, and the parameters: of the query, and of the body by their dotted paths."""


def offsets(position: str = "offset", size: str = "limit", most: int = 10, base: int = 0) -> Paging:
    def page(events: list[Any], query: Query, _url: str) -> Page:
        start = max(int(query.get(position, base)) - base, 0)
        return events[start : start + min(int(query.get(size, most)), most)], {}, {}

    return page


def pages(
    number: str = "page",
    size: str = "page_size",
    most: int = 10,
    base: int = 1,
    links: str = "",
    has_more: str = "",
) -> Paging:
    """Page numbers; `links`: `json` or `header` tells the next page as a URL too."""

    def page(events: list[Any], query: Query, url: str) -> Page:
        asked = max(int(query.get(number, base)), base)
        count = min(int(query.get(size, most)), most)
        start = (asked - base) * count
        more = start + count < len(events)
        following = f"{url}?{urlencode({**query, number: asked + 1})}" if more else None
        extra: dict[str, Any] = {has_more: more} if has_more else {}
        extra |= {"next": following, "previous": None} if links == "json" else {}
        headers = {"Link": f'<{following}>; rel="next"'} if links == "header" and more else {}
        return events[start : start + count], extra, headers

    return page


def cursors(
    param: str = "cursor", path: str = "meta.next_cursor", most: int = 10, header: str = ""
) -> Paging:
    """Cursors in the answer, or in a `header`, which is left out on the last page."""

    def page(events: list[Any], query: Query, _url: str) -> Page:
        start, count = int(query.get(param, "c0")[1:]), min(int(query.get("limit", most)), most)
        following = f"c{start + count}" if start + count < len(events) else None
        if header:
            return events[start : start + count], {}, {header: following} if following else {}
        extra: dict[str, Any] = {}
        put(extra, path, following)
        return events[start : start + count], extra, {}

    return page


def next_urls(header: str, most: int = 10) -> Paging:
    """The URL of the next page in a `header` of its own, which the last page does not have; the
    size of a page cannot be chosen."""

    def page(events: list[Any], query: Query, url: str) -> Page:
        start = int(query.get("at", "r0")[1:])
        following = f"{url}?{urlencode({**query, 'at': f'r{start + most}'})}"
        headers = {header: following} if start + most < len(events) else {}
        return events[start : start + most], {}, headers

    return page


def last_ids(most: int = 10) -> Paging:
    def page(events: list[Any], query: Query, _url: str) -> Page:
        last, count = query.get("starting_after"), min(int(query.get("limit", most)), most)
        start = [str(event["id"]) for event in events].index(last) + 1 if last else 0
        return events[start : start + count], {"has_more": start + count < len(events)}, {}

    return page


def whole(events: list[Any], _query: Query, _url: str) -> Page:
    """All rows at once."""
    return events, {}, {}


def shallow(deepest: int) -> Paging:
    """Offsets up to so many rows, of those that start from `from` on and before `until`."""

    def page(events: list[Any], query: Query, url: str) -> Page:
        spans = (
            query.get("from", "1970-01-01T00:00:00Z"),
            query.get("until", "2100-01-01T00:00:00Z"),
        )
        first, last = map(datetime.fromisoformat, spans)
        within = [
            row for row in events if first <= datetime.fromisoformat(row["start_time"]) < last
        ]
        if int(query["offset"]) + int(query["limit"]) > deepest:
            raise ValueError("too deep")
        return offsets(most=100)(within, query, url)[0], {"total": len(within)}, {}

    return page


def moment(text: str) -> datetime:
    """A time, in UTC where it does not say."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def since(
    paging: Paging,
    param: str = "updated_since",
    at: str = "updated_at",
    read: Callable[[str], Any] = moment,
    of_row: Callable[[str], Any] | None = None,
    is_inclusive: bool = True,
) -> Paging:
    """The rows whose value `at` a path, as `of_row` reads it, is not before what `read` makes of a
    parameter; or is after it, where that is not inclusive."""

    def page(events: list[Any], query: Query, url: str) -> Page:
        if param in query:
            asked = read(query[param])
            times = [(of_row or read)(str(value_at(at)(row))) for row in events]
            both = zip(times, events, strict=True)
            events = [row for time, row in both if time > asked or (is_inclusive and time == asked)]
        rows, document, headers = paging(events, query, url)
        return rows, {"total": len(events), **document}, headers

    return page


@dataclass
class Asked:
    """A request."""

    method: str
    base_url: str
    path: str
    query: Query
    headers: Mapping[str, str]
    body: Any

    def parameters(self) -> Query:
        """Those of the query, and those of the body by their dotted paths."""
        return {**self.query, **_flat(self.body)}

    def part(self, place: str) -> str | None:
        """What was sent at a place like `query:api_key`, `header:Accept` or `body:page.from`."""
        kind, _, name = place.partition(":")
        if kind == "cookie":
            cookie = SimpleCookie(self.headers.get("Cookie")).get(name)
            return cookie and cookie.value
        return {"query": self.query, "header": self.headers, "body": _flat(self.body)}[kind].get(
            name
        )


@dataclass
class Tokens:
    """OAuth 2 client credentials: each token is good for a few requests, then expires."""

    client: tuple[str, str] = ("client-of-the-tests", "secret-of-the-tests")
    good_for: int = 2
    issued: int = 0
    left: int = 0
    lock: Any = field(default_factory=Lock)

    def answer(self, asked: Asked) -> Answer:
        if tuple(asked.body.get(name) for name in ("client_id", "client_secret")) != self.client:
            return Answer(401, {"error": "invalid_client"})
        with self.lock:
            self.issued, self.left = self.issued + 1, self.good_for
            return Answer(200, {"access_token": f"token-{self.issued}-of-the-tests"})

    def allows(self, asked: Asked) -> bool:
        with self.lock:
            self.left -= 1
            known = f"Bearer token-{self.issued}-of-the-tests"
            return self.left >= 0 and asked.headers.get("Authorization") == known


@dataclass
class Quota:
    """So many requests in each period; headers tell how many are left, and when it ends."""

    requests: int
    seconds: float
    ends: float = 0.0
    left: int = 0
    lock: Any = field(default_factory=Lock)

    def take(self) -> tuple[bool, dict[str, str]]:
        """Whether one more request may pass, and the headers."""
        with self.lock:
            now = time.monotonic()
            if now >= self.ends:
                self.ends, self.left = now + self.seconds, self.requests
            self.left -= 1
            told = {"X-Calls-Left": max(self.left, 0), "X-Calls-Reset": max(self.ends - now, 0.0)}
            return self.left >= 0, {name: str(value) for name, value in told.items()}


@dataclass
class Shape:
    """How the server looks. `total`: path of the count in the answer, or `header:NAME`."""

    paging: Paging = field(default_factory=offsets)
    list_at: str = "data"
    total: str = "total"
    total_if: str = ""
    """A parameter without which nothing is counted."""
    key_in: str = ""
    """`query:NAME`, `cookie:NAME`, or `header:NAME:`, and what stands before the key."""
    path: str = "/events"
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    requires: dict[str, str] = field(default_factory=dict)
    """What must be sent at places like `query:sort`."""
    arrange: Callable[[list[Any]], Any] = list
    """The rows of a page as they stand in the answer."""
    absent_when_empty: bool = False
    tokens: Tokens | None = None
    quota: Quota | None = None

    def answer(self, events: list[Any], asked: Asked) -> Answer:
        passes, sent = self.quota.take() if self.quota else (True, {})
        if not passes:
            return Answer(429, {"detail": "too many requests"}, sent)
        if not self._knows(asked):
            return Answer(401, {"detail": "who are you?"}, self.headers)
        if asked.method != self.method or any(
            asked.part(place) != value for place, value in self.requires.items()
        ):
            return Answer(400, {"detail": "something else is required"})
        parameters = asked.parameters()
        url = asked.base_url + asked.path
        page, document, headers = self.paging(events, parameters, url)
        sent = {**self.headers, **sent, **headers}
        counts = not self.total_if or self.total_if in parameters
        if self.total.startswith("header:") and counts:
            sent[self.total.removeprefix("header:")] = str(len(events))
        elif self.total and counts and self.total not in document:
            put(document, self.total, len(events))
        if self.list_at == "$":
            return Answer(200, self.arrange(page), sent)
        if page or not self.absent_when_empty:
            put(document, self.list_at, self.arrange(page))
        return Answer(200, document, sent)

    def _knows(self, asked: Asked) -> bool:
        if self.tokens:
            return self.tokens.allows(asked)
        kind, _, place = self.key_in.partition(":")
        name, _, before = place.partition(":")
        return not kind or asked.part(f"{kind}:{name}") == before + KEY


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Puts a value at a dotted path."""
    *outer, last = path.split(".")
    for name in outer:
        document = document.setdefault(name, {})
    document[last] = value


def _flat(body: Any, before: str = "") -> Query:
    if not isinstance(body, dict):
        return {}
    flat: Query = {}
    for name, value in body.items():
        nested = _flat(value, f"{before}{name}.")
        flat |= nested or {f"{before}{name}": str(value)}
    return flat


class _Handler(Handler):
    def do_GET(self) -> None:  # noqa: N802
        served: Served = self.server.served  # type: ignore[attr-defined]
        served.paths.append(self.path)
        url = urlsplit(self.path)
        sent = self.received()
        is_json = "json" in self.headers.get("Content-Type", "")
        asked = Asked(
            self.command,
            served.base_url,
            url.path,
            dict(parse_qsl(url.query)),
            self.headers,  # type: ignore[arg-type]
            json.loads(sent) if is_json else dict(parse_qsl(sent.decode())),
        )
        answer = Answer(404, {"detail": "nothing here"})
        if url.path in served.routes:
            try:
                answer = served.routes[url.path](asked)
            except ValueError:
                answer = Answer(400, {"detail": "a parameter is wrong"})
        served.bodies += [sent.decode(), json.dumps(answer.document, default=repr)]
        self.send(answer)

    do_POST = do_GET  # noqa: N815


@dataclass
class Served:
    """A running server: what is at its paths, and what was asked and answered, in order."""

    base_url: str
    routes: dict[str, Callable[[Asked], Answer]]
    paths: list[str] = field(default_factory=list)
    """Path and query of each request."""
    bodies: list[str] = field(default_factory=list)
    """Of requests and answers."""


@contextmanager
def serving_routes(routes: dict[str, Callable[[Asked], Answer]]) -> Iterator[Served]:
    """Serves what is at some paths on a free port of 127.0.0.1."""
    with listening(_Handler) as (server, base_url):
        server.served = served = Served(base_url, routes)  # type: ignore[attr-defined]
        yield served


@contextmanager
def serving_shape(shape: Shape, events: list[Any] | None = None) -> Iterator[Served]:
    """Serves events in a shape on a free port of 127.0.0.1."""
    listed = events or rows()
    with serving_routes({shape.path: lambda asked: shape.answer(listed, asked)}) as served:
        yield served
