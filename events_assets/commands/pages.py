"""How the list of an unknown API is asked for its pages: their size, the next one, the total.

Tries common parameters; one counts as understood when it changes the answer as it should. All
raise `ApiError` where the API cannot be reached.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from events_assets.commands import detect, page_size, paths
from events_assets.commands.event_list import EventList, Params
from events_assets.commands.location import inside
from events_assets.commands.page_size import PAGE, SIZES
from events_assets.commands.report import NOTE, OK, Report, Step, counted
from events_assets.commands.toml_file import Description
from events_assets.json_path import value_at

DEFAULTS = {"offset_param": "offset", "limit_param": "limit", "page_param": "page"}
"""What dlt's paginators take by themselves."""

NAMES = paths.NAMES["params"]
OFFSETS: list[str] = NAMES["offset"]
NUMBERS: list[str] = NAMES["page_number"]
CURSORS: list[str] = NAMES["cursor"]
POSITIONS = {*chain(*SIZES.values()), *OFFSETS, *NUMBERS}
PAGING = {*SIZES, *POSITIONS, *CURSORS}

UNKNOWN = 8
"""So many values under unknown names are tried as cursors."""

COUNT_HEADER = {"Prefer": "count=exact"}
"""A header by which some APIs are asked to count, as by parameters."""


Trial = tuple[Params | None, Params, str]
"""Parameters that should lead to another page (None: it is known that they do), dlt's paginator for
this way of paging, and the way in words."""


def find_way(events: EventList, api: Description, report: Report) -> None:
    """Describes how pages are asked for. Offsets are preferred, as their pages can touch; then
    links, cursors, page numbers. Where none leads on, only what says so proves that all rows
    came."""
    page_size.find_size(events)
    came, endpoint = len(events.first_rows), api.endpoint
    endpoint |= {"paginator": {"type": "single_page"}, "params": dict(events.given)}
    if came < 2:
        endpoint["paginator"] = events.link[0] or {"type": "auto"}
        finding = "too few rows to find out; run init once more when there are more"
        report.add(Step(NOTE, "paging", finding))
        return
    paginator, words = next_page(events)
    large = page_size.large(events)
    named = {events.size, *paginator.values()}  # of which each request has its own
    endpoint["params"] = {n: value for n, value in events.given.items() if n not in named}
    if paginator:
        if "limit" in paginator:
            paginator["limit"] = large[events.size]
        endpoint["paginator"] = {k: v for k, v in paginator.items() if DEFAULTS.get(k) != v}
    elif path := detect.empty_link(events.beside(events.first)):
        endpoint["paginator"] = {"type": "json_link", "next_url_path": path}
    if "limit" not in paginator:
        endpoint["params"] |= large
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
        return NOTE, f"the API has more than these {came} rows, but {no_way(events)}"
    if end := events.end():
        return OK, f"all {came} rows at once: {end}"
    finding = f"{came} rows came at once, and nothing says whether they are all; "
    return NOTE, f"{finding}if there are more, set the paginator by hand"


def no_way(events: EventList) -> str:
    """That no way leads to another page, and what to do; a query of GraphQL has to declare what is
    to be another value for each page."""
    hint = "set the paginator by hand"
    if inside(events.body):
        variables = re.findall(r"\$(\w+)", str(events.body["query"]))
        if not {*CURSORS, *OFFSETS, *NUMBERS} & {*variables}:
            hint = "declare a variable in the query, like "
            hint += "query ($after: String) { events(after: $after) ... }, and run init again"
    return f"none of the known ways leads to them; {hint}"


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
    known: list[tuple[str, Any]] = [*detect.cursors(document).items()][:UNKNOWN]
    for path, cursor in [*known, *detect.cursor_objects(document).items(), *unknown]:
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
    id_at, sort_at = f"{outer}[-1]{inner}.{events.id}", f"{outer}[-1].sort"
    if detect.are_plain(place := value_at(sort_at)(document)):  # as of search engines
        paginator = {"type": "cursor", "cursor_path": sort_at, "cursor_param": "search_after"}
        yield (
            {"search_after": place},
            paginator,
            f'cursors: search_after takes what is at "{sort_at}"',
        )
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
