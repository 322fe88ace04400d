"""Turns the pages of a dlt REST API resource into rows to load, rows set aside, and a receipt."""

import json
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.data_types import TDataType
from dlt.extract import DltResource
from dlt.sources.helpers.rest_client.client import PageData

from events_assets.transport.columnar import BATCH, Columnar
from events_assets.transport.paging import IDLE_PAGES, EndlessScan, OffsetScan
from events_assets.transport.receipt import (
    RECEIPT_COLUMNS,
    TORN,
    UNPROVEN,
    Fingerprint,
    Receipt,
    judge,
)
from events_assets.transport.rows import Identity, Loadable, Unloadable
from events_assets.transport.session import ApiSession

Pages = Iterator[PageData[Any]]

RECEIPTS = "scan_receipts"

QUARANTINE_COLUMNS: dict[str, Any] = {
    "document": {"data_type": "text"},
    "reason": {"data_type": "text"},
    "run_id": {"data_type": "text"},
}


class Progress:
    """Sees to it that a walk along pages, cursors or links gets on."""

    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._seen: set[Hashable] = set()
        self._idle_pages = 0

    def require(self, page: PageData[Any], identities: list[Hashable]) -> None:
        """Notes a page.

        Raises:
            EndlessScan: it leads to a request that was made before, or is one of too many pages
                in a row without a new row.
        """
        # dlt has prepared the next request when it yields a page.
        request = page.request
        following = repr((request.url, request.params, request.json))
        if page.paginator.has_next_page and following in self._asked:
            raise EndlessScan(
                "the API leads back to a page that was asked for before (it repeats its cursor "
                "or link), instead of ending"
            )
        self._asked.add(following)
        self._idle_pages = 0 if set(identities) - self._seen else self._idle_pages + 1
        self._seen.update(identities)
        if self._idle_pages > IDLE_PAGES:
            raise EndlessScan(
                f"{IDLE_PAGES} pages in a row brought no new row; the API repeats its pages "
                f"instead of ending"
            )


class Aside(dict[str, Any]):
    """A row for another table than that of its resource; dependent resources skip it."""


