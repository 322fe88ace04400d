"""One reading of a list from its first page to its last, and what it tells about the list."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from events_assets.errors import ApiError
from events_assets.paging.base import Evidence, Page
from events_assets.paging.windows import Window
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_request import ListRequest
from events_assets.scan.verdict import UNPROVEN, judge


@dataclass
class ListPass:
    """One reading of a list, or of one window of it.

    `came` are the identities of all rows so far, `distinct` is their number, of which `shared` came
    in a pass over another list, too. `twice` came twice on one page, `far_apart` on two pages that
    are not neighbours.
    """

    endpoint: Endpoint
    request: ListRequest | None = None
    window: Window | None = None
    came: set[Hashable] = field(default_factory=set)
    distinct: int = 0
    shared: int = 0
    twice: list[Hashable] = field(default_factory=list)
    far_apart: list[Hashable] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    goes_on: bool = False
    """Whether the last page named a next one."""
    too_deep: bool = False
    verdict: str = UNPROVEN
    reason: str = ""

    def pages(self) -> Iterator[Page]:
        """The pages, up to the end or to the depth that the API allows.

        Raises:
            ApiError, EndlessScanError: the list cannot be read to its end.
        """
        assert self.request is not None  # noqa: S101, one without is not read
        request, paging = self.request.within(self.window), self.endpoint.paging
        step = paging.begin()
        while step.next is not None and not self.too_deep:
            upcoming = paging.upcoming(step.state, self.endpoint.threads)
            try:
                page = self.endpoint.page(request, step.next, upcoming, self.came)
            except ApiError as error:
                end = paging.refused(step.state, error.status) if error.status else None
                if end is None:
                    raise
                self.evidence = end.evidence
                return
            except IgnoreResponseException:
                return
            step = paging.advance(step.state, page)
            self.evidence = step.evidence
            self.goes_on = step.next is not None
            self.too_deep = self.goes_on and self._is_too_deep(step.depth)
            self.came.update(page.identities)
            yield page

    def judge(self) -> None:
        """Decides on the verdict, when the pages have ended."""
        if self.too_deep and self.window:
            torn = (
                f"there are more than {self.window.settings.max_rows} rows (windows.max_rows) "
                f"{self.window}, which cannot be split any further"
            )
            self.evidence = replace(self.evidence, torn=torn)
        self.verdict, self.reason = judge(self.distinct, self.evidence)

    def duplicates(self) -> list[Hashable]:
        """Ids that the API answered twice though nothing moved.

        Where rows come and go during the scan, a row may well come again on a later page.
        """
        moved = self.evidence.rose or self.evidence.fell or self.evidence.step_backs
        return self.twice if moved else self.twice + self.far_apart

    def _is_too_deep(self, depth: int) -> bool:
        if self.window is None:
            return False
        most, total = self.window.settings.max_rows, self.evidence.total_last
        return depth > most or (total is not None and total >= most)

    def __str__(self) -> str:
        return f"{self.endpoint.name} {self.window or ''}".strip()
