"""Reads what the API has answered before, to several workers, each of which asked for windows."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from events_assets.http.recording import Recordings
from events_assets.http.transport import Traffic
from events_assets.scan import tables
from events_assets.scan.list_pass import ListPass
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
from events_assets.scan.table_pass import TablePass
from events_assets.scan.table_scan import TableScan
from events_assets.scan.verdict import UNPROVEN, Reading, Verdict, doubt, judge


class RecordedScan(TableScan):
    """Takes in recorded answers, and makes out a receipt for each window, too.

    What other loads have done since the API was asked stays as it is.

    Args:
        recordings: the answers, to be given from the first one on.
        began_at: when the API was asked for the first of them.
        traffic: what that cost.
        args: those of the scan that asks the API itself.
    """

    def __init__(
        self, recordings: Recordings, began_at: datetime, traffic: Traffic, *args: Any
    ) -> None:
        super().__init__(*args)
        self._recordings, self._began_at = recordings, began_at
        self._windows: list[Receipt] = []
        self.receipt.add_cost(traffic)
        recordings.rewind()

    def _begun(self) -> datetime:
        return self._began_at

    def _stored(self) -> Stored:
        return Stored.of(self.table.name, self.table.identity, self._began_at)

    def _pass(self, progress: Progress) -> TablePass:
        self._recordings.begin()
        return super()._pass(progress)

    def _removed(self, max_removed: float) -> list[Hashable]:
        if self.intake.versions.stored.is_newer:
            told = "nothing is marked as removed: other loads have ended since all was asked for"
            self.table.endpoints[0].session.log.info(told)
            return []
        return super()._removed(max_removed)

    def _receipt_items(self) -> Iterator[Any]:
        yield from super()._receipt_items()
        yield from map(tables.receipt_item, self._windows)

    def _conclude(self, one: TablePass, verdict: Verdict) -> None:
        super()._conclude(one, verdict)
        refused, unloaded = {*self.intake.quarantine.refused}, self.intake.versions.unloaded()
        by_window: dict[str, list[ListPass]] = {}
        for each in filter(attrgetter("window"), one.lists):
            by_window.setdefault(str(each), []).append(each)
        seen = set[Hashable]()
        for name, lists in by_window.items():
            came = set[Hashable]().union(*(each.came for each in lists)) - seen
            seen |= came
            receipt = self._of_window(name, lists)
            receipt.rows_quarantined = len(came & refused)
            receipt.rows_excluded = len(came & unloaded - refused)
            receipt.rows_loaded = len(came - unloaded)
            known = receipt.rows_loaded + receipt.rows_quarantined + receipt.rows_excluded
            receipt.repeats = receipt.rows_received - known
            self._windows.append(receipt)

    def _of_window(self, name: str, lists: Sequence[ListPass]) -> Receipt:
        """The receipt of a window alone, in which there is a list for each parent."""
        of_all, is_fixed = self.receipt, lists[0].endpoint.order_of is not None
        found = ([seen for seen in each.lists if seen.name == name] for each in self._readings)
        seen = [Reading(lists) for lists in found if lists]
        receipt = replace(
            Receipt(name, of_all.run_id, of_all.started_at, scan_kind="window"),
            scans=len(seen),
            pages=sum(one.evidence.pages for one in lists),
            rows_received=sum(one.received for each in seen for one in each.lists),
            origin=of_all.origin,
        )
        verdict = judge(seen, len(seen), is_fixed, may_be_empty=True)
        receipt.conclude(lists, verdict or Verdict(UNPROVEN, doubt(seen[-1])))
        return receipt
