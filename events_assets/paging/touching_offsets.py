"""Offset paging that loses nothing: pages that touch, and a pass that always ends.

dlt's `OffsetPaginator` adds the limit it asked for to the offset. Where the API grants less, or
rows are removed during the scan, rows between two pages are skipped without a word. Here the offset
advances by the rows received, less an overlap, and a page counts only if it shares a row with what
came before; otherwise the pass steps back until one does.

| mode | page | next mode | next offset |
|---|---|---|---|
| touching | shares a row with those before | touching | its end, less the overlap |
| touching | shares none | stepping back | before it, twice as far each time |
| touching | no longer than the overlap | probing | its end |
| touching | the second one is refused | plain (only multiples are taken) | the end of the first |
| touching | the page before once more | plain (only multiples are taken) | the end of that |
| stepping back | shares a row | touching | its end, less the overlap |
| probing | has rows | plain (it could not be seen to touch) | its end |
| plain | any | plain | its end |
| plain | the page before, which was short | grid | the next multiple of the limit |
| grid | has rows | grid, and torn: a grid wider than its pages has gaps | its end |
| any | the last one | the end | |

The last page is an empty one, the first short one if as many rows came as the API counted all the
time, one of which the API says that it has no more, or the one that reaches `maximum_offset`.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from events_assets.errors import EndlessScanError
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

RESTARTS = 10
"""So often a pass may step back to its first page (rows may be removed during the scan)."""
STEPS_BACK = 50
"""So often a pass may step back without getting any further."""


class Mode(Enum):
    """How the next page is to be joined to those before it; see the table above."""

    TOUCHING = auto()
    STEPPING_BACK = auto()
    PROBING = auto()
    PLAIN = auto()
    GRID = auto()
    ENDED = auto()


@dataclass(frozen=True)
class OffsetState:
    """Where a pass is.

    `offset`: of the page asked for. `end`: of the first row not yet asked for. `step`: how far the
    pass stepped back last. `restarts`: how often to its first page. `stuck`: how often since it got
    as far as `furthest`. `islands`: rows on pages which are not joined to the first one. `before`:
    those on the page before.
    """

    mode: Mode
    offset: int
    end: int
    evidence: Evidence
    step: int = 0
    restarts: int = 0
    stuck: int = 0
    furthest: int = 0
    idle_pages: int = 0
    islands: frozenset[Hashable] = frozenset()
    before: tuple[Hashable, ...] = ()

    def joins(self, page: Page, identity: Hashable) -> bool:
        """Whether a row came on a page that is joined to the first one without a gap."""
        return identity in page.known and identity not in self.islands

    def plain(self, **changes: Any) -> "OffsetState":
        """From here on pages are not seen to touch."""
        evidence = replace(self.evidence, touching=False, paging="plain")
        return replace(self, **{"mode": Mode.PLAIN, "evidence": evidence, **changes})

    def joined(self, limit: int) -> "OffsetState":
        """After a page with rows that is joined to those before it."""
        if self.mode is Mode.STEPPING_BACK:
            return replace(self, mode=Mode.TOUCHING)
        if self.mode is Mode.PROBING:
            return self.plain()
        if self.mode is Mode.GRID:
            torn = (
                f"the API takes only multiples of {limit} as offset, but gives fewer rows a "
                f"page; set the paginator's limit to {self.evidence.granted}"
            )
            return replace(self, evidence=replace(self.evidence, torn=torn))
        return self

    def empty(self) -> "OffsetState":
        """The end, which is said where the page before had nothing new, or the total agrees."""
        is_said = self.mode is Mode.PROBING or self.evidence.total is not None
        return self.ended(ended="the page after the last row is empty" if is_said else "")

    def ended(self, **claims: Any) -> "OffsetState":
        return replace(self, mode=Mode.ENDED, evidence=replace(self.evidence, **claims))


@dataclass(frozen=True)
class TouchingOffsets(Paging):
    """Pages by offset and limit.

    `overlap` is the number of rows that two pages share, 0 for plain offsets. `first` is the offset
    of the first page, `maximum` the one that ends the pass.
    """

    limit: int
    overlap: int = 1
    first: int = 0
    maximum: int | None = None
    offset_at: Place = Place("offset")
    limit_at: Place = Place("limit")
    has_more: Flag = Flag()

    def begin(self) -> Outcome:
        # From offset 1 on may be all rows of an API that counts from 1.
        skipped = self.first if self.first > 1 else 0
        evidence = Evidence(paging="touching", touching=True, skipped=skipped)
        state = OffsetState(Mode.TOUCHING, self.first, self.first, evidence)
        return self._step(state if self.overlap else state.plain())

    def advance(self, state: OffsetState, page: Page) -> Outcome:
        state = replace(state, evidence=state.evidence.seen(page))
        following = self._following(state, page)
        return self._step(replace(following, before=tuple(page.identities)))

    def upcoming(self, state: OffsetState, count: int) -> Iterator[Ask]:
        """The offsets that follow while pages stay as long as the longest one so far."""
        evidence = state.evidence
        step = evidence.granted - self._overlap(state)
        joined = state.mode in (Mode.TOUCHING, Mode.PLAIN)
        if not joined or step <= 0 or len(state.before) < evidence.granted:
            return
        ends = [end for end in (evidence.total_last, self.maximum) if end is not None]
        for offset in range(state.offset + step, state.offset + step * count + 1, step):
            if ends and offset + self._overlap(state) >= min(ends):
                return
            yield self.ask(offset)

    def owes(self, ask: Ask, document: Any, total: int | None) -> str:
        if total is not None and total > dict(ask.params + ask.body)[self.offset_at.name]:
            return f"the page is empty although the API counts {total} rows"
        if self.has_more.says(document):
            return "the page is empty although the API says that it has more"
        return ""

    def refused(self, state: OffsetState, status: int) -> Outcome | None:
        evidence = state.evidence
        is_first_overlap = evidence.pages == 1 and self.first < state.offset < state.end
        if status in BEYOND_THE_END and is_first_overlap:
            return self._step(state.plain(offset=state.end))  # only multiples may be allowed
        if status in NOT_THERE and evidence.pages == 1 and evidence.granted < self.limit:
            ended = f"the API refuses ({status}) what is after a short page"
            return Outcome(state, replace(evidence, pages=2, ended=ended))
        return super().refused(state, status)

    def _following(self, state: OffsetState, page: Page) -> OffsetState:
        if not page.rows and page.total is not None and page.total > state.offset:
            torn = f"the API counts {page.total} rows, but gives none from offset {state.offset} on"
            return state.ended(torn=torn)
        if state.mode is not Mode.STEPPING_BACK and tuple(page.identities) == state.before != ():
            return self._after_the_same_page(state)
        must_touch = state.mode in (Mode.TOUCHING, Mode.STEPPING_BACK) and state.offset > self.first
        if must_touch and not any(state.joins(page, identity) for identity in page.identities):
            return self._stepped_back(state, page)
        return self._after_joined_page(state, page) if page.rows else state.empty()

    def _after_joined_page(self, state: OffsetState, page: Page) -> OffsetState:
        end, rows, overlap = state.offset + len(page.rows), len(page.rows), self._overlap(state)
        news = not all(state.joins(page, identity) for identity in page.identities)
        reached = end if state.mode is Mode.STEPPING_BACK else max(end, state.end)
        islands = state.islands.difference(page.identities)
        evidence = state.evidence
        if overlap and state.before and state.mode is not Mode.PROBING:
            evidence = replace(
                evidence,
                shifted=evidence.shifted
                or tuple(page.identities[:overlap]) != state.before[-overlap:],
                repeated=evidence.repeated or len(page.known) > overlap,
            )
        state = replace(state, evidence=evidence, islands=islands, end=reached, step=0)
        state = state.joined(self.limit)
        if end > state.furthest:
            state = replace(state, furthest=end, stuck=0)
        if self.maximum is not None and end >= self.maximum:
            ends = f"the scan ends at maximum_offset {self.maximum}, as configured"
            return state.ended(cut_short=ends)
        # A total alone proves nothing, some APIs count only the page in it: after a full page
        # that reaches the total, one more request finds out.
        if evidence.short and evidence.counted:
            return state.ended(ended="a short page reaches the total")
        if self.has_more.says(page.document) is False:
            return state.ended(ended="the API says that there is no more")
        idle_pages = idle(page, evidence, state.idle_pages, f" up to offset {end}")
        state = replace(state, idle_pages=idle_pages)
        if rows > self._overlap(state):
            return replace(state, offset=end - self._overlap(state))
        # Nothing but the overlap: probably the end, but only an empty page says so. Pages that
        # are no longer than the overlap cannot touch.
        return replace(state.plain() if news else state, mode=Mode.PROBING, offset=end)

    def _after_the_same_page(self, state: OffsetState) -> OffsetState:
        """The page before came once more: a fixed grid of offsets, or none at all."""
        total = state.evidence.total
        if total is not None and state.evidence.came >= total:
            return state.ended()  # the API ignores the offset
        if state.mode is Mode.TOUCHING and state.offset < state.end:
            return state.plain(offset=state.end)
        if state.mode is not Mode.GRID and len(state.before) < self.limit:
            return state.plain(mode=Mode.GRID, offset=state.end - len(state.before) + self.limit)
        if state.evidence.torn:
            return state.ended()
        raise EndlessScanError(
            f"the API answers offset {state.offset} with the page before; it seems to ignore the "
            f"parameter '{self.offset_at.name}'"
        )

    def _stepped_back(self, state: OffsetState, page: Page) -> OffsetState:
        evidence = replace(state.evidence, step_backs=state.evidence.step_backs + 1)
        step = max(2 * state.step, evidence.granted - self.overlap, 1)
        offset = max(self.first, state.offset - step)
        restarts = state.restarts + (offset == self.first)
        if restarts > RESTARTS or state.stuck == STEPS_BACK:
            raise EndlessScanError(
                "pages share no row, however far the scan steps back; the API gives its rows in "
                "another order each time, ask it for a fixed one (endpoint.params)"
            )
        return replace(
            state,
            mode=Mode.STEPPING_BACK,
            offset=offset,
            evidence=evidence,
            step=step,
            restarts=restarts,
            stuck=state.stuck + 1,
            idle_pages=state.idle_pages - step // max(1, evidence.granted - self.overlap),
            islands=state.islands | {*page.identities} - page.known,
        )

    def _overlap(self, state: OffsetState) -> int:
        return self.overlap if state.evidence.touching else 0

    def ask(self, offset: int) -> Ask:
        """The request for a page from an offset on."""
        return asking((self.offset_at, offset), (self.limit_at, self.limit))

    def _step(self, state: OffsetState) -> Outcome:
        following = None if state.mode is Mode.ENDED else self.ask(state.offset)
        return Outcome(state, state.evidence, following, state.offset - self.first + self.limit)
