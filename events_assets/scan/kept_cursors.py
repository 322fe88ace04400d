"""The cursors of all lists of a table, which are kept with it: whether only what changed is asked
for, and how far they move with a load. All while dlt extracts."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import dlt

from events_assets.http.transport import Log
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
from events_assets.scan.verdict import COMPLETE


class KeptCursors:
    """The cursors of the lists that can be asked for what changed."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        found = ((one.name, one.changes) for one in endpoints if one.changes)
        self._changes = {f"{name} {changes.path}": changes for name, changes in found}

    @property
    def since(self) -> str:
        """From where on changes are asked for, in words."""
        return ", ".join(str(changes.since) for changes in self._changes.values())

    def begin(self, started_at: datetime, full_scan_every: timedelta, stored: Stored) -> bool:
        """Whether only what changed is asked for: not where that is not known for all lists, where
        all rows are to be loaded anew, or where the last full scan is too long ago."""
        state = dlt.current.resource_state()
        cursors, full_scan_at = state.get("cursors", {}), state.get("full scan at")
        is_due = not full_scan_at or (
            abs(started_at - datetime.fromisoformat(full_scan_at)) >= full_scan_every
        )
        is_known = self._changes.keys() <= cursors.keys() and bool(self._changes)
        held = None if is_due or not is_known else stored.known_fingerprint()
        for name, changes in self._changes.items():
            changes.begin(None if held is None else cursors[name], started_at)
        if held is None:
            stored.fetch_all()
        else:
            stored.fingerprint = held
        return held is not None

    def end(self, receipt: Receipt, log: Log) -> None:
        """Moves them on as far as it is known that nothing is missing."""
        state = dlt.current.resource_state()
        for name, changes in self._changes.items():
            for reason, value in changes.ignored.items():
                log.warning(f"a value of the cursor {name} {reason}, and does not move it: {value}")
        is_whole = receipt.scan_kind != "window"  # of other windows nothing is known
        if is_whole and receipt.verdict == COMPLETE and not receipt.rows_vanished:
            newest = {name: changes.newest for name, changes in self._changes.items()}
            found = {name: value for name, value in newest.items() if value is not None}
            state["cursors"] = state.get("cursors", {}) | found
            if receipt.scan_kind == "full":
                state["full scan at"] = receipt.started_at.isoformat()
        elif receipt.rows_vanished:
            state["full scan at"] = None  # so that the next one is full, and says so again
        if self._changes:
            receipt.cursor = json.dumps(state.get("cursors", {}))
