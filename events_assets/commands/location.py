"""Where APIs commonly take their key, in words and as settings of `[sources.events.client]`, and
how an API is asked with the key in such a place."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import click
import requests
from requests.structures import CaseInsensitiveDict

from events_assets.authentication import Authentication
from events_assets.commands import detect
from events_assets.commands.report import NOTE, QUIET, Report, Step
from events_assets.http.answer import Answer
from events_assets.http.session import ApiSession
from events_assets.paging.base import in_query
from events_assets.scan.list_request import url_of
from events_assets.settings import HttpSettings

THE_KEY = "{secrets.api_key}"


@dataclass(frozen=True)
class KeyPlace:
    """A place for the key: in words, and as settings of `[sources.events.client]`."""

    description: str
    client: Mapping[str, Any] = field(default_factory=dict)


NO_KEY = KeyPlace("no key")

HEADER = re.compile(r"\b(?!www-)[a-z]+(?:-[a-z]+)*-(?:key|token)\b", re.IGNORECASE)
"""What an API that refuses may call the header of its key."""
QUOTED = 2_000
"""Bytes of its words that are looked at."""


def key_place(text: str) -> KeyPlace:
    """The place that `--key-in` names.

    Raises:
        BadParameter: it names none.
    """
    auth: dict[str, str]
    kind, _, name = text.partition(":")
    match kind, name:
        case "none", "":
            return NO_KEY
        case "bearer", "":
            words, auth = "header Authorization: Bearer", {"type": "bearer"}
        case "token" | "apikey", "":
            scheme = {"token": "Token"}.get(kind, kind)
            headers = {"Authorization": f"{scheme} {THE_KEY}"}
            return KeyPlace(f"the key as header Authorization: {scheme}", {"headers": headers})
        case "query" | "header", _:
            name = name or {"query": "api_key", "header": "X-API-Key"}[kind]
            words = f"{'query parameter' if kind == 'query' else kind} {name}"
            auth = {"type": "api_key", "name": name, "location": kind}
        case "basic", _:
            words = f"{f'password of {name}' if name else 'user name'} (HTTP basic)"
            user, password = (name, THE_KEY) if name else (THE_KEY, "")
            auth = {"type": "http_basic", "username": user, "password": password}
        case _:
            names = "query, query:NAME, header, header:NAME, bearer, token, basic, basic:USER"
            raise click.BadParameter(f"write {names} or none")
    return KeyPlace(f"the key as {words}", {"auth": auth})


COMMON = (
    *("query", "bearer", "token", "header", "query:access_token", "query:token", "query:key"),
    *("query:apikey", "apikey", "basic"),
)
PLACES = [*map(key_place, COMMON)]


def challenge(refused: Mapping[str, str]) -> str:
    """The scheme that the headers of a refusal ask for (RFC 9110 11.6.1), in lower case."""
    asked_for = CaseInsensitiveDict(refused).get("WWW-Authenticate", "")
    return asked_for.partition(" ")[0].lower()


def likeliest(refused: Mapping[str, str], body: bytes = b"") -> list[KeyPlace]:
    """The places where a refusal, its headers and its body, may want the key: headers that it
    names, then the common places, first those that it asks for."""
    asked_for = CaseInsensitiveDict(refused).get("WWW-Authenticate", "")
    words = asked_for + " " + body[:QUOTED].decode(errors="replace")
    named = [key_place(f"header:{name}") for name in dict.fromkeys(HEADER.findall(words))]
    scheme = challenge(refused)
    common = sorted(PLACES, key=lambda p: scheme not in re.findall(r"\w+", p.description.lower()))
    return [*named, *common]


@dataclass
class Dialogue:
    """Asks an API for a list, with the key in the place that it accepts; `report` counts requests.
    A context that closes its session.

    `place` is where the key goes; None: the common places are tried. `method` is that of requests;
    parameters of a POST go into its `body`, those of GraphQL to its variables. `few_rows` are the
    parameters of the first request, `given` those of the address that each GET has, if with no
    other value.
    """

    base_url: str
    path: str
    settings: HttpSettings
    authentication: Authentication
    report: Report
    place: KeyPlace | None = None
    method: str = "GET"
    body: Any = None
    few_rows: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A server error may be what the API thinks of a parameter; only these pass by waiting.
        self.settings = self.settings.model_copy(update={"retry_statuses": [429, 503]})
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def accepted_place(self) -> KeyPlace | None:
        """The first place of the key with which rows come; else, as an empty list or a strange
        request may mean that the key was not understood, the first one that is not refused. None
        if all are. `first` is the answer then, `tried` are the places.

        Raises:
            ApiError: the API cannot be reached.
        """
        self.tried = [self.place or NO_KEY]
        doubtful: tuple[KeyPlace, Answer] | None = None
        for place in self.tried:
            self._open(place)
            self.first = self._begun()
            if self.first.redirected:
                self.path = _path_after(self.first.url, self.base_url, self.path)
            if has_rows(self.first):
                return place
            if self.first.status not in (401, 403) and not doubtful:
                doubtful = place, self.first
            if place is NO_KEY and self.authentication.has_key and not self.place:
                self.tried += likeliest(self.first.headers, self.first.body)
        if doubtful and doubtful[0] is not place:
            self._open(doubtful[0])
        found, self.first = doubtful or (None, self.first)
        return found

    def _begun(self) -> Answer:
        """The first answer: to a request for a few rows, if parameters for that are allowed."""
        for _ in range(2):
            answer = self.ask(self.few_rows)
            if answer.status != 405 or self.method != "GET" or not allows_post(answer):
                break
            self.method, self.few_rows = "POST", {}
            told = "the API refuses GET (405), so it is asked by POST, with {}"
            self.report.add(Step(NOTE, "method", told))
        if has_rows(answer) or answer.status in (401, 403) or not self.few_rows:
            return answer
        plain = self.ask()  # perhaps one of the parameters is taken for something else
        self.few_rows = {} if has_rows(plain) else self.few_rows
        return plain

    def ask(self, params: Mapping[str, Any] = {}, headers: Mapping[str, str] = {}) -> Answer:
        """The answer, whatever its status; what is worth a retry is asked again.

        Raises:
            ApiError: there is none, or it leads to another origin.
        """
        url, sent = url_of(self.base_url, self.path), {**self.headers, **headers}
        sends_body = self.method != "GET"
        json = merged_in(self.body, params) if sends_body else None
        query = {n: in_query(v) for n, v in {**self.given, **params}.items() if not sends_body}
        request = requests.Request(self.method, url, params=query, headers=sent, json=json)
        traffic = self.session.traffic
        before = traffic.requests, traffic.retries
        try:
            return self.session.ask(request, lambda answer: answer, any_status=True)
        finally:
            self.report.count(traffic, *before)

    def _open(self, place: KeyPlace) -> None:
        """Opens a session that sends the key to a place."""

        def new_session(base_url: str, auth: Any = None) -> ApiSession:
            redaction = self.authentication.redaction
            return ApiSession(base_url, self.settings, redaction, QUIET, auth=auth)

        sent = place.client if self.authentication.has_key else {}
        config: Any = {"client": {"base_url": self.base_url, **sent}, "resources": []}
        client: Any = self.authentication.fill(config)["client"]
        self.headers = client.get("headers", {})
        auth = self.authentication.of(client.get("auth"), new_session)
        self._opened.close()
        self.session = self._opened.enter_context(new_session(self.base_url, auth))


def has_rows(answer: Answer) -> bool:
    """Whether an answer is a success with rows in it."""
    is_success = 200 <= answer.status < 300 and answer.is_json
    return is_success and any(one.rows for one in detect.listed(answer.document))


def allows_post(refused: Answer) -> bool:
    """Whether an answer that refuses a method does not refuse POST, too (RFC 9110 15.5.6)."""
    return "POST" in refused.headers.get("Allow", "POST").upper()


def inside(body: Any) -> str:
    """Where parameters go in the body of a request, as the beginning of a path."""
    return "variables." if isinstance(body, dict) and "query" in body else ""


def merged_in(body: Any, params: Mapping[str, Any]) -> Any:
    """A body with parameters where they go; none of both is a body, too."""
    body = deepcopy(body) if isinstance(body, dict) else {}
    target = body.setdefault("variables", {}) if inside(body) else body
    target.update(params)
    return body


def _path_after(redirect: str, base_url: str, path: str) -> str:
    """The path that a redirect leads to, so that no further request is sent twice; the old one
    where another path would be another list."""
    base, (plain, mark, query) = urlsplit(base_url).path, path.partition("?")
    moved = "/" + urlsplit(redirect).path.removeprefix(base).lstrip("/")
    same = urlsplit(redirect).path.startswith(base) and moved.strip("/") == plain.strip("/")
    return moved + mark + query if same else path
