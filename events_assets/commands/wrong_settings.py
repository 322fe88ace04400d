"""What the first pages show to be wrong with the settings of an endpoint: each is named with its
value, and with what to set in its place."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from events_assets import configuration
from events_assets.commands import detect, findings, page_size, pages
from events_assets.commands.event_list import EventList
from events_assets.commands.findings import ENDPOINT
from events_assets.commands.location import inside
from events_assets.commands.page_size import SIZES
from events_assets.commands.report import FAILED, NOTE, OK, Step, counted
from events_assets.commands.toml_file import Description, inline, put_in_body
from events_assets.errors import ApiError, StopError
from events_assets.json_path import finder
from events_assets.paging.base import Ask, Page
from events_assets.paging.page_numbers import PageNumbers
from events_assets.paging.touching_offsets import TouchingOffsets
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest

PLACES = ("cursor_path", "next_url_path")
"""Settings of a paginator that lead to what the last page may leave out."""


@dataclass
class Settings:
    """The paginator, and the list as `init` would ask for it, to try other ways."""

    paginator: Any
    request: ListRequest
    events: EventList

    def __post_init__(self) -> None:
        self._paginator = self.paginator
        self.paginator = self.paginator if isinstance(self.paginator, Mapping) else {}
        self._scan = configuration.scan_settings()

    def total(self) -> tuple[str, str] | None:
        """The setting that says where rows are counted, with its value, if there is one."""
        for name in ("total_path", "total_header"):
            if value := getattr(self._scan, name):
                return f"scan.{name}", str(value)
        value = self.paginator.get("total_path")
        is_offset = self.paginator.get("type") == "offset"
        return (f"{ENDPOINT}.paginator.total_path", str(value)) if value and is_offset else None

    def nowhere(self, page: Page, *names: str) -> Iterator[str]:
        """The settings of some names whose paths lead to nothing in an answer."""
        found = [("scan.total_path", self._scan.total_path)] if "total_path" in names else []
        found += [(f"paginator.{name}", self.paginator.get(name)) for name in names]
        for name, path in found:
            if path and not finder(str(path))(page.document):
                yield f"{name} = {inline(path)} leads to nothing in the answer"
        order = self._scan.order
        if order and page.originals and not any(map(finder(order), page.originals)):
            yield f"scan.order = {inline(order)} leads to nothing in the rows"
        header = self._scan.total_header if "total_path" in names else None
        if header and header not in page.headers:
            yield f"scan.total_header = {inline(header)} is no header of the answer"

    def other_way(self) -> dict[str, Any]:
        """The paginator that leads to other rows than those of the first page, as settings; empty
        without one."""
        events = self.events
        with suppress(ApiError):
            page_size.find_size(events)
            events.small, events.few = events.first, events.first_rows
            paginator, _ = pages.next_page(events)
            if "limit" in paginator:
                paginator["limit"] = page_size.large(events)[events.size]
            if paginator and self.request.method != "GET":
                found = Description({}, {"paginator": paginator})
                put_in_body(found, self.request.method, None, inside(self.request.json))
            if paginator:
                return {f"{ENDPOINT}.paginator": paginator}
        return {}

    def sizes(self, limit: int | None, params: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
        """What asks for a number of rows: the setting, the parameter, the number."""
        if limit:
            name = self.paginator.get("limit_param") or pages.DEFAULTS["limit_param"]
            return {"paginator.limit": (name, limit)}
        sizes = {n: int(v) for n, v in params.items() if n in SIZES and str(v).isdecimal()}
        return {f"params.{name}": (name, size) for name, size in sizes.items()}

    def said(self) -> str:
        """The paginator as it is configured."""
        set_to = f"paginator = {inline(self._paginator)}"
        return set_to if self._paginator else "no paginator is set"


def second_page(
    settings: Settings, first: Page, second: Page | None, again: bool, one: ListPass
) -> Step:
    """How the second page goes on from the first; where that came `again`, `second` is the third
    one."""
    kind, name, paging = _kind(one), "second page", one.endpoint.paging
    if second is None or not second.rows:
        if why := one.evidence.unprovable:
            return Step(NOTE, name, f"{kind}: {why}")
        return Step(OK, name, f"{kind}: empty, all rows are on the first page")
    shared = len({*first.identities} & {*second.identities})
    first_twice = paging.first if again and isinstance(paging, PageNumbers) else None
    is_all = first.total == len(first.rows) or detect.end(first.document)
    if is_all and findings.same(second, first):
        return Step(OK, name, f"{kind}: the first once more, as all rows are there")
    if first_twice or (findings.same(second, first) and len(second.rows) > 1):
        what = paging.number_at.name if isinstance(paging, PageNumbers) else "the paging parameter"
        finding = f"{kind}: the same as the first, the API ignores {what} of {settings.said()}"
        found = settings.other_way()
        raise StopError(
            name, finding + ("" if found else f"; {pages.no_way(settings.events)}"), found
        )
    if first_twice == 0:
        finding = f"{kind}: the pages 0 and 1 are the same, so numbers start at 1"
        return Step(NOTE, name, finding, {f"{ENDPOINT}.paginator.base_page": 1})
    finding = f"{kind}: {len(second.rows)} rows"
    if not isinstance(paging, TouchingOffsets):
        finding += f", {shared or 'none'} of them on the first page too"
        return Step(NOTE if shared else OK, name, finding)
    if one.evidence.touching and shared and not again:
        return Step(OK, name, f"{finding}, {shared} shared with the first page, so the two touch")
    finding = f"{kind}: the API takes only multiples of the limit, so that pages cannot touch"
    return Step(NOTE, name, finding, {"scan.overlap": 0})


def only_page(settings: Settings, page: Page, one: ListPass) -> Step:
    """That there is no second page, if something says so.

    Raises:
        StopError: the API has more rows.
    """
    came, name, events = len(page.rows), "second page", settings.events
    counts = detect.totals(page.document, page.headers, came)
    count = next(iter(counts.values()), 0) if page.total is None else page.total
    end = detect.end(page.document) or (one.evidence.ended and one.evidence.total_last is None)
    nowhere = next(settings.nowhere(page, *PLACES), "")
    is_doubtful = count > came or (not end and came > 1) or nowhere
    told = f"the API has a next page after these {came} rows"
    if count > came:
        told = f"the API counts {count:,} rows and gave {came}, as the only page"
    if is_doubtful and (way := settings.other_way()):
        raise StopError(name, f"{told}; {nowhere or settings.said()}", way)
    if count > came:
        raise StopError(name, f"{told}; {nowhere or settings.said()}")
    if one.evidence.ended or events.end() or (page.total == came and settings.total()):
        return Step(OK, name, f"all {came} rows are on one page")
    why = nowhere or "nothing says that there are no more"
    if not nowhere and detect.continues(events.beside(page.answer), page.headers):
        why = f"the API speaks of a next one: {pages.no_way(events)}"
    return Step(NOTE, name, f"{came} rows came, as the only page, and {why}")


def total(settings: Settings, page: Page, one: ListPass, rows: int) -> Step | None:
    """That what is configured counts something else than rows: fewer than came, as the rows of a
    page, or more than there are pages for. None: it may be right."""
    found, evidence = settings.total(), one.evidence
    count = evidence.total_last
    if count is None:
        return None
    setting, value = found or (f"{ENDPOINT}.paginator.total_path", "total")
    told = f"{setting.removeprefix(f'{ENDPOINT}.')} = {inline(value)} counts {count:,}"
    counts = detect.totals(page.document, page.headers, rows)
    place = dict.fromkeys([setting], next((at for at, n in counts.items() if n > count), ""))
    if rows > count:
        finding = f"{told}, but {counted(rows, 'row')} came already: it is no count of all rows"
        return Step(FAILED, "total", finding, place)
    if re.search("page|size|limit", value, re.IGNORECASE) and _goes_beyond(one, count):
        finding = f"{told}, but there are rows beyond: it is no count of all rows"
        return Step(FAILED, "total", finding, place)
    return None


def page_at(one: ListPass, ask: Ask) -> Page | None:
    """Another page of a list, None where the API refuses it."""
    with suppress(ApiError, IgnoreResponseException):
        return one.endpoint.page(one.request.within(one.window), ask, (), set())
    return None


def _goes_beyond(one: ListPass, count: int) -> bool:
    """Whether there are rows where, by their count, there can be none."""
    paging, granted, beyond = one.endpoint.paging, max(1, one.evidence.granted), None
    if isinstance(paging, PageNumbers):
        beyond = page_at(one, paging.ask(paging.first + -(-count // granted)))
    elif isinstance(paging, TouchingOffsets):
        beyond = page_at(one, paging.ask(count))
    return bool(beyond and beyond.rows)


def page_count(settings: Settings, one: ListPass, page: Page) -> Step | None:
    """That the setting for the number of pages leads to something else."""
    paging, path = one.endpoint.paging, settings.paginator.get("total_path")
    if not path or not isinstance(paging, PageNumbers):
        return None
    told = paging.pages(page.document, page.headers) or 0
    last = page_at(one, paging.ask(paging.base + told - 1)) if told > 1 else None
    if told < 2 or (last and last.rows):
        return None
    finding = f"paginator.total_path = {inline(path)} counts {told:,}, but there is no page "
    finding += "of that number: it is to count pages; where rows are counted, say scan.total_path"
    return Step(FAILED, "pages", finding, {"scan.total_path": path})


def _kind(one: ListPass) -> str:
    """The way of paging, in a word that people use."""
    return one.evidence.paging.replace("touching", "offsets").replace("plain", "offsets")
