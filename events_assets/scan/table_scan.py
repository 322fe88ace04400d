"""Reads all lists of one table: its rows become items for dlt, followed by the receipt."""

from collections.abc import Generator, Hashable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from events_assets.errors import KeyTypeError, UnaddressableError
from events_assets.paging.base import Evidence
from events_assets.paging.windows import Window
from events_assets.rows.identity import Identity
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.intake import Intake
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.tables import (
    empty_item,
    key_types,
    later_versions_win,
    receipt_item,
    require_origin,
)
from events_assets.scan.verdict import Reading, Seen, Verdict, doubt, judge

Items = Generator[Any, None, Reading]


class TableScan:
    """Reads all pages of the lists of one table, again where one pass proves nothing.

    Of the rows of all passes each is loaded once, in its last version; rows that cannot be loaded
    go to `quarantined_<table>`, and the receipt goes to `scan_receipts`, all in the load package of
    the rows. A window with more rows than may be paged through is halved.

    Args:
        table: the table, and the resource of that name.
        identity: what identifies its rows.
        endpoints: the lists to read.
        parents: for each list that depends on the rows of another table, the scan of that.
        run_id: identifies the run in the receipt.
        is_loaded: whether the rows are loaded; those of parents are only asked for.
        passes: so many passes over all lists are made at most.
    """

    def __init__(
        self,
        table: str,
        identity: Identity,
        endpoints: list[Endpoint],
        parents: "dict[str, TableScan] | None" = None,
        run_id: str | None = None,
        is_loaded: bool = True,
        passes: int = 1,
    ) -> None:
        self.identity = identity
        self.endpoints = endpoints
        self.parents = parents or {}
        self.passes = passes
        self.receipt = Receipt(table, run_id, page_size_asked=endpoints[0].page_size)
        self._is_loaded = is_loaded
        self._intake = Intake(identity, self.receipt, is_loaded)
        self.lists_read: list[ListPass] = []
        """The lists and windows that were read in the last pass."""

    def items(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt.

        To be read while dlt extracts the resource.

        Raises:
            KeyTypeError: a key column is too narrow.
            ConfigurationError: the table holds the rows of another API.
        """
        require_origin(self.receipt)
        self.identity.types.update(key_types(self.receipt.resource, self.identity))
        yield from self.rows()
        if not self.receipt.rows_loaded:
            yield empty_item(self.identity)
        yield receipt_item(self.receipt)
        if self._intake.has_later_versions:
            later_versions_win(self.receipt.resource)

    def rows(self) -> Iterator[Any]:
        """The items with rows; when they have ended, the receipt is made out."""
        readings: list[Reading] = []
        verdict: Verdict | None = None
        with self.opened() as progress:
            while verdict is None:
                if readings:
                    self._log(f"{doubt(readings[-1])}; reading once more")
                readings.append((yield from self.reading(progress)))
                self.receipt.scans = len(readings)
                verdict = judge(readings, self.passes, bool(self.endpoints[0].order_of))
        scans = [self, *self.parents.values()]
        broken = [one.error for scan in scans for one in scan.lists_read if one.evidence.expired]
        if broken and broken[0]:
            raise broken[0]
        self.add_costs(self.receipt)
        self.receipt.conclude(self.lists_read, verdict, self._intake.fingerprint)

    @contextmanager
    def opened(self) -> Iterator[Progress]:
        """While all lists can be read, those of parents, too."""
        with ExitStack() as opened:
            for parents in self.parents.values():
                opened.enter_context(parents.opened())
            for endpoint in self.endpoints:
                opened.enter_context(endpoint)
            name, log = self.receipt.resource, self.endpoints[0].session.log
            yield opened.enter_context(closing(Progress(name, log)))

    def reading(self, progress: Progress) -> Items:
        """One pass over all lists; yields rows that no pass before it has yielded."""
        if not self._is_loaded:  # each pass needs all parents
            self._intake = Intake(self.identity, self.receipt, is_loaded=False)
        self._intake.begin()
        self.lists_read = []
        seen: list[Seen] = []
        digest = b""
        for endpoint in self.endpoints:
            if endpoint.name in self.parents:
                parents = yield from self._of_parents(endpoint, progress, seen)
                seen += parents.lists
                digest += parents.digest
            else:
                yield from self._whole(endpoint, endpoint.request_for(None), progress, seen)
        return Reading(seen, self._intake.digest() + digest)

    def add_costs(self, receipt: Receipt) -> None:
        """Adds what it cost to ask for the lists, and for their parents."""
        for endpoint in self.endpoints:
            receipt.add_cost(endpoint.session.traffic)
        for parents in self.parents.values():
            parents.add_costs(receipt)

    def name_of(self, row: Any, number: int) -> str:
        """A row by its key, or by its number if it has none."""
        (key,) = self.identity([row])
        return f"{self.receipt.resource} {f'row {number}' if isinstance(key, bytes) else repr(key)}"

    def _of_parents(self, endpoint: Endpoint, progress: Progress, seen: list[Seen]) -> Items:
        """Reads a list for each parent; the reading is that of the parents."""
        parents = self.parents[endpoint.name]
        reading, number = parents.reading(progress), 0
        while True:
            try:
                rows = next(reading)
            except StopIteration as stop:
                found: Reading = stop.value
                return found
            for row in rows:
                number += 1
                try:
                    request = endpoint.request_for(row)
                except UnaddressableError as error:
                    torn = f"{parents.name_of(row, number)}: {error}"
                    seen.append(Seen(endpoint.name, Evidence(torn=torn)))
                else:
                    yield from self._whole(endpoint, request, progress, seen)

    def _whole(
        self, endpoint: Endpoint, request: ListRequest, progress: Progress, seen: list[Seen]
    ) -> Iterator[Any]:
        """Reads a list, or all windows of it."""
        before = len(self.lists_read)
        yield from self._list(endpoint, request, endpoint.window, progress, seen)
        if endpoint.window is None:
            return
        rows = len(set[Hashable]().union(*(one.came for one in self.lists_read[before:])))
        total = endpoint.total_of(request)
        if total != rows:
            counts = "tells no total" if total is None else f"counts {total} rows"
            why = f"events without a start time are in no window: without windows the API {counts}"
            seen.append(Seen(endpoint.name, Evidence(unprovable=f"{why}, windows hold {rows}")))

    def _list(
        self,
        endpoint: Endpoint,
        request: ListRequest,
        window: Window | None,
        progress: Progress,
        seen: list[Seen],
    ) -> Iterator[Any]:
        """Reads a list or a window of it, in halves if it is too deep."""
        one = ListPass(endpoint, request, window)
        yield from self._pass(one, progress)
        if one.too_deep and window and (halves := window.halves()):
            for half in halves:
                yield from self._list(endpoint, request, half, progress, seen)
            return
        self._intake.end(one)
        self.lists_read.append(one)
        seen.append(one.seen())

    def _pass(self, one: ListPass, progress: Progress) -> Iterator[Any]:
        """One pass over the pages of a list; yields what no pass before it has yielded."""
        receipt = self.receipt
        before: Sequence[Hashable] = ()
        is_whole = one.window is None and not self.parents and len(self.endpoints) == 1
        for page in one.pages():
            if self.identity.widened:
                raise KeyTypeError(receipt.resource, self.identity.widened)
            receipt.pages += 1
            receipt.rows_received += len(page.rows)
            yield from self._intake.take(one, page, before)
            before = page.identities
            rows = receipt.rows_received - receipt.repeats
            progress.page(rows, one.evidence.total_last if is_whole else None)
        yield from self._intake.flush()
        receipt.step_backs += one.evidence.step_backs
        receipt.page_size_granted = max(receipt.page_size_granted, one.evidence.granted)

    def _log(self, message: str) -> None:
        self.endpoints[0].session.log.warning(f"{self.receipt.resource}: {message}")
