"""What every way of paging is given, and what it answers: pages in, requests and evidence out.

A way of paging is a state machine without any memory of its own: no HTTP, no dlt, no clock. It
begins with a first request; `advance` makes a state and a page into the next state, with the next
request or the end, and the evidence so far. So a scan of any API, however it changes meanwhile, can
be played in memory with the classes that ask the real one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from events_assets.errors import EndlessScanError
from events_assets.json_path import finder

IDLE_PAGES = 10
"""So many pages in a row may bring nothing new (rows may be inserted during the scan)."""


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

    `rows` are as they are to be loaded, `identities` are theirs: equal for the same row. `known`
    are those among them that came on earlier pages of this pass. `answer` is where it all comes
    from (for paginators that are not ours).
    """

    rows: Sequence[Any]
    identities: Sequence[Hashable]
    known: Set[Hashable] = frozenset()
    total: int | None = None
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    url: str = ""
    answer: Any = None


@dataclass(frozen=True)
class Evidence:
    """What the pages of one pass tell about its completeness.

    `paging`: in a word, how pages were found in the end. `rose`, `fell`: the total was larger, or
    smaller, on a page than on the one before. `granted`: rows on the largest page. `touching`: each
    page was seen to share a row with those before it. `chained`: the API named each next page, and
    said at the last that there is none. `torn`, `cut_short`, `uncertain`: in words for people, what
    keeps the pass from being proven. `skipped`: rows before the first one asked for, as configured.
    """

    paging: str = ""
    total_first: int | None = None
    total_last: int | None = None
    rose: bool = False
    fell: bool = False
    granted: int = 0
    step_backs: int = 0
    touching: bool = False
    chained: bool = False
    torn: str = ""
    cut_short: str = ""
    uncertain: str = ""
    skipped: int = 0

    def seen(self, page: Page) -> "Evidence":
        """The evidence with what a further page tells: its size, and how many rows there are."""
        return replace(self, granted=max(self.granted, len(page.rows))).counting(page.total)

    def counting(self, total: int | None) -> "Evidence":
        if total is None:
            return self
        total = max(0, total - self.skipped)
        if self.total_first is None or self.total_last is None:
            return replace(self, total_first=total, total_last=total)
        rose, fell = self.rose or total > self.total_last, self.fell or total < self.total_last
        return replace(self, total_last=total, rose=rose, fell=fell)


@dataclass(frozen=True)
class Step:
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
    def begin(self) -> Step:
        """The first request."""

    @abstractmethod
    def advance(self, state: Any, page: Page) -> Step:
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

    def refused(self, state: Any, status: int) -> Step | None:
        """The end, where an error status means that the last page was the one before."""
        del state, status
        return None


def idle(page: Page, before: int, where: str = "") -> int:
    """The number of pages without a new row, up to this one.

    Raises:
        EndlessScanError: there are too many of them in a row.
    """
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


def asking(*values: tuple[Place, Any]) -> Ask:
    """The request with values in their places."""
    params = tuple((place.param, value) for place, value in values if place.param)
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
