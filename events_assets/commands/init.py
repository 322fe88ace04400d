"""Finds out how an unknown API wants to be asked, for `events-assets init`.

Tries the common places of the key and the common names of paging parameters, and believes only
what answers: a parameter counts as understood when it changes the answer as it should.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from dlt.common import jsonpath

from events_assets.authentication import Authentication
from events_assets.commands import detect
from events_assets.commands.ask import Answer, Api
from events_assets.commands.detect import header
from events_assets.commands.location import NO_KEY, PLACES, KeyPlace, in_query, likeliest
from events_assets.commands.report import FAILED, NOTE, OK, Report, counted
from events_assets.settings import HttpSettings

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

NUMBERS = ("page", "_page", "pageNumber", "page_number", "page[number]", "p")

CURSORS = (
    *("cursor", "after", "page_token", "pageToken", "next_token", "starting_after"),
    *("continuation", "continuation_token", "next_cursor", "page[after]", "since", "from"),
)

PAGING = {*SIZES, *chain(*SIZES.values()), *OFFSETS, *NUMBERS, *CURSORS}
"""All names of parameters that ask for one page."""

SPANS = ("after", "since", "from")
"""Names of cursors that may as well ask for a span of time."""

COUNTS: tuple[dict[str, str], ...] = (
    {"meta": "*"},
    {"include_totals": "true"},
    {"with_count": "true"},
    {"count": "true"},
    {"$count": "true"},
)
COUNT_HEADER = {"Prefer": "count=exact"}
"""Parameters and a header by which some APIs are asked to count."""


@dataclass
class Discovery:
    """Settings found, by their path below `sources.events`, told step by step to `report`."""

    base_url: str
    path: str
    settings: HttpSettings
    authentication: Authentication
    report: Report
    place: KeyPlace | None = None

    def __post_init__(self) -> None:
        # A server error may be what the API thinks of a parameter; only these pass by waiting.
        self.settings = copy.copy(self.settings)
        self.settings.retry_statuses = [429, 503]
        self.client: dict[str, Any] = {"base_url": self.base_url}
        self.endpoint: dict[str, Any] = {}
        self.paginator: dict[str, Any] = {}
        self.scan: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self.size = ""
        """The parameter of the page size, empty if there is none."""
        self._apis: list[Api] = []
        self._linked: dict[str, int] = {}

    def run(self) -> bool:
        """Whether enough was found to be written.

        Raises:
            ApiError: the API cannot be reached.
        """
        self._clean_url()
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
        return {"path": self.path, **self.endpoint, **params, "paginator": self.paginator}

    def get(self, **params: Any) -> Answer:
        return self.api.get(self.path, {**self.params, **params})

    def rows(self, answer: Answer) -> list[Any]:
        """The rows of an answer, none where it is no page."""
        selector = self.endpoint["data_selector"]
        found = detect.lists_of_rows(answer.document) if answer.succeeded else {}
        return found.get(selector, [])

    def _shared(self, page: list[Any], other: list[Any]) -> bool:
        """Whether two pages have a row in common; by its id, as all else may change."""
        ids = [row.get(self.id, row) for row in page]
        return any(row.get(self.id, row) in ids for row in other)

    def accepted_place(self) -> KeyPlace | None:
        """The first place of the key that is accepted; `api` asks there from then on.

        Raises:
            ApiError: the API cannot be reached.
        """
        places = [self.place or NO_KEY]
        for place in places:
            sent = place.client if self.authentication.has_key else {}
            client = {"base_url": self.base_url, **sent}
            self.api = Api(client, self.authentication, self.settings)
            self._apis.append(self.api)
            self.first = self.api.get(self.path)
            self._follow(self.first)
            if self.first.status not in (401, 403):
                return place
            if place is NO_KEY and self.authentication.has_key and not self.place:
                places += likeliest(self.first.headers)
        return None

    def _follow(self, answer: Answer) -> None:
        """Takes the path that the API redirects to, so that no further request is sent twice."""
        base, (path, mark, query) = urlsplit(self.base_url).path, self.path.partition("?")
        moved = urlsplit(answer.redirected_to).path
        if moved.startswith(base) and "://" not in path:
            moved = "/" + moved.removeprefix(base).lstrip("/")
            if moved.strip("/") == path.strip("/"):  # elsewhere is another API
                self.path = moved + mark + query

    def _clean_url(self) -> None:
        """Takes out of the URL what asks for one page of the list, which would go along with every
        request, so that a load would begin there; and the key, which is to stand in no file. Other
        parameters stay, those of the base URL in the path."""
        self.base_url, _, base_query = self.base_url.partition("?")
        self.client["base_url"] = self.base_url
        path, _, query = self.path.partition("?")
        kept: list[str] = []
        paging: list[str] = []
        for parameter in filter(None, f"{base_query}&{query}".split("&")):
            if self.authentication.redaction.text(parameter) != parameter:
                self.place = self.place or in_query(unquote_plus(parameter.partition("=")[0]))
            else:
                (paging if _asks_for_a_page(parameter) else kept).append(parameter)
        self.path = "?".join([path, "&".join(kept)] if kept else [path])
        if paging:
            told = f"{', '.join(paging)} left out: init finds out how pages are asked for"
            self.report.add(NOTE, "path", told)

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
        if not place.client and self.authentication.has_key and not self.place:
            told += ", so none is sent; --key-in says where to send it all the same"
        self.report.add(OK, "key", told)
        return True

    def _refused(self) -> str:
        status = f"the API answers {self.first.status}{_quoted(self.first)}"
        if not self.authentication.has_key:
            return f"{status} and there is no key: set API_KEY, or api_key in .dlt/secrets.toml"
        tried = [place.told for place in ([self.place] if self.place else PLACES)]
        told = f"{status}, with {'; '.join(tried)}".replace("; the key ", "; ")
        if header(self.first.headers, "www-authenticate").lower().startswith("basic"):
            return (
                f"{told}. It asks for a user and a password: give --key-in basic:USER, and the "
                f"password as the key (API_KEY, or api_key in .dlt/secrets.toml)"
            )
        return (
            f"{told}. Check the key (API_KEY, or api_key in .dlt/secrets.toml), or say where it "
            f"goes, like --key-in header:NAME"
        )

    def _find_rows(self, answer: Answer) -> bool:
        lists = detect.lists_of_rows(answer.document)
        selector, rows = next(iter(lists.items()), ("", []))
        fields = detect.field_proposals(rows)
        tables = detect.lists_of_lists(answer.document)
        if not lists or (tables and not fields.get("id")):
            told = "there is no list of objects in the answer; check the path"
            if tables:
                told = (
                    f'the rows at "{tables[0]}" are lists of values, not objects; ask for objects '
                    f"by a parameter of the API, in the path"
                )
            self.report.add(FAILED, "rows", told)
            return False
        self.endpoint["data_selector"] = selector
        where = "the answer is the list" if selector == "$" else f'the list at "{selector}"'
        others = [path for path in lists if path != selector and lists[path]]
        told = f"{counted(len(rows), 'row')}: {where}"
        told += f"; other lists are at: {', '.join(others[:5])}" if others else ""
        self.report.add(OK if rows else NOTE, "rows", told)
        self.first_rows = rows
        self.id = str(fields["id"].setting).strip("'") if "id" in fields else "id"
        return True

    def _find_paging(self, first: Answer) -> None:
        """Offsets are preferred, as their pages can touch; then links, cursors, page numbers."""
        if len(self.first_rows) < 2:
            self.paginator = self._link_of(first) or {"type": "auto"}
            told = "too few rows to find out; run init once more when there are more"
            self.report.add(NOTE, "paging", told)
            return
        self._find_size(first)
        link = self._link_of(self.little) or self._link_of(first)
        if self.size and self._try_positions([p for p in self._positions() if p in OFFSETS]):
            pass
        elif link:
            self.paginator = link
            self.params |= self._large()
            self.report.add(OK, "paging", f"links to the next page, {_place_of(link)}")
        elif not self._try_cursors() and not self._try_positions(self._positions()):
            self._give_up(first)

    def _link_of(self, answer: Answer) -> dict[str, Any]:
        paginator, url = detect.link_to_next(answer.document, answer.headers)
        if paginator:
            self._linked = detect.link_parameters(url)
        return paginator

    def _find_size(self, first: Answer) -> None:
        """Finds the parameter of the page size; `little` is the answer to a small page."""
        self._link_of(first)
        self.little = first
        names = [*(name for name in self._linked if name in SIZES), *SIZES]
        wanted = 2 if len(self.first_rows) > 4 else 1
        all_at_once = self.get(**dict.fromkeys(names, wanted))
        if len(self.rows(all_at_once)) == len(self.first_rows):
            return
        for name in dict.fromkeys(names):
            answer = self.get(**{name: wanted})
            if len(self.rows(answer)) == wanted:
                self.size, self.little = name, answer
                self._link_of(answer)
                return

    @property
    def _small(self) -> dict[str, int]:
        """Asks for a small page, where there is a way to ask."""
        return {self.size: len(self.rows(self.little))} if self.size else {}

    def _positions(self) -> list[str]:
        """Names of positions worth trying, those that the API's own links use first."""
        if not self.size:  # an offset cannot do without one, the number of a page can
            second = self.rows(self.get(**dict.fromkeys(NUMBERS, 2)))
            names = NUMBERS if second else NUMBERS[:2]  # none: all at once was too much
            return [] if self._shared(second, self.first_rows) else list(names)
        linked = [name for name in self._linked if name != self.size and not name.endswith("id")]
        return list(dict.fromkeys([*linked, *SIZES.get(self.size, ()), "offset", "page"]))

    def _try_positions(self, names: list[str]) -> bool:
        """Whether one of the names leads to another page: offsets by rows, or page numbers."""
        small, before = self._small, self.rows(self.little)
        for name in names:
            if name in OFFSETS:
                page = self.rows(self.get(**small, **{name: len(before)}))
                if page and not self._shared(page, before):
                    self._set_offset(name)
                    return True
                continue
            one = self.rows(self.get(**small, **{name: 1}))
            two = self.rows(self.get(**small, **{name: 2})) if one else []
            if two and not self._shared(one, two):
                zero = self.rows(self.get(**small, **{name: 0}))
                base = 0 if zero and not self._shared(zero, one) else 1
                self._set_pages(name, base)
                return True
        return False

    def _set_offset(self, name: str) -> None:
        size = self.size
        limit = self._large()[size]
        self.paginator = {"type": "offset", "limit": limit}
        if name != "offset":
            self.paginator["offset_param"] = name
        if size != "limit":
            self.paginator["limit_param"] = size
        self.report.add(OK, "paging", f"offsets: {name} and {size}, {limit} rows a page")

    def _set_pages(self, name: str, base: int) -> None:
        self.paginator = {"type": "page_number", "base_page": base}
        if name != "page":
            self.paginator["page_param"] = name
        large = self._large()
        self.params |= large
        told = f"page numbers from {base}: {name}"
        told += f" and {self.size}, {large[self.size]} rows a page" if large else ""
        self.report.add(OK, "paging", told)

    def _large(self) -> dict[str, int]:
        """The page size to write: what is asked for, or what is granted of it."""
        if not self.size:
            return {}
        answer = self.get(**{self.size: PAGE})
        granted = len(self.rows(answer))
        if not granted:  # refused: as many as come by themselves are fine
            return {self.size: min(PAGE, len(self.first_rows))}
        total = max(self._totals(answer).values(), default=0)
        full = total > granted or len(self.first_rows) > granted or self._continues(answer)
        return {self.size: granted if granted < PAGE and full else PAGE}

    def _continues(self, answer: Answer) -> bool:
        return bool(
            detect.link_to_next(answer.document, answer.headers)[0]
            or detect.cursors(answer.document)
            or any(
                jsonpath.find_values(path, answer.document) == [True]
                for path in detect.has_more_paths(answer.document)
            )
        )

    def _try_cursors(self) -> bool:
        answer, small = self.little, self._small
        before = self.rows(answer)
        for path, cursor in detect.cursors(answer.document).items():
            names = dict.fromkeys([path.rpartition(".")[2], *CURSORS])
            for name in names:
                page = self.rows(self.get(**small, **{name: cursor}))
                if page and not self._shared(page, before):
                    self.paginator = {"type": "cursor", "cursor_path": path, "cursor_param": name}
                    self.params |= self._large()
                    told = f'cursors: {name} takes what is at "{path}"'
                    self.report.add(OK, "paging", told)
                    return True
        more = detect.has_more_paths(answer.document)
        last = before[-1].get(self.id) if before else None
        if more and last is not None:
            for name in ("starting_after", "after", "after_id", "since_id", "last_id"):
                page = self.rows(self.get(**small, **{name: last}))
                if page and not self._shared(page, before):
                    rows = self.endpoint["data_selector"]
                    self.paginator = {"type": "cursor", "cursor_path": f"{rows}[-1].{self.id}"}
                    self.paginator |= {"cursor_param": name, "has_more_path": more[0]}
                    self.params |= self._large()
                    told = f'{name} takes the id of the last row, "{more[0]}" says whether to go on'
                    self.report.add(OK, "paging", told)
                    return True
        return False

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
        """Where all rows seem to be counted: no less than came in the first answer, however few
        are in this one; if just as many, there must be no more."""
        came = max(len(self.first_rows), len(self.rows(answer)))
        found = detect.totals(answer.document, came) | detect.total_headers(answer.headers, came)
        more = self._continues(answer)
        return {place: total for place, total in found.items() if total > came or not more}

    def _find_total(self) -> None:
        """Where all rows are counted, if need be by a parameter that asks for it."""
        for params, headers in self._ways_to_count():
            answer = self.api.get(self.path, {**self.params, **self._small, **params}, headers)
            good = bool(self.rows(answer) or not self.first_rows)
            found = self._totals(answer) if good else {}
            if len(params) > 1 and good and not found:
                break  # all ways at once bring nothing, so none does
            if len(params) > 1 or not found:
                continue
            place, total = next(iter(found.items()))
            self.params |= params
            if headers:
                self.endpoint["headers"] = headers
            in_header = place in answer.headers
            if in_header:
                self.scan["total_header"] = place
            elif self.paginator["type"] != "offset":
                self.scan["total_path"] = place
            elif place != "total":  # where offset paging looks by itself
                self.paginator["total_path"] = place
            told = f"in the header {place}" if in_header else f'at "{place}"'
            told += f", asked for by {_first(params or headers)}" if params or headers else ""
            self.report.add(OK, "total", f"the API counts {counted(total, 'row')} {told}")
            return
        told = "the API counts its rows nowhere; whether all came cannot be proven by a total"
        self.report.add(NOTE, "total", told)

    def _ways_to_count(self) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        yield {}, {}
        yield {name: value for way in COUNTS for name, value in way.items()}, COUNT_HEADER
        for params in COUNTS:
            yield params, {}
        yield {}, COUNT_HEADER

    def _find_fields(self) -> None:
        rows = self.first_rows
        found = detect.field_proposals(rows)
        named = [n for n in detect.CANONICAL if rows and isinstance(rows[0], dict) and n in rows[0]]
        missing = [n for n in detect.CANONICAL if n not in named and n not in found]
        unnamed = [n for n in found if n not in named or found[n].has_unit]
        self.fields = detect.field_settings(found, unnamed)
        if rows:
            told = ", ".join(
                f"{name} ← {_path(self.fields[name])}" if name in self.fields else name
                for name in detect.CANONICAL
                if name not in missing
            )
            if missing:
                told += f"; not found: {', '.join(missing)}"
            self.report.add(NOTE if missing else OK, "fields", told.lstrip("; "))


