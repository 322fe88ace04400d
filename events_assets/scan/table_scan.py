"""Reads all lists of one table: its rows become items for dlt, followed by the receipt."""

import json
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt

from events_assets.scan import tables
from events_assets.scan.intake import Intake
from events_assets.scan.list_pass import ListPass
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
from events_assets.scan.table_pass import Table, TablePass
from events_assets.scan.verdict import COMPLETE, UNPROVEN, Reading, Verdict, doubt, judge
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
        began_at: when the API had been asked for what is read now. None: it is asked now.
    """

    def __init__(
        self,
        table: Table,
        run_id: str | None = None,
        passes: int = 1,
        sync: SyncSettings | None = None,
        began_at: datetime | None = None,
    ) -> None:
        self.table, self.passes, self.sync, self.began_at = table, passes, sync, began_at
        self._changes = {
            f"{one.name} {one.changes.path}": one.changes for one in table.endpoints if one.changes
        }
        """What asks for changes only, by the names of the cursors."""
        self._windows: list[Receipt] = []
        self.receipt = Receipt(table.name, run_id, page_size_asked=table.endpoints[0].page_size)
        self.intake = Intake(table.identity, self.receipt, is_loaded=True)

    def items(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt.

        To be read while dlt extracts the resource.

        Raises:
            KeyTypeError: a key column is too narrow.
            ConfigurationError: the table holds the rows of another API.
        """
        # The warehouse may have been waited for.
        self.receipt.started_at = self.began_at or datetime.now(UTC)
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

    def _receipt_items(self) -> Iterator[Any]:
        yield tables.receipt_item(self.receipt)
        for receipt in self._windows if self.began_at else ():
            yield tables.receipt_item(receipt)

    def _begin(self, sync: SyncSettings) -> None:
        """Decides whether only what changed is asked for: not where that is not known for all
        lists, where all rows are to be loaded anew, or where the last full scan is too long ago."""
        state = dlt.current.resource_state()
        stored = Stored.of(self.table.name, self.table.identity, self.began_at)
        cursors, full_scan_at = state.get("cursors", {}), state.get("full scan at")
        every = timedelta(hours=sync.full_scan_every)
        is_due = not full_scan_at or (
            abs(self.receipt.started_at - datetime.fromisoformat(full_scan_at)) >= every
        )
        is_known = self._changes.keys() <= cursors.keys() and bool(self._changes)
        is_full = is_due or not is_known or self.receipt.scan_kind == "window"
        held = None if is_full else stored.known_fingerprint()
        for name, changes in self._changes.items():
            changes.begin(None if held is None else cursors[name], self.began_at)
        if held is None:
            stored.fetch_all()
        else:
            self.receipt.scan_kind, stored.fingerprint = "changes", held
            whole = [replace(endpoint, windows=None) for endpoint in self.table.endpoints]
            self.table = replace(self.table, endpoints=whole)
        self.intake.compare_with(stored)

    def _end(self) -> None:
        """Moves the cursors on, with this load: as far as it is known that nothing is missing."""
        state, receipt = dlt.current.resource_state(), self.receipt
        log = self.table.endpoints[0].session.log
        for name, changes in self._changes.items():
            for reason, value in changes.ignored.items():
                log.warning(f"a value of the cursor {name} {reason}, and does not move it: {value}")
        is_whole = receipt.scan_kind != "window"  # of other windows nothing is known
        if is_whole and receipt.verdict == COMPLETE and not receipt.rows_vanished:
            newest = {name: changes.newest for name, changes in self._changes.items()}
            found = {name: value for name, value in newest.items() if value is not None}
            state["cursors"] = state.get("cursors", {}) | found
            if receipt.scan_kind == "full":
                state["full scan at"] = receipt.started_at.isoformat()
        elif receipt.rows_vanished:
            state["full scan at"] = None  # so that the next one is full, and says so again
        if self._changes:
            receipt.cursor = json.dumps(state.get("cursors", {}))

    def _removed(self, max_removed: float) -> list[Hashable]:
        """The rows that a complete full scan did not bring, if they are not too many at once."""
        receipt = self.receipt
        if receipt.verdict != COMPLETE or receipt.scan_kind != "full":
            return []
        stored = self.intake.versions.stored
        if stored.is_newer:
            told = "nothing is marked as removed: other loads have ended since all was asked for"
            self.table.endpoints[0].session.log.info(told)
            return []
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
        first = self.table.endpoints[0]
        log = first.session.log
        is_partial = self.receipt.scan_kind != "full"
        readings: list[Reading] = []
        verdict: Verdict | None = None
        with self.table.opened(), closing(Progress(self.table.name, log)) as progress:
            while verdict is None:
                self.receipt.scans += 1  # rows that are set aside say in which pass
                if readings:
                    log.info(f"{self.table.name}: {doubt(readings[-1])}; reading it once more")
                one = TablePass(self.table, self.intake, self.receipt, progress)
                yield from one.items()
                readings.append(one.reading())
                verdict = judge(readings, self.passes, first.order_of is not None, is_partial)
        if error := one.broken():
            raise error
        for traffic in self.table.traffic():
            self.receipt.add_cost(traffic)
        self.intake.versions.count()
        if is_partial:
            verdict = replace(verdict, reason=f"{self._part(one.lists)}: {verdict.reason}")
        self.receipt.conclude(one.lists, verdict)
        self._windows = [self._of_window(each, readings) for each in one.lists if each.window]

    def _part(self, lists: Sequence[ListPass]) -> str:
        """What was asked for, where that is not all."""
        if self.receipt.scan_kind == "window":
            return f"of the events {', '.join(str(one.window) for one in lists)}"
        since = ", ".join(str(changes.since) for changes in self._changes.values())
        return f"of what changed since {since}"

    def _of_window(self, one: ListPass, readings: Sequence[Reading]) -> Receipt:
        """The receipt of a window alone."""
        of_all = self.receipt
        found = ([seen for seen in each.lists if seen.name == str(one)] for each in readings)
        seen = [Reading(lists) for lists in found if lists]
        is_fixed = one.endpoint.order_of is not None
        receipt = replace(
            Receipt(str(one), of_all.run_id, of_all.started_at, scan_kind="window"),
            scans=len(seen),
            pages=one.evidence.pages,
            rows_received=one.distinct,
            repeats=one.shared,
            rows_loaded=one.distinct - one.shared,
            origin=of_all.origin,
        )
        verdict = judge(seen, len(seen), is_fixed, may_be_empty=True)
        receipt.conclude([one], verdict or Verdict(UNPROVEN, doubt(seen[-1])))
        return receipt
