"""Reads the events of some windows alone, of which nothing follows for all others."""

from collections.abc import Sequence
from typing import Any

from events_assets.scan.list_pass import ListPass
from events_assets.scan.table_scan import TableScan


class WindowScan(TableScan):
    """Marks nothing as removed, and moves no cursor."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.receipt.scan_kind = "window"

    def _part(self, lists: Sequence[ListPass]) -> str:
        return f"of the events {', '.join(str(one.window) for one in lists)}"
