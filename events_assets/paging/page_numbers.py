"""Paging by number: the next page is the number after this one.

dlt's `PageNumberPaginator` fails where the total is missing, and stops at the page that the total
names, though most APIs count rows there, not pages. `PageNumberScan` takes either.
"""

from collections.abc import Iterator
from typing import Any

import requests
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

from events_assets.http.read_ahead import Position
from events_assets.paging.base import Walk
from events_assets.paging.pages import Total, says_no, says_yes, value_at, whole_number

UNPROVEN = (
    "pages found by number cannot be seen to touch, and the API tells no total of rows to compare "
    "with (scan.total_path, scan.total_header)"
)


class PageNumberScan(Walk, PageNumberPaginator):
    """dlt's page number paginator, which ends where the API has no further page.

    That is an empty page, the page before once more, `has_more` saying no, the number of pages at
    `total_path`, all rows of the total, or a page that the API refuses with 404, after one that it
    gave.

    Args:
        identities: gives an identity for each row of a page, equal for the same row.
        total: reads how many rows the API counts.
        config: what dlt's `PageNumberPaginator` takes.
    """

    def __init__(self, identities: Any, total: Total | None = None, **config: Any) -> None:
        self._counts_pages = config.get("total_path") is not None
        super().__init__(identities, total, **config)
        self.position = Position(self.param_name, self.param_body_path)

    def _begin(self) -> None:
        super()._begin()
        self.evidence.paging = "page numbers"
        self.evidence.uncertain = UNPROVEN
        self._rows_given = 0
        self._named: int | None = None
        self._last_given: int | None = None

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        before, number = self.page, self.current_value
        page = self._observe(response, data)
        self.current_value += self.value_step
        if page == before and page:
            if self._rows_given > len(page):  # after the last page, some APIs give it again
                self._has_next_page = False
                self._reconcile(number)
            else:  # 0 and 1 are the same page of many APIs
                self._require_news()
            return
        self._rows_given += len(page)
        self.depth = self._rows_given + self.evidence.granted
        named = self._named = whole_number(value_at(self.total_path, response)[1])
        has_more = value_at(self.has_more_path, response)[1]
        if not page and not says_yes(has_more):
            self._has_next_page = False
            self._reconcile(number)
            return
        self._last_given = number
        self._require_news()
        total = self.evidence.total_last
        short = len(page) < self.evidence.granted
        if self.maximum_value is not None and self.current_value >= self.maximum_value:
            self.evidence.cut_short = (
                f"the scan ends at maximum_page {self.maximum_value}, as configured"
            )
            self._has_next_page = False
        elif says_no(has_more) or (total is not None and short and self._rows_given >= total):
            self._has_next_page = False
        elif named is not None and self.current_value >= named + self.base_index:
            self._has_next_page = not self._counts_pages and not short

    def upcoming(self, count: int) -> Iterator[int]:
        """The numbers that follow, up to that of the last page if it is known."""
        if not self.page or len(self.page) < self.evidence.granted:  # none, or the last one
            return
        last = self.maximum_value
        if self.evidence.total_last is not None:
            pages = -(-self.evidence.total_last // self.evidence.granted)
            last = self.initial_value + pages
        elif self._counts_pages and self._named is not None:
            last = self._named + self.base_index
        for number in range(self.current_value + 1, self.current_value + 1 + count):
            if last is not None and number >= last:
                return
            yield number

    def is_past_the_end(self, status: int) -> bool:
        if status != 404 or self._last_given is None:
            return False
        self._has_next_page = False
        self._reconcile(self.current_value)
        return True

    def _reconcile(self, number: int) -> None:
        """No page before the last one named: then the API names rows, or kept some back."""
        named = self._named
        if named is None or number >= named + self.base_index:
            return
        if self._counts_pages:
            self.evidence.torn = f"the API counts {named} pages, but page {number} is empty"
        elif self.evidence.total_last is None:
            self.evidence.count(named)
