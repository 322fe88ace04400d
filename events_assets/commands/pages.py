"""How the list of an unknown API is asked for its pages: their size, the next one, the total.

Tries common parameters; one counts as understood when it changes the answer as it should. All
raise `ApiError` where the API cannot be reached.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.common.jsonpath import set_value_at_path

from events_assets.commands import detect, paths
from events_assets.commands.report import NOTE, OK, Report, Step, counted
from events_assets.commands.toml_file import Description
from events_assets.errors import ApiError, NotAPageError
from events_assets.http.answer import Answer
from events_assets.json_path import value_at
from events_assets.scan.data_selector import DataSelector

PAGE = 100
"""Rows a page that are asked for; written as granted where it is less."""
LARGE = 1_000
"""The same where the API gives so many: fewer requests take less time."""
QUICKLY = 5.0
"""Seconds in which such a page has to come."""

DEFAULTS = {"offset_param": "offset", "limit_param": "limit", "page_param": "page"}
"""What dlt's paginators take by themselves."""

NAMES = paths.NAMES["params"]
SIZES: dict[str, list[str]] = NAMES["size"]
OFFSETS: list[str] = NAMES["offset"]
NUMBERS: list[str] = NAMES["page_number"]
CURSORS: list[str] = NAMES["cursor"]
PAGING = {*SIZES, *chain(*SIZES.values()), *OFFSETS, *NUMBERS, *CURSORS}

FEW = 10
"""Rows that the first request asks for, by all common parameters at once."""
UNKNOWN = 8
"""So many values under unknown names are tried as cursors."""

COUNT_HEADER = {"Prefer": "count=exact"}
"""A header by which some APIs are asked to count, as by parameters."""

NO_WAY = "none of the known ways leads to them; set the paginator by hand"

Rows = list[dict[str, Any]]
Params = dict[str, Any]
Trial = tuple[Params | None, Params, str]
"""Parameters that should lead to another page (None: it is known that they do), dlt's paginator for
this way of paging, and the way in words."""


