"""Reads what the API has answered before, to several workers, each of which asked for windows."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
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

    def _conclude(self, one: TablePass, readings: Sequence[Reading], verdict: Verdict) -> None:
        super()._conclude(one, readings, verdict)
        self._windows = [self._of_window(each, readings) for each in one.lists if each.window]

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
