"""Turns the pages of the API's lists into rows to load, rows set aside, and a receipt."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.data_types import TDataType
from dlt.extract import DltResource
from dlt.sources.helpers.rest_client.client import PageData

from events_assets.arrow.convert import BATCH, ByRow, Columnar
from events_assets.errors import UnaddressableError, UnloadableError
from events_assets.http.session import ApiSession, Traffic
from events_assets.paging.base import Evidence, Walk
from events_assets.paging.windows import Window
from events_assets.rows.identity import Identity, Loadable
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import (
    COMPLETE,
    RECEIPT_COLUMNS,
    TORN,
    UNPROVEN,
    Fingerprint,
    Receipt,
    judge,
)

Pages = Iterator[PageData[Any]]

RECEIPTS = "scan_receipts"

QUARANTINE_COLUMNS: dict[str, Any] = {
    "document": {"data_type": "text"},
    "reason": {"data_type": "text"},
    "run_id": {"data_type": "text"},
}


class Aside(dict[str, Any]):
    """A row for another table than that of its resource; dependent resources skip it."""


@dataclass
class Listing:
    """One list of the API: the pages of a dlt resource, and who walks them.

    `parents` scans the resource whose rows this list depends on; there is one walk for each of
    them. `addressed` gives a parent with the fields that the path of the list needs, or raises
    `UnaddressableError`; `inherited` gives the fields of such a parent that its rows get.
    """

    name: str
    pages: Callable[..., Pages]
    walk: Walk
    session: ApiSession
    page_size: int | None = None
    window: Window | None = None
    parents: "Scan | None" = None
    inherited: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {}
    addressed: Callable[[Any], dict[str, Any]] = dict


@dataclass
class Leg:
    """One walk over one list, or over one window of it."""

    listing: Listing
    window: Window | None
    parent: dict[str, Any] | None
    seen: set[Hashable] = field(default_factory=set)
    distinct: int = 0
    shared: int = 0
    """Rows that another walk has counted already."""
    twice: list[Hashable] = field(default_factory=list)
    far_apart: list[Hashable] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    too_deep: bool = False
    verdict: str = UNPROVEN
    reason: str = ""

    def pages(self) -> Pages:
        walk = self.listing.walk
        walk.parameters = self.window.parameters() if self.window else {}
        walk.inherited = self.listing.inherited(self.parent) if self.parent else {}
        return self.listing.pages([self.parent]) if self.parent else self.listing.pages()

    def duplicates(self) -> list[Hashable]:
        """Ids that the API answered twice though nothing moved.

        Where rows come and go during the scan, a row may well come again on a later page.
        """
        moved = self.evidence.rose or self.evidence.fell or self.evidence.step_backs
        return self.twice if moved else self.twice + self.far_apart

    def __str__(self) -> str:
        return f"{self.listing.name} {self.window or ''}".strip()


class Scan:
    """Walks all pages of the lists of one table, and follows its rows with rows set aside and a
    receipt.

    Rows that came before are dropped, rows that cannot be loaded go to
    `quarantined_<resource>`, and the receipt goes to `scan_receipts`, all in the load package of
    the rows. A torn walk is repeated once. A window with more rows than may be paged through is
    halved.

    Args:
        resource: name of the resource and of its table.
        identity: what identifies its rows.
        listings: the lists to walk, each on a session that nothing else uses.
        run_id: identifies the run in the receipt.
    """

    def __init__(
        self,
        resource: str,
        identity: Identity,
        listings: list[Listing],
        run_id: str | None = None,
    ) -> None:
        self.identity = identity
        self.listings = listings
        self.quarantine = f"quarantined_{resource}"
        self.receipt = Receipt(resource, run_id, page_size_asked=listings[0].page_size)
        self._fingerprint = Fingerprint()
        self._legs: list[Leg] = []
        self._loaded: set[Hashable] = set()
        self._aside: set[Hashable] = set()
        """Identities of the rows that earlier walks have set aside."""
        self._counted: set[Hashable] = set()
        self._waiting: dict[Hashable, tuple[dict[str, Any], Any, int]] = {}
        """Rows to load by their identities, each as it came and with its position, too."""
        self._batches: Columnar | ByRow | None = None
        self._of_parents = False

    def wrap(self, resource: DltResource) -> DltResource:
        """Lets the scan walk the pages that `resource` yields."""
        # A pipe step sees pages, but neither their end nor a way to ask for them again.
        pipe: Any = resource._pipe
        # The rows that it depends on are walked by the scan.
        pipe.parent = resource._parent = None  # type: ignore[assignment]
        pipe.replace_gen(self.rows)
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

    def rows(self) -> Iterator[Any]:
        """Arrow tables, lists of rows, rows set aside for other tables, and at last the receipt."""
        receipt = self.receipt
        self.identity.types.update(self._key_types())
        self._loadable = Loadable(dlt.current.source_schema().naming.normalize_path)
        with closing(Progress(receipt.resource, self.listings[0].session.log)) as self._progress:
            for listing in self.listings:
                with listing.session:
                    for parent in self._parents(listing):
                        yield from self._walk(listing, listing.window, parent)
        if not receipt.rows_loaded:
            for key in self.identity.primary_key:
                self.identity.types.setdefault(key, "text")
            yield self._with_key_types(dlt.mark.materialize_table_schema())
        self._conclude()
        yield dlt.mark.with_table_name(Aside(receipt.row()), RECEIPTS)

    def _parents(self, listing: Listing) -> Iterator[dict[str, Any] | None]:
        if listing.parents is None:
            yield None
            return
        parents = listing.parents
        parents._of_parents = True
        found = (row for rows in parents.rows() if isinstance(rows, list) for row in rows)
        for number, row in enumerate(found, start=1):
            try:
                parent = listing.addressed(row)
            except UnaddressableError as error:
                reason = f"{parents.name_of(row, number)}: {error}"
                self._legs.append(Leg(listing, None, None, verdict=TORN, reason=reason))
            else:
                yield parent
        of_parents = parents.receipt
        if of_parents.verdict != COMPLETE or not of_parents.rows_received:
            reason = f"{of_parents.resource}: {of_parents.reason}"
            self._legs.append(Leg(listing, None, None, verdict=of_parents.verdict, reason=reason))

    def name_of(self, row: Any, number: int) -> str:
        """A row by its key, or by its number if it has none."""
        (key,) = self.identity([row])
        return f"{self.receipt.resource} {f'row {number}' if isinstance(key, bytes) else repr(key)}"

    def _walk(
        self, listing: Listing, window: Window | None, parent: dict[str, Any] | None
    ) -> Iterator[Any]:
        """Walks a list or a window of it, once more if torn, in halves if it is too deep."""
        for scans in (1, 2):
            self.receipt.scans = max(self.receipt.scans, scans)
            leg = Leg(listing, window, parent)
            yield from self._pages(leg)
            self._loaded = _union(self._loaded, leg.seen)
            self._aside = _union(self._aside, listing.walk.set_aside)
            if leg.too_deep and window and (halves := window.halves()):
                for half in halves:
                    yield from self._walk(listing, half, parent)
                return
            self._judge(leg)
            if leg.verdict != TORN:
                break
            if scans == 1:
                listing.session.log.warning(f"{leg}: {leg.reason}; scanning once more")
        self._counted = _union(self._counted, leg.seen, listing.walk.set_aside)
        leg.seen = set()
        self._legs.append(leg)

    def _pages(self, leg: Leg) -> Iterator[Any]:
        """One walk over the pages; yields what no walk before it has yielded."""
        receipt, walk = self.receipt, leg.listing.walk
        before: list[Hashable] = []
        alone = leg.window is None and leg.parent is None and len(self.listings) == 1
        for _ in leg.pages():
            leg.evidence, leg.seen = walk.evidence, walk.seen
            rows, identities = walk.rows, walk.page
            receipt.pages += 1
            receipt.rows_received += len(rows)
            overlap = _overlap(before, identities)
            if self._take_new(leg, rows[overlap:], identities[overlap:]):
                rows, identities = rows[:overlap], identities[:overlap]
            yield from self._take(leg, rows, identities, before, overlap)
            before = walk.page
            self._progress.page(
                receipt.rows_received - receipt.repeats,
                leg.evidence.total_last if alone else None,
            )
            if len(self._waiting) >= BATCH:
                yield from self._flush(leg)
            if self._is_too_deep(leg):
                leg.too_deep = True
                break
        yield from self._flush(leg)

    def _take_new(self, leg: Leg, rows: list[Any], identities: list[Hashable]) -> bool:
        """Takes the rows of a page together if none came before, as on most pages; or none."""
        walk, new = leg.listing.walk, set(identities)
        known = (walk.seen, walk.set_aside, self._loaded, self._aside)
        if len(new) < len(identities) or not all(map(new.isdisjoint, known)):
            return False
        with_key = self.identity.with_key
        try:
            keyed = rows if self._of_parents else list(map(with_key, rows, identities))
        except UnloadableError:
            return False
        positions = range(leg.distinct, leg.distinct + len(rows))
        leg.distinct += len(rows)
        self._fingerprint.add(rows)
        walk.seen |= new
        waiting = zip(keyed, rows, positions, strict=True)
        self._waiting.update(zip(identities, waiting, strict=True))
        return True

    def _take(
        self,
        leg: Leg,
        rows: list[Any],
        identities: list[Hashable],
        before: list[Hashable],
        overlap: int,
    ) -> Iterator[Any]:
        """Takes rows of a page one by one; the first `overlap` are the last of `before`."""
        receipt, walk = self.receipt, leg.listing.walk
        counted = leg.evidence.total_last is not None
        on_page: set[Hashable] = set()
        for position, (row, identity) in enumerate(zip(rows, identities, strict=True)):
            # Rows without a key may be equal, and yet several.
            keyless = isinstance(identity, bytes) and bool(self.identity.primary_key)
            repeated = position < overlap
            if not repeated and identity in walk.seen:
                if identity in self._waiting:  # and may yet turn out to be none
                    yield from self._flush(leg)
                repeated = identity in walk.seen
            if repeated:
                if identity in on_page:
                    leg.twice.append(identity)
                elif position >= overlap and (counted or identity not in before):
                    leg.far_apart.append(identity)
            elif keyless or identity not in walk.set_aside:
                leg.distinct += 1
                leg.shared += identity in self._counted
            on_page.add(identity)
            if repeated or identity in self._loaded:
                if not keyless:
                    walk.seen.add(identity)
                receipt.repeats += 1
                continue
            if identity not in self._aside:
                self._fingerprint.add([row])
            try:
                keyed = row if self._of_parents else self.identity.with_key(row, identity)
            except UnloadableError as unloadable:
                yield from self._set_aside(leg, identity, row, str(unloadable), leg.distinct - 1)
            else:
                walk.seen.add(identity)
                self._waiting[identity] = (keyed, row, leg.distinct - 1)

    def _flush(self, leg: Leg) -> Iterator[Any]:
        """Gives the rows that are waiting to dlt, in batches, which is faster than one by one."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        if self._batches is None:
            self._batches = (
                ByRow() if self._of_parents else Columnar(self.identity.types, self._loadable)
            )
        refused = self._batches.take([keyed for keyed, _, _ in waiting.values()])
        entries = list(waiting.items()) if refused else []
        for place, reason in refused.items():
            identity, (_, row, position) = entries[place]
            yield from self._set_aside(leg, identity, row, reason, position)
        self.receipt.rows_loaded += len(waiting) - len(refused)
        yield from self._batches.items()

    def _set_aside(
        self, leg: Leg, identity: Hashable, row: Any, reason: str, position: int
    ) -> Iterator[Any]:
        """Sets a row aside, unless an earlier walk has done so."""
        walk = leg.listing.walk
        walk.seen.discard(identity)
        walk.set_aside.add(identity)
        if identity in self._aside:
            self.receipt.repeats += 1
        else:
            self.receipt.rows_quarantined += 1
            yield self._quarantined(row, reason, position)

    def _is_too_deep(self, leg: Leg) -> bool:
        if leg.window is None:
            return False
        most, total = leg.window.settings.max_rows, leg.evidence.total_last
        walk = leg.listing.walk
        return walk.has_next_page and (walk.depth > most or (total is not None and total >= most))

    def _judge(self, leg: Leg) -> None:
        evidence = leg.evidence
        if leg.too_deep and leg.window:
            evidence.torn = (
                f"there are more than {leg.window.settings.max_rows} rows (windows.max_rows) "
                f"{leg.window}, which cannot be split any further"
            )
        leg.verdict, leg.reason = judge(leg.distinct, evidence)
        self.receipt.step_backs += evidence.step_backs
        self.receipt.page_size_granted = max(self.receipt.page_size_granted, evidence.granted)

    def _conclude(self) -> None:
        """Adds up the walks: the worst verdict holds for all of them."""
        receipt, legs = self.receipt, self._legs
        receipt.finished_at = datetime.now(UTC)
        receipt.fingerprint = str(self._fingerprint)
        costs: list[Traffic | Receipt] = [listing.session.traffic for listing in self.listings]
        costs += [listing.parents.receipt for listing in self.listings if listing.parents]
        for cost in costs:
            receipt.requests += cost.requests
            receipt.retries += cost.retries
            receipt.seconds_waited += cost.seconds_waited
            receipt.bytes += cost.bytes
        shared = sum(leg.shared for leg in legs)
        walks = [leg for leg in legs if leg.evidence.paging]
        receipt.walks = len(walks)
        receipt.distinct_ids = sum(leg.distinct for leg in legs) - shared
        receipt.paging = ", ".join(dict.fromkeys(leg.evidence.paging for leg in walks))
        receipt.total_first = _sum((leg.evidence.total_first for leg in walks), -shared)
        receipt.total_last = _sum((leg.evidence.total_last for leg in walks), -shared)
        receipt.name_duplicates(one for leg in legs for one in leg.duplicates())
        for verdict in (TORN, UNPROVEN, COMPLETE):
            found = [leg for leg in legs if leg.verdict == verdict]
            if found:
                receipt.verdict = verdict
                receipt.reason = found[0].reason
                if len(legs) > 1:
                    receipt.reason = f"{len(found)} of {len(legs)} walks, {found[0]}: " + (
                        found[0].reason
                    )
                break
        if receipt.verdict == COMPLETE and len(legs) > 1:
            told = "" if receipt.total_last is None else f", {receipt.total_last} rows"
            receipt.reason = f"all of {len(legs)} walks{told}"

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


def _union(known: set[Hashable], *more: set[Hashable]) -> set[Hashable]:
    """All members; a set of millions is not copied for the sake of an empty one."""
    for members in more:
        known = known | members if known and members else known or members
    return known


def _sum(numbers: Iterable[int | None], start: int) -> int | None:
    """The sum, None if one of the numbers is not known or there are none."""
    known = list(numbers)
    return start + sum(known) if known and None not in known else None  # type: ignore[arg-type]


def _overlap(before: list[Hashable], page: list[Hashable]) -> int:
    """The number of rows at the start of `page` that are the last ones of `before`."""
    for start, identity in enumerate(before):
        if page and identity == page[0] and before[start:] == page[: len(before) - start]:
            return len(before) - start
    return 0
