"""Reads all lists of one table: its rows become items for dlt, followed by the receipt."""

from collections.abc import Hashable, Iterator
from contextlib import closing
from typing import Any

from events_assets.scan.intake import Intake
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import stored_rows
from events_assets.scan.table_pass import Table, TablePass
from events_assets.scan.tables import (
    empty_item,
    key_types,
    later_versions_win,
    receipt_item,
    removal_items,
    require_origin,
    sync_items,
)
from events_assets.scan.verdict import COMPLETE, Reading, Verdict, doubt, judge

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
        max_removed: share of the rows in the warehouse that may be marked as removed. None: rows
            are not compared with those in the warehouse.
    """

    def __init__(
        self,
        table: Table,
        run_id: str | None = None,
        passes: int = 1,
        max_removed: float | None = None,
    ) -> None:
        self.table, self.passes, self.max_removed = table, passes, max_removed
        self.receipt = Receipt(table.name, run_id, page_size_asked=table.endpoints[0].page_size)
        self.intake = Intake(table.identity, self.receipt, is_loaded=True)

    def items(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt.

        To be read while dlt extracts the resource.

        Raises:
            KeyTypeError: a key column is too narrow.
            ConfigurationError: the table holds the rows of another API.
        """
        if moved := require_origin(self.receipt):
            self.table.endpoints[0].session.log.warning(moved)
        identity, name = self.table.identity, self.table.name
        identity.types.update(key_types(name, identity))
        if self.max_removed is not None:
            self.intake.compare_with(stored_rows(name, identity))
        yield from self.rows()
        if not self.receipt.rows_loaded:
            yield empty_item(identity)
        if self.max_removed is not None:
            yield from removal_items(identity, self._removed(), self.receipt.started_at)
            yield from sync_items(name, identity)
        yield receipt_item(self.receipt)
        if self.intake.has_later_versions:
            later_versions_win(self.table.name)

    def _removed(self) -> list[Hashable]:
        """The rows that a complete scan did not bring, if they are not too many at once."""
        receipt = self.receipt
        if receipt.verdict != COMPLETE:
            return []
        removed, before = self.intake.vanished(), self.intake.known_before()
        if len(removed) > max(MAY_ALWAYS_GO, (self.max_removed or 0) * before):
            receipt.rows_vanished = len(removed)
            return []
        receipt.rows_removed = len(removed)
        return removed

    def rows(self) -> Iterator[Any]:
        """The items with rows; when they have ended, the receipt is made out.

        Raises:
            ApiError, EndlessScanError: no pass could read all lists to their end.
        """
        log, first = self.table.endpoints[0].session.log, self.table.endpoints[0]
        readings: list[Reading] = []
        verdict: Verdict | None = None
        with self.table.opened(), closing(Progress(self.table.name, log)) as progress:
            while verdict is None:
                if readings:
                    log.info(f"{self.table.name}: {doubt(readings[-1])}; reading it once more")
                one = TablePass(self.table, self.intake, self.receipt, progress)
                yield from one.items()
                readings.append(one.reading())
                verdict = judge(readings, self.passes, first.order_of is not None)
        if error := one.broken():
            raise error
        for traffic in self.table.traffic():
            self.receipt.add_cost(traffic)
        self.receipt.scans = len(readings)
        self.receipt.conclude(one.lists, verdict, self.intake.fingerprint)
