"""dlt's paginators as ways of paging: its own become ours, any other is followed as it is."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

import requests
from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)
from dlt.sources.rest_api.config_setup import create_paginator

from events_assets.paging.base import Ask, Evidence, Flag, Outcome, Page, Paging, Place, Total, idle
from events_assets.paging.cursors import (
    Cursors,
    Detected,
    SinglePage,
    in_document,
    in_header,
    in_link,
)
from events_assets.paging.page_numbers import PageNumbers
from events_assets.paging.touching_offsets import TouchingOffsets

INDEX = re.compile(r"\[-?\d+\]")
"""In the JSON path of a cursor that is a field of a row."""


def paging_of(configured: Any, overlap: int) -> tuple[Paging, Total | None]:
    """The way of paging that a paginator in dlt's vocabulary stands for, and where it says that the
    API counts its rows.

    Args:
        configured: a name, a table, a paginator of dlt or registered with it, or None.
        overlap: rows that two offset pages share.

    Raises:
        TypeError, ValueError: dlt refuses its arguments.
    """
    built = create_paginator(configured)
    # dlt looks for a number of pages at "total" by itself, where most APIs count rows.
    counts_pages = isinstance(configured, dict) and configured.get("total_path") is not None
    return (
        _paging(built, overlap, counts_pages),
        Total(built.total_path) if type(built) is OffsetPaginator else None,
    )


def _paging(built: BasePaginator | None, overlap: int = 0, counts_pages: bool = False) -> Paging:
    """Of a class derived from one of dlt's, nobody knows what it does: it is followed."""
    kind: type | None = type(built) if built is not None else None
    make = MADE_OF.get(kind)
    if make is None:
        return Followed(cast(BasePaginator, built))
    paging = make(built)
    if isinstance(paging, TouchingOffsets):
        return replace(paging, overlap=overlap)
    if isinstance(paging, PageNumbers):
        return replace(paging, counts_pages=counts_pages)
    return paging


def _detected(page: Page) -> Paging:
    """What dlt finds in the first answer. A first page that was asked for without a number may be
    page 0 or 1, so that the next one is 1."""
    paginator, _ = PaginatorFactory().create_paginator(page.answer.response)
    return _paging(paginator or SinglePagePaginator())


MADE_OF: dict[type | None, Callable[[Any], Paging]] = {
    None: lambda _: Detected(_detected),
    SinglePagePaginator: lambda _: SinglePage(),
    OffsetPaginator: lambda built: TouchingOffsets(
        limit=built.limit,
        first=built.initial_value,
        maximum=built.maximum_value,
        offset_at=Place(built.param_name, built.param_body_path),
        limit_at=Place(built.limit_param, built.limit_body_path),
        has_more=Flag(built.has_more_path),
    ),
    PageNumberPaginator: lambda built: PageNumbers(
        first=built.initial_value,
        base=built.base_index,
        maximum=built.maximum_value,
        number_at=Place(built.param_name, built.param_body_path),
        pages=Total(built.total_path),
        has_more=Flag(built.has_more_path),
    ),
    JSONResponseCursorPaginator: lambda built: Cursors(
        in_document(built.cursor_path),
        Place(built.cursor_param, built.cursor_body_path),
        has_more=Flag(built.has_more_path),
        stop_after_empty_page=built.stop_after_empty_page,
        of_row=bool(INDEX.search(str(built.cursor_path))),
    ),
    HeaderCursorPaginator: lambda built: Cursors(
        in_header(built.cursor_key), Place(built.cursor_param)
    ),
    JSONLinkPaginator: lambda built: Cursors(in_document(built.next_url_path)),
    HeaderLinkPaginator: lambda built: Cursors(in_link(built.links_next_key)),
}


@dataclass
class _Following:
    """A pass of a paginator that keeps its place in itself, and changes one request."""

    paginator: BasePaginator
    request: requests.Request | None = None
    pages: int = 0
    idle_pages: int = 0
    evidence: Evidence = Evidence(paging="paginator")

    def begin(self, request: requests.Request) -> requests.Request:
        self.paginator.init_request(request)
        self.request = request
        return request

    def ask(self) -> Ask:
        """Asks for the page where the paginator is."""
        return Ask(change=self.go_on if self.request else self.begin)

    def go_on(self, _: requests.Request) -> requests.Request:
        assert self.request is not None  # noqa: S101, begun
        return self.request


@dataclass(frozen=True)
class Followed(Paging):
    """A paginator registered with dlt, or handed over in code: it says where to go on, and when to
    end, but not how the API names its pages, so that nothing is proven without a total."""

    paginator: BasePaginator

    def begin(self) -> Outcome:
        state = _Following(deepcopy(self.paginator))
        return Outcome(state, state.evidence, state.ask())

    def advance(self, state: _Following, page: Page) -> Outcome:
        assert state.request is not None  # noqa: S101, begun
        state.evidence = state.evidence.seen(page)
        state.pages += 1
        state.paginator.update_state(page.answer.response, [*page.rows])
        if not state.paginator.has_next_page:
            why = "a paginator that is not ours says that this is the end"
            counted = state.evidence.total_last is not None
            return Outcome(state, replace(state.evidence, unprovable="" if counted else why))
        state.idle_pages = idle(page, state.evidence, state.idle_pages)
        state.paginator.update_request(state.request)
        return Outcome(state, state.evidence, state.ask())