@dataclass
class EventList:
    """The list of the events in the answers of an API, whose rows `read` finds.

    `get` asks for it, with parameters and headers. `id` is the JSON path of what tells rows apart,
    `first` the first answer; `asked_few`: to a request for a few rows. `size` is the parameter of
    the page size, and `small` a page with few rows; without one, `size` is empty, and `small` the
    first answer; `counted` is the one with the fewest rows. `sample` are the most rows that came at
    once; `no_objects` counts nulls and the like among the first ones.
    """

    get: Callable[..., Answer]
    listed: detect.Listed
    id: str
    first: Answer
    size: str = ""
    asked_few: bool = False

    def __post_init__(self) -> None:
        self.selector, scan = self.listed.selector, self.listed.scan
        keys = scan.get("row_key"), scan.get("columns_path")
        self.read = DataSelector(self.selector, False, *keys)
        self.id_of = value_at(self.id)
        self.first_rows = self.sample = self.rows(self.first)
        self.no_objects = len(self._entries(self.first)) - len(self.first_rows)
        self.small, self.few = self.first, self.first_rows
        self.counted = self.first

    @property
    def link(self) -> tuple[dict[str, str], str]:
        """The paginator that follows the links to the next page, and such a link; or empty."""
        found = [
            detect.link_to_next(self.beside(one), one.headers) for one in (self.small, self.first)
        ]
        return found[0] if found[0][0] else found[1]

    @property
    def linked(self) -> list[str]:
        """The parameters of such a link that are numbers: they tell how the API names its pages."""
        return [n for n, v in parse_qsl(urlsplit(self.link[1]).query) if v.isdecimal()]

    def find_size(self) -> None:
        names, came = [n for n in self.linked if n in SIZES], len(self.first_rows)
        names = [*dict.fromkeys([*names, *SIZES])]
        wanted = 2 if came > 4 else 1
        if (
            came < 2
            or (self.asked_few and came > FEW)
            or len(self.page(dict.fromkeys(names, wanted))) == came
        ):
            return  # all names at once change nothing, so none does
        for name in names:
            answer = self.get({name: wanted})
            rows = self.rows(answer)
            if len(rows) == wanted:
                self.size, self.small, self.few, self.counted = name, answer, rows, answer
                return

    def rows(self, answer: Answer) -> Rows:
        """The rows of an answer, none where it is no page."""
        return [row for row in self._entries(answer) if isinstance(row, dict)]

    def _entries(self, answer: Answer) -> list[Any]:
        """The same, with nulls and what else is no object."""
        with suppress(NotAPageError):
            if 200 <= answer.status < 300:
                return self.read(answer.require_json())
        return []

    def sized(self, rows: int) -> dict[str, int]:
        """What asks for so many rows a page."""
        return {self.size: rows} if self.size else {}

    def page(self, params: Params) -> Rows:
        """The rows of a small page, if the size of pages can be chosen."""
        return self.page_of(len(self.few), params)

    def page_of(self, rows: int, params: Params) -> Rows:
        return self.rows(self.get(self.sized(rows) | params))

    def are_others(self, page: Rows, before: Rows) -> bool:
        """Whether rows are those of another page; by their ids, as all else may change."""
        ids = [self.key(row) for row in before]
        return bool(page) and not any(self.key(row) in ids for row in page)

    def beside(self, answer: Answer) -> Any:
        """The document of an answer without rows that stand there by their keys."""
        if "row_key" not in self.listed.scan or not isinstance(answer.document, dict):
            return answer.document
        rest = deepcopy(answer.document) if self.selector != "$" else {}
        if rest:
            set_value_at_path(rest, self.selector, [])
        return rest

    def key(self, row: Any) -> Any:
        """The id of a row; all of it, where it has none."""
        found = self.id_of(row)
        return row if found is None else found

    def totals(self, answer: Answer) -> dict[str, int]:
        """Where all rows seem to be counted: no fewer than came in any answer so far, and more than
        are in this one. A count of just these may be that of the page: it has to be called a
        total, and nothing may lead on."""
        came = max(len(self.first_rows), len(self.sample), len(self.rows(answer)))
        found = detect.totals(self.beside(answer), answer.headers, came)
        more = self.goes_on or detect.continues(self.beside(answer), answer.headers)
        is_whole = not more and not (self.size and self.has_own_count())
        return {
            place: total
            for place, total in found.items()
            if total > len(self.rows(answer)) or (is_whole and detect.is_called_total(place))
        }

    goes_on = False
    """Whether there is known to be another page."""

    def has_own_count(self) -> bool:
        """Whether what the first answer counts is no more than the rows of a page."""
        few, counted = len(self.rows(self.counted)), self.counted
        counts = detect.totals(self.beside(counted), counted.headers, 0).values()
        return few < len(self.first_rows) and max(counts, default=0) <= few

    def has_more_than(self, rows: int, answer: Answer) -> bool:
        """Whether the API has more than came in an answer."""
        total = max(self.totals(answer).values(), default=0)
        return total > rows or detect.continues(self.beside(answer), answer.headers)

    def end(self) -> str:
        """What says that no more rows are there than came, empty where nothing does."""
        if at := detect.end(self.beside(self.first)):
            return f'"{at}" says that there are no more'
        came = len(self.first_rows) + self.no_objects
        counts = [at for at, total in self.totals(self.first).items() if total == came]
        return f'"{counts[0]}" counts as many' if counts else ""

    def large(self) -> dict[str, int]:
        """The page size to write: what is asked for, or what is granted of it."""
        if not self.size:
            return {}
        answer, came = self.get(self.sized(PAGE)), len(self.first_rows)
        rows = self.rows(answer)
        granted, self.sample = len(rows), max(self.sample, rows, key=len)
        if not granted:  # refused: as many as come by themselves are fine
            return self.sized(min(PAGE, came))
        is_full = came > granted or self.has_more_than(granted, answer)
        is_long = max(self.totals(answer).values(), default=LARGE + 1) > LARGE
        if is_long and granted == PAGE and (larger := self.granted(self.size)) > PAGE:
            return self.sized(larger)
        return self.sized(min(PAGE, granted) if is_full else PAGE)

    def granted(self, size: str) -> int:
        """How many rows come where a parameter asks for `LARGE`; 0 where that takes long."""
        with suppress(ApiError):
            answer = self.get({size: LARGE})
            rows = self.rows(answer)
            if rows and answer.seconds < QUICKLY:
                self.sample = max(self.sample, rows, key=len)
                return min(len(rows), LARGE)
        return 0


