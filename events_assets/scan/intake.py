"""Sorts the rows of pages: new ones are loaded, those that came before are not, and those that
cannot be loaded are set aside."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import dlt

from events_assets.arrow.convert import BATCH, ByRow, Columnar
from events_assets.paging.base import Page
from events_assets.rows.identity import Identity, Loadable
from events_assets.rows.names import Names
from events_assets.scan.list_pass import ListPass
from events_assets.scan.receipt import Fingerprint, Receipt
from events_assets.scan.tables import quarantine_item


class Intake:
    """Takes in the rows of one scan, and counts them in its receipt.

    Args:
        identity: what identifies the rows.
        receipt: of the scan.
        is_loaded: whether the rows are loaded; those of parents are only asked for.
    """

    def __init__(self, identity: Identity, receipt: Receipt, is_loaded: bool) -> None:
        self._identity = identity
        self._receipt = receipt
        self._is_loaded = is_loaded
        self._earlier: set[Hashable] = set()
        """Rows of the passes that have ended; those of the one under way are in its `came`."""
        self._ended: set[Hashable] = set()
        self._counted: list[set[Hashable]] = []
        """Rows of the passes that the verdict is about, a set for each."""
        self._refused: set[Hashable] = set()
        """Rows that were set aside; all others that came are loaded, or wait to be."""
        self._refused_earlier: frozenset[Hashable] = frozenset()
        self._waiting: dict[Hashable, tuple[Any, int]] = {}
        """Rows to load by their identities, as they came, each with its position."""
        self._batches: Columnar | ByRow | None = None
        self.fingerprint = Fingerprint()

    def begin(self) -> None:
        """A pass begins."""
        self._refused_earlier = frozenset(self._refused)
        self._earlier |= self._ended
        self._ended = set()

    def end(self, came: set[Hashable], *, counts: bool = False) -> None:
        """A pass has ended; it counts unless it is repeated, or split into halves.

        Its rows are added to the earlier ones when a further pass begins, if any does.
        """
        self._ended = came
        if counts:
            self._counted.append(came)

    def take(self, one: ListPass, page: Page, before: Sequence[Hashable]) -> Iterator[Any]:
        """Takes in a page; yields items for dlt.

        Args:
            one: the pass that the page is of.
            page: the page.
            before: identities of the rows on the page before.
        """
        doubtful = self._doubtful(page)
        overlapping = _overlap(before, page.identities) if doubtful else 0
        on_page: set[Hashable] = set()
        for place, (row, identity) in enumerate(zip(page.rows, page.identities, strict=True)):
            is_new = identity not in doubtful
            if is_new:
                one.distinct += 1
            elif place >= overlapping:
                if identity in self._waiting:  # and may yet turn out not to be loadable
                    yield from self.flush()
                is_new = self._is_new(one, page, identity, identity in on_page, before)
                on_page.add(identity)
            if not is_new:
                self._receipt.repeats += 1
                continue
            if identity not in self._refused_earlier:
                self.fingerprint.add(row)
            is_whole = type(identity) is bytes and self._is_loaded  # else it is the row's key
            if is_whole and (reason := self._identity.objection(row)):
                yield from self._set_aside(identity, row, reason, one.distinct - 1)
            else:
                self._refused.discard(identity)
                self._waiting[identity] = (row, one.distinct - 1)
        if len(self._waiting) >= BATCH:
            yield from self.flush()

    def flush(self) -> Iterator[Any]:
        """Gives the rows that are waiting to dlt, in batches, which is faster than one by one."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        if self._batches is None:  # the first rows have decided on the types of keys
            self._batches = self._new_batches()
        rows = [row for row, _ in waiting.values()]
        if self._is_loaded:
            rows = self._identity.with_keys(rows, waiting)
        refused = self._batches.take(rows)
        entries = list(waiting.items()) if refused else []
        for place, reason in refused.items():
            identity, (row, position) = entries[place]
            yield from self._set_aside(identity, row, reason, position)
        self._receipt.rows_loaded += len(waiting) - len(refused)
        yield from self._batches.items()

    def _doubtful(self, page: Page) -> set[Hashable]:
        """The rows of a page that came before, or are on it twice: all others are new."""
        found = {*page.known}
        if self._earlier:
            found |= self._earlier.intersection(page.identities)
        if len(set(page.identities)) < len(page.identities):
            found |= {one for one, times in Counter(page.identities).items() if times > 1}
        return found

    def _is_new(
        self,
        one: ListPass,
        page: Page,
        identity: Hashable,
        on_page: bool,
        before: Sequence[Hashable],
    ) -> bool:
        """Whether a row that may have come before is to be loaded, or set aside, nevertheless."""
        came, refused = on_page or identity in page.known, identity in self._refused
        if came and not refused:
            if on_page:
                one.twice.append(identity)
            elif one.evidence.total_last is not None or identity not in before:
                one.far_apart.append(identity)
            return False
        if not came or self._identity.is_keyless(identity):
            one.distinct += 1
            one.shared += any(identity in came for came in self._counted)
        return refused or identity not in self._earlier

    def _set_aside(self, identity: Hashable, row: Any, reason: str, position: int) -> Iterator[Any]:
        """Sets a row aside, unless an earlier pass has done so."""
        self._refused.add(identity)
        if identity in self._refused_earlier:
            self._receipt.repeats += 1
            return
        self._receipt.rows_quarantined += 1
        yield quarantine_item(row, reason, position, self._receipt)

    def _new_batches(self) -> Columnar | ByRow:
        if not self._is_loaded:
            return ByRow()
        naming = dlt.current.source_schema().naming
        owners = dlt.current.resource_state().setdefault("owners of names", {})
        return Columnar(self._identity.types, Loadable(Names(naming.normalize_path, owners)))


def _overlap(before: Sequence[Hashable], page: Sequence[Hashable]) -> int:
    """The number of rows at the start of a page that are the last ones of the page before."""
    for start, identity in enumerate(before):
        if page and identity == page[0] and before[start:] == page[: len(before) - start]:
            return len(before) - start
    return 0
