"""One pass over all lists of a table: from its endpoints, for each parent, in windows."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from events_assets.errors import ApiError, KeyTypeError, UnaddressableError
from events_assets.http.transport import Traffic
from events_assets.paging.base import Evidence
from events_assets.rows.identity import Identity
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.intake import Intake
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.verdict import Reading, Seen

NO_LIST = (400, 404, 405, 410, 413, 414, 422)
"""How an API may say that it gives no list without windows."""
UNCOUNTED = (
    "tells no total (scan.total_path, scan.total_header); where each event has a start time, set "
    "undated = false in [sources.events.windows]"
)


@dataclass
class Table:
    """A table, and the lists that hold its rows.

    `identity` identifies its rows. `parents` has the table for whose rows a list is asked, by the
    name of the endpoint.
    """

    name: str
    identity: Identity
    endpoints: list[Endpoint]
    parents: "dict[str, Table]" = field(default_factory=dict)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While all lists can be read, those of parents, too."""
        with ExitStack() as opened:
            for parents in self.parents.values():
                opened.enter_context(parents.opened())
            for endpoint in self.endpoints:
                opened.enter_context(endpoint)
            yield

    def traffic(self) -> list[Traffic]:
        """What it cost to ask for the lists, and for their parents."""
        parents = [traffic for one in self.parents.values() for traffic in one.traffic()]
        return [*(endpoint.session.traffic for endpoint in self.endpoints), *parents]

    def name_of(self, row: Any, number: int) -> str:
        """A row by its key, or by its number if it has none."""
        (key,) = self.identity([row])
        return f"{self.name} {f'row {number}' if isinstance(key, bytes) else repr(key)}"


@dataclass
class TablePass:
    """One pass over all lists of a table.

    `lists` are those that were read, each window for itself.
    """

    table: Table
    intake: Intake
    receipt: Receipt
    progress: Progress
    lists: list[ListPass] = field(default_factory=list)
    _parents: list["TablePass"] = field(default_factory=list)
    _seen: list[Seen] = field(default_factory=list)

    def items(self) -> Iterator[Any]:
        """The rows that no pass before has given, as items for dlt."""
        self.intake.begin()
        for endpoint in self.table.endpoints:
            if endpoint.name in self.table.parents:
                yield from self._for_parents(endpoint, self.table.parents[endpoint.name])
            else:
                yield from self._whole(endpoint, endpoint.request_for(None))

    def reading(self) -> Reading:
        """What was seen, when the items have ended."""
        return Reading(self._seen)

    def broken(self) -> Exception | None:
        """Why a list, or one of parents, could not be read to its end."""
        errors = [one.error for one in self.lists if one.evidence.expired]
        return next(filter(None, (*errors, *(one.broken() for one in self._parents))), None)

    def _for_parents(self, endpoint: Endpoint, table: Table) -> Iterator[Any]:
        """Reads a list for each parent; these are read for each pass."""
        receipt = Receipt(table.name)
        intake = Intake(table.identity, receipt, is_loaded=False)
        parents = TablePass(table, intake, receipt, self.progress)
        self._parents.append(parents)
        found = (row for rows in parents.items() for row in rows)
        for number, row in enumerate(found, start=1):
            try:
                request = endpoint.request_for(row)
            except UnaddressableError as error:
                torn = f"{table.name_of(row, number)}: {error}"
                self._seen.append(Seen(endpoint.name, Evidence(torn=torn)))
            else:
                yield from self._whole(endpoint, request)
        self._seen += parents.reading().lists

    def _whole(self, endpoint: Endpoint, request: ListRequest) -> Iterator[Any]:
        """Reads a list, or its windows, and how many rows there are without windows."""
        if endpoint.windows is None:
            yield from self._list(ListPass(endpoint, request))
            return
        before, first = len(self.lists), ListPass(endpoint, request)
        for window in endpoint.windows:
            yield from self._list(ListPass(endpoint, request, window))
        if endpoint.is_counted:
            yield from self._first_page(first)
        rows = len(set[Hashable]().union(*(one.came for one in self.lists[before:])))
        total = first.evidence.total_last
        if endpoint.is_counted and total != rows:
            counts = UNCOUNTED if total is None else f"counts {total} rows, windows hold {rows}"
            why = f"events without a start time are in no window: without windows the API {counts}"
            evidence = Evidence(unprovable=why)
            self._seen.append(Seen(endpoint.name, evidence, is_miscounted=total is not None))

    def _first_page(self, one: ListPass) -> Iterator[Any]:
        """Reads the first page of a list, if the API gives one, for its total: rows that came in
        windows are not counted once more."""
        repeats = self.receipt.repeats
        try:
            yield from self._pages(one, most=1)
        except ApiError as error:
            if error.status not in NO_LIST:
                raise
        again = self.receipt.repeats - repeats
        self.receipt.repeats -= again
        self.receipt.rows_received -= again

    def _list(self, one: ListPass) -> Iterator[Any]:
        """Reads a list or a window of it, in halves if it is too deep."""
        yield from self._pages(one)
        if one.too_deep and one.window and (halves := one.window.halves()):
            received = one.received  # are those of the first half, too
            for half in halves:
                yield from self._list(ListPass(one.endpoint, one.request, half, received=received))
                received = 0
            return
        self.intake.end(one)
        self.lists.append(one)
        self._seen.append(one.seen())

    def _pages(self, one: ListPass, most: int | None = None) -> Iterator[Any]:
        """Takes in the pages of a list, at most so many."""
        receipt = self.receipt
        before: Sequence[Hashable] = ()
        for page in islice(one.pages(), most):
            if self.table.identity.widened:
                raise KeyTypeError(self.table.name, self.table.identity.widened)
            receipt.pages += 1
            receipt.rows_received += len(page.rows)
            one.received += len(page.rows)
            yield from self.intake.take(one, page, before)
            before = page.identities
            rows = receipt.rows_received - receipt.repeats
            self.progress.page(rows, self._total_of_all(one))
        yield from self.intake.flush()
        receipt.step_backs += one.evidence.step_backs
        receipt.page_size_granted = max(receipt.page_size_granted, one.evidence.granted)

    def _total_of_all(self, one: ListPass) -> int | None:
        """How many rows all lists have, None where only some of them are counted."""
        is_all = one.window is None and not self.table.parents and len(self.table.endpoints) == 1
        return one.evidence.total_last if is_all else None
