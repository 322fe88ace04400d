"""Finds out how an unknown API wants to be asked, for `events-assets init`."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from events_assets.authentication import Authentication
from events_assets.commands import detect
from events_assets.commands.ask import Api
from events_assets.commands.location import NO_KEY, PLACES, KeyPlace, challenge, in_query, likeliest
from events_assets.commands.pages import (
    CURSORS,
    PAGING,
    SPANS,
    EventList,
    Total,
    Way,
    find_total,
    way_through,
)
from events_assets.commands.report import FAILED, NOTE, OK, Report, counted
from events_assets.commands.toml_file import Description
from events_assets.errors import ApiError
from events_assets.http.explain import message_of
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

    def run(self) -> Description | None:
        """What was found out, None where it is too little to be written."""
        self._clean_address()
        try:
            place = self.accepted_place()
            events = self._find_rows() if self._is_let_in(place) else None
            if place is None or events is None:
                return None
            way = way_through(events)
            self.report.add(OK if way.is_understood else NOTE, "paging", way.finding)
            total = find_total(events, way.params)
        except ApiError as error:
            self.report.add(FAILED, "reachable", str(error))
            return None
        self._report_total(total)
        client = {"base_url": self.base_url, **place.client}
        return Description(client, *_described(events, way, total), self._find_fields(events))

    def accepted_place(self) -> KeyPlace | None:
        """The first place of the key that is accepted, None if none is.

        Raises:
            ApiError: the API cannot be reached.
        """
        places = [self.place or NO_KEY]
        for place in places:
            sent = place.client if self.authentication.has_key else {}
            client = {"base_url": self.base_url, **sent}
            self.api = Api(client, self.authentication, self.settings, self.report)
            self.first = self.api.get(self.path)
            if self.first.redirected:
                self.path = _path_after(self.first.url, self.base_url, self.path)
            if self.first.status not in (401, 403):
                return place
            if place is NO_KEY and self.authentication.has_key and not self.place:
                places += likeliest(self.first.headers)
        return None

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
                self.place = self.place or in_query(unquote_plus(parameter.partition("=")[0]))
            else:
                (paging if _asks_for_a_page(parameter) else kept).append(parameter)
        self.path += f"?{'&'.join(kept)}" if kept else ""
        if paging:
            finding = f"{', '.join(paging)} left out: init finds out how pages are asked for"
            self.report.add(NOTE, "path", finding)

    def _is_let_in(self, place: KeyPlace | None) -> bool:
        add, status = self.report.add, self.first.status
        words = message_of(self.first.body)
        refused = f"the API answers {status}" + (f' ("{words}")' if words else "")
        if place is None:
            add(FAILED, "key", refused + self._remedy())
            return False
        add(OK, "reachable", f"answered in {self.first.seconds:.1f} s")
        if not 200 <= status < 300:
            hint = ": nothing is at this path; check base URL and path" if status == 404 else ""
            add(FAILED, "answer", refused + hint)
            return False
        if not self.first.is_json:
            kind = self.first.headers.get("Content-Type", "").split(";")[0] or "something else"
            which = f"is {self.base_url} the API, or a page for people?"
            add(FAILED, "answer", f"the answer is {kind}, not JSON; {which}")
            return False
        finding = "the API answers without a key"
        if place.client:
            finding = f"accepted: {place.description}"
        elif self.authentication.has_key and not self.place:
            finding += ", so none is sent; --key-in says where to send it all the same"
        add(OK, "key", finding)
        return True

    def _remedy(self) -> str:
        """What to do where the key is accepted nowhere."""
        where = "API_KEY, or api_key in .dlt/secrets.toml"
        if not self.authentication.has_key:
            return f" and there is no key: set {where}"
        tried = [self.place] if self.place else PLACES
        places = "; ".join(place.description for place in tried).replace("; the key ", "; ")
        check = f", with {places}. Check the key ({where}), or say where it goes, like"
        if challenge(self.first.headers) == "basic":
            return f"{check} --key-in basic:USER: it asks for a user and a password"
        return f"{check} --key-in header:NAME"

    def _find_rows(self) -> EventList | None:
        lists = detect.lists_of_rows(self.first.document)
        tables = [path for path, rows in detect.lists_of(list, self.first.document).items() if rows]
        selector, rows = next(iter(lists.items()), ("", []))
        key = detect.field_settings(rows).get("id")
        if not lists or (tables and not key):
            finding = "there is no list of objects in the answer; check the path"
            if tables:
                finding = (
                    f'the rows at "{tables[0]}" are lists of values, not objects; ask for objects '
                    f"by a parameter of the API, in the path"
                )
            self.report.add(FAILED, "rows", finding)
            return None
        where = "the answer is the list" if selector == "$" else f'the list at "{selector}"'
        others = [path for path in lists if path != selector and lists[path]]
        finding = f"{counted(len(rows), 'row')}: {where}"
        finding += f"; other lists are at: {', '.join(others[:5])}" if others else ""
        self.report.add(OK if rows else NOTE, "rows", finding)
        return EventList(self.api, self.path, selector, (key or "id").strip("'"), self.first)

    def _report_total(self, total: Total | None) -> None:
        if total is None:
            none = "the API counts its rows nowhere; whether all came cannot be proven by a total"
            self.report.add(NOTE, "total", none)
            return
        place = f"in the header {total.place}" if total.in_header else f'at "{total.place}"'
        finding = f"the API counts {counted(total.rows, 'row')} {place}"
        for name, value in [*(total.params or total.headers).items()][:1]:
            finding += f", asked for by {name}={value}"
        self.report.add(OK, "total", finding)

    def _find_fields(self, events: EventList) -> dict[str, Any]:
        if not events.first_rows:
            return {}
        found, row = detect.field_settings(events.first_rows), events.first_rows[0]
        renamed = [
            n
            for n in found
            if n in detect.CANONICAL and (n not in row or isinstance(found[n], dict))
        ]
        settings = detect.only(found, renamed)
        texts = [
            f"{name} ← {_path(settings[name])}" if name in settings else name
            for name in detect.CANONICAL
            if name in row or name in found
        ]
        missing = [name for name in detect.CANONICAL if name not in row and name not in found]
        parts = [", ".join(texts), f"not found: {', '.join(missing)}" if missing else ""]
        self.report.add(NOTE if missing else OK, "fields", "; ".join(filter(None, parts)))
        return settings


def _asks_for_a_page(parameter: str) -> bool:
    """Whether a parameter, as it is written in a query, is one of paging; a date is none."""
    name, value = next(iter(parse_qsl(parameter)), ("", ""))
    number = value.isdecimal() and not detect.is_time(value)
    return name in PAGING and (number or (name in CURSORS and name not in SPANS))


def _path_after(redirect: str, base_url: str, path: str) -> str:
    """The path that a redirect leads to, so that no further request is sent twice; the old one
    where another path would be another list."""
    base, (plain, mark, query) = urlsplit(base_url).path, path.partition("?")
    moved = "/" + urlsplit(redirect).path.removeprefix(base).lstrip("/")
    same = urlsplit(redirect).path.startswith(base) and moved.strip("/") == plain.strip("/")
    return moved + mark + query if same else path


def _described(
    events: EventList, way: Way, total: Total | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Endpoint and scan; a total stands where the paginator reads it, that of offsets, else in the
    scan's settings."""
    endpoint: dict[str, Any] = {"path": events.path, "data_selector": events.selector}
    paginator, params, scan = way.paginator, way.params, {}
    if total:
        params = params | total.params
        if total.headers:
            endpoint["headers"] = total.headers
        if total.in_header:
            scan = {"total_header": total.place}
        elif paginator["type"] != "offset":
            scan = {"total_path": total.place}
        elif total.place != "total":  # where offset paging looks by itself
            paginator = paginator | {"total_path": total.place}
    if params:
        endpoint["params"] = params
    return {**endpoint, "paginator": paginator}, scan


def _path(setting: str | dict[str, str]) -> str:
    return setting if isinstance(setting, str) else f"{setting['path']} (Unix {setting['unit']})"
