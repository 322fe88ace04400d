"""The receipt of a scan: what was asked, what came, and the verdict whether that is everything."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from events_assets.http.transport import Traffic
from events_assets.paging.base import Evidence
from events_assets.scan.list_pass import ListPass
from events_assets.scan.verdict import COMPLETE, UNPROVEN, VERDICTS

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

    def add(self, evidence: Evidence) -> None:
        """Takes what a pass tells of pages."""
        self.step_backs += evidence.step_backs
        self.page_size_granted = max(self.page_size_granted, evidence.granted)

    def add_cost(self, cost: "Traffic | Receipt") -> None:
        """Takes what it cost to ask for a list, or for its parents."""
        self.requests += cost.requests
        self.retries += cost.retries
        self.seconds_waited += cost.seconds_waited
        self.bytes += cost.bytes

    def conclude(self, passes: Sequence[ListPass], fingerprint: str) -> None:
        """Adds up the passes that count: the worst verdict holds for all of them."""
        self.finished_at, self.fingerprint = datetime.now(UTC), fingerprint
        read = [one for one in passes if one.evidence.paging]
        shared = sum(one.shared for one in passes)
        self.walks = len(read)
        self.distinct_ids = sum(one.distinct for one in passes) - shared
        self.paging = ", ".join(dict.fromkeys(one.evidence.paging for one in read))
        self.total_first = _sum((one.evidence.total_first for one in read), -shared)
        self.total_last = _sum((one.evidence.total_last for one in read), -shared)
        twice = dict.fromkeys(str(identity) for one in passes for identity in one.duplicates())
        self.duplicate_ids, self.duplicate_ids_sample = len(twice), [*twice][:OFFENDERS_SHOWN]
        self.verdict = min((one.verdict for one in passes), key=VERDICTS.index)
        worst = [one for one in passes if one.verdict == self.verdict]
        self.reason = worst[0].reason
        if len(passes) > 1:
            rows = "" if self.total_last is None else f", {self.total_last} rows"
            self.reason = (
                f"all of {len(passes)} walks{rows}"
                if self.verdict == COMPLETE
                else f"{len(worst)} of {len(passes)} walks, {worst[0]}: {worst[0].reason}"
            )


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

    def add(self, row: Any) -> None:
        try:
            text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # what only the standard module writes: surrogates, large integers
            text = json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass")
        self._sum += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())

    def __str__(self) -> str:
        return f"{self._sum % (1 << 128):032x}"


def _sum(numbers: Iterable[int | None], start: int) -> int | None:
    """The sum, None if one of the numbers is not known or there are none."""
    known = list(numbers)
    return start + sum(known) if known and None not in known else None  # type: ignore[arg-type]
