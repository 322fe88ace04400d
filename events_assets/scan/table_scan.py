"""Reads all lists of one table: its rows become items for dlt, followed by the receipt."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from events_assets.scan import tables
from events_assets.scan.intake import Intake
from events_assets.scan.kept_cursors import KeptCursors
from events_assets.scan.list_pass import ListPass
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
from events_assets.scan.table_pass import Table, TablePass
from events_assets.scan.verdict import COMPLETE, Reading, Verdict, doubt, judge
from events_assets.settings import SyncSettings

MAY_ALWAYS_GO = 10
"""So many rows may be marked as removed at once, however few there are."""


class TableScan:
    """Reads all pages of the lists of one table, again where one pass proves nothing.

    Of the rows of all passes each is loaded once, in its last version; rows that cannot be loaded
    go to `quarantined_<table>`, and the receipt goes to `scan_receipts`, all in the load package of
    the rows. A window with more rows than may be paged through is halved.

    Args:
        table: the table, and the resource of that name, with its lists.
        run_id: identifies the run in the receipt.
        passes: so many passes over all lists are made at most.
        sync: how the rows in the warehouse are kept in step. None: they are not.
    """

    def __init__(
        self,
        table: Table,
        run_id: str | None = None,
        passes: int = 1,
        sync: SyncSettings | None = None,
    ) -> None:
        self.table, self.passes, self.sync = table, passes, sync
        self._cursors = KeptCursors(table.endpoints)
        self._readings: list[Reading] = []
        self.receipt = Receipt(table.name, run_id, page_size_asked=table.endpoints[0].page_size)
        self.intake = Intake(table.identity, self.receipt, is_loaded=True)

    def items(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt.

        To be read while dlt extracts the resource.

        Raises:
            KeyTypeError: a key column is too narrow.
            ConfigurationError: the table holds the rows of another API.
        """
        self.receipt.started_at = self._begun()
        if moved := tables.require_origin(self.receipt):
            self.table.endpoints[0].session.log.warning(moved)
        identity, name, quarantine = self.table.identity, self.table.name, self.intake.quarantine
        identity.types.update(tables.key_types(name, identity))
        quarantine.recall(identity, {one.name: one.map_rows for one in self.table.endpoints})
        if self.sync:
            self._begin(self.sync)
        yield from self.rows()
        if not self.receipt.rows_loaded:
            yield tables.empty_item(identity)
        removed = self._removed(self.sync.max_removed) if self.sync else []
        self.receipt.fingerprint = self.intake.versions.fingerprint(removed)
        if self.sync:
            yield from tables.removal_items(identity, removed, self.receipt.started_at)
            yield from tables.sync_items(name, identity)
            self._end()
        yield from quarantine.notes(self.intake.versions.is_loaded)
        yield from self._receipt_items()
        if self.intake.versions.has_later:
            tables.later_versions_win(self.table.name)

    def _begun(self) -> datetime:
        """When the scan began: now, as the warehouse may have been waited for."""
        return datetime.now(UTC)

    def _stored(self) -> Stored:
        """What the warehouse holds."""
        return Stored.of(self.table.name, self.table.identity)

    def _receipt_items(self) -> Iterator[Any]:
        yield tables.receipt_item(self.receipt)

    def _begin(self, sync: SyncSettings) -> None:
        """Finds out what the warehouse holds, and whether only what changed is asked for."""
        stored, receipt = self._stored(), self.receipt
        every = timedelta(hours=sync.full_scan_every)
        if self._cursors.begin(receipt.started_at, every, stored):
            receipt.scan_kind = "changes"
            whole = [replace(endpoint, windows=None) for endpoint in self.table.endpoints]
            self.table = replace(self.table, endpoints=whole)
        self.intake.compare_with(stored)

    def _end(self) -> None:
        """Moves the cursors on, with this load."""
        self._cursors.end(self.receipt, self.table.endpoints[0].session.log)

    def _removed(self, max_removed: float) -> list[Hashable]:
        """The rows that a complete full scan did not bring, if they are not too many at once."""
        receipt = self.receipt
        if receipt.verdict != COMPLETE or receipt.scan_kind != "full":
            return []
        stored = self.intake.versions.stored
        removed, before = stored.vanished(self.intake.versions.last), stored.current_rows()
        if len(removed) > max(MAY_ALWAYS_GO, max_removed * before):
            receipt.rows_vanished = len(removed)
            return []
        receipt.rows_removed = len(removed)
        return removed

    def rows(self) -> Iterator[Any]:
        """The items with rows; when they have ended, the receipt is made out.

        Raises:
            ApiError, EndlessScanError: no pass could read all lists to their end.
        """
        first, log = self.table.endpoints[0], self.table.endpoints[0].session.log
        is_partial = self.receipt.scan_kind != "full"
        readings, verdict = self._readings, None
        with self.table.opened(), closing(Progress(self.table.name, log)) as progress:
            while verdict is None:
                self.receipt.scans += 1  # rows that are set aside say in which pass
                if readings:
                    log.info(f"{self.table.name}: {doubt(readings[-1])}; reading it once more")
                one = self._pass(progress)
                yield from one.items()
                readings.append(one.reading())
                verdict = judge(readings, self.passes, first.order_of is not None, is_partial)
        if error := one.broken():
            raise error
        self._conclude(one, verdict)

    def _pass(self, progress: Progress) -> TablePass:
        """A further pass."""
        return TablePass(self.table, self.intake, self.receipt, progress)

    def _conclude(self, one: TablePass, verdict: Verdict) -> None:
        """Makes out the receipt; `one` is the last pass."""
        for traffic in self.table.traffic():
            self.receipt.add_cost(traffic)
        self.intake.versions.count()
        if self.receipt.scan_kind != "full":
            verdict = replace(verdict, reason=f"{self._part(one.lists)}: {verdict.reason}")
        self.receipt.conclude(one.lists, verdict)

    def _part(self, lists: Sequence[ListPass]) -> str:
        """What was asked for, where that is not all."""
        del lists
        return f"of what changed since {self._cursors.since}"
