"""One reading of a list from its first page to its last, and what it tells about the list."""

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from events_assets.errors import ApiError, EndlessScanError, OutdatedError
from events_assets.paging.base import Evidence, Outcome, Page
from events_assets.paging.windows import Window
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_request import ListRequest
from events_assets.scan.verdict import Seen

PAGES_ALLOWED = 1_000
"""So many pages any list may have, whatever the API counts."""


@dataclass
class ListPass:
    """One reading of a list, or of one window of it.

    `came` are the identities of all rows so far, `distinct` is their number, of which `shared` came
    in a pass over another list, too; `received` counts all that came. `twice` came twice on one
    page, `far_apart` on two pages that are not neighbours; `is_doubled`: some row came from two
    places, those that pages share left aside. `digest` is that of all rows, in the order in which
    they came.
    """

    endpoint: Endpoint
    request: ListRequest
    window: Window | None = None
    came: set[Hashable] = field(default_factory=set)
    distinct: int = 0
    shared: int = 0
    received: int = 0
    twice: list[Hashable] = field(default_factory=list)
    far_apart: list[Hashable] = field(default_factory=list)
    is_doubled: bool = False
    digest: Any = field(default_factory=hashlib.blake2b)
    evidence: Evidence = field(default_factory=Evidence)
    goes_on: bool = False
    """Whether the last page named a next one."""
    too_deep: bool = False
    error: ApiError | EndlessScanError | None = None
    """Why the pass broke off, if it did."""

    def pages(self) -> Iterator[Page]:
        """The pages, up to the end or to the depth that the API allows.

        Raises:
            ApiError: the list cannot be read to its end.
            EndlessScanError: it has no end.
        """
        request, paging = self.request.within(self.window), self.endpoint.paging
        outcome = paging.begin()
        while outcome.next is not None and not self.too_deep:
            upcoming = paging.upcoming(outcome.state, self.endpoint.threads)
            try:
                page = self.endpoint.page(request, outcome.next, upcoming, self.came)
            except ApiError as error:
                end = None
                if error.status and self.evidence.pages:
                    end = paging.refused(outcome.state, error.status)
                if isinstance(error, OutdatedError):
                    end = Outcome(outcome.state, replace(self.evidence, expired=str(error)))
                if end is None:
                    raise
                outcome, self.evidence, self.error = end, end.evidence, error
                continue
            except IgnoreResponseException:
                return
            try:
                outcome = paging.advance(outcome.state, page)
            except EndlessScanError as error:  # or rows moved, so that a page came again
                self.error = error
                outcome = Outcome(outcome.state, replace(self.evidence, expired=str(error)))
            self.evidence = outcome.evidence
            self.goes_on = outcome.next is not None
            self.too_deep = self.goes_on and self._is_too_deep(outcome.depth)
            self._require_end()
            self.came.update(page.identities)
            yield page

    def seen(self) -> Seen:
        """What the pages told, when they have ended."""
        evidence = self.evidence
        if self.too_deep and self.window:
            torn = (
                f"there are more than {self.window.settings.max_rows} rows (windows.max_rows) "
                f"{self.window}, which cannot be split any further"
            )
            evidence = replace(evidence, torn=torn)
        counts = self.is_doubled, self.shared, self.received
        return Seen(str(self), evidence, self.distinct, self.digest.digest(), *counts)

    def count_double(self, identity: Hashable, on_page: bool, before: bool) -> None:
        """Notes a row that came once more: on the same page, or not `before`, on its neighbour."""
        self.is_doubled = True
        if on_page:
            self.twice.append(identity)
        elif self.evidence.total_last is not None or not before:
            self.far_apart.append(identity)

    def duplicates(self) -> list[Hashable]:
        """Ids that the API answered twice though nothing moved.

        Where rows come and go during the scan, a row may well come again on a later page.
        """
        evidence = self.evidence
        moved = evidence.rose or evidence.fell or evidence.step_backs or evidence.shifted
        return self.twice if moved else self.twice + self.far_apart

    def _is_too_deep(self, depth: int) -> bool:
        if self.window is None or not self.window.settings.max_rows:
            return False
        most, total = self.window.settings.max_rows, self.evidence.total_last
        return depth > most or (total is not None and total >= most)

    def _require_end(self) -> None:
        """A total that is not that of the page bounds the pages, by far."""
        evidence, factor = self.evidence, self.endpoint.max_pages_factor
        total = max(evidence.total_first or 0, evidence.total_last or 0)
        if not self.goes_on or not factor or total <= evidence.granted:
            return
        most = max(PAGES_ALLOWED, factor * -(-total // evidence.granted))
        if evidence.pages > most:
            raise EndlessScanError(
                f"the API counts {total} rows, but {most} pages of up to {evidence.granted} rows "
                f"have no end; max_pages_factor in [sources.events.scan] allows for more"
            )

    def __str__(self) -> str:
        return f"{self.endpoint.name} {self.window or ''}".strip()
