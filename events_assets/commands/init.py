"""Finds out how an unknown API wants to be asked, for `events-assets init`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import requests
from dlt.sources.helpers.rest_client.utils import join_url

from events_assets.authentication import Authentication
from events_assets.commands import detect, findings, pages
from events_assets.commands.location import (
    NO_KEY,
    PLACES,
    KeyPlace,
    challenge,
    key_place,
    likeliest,
)
from events_assets.commands.report import NOTE, OK, Report, StopError
from events_assets.commands.toml_file import Description, inline
from events_assets.errors import ApiError
from events_assets.http.answer import Answer
from events_assets.http.explain import message_of
from events_assets.http.session import ApiSession
from events_assets.settings import HttpSettings


@dataclass
class Discovery:
    """The dialogue with an API; `report` hears each step of it.

    `place` is where the key goes; None: the common places are tried.
    """

    base_url: str
    path: str
    settings: HttpSettings
    authentication: Authentication
    report: Report
    place: KeyPlace | None = None

    def __post_init__(self) -> None:
        # A server error may be what the API thinks of a parameter; only these pass by waiting.
        self.settings = self.settings.model_copy(update={"retry_statuses": [429, 503]})

    def run(self) -> Description:
        """What was found out.

        Raises:
            StopError: it is too little to be written.
        """
        self._clean_address()
        scan: dict[str, Any] = {}
        try:
            place = self.accepted_place()
            self._require_answer(place)
            events = self._find_rows()
            endpoint: dict[str, Any] = {
                "path": self.path,
                "data_selector": events.selector,
                "headers": {},
                "params": {},
                "paginator": {},
            }
            pages.find_way(events, endpoint, self.report)
            pages.find_total(events, endpoint, scan, self.report)
        except ApiError as error:
            raise StopError("reachable", str(error)) from None
        return Description(
            client={"base_url": self.base_url, **(place or NO_KEY).client},
            endpoint={name: value for name, value in endpoint.items() if value},
            scan=scan,
            fields=self._find_fields(events.first_rows),
        )

    def accepted_place(self) -> KeyPlace | None:
        """The first place of the key that is accepted, None if none is.

        Raises:
            ApiError: the API cannot be reached.
        """
        places = [self.place or NO_KEY]
        for place in places:
            self._open(place)
            self.first = self.ask()
            if self.first.redirected:
                self.path = _path_after(self.first.url, self.base_url, self.path)
            if self.first.status not in (401, 403):
                return place
            if place is NO_KEY and self.authentication.has_key and not self.place:
                places += likeliest(self.first.headers)
        return None

    def ask(
        self, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer, whatever its status; what is worth a retry is asked again.

        Raises:
            ApiError: there is none, or it leads to another origin.
        """
        is_url = self.path.startswith(("http://", "https://"))
        url = self.path if is_url else join_url(self.base_url, self.path)
        sent = {**self.headers, **(headers or {})}
        request = requests.Request("GET", url, params=dict(params or {}), headers=sent)
        traffic = self.session.traffic
        before = traffic.requests
        try:
            return self.session.ask(request, lambda answer: answer, any_status=True)
        finally:
            self.report.requests += traffic.requests - before

    def _open(self, place: KeyPlace) -> None:
        """Opens a session that sends the key to a place."""

        def new_session(base_url: str, auth: Any = None) -> ApiSession:
            log, redaction = logging.getLogger("events_assets"), self.authentication.redaction
            return ApiSession(base_url, self.settings, redaction, log, auth=auth)

        sent = place.client if self.authentication.has_key else {}
        config: Any = {"client": {"base_url": self.base_url, **sent}, "resources": []}
        client: Any = self.authentication.fill(config)["client"]
        self.headers = client.get("headers", {})
        auth = self.authentication.of(client.get("auth"), new_session)
        self.session = new_session(self.base_url, auth)

    def _clean_address(self) -> None:
        """Takes out what asks for one page of the list, which would go along with every request, so
        that a load would begin there; and the key, which is to stand in no file. Other parameters
        stay, those of the base URL in the path."""
        self.base_url, _, base_query = self.base_url.partition("?")
        self.path, _, query = self.path.partition("?")
        kept: list[str] = []
        paging: list[str] = []
        for parameter in filter(None, f"{base_query}&{query}".split("&")):
            if self.authentication.redaction.text(parameter) != parameter:
                name = unquote_plus(parameter.partition("=")[0])
                self.place = self.place or key_place(f"query:{name}")
            else:
                (paging if _asks_for_a_page(parameter) else kept).append(parameter)
        self.path += f"?{'&'.join(kept)}" if kept else ""
        if paging:
            finding = f"{', '.join(paging)} left out: init finds out how pages are asked for"
            self.report.add(NOTE, "path", finding)

    def _require_answer(self, place: KeyPlace | None) -> None:
        status, words = self.first.status, message_of(self.first.body)
        refused = f"the API answers {status}" + (f' ("{words}")' if words else "")
        if place is None:
            raise StopError("key", refused + self._remedy())
        self.report.add(OK, "reachable", f"answered in {self.first.seconds:.1f} s")
        if not 200 <= status < 300:
            hint = ": nothing is at this path; check base URL and path" if status == 404 else ""
            raise StopError("answer", refused + hint)
        if not self.first.is_json:
            kind = self.first.headers.get("Content-Type", "").split(";")[0] or "something else"
            which = f"is {self.base_url} the API, or a page for people?"
            raise StopError("answer", f"the answer is {kind}, not JSON; {which}")
        finding = "the API answers without a key"
        if place.client:
            finding = f"accepted: {place.description}"
        elif self.authentication.has_key and not self.place:
            finding += ", so none is sent; --key-in says where to send it all the same"
        self.report.add(OK, "key", finding)

    def _remedy(self) -> str:
        """What to do where the key is accepted nowhere."""
        where = "API_KEY, or api_key in .dlt/secrets.toml"
        if not self.authentication.has_key:
            return f" and there is no key: set {where}"
        places = "; ".join(one.description for one in ([self.place] if self.place else PLACES))
        tried = places.replace("; the key ", "; ")
        check = f", with {tried}. Check the key ({where}), or say where it goes, like --key-in"
        if challenge(self.first.headers) == "basic":
            return f"{check} basic:USER: it asks for a user and a password"
        return f"{check} header:NAME"

    def _find_rows(self) -> pages.EventList:
        document = self.first.document
        lists = detect.lists_of_rows(document)
        tables = [path for path, rows in detect.lists_of_rows(document, list).items() if rows]
        selector, rows = next(iter(lists.items()), ("", []))
        key = detect.field_settings(rows).get("id")
        if tables and not key:
            finding = f'the rows at "{tables[0]}" are lists of values, not objects; ask for objects'
            raise StopError("rows", f"{finding} by a parameter of the API, in the path")
        if not lists:
            raise StopError("rows", "there is no list of objects in the answer; check the path")
        self.report.add(*findings.rows(document, len(rows), selector))
        return pages.EventList(self.ask, selector, (key or "id").strip("'"), self.first)

    def _find_fields(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Settings of the canonical fields that have other names, or are written otherwise."""
        if not rows:
            return {}
        found, row = detect.field_settings(rows), rows[0]
        known = [name for name in detect.CANONICAL if name in row or name in found]
        elsewhere = [n for n in known if n not in row or isinstance(found.get(n), dict)]
        settings = detect.only(found, elsewhere)
        places = ", ".join(f"{n} ← {inline(settings[n])}" if n in elsewhere else n for n in known)
        missing = ", ".join(name for name in detect.CANONICAL if name not in known)
        finding = f"{places or 'none'}; not found: {missing}" if missing else places
        self.report.add(NOTE if missing else OK, "fields", finding)
        return settings


def _asks_for_a_page(parameter: str) -> bool:
    """Whether a parameter, as it is written in a query, is one of paging; a date is none."""
    name, value = next(iter(parse_qsl(parameter)), ("", ""))
    number = value.isdecimal() and not detect.is_time(value)
    is_cursor = name in pages.CURSORS and name not in pages.SPANS
    return name in pages.PAGING and (number or is_cursor)


def _path_after(redirect: str, base_url: str, path: str) -> str:
    """The path that a redirect leads to, so that no further request is sent twice; the old one
    where another path would be another list."""
    base, (plain, mark, query) = urlsplit(base_url).path, path.partition("?")
    moved = "/" + urlsplit(redirect).path.removeprefix(base).lstrip("/")
    same = urlsplit(redirect).path.startswith(base) and moved.strip("/") == plain.strip("/")
    return moved + mark + query if same else path