def find_way(events: EventList, api: Description, report: Report) -> None:
    """Describes how pages are asked for. Offsets are preferred, as their pages can touch; then
    links, cursors, page numbers. Where none leads on, only what says so proves that all rows
    came."""
    events.find_size()
    came, endpoint = len(events.first_rows), api.endpoint
    endpoint["paginator"] = {"type": "single_page"}
    if came < 2:
        endpoint["paginator"] = events.link[0] or {"type": "auto"}
        finding = "too few rows to find out; run init once more when there are more"
        report.add(Step(NOTE, "paging", finding))
        return
    paginator, words = next_page(events)
    large = events.large()
    if paginator:
        if "limit" in paginator:
            paginator["limit"] = large[events.size]
        endpoint["paginator"] = {k: v for k, v in paginator.items() if DEFAULTS.get(k) != v}
    elif path := detect.empty_link(events.beside(events.first)):
        endpoint["paginator"] = {"type": "json_link", "next_url_path": path}
    if large and "limit" not in paginator:
        endpoint["params"] = large
    sizes = [f", {rows} rows a page by {size}" for size, rows in large.items()]
    state, finding = (OK, "".join([words, *sizes])) if paginator else only_page(events)
    report.add(Step(state, "paging", finding))


def next_page(events: EventList) -> tuple[Params, str]:
    """The paginator that leads to rows of another page, and its way in words; both empty where
    none is found."""
    for params, paginator, words in _trials(events):
        if params is None or _leads_on(events, params, paginator.get("cursor_path")):
            events.goes_on = True
            return paginator, words
    return {}, ""


def _leads_on(events: EventList, params: Params, cursor_path: str | None) -> bool:
    """Whether parameters bring the rows of another page. One that is not known as a cursor has to
    be another one there: else it may be a word by which rows are chosen."""
    answer = events.get(events.sized(len(events.few)) | params)
    if not events.are_others(events.rows(answer), events.few):
        return False
    unknown = detect.unknown_scalars(events.beside(events.small))
    is_known = cursor_path not in unknown
    return is_known or value_at(str(cursor_path))(answer.document) not in params.values()


def only_page(events: EventList) -> tuple[str, str]:
    """The state and the finding where no way leads to another page."""
    came = len(events.sample) + events.no_objects
    if events.has_more_than(came, events.small if events.size else events.first):
        return NOTE, f"the API has more than these {came} rows, but {NO_WAY}"
    if end := events.end():
        return OK, f"all {came} rows at once: {end}"
    finding = f"{came} rows came at once, and nothing says whether they are all; "
    return NOTE, f"{finding}if there are more, set the paginator by hand"


def _trials(events: EventList) -> Iterator[Trial]:
    """Offsets, which cannot do without a size; what the answer names; numbers."""
    size = events.size
    for name in _positions(events) if size else ():
        first = _first_offset(events, name) if name in OFFSETS else None
        if first is not None:
            paginator = {"type": "offset", "limit": PAGE, "offset_param": name, "limit_param": size}
            paginator |= {"offset": first} if first else {}
            yield None, paginator, f"offsets{f' from {first}' if first else ''}: {name}"
    yield from _named(events)
    for name in _positions(events):
        one = events.page({name: 1}) if name not in OFFSETS else []
        if one and events.are_others(events.page({name: 2}), one):
            base = 0 if events.are_others(events.page({name: 0}), one) else 1
            paginator = {"type": "page_number", "base_page": base, "page_param": name}
            yield None, paginator, f"page numbers from {base}: {name}"


def _first_offset(events: EventList, name: str) -> int | None:
    """How rows are counted by a parameter: from 0 or from 1; None where it leads to no others."""
    page, few = events.page({name: len(events.few)}), events.few
    if events.are_others(page, few):
        return 0
    is_last = len(few) > 1 and page[:1] and events.key(page[0]) == events.key(few[-1])
    return 1 if is_last and events.are_others(page[1:], few) else None


