"""Offset paging that loses nothing: pages that touch, and a scan that always ends.

dlt's `OffsetPaginator` adds the limit it asked for to the offset. Where the API grants less, or
rows are removed during the scan, rows between two pages are skipped without a word. `OffsetScan`
advances by the rows received, less an overlap, and accepts a page only if it shares a row with
what came before; otherwise it steps back until it does.
"""

from collections.abc import Hashable, Iterator
from typing import Any

import requests
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator

from events_assets.errors import EmptyPageError, EndlessScanError
from events_assets.http.read_ahead import Position
from events_assets.paging.base import Walk
from events_assets.paging.pages import Total, says_no, says_yes, value_at

RESTARTS = 10
"""So often a scan may step back to its first page (rows may be removed during the scan)."""


class OffsetScan(Walk, OffsetPaginator):
    """dlt's offset paginator, advancing by rows received over pages that touch.

    An API that takes only multiples of the limit as offset answers an overlapping request with
    the page before; it is recognised by that, and walked with plain offsets. The scan ends with
    an empty page, with a short page that reaches the total, where the API says that it has no more,
    or at `maximum_offset`.

    Args:
        identities: gives an identity for each row of a page, equal for the same row.
        total: reads how many rows the API counts; none: where `total_path` says.
        overlap: rows shared by two pages, 0 for plain offsets.
        config: what dlt's `OffsetPaginator` takes.

    Raises:
        EndlessScanError: the API ignores the offset, repeats its pages, or changes their order.
    """

    def __init__(
        self,
        identities: Any,
        total: Total | None = None,
        overlap: int = 1,
        **config: Any,
    ) -> None:
        self._overlap_asked = overlap
        super().__init__(identities, **config)
        self._total = total if total is not None else Total(self.total_path)
        self.position = Position(self.param_name, self.param_body_path)

    def _begin(self) -> None:
        super()._begin()
        self._set_overlap(self._overlap_asked)
        self._islands: set[Hashable] = set()
        self._page_before: list[Hashable] = []
        self._step = 0
        self._probing = False
        self._on_grid = False
        self._restarts = 0

    def init_request(self, request: requests.Request) -> None:
        super().init_request(request)
        self._end = self.initial_value
        # From offset 1 on may be all rows of an API that counts from 1.
        self.evidence.skipped = self.initial_value if self.initial_value > 1 else 0

    def _set_overlap(self, overlap: int) -> None:
        self.overlap = overlap
        self.evidence.touching = overlap > 0
        self.evidence.paging = "touching" if overlap else "plain"

    def require_promised(self, response: requests.Response, rows: list[Any]) -> None:
        total, offset = self._total(response), self.position.of(response.request)
        if not rows and total is not None and offset is not None and total > offset:
            raise EmptyPageError(
                f"the page is empty although the API counts {total} rows", response
            )
        if not rows and says_yes(value_at(self.has_more_path, response)[1]):
            raise EmptyPageError(
                "the page is empty although the API says that it has more", response
            )

    def upcoming(self, count: int) -> Iterator[int]:
        """The offsets that follow while pages stay as long as the longest one so far."""
        step = self.evidence.granted - self.overlap
        if step <= 0 or self._step or self._probing or self._on_grid:
            return
        if len(self.page) < self.evidence.granted:  # probably the last one
            return
        ends = (self.evidence.total_last, self.maximum_value)
        last = min((end for end in ends if end is not None), default=None)
        for offset in range(self.current_value + step, self.current_value + step * count + 1, step):
            if last is not None and offset + self.overlap >= last:
                return
            yield offset

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        page = self._observe(response, data)
        offset, end = self.current_value, self.current_value + len(page)
        total = self._total(response)
        if not page and total is not None and total > offset:
            self.evidence.torn = (
                f"the API counts {total} rows, but gives none from offset {offset} on"
            )
            self._has_next_page = False
        elif page and page == self._page_before and not self._step:
            if total is not None and (
                len(self.seen) + len(self.set_aside) >= total - self.initial_value
            ):
                self._has_next_page = False  # the API ignores the offset, and gave all it counts
            else:
                self._switch_to_plain_offsets(offset)
        elif self._touches(page, offset):
            self._accept(page, end, total, response)
        else:
            self._islands.update(one for one in page if not self._came_before(one))
            self._step_back(offset)
        self._page_before = page
        self.depth = self.current_value - self.initial_value + self.limit

    def _covered(self, identity: Hashable) -> bool:
        """Whether a row came on a page that is joined to the first one without a gap."""
        return identity not in self._islands and self._came_before(identity)

    def _touches(self, page: list[Hashable], offset: int) -> bool:
        """Whether no row can lie unseen between this page and those accepted before."""
        if not self.overlap or self._probing or offset <= self.initial_value:
            return True
        return any(map(self._covered, page))

    def _accept(
        self, page: list[Hashable], end: int, total: int | None, response: requests.Response
    ) -> None:
        news = not all(map(self._covered, page))
        self._islands.difference_update(page)
        if self._step or end > self._end:
            self._end = end
        self._step = 0
        if self._probing and page:
            self._set_overlap(0)
        if self._on_grid and page:
            self.evidence.torn = (
                f"the API takes only multiples of {self.limit} as offset, but gives fewer rows a "
                f"page; set the paginator's limit to {self.evidence.granted}"
            )
        self._probing = False

        if not page or self._is_last(page, end, total, response):
            self._has_next_page = False
            return
        self._require_news(f" up to offset {end}")
        if len(page) <= self.overlap:
            # Nothing but the overlap: probably the end, but only an empty page says so. Pages
            # that are no longer than the overlap cannot touch.
            self._set_overlap(0 if news else self.overlap)
            self._probing = True
            self.current_value = end
        else:
            self.current_value = end - self.overlap

    def _is_last(
        self, page: list[Hashable], end: int, total: int | None, response: requests.Response
    ) -> bool:
        if self.maximum_value is not None and end >= self.maximum_value:
            self.evidence.cut_short = (
                f"the scan ends at maximum_offset {self.maximum_value}, as configured"
            )
            return True
        if self.has_more_path and says_no(value_at(self.has_more_path, response)[1]):
            return True
        # A total alone proves nothing, some APIs count only the page in it: after a full page
        # that reaches the total, one more request finds out.
        return total is not None and end >= total and len(page) < self.evidence.granted

    def _switch_to_plain_offsets(self, offset: int) -> None:
        """The page before came once more: a fixed grid of offsets, or none at all."""
        if self.overlap and offset < self._end:
            self._set_overlap(0)
            self.current_value = self._end
        elif not self._on_grid and len(self._page_before) < self.limit:
            self._on_grid = True
            self.current_value = self._end - len(self._page_before) + self.limit
        elif self.evidence.torn:
            self._has_next_page = False
        else:
            raise EndlessScanError(
                f"the API answers offset {offset} with the page before; it seems to ignore the "
                f"parameter '{self.param_name or self.param_body_path}'"
            )

    def _step_back(self, offset: int) -> None:
        self.evidence.step_backs += 1
        self._step = max(2 * self._step, self.evidence.granted - self.overlap, 1)
        self.current_value = max(self.initial_value, offset - self._step)
        if self.current_value == self.initial_value:
            self._restarts += 1
            if self._restarts > RESTARTS:
                raise EndlessScanError(
                    "pages share no row, however far the scan steps back; the API gives its rows "
                    "in another order each time, ask it for a fixed one (endpoint.params)"
                )