def _asks_for_a_page(parameter: str) -> bool:
    """Whether a parameter of a query, as it is written there, is one of paging; a date is none."""
    name, value = next(iter(parse_qsl(parameter)), ("", ""))
    number = value.isdecimal() and not detect.is_time(value)
    return name in PAGING and (number or (name in CURSORS and name not in SPANS))


def refusal(answer: Answer, base_url: str) -> str:
    """Why an answer is none, in a sentence."""
    said = _quoted(answer)
    if 200 <= answer.status < 300:
        kind = header(answer.headers, "content-type").split(";")[0] or "something else"
        return f"the answer is {kind}, not JSON; is {base_url} the API, or a page for people?"
    if answer.status == 404:
        return f"the API answers 404{said}: nothing is at this path; check base URL and path"
    return f"the API answers {answer.status}{said}"


def _quoted(answer: Answer) -> str:
    return f' ("{answer.said}")' if answer.said else ""


def _first(table: Mapping[str, str]) -> str:
    return next(f"{name}={value}" for name, value in table.items())


def _path(setting: str | dict[str, str]) -> str:
    return setting if isinstance(setting, str) else f"{setting['path']} (Unix {setting['unit']})"


def _place_of(link: Mapping[str, Any]) -> str:
    path = link.get("next_url_path")
    return f'at "{path}"' if path else f"in the header {link.get('links_next_key', 'Link')}"
