"""Offset paging that loses nothing: pages that touch, and a scan that always ends.

dlt's `OffsetPaginator` adds the limit it asked for to the offset. Where the API grants less, or
rows are removed during the scan, rows between two pages are skipped without a word. `OffsetScan`
advances by the rows received, less an overlap, and accepts a page only if it shares a row with
what came before; otherwise it steps back until it does.
"""

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import requests
from dlt.common import jsonpath
from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator

from events_assets.transport.pages import PromisedMore

IDLE_PAGES = 10
"""So many pages in a row may bring nothing new (rows may be inserted during the scan)."""

RESTARTS = 10
"""So often a scan may step back to its first page (rows may be removed during the scan)."""


class EndlessScan(Exception):
    """The API goes on answering without telling anything new."""


@configspec
class ScanSettings(BaseConfiguration):
    """`[sources.events.scan]`: how pages are walked.

    `overlap`: rows by which a page starts before the end of the page before; 0: plain offsets.
    """

    overlap: int = 1

    __section__: ClassVar[str] = "scan"


class OffsetScan(OffsetPaginator):
    """dlt's offset paginator, advancing by rows received over pages that touch.

    An API that takes only multiples of the limit as offset answers an overlapping request with
    the page before; it is recognised by that, and walked with plain offsets. The scan ends with
    an empty page, or with a short page that reaches the total.

    Args:
        identities: gives an identity for each row of a page, equal for the same row.
        overlap: rows shared by two pages, 0 for plain offsets.
        config: what dlt's `OffsetPaginator` takes.

    Raises:
        EndlessScan: the API ignores the offset, repeats its pages, or changes their order.
    """

    def __init__(
        self,
        identities: Callable[[list[Any]], list[Hashable]],
        overlap: int = 1,
        **config: Any,
    ) -> None:
        super().__init__(**config)
        self._identities = identities
        self._overlap_asked = overlap
        self._reset()

    def _reset(self) -> None:
        self.overlap = self._overlap_asked
        self.total_first: int | None = None
        self.total_last: int | None = None
        self.granted = 0
        self.step_backs = 0
        self.torn = ""
        self.cut_short = ""
        self._covered: set[Hashable] = set()
        self._page_before: list[Hashable] = []
        self._end = self.initial_value
        self._step = 0
        self._probing = False
        self._on_grid = False
        self._idle_pages = 0
        self._restarts = 0

    @property
    def paging(self) -> str:
        """How pages were joined in the end: `touching`, or `plain` offsets."""
        return "touching" if self.overlap else "plain"

    def init_request(self, request: requests.Request) -> None:
        self._reset()
        super().init_request(request)

    def require_promised(self, response: requests.Response, rows: list[Any]) -> None:
        """Refuses an empty page where the API counts more rows, so that it is asked for again.

        Raises:
            PromisedMore: the total in `response` lies beyond the offset that was asked for.
        """
        total = self._total(response)
        if not rows and total is not None and total > self.current_value:
            raise PromisedMore(f"the page is empty although the API counts {total} rows", response)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        page = self._identities(data or [])
        offset, end = self.current_value, self.current_value + len(page)
        total = self._total(response)
        if total is not None:
            self.total_last = total
            self.total_first = total if self.total_first is None else self.total_first
        self.granted = max(self.granted, len(page))

        if not page and total is not None and total > offset:
            self.torn = f"the API counts {total} rows, but gives none from offset {offset} on"
            self._has_next_page = False
        elif page and page == self._page_before and not self._step:
            if total is not None and len(self._covered) >= total - self.initial_value:
                self._has_next_page = False  # the API ignores the offset, and gave all it counts
            else:
                self._switch_to_plain_offsets(offset)
        elif self._touches(page, offset):
            self._accept(page, end, total, response)
        else:
            self._step_back(offset)
        self._page_before = page

    def _touches(self, page: list[Hashable], offset: int) -> bool:
        """Whether no row can lie unseen between this page and those accepted before."""
        if not self.overlap or self._probing or offset <= self.initial_value:
            return True
        return any(identity in self._covered for identity in page)

    def _accept(
        self, page: list[Hashable], end: int, total: int | None, response: requests.Response
    ) -> None:
        news = any(identity not in self._covered for identity in page)
        self._covered.update(page)
        if self._step or end > self._end:
            self._end = end
        self._step = 0
        self._idle_pages = 0 if news else self._idle_pages + 1
        if self._probing and page:
            self.overlap = 0
        if self._on_grid and page:
            self.torn = (
                f"the API takes only multiples of {self.limit} as offset, but gives fewer rows a "
                f"page; set the paginator's limit to {self.granted}"
            )
        self._probing = False

        if not page or self._is_last(page, end, total, response):
            self._has_next_page = False
        elif self._idle_pages > IDLE_PAGES:
            raise EndlessScan(
                f"{IDLE_PAGES} pages in a row up to offset {end} brought no new row; the API "
                f"repeats its pages instead of ending"
            )
        elif len(page) <= self.overlap:
            # Nothing but the overlap: probably the end, but only an empty page says so. Pages
            # that are no longer than the overlap cannot touch.
            self.overlap = 0 if news else self.overlap
            self._probing = True
            self.current_value = end
        else:
            self.current_value = end - self.overlap

    def _is_last(
        self, page: list[Hashable], end: int, total: int | None, response: requests.Response
    ) -> bool:
        if self.maximum_value is not None and end >= self.maximum_value:
            self.cut_short = f"the scan ends at maximum_offset {self.maximum_value}, as configured"
            return True
        if self.has_more_path:
            values = jsonpath.find_values(self.has_more_path, response.json())
            if values and str(values[0]).lower() in ("false", "0", "no"):
                return True
        # A total alone proves nothing, some APIs count only the page in it: after a full page
        # that reaches the total, one more request finds out.
        return total is not None and end >= total and len(page) < self.granted

    def _switch_to_plain_offsets(self, offset: int) -> None:
        """The page before came once more: a fixed grid of offsets, or none at all."""
        if self.overlap and offset < self._end:
            self.overlap = 0
            self.current_value = self._end
        elif not self._on_grid and len(self._page_before) < self.limit:
            self._on_grid = True
            self.current_value = self._end - len(self._page_before) + self.limit
        elif self.torn:
            self._has_next_page = False
        else:
            raise EndlessScan(
                f"the API answers offset {offset} with the page before; it seems to ignore the "
                f"parameter '{self.param_name or self.param_body_path}'"
            )

    def _step_back(self, offset: int) -> None:
        self.step_backs += 1
        self._step = max(2 * self._step, self.granted - self.overlap, 1)
        self.current_value = max(self.initial_value, offset - self._step)
        if self.current_value == self.initial_value:
            self._restarts += 1
            if self._restarts > RESTARTS:
                raise EndlessScan(
                    "pages share no row, however far the scan steps back; the API gives its rows "
                    "in another order each time, ask it for a fixed one (endpoint.params)"
                )

    def _total(self, response: requests.Response) -> int | None:
        values = jsonpath.find_values(self.total_path, response.json()) if self.total_path else []
        value = values[0] if values else None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            total = int(value)
        except (ValueError, OverflowError):
            return None
        return total if total >= 0 else None
