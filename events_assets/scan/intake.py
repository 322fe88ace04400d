"""Sorts the rows of pages: new ones are loaded, of those that came before only a later version, and
those that cannot be loaded are set aside, once."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext

from events_assets.arrow.convert import BATCH, UNMARKED, ByRow, Columnar, Marks
from events_assets.paging.base import Page
from events_assets.rows.canonical import CANONICAL
from events_assets.rows.identity import Identity, Loadable, as_numbers, content_digest
from events_assets.rows.names import Names
from events_assets.rows.rules import RULES, RULES_OF
from events_assets.scan.list_pass import ListPass
from events_assets.scan.quarantine import Original, Quarantine
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
from events_assets.scan.versions import Versions

TIMES = ("start_time", "end_time")


class Waiting(NamedTuple):
    """A row to be loaded, as it came and where; whether an earlier version of it is being loaded
    already."""

    row: Any
    came: Any
    endpoint: str
    position: int
    is_later: bool


class Intake:
    """Takes in the rows of one scan, and counts them in its receipt.

    Args:
        identity: what identifies the rows.
        receipt: of the scan.
        is_loaded: whether the rows are loaded; those of parents are only asked for.
    """

    def __init__(self, identity: Identity, receipt: Receipt, is_loaded: bool) -> None:
        self.versions, self.quarantine = Versions(receipt), Quarantine(receipt)
        self._identity, self._receipt, self._is_loaded = identity, receipt, is_loaded
        self._marks = UNMARKED
        self._other_lists: set[Hashable] = set()
        """Rows of the lists that were read before, in the same pass over all of them."""
        self._waiting: dict[Hashable, Waiting] = {}
        """Rows to load, by their identities."""
        self._batches: Columnar | ByRow | None = None

    def compare_with(self, stored: Stored) -> None:
        """Rows that the warehouse holds as they come are not loaded again, others are marked."""
        self.versions.stored, self._marks = stored, Marks(self._receipt.started_at)

    def begin(self) -> None:
        """A pass over all lists begins."""
        self._other_lists = set()

    def end(self, one: ListPass) -> None:
        """A list has been read to its end."""
        self._other_lists = self._other_lists | one.came if self._other_lists else one.came

    def take(self, one: ListPass, page: Page, before: Sequence[Hashable]) -> Iterator[Any]:
        """Takes in a page of a pass, yields items for dlt. `before` are the identities of the rows
        on the page before it."""
        versions, changes = self.versions, one.endpoint.changes
        versions.stored.look_up(page.identities)
        doubtful = self._doubtful(page)
        overlapping = overlap(before, page.identities) if doubtful else 0
        on_page: set[Hashable] = set()
        digests = [*map(content_digest, page.rows)]
        numbers = as_numbers(digests)
        rows = zip(page.rows, page.originals, page.identities, numbers, strict=True)
        for place, (row, came, identity, version) in enumerate(rows):
            is_later = False
            if identity in doubtful:
                if place >= overlapping:
                    is_near, is_known = identity in before, identity in page.known
                    self._count_again(one, identity, on_page, is_near, is_known)
                if identity in self._waiting and versions.last[identity] != version:
                    yield from self.flush()  # it may yet turn out not to be loadable
                is_wanted, is_later = versions.again(identity, version)
                if not is_wanted:
                    continue
            else:
                one.distinct += 1
                versions.last[identity] = version
                self._receipt.ambiguous_times += _is_ambiguous(row, one.endpoint.twice)
            is_newer = identity in versions.stored.newer
            if is_newer or (changes and changes.excludes(came)):
                self._receipt.rows_excluded += 1
                versions.refuse(identity, is_later=is_later)
            elif is_later or not versions.is_unchanged(identity, version):
                waiting = Waiting(row, came, one.endpoint.name, one.distinct - 1, is_later)
                self._waiting[identity] = waiting
                if type(identity) is bytes and (refusal := self._refusal(row)):
                    yield self._set_aside(identity, self._waiting.pop(identity), refusal)
        one.digest.update(b"".join(digests[overlapping:]))
        if len(self._waiting) >= BATCH:
            yield from self.flush()

    def flush(self) -> Iterator[Any]:
        """Gives the rows that are waiting to dlt, in batches, which is faster than one by one."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        if self._batches is None:  # the first rows have decided on the types of keys
            self._batches = self._new_batches()
        for later, take in ((False, self._batches.take), (True, self._batches.take_later)):
            some = waiting
            if self.versions.has_later:
                some = {key: one for key, one in waiting.items() if one.is_later is later}
            elif later:
                break
            rows = [one.row for one in some.values()]
            if self._is_loaded:
                rows = self._identity.with_keys(rows, some)
            refused = take(rows, [*map(self.versions.last.__getitem__, some)]) if rows else {}
            keys = [*some]
            for place, reason in refused.items():
                yield self._set_aside(keys[place], some[keys[place]], reason)
            if later:
                self._receipt.repeats += len(some) - len(refused)
        yield from self._batches.items()

    def _doubtful(self, page: Page) -> set[Hashable]:
        """The rows of a page that came before, or are on it twice: all others are new."""
        different = set(page.identities)
        found = self.versions.last.keys() & different
        if len(different) < len(page.identities):
            found |= {one for one, times in Counter(page.identities).items() if times > 1}
        return found

    def _count_again(
        self, one: ListPass, identity: Hashable, on_page: set[Hashable], near: bool, known: bool
    ) -> None:
        """Counts a row that came before: in this pass over the list, in another list, or in an
        earlier pass. Rows without a key may be equal, and yet several."""
        if (identity in on_page or known) and not self._identity.is_keyless(identity):
            one.count_double(identity, identity in on_page, near)
        else:
            one.distinct += 1
            one.shared += identity in self._other_lists
        on_page.add(identity)

    def _refusal(self, row: Any) -> str:
        """Why a row that is identified by its content has no usable key, empty if it has."""
        return self._identity.objection(row) if self._is_loaded else ""

    def _set_aside(self, identity: Hashable, waiting: Waiting, reason: str) -> Any:
        self.versions.refuse(identity, is_later=waiting.is_later)
        original = Original(waiting.came, waiting.endpoint, waiting.position)
        return self.quarantine.item(identity, original, reason)

    def _new_batches(self) -> Columnar | ByRow:
        if not self._is_loaded:
            return ByRow()
        naming = dlt.current.source_schema().naming
        owners = dlt.current.resource_state().setdefault("owners of names", {})
        canonical = CANONICAL if self._receipt.resource == "events" else ()
        dialect = Container()[DestinationCapabilitiesContext].sqlglot_dialect
        rules = (*RULES, *RULES_OF.get(str(dialect), ()))
        loadable = Loadable(Names(naming.normalize_path, owners), rules, canonical)
        return Columnar(self._identity.types, loadable, self._marks)


def _is_ambiguous(row: Any, twice: AbstractSet[str]) -> bool:
    """Whether the start or the end of a row is a local time that exists twice."""
    return bool(twice) and isinstance(row, dict) and not twice.isdisjoint(map(row.get, TIMES))


def overlap(before: Sequence[Hashable], page: Sequence[Hashable]) -> int:
    """The number of rows at the start of a page that are the last ones of the page before."""
    for start, identity in enumerate(before):
        if page and identity == page[0] and before[start:] == page[: len(before) - start]:
            return len(before) - start
    return 0
