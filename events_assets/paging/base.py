"""What every way of paging is given, and what it answers: pages in, requests and evidence out.

A way of paging is a state machine without any memory of its own: no HTTP, no dlt, no clock. It
begins with a first request; `advance` makes a state and a page into the next state, with the next
request or the end, and the evidence so far. So a scan of any API, however it changes meanwhile, can
be played in memory with the classes that ask the real one.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from operator import gt, lt
from typing import Any

from events_assets.errors import EndlessScanError
from events_assets.json_path import finder

IDLE_PAGES = 10
"""So many pages in a row may bring nothing new (rows may be inserted during the scan)."""
EMPTY_PAGES = 1_000
"""So many pages in a row may be empty and yet name a next one (a filter behind the pages)."""
BY_CHANCE = 7
"""Rows in any order are strictly ordered in 2 of 7! cases."""
BEYOND_THE_END = frozenset({400, 404, 410, 416, 422})
"""Statuses of an API that refuses a page after the last one."""
NOT_THERE = frozenset({404, 416})
"""Those which say nothing but that there is no such page."""


@dataclass(frozen=True)
class Ask:
    """What the request for one page adds to the request for its list.

    `params` go into the query, `body` at dotted paths into the JSON body. `url` takes the place of
    URL and query. `change` makes another request of it (for paginators that are not ours).
    """

    params: tuple[tuple[str, Any], ...] = ()
    body: tuple[tuple[str, Any], ...] = ()
    url: str | None = None
    change: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Page:
    """One page of a list, made once from one answer.

    `rows` are as they are to be loaded, `originals` as the API gave them. `identities` are theirs:
    equal for the same row. `known`
    are those among them that came on earlier pages of this pass. `order` are the values by which
    rows may be ordered once and for all. `answer` is where it all comes from (for paginators that
    are not ours).
    """

    rows: Sequence[Any]
    identities: Sequence[Hashable]
    originals: Sequence[Any] = ()
    known: Set[Hashable] = frozenset()
    order: Sequence[Any] = ()
    total: int | None = None
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    url: str = ""
    answer: Any = None


@dataclass(frozen=True)
class Order:
    """The directions in which all pages so far were strictly ordered, both before the first two
    rows; none where they were not. Digits in a text are compared as numbers, too."""

    directions: frozenset[str] = frozenset({"up", "down", "numbers up", "numbers down"})
    last: Any = None

    def then(self, values: Sequence[Any]) -> "Order":
        """The order with those values of a further page, the last one before it among them."""
        if not self.directions or not values:
            return self
        digits = [value.lstrip("0") for value in values if type(value) is str and value.isdecimal()]
        numbers = [(len(one), one) for one in digits] if len(digits) == len(values) else []
        held = {
            direction
            for direction in self.directions
            if _ordered(numbers if "numbers" in direction else values, "up" in direction)
        }
        return Order(frozenset(held), values[-1])


def _ordered(values: Sequence[Any], up: bool) -> bool:
    try:
        return bool(values) and all(map(lt if up else gt, values, values[1:]))
    except TypeError:
        return False


@dataclass(frozen=True)
class Evidence:
    """What the pages of one pass over a list tell about its completeness.

    `paging`: in a word, how pages were found in the end. `empty`: pages without rows, up to the
    last page. `came`: rows, each counted once; `first`: those on the first page. `granted`: rows on
    the largest page, `size`, `last`: on the first and the last one that had any. `uniform`: all
    pages with rows but the last were equally long. `rose`, `fell`: the total was larger, or
    smaller, on a page than on the one before. `totals`: pages that told one. `skipped`: rows before
    the first one asked for, as configured.

    `order`: the order in which rows came. `touching`: each page was seen to share a row with those
    before it. `shifted`: one shared other rows than it was asked to. `repeated`: one held a row of
    a page that is not its neighbour. `named`: each next page was named by the last row of the page
    before it. `ended`: how the API said that there is no more, empty where it did not.

    In words for people: `torn`, which rows the API promised and did not give; `cut_short`, that the
    pass ends early, as configured; `unprovable`, why the list has no end that one could see;
    `expired`, why the pass broke off, and has to be made anew.
    """

    paging: str = ""
    pages: int = 0
    empty: int = 0
    came: int = 0
    first: int = 0
    granted: int = 0
    size: int = 0
    last: int = 0
    uniform: bool = True
    total_first: int | None = None
    total_last: int | None = None
    totals: int = 0
    rose: bool = False
    fell: bool = False
    skipped: int = 0
    order: Order = Order()
    touching: bool = False
    shifted: bool = False
    repeated: bool = False
    step_backs: int = 0
    named: bool = False
    ended: str = ""
    torn: str = ""
    cut_short: str = ""
    unprovable: str = ""
    expired: str = ""

    def seen(self, page: Page) -> "Evidence":
        """The evidence with what a further page tells: its rows, and how many there are."""
        rows, new = len(page.rows), len({*page.identities} - page.known)
        order = [self.order.last, *page.order] if self.pages and not self.touching else page.order
        seen = replace(
            self,
            pages=self.pages + 1,
            empty=0 if rows else self.empty + 1,
            came=self.came + new,
            first=self.first if self.pages else new,
            granted=max(self.granted, rows),
            size=self.size or rows,
            last=rows or self.last,
            uniform=self.uniform and (not rows or self.last in (0, self.size)),
            order=self.order.then(order) if page.order else self.order,
        )
        return seen.counting(page.total)

    @property
    def short(self) -> bool:
        """Whether the last page with rows was the first one that was shorter than all before."""
        return self.uniform and self.last < self.size

    def counting(self, total: int | None) -> "Evidence":
        """The evidence with a further total."""
        if total is None:
            return self
        total = max(0, total - self.skipped)
        if self.total_last is None:
            return replace(self, totals=1, total_first=total, total_last=total)
        rose, fell = self.rose or total > self.total_last, self.fell or total < self.total_last
        return replace(self, totals=self.totals + 1, total_last=total, rose=rose, fell=fell)

    @property
    def total(self) -> int | None:
        """The rows that the API counts, None where it does not, or not always the same."""
        return None if self.rose or self.fell else self.total_last

    @property
    def ordered(self) -> bool:
        """Whether rows came strictly ordered, and not by chance."""
        return bool(self.order.directions) and self.came >= BY_CHANCE

    @property
    def counted(self) -> bool:
        """Whether as many rows came as the API counted on several pages. On a single one it may
        count the rows of that page."""
        return self.total == self.came and self.totals > 1


@dataclass(frozen=True)
class Outcome:
    """What follows from a page: a state, the evidence so far, and the next request or the end.

    `depth` is the number of rows from the first one of the list to the last one asked for next.
    """

    state: Any
    evidence: Evidence
    next: Ask | None = None
    depth: int = 0


class Paging(ABC):
    """One way of paging. It foresees nothing, owes nothing and has no end but its own, unless it
    says otherwise."""

    @abstractmethod
    def begin(self) -> Outcome:
        """The first request."""

    @abstractmethod
    def advance(self, state: Any, page: Page) -> Outcome:
        """What follows from a page.

        Raises:
            EndlessScanError: the API goes on answering without telling anything new.
        """

    def upcoming(self, state: Any, count: int) -> Iterator[Ask]:
        """The requests after the next one if all goes on as it does, at most `count`."""
        del state, count
        return iter(())

    def owes(self, ask: Ask, document: Any, total: int | None) -> str:
        """Why an answer without rows cannot be all there is, so that it is asked for again."""
        del ask, document, total
        return ""

    def refused(self, state: Any, status: int) -> Outcome | None:
        """What follows where an error status means that there are no further pages, or none that
        can be asked for so; None where it is an error."""
        evidence: Evidence = state.evidence
        told = f"the API refuses ({status}) what is after"
        if status in BEYOND_THE_END and (evidence.short or evidence.counted):
            ended = f"{told} the last row"
            return Outcome(state, replace(evidence, pages=evidence.pages + 1, ended=ended))
        if status in NOT_THERE or (
            status in BEYOND_THE_END and evidence.total == evidence.came
        ):  # or the API lets nobody page any further, and counts what is on a page
            return Outcome(state, replace(evidence, unprovable=f"{told} {evidence.came} rows"))
        return None


def idle(page: Page, evidence: Evidence, before: int, where: str = "") -> int:
    """The number of pages that merely repeat rows, up to this one.

    Raises:
        EndlessScanError: there are too many of them in a row, or too many empty ones.
    """
    if evidence.empty > EMPTY_PAGES:
        raise EndlessScanError(
            f"{EMPTY_PAGES:,} pages in a row{where} are empty, and the API says that there are more"
        )
    if not page.rows:
        return before
    if any(identity not in page.known for identity in page.identities):
        return 0
    if before == IDLE_PAGES:
        raise EndlessScanError(
            f"{IDLE_PAGES} pages in a row{where} brought no new row; the API repeats its pages "
            f"instead of ending"
        )
    return before + 1


@dataclass(frozen=True)
class Place:
    """Where a value goes in a request: a parameter of the query, or a dotted path in the body."""

    param: str | None = None
    body_path: str | None = None

    @property
    def name(self) -> str:
        return self.param or self.body_path or ""


def in_query(value: Any) -> Any:
    """A value as a parameter can hold it: an object as JSON."""
    return json.dumps(value) if isinstance(value, dict) else value


def asking(*values: tuple[Place, Any]) -> Ask:
    """The request with values in their places."""
    params = tuple((place.param, in_query(value)) for place, value in values if place.param)
    body = tuple((place.body_path, value) for place, value in values if place.body_path)
    return Ask(params, body)


class Flag:
    """A yes or no at a JSON path of a document, like `has_more`; absent where there is no path."""

    def __init__(self, path: Any = None) -> None:
        self._find = finder(path) if path else lambda _: []

    def says(self, document: Any) -> bool | None:
        """What the flag says, None where it is absent or says neither."""
        found = self._find(document)
        word = str(found[0]).lower() if found else ""
        if word in ("true", "1", "yes", "y"):
            return True
        return False if word in ("false", "0", "no", "n") else None


class Total:
    """Reads how many rows the API counts.

    Args:
        path: JSON path of a number in the document.
        header: name of a header that holds a number, or ends with one after a slash
            (`Content-Range: items 0-24/573`, RFC 9110 14.4).
    """

    def __init__(self, path: Any = None, header: str | None = None) -> None:
        self._find = finder(path) if path else lambda _: []
        self._header = header

    def __call__(self, document: Any, headers: Mapping[str, str]) -> int | None:
        """The total, None where there is none or it is no whole number from 0 on."""
        found = [*self._find(document)[:1], headers.get(self._header or "", "").rpartition("/")[2]]
        return next((total for total in map(_whole_number, found) if total is not None), None)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if number >= 0 else None
