"""How the list of an unknown API is asked for its pages: their size, the next one, the total.

Tries common parameters; one counts as understood when it changes the answer as it should. All
raise `ApiError` where the API cannot be reached.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from events_assets.commands import detect
from events_assets.commands.report import NOTE, OK, Report, Step, counted
from events_assets.commands.toml_file import Description
from events_assets.http.answer import Answer
from events_assets.paging.base import BY_CHANCE, Order

PAGE = 100
"""Rows a page that are asked for; written as granted where it is less."""

DEFAULTS = {"offset_param": "offset", "limit_param": "limit", "page_param": "page"}
"""What dlt's paginators take by themselves."""

NAMES = detect.NAMES["params"]
SIZES: dict[str, list[str]] = NAMES["size"]
OFFSETS: list[str] = NAMES["offset"]
NUMBERS: list[str] = NAMES["page_number"]
CURSORS: list[str] = NAMES["cursor"]
PAGING = {*SIZES, *chain(*SIZES.values()), *OFFSETS, *NUMBERS, *CURSORS}

COUNT_HEADER = {"Prefer": "count=exact"}
"""A header by which some APIs are asked to count, as by parameters."""

ORDERS: list[list[str]] = NAMES["order"]
TRIES = 3
"""So many requests are made at most to find out how rows are asked for in an order."""

NO_WAY = "none of the known ways leads to them; set the paginator by hand"

Rows = list[dict[str, Any]]
Params = dict[str, Any]
Trial = tuple[Params | None, Params, str]
"""Parameters that should lead to another page (None: it is known that they do), dlt's paginator for
this way of paging, and the way in words."""


@dataclass
class EventList:
    """The list at `selector` of the answers, whose rows are known by `id`.

    `get` asks for it, with parameters and headers. `first` is the answer without parameters. `size`
    is the parameter of the page size, and `small` a page with few rows; without one, `size` is
    empty, and `small` the first answer.
    """

    get: Callable[..., Answer]
    selector: str
    id: str
    first: Answer
    size: str = ""

    def __post_init__(self) -> None:
        self.first_rows = self.rows(self.first)
        self.small, self.few = self.first, self.first_rows

    @property
    def link(self) -> tuple[dict[str, str], str]:
        """The paginator that follows the links to the next page, and such a link; or empty."""
        found = [detect.link_to_next(one.document, one.headers) for one in (self.small, self.first)]
        return found[0] if found[0][0] else found[1]

    @property
    def linked(self) -> list[str]:
        """The parameters of such a link that are numbers: they tell how the API names its pages."""
        return [n for n, v in parse_qsl(urlsplit(self.link[1]).query) if v.isdecimal()]

    def find_size(self) -> None:
        names, came = [n for n in self.linked if n in SIZES], len(self.first_rows)
        names = [*dict.fromkeys([*names, *SIZES])]
        wanted = 2 if came > 4 else 1
        if came < 2 or len(self.page(dict.fromkeys(names, wanted))) == came:
            return  # all names at once change nothing, so none does
        for name in names:
            answer = self.get({name: wanted})
            rows = self.rows(answer)
            if len(rows) == wanted:
                self.size, self.small, self.few = name, answer, rows
                return

    def rows(self, answer: Answer) -> Rows:
        """The rows of an answer, none where it is no page."""
        found = detect.lists_of_rows(answer.document) if 200 <= answer.status < 300 else {}
        return found.get(self.selector, [])

    def sized(self, rows: int) -> dict[str, int]:
        """What asks for so many rows a page."""
        return {self.size: rows} if self.size else {}

    def page(self, params: Params) -> Rows:
        """The rows of a small page, if the size of pages can be chosen."""
        return self.rows(self.get(self.sized(len(self.few)) | params))

    def are_others(self, page: Rows, before: Rows) -> bool:
        """Whether rows are those of another page; by their ids, as all else may change."""
        ids = [row.get(self.id, row) for row in before]
        return bool(page) and not any(row.get(self.id, row) in ids for row in page)

    def totals(self, answer: Answer) -> dict[str, int]:
        """Where all rows seem to be counted: no less than came in the first answer, however few
        are in this one; if just as many, there must be no more."""
        came = max(len(self.first_rows), len(self.rows(answer)))
        found = detect.totals(answer.document, answer.headers, came)
        more = detect.continues(answer.document, answer.headers)
        return {place: total for place, total in found.items() if total > came or not more}

    def has_more_than(self, rows: int, answer: Answer) -> bool:
        """Whether the API has more than came in an answer."""
        total = max(self.totals(answer).values(), default=0)
        return total > rows or detect.continues(answer.document, answer.headers)

    def large(self) -> dict[str, int]:
        """The page size to write: what is asked for, or what is granted of it."""
        if not self.size:
            return {}
        answer, came = self.get(self.sized(PAGE)), len(self.first_rows)
        granted = len(self.rows(answer))
        if not granted:  # refused: as many as come by themselves are fine
            return self.sized(min(PAGE, came))
        is_full = came > granted or self.has_more_than(granted, answer)
        return self.sized(min(PAGE, granted) if is_full else PAGE)


