"""Finds out how an unknown API wants to be asked, for `events-assets init`.

Tries the common places of the key and the common names of paging parameters, and believes only
what answers: a parameter counts as understood when it changes the answer as it should.
"""

import copy
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlt.common import jsonpath
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, BearerTokenAuth, HttpBasicAuth

from events_assets import probe
from events_assets.asking import Answer, Api
from events_assets.report import FAILED, NOTE, OK, Report
from events_assets.transport.redaction import Redaction
from events_assets.transport.session import HttpSettings

PAGE = 100
"""Rows a page that are asked for; written as granted where it is less."""

SIZES = {
    "limit": ("offset", "page", "skip", "start"),
    "_limit": ("_start", "_page"),
    "per_page": ("page", "offset"),
    "page_size": ("page", "offset"),
    "pagination[limit]": ("pagination[start]",),
    "pagination[pageSize]": ("pagination[page]",),
    "size": ("page", "offset", "from"),
    "pageSize": ("page", "pageNumber"),
    "perPage": ("page",),
    "page[size]": ("page[number]",),
    "page[limit]": ("page[offset]",),
    "count": ("offset", "start", "page"),
    "take": ("skip",),
    "top": ("skip",),
    "$top": ("$skip",),
    "rows": ("start", "page"),
    "max_results": ("page", "start"),
    "pagelen": ("page",),
}
"""Names of the page size, and the names of positions that go with them, the likeliest first."""

OFFSETS = (
    *("offset", "skip", "start", "from", "_start", "$skip", "pagination[start]"),
    *("page[offset]", "startAt", "startIndex"),
)

CURSORS = (
    *("cursor", "after", "page_token", "pageToken", "next_token", "starting_after"),
    *("continuation", "continuation_token", "next_cursor", "page[after]", "since"),
)

COUNTS: tuple[dict[str, str], ...] = (
    {"meta": "*"},
    {"include_totals": "true"},
    {"with_count": "true"},
    {"count": "true"},
    {"$count": "true"},
)
"""Parameters by which some APIs are asked to count."""


@dataclass(frozen=True)
class KeyPlace:
    """A place for the key: in words, and as settings of `[sources.events.client]`."""

    told: str
    client: Mapping[str, Any] = field(default_factory=dict)

    def api(self, base_url: str, settings: HttpSettings, redaction: Redaction, key: str) -> Api:
        """The API, asked with the key in this place."""
        auth = self.client.get("auth", {})
        sent: Any = None
        if auth.get("type") == "api_key":
            sent = APIKeyAuth(name=auth["name"], api_key=key, location=auth["location"])
        elif auth.get("type") == "bearer":
            sent = BearerTokenAuth(token=key)
        elif auth.get("type") == "http_basic":
            user, password = (auth["username"], key) if "username" in auth else (key, "")
            redaction.add(b64encode(f"{user}:{password}".encode()).decode())
            sent = HttpBasicAuth(username=user, password=password)
        headers = {
            name: value.replace("{secrets.api_key}", key)
            for name, value in self.client.get("headers", {}).items()
        }
        return Api(base_url, settings, redaction, headers, sent)


NO_KEY = KeyPlace("no key")


def in_query(name: str = "api_key") -> KeyPlace:
    auth = {"type": "api_key", "name": name, "location": "query"}
    return KeyPlace(f"the key as query parameter {name}", {"auth": auth})


def in_header(name: str = "X-API-Key") -> KeyPlace:
    auth = {"type": "api_key", "name": name, "location": "header"}
    return KeyPlace(f"the key as header {name}", {"auth": auth})


def bearer() -> KeyPlace:
    return KeyPlace("the key as header Authorization: Bearer", {"auth": {"type": "bearer"}})


def authorization(scheme: str = "Token") -> KeyPlace:
    headers = {"Authorization": f"{scheme} {{secrets.api_key}}"}
    return KeyPlace(f"the key as header Authorization: {scheme}", {"headers": headers})


