"""Paging by cursor or link: the API names the next page, and says when there is none.

| page | what follows |
|---|---|
| names a next page | the request for that |
| names a page that it named before | an error: the API leads back instead of ending |
| names none, or `has_more` says no | the end |
| names none though `has_more` says yes | the end, and torn |
| empty, where `stop_after_empty_page` is set | the end |
| empty, where pages before were full and no total is reached | the same once more, the end unsaid |
| refused | the end where the total or a row says so; else no proof, or a new pass |

A cursor proves something where it is a place among the rows: the key of the last one, plain or in
Base64. Rows that come or go move no other row past it. A number of rows or pages is a position, and
what nobody can read may be one. The end is said where the others said that there is a next page: a
null, an empty text or a no; where nothing is left of that, the API may have lost its thread.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from events_assets.errors import EndlessScanError
from events_assets.json_path import finder, walk
from events_assets.paging.base import (
    BEYOND_THE_END,
    NOT_THERE,
    Ask,
    Evidence,
    Flag,
    Outcome,
    Page,
    Paging,
    Place,
    asking,
    idle,
)

FIRST = Ask()
POSITION = re.compile(
    r"page(?!_?token)|offset|skip|arrayconnection|^_?(start|from|p)$", re.IGNORECASE
)
"""Names of what counts rows or pages."""
KEY = re.compile(r"id$|^_?(after|since|last|starting_after)", re.IGNORECASE)
"""Names of what is the key of a row."""

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
    """Where a pass is: the last request, and the evidence so far.

    `earlier` is one of the requests before, renewed after 1, 2, 4, ... pages (Brent's way to find a
    cycle): `laps` were asked since, of `power`. `is_sure`: a cursor was the key of a row and could
    be nothing else. `is_flagged`: pages say whether there are more. `confirming`: the last page is
    asked for once more.
    """

    ask: Ask
    evidence: Evidence
    earlier: Ask = FIRST
    power: int = 1
    laps: int = 0
    idle_pages: int = 0
    is_sure: bool = False
    is_flagged: bool = False
    confirming: bool = False

    @property
    def told(self) -> Evidence:
        """The evidence, in which pages are named where that is sure."""
        evidence = self.evidence
        return replace(evidence, named=evidence.named and (self.is_sure or evidence.pages == 1))


@dataclass(frozen=True)
class Cursors(Paging):
    """Follows what each answer names: a cursor, which goes to `cursor_at`, or without that a URL.

    A cursor of 0 is the end of most APIs, as dlt takes it, but may be the id of the last row.
    `of_row`: the cursor is a field of a row, so that a page without rows names none.
    """

    reference: Reference
    cursor_at: Place | None = None
    has_more: Flag = Flag()
    stop_after_empty_page: bool = False
    of_row: bool = False

    def begin(self) -> Outcome:
        evidence = Evidence(paging="cursor" if self.cursor_at else "links", named=True)
        return Outcome(CursorState(FIRST, evidence), evidence, FIRST)

    def advance(self, state: CursorState, page: Page) -> Outcome:
        state = replace(state, evidence=state.evidence.seen(page))
        named, more = self.reference(page), self.has_more.says(page.document)
        ask = self._ask_for(named[0], page) if named else None
        if ask is None or more is False or (self.stop_after_empty_page and not page.rows):
            return self._at_end(state, page, bool(named), more)
        idle_pages = idle(page, state.evidence, state.idle_pages)
        if ask == state.earlier:
            raise EndlessScanError(
                "the API leads back to a page that was asked for before (it repeats its cursor "
                "or link), instead of ending"
            )
        name = _name(state, ask, page)
        evidence = replace(state.evidence, named=state.evidence.named and name is not None)
        earlier, power, laps = state.earlier, state.power, state.laps + 1
        if laps == power:
            earlier, power, laps = ask, 2 * power, 0
        is_sure = state.is_sure or bool(name) or self.of_row
        flagged = state.is_flagged or more is not None
        state = CursorState(ask, evidence, earlier, power, laps, idle_pages, is_sure, flagged)
        return Outcome(state, state.told, ask, evidence.came + evidence.granted)

    def refused(self, state: CursorState, status: int) -> Outcome | None:
        evidence = state.told
        end = super().refused(replace(state, evidence=evidence), status)
        if status not in BEYOND_THE_END or (end and (self.of_row or evidence.counted)):
            return end
        told = f"the API refuses ({status}) the page that it named"
        if status in NOT_THERE and (evidence.short or evidence.total == evidence.came):
            return Outcome(state, replace(evidence, pages=evidence.pages + 1, unprovable=told))
        return Outcome(state, replace(evidence, expired=told))

    def _ask_for(self, value: Any, page: Page) -> Ask | None:
        """The request for the next page, None where the answer names none."""
        if self.cursor_at is None:
            return Ask(url=urljoin(page.url, str(value))) if value else None
        is_id = bool(page.identities) and str(value) == str(page.identities[-1]) == "0"
        return asking((self.cursor_at, str(value) if is_id else value)) if value or is_id else None

    def _at_end(self, state: CursorState, page: Page, is_told: bool, more: bool | None) -> Outcome:
        """Tells an end that the API names from one that merely happens."""
        evidence = state.told
        doubtful = not page.rows and evidence.pages > 1 and not evidence.short
        if doubtful and not evidence.counted and not state.confirming:
            return Outcome(replace(state, confirming=True), evidence, state.ask, evidence.came)
        is_said = not doubtful and (not page.rows if self.of_row else is_told)
        if more:
            torn = (
                f"the API says that there is more after {evidence.came} rows, but names no next "
                f"page; check the paginator in [sources.events]"
            )
            evidence = replace(evidence, torn=torn)
        elif (more is False and not doubtful) or (is_said and not state.is_flagged):
            evidence = replace(evidence, ended="the API says that there is no next page")
        elif evidence.pages == 1:
            unprovable = "the only page names neither a next one nor that there is none"
            evidence = replace(evidence, unprovable=unprovable)
        return Outcome(state, evidence)


def _name(state: CursorState, ask: Ask, page: Page) -> bool | None:
    """Whether what leads to the next page is surely the key of the last row; None if it may be a
    position, and no key."""
    key, evidence = str(page.identities[-1]) if page.identities else "", state.evidence
    positions = {evidence.came, evidence.came + 1, evidence.pages, evidence.pages + 1}
    found: set[bool] = set()
    for name, value in _parameters(ask) - _parameters(state.ask) - _parameters(Ask(url=page.url)):
        texts = [value, *_decoded(value)]
        if POSITION.search(name) or any(POSITION.search(text) for text in texts[1:]):
            return None
        if key and any(_holds(text, key) for text in texts):
            is_count = key.isdecimal() and int(key) in positions
            found.add(bool(KEY.search(name)) or not is_count)
    return any(found) if found else None


def _parameters(ask: Ask) -> set[tuple[str, str]]:
    """The parameters of a request, in its URL or beside it."""
    pairs = parse_qsl(urlsplit(ask.url or "").query)
    return {*pairs, *((str(name), str(value)) for name, value in (*ask.params, *ask.body))}


def _decoded(value: str) -> Iterator[str]:
    """The text that a value is Base64 of (RFC 4648, either alphabet), if it is."""
    try:
        padded = value.rstrip("=").replace("-", "+").replace("_", "/")
        yield base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return


def _holds(text: str, key: str) -> bool:
    """Whether a text holds a key that is no part of a longer word or number."""
    return re.search(rf"(?<![^\W_]){re.escape(key)}(?![^\W_])", text) is not None


class SinglePage(Paging):
    """All rows are on one page."""

    def begin(self) -> Outcome:
        return Outcome(None, Evidence(paging="single page"), Ask())

    def advance(self, state: Any, page: Page) -> Outcome:
        evidence = Evidence(paging="single page").seen(page)
        promised = "" if evidence.total == evidence.came else promise(page)
        return Outcome(state, replace(evidence, torn=promised, unprovable="it is a single page"))


MORE = re.compile(
    r"has_?(more|next)\w*|more_?(pages|results|items|records)\w*|exceeded_?transfer_?limit"
    r"|(is_?)?truncated",
    re.IGNORECASE,
)
"""Names of flags by which an API says that there is more."""
NEXT = re.compile(r"([@\w]+[.:])?next(_?(page|link|url|href|uri))*", re.IGNORECASE)
"""Names of links to the next page, as in JSON:API, OData and Hydra."""


def promise(page: Page) -> str:
    """That the API says, beside the rows, that there are more; empty where it does not."""
    told = "the Link header" if "next" in page.links else _promise(page.document)
    more = f"the API says that there is more after these {len(page.rows)} rows"
    return f"{more} ({told}), and the paginator asks for nothing else" if told else ""


def _promise(document: Any) -> str:
    """The name of what says so, in objects beside lists."""
    for name, value in ((path[-1], value) for path, value in walk(document) if path):
        link = (value.get("href") or value.get("url")) if isinstance(value, dict) else value
        is_link = isinstance(link, str) and re.match(r"https?://|/", link)
        if (value is True and MORE.fullmatch(name)) or (is_link and NEXT.fullmatch(name)):
            return f'"{name}"'
    return ""


@dataclass(frozen=True)
class Detected(Paging):
    """The way of paging that the first page shows; its state is that of the way found."""

    detect: Callable[[Page], Paging]

    def begin(self) -> Outcome:
        return Outcome(None, Evidence(), Ask())

    def advance(self, state: tuple[Paging, Any] | None, page: Page) -> Outcome:
        if state is None:
            paging = self.detect(page)
            state = paging, paging.begin().state
        paging, inner = state
        step = paging.advance(inner, page)
        return replace(step, state=(paging, step.state))

    def refused(self, state: tuple[Paging, Any] | None, status: int) -> Outcome | None:
        step = state[0].refused(state[1], status) if state else None
        return replace(step, state=(state[0], step.state)) if state and step else None
