"""Turns the pages of the lists of one table into rows to load, rows set aside, and a receipt."""

import json
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.data_types import TDataType
from dlt.extract import DltResource

from events_assets.arrow.convert import BATCH, ByRow, Columnar
from events_assets.errors import UnaddressableError, UnloadableError
from events_assets.paging.base import Page
from events_assets.paging.windows import Window
from events_assets.rows.identity import Identity, Loadable
from events_assets.scan.arrivals import Arrivals, overlap
from events_assets.scan.endpoint import Endpoint, ListRequest
from events_assets.scan.list_pass import ListPass
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import RECEIPT_COLUMNS, Fingerprint, Receipt
from events_assets.scan.verdict import COMPLETE, TORN

RECEIPTS = "scan_receipts"

QUARANTINE_COLUMNS: dict[str, Any] = {
    "document": {"data_type": "text"},
    "reason": {"data_type": "text"},
    "run_id": {"data_type": "text"},
}


class Aside(dict[str, Any]):
    """A row for another table than that of its resource."""


class TableScan:
    """Reads all pages of the lists of one table, and follows its rows with a receipt.

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
        self.quarantine = f"quarantined_{table}"
        self.receipt = Receipt(table, run_id, page_size_asked=endpoints[0].page_size)
        self.is_loaded = is_loaded
        self._fingerprint = Fingerprint()
        self._arrivals = Arrivals()
        self._passes: list[ListPass] = []
        self._waiting: dict[Hashable, tuple[dict[str, Any], Any, int]] = {}
        """Rows to load by their identities, each as it came and with its position, too."""
        self._batches: Columnar | ByRow | None = None

    def declare(self, resource: DltResource) -> DltResource:
        """Declares the tables beside that of the resource."""
        for table, columns in (
            (RECEIPTS, RECEIPT_COLUMNS),
            (self.quarantine, QUARANTINE_COLUMNS),
        ):
            # A table variant starts from the resource's own columns: {} drops them.
            for hints in ({}, columns):
                resource.apply_hints(
                    table_name=table,
                    write_disposition="append",
                    primary_key=[],
                    columns=hints,
                    create_table_variant=True,
                )
        if self.identity.primary_key:
            # No key comes twice, so that dlt need not sort all rows to find one that does.
            resource.apply_hints(additional_table_hints={"x-stage-data-deduplicated": True})
        return resource

    def items(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt.

        To be read while dlt extracts the resource.
        """
        self.identity.types.update(self._key_types())
        yield from self.rows()
        if not self.receipt.rows_loaded:
            for key in self.identity.primary_key:
                self.identity.types.setdefault(key, "text")
            yield self._with_key_types(dlt.mark.materialize_table_schema())
        yield dlt.mark.with_table_name(Aside(self.receipt.row()), RECEIPTS)

    def rows(self) -> Iterator[Any]:
        """The items with rows; when they have ended, the receipt is made out."""
        with closing(Progress(self.receipt.resource, self.endpoints[0].session.log)) as progress:
            for endpoint in self.endpoints:
                with endpoint:
                    for request in self._requests(endpoint):
                        yield from self._list(endpoint, request, endpoint.window, progress)
        self._conclude()

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
        found = (row for rows in parents.rows() if isinstance(rows, list) for row in rows)
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
            self._arrivals.begin()
            yield from self._pass(one, progress)
            if one.too_deep and window and (halves := window.halves()):
                self._arrivals.end(one.came)
                for half in halves:
                    yield from self._list(endpoint, request, half, progress)
                return
            one.judge()
            self.receipt.add(one.evidence)
            if one.verdict != TORN or scans == 2:
                break
            endpoint.session.log.warning(f"{one}: {one.reason}; scanning once more")
            self._arrivals.end(one.came)
        self._arrivals.end(one.came, counts=True)
        self._passes.append(one)

    def _pass(self, one: ListPass, progress: Progress) -> Iterator[Any]:
        """One pass over the pages; yields what no pass before it has yielded."""
        receipt = self.receipt
        before: Sequence[Hashable] = ()
        is_whole = one.window is None and not self.parents and len(self.endpoints) == 1
        for page in one.pages():
            receipt.pages += 1
            receipt.rows_received += len(page.rows)
            yield from self._take(one, page, before)
            before = page.identities
            progress.page(
                receipt.rows_received - receipt.repeats,
                one.evidence.total_last if is_whole else None,
            )
            if len(self._waiting) >= BATCH:
                yield from self._flush()
        yield from self._flush()

    def _take(self, one: ListPass, page: Page, before: Sequence[Hashable]) -> Iterator[Any]:
        """Sorts the rows of a page: new ones wait to be loaded, others are repeats."""
        doubtful = self._arrivals.doubtful(page)
        overlapping = overlap(before, page.identities) if doubtful else 0
        on_page: set[Hashable] = set()
        for place, (row, identity) in enumerate(zip(page.rows, page.identities, strict=True)):
            is_new = identity not in doubtful
            if is_new:
                one.distinct += 1
            elif place >= overlapping:
                if identity in self._waiting:  # and may yet turn out not to be loadable
                    yield from self._flush()
                is_new = self._is_new(one, page, identity, identity in on_page, before)
                on_page.add(identity)
            if is_new:
                aside = self._keep(row, identity, one.distinct - 1)
                if aside is not None:
                    yield aside
            else:
                self.receipt.repeats += 1

    def _is_new(
        self,
        one: ListPass,
        page: Page,
        identity: Hashable,
        on_page: bool,
        before: Sequence[Hashable],
    ) -> bool:
        """Whether a row that may have come before is to be loaded, or set aside, nevertheless."""
        arrivals = self._arrivals
        came, refused = on_page or identity in page.known, identity in arrivals.refused
        if came and not refused:
            if on_page:
                one.twice.append(identity)
            elif one.evidence.total_last is not None or identity not in before:
                one.far_apart.append(identity)
            return False
        if not came or self.identity.is_keyless(identity):
            one.distinct += 1
            one.shared += arrivals.was_counted(identity)
        return refused or identity not in arrivals.earlier

    def _keep(self, row: Any, identity: Hashable, position: int) -> Any:
        """Lets a row wait to be loaded; gives it back as one to be set aside if it has no key."""
        if identity not in self._arrivals.refused_earlier:
            self._fingerprint.add(row)
        try:
            keyed = self.identity.with_key(row, identity) if self.is_loaded else row
        except UnloadableError as error:
            return self._aside(identity, row, str(error), position)
        self._arrivals.refused.discard(identity)
        self._waiting[identity] = (keyed, row, position)
        return None

    def _flush(self) -> Iterator[Any]:
        """Gives the rows that are waiting to dlt, in batches, which is faster than one by one."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        if self._batches is None:
            self._batches = self._new_batches()
        refused = self._batches.take([keyed for keyed, _, _ in waiting.values()])
        entries = list(waiting.items()) if refused else []
        for place, reason in refused.items():
            identity, (_, row, position) = entries[place]
            aside = self._aside(identity, row, reason, position)
            if aside is not None:
                yield aside
        self.receipt.rows_loaded += len(waiting) - len(refused)
        yield from self._batches.items()

    def _new_batches(self) -> Columnar | ByRow:
        """What makes items for dlt of rows; the first of them have decided on the types of keys."""
        if not self.is_loaded:
            return ByRow()
        naming = dlt.current.source_schema().naming
        return Columnar(self.identity.types, Loadable(naming.normalize_path))

    def _aside(self, identity: Hashable, row: Any, reason: str, position: int) -> Any:
        """A row that cannot be loaded, for the quarantine; None if an earlier pass gave it."""
        self._arrivals.refused.add(identity)
        if identity in self._arrivals.refused_earlier:
            self.receipt.repeats += 1
            return None
        self.receipt.rows_quarantined += 1
        aside = Aside(
            document=json.dumps(row),
            reason=reason,
            position=position,
            scan=self.receipt.scans,
            run_id=self.receipt.run_id,
            quarantined_at=datetime.now(UTC),
        )
        return dlt.mark.with_table_name(aside, self.quarantine)

    def _conclude(self) -> None:
        """Makes out the receipt."""
        receipt = self.receipt
        receipt.fingerprint = str(self._fingerprint)
        for endpoint in self.endpoints:
            receipt.add_cost(endpoint.session.traffic)
            if endpoint.name in self.parents:
                receipt.add_cost(self.parents[endpoint.name].receipt)
        receipt.conclude(self._passes)

    def _key_types(self) -> dict[str, TDataType]:
        schema = dlt.current.source_schema()
        table = schema.tables.get(schema.naming.normalize_table_identifier(self.receipt.resource))
        columns = table["columns"] if table else {}
        types = {}
        for name in self.identity.primary_key:
            data_type = columns.get(schema.naming.normalize_identifier(name), {}).get("data_type")
            if data_type:
                types[name] = data_type
        return types

    def _with_key_types(self, rows: Any) -> Any:
        """Declares the key columns with the types they have, so that dlt need not guess."""
        columns: Any = {key: {"data_type": kind} for key, kind in self.identity.types.items()}
        return dlt.mark.with_hints(rows, dlt.mark.make_hints(columns=columns))
