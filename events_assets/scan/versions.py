"""Which versions of rows came in a scan, and what becomes of each in the warehouse."""

from collections.abc import Hashable, Sequence

from events_assets.rows.marks import fingerprint
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored


class Versions:
    """The books of one scan, from which its receipt is counted: of several versions of a row the
    last one counts.

    `last` is the digest of the last version of each row that came, by its identity, and `stored`
    what the warehouse holds already. `has_later`: a row is loaded in more than one version.
    """

    def __init__(self, receipt: Receipt) -> None:
        self.stored = Stored()
        self.last: dict[Hashable, int] = {}
        self.has_later = False
        self._receipt = receipt
        self._refused: set[int] = set()
        """Digests of rows that are not loaded: set aside, or excluded."""
        self._loaded_before: set[Hashable] = set()
        """Rows of which an earlier version is loaded though the last one is set aside, or is what
        the warehouse held."""

    def is_unchanged(self, identity: Hashable, version: int) -> bool:
        """Whether a row need not be loaded, as the warehouse holds just this."""
        stored = self.stored
        return stored.digests.get(identity) == version and identity not in stored.outdated

    def again(self, identity: Hashable, version: int) -> tuple[bool, bool]:
        """Takes note of a row that may have come before.

        Returns whether it is to be loaded, and whether an earlier version is.
        """
        known = self.last.get(identity)
        if known == version or version in self._refused:
            self._receipt.repeats += 1
            return False, False
        is_given = identity in self._loaded_before
        if known is not None and known not in self._refused and not is_given:
            is_given = not self.is_unchanged(identity, known)
            self._receipt.repeats += not is_given
        self.last[identity] = version
        self.has_later |= is_given
        if is_given and self.is_unchanged(identity, version):
            self._loaded_before.add(identity)
        return True, is_given

    def refuse(self, identity: Hashable, *, is_later: bool = False) -> None:
        """The last version of a row cannot be loaded; where it `is_later`, an earlier one is."""
        self._refused.add(self.last[identity])
        if is_later:
            self._loaded_before.add(identity)

    def unloaded(self) -> set[Hashable]:
        """The rows of which no version is loaded."""
        return {
            identity
            for identity, version in self.last.items()
            if version in self._refused and identity not in self._loaded_before
        }

    def count(self) -> None:
        """Counts the rows that are in the warehouse after the load, by what that does to them."""
        receipt, stored, unloaded = self._receipt, self.stored.digests, self.unloaded()
        for identity, version in self.last.items():
            if identity in unloaded:
                continue
            receipt.rows_loaded += 1
            if identity not in stored:
                receipt.rows_inserted += 1
            elif stored[identity] == version:
                receipt.rows_unchanged += 1
            else:
                receipt.rows_updated += 1

    def is_loaded(self, identity: Hashable) -> bool:
        """Whether the last version of a row came, and the warehouse will hold it."""
        version = self.last.get(identity)
        return version is not None and version not in self._refused

    def fingerprint(self, removed: Sequence[Hashable]) -> str:
        """Of all rows that the table holds after the load, each in its last version."""
        stored = self.stored.digests
        came = sum(
            version - (stored.get(identity) or 0)
            for identity, version in self.last.items()
            if version not in self._refused
        )
        gone = sum(stored[identity] or 0 for identity in removed)
        return fingerprint(self.stored.fingerprint + came - gone)
