"""A real event-management API on loopback, with made-up events: for the demo and the tests.

`GET /v1/events?api_key=&offset=&limit=` answers `{"data": [...], "total": N}`, events by start
time. `limit` is 100 at most. 401 without the key, 400 for what is no offset or limit, else 404.
"""

import json
import random
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

Event = dict[str, Any]

MAX_LIMIT = 100
EVENTS = 1200

KINDS = ("Conference", "Meetup", "Workshop", "Concert", "Hackathon", "Festival", "Lecture", "Fair")
TOPICS = (
    *("Data", "Jazz", "Rust", "Street Food"),
    *("Astronomía", "Café Culture", "量子计算", "Ökologie"),
)
CITIES = (
    ("Lisboa", "PT", 0),
    ("Zürich", "CH", 60),
    ("København", "DK", 60),
    ("São Paulo", "BR", -180),
    ("Kraków", "PL", 60),
    ("東京", "JP", 540),
    ("Bengaluru", "IN", 330),
    ("Austin", "US", -360),
)
HALLS = ("Halle", "Salón", "Café", "Arena")
TAGS = ("free", "outdoor", "family", "online", "beginner", "expert", "food", "music")


@dataclass
class Answer:
    """A response: a document to be sent as JSON, or bytes to be sent as they are."""

    status: int
    document: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class SampleApi:
    """A running API: where it is, what it holds, and what it was asked."""

    base_url: str
    key: str
    events: list[Event]
    paths: list[str] = field(default_factory=list)
    """Path and query of each request, in order."""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Body and headers of each request."""
    intercept: Callable[[int, str], Answer | None] = lambda _number, _path: None
    """May answer in place of the API; it gets the number of the request, from 1, and its path."""


def sample_events(count: int = EVENTS, today: datetime | None = None) -> list[Event]:
    """`count` events around today, from three months ago to six months ahead, by id.

    The same day gives the same events. An event without an end has `null`; one in twelve is
    cancelled; times have the offset of the event's city.
    """
    rng = random.Random(7)  # noqa: S311, made-up data
    today = (today or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    events = []
    for number in range(1, count + 1):
        city, country, minutes = rng.choice(CITIES)
        start = today + timedelta(days=rng.randint(-90, 180), minutes=15 * rng.randint(32, 84))
        start = start.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        end = start + timedelta(minutes=30 * rng.randint(1, 16))
        kind, topic = rng.choice(KINDS), rng.choice(TOPICS)
        past = start < today
        events.append(
            {
                "id": number,
                "event_name": f"{topic} {kind} {city}",
                "start_time": start.isoformat(),
                "end_time": None if rng.random() < 0.1 else end.isoformat(),
                "status": "cancelled" if rng.random() < 1 / 12 else "past" if past else "scheduled",
                "capacity": rng.choice([None, 20, 50, 120, 400, 2500]),
                "price": rng.choice([0.0, 0.0, 12.5, 35.0, 99.9]),
                "venue": {
                    "name": f"{rng.choice(HALLS)} {rng.randint(1, 30)}",
                    "city": city,
                    "country": country,
                },
                "organizer": {
                    "name": rng.choice(["Ada Núñez", "Łukasz Wójcik", "Mei 山田", "Priya Rao"]),
                    "email": f"organizer{rng.randint(1, 40)}@example.com",
                },
                "tags": rng.sample(TAGS, rng.randint(0, 3)),
            }
        )
    return events


@contextmanager
def serving(events: list[Event] | None = None, *, key: str | None = None) -> Iterator[SampleApi]:
    """Serves events on a free port of 127.0.0.1, with a random key, until the context ends."""
    with listening(_Handler) as (server, base_url):
        server.api = SampleApi(  # type: ignore[attr-defined]
            base_url=base_url,
            key=key or secrets.token_urlsafe(24),
            events=sample_events() if events is None else events,
        )
        yield server.api  # type: ignore[attr-defined]


@contextmanager
def listening(handler: type["Handler"]) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """A server on a free port of 127.0.0.1, with its URL, until the context ends."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that hang up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Keeps connections, and answers in JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms for its head to be received

    def received(self) -> bytes:
        """The body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, answer: Answer) -> None:
        body = answer.document
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.send_response(answer.status)
        for name, value in (headers | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing: a request line holds the key."""


class _Handler(Handler):
    def do_GET(self) -> None:
        api: SampleApi = self.server.api  # type: ignore[attr-defined]
        api.bodies.append(self.received())
        api.headers.append(dict(self.headers))
        api.paths.append(self.path)
        self.send(api.intercept(len(api.paths), self.path) or _answer(api, self.path))

    do_POST = do_GET  # noqa: N815


def _answer(api: SampleApi, path: str) -> Answer:
    url = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if url.path != "/v1/events":
        return Answer(404, {"error": f"nothing at {url.path}"})
    if not secrets.compare_digest(query.get("api_key", "").encode(), api.key.encode()):
        return Answer(401, {"error": "api_key is missing or wrong"})
    offset, limit = query.get("offset", "0"), query.get("limit", str(MAX_LIMIT))
    if not (offset.isdecimal() and limit.isdecimal() and int(limit) > 0):
        return Answer(400, {"error": "offset and limit are whole numbers, limit above 0"})
    start = int(offset)
    page = api.events[start : start + min(int(limit), MAX_LIMIT)]
    return Answer(200, {"data": page, "total": len(api.events)})
