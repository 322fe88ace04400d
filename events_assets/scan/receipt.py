"""The receipt of a scan: what was asked, what came, and the verdict whether that is everything."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from events_assets.http.transport import Traffic
from events_assets.scan.list_pass import ListPass
from events_assets.scan.verdict import UNPROVEN, Verdict

OFFENDERS_SHOWN = 5


@dataclass
class Receipt:
    """What one load saw. `rows_received = rows_loaded + repeats + rows_quarantined`, and the
    `rows_excluded` as configured. `rows_loaded = rows_inserted + rows_updated + rows_unchanged`:
    the last are in the warehouse as they came, and not written again. `rows_removed` did not come,
    and are marked; `rows_vanished` did not come, and are too many to be marked.

    `scans` is the number of passes over all lists. Of several passes, `total_first`, `total_last`,
    `distinct_ids` and `walks`, the lists and windows read, are those of the last one, and all else
    that is counted is the sum. `proof` says what shows that the scan is complete, if it is;
    `scan_kind` is `full`, `changes` where only what changed since the `cursor` before was asked
    for, or `window` where only the events of some start times were. A backfill adds a receipt for
    each of its windows, whose `resource` names it; they add up to the whole, but for rows that the
    last pass brought in no window. `origin` is what the API is called: its lists,
    if nothing else is configured.
    `ambiguous_times` counts events with a local time that exists twice: the first is meant.
    `event_columns` is noted after the load: which columns events have, and in how many of them.
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
    rows_excluded: int = 0
    repeats: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_removed: int = 0
    rows_vanished: int = 0
    distinct_ids: int = 0
    duplicate_ids: int = 0
    ambiguous_times: int = 0
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
    proof: str | None = None
    reason: str = ""
    scan_kind: str = "full"
    cursor: str | None = None
    origin: str = ""
    event_columns: str | None = None

    def row(self) -> dict[str, Any]:
        """The receipt as a row of `scan_receipts`."""
        return {**asdict(self), "duplicate_ids_sample": json.dumps(self.duplicate_ids_sample)}

    def add_cost(self, cost: Traffic) -> None:
        """Takes what it cost to ask for a list."""
        self.requests += cost.requests
        self.retries += cost.retries
        self.seconds_waited += cost.seconds_waited
        self.bytes += cost.bytes

    def conclude(self, passes: Sequence[ListPass], verdict: Verdict) -> None:
        """Adds up the last pass over each list, and what all passes found."""
        self.finished_at = datetime.now(UTC)
        shared = sum(one.shared for one in passes)
        self.walks = len(passes)
        self.distinct_ids = sum(one.distinct for one in passes) - shared
        self.paging = ", ".join(dict.fromkeys(one.evidence.paging for one in passes))
        self.total_first = _sum((one.evidence.total_first for one in passes), -shared)
        self.total_last = _sum((one.evidence.total_last for one in passes), -shared)
        twice = dict.fromkeys(str(identity) for one in passes for identity in one.duplicates())
        self.duplicate_ids, self.duplicate_ids_sample = len(twice), [*twice][:OFFENDERS_SHOWN]
        self.verdict, self.reason = verdict.word, verdict.reason
        self.proof = verdict.proof or None


RECEIPT_COLUMNS: dict[str, Any] = {
    "run_id": {"data_type": "text"},
    "proof": {"data_type": "text"},
    "finished_at": {"data_type": "timestamp", "timezone": True},
    "cursor": {"data_type": "text"},
    "total_first": {"data_type": "bigint"},
    "total_last": {"data_type": "bigint"},
    "page_size_asked": {"data_type": "bigint"},
    "duplicate_ids_sample": {"data_type": "text"},
    "event_columns": {"data_type": "text"},
}
"""Columns that may be null in every row, which dlt would not create by itself."""


def _sum(numbers: Iterable[int | None], start: int) -> int | None:
    """The sum, None if one of the numbers is not known or there are none."""
    known = list(numbers)
    return start + sum(known) if known and None not in known else None  # type: ignore[arg-type]
