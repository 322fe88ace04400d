"""Reads all lists of one table: its rows become items for dlt, followed by the receipt."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from typing import Any

from events_assets.errors import UnaddressableError
from events_assets.paging.windows import Window
from events_assets.rows.identity import Identity
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.intake import Intake
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.tables import empty_item, key_types, receipt_item
from events_assets.scan.verdict import COMPLETE, TORN


class TableScan:
    """Reads all pages of the lists of one table, once.

    Rows that came before are dropped, rows that cannot be loaded go to `quarantined_<table>`, and
    the receipt goes to `scan_receipts`, all in the load package of the rows. A torn pass is
    repeated once. A window with more rows than may be paged through is halved.

    Args:
        table: the table, and the resource of that name.
        identity: what identifies its rows.
        endpoints: the lists to read.
        parents: for each list that depends on the rows of another table, the scan of that.
        run_id: identifies the run in the receipt.
        is_loaded: whether the rows are loaded; those of parents are only asked for.
    """

    def __init__(
        self,
        table: str,
        identity: Identity,
        endpoints: list[Endpoint],
        parents: "dict[str, TableScan] | None" = None,
        run_id: str | None = None,
        is_loaded: bool = True,
    ) -> None:
        self.identity = identity
        self.endpoints = endpoints
        self.parents = parents or {}
        self.receipt = Receipt(table, run_id, page_size_asked=endpoints[0].page_size)
        self._intake = Intake(identity, self.receipt, is_loaded)
        self._passes: list[ListPass] = []

    def items(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt.

        To be read while dlt extracts the resource.
        """
        self.identity.types.update(key_types(self.receipt.resource, self.identity))
        yield from self.rows()
        if not self.receipt.rows_loaded:
            yield empty_item(self.identity)
        yield receipt_item(self.receipt)

    def rows(self) -> Iterator[Any]:
        """The items with rows; when they have ended, the receipt is made out."""
        with closing(Progress(self.receipt.resource, self.endpoints[0].session.log)) as progress:
            for endpoint in self.endpoints:
                with endpoint:
                    for request in self._requests(endpoint):
                        yield from self._list(endpoint, request, endpoint.window, progress)
        for endpoint in self.endpoints:
            self.receipt.add_cost(endpoint.session.traffic)
        for parents in self.parents.values():
            self.receipt.add_cost(parents.receipt)
        self.receipt.conclude(self._passes, str(self._intake.fingerprint))

    def name_of(self, row: Any, number: int) -> str:
        """A row by its key, or by its number if it has none."""
        (key,) = self.identity([row])
        return f"{self.receipt.resource} {f'row {number}' if isinstance(key, bytes) else repr(key)}"

    def _requests(self, endpoint: Endpoint) -> Iterator[ListRequest]:
        """The request for a list, or one for each of its parents."""
        parents = self.parents.get(endpoint.name)
        if parents is None:
            yield endpoint.request_for(None)
            return
        found = (row for rows in parents.rows() for row in rows)
        for number, row in enumerate(found, start=1):
            try:
                request = endpoint.request_for(row)
            except UnaddressableError as error:
                reason = f"{parents.name_of(row, number)}: {error}"
                self._passes.append(ListPass(endpoint, verdict=TORN, reason=reason))
            else:
                yield request
        receipt = parents.receipt
        if receipt.verdict != COMPLETE or not receipt.rows_received:
            reason = f"{receipt.resource}: {receipt.reason}"
            self._passes.append(ListPass(endpoint, verdict=receipt.verdict, reason=reason))

    def _list(
        self,
        endpoint: Endpoint,
        request: ListRequest,
        window: Window | None,
        progress: Progress,
    ) -> Iterator[Any]:
        """Reads a list or a window of it, once more if torn, in halves if it is too deep."""
        for scans in (1, 2):
            self.receipt.scans = max(self.receipt.scans, scans)
            one = ListPass(endpoint, request, window)
            self._intake.begin()
            yield from self._pass(one, progress)
            if one.too_deep and window and (halves := window.halves()):
                self._intake.end(one.came)
                for half in halves:
                    yield from self._list(endpoint, request, half, progress)
                return
            one.judge()
            self.receipt.add(one.evidence)
            if one.verdict != TORN or scans == 2:
                break
            endpoint.session.log.warning(f"{one}: {one.reason}; scanning once more")
            self._intake.end(one.came)
        self._intake.end(one.came, counts=True)
        self._passes.append(one)

    def _pass(self, one: ListPass, progress: Progress) -> Iterator[Any]:
        """One pass over the pages; yields what no pass before it has yielded."""
        receipt = self.receipt
        before: Sequence[Hashable] = ()
        is_whole = one.window is None and not self.parents and len(self.endpoints) == 1
        for page in one.pages():
            receipt.pages += 1
            receipt.rows_received += len(page.rows)
            yield from self._intake.take(one, page, before)
            before = page.identities
            rows = receipt.rows_received - receipt.repeats
            progress.page(rows, one.evidence.total_last if is_whole else None)
        yield from self._intake.flush()
