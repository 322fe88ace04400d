"""Loads rows of the quarantine, as far as they can be loaded by now."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from events_assets.arrow.convert import BATCH
from events_assets.paging.base import Page
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.quarantine import Original
from events_assets.scan.table_scan import TableScan
from events_assets.settings import SyncSettings


class Replay(TableScan):
    """Takes in the rows of the quarantine of a table instead of those of the API.

    It asks for nothing, makes out no receipt and moves no cursor: nothing is learned of the API.
    """

    def _begin(self, sync: SyncSettings) -> None:
        del sync
        self.intake.compare_with(self._stored())

    def rows(self) -> Iterator[Any]:
        self.intake.quarantine.is_replay = True
        endpoints = {endpoint.name: endpoint for endpoint in self.table.endpoints}
        usual, *_ = self.table.endpoints
        by_list: dict[str, list[Original]] = {}
        for entry in chain.from_iterable(self.intake.quarantine.known.values()):
            name = entry.original.endpoint
            by_list.setdefault(name if name in endpoints else usual.name, []).append(entry.original)
        for name, found in by_list.items():
            one = ListPass(endpoints[name], ListRequest("", ""))
            for start in range(0, len(found), BATCH):
                originals = [original.row for original in found[start : start + BATCH]]
                rows = one.endpoint.map_rows(originals)
                identities = one.endpoint.identify(rows)
                page = Page(rows, identities, originals, one.came.intersection(identities))
                yield from self.intake.take(one, page, ())
                one.came.update(identities)
            yield from self.intake.flush()
        self.intake.versions.count()

    def _end(self) -> None:
        pass

    def _receipt_items(self) -> Iterator[Any]:
        yield from ()
