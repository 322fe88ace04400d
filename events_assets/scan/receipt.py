"""The receipt of a scan: what was asked, what came, and the verdict whether that is everything."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from events_assets.paging.base import Evidence

COMPLETE, TORN, UNPROVEN = "complete", "torn", "unproven"
OFFENDERS_SHOWN = 5


@dataclass
class Receipt:
    """What one load saw. `rows_received = rows_loaded + repeats + rows_quarantined`.

    Of a load that scanned twice, `total_first`, `total_last`, `distinct_ids` and the verdict are
    those of the last scan, and everything that is counted is the sum of both.
    """

    resource: str
    run_id: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None
    scans: int = 0
    walks: int = 0
    requests: int = 0
    pages: int = 0
    rows_received: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    repeats: int = 0
    distinct_ids: int = 0
    duplicate_ids: int = 0
    duplicate_ids_sample: list[str] = field(default_factory=list)
    total_first: int | None = None
    total_last: int | None = None
    page_size_asked: int | None = None
    page_size_granted: int = 0
    paging: str = ""
    step_backs: int = 0
    retries: int = 0
    seconds_waited: float = 0.0
    bytes: int = 0
    fingerprint: str = ""
    verdict: str = UNPROVEN
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """The receipt as a row of `scan_receipts`."""
        return {**asdict(self), "duplicate_ids_sample": json.dumps(self.duplicate_ids_sample)}

    def name_duplicates(self, identities: Iterable[Any]) -> None:
        """Notes the ids that the API answered more than once in one scan."""
        ids = list(dict.fromkeys(map(str, identities)))
        self.duplicate_ids = len(ids)
        self.duplicate_ids_sample = ids[:OFFENDERS_SHOWN]


RECEIPT_COLUMNS: dict[str, Any] = {
    "run_id": {"data_type": "text"},
    "finished_at": {"data_type": "timestamp", "timezone": True},
    "total_first": {"data_type": "bigint"},
    "total_last": {"data_type": "bigint"},
    "page_size_asked": {"data_type": "bigint"},
    "duplicate_ids_sample": {"data_type": "text"},
}
"""Columns that may be null in every row, which dlt would not create by itself."""


class Fingerprint:
    """A digest of a set of rows, whatever their order: equal rows, equal digest."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, rows: Iterable[Any]) -> None:
        for row in rows:
            try:
                text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
            except TypeError:  # what only the standard module writes: surrogates, large integers
                text = json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass")
            self._sum += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())

    def __str__(self) -> str:
        return f"{self._sum % (1 << 128):032x}"


def judge(distinct: int, evidence: Evidence) -> tuple[str, str]:
    """The verdict on one walk that brought `distinct` rows, with its reason.

    torn
        Evidence of loss: the API promised rows that it did not give (`torn` says which), fewer
        distinct rows came than it counts at the end, or its count shrank from one page to the next
        while the pages could not be seen to touch, so that rows may have slipped through between.
    complete
        Proof: at least as many distinct rows came as the API counts at the end, and either no
        gap can have opened (each page touches the one before, or the API named each next page)
        or the count never moved. Where the API counts nothing: it named each next page, and said
        at the last that there is none.
    unproven
        Neither: the walk ends early, as configured, the API counts nothing to compare with, its
        count is smaller than what came although no row can have been removed, or it grew while
        the pages could not be seen to touch, and rows may have been removed as well.
    """
    if evidence.cut_short:
        return UNPROVEN, evidence.cut_short
    if evidence.torn:
        return TORN, evidence.torn
    total_first, total_last = evidence.total_first, evidence.total_last
    if total_last is None:
        if evidence.chained:
            return COMPLETE, "the API named each next page, and at the last that there is none"
        return UNPROVEN, evidence.uncertain or "the API tells no total to compare with"
    if distinct < total_last:
        return TORN, f"the API counts {total_last} rows, but gave {distinct}"
    if evidence.fell and not evidence.touching:
        return TORN, (
            f"the total shrank during the scan, from {total_first} on the first page to "
            f"{total_last} on the last one"
        )
    if evidence.rose and not (evidence.touching or evidence.chained):
        return UNPROVEN, (
            f"the total grew from {total_first} to {total_last} during the scan; rows may have "
            f"been removed as well"
        )
    if distinct > total_last and not evidence.fell:
        return UNPROVEN, f"the API counts {total_last} rows, but gave {distinct}"
    return COMPLETE, f"all {total_last} rows that the API counts came" + (
        f", and {distinct - total_last} that it removed during the scan"
        if distinct > total_last
        else ""
    )