def find_way(events: EventList, api: Description, report: Report) -> None:
    """Describes how pages are asked for. Offsets are preferred, as their pages can touch; then
    links, cursors, page numbers."""
    events.find_size()
    came, endpoint = len(events.first_rows), api.endpoint
    endpoint["paginator"] = {"type": "single_page"}
    if came < 2:
        endpoint["paginator"] = events.link[0] or {"type": "auto"}
        finding = "too few rows to find out; run init once more when there are more"
        report.add(Step(NOTE, "paging", finding))
        return
    for params, paginator, words in _trials(events):
        if params is None or events.are_others(events.page(params), events.few):
            large = events.large()
            if "limit" in paginator:
                paginator["limit"] = large[events.size]
            elif large:
                endpoint["params"] = large
            endpoint["paginator"] = {k: v for k, v in paginator.items() if DEFAULTS.get(k) != v}
            sizes = [f", {rows} rows a page by {size}" for size, rows in large.items()]
            report.add(Step(OK, "paging", "".join([words, *sizes])))
            return
    if events.has_more_than(came, events.first):
        report.add(Step(NOTE, "paging", f"the API has more than these {came} rows, but {NO_WAY}"))
    else:
        report.add(Step(OK, "paging", f"none found: all {came} rows at once"))


def _trials(events: EventList) -> Iterator[Trial]:
    """Offsets, which cannot do without a size; links; cursors; the id of the last row; numbers."""
    size, id_at = events.size, f"{events.selector}[-1].{events.id}"
    for name in _positions(events) if size else ():
        if name in OFFSETS:
            paginator = {"type": "offset", "limit": PAGE, "offset_param": name, "limit_param": size}
            yield {name: len(events.few)}, paginator, f"offsets: {name}"
    if link := events.link[0]:
        path, header = link.get("next_url_path"), link.get("links_next_key", "Link")
        place = f'at "{path}"' if path else f"in the header {header}"
        yield None, {**link}, f"links to the next page, {place}"
    for path, cursor in detect.cursors(events.small.document).items():
        for name in dict.fromkeys([path.rpartition(".")[2], *CURSORS]):
            paginator = {"type": "cursor", "cursor_path": path, "cursor_param": name}
            yield {name: cursor}, paginator, f'cursors: {name} takes what is at "{path}"'
    last = events.few[-1].get(events.id) if events.few else None
    for more in [*detect.has_more(events.small.document)][:1] if last is not None else ():
        for name in NAMES["last_id"]:
            paginator = {"type": "cursor", "cursor_path": id_at, "cursor_param": name}
            words = f'{name} takes the id of the last row, "{more}" says whether to go on'
            yield {name: last}, paginator | {"has_more_path": more}, words
    for name in _positions(events):
        one = events.page({name: 1}) if name not in OFFSETS else []
        if one and events.are_others(events.page({name: 2}), one):
            base = 0 if events.are_others(events.page({name: 0}), one) else 1
            paginator = {"type": "page_number", "base_page": base, "page_param": name}
            yield None, paginator, f"page numbers from {base}: {name}"


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


def find_order(by_id: Callable[[Params], bool | None], key: str) -> Params:
    """What asks for rows in the order of their id; empty where nothing was found.

    `by_id` tells whether rows come so when they are asked for with parameters, None where they are
    refused. Of several parameters that do so together, half are left out while tries are left.
    """
    tries = 0

    def tried(params: Sequence[str]) -> bool | None:
        nonlocal tries
        tries += 1
        return by_id(_order(params, key)) if tries <= TRIES else False

    for params in ORDERS:
        is_understood = tried(params)
        if is_understood is None:  # perhaps as the others are unknown
            params = params[:1]
            is_understood = tried(params)
        while is_understood and len(params) > 1 and tries < TRIES:
            half = len(params) // 2
            params = params[:half] if tried(params[:half]) else params[half:]
        if is_understood:
            return _order(params, key)
    return {}


def _order(params: Sequence[str], key: str) -> Params:
    return {name: value.replace("{}", key) for name, _, value in (p.partition("=") for p in params)}


def ask_for_order(events: EventList, api: Description, report: Report) -> None:
    """Describes how rows are asked for in the order of their id, if pages can touch and rows do not
    come so anyway."""
    came = len(events.first_rows)
    if api.endpoint["paginator"]["type"] != "offset" or came < BY_CHANCE:
        return

    def by_id(params: Params) -> bool | None:
        rows = events.rows(events.get(params)) if params else events.first_rows
        is_ordered = bool(Order().then([row.get(events.id) for row in rows]).directions)
        return is_ordered and len(rows) == came if rows else None

    if by_id({}):
        report.add(Step(OK, "order", f"strictly by {events.id}"))
    elif params := find_order(by_id, events.id):
        api.endpoint["params"] = api.endpoint.get("params", {}) | params
        asked = ", ".join(f"{name}={value}" for name, value in params.items())
        report.add(Step(OK, "order", f"strictly by {events.id}, asked for by {asked}"))
    else:
        field, _ = detect.order_of(events.first_rows)
        seen = f"by {field}" if field else "none that can be seen"
        finding = f"{seen}; no common parameter asks for one by {events.id}"
        report.add(Step(NOTE, "order", finding))


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