def basic(user: str = "") -> KeyPlace:
    if user:
        auth = {"type": "http_basic", "username": user}
        return KeyPlace(
            f"the key as password of {user}, by HTTP basic authentication", {"auth": auth}
        )
    told = "the key as user without password, by HTTP basic authentication"
    return KeyPlace(told, {"auth": {"type": "http_basic"}})


PLACES = (
    *(in_query(), bearer(), authorization(), in_header(), in_query("access_token")),
    *(in_query("token"), in_query("key"), in_query("apikey"), authorization("apikey"), basic()),
)


def key_place(text: str) -> KeyPlace | None:
    """The place that `--key-in` names: `query[:name]`, `header[:name]`, `basic[:user]`, `bearer`,
    `token` or `none`.

    Raises:
        ValueError: it names none.
    """
    kind, _, name = text.partition(":")
    if kind == "query":
        return in_query(name) if name else in_query()
    if kind == "header":
        return in_header(name) if name else in_header()
    if kind == "basic":
        return basic(name)
    if text in ("bearer", "token", "none"):
        return {"bearer": bearer(), "token": authorization(), "none": NO_KEY}[text]
    raise ValueError(text)


@dataclass
class Discovery:
    """Settings found, by their path below `sources.events`, told step by step to `report`."""

    base_url: str
    path: str
    settings: HttpSettings
    key: str | None
    redaction: Redaction
    report: Report
    place: KeyPlace | None = None

    def __post_init__(self) -> None:
        # A server error may be what the API thinks of a parameter; only these pass by waiting.
        self.settings = copy.copy(self.settings)
        self.settings.retry_statuses = [429, 503]
        self.client: dict[str, Any] = {"base_url": self.base_url}
        self.endpoint: dict[str, Any] = {"path": self.path}
        self.paginator: dict[str, Any] = {}
        self.scan: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self._apis: list[Api] = []
        self._linked: dict[str, int] = {}
        self._id_path = ""

    def run(self) -> bool:
        """Whether enough was found to be written.

        Raises:
            ApiError: the API cannot be reached.
        """
        try:
            if not self._enter() or not self._find_rows(self.first):
                return False
            self._find_paging(self.first)
            self._find_total()
            self._find_fields()
            return True
        finally:
            self.report.requests = self.asked

    @property
    def asked(self) -> int:
        """Requests sent so far."""
        return sum(api.asked for api in self._apis)

    def described(self) -> dict[str, Any]:
        """The endpoint as it is written."""
        params = {"params": self.params} if self.params else {}
        return {**self.endpoint, **params, "paginator": self.paginator}

    def get(self, **params: Any) -> Answer:
        return self.api.get(self.path, {**self.params, **params}, self.headers)

    def rows(self, answer: Answer) -> list[Any]:
        """The rows of an answer, none where it is no page."""
        selector = self.endpoint["data_selector"]
        found = probe.lists_of_rows(answer.document) if answer.succeeded else {}
        return found.get(selector, [])

    def accepted_place(self) -> KeyPlace | None:
        """The first place of the key that is accepted; `api` asks there from then on.

        Raises:
            ApiError: the API cannot be reached.
        """
        for place in [self.place] if self.place else [NO_KEY, *PLACES]:
            if place.client and not self.key:
                break
            self.api = place.api(self.base_url, self.settings, self.redaction, self.key or "")
            self._apis.append(self.api)
            self.first = self.api.get(self.path)
            if self.first.status not in (401, 403):
                return place
        return None

    def _enter(self) -> bool:
        """Whether the API lets us in, and answers."""
        place = self.accepted_place()
        if place is None:
            self.report.add(FAILED, "key", self._refused())
            return False
        self.report.add(OK, "reachable", f"answered in {self.first.seconds:.1f} s")
        if not self.first.succeeded:
            self.report.add(FAILED, "answer", refusal(self.first, self.base_url))
            return False
        self.client |= place.client
        told = f"accepted: {place.told}" if place.client else "the API answers without a key"
        if not place.client and self.key and not self.place:
            told += ", so none is sent; --key-in says where to send it all the same"
        self.report.add(OK, "key", told)
        return True

    def _refused(self) -> str:
        status = f"answers {self.first.status}" if self._apis else "was not asked"
        if not self.key:
            return f"the API {status} and there is no key: set API_KEY, or api_key in secrets.toml"
        tried = self.place.told if self.place else ", ".join(place.told for place in PLACES)
        return (
            f"the API {status} with {tried}: check the key (API_KEY, or api_key in "
            f".dlt/secrets.toml), or say where it goes, like --key-in header:NAME"
        )

    def _find_rows(self, answer: Answer) -> bool:
        lists = probe.lists_of_rows(answer.document)
        if not lists:
            told = "there is no list of objects in the answer; check the path"
            self.report.add(FAILED, "rows", told)
            return False
        selector, rows = next(iter(lists.items()))
        self.endpoint["data_selector"] = selector
        where = "the answer is the list" if selector == "$" else f'the list at "{selector}"'
        others = [path for path in lists if path != selector and lists[path]]
        told = f"{len(rows)} rows: {where}"
        told += f"; other lists are at: {', '.join(others[:5])}" if others else ""
        self.report.add(OK if rows else NOTE, "rows", told)
        self.first_rows = rows
        if "id" in (proposed := probe.field_proposals(rows)):
            self._id_path = str(proposed["id"].setting)
        return True

    def _find_paging(self, first: Answer) -> None:
        """Offsets are preferred, as their pages can touch; then links, cursors, page numbers."""
        rows = self.first_rows
        if len(rows) < 2:
            self.paginator = {"type": "single_page"}
            told = "too few rows to find out; set the paginator by hand when there are more"
            self.report.add(NOTE, "paging", told)
            return
        size, small = self._find_size(first)
        link = self._link_of(small) or self._link_of(first)
        if size and self._try_positions(size, [p for p in self._positions(size) if p in OFFSETS]):
            pass
        elif link:
            self.paginator = link
            self.params |= self._large(size)
            self.report.add(OK, "paging", f"links to the next page, {_place_of(link)}")
        elif self._try_cursors(small, size) or (
            size and self._try_positions(size, self._positions(size))
        ):
            pass
        else:
            self._give_up(first)

    def _link_of(self, answer: Answer) -> dict[str, Any]:
        links = probe.next_links(answer.document)
        if links:
            path, url = next(iter(links.items()))
            self._linked = probe.link_parameters(url)
            return {"type": "json_link", "next_url_path": path}
        if probe.header_link(answer.headers):
            self._linked = probe.link_parameters(probe.header_link_url(answer.headers))
            return {"type": "header_link"}
        return {}

    def _find_size(self, first: Answer) -> tuple[str, Answer]:
        """The parameter of the page size with an answer to a small page; empty if none counts."""
        self._link_of(first)
        wanted = self._small
        named = [name for name in self._linked if name in SIZES]
        for name in dict.fromkeys([*named, *SIZES]):
            answer = self.get(**{name: wanted})
            if len(self.rows(answer)) == wanted:
                self._link_of(answer)
                return name, answer
        return "", first

    @property
    def _small(self) -> int:
        return 2 if len(self.first_rows) > 4 else 1

    def _positions(self, size: str) -> list[str]:
        """Names of positions worth trying, those that the API's own links use first."""
        linked = [name for name in self._linked if name != size and not name.endswith("id")]
        return list(dict.fromkeys([*linked, *SIZES.get(size, ()), "offset", "page"]))

    def _try_positions(self, size: str, names: list[str]) -> bool:
        """Whether one of the names leads to another page: offsets by rows, or page numbers."""
        small = {size: self._small}
        before = self.rows(self.get(**small))
        for name in names:
            if name in OFFSETS:
                page = self.rows(self.get(**small, **{name: self._small}))
                if page and not self._shared(page, before):
                    self._set_offset(name, size)
                    return True
                continue
            one = self.rows(self.get(**small, **{name: 1}))
            two = self.rows(self.get(**small, **{name: 2}))
            if one and two and not self._shared(one, two):
                zero = self.rows(self.get(**small, **{name: 0}))
                base = 0 if zero and not self._shared(zero, one) else 1
                self._set_pages(name, size, base)
                return True
        return False

    def _set_offset(self, name: str, size: str) -> None:
        limit = self._large(size)[size]
        self.paginator = {"type": "offset", "limit": limit}
        if name != "offset":
            self.paginator["offset_param"] = name
        if size != "limit":
            self.paginator["limit_param"] = size
        self.report.add(OK, "paging", f"offsets: {name} and {size}, {limit} rows a page")

    def _set_pages(self, name: str, size: str, base: int) -> None:
        self.paginator = {"type": "page_number", "base_page": base}
        if name != "page":
            self.paginator["page_param"] = name
        self.params |= self._large(size)
        told = f"page numbers from {base}: {name} and {size}, {self.params[size]} rows a page"
        self.report.add(OK, "paging", told)

    def _large(self, size: str) -> dict[str, int]:
        """The page size to write: what is asked for, or what is granted of it."""
        if not size:
            return {}
        self.large = self.get(**{size: PAGE})
        granted = len(self.rows(self.large))
        if not granted:  # refused: as many as come by themselves are fine
            return {size: min(PAGE, len(self.first_rows))}
        total = max(self._totals(self.large).values(), default=0)
        full = total > granted or len(self.first_rows) > granted or self._continues(self.large)
        return {size: granted if granted < PAGE and full else PAGE}

    def _continues(self, answer: Answer) -> bool:
        return bool(
            probe.next_links(answer.document)
            or probe.header_link(answer.headers)
            or probe.cursors(answer.document)
            or any(
                jsonpath.find_values(path, answer.document) == [True]
                for path in probe.has_more_paths(answer.document)
            )
        )

    def _try_cursors(self, answer: Answer, size: str) -> bool:
        small = {size: self._small} if size else {}
        before = self.rows(answer)
        for path, cursor in probe.cursors(answer.document).items():
            names = dict.fromkeys([path.rpartition(".")[2], *CURSORS])
            for name in names:
                page = self.rows(self.get(**small, **{name: cursor}))
                if page and not self._shared(page, before):
                    self.paginator = {"type": "cursor", "cursor_path": path, "cursor_param": name}
                    self.params |= self._large(size)
                    told = f'cursors: {name} takes what is at "{path}"'
                    self.report.add(OK, "paging", told)
                    return True
        more = probe.has_more_paths(answer.document)
        last = before[-1].get("id") if before else None
        if more and last is not None:
            for name in ("starting_after", "after", "after_id", "since_id", "last_id"):
                page = self.rows(self.get(**small, **{name: last}))
                if page and not self._shared(page, before):
                    rows = self.endpoint["data_selector"]
                    self.paginator = {"type": "cursor", "cursor_path": f"{rows}[-1].id"}
                    self.paginator |= {"cursor_param": name, "has_more_path": more[0]}
                    self.params |= self._large(size)
                    told = f'{name} takes the id of the last row, "{more[0]}" says whether to go on'
                    self.report.add(OK, "paging", told)
                    return True
        return False

    def _shared(self, page: list[Any], other: list[Any]) -> bool:
        """Whether two pages have a row in common, though its other fields may have changed."""
        return not {*map(self._key, page)}.isdisjoint(map(self._key, other))

    def _key(self, row: Any) -> str:
        found = jsonpath.find_values(self._id_path, row) if self._id_path else []
        return repr(found or row)

    def _give_up(self, first: Answer) -> None:
        self.paginator = {"type": "single_page"}
        total = max(self._totals(first).values(), default=0)
        if total > len(self.first_rows) or self._continues(first):
            told = f"the API has more than these {len(self.first_rows)} rows"
            self.report.add(
                NOTE,
                "paging",
                f"{told}, but none of the known ways leads to them; set the paginator by hand",
            )
        else:
            self.report.add(OK, "paging", f"none found: all {len(self.first_rows)} rows at once")

    def _totals(self, answer: Answer) -> dict[str, int]:
        received = len(self.rows(answer))
        return probe.totals(answer.document, received) | probe.total_headers(
            answer.headers, received
        )

    def _find_total(self) -> None:
        """Where all rows are counted, if need be by a parameter that asks for it."""
        offset = self.paginator["type"] == "offset"
        for params, headers in self._ways_to_count():
            size = self.paginator.get("limit_param", "limit")
            limits = {size: self.paginator["limit"]} if offset else {}
            answer = self.api.get(
                self.path, {**self.params, **limits, **params}, {**self.headers, **headers}
            )
            received = len(self.rows(answer))
            if not received:
                continue
            self.large = answer if not params and not headers else self.large
            paths = probe.totals(answer.document, received)
            names = probe.total_headers(answer.headers, received)
            asked = f", asked for by {_first(params or headers)}" if params or headers else ""
            if paths or names:
                self.params |= params
                if headers:
                    self.endpoint["headers"] = headers
            if paths:
                path, total = next(iter(paths.items()))
                if not offset or path != "total":  # where offset paging looks by itself
                    table = self.paginator if offset else self.scan
                    table["total_path"] = path
                self.report.add(OK, "total", f'the API counts {total:,} rows at "{path}"{asked}')
                return
            if names:
                name, total = next(iter(names.items()))
                self.scan["total_header"] = name
                told = f"the API counts {total:,} rows in the header {name}{asked}"
                self.report.add(OK, "total", told)
                return
        told = "the API counts its rows nowhere; whether all came cannot be proven by a total"
        self.report.add(NOTE, "total", told)

    def _ways_to_count(self) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        yield {}, {}
        for params in COUNTS:
            yield params, {}
        yield {}, {"Prefer": "count=exact"}

    def _find_fields(self) -> None:
        rows = self.first_rows
        found = probe.field_proposals(rows)
        missing = []
        for name in probe.CANONICAL:
            if rows and isinstance(rows[0], dict) and name in rows[0]:
                if name in found and isinstance(found[name].setting, dict):
                    self.fields[name] = found[name].setting
            elif name in found:
                self.fields[name] = found[name].setting
                if found[name].language:
                    self.fields["language"] = found[name].language
            else:
                missing.append(name)
        if rows:
            told = ", ".join(
                f"{name} ← {_path(self.fields[name])}" if name in self.fields else name
                for name in probe.CANONICAL
                if name not in missing
            )
            if missing:
                told += f"; not found: {', '.join(missing)}"
            self.report.add(NOTE if missing else OK, "fields", told.lstrip("; "))


def refusal(answer: Answer, base_url: str) -> str:
    """Why an answer is none, in a sentence."""
    said = f' ("{answer.said}")' if answer.said else ""
    if 200 <= answer.status < 300:
        kind = probe.header(answer.headers, "content-type").split(";")[0] or "something else"
        return f"the answer is {kind}, not JSON; is {base_url} the API, or a page for people?"
    if answer.status == 404:
        return f"the API answers 404{said}: nothing is at this path; check base URL and path"
    return f"the API answers {answer.status}{said}"


def _first(table: Mapping[str, str]) -> str:
    return next(f"{name}={value}" for name, value in table.items())


def _path(setting: str | dict[str, str]) -> str:
    return setting if isinstance(setting, str) else f"{setting['path']} (Unix {setting['unit']})"


def _place_of(link: Mapping[str, Any]) -> str:
    path = link.get("next_url_path")
    return f'at "{path}"' if path else "in the header Link"
