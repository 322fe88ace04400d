"""Sorts the rows of pages: new ones are loaded, of those that came before only a later version, and
those that cannot be loaded are set aside, once."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import dlt

from events_assets.arrow.convert import BATCH, UNMARKED, ByRow, Columnar, Marks
from events_assets.paging.base import Page
from events_assets.rows.canonical import CANONICAL
from events_assets.rows.identity import Identity, Loadable, content_digest
from events_assets.rows.names import Names
from events_assets.scan.list_pass import ListPass
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
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
        self._stored, self._marks = Stored(), UNMARKED
        self._versions: dict[Hashable, int] = {}
        """The digest of the last version of each row that came, by its identity."""
        self._refused: set[int] = set()
        """Digests of rows that are not loaded: set aside, or excluded."""
        self._loaded_before: set[Hashable] = set()
        """Rows of which an earlier version is loaded though the last one is set aside, or is what
        the warehouse held."""
        self._other_lists: set[Hashable] = set()
        """Rows of the lists that were read before, in the same pass over all of them."""
        self._waiting: dict[Hashable, tuple[Any, int, bool]] = {}
        """Rows to load by their identities, as they came, each with its position, and whether an
        earlier version of it is being loaded already."""
        self._batches: Columnar | ByRow | None = None
        self.has_later_versions = False
        """Whether a row is loaded in more than one version, of which the last one counts."""

    def compare_with(self, stored: Stored) -> None:
        """Rows that the warehouse holds as they come are not loaded again, others are marked."""
        self._stored, self._marks = stored, Marks(self._receipt.started_at)

    def begin(self) -> None:
        """A pass over all lists begins."""
        self._other_lists = set()

    def end(self, one: ListPass) -> None:
        """A list has been read to its end."""
        self._other_lists = self._other_lists | one.came if self._other_lists else one.came

    def take(self, one: ListPass, page: Page, before: Sequence[Hashable]) -> Iterator[Any]:
        """Takes in a page; yields items for dlt.

        Args:
            one: the pass that the page is of.
            page: the page.
            before: identities of the rows on the page before.
        """
        self._stored.look_up(page.identities)
        doubtful = self._doubtful(page)
        overlapping = _overlap(before, page.identities) if doubtful else 0
        on_page: set[Hashable] = set()
        digests, unchanged = list[bytes](), list[Hashable]()
        for place, (row, identity) in enumerate(zip(page.rows, page.identities, strict=True)):
            digest = content_digest(row)
            if place >= overlapping:
                digests.append(digest)
            version = int.from_bytes(digest[:8], signed=True)
            if identity not in doubtful:
                one.distinct += 1
                self._versions[identity] = version
                if one.endpoint.changes and one.endpoint.changes.excludes(row):
                    self._receipt.rows_excluded += 1
                    self._refused.add(version)
                    continue
                if self._is_unchanged(identity, version):
                    unchanged.append(identity)
                    continue
                refusal = self._refusal(row, identity)
                if not refusal:
                    self._waiting[identity] = (row, one.distinct - 1, False)
            else:
                if place >= overlapping:
                    self._count(one, page, identity, identity in on_page, before)
                    on_page.add(identity)
                if identity in self._waiting and self._versions[identity] != version:
                    yield from self.flush()  # it may yet turn out not to be loadable
                refusal = self._take_again(row, identity, version, one)
            if refusal:
                yield from self._set_aside(row, version, refusal, one.distinct - 1)
        self._count_loaded(unchanged)
        one.digest.update(b"".join(digests))
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
            if self.has_later_versions:
                some = {identity: one for identity, one in waiting.items() if one[2] is later}
            elif later:
                break
            rows = [row for row, _, _ in some.values()]
            if self._is_loaded:
                rows = self._identity.with_keys(rows, some)
            refused = take(rows, [*map(self._versions.__getitem__, some)]) if rows else {}
            loaded = [*some]
            if refused:
                for place, reason in refused.items():
                    identity = loaded[place]
                    row, position, _ = some[identity]
                    if later:
                        self._loaded_before.add(identity)
                    yield from self._set_aside(row, self._versions[identity], reason, position)
                loaded = [one for place, one in enumerate(loaded) if place not in refused]
            if later:
                self._receipt.repeats += len(loaded)
            else:
                self._count_loaded(loaded)
        yield from self._batches.items()

    def _is_unchanged(self, identity: Hashable, version: int) -> bool:
        """Whether a row need not be loaded, as the warehouse holds just this."""
        return self._stored.is_current and self._stored.has(identity, version)

    def _count_loaded(self, rows: Sequence[Hashable], times: int = 1) -> None:
        """Counts rows that are in the warehouse after the load, by what the load does to them."""
        receipt, stored = self._receipt, self._stored
        known = [one for one in rows if one in stored.digests] if stored.digests else []
        unchanged = sum(stored.has(one, self._versions[one]) for one in known)
        receipt.rows_loaded += times * len(rows)
        receipt.rows_inserted += times * (len(rows) - len(known))
        receipt.rows_unchanged += times * unchanged
        receipt.rows_updated += times * (len(known) - unchanged)

    def vanished(self) -> list[Hashable]:
        """The rows that the warehouse holds, and that did not come."""
        return self._stored.vanished(self._versions)

    def fingerprint(self, removed: Sequence[Hashable]) -> str:
        """Of all rows that the table holds after the load, each in its last version."""
        stored, refused = self._stored.digests, self._refused
        came = sum(
            version - (stored.get(identity) or 0)
            for identity, version in self._versions.items()
            if version not in refused
        )
        gone = sum(stored[identity] or 0 for identity in removed)
        return f"{(self._stored.fingerprint + came - gone) % (1 << 128):032x}"

    def known_before(self) -> int:
        """The number of rows that the warehouse holds, without those that are gone."""
        return len(self._stored.digests) - len(self._stored.removed)

    def _doubtful(self, page: Page) -> set[Hashable]:
        """The rows of a page that came before, or are on it twice: all others are new."""
        different = set(page.identities)
        found = self._versions.keys() & different
        if len(different) < len(page.identities):
            found |= {one for one, times in Counter(page.identities).items() if times > 1}
        return found

    def _count(
        self,
        one: ListPass,
        page: Page,
        identity: Hashable,
        on_page: bool,
        before: Sequence[Hashable],
    ) -> None:
        """Counts a row that came before: in this pass over the list, in another list, or in an
        earlier pass. Rows without a key may be equal, and yet several."""
        came = on_page or identity in page.known
        if not came or self._identity.is_keyless(identity):
            one.distinct += 1
            one.shared += identity in self._other_lists
            return
        one.is_doubled = True
        if on_page:
            one.twice.append(identity)
        elif one.evidence.total_last is not None or identity not in before:
            one.far_apart.append(identity)

    def _take_again(self, row: Any, identity: Hashable, version: int, one: ListPass) -> str:
        """Takes a row that may have come before: of several versions the last one counts."""
        known = self._versions.get(identity)
        if known == version or version in self._refused:
            self._receipt.repeats += 1
            return ""
        is_given, is_counted = identity in self._loaded_before, False
        if known is not None and (known not in self._refused or is_given):
            is_counted = True
            is_given = is_given or not self._is_unchanged(identity, known)
            self._count_loaded([identity], -1)
        self._versions[identity] = version
        self.has_later_versions |= is_given
        if is_given:
            self._count_loaded([identity])
            if self._is_unchanged(identity, version):
                self._loaded_before.add(identity)
        elif is_counted:
            self._receipt.repeats += 1
        refusal = self._refusal(row, identity)
        if not refusal:
            self._waiting[identity] = (row, one.distinct - 1, is_given)
        return refusal

    def _refusal(self, row: Any, identity: Hashable) -> str:
        """Why a row has no usable key, empty for one that has: that is its identity."""
        is_whole = type(identity) is bytes and self._is_loaded
        return self._identity.objection(row) if is_whole else ""

    def _set_aside(self, row: Any, version: int, reason: str, position: int) -> Iterator[Any]:
        self._refused.add(version)
        self._receipt.rows_quarantined += 1
        yield quarantine_item(row, reason, position, self._receipt)

    def _new_batches(self) -> Columnar | ByRow:
        if not self._is_loaded:
            return ByRow()
        naming = dlt.current.source_schema().naming
        owners = dlt.current.resource_state().setdefault("owners of names", {})
        canonical = CANONICAL if self._receipt.resource == "events" else ()
        loadable = Loadable(Names(naming.normalize_path, owners), canonical=canonical)
        return Columnar(self._identity.types, loadable, self._marks)


def _overlap(before: Sequence[Hashable], page: Sequence[Hashable]) -> int:
    """The number of rows at the start of a page that are the last ones of the page before."""
    for start, identity in enumerate(before):
        if page and identity == page[0] and before[start:] == page[: len(before) - start]:
            return len(before) - start
    return 0
