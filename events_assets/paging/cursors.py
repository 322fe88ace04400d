"""Paging by cursor or link: the API names the next page, and says when there is none.

| page | what follows |
|---|---|
| names a next page | the request for that |
| names the page that it is | an error: the API leads back instead of ending |
| names none, or `has_more` says no | the end |
| names none though `has_more` says yes | the end, and torn |
| empty, where `stop_after_empty_page` is set | the end |
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from events_assets.errors import EndlessScanError
from events_assets.json_path import finder
from events_assets.paging.base import Ask, Evidence, Flag, Page, Paging, Place, Step, asking, idle

NO_TOTAL = "the API tells no total to compare with (scan.total_path, scan.total_header)"
POSITION = re.compile(r"page|offset|skip|^_?(start|from|p)$", re.IGNORECASE)
"""Names of parameters that count rows or pages."""

Reference = Callable[[Page], list[Any]]
"""What a page names as the next one: its cursor or URL, null or empty where there is none; nothing
at all where the place for that is not there either."""


def in_document(path: Any) -> Reference:
    """The next page is named at a JSON path."""
    find = finder(path)
    return lambda page: find(page.document)


def in_header(name: str) -> Reference:
    """The next page is named in a header, which the last page does not have."""
    return lambda page: [page.headers[name]] if name in page.headers else []


def in_link(rel: str) -> Reference:
    """The next page is named in the header `Link` (RFC 8288), or in a header of that name."""

    def reference(page: Page) -> list[Any]:
        url = page.links.get(rel, {}).get("url") or page.headers.get(rel)
        return [url] if url or page.links else []

    return reference


@dataclass(frozen=True)
class CursorState:
    """Where a pass is: the last request, and how many pages and rows came. `positional`: a request
    named its page by a position, so that rows may slip from one page to another."""

    ask: Ask
    evidence: Evidence
    pages: int = 0
    rows: int = 0
    positional: bool = False
    idle_pages: int = 0


@dataclass(frozen=True)
class Cursors(Paging):
    """Follows what each answer names: a cursor, which goes to `cursor_at`, or without that a URL.

    A cursor of 0 is the end of most APIs, as dlt takes it, but may be the id of the last row.
    """

    reference: Reference
    cursor_at: Place | None = None
    has_more: Flag = Flag()
    stop_after_empty_page: bool = False

    def begin(self) -> Step:
        evidence = Evidence(paging="cursor" if self.cursor_at else "links")
        return Step(CursorState(Ask(), evidence), evidence, Ask())

    def advance(self, state: CursorState, page: Page) -> Step:
        evidence, rows = state.evidence.seen(page), state.rows + len(page.rows)
        state = replace(state, evidence=evidence, pages=state.pages + 1, rows=rows)
        named, more = self.reference(page), self.has_more.says(page.document)
        ask = self._ask_for(named[0], page) if named else None
        if ask is None or more is False or (self.stop_after_empty_page and not page.rows):
            return Step(state, self._weigh(state, bool(named), more))
        idle_pages = idle(page, state.idle_pages)
        if ask == state.ask:
            raise EndlessScanError(
                "the API leads back to a page that was asked for before (it repeats its cursor "
                "or link), instead of ending"
            )
        positional = state.positional or _is_position(state, ask, page)
        state = replace(state, ask=ask, positional=positional, idle_pages=idle_pages)
        return Step(state, evidence, ask, rows + evidence.granted)

    def _ask_for(self, value: Any, page: Page) -> Ask | None:
        """The request for the next page, None where the answer names none."""
        if self.cursor_at is None:
            return Ask(url=urljoin(page.url, str(value))) if value else None
        is_id = bool(page.identities) and str(value) == str(page.identities[-1]) == "0"
        return asking((self.cursor_at, str(value) if is_id else value)) if value or is_id else None

    def _weigh(self, state: CursorState, is_told: bool, more: bool | None) -> Evidence:
        """Tells an end that the API names from one that merely happens."""
        if more:
            torn = (
                f"the API says that there is more after {state.rows} rows, but names no next "
                f"page; check the paginator in [sources.events]"
            )
            return replace(state.evidence, torn=torn)
        if state.positional:
            uncertain = (
                "the next page is named by its position, so that rows may slip from one page to "
                "another"
            )
        elif more is False or state.pages > 1 or is_told:
            return replace(state.evidence, chained=True)
        else:
            uncertain = "the only page names neither a next one nor that there is none"
        return replace(state.evidence, uncertain=f"{uncertain}, and {NO_TOTAL}")


def _is_position(state: CursorState, ask: Ask, page: Page) -> bool:
    """Whether a parameter that leads to the next page counts rows or pages.

    A number that is an id on this page as well is taken for that id, unless the name of the
    parameter says that it is a position.
    """
    positions = {state.rows, state.rows + 1, state.pages, state.pages + 1}
    return any(
        int(number) in positions
        and (bool(POSITION.search(name)) or int(number) not in page.identities)
        for name, number in _numbers(ask) - _numbers(state.ask) - _numbers(Ask(url=page.url))
    )


def _numbers(ask: Ask) -> set[tuple[str, str]]:
    """The parameters of a request, in its URL or beside it, that are numbers."""
    pairs = parse_qsl(urlsplit(ask.url or "").query)
    pairs += [(str(name), str(value)) for name, value in (*ask.params, *ask.body)]
    return {(name, value) for name, value in pairs if value.isdecimal()}


class SinglePage(Paging):
    """All rows are on one page."""

    def begin(self) -> Step:
        return Step(None, Evidence(paging="single page"), Ask())

    def advance(self, state: Any, page: Page) -> Step:
        evidence = Evidence(paging="single page").seen(page)
        uncertain = f"it is a single page, and {NO_TOTAL}"
        return Step(state, replace(evidence, uncertain=uncertain))


@dataclass(frozen=True)
class Detected(Paging):
    """The way of paging that the first page shows; its state is that of the way found."""

    detect: Callable[[Page], Paging]

    def begin(self) -> Step:
        return Step(None, Evidence(), Ask())

    def advance(self, state: tuple[Paging, Any] | None, page: Page) -> Step:
        if state is None:
            paging = self.detect(page)
            state = paging, paging.begin().state
        paging, inner = state
        step = paging.advance(inner, page)
        return replace(step, state=(paging, step.state))

    def refused(self, state: tuple[Paging, Any] | None, status: int) -> Step | None:
        return state[0].refused(state[1], status) if state else None
