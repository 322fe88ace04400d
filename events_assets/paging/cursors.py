"""Paging by cursor or link: the API names the next page, and says when there is none."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from dlt.common import jsonpath
from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.paginators import (
    BaseNextUrlPaginator,
    BasePaginator,
    BaseReferencePaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)

from events_assets.errors import EndlessScanError
from events_assets.paging.base import Walk
from events_assets.paging.page_numbers import UNPROVEN, PageNumberScan
from events_assets.paging.pages import Total, says_no, says_yes, value_at

NO_TOTAL = "the API tells no total to compare with (scan.total_path, scan.total_header)"
POSITION = re.compile(r"page|offset|skip|^_?(start|from|p)$", re.IGNORECASE)
"""Names of parameters that count rows or pages."""


class ChainScan(Walk):
    """Follows what one of dlt's paginators finds in each answer: a cursor, or a link.

    Args:
        identities: gives an identity for each row of a page, equal for the same row.
        total: reads how many rows the API counts.
        paginator: of dlt; none: detected in the first answer, as dlt does.
        has_more_path: JSON path of a flag that says whether there are further pages.

    Raises:
        EndlessScanError: the API leads back to where it was, or its pages bring nothing new.
    """

    def __init__(
        self,
        identities: Any,
        total: Total | None = None,
        paginator: BasePaginator | None = None,
        has_more_path: str | None = None,
    ) -> None:
        self._configured = paginator
        self._has_more_path = jsonpath.compile_path(has_more_path) if has_more_path else None
        super().__init__(identities, total)

    def _begin(self) -> None:
        super()._begin()
        self._following = self._configured
        self._has_next_page = True
        self._asked: set[str] = set()
        self._rows_given = 0
        self._pages = 0
        self._positional = False

    def init_request(self, request: requests.Request) -> None:
        super().init_request(request)
        if self._following is not None:
            self._following.init_request(request)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        self._following = following = self._following or self._detected(response)
        self._observe(response, data)
        self._pages += 1
        self._rows_given += len(self.page)
        self.depth = self._rows_given + self.evidence.granted
        following.update_state(response, self.rows)
        self._take_zero_for_an_id(response)
        self._has_next_page = following.has_next_page
        if isinstance(following, PageNumberScan):
            return
        if isinstance(following, BaseReferencePaginator) and not following._next_reference:
            self._has_next_page = False  # an empty text names no page either
        there, more = value_at(self._has_more_path, response)
        if there and says_no(more):
            self._has_next_page = False
        self._weigh(response, more if there else None)
        if self._has_next_page:
            self._require_news()

    def update_request(self, request: requests.Request) -> None:
        if self._following is None or not self._has_next_page:
            return
        before = _numbers(request)
        self._following.update_request(request)
        asked = repr((request.url, request.params, request.json))
        if asked in self._asked:
            raise EndlessScanError(
                "the API leads back to a page that was asked for before (it repeats its cursor "
                "or link), instead of ending"
            )
        self._asked.add(asked)
        for name, number in _numbers(request) - before:
            self._positional |= self._is_position(name, int(number))

    def is_past_the_end(self, status: int) -> bool:
        if isinstance(self._following, PageNumberScan):
            return self._following.is_past_the_end(status)
        return False

    def _take_zero_for_an_id(self, response: requests.Response) -> None:
        """A cursor of 0 is the end of most APIs, as dlt takes it, but may be the id of a row."""
        following = self._following
        if isinstance(following, JSONResponseCursorPaginator) and self.page:
            there, cursor = value_at(following.cursor_path, response)
            if there and cursor == 0 and str(cursor) == str(self.page[-1]):
                following._next_reference = "0"

    def _is_position(self, name: str, number: int) -> bool:
        """Whether a parameter that leads to the next page counts rows or pages.

        A number that is an id on this page as well is taken for that id, unless the name of the
        parameter says that it is a position.
        """
        positions = {self._rows_given, self._rows_given + 1, self._pages, self._pages + 1}
        if number not in positions:
            return False
        return bool(POSITION.search(name)) or number not in self.page

    def _weigh(self, response: requests.Response, more: Any) -> None:
        """Tells an end that the API names from one that merely happens."""
        evidence, following = self.evidence, self._following
        if isinstance(following, SinglePagePaginator):
            evidence.paging = "single page"
            evidence.uncertain = f"it is a single page, and {NO_TOTAL}"
            return
        evidence.paging = "links" if isinstance(following, BaseNextUrlPaginator) else "cursor"
        if self._has_next_page:
            return
        if says_yes(more):
            evidence.torn = (
                f"the API says that there is more after {self._rows_given} rows, but names no "
                f"next page; check the paginator in [sources.events]"
            )
        elif self._positional:
            evidence.uncertain = (
                f"the next page is named by its position, so that rows may slip from one page to "
                f"another, and {NO_TOTAL}"
            )
        elif says_no(more) or self._pages > 1 or self._names_no_next(response):
            evidence.chained = True
        else:
            evidence.uncertain = (
                f"the only page names neither a next one nor that there is none, and {NO_TOTAL}"
            )

    def _names_no_next(self, response: requests.Response) -> bool:
        """Whether the place of the next cursor or link is there, and empty."""
        following = self._following
        if isinstance(following, JSONLinkPaginator):
            return value_at(following.next_url_path, response)[0]
        if isinstance(following, JSONResponseCursorPaginator):
            return value_at(following.cursor_path, response)[0]
        return isinstance(following, HeaderLinkPaginator) and bool(response.links)

    def _detected(self, response: requests.Response) -> BasePaginator:
        """What dlt finds in the first answer; a page number is walked by `PageNumberScan`."""
        paginator, _ = PaginatorFactory().create_paginator(response)
        if isinstance(paginator, PageNumberPaginator):
            # The first page was asked for without a number, so that the next may be 1 as well as 2.
            numbers = PageNumberScan(self.identities, self._total)
            numbers.total_path = paginator.total_path
            numbers.seen, numbers.set_aside = self.seen, self.set_aside
            numbers.evidence = self.evidence
            self.evidence.paging, self.evidence.uncertain = "page numbers", UNPROVEN
            return numbers
        return paginator or SinglePagePaginator()


class HeaderLinks(HeaderLinkPaginator):
    """Follows the link named `links_next_key` in the header `Link`, or the URL in a header of that
    name."""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        super().update_state(response, data)
        self._next_reference = self._next_reference or response.headers.get(self.links_next_key)


def _numbers(request: requests.Request) -> set[tuple[str, str]]:
    """The parameters of a request, in its URL or beside it, that are numbers."""
    pairs = parse_qsl(urlsplit(request.url or "").query)
    pairs += [(str(name), str(value)) for name, value in (request.params or {}).items()]
    return {(name, value) for name, value in pairs if value.isdecimal()}
