"""Which rows of a table came already: in this pass, in an earlier one, on another list."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from events_assets.paging.base import Page


@dataclass
class Arrivals:
    """The identities of all rows of a scan.

    `earlier` came in passes that have ended; those of the pass under way are in its `came`.
    `refused` were set aside, all others are loaded. `counted` are those of the passes that the
    verdict is about, a set for each.
    """

    earlier: set[Hashable] = field(default_factory=set)
    refused: set[Hashable] = field(default_factory=set)
    refused_earlier: frozenset[Hashable] = frozenset()
    counted: list[set[Hashable]] = field(default_factory=list)
    _ended: set[Hashable] = field(default_factory=set)

    def begin(self) -> None:
        """A pass begins."""
        self.refused_earlier = frozenset(self.refused)
        self.earlier |= self._ended
        self._ended = set()

    def end(self, came: set[Hashable], *, counts: bool = False) -> None:
        """A pass has ended; it counts unless it is repeated, or split into halves.

        Its rows are added to the earlier ones when a further pass begins, if any does.
        """
        self._ended = came
        if counts:
            self.counted.append(came)

    def doubtful(self, page: Page) -> set[Hashable]:
        """The rows of a page that came before, or are on it twice: all others are new."""
        found = {*page.known}
        if self.earlier:
            found |= self.earlier.intersection(page.identities)
        if len(set(page.identities)) < len(page.identities):
            found |= {one for one, times in Counter(page.identities).items() if times > 1}
        return found

    def was_counted(self, identity: Hashable) -> bool:
        """Whether a pass over another list brought the row, too."""
        return any(identity in came for came in self.counted)


def overlap(before: Sequence[Hashable], page: Sequence[Hashable]) -> int:
    """The number of rows at the start of a page that are the last ones of the page before."""
    for start, identity in enumerate(before):
        if page and identity == page[0] and before[start:] == page[: len(before) - start]:
            return len(before) - start
    return 0
