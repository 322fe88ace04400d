"""A walk over the pages of one list: what every way of paging has to see to, and to tell.

What proves that a walk got everything depends on how pages are found:

- *offsets*: pages that touch leave no gap between them; the API's total says where the end is.
- *page numbers*: pages cannot touch, so only a total of rows, unmoved from the first page to the
  last, proves that nothing slipped from one page to another.
- *cursors and links*: the API names each next page, and says at the last that there is none. That
  proves the walk, unless what it names is a mere position (the number of a page or of a row),
  which is paging by numbers in disguise.
- *a single page*: nothing, but a total.

A total that says otherwise outweighs all of these.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from dlt.sources.helpers.rest_client.paginators import BasePaginator

from events_assets.errors import EndlessScanError
from events_assets.paging.pages import Total

IDLE_PAGES = 10
"""So many pages in a row may bring nothing new (rows may be inserted during the scan)."""


@dataclass
class Evidence:
    """What a walk tells about its completeness."""

    paging: str = ""
    """How pages were found in the end, in a word."""
    total_first: int | None = None
    total_last: int | None = None
    rose: bool = False
    """The total was larger on a page than on the one before."""
    fell: bool = False
    """The total was smaller on a page than on the one before."""
    granted: int = 0
    """Rows on the largest page."""
    step_backs: int = 0
    touching: bool = False
    """Each page was seen to share a row with those before it."""
    chained: bool = False
    """The API named each next page, and said at the last that there is none."""
    torn: str = ""
    cut_short: str = ""
    uncertain: str = ""
    """What keeps the walk from being proven, in words for people."""
    skipped: int = 0
    """Rows before the one that the walk begins with, as configured."""

    def count(self, total: int | None) -> None:
        """Notes how many rows the API counts."""
        if total is not None:
            total = max(0, total - self.skipped)
            if self.total_first is None or self.total_last is None:
                self.total_first = self.total_last = total
            self.rose |= total > self.total_last
            self.fell |= total < self.total_last
            self.total_last = total


class Walk(BasePaginator):
    """Mixed into a paginator of dlt, or wraps one. A walk begins with `init_request`.

    Args:
        identities: gives an identity for each row of a page, equal for the same row.
        total: reads how many rows the API counts.
        config: what the paginator takes.
    """

    def __init__(
        self,
        identities: Callable[[list[Any]], list[Hashable]],
        total: Total | None = None,
        **config: Any,
    ) -> None:
        super().__init__(**config)
        self.identities = identities
        self._total = total or Total()
        self.parameters: Mapping[str, Any] = {}
        """Query parameters of all requests of the walk, besides those of the endpoint."""
        self.inherited: dict[str, Any] = {}
        """Fields that all rows get from the row that they depend on."""
        self.map_rows: Callable[[list[Any]], list[Any]] = list
        """Gives the rows of a page as they are to be loaded."""
        self._begin()

    def __deepcopy__(self, memo: Any) -> "Walk":
        return self  # dlt copies paginators of dependent resources; a walk is watched from outside

    def _begin(self) -> None:
        self.evidence = Evidence()
        self.seen: set[Hashable] = set()
        """Identities of the rows that came so far, filled by who consumes the pages."""
        self.set_aside: set[Hashable] = set()
        """The same of rows that cannot be loaded."""
        self.rows: list[Any] = []
        """The rows of the last page."""
        self.page: list[Hashable] = []
        """Their identities."""
        self.depth = 0
        """Rows from the first row of the list to the last one asked for."""
        self._idle_pages = 0

    def init_request(self, request: requests.Request) -> None:
        self._begin()
        super().init_request(request)
        if self.parameters:
            request.params = {**(request.params or {}), **self.parameters}

    def require_promised(self, response: requests.Response, rows: list[Any]) -> None:
        """Refuses an empty page where the API counts more rows, so that it is asked for again.

        Raises:
            EmptyPageError: there should be rows on this page.
        """

    def is_past_the_end(self, status: int) -> bool:
        """Whether an error status means that the last page was the one before."""
        del status
        return False

    def _observe(self, response: requests.Response, data: list[Any] | None) -> list[Hashable]:
        """Notes a page and returns the identities of its rows."""
        rows = getattr(response, "rows", data) or []
        if self.inherited:
            rows = [row | self.inherited if isinstance(row, dict) else row for row in rows]
        self.rows = rows = self.map_rows(rows)
        self.page = self.identities(rows)
        self.evidence.count(self._total(response))
        self.evidence.granted = max(self.evidence.granted, len(self.page))
        return self.page

    def _came_before(self, identity: Hashable) -> bool:
        return identity in self.seen or identity in self.set_aside

    def _require_news(self, where: str = "") -> None:
        """Counts pages without a new row.

        Raises:
            EndlessScanError: there are too many of them in a row.
        """
        news = not all(map(self._came_before, self.page))
        self._idle_pages = 0 if news else self._idle_pages + 1
        if self._idle_pages > IDLE_PAGES:
            raise EndlessScanError(
                f"{IDLE_PAGES} pages in a row{where} brought no new row; the API repeats its "
                f"pages instead of ending"
            )
