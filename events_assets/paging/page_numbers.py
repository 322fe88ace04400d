"""Paging by number: the next page is the number after this one.

dlt's `PageNumberPaginator` fails where the total is missing, and stops at the page that the total
names, though most APIs count rows there, not pages. Here it may be either.

| page | what follows |
|---|---|
| has rows | the next number |
| the page before once more, as the second one | the next number: 0 and 1 are the same page |
| the page before once more, later | the end: some APIs give their last page for ever |
| empty, or refused after one that was given | the end |
| the last by `has_more`, the total of rows, the number of pages, `maximum_page` | the end |
| empty though `has_more` says yes | the next number |
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

from events_assets.paging.base import (
    Ask,
    Evidence,
    Flag,
    Outcome,
    Page,
    Paging,
    Place,
    Total,
    asking,
    idle,
)


@dataclass(frozen=True)
class NumberState:
    """Where a pass is.

    `number` is that of the page asked for. `named` is the number that `pages` tells, of pages or of
    rows, and `most` the largest one so far.
    """

    number: int
    evidence: Evidence
    named: int | None = None
    most: int | None = None
    idle_pages: int = 0
    before: tuple[Hashable, ...] = ()


@dataclass(frozen=True)
class PageNumbers(Paging):
    """Pages by number, from `first` on.

    `base` is the number that the API gives to its first page, `maximum` the one before which the
    pass ends. `pages` reads how many pages the API counts, or rows; `counts_pages` says that it is
    known to be pages.
    """

    first: int = 0
    base: int = 0
    maximum: int | None = None
    number_at: Place = Place("page")
    pages: Total = Total("total")
    counts_pages: bool = False
    has_more: Flag = Flag()

    def begin(self) -> Outcome:
        return self._next(NumberState(self.first, Evidence(paging="page numbers")))

    def advance(self, state: NumberState, page: Page) -> Outcome:
        number, identities = state.number, tuple(page.identities)
        is_repeated = identities == state.before != ()
        evidence, more = state.evidence.seen(page), self.has_more.says(page.document)
        named = self.pages(page.document, page.headers)
        most = state.most if named is None else max(named, state.most or 0)
        state = NumberState(number + 1, evidence, named, most, state.idle_pages, identities)
        if is_repeated and evidence.pages > 2:
            return self._end(state, number)
        if not page.rows and more is not True:
            return self._end(state, number)
        state = replace(state, idle_pages=idle(page, evidence, state.idle_pages))
        if is_repeated:
            return self._next(state)
        if self.maximum is not None and state.number >= self.maximum:
            ends = f"the scan ends at maximum_page {self.maximum}, as configured"
            return Outcome(state, replace(evidence, cut_short=ends))
        ended = "the API says that there is no more" if more is False else self._ended(state)
        return Outcome(state, replace(evidence, ended=ended)) if ended else self._next(state)

    def upcoming(self, state: NumberState, count: int) -> Iterator[Ask]:
        """The numbers that follow, up to that of the last page if it is known."""
        evidence = state.evidence
        if not state.before or len(state.before) < evidence.granted:  # none, or the last one
            return
        last = self.maximum
        if evidence.total_last is not None:
            last = self.first + -(-evidence.total_last // evidence.granted)
        elif self.counts_pages and state.named is not None:
            last = state.named + self.base
        for number in range(state.number + 1, state.number + 1 + count):
            if last is not None and number >= last:
                return
            yield self.ask(number)

    def refused(self, state: NumberState, status: int) -> Outcome | None:
        end = super().refused(state, status)
        if end is None or end.evidence.ended:
            return end
        return self._end(replace(state, evidence=end.evidence), state.number)

    def ask(self, number: int) -> Ask:
        """The request for the page of a number."""
        return asking((self.number_at, number))

    def _ended(self, state: NumberState) -> str:
        """How the API says that the page before that number is the last one, empty if it does not;
        a number that fell says nothing."""
        evidence = state.evidence
        if evidence.short and evidence.counted:
            return "a short page reaches the total"
        reached = state.most is not None and state.number >= state.most + self.base
        if reached and (self.counts_pages or evidence.short):
            return f"the API counts {state.most} pages"
        return ""

    def _next(self, state: NumberState) -> Outcome:
        depth = state.evidence.came + state.evidence.granted
        return Outcome(state, state.evidence, self.ask(state.number), depth)

    def _end(self, state: NumberState, number: int) -> Outcome:
        """The end before a page. The number of pages was not reached: then the API kept some back,
        or it names rows."""
        evidence, named = state.evidence, state.named
        if named is not None and number < named + self.base:
            if self.counts_pages:
                torn = f"the API counts {named} pages, but page {number} is empty"
                evidence = replace(evidence, torn=torn)
            elif evidence.total_last is None:
                evidence = evidence.counting(named)
        return Outcome(state, evidence)