class Scan:
    """Walks all pages of one resource, and follows its rows with rows set aside and a receipt.

    Rows that came before are dropped, rows that cannot be loaded go to
    `quarantined_<resource>`, and the receipt goes to `scan_receipts`, all in the load package of
    the rows. A torn scan is repeated once.

    Args:
        resource: name of the resource and of its table.
        identity: what identifies its rows.
        session: the session that the resource's REST client uses, and no other.
        page_size: rows that a page is asked to hold.
        run_id: identifies the run in the receipt.
    """

    def __init__(
        self,
        resource: str,
        identity: Identity,
        session: ApiSession,
        page_size: int | None = None,
        run_id: str | None = None,
    ) -> None:
        self.identity = identity
        self.session = session
        self.quarantine = f"quarantined_{resource}"
        self.receipt = Receipt(resource, run_id, page_size_asked=page_size)
        self._fingerprint = Fingerprint()
        self._yielded: set[Hashable] = set()
        self._columnar: Columnar | None = None
        self._waiting: list[Any] = []

    def wrap(self, resource: DltResource) -> DltResource:
        """Lets the scan walk the pages that `resource` yields."""
        # A pipe step sees pages, but neither their end nor a way to ask for them again.
        pipe: Any = resource._pipe
        pages = pipe.gen
        pipe.replace_gen(lambda: self._rows(pages))
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
        return resource

    def _rows(self, pages: Callable[[], Pages]) -> Iterator[Any]:
        receipt = self.receipt
        self.identity.types.update(self._key_types())
        self._loadable = Loadable(dlt.current.source_schema().naming.normalize_path)
        with self.session:
            for receipt.scans in (1, 2):
                yield from self._scan(pages())
                if receipt.verdict != TORN:
                    break
                if receipt.scans == 1:
                    self.session.log.warning(
                        f"{receipt.resource}: {receipt.reason}; scanning once more"
                    )
        if not receipt.rows_loaded:
            for key in self.identity.primary_key:
                self.identity.types.setdefault(key, "text")
            yield self._with_key_types(dlt.mark.materialize_table_schema())
        receipt.finished_at = datetime.now(UTC)
        receipt.fingerprint = str(self._fingerprint)
        traffic = self.session.traffic
        receipt.requests, receipt.retries = traffic.requests, traffic.retries
        receipt.seconds_waited, receipt.bytes = traffic.seconds_waited, traffic.bytes
        yield dlt.mark.with_table_name(Aside(receipt.row()), RECEIPTS)

    def _scan(self, pages: Pages) -> Iterator[Any]:
        """One walk over all pages; yields what no walk before it has yielded."""
        receipt = self.receipt
        seen: set[Hashable] = set()
        set_aside: set[Hashable] = set()
        progress = Progress()
        before: list[Hashable] = []
        twice: list[Hashable] = []
        far_apart: list[Hashable] = []
        distinct = 0
        paginator: Any = None
        for page in pages:
            paginator = page.paginator
            redaction = self.session.redaction
            if redaction.may_occur_in(page.response.content):
                page[:] = redaction.value(list(page))
            receipt.pages += 1
            receipt.rows_received += len(page)
            receipt.page_size_granted = max(receipt.page_size_granted, len(page))
            identities = self.identity(page)
            if not isinstance(paginator, OffsetScan):
                progress.require(page, identities)
            counted = getattr(paginator, "total_last", None) is not None
            overlap = _overlap(before, identities)
            on_page: set[Hashable] = set()
            rows: list[Any] = []
            for position, (row, identity) in enumerate(zip(page, identities, strict=True)):
                try:
                    loadable = self._loadable(self.identity.keyed(row))
                except Unloadable as unloadable:
                    reason = str(unloadable)
                else:
                    reason = ""
                repeated = position < overlap or (not reason and identity in seen)
                if repeated:
                    if identity in on_page:
                        twice.append(identity)
                    elif position >= overlap and (counted or identity not in before):
                        far_apart.append(identity)
                else:
                    distinct += 1
                on_page.add(identity)
                (set_aside if reason else seen).add(identity)
                if repeated or (receipt.scans > 1 and identity in self._yielded):
                    receipt.repeats += 1
                    continue
                self._fingerprint.add(row)
                if reason:
                    receipt.rows_quarantined += 1
                    yield self._quarantined(row, reason, distinct - 1)
                else:
                    rows.append(loadable)
            before = identities
            self._waiting += rows
            if len(self._waiting) >= BATCH:
                yield from self._flush()
            receipt.rows_loaded += len(rows)
        yield from self._flush()
        self._yielded |= seen | set_aside
        self._judge(paginator, distinct, twice, far_apart)

    def _flush(self) -> Iterator[Any]:
        if self._waiting:
            if self._columnar is None:
                self._columnar = Columnar(self.identity.types)
            refused = self._columnar.take(self._waiting)
            for place, reason in refused.items():
                yield self._quarantined(self._waiting[place], reason, place)
            self.receipt.rows_loaded -= len(refused)
            self.receipt.rows_quarantined += len(refused)
            yield from self._columnar.items()
            self._waiting = []

    def _judge(
        self, paginator: Any, distinct: int, twice: list[Hashable], far_apart: list[Hashable]
    ) -> None:
        receipt = self.receipt
        receipt.distinct_ids = distinct
        total_first = total_last = None
        touching, torn, cut_short = False, "", ""
        if isinstance(paginator, OffsetScan):
            # From offset 1 on may be all rows of an API that counts from 1.
            skipped = paginator.initial_value if paginator.initial_value > 1 else 0
            total_first, total_last = (
                None if total is None else max(0, total - skipped)
                for total in (paginator.total_first, paginator.total_last)
            )
            receipt.step_backs += paginator.step_backs
            receipt.paging = paginator.paging
            touching, torn = bool(paginator.overlap), paginator.torn
            cut_short = paginator.cut_short
        receipt.total_first, receipt.total_last = total_first, total_last
        receipt.verdict, receipt.reason = judge(
            distinct=distinct,
            total_first=total_first,
            total_last=total_last,
            touching=touching,
            torn=torn,
        )
        if cut_short:
            receipt.verdict, receipt.reason = UNPROVEN, cut_short
        # Where rows come and go during the scan, a row may well come again on a later page.
        moved = total_first != total_last or receipt.step_backs
        receipt.name_duplicates(twice if moved else twice + far_apart)

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

    def _quarantined(self, row: Any, reason: str, position: int) -> Any:
        aside = Aside(
            document=json.dumps(row),
            reason=reason,
            position=position,
            scan=self.receipt.scans,
            run_id=self.receipt.run_id,
            quarantined_at=datetime.now(UTC),
        )
        return dlt.mark.with_table_name(aside, self.quarantine)


def only_rows(resource: DltResource) -> DltResource:
    """Keeps what a scan sets aside from a resource that depends on the scanned one."""
    pipe: Any = resource._pipe
    transform = pipe.gen
    pipe.replace_gen(
        lambda item, meta=None: None if isinstance(item, Aside) else transform(item, meta=meta)
    )
    return resource


def _overlap(before: list[Hashable], page: list[Hashable]) -> int:
    """The number of rows at the start of `page` that are the last ones of `before`."""
    if not before or not page or page[0] not in before:
        return 0
    for size in range(min(len(before), len(page)), 0, -1):
        if before[-size:] == page[:size]:
            return size
    return 0