def _spellings(name: str) -> list[str]:
    """What takes a cursor of some name, likely: of `X-Next-Page-Token` next_page_token, pageToken,
    pagetoken and the like."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    words = re.sub(r"[\W_]+|\bx\b", " ", spaced.lower()).split()
    found = [name]
    for some in (words, words[1:] if words[:1] == ["next"] else []):
        camel = some[:1] + [word.title() for word in some[1:]]
        found += ["_".join(some), "".join(camel), "".join(some)]
    return [*dict.fromkeys(filter(None, found))]


def _named(events: EventList) -> Iterator[Trial]:
    """What an answer says of the next page: a link; a cursor, also one under an unknown name; that
    there is one, after the id of the last row."""
    if link := events.link[0]:
        path, header = link.get("next_url_path"), link.get("links_next_key", "Link")
        place = f'at "{path}"' if path else f"in the header {header}"
        yield None, {**link}, f"links to the next page, {place}"
    document = events.beside(events.small)
    more = [path for path in detect.has_more(document) if re.search("(?i)more|next", path)][:1]
    flag = {"has_more_path": more[0]} if more else {}
    unknown = [*detect.unknown_scalars(document).items()][:UNKNOWN]
    for path, cursor in [*[*detect.cursors(document).items()][:UNKNOWN], *unknown]:
        own = path.rpartition(".")[2].strip("'")
        short = re.sub(r"^next_?(?=.)", "", own, flags=re.IGNORECASE)
        names = [own, short[:1].lower() + short[1:]]
        names += [*_spellings(own), *CURSORS] if (path, cursor) not in unknown else []
        for name in dict.fromkeys(names):
            paginator = {"type": "cursor", "cursor_path": path, "cursor_param": name}
            yield {name: cursor}, paginator | flag, f'cursors: {name} takes what is at "{path}"'
    for header, cursor in events.small.headers.items():
        if re.search("cursor|continuation|next.*(token|key)", header, re.IGNORECASE):
            for name in dict.fromkeys([*_spellings(header)[1:], *CURSORS]):
                paginator = {"type": "header_cursor", "cursor_key": header, "cursor_param": name}
                yield {name: cursor}, paginator, f"cursors: {name} takes the header {header}"
    last = events.id_of(events.few[-1]) if events.few else None
    outer, _, inner = events.selector.partition("[*]")
    id_at = f"{outer}[-1]{inner}.{events.id}"
    for path in more if last is not None else ():
        for name in NAMES["last_id"]:
            paginator = {"type": "cursor", "cursor_path": id_at, "cursor_param": name} | flag
            words = f'{name} takes the id of the last row, "{path}" says whether to go on'
            yield {name: last}, paginator, words


def _positions(events: EventList) -> Sequence[str]:
    """Names of positions worth trying, those that the API's own links use first."""
    if events.size:
        linked = [name for name in events.linked if not name.endswith("id")]
        names = dict.fromkeys([*linked, *SIZES.get(events.size, ()), "offset", "page"])
        return [name for name in names if name != events.size]
    second = events.page(dict.fromkeys(NUMBERS, 2))
    if not second:  # all at once was too much
        return NUMBERS[:2]
    return NUMBERS if events.are_others(second, events.first_rows) else ()


def find_total(events: EventList, api: Description, report: Report) -> None:
    """Describes how the API is asked to count all rows, and where it does: in the paginator if
    that reads totals, as that of offsets, else in the scan's settings."""
    paginator, sent = api.endpoint["paginator"], api.endpoint.get("params", {})
    ways: list[tuple[Params, Params]] = [({}, {}), (NAMES["count"], COUNT_HEADER)]
    ways += [*(({name: value}, {}) for name, value in NAMES["count"].items()), ({}, COUNT_HEADER)]
    for params, headers in ways:
        answer = events.get(sent | events.sized(len(events.few)) | params, headers)
        is_page = bool(events.rows(answer) or not events.first_rows)
        found = events.totals(answer) if is_page else {}
        if params is NAMES["count"]:
            if is_page and not found:
                break  # all ways at once bring nothing, so none does
            continue
        for place, rows in found.items():
            in_header = place in answer.headers
            where = f"in the header {place}" if in_header else f'at "{place}"'
            asked = [f", asked for by {name}={v}" for name, v in (params or headers).items()][:1]
            finding = f"the API counts {counted(rows, 'row')} {where}"
            report.add(Step(OK, "total", "".join([finding, *asked])))
            api.endpoint |= {"headers": headers, "params": sent | params}
            if in_header:
                api.scan["total_header"] = place
            elif paginator["type"] != "offset":
                api.scan["total_path"] = place
            elif place != "total":  # where offset paging looks by itself
                paginator["total_path"] = place
            return
    report.add(Step(OK, "total", "the API counts its rows nowhere"))
