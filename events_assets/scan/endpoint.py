"""One list of the API: how its pages are asked for, and how they are read."""

from collections.abc import Callable, Hashable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from events_assets.errors import EmptyPageError
from events_assets.http.answer import Answer
from events_assets.http.read_ahead import ReadAhead
from events_assets.http.session import ApiSession
from events_assets.paging.base import Ask, Page, Paging, Total
from events_assets.paging.windows import Window
from events_assets.rows.rules import may_be_deep, shallow
from events_assets.scan.changes import Changes
from events_assets.scan.data_selector import require_no_error
from events_assets.scan.list_request import ListRequest

Rows = list[Any]


@dataclass
class Endpoint:
    """One list of the API, asked on a session that nothing else uses; a context that opens it.

    `request_for` gives the request for a parent, None where the list depends on none; it raises
    `UnaddressableError` for a parent that has nothing by which its list can be asked for. `rows_of`
    finds the rows of a document, `map_rows` gives them as they are to be loaded. `windows` are
    those in which it is read, None where it is read as a whole; `is_counted`: without windows the
    API is asked how many rows there are, too. `page_size` is the number of rows asked for,
    `threads` that of requests under way besides the one waited for. `order_of` gives the value
    by which rows are known to be ordered; none: it may be their identity. A list has at most
    `max_pages_factor` times the pages that its total makes, if that is not 0. `changes` asks for
    what changed since the last load; none: the API cannot be asked so.
    """

    name: str
    session: ApiSession
    paging: Paging
    request_for: Callable[[Any], ListRequest]
    rows_of: Callable[[Any], Rows]
    total: Total = field(default_factory=Total)
    identify: Callable[[Rows], Sequence[Hashable]] = lambda rows: [*map(repr, rows)]
    map_rows: Callable[[Rows], Rows] = lambda rows: rows
    windows: Sequence[Window] | None = None
    is_counted: bool = True
    page_size: int | None = None
    threads: int = 0
    order_of: Callable[[Any], Any] | None = None
    max_pages_factor: int = 0
    changes: Changes | None = None
    twice: Set[str] = frozenset()

    @property
    def first_window(self) -> Window | None:
        """None where it is read as a whole."""
        return self.windows[0] if self.windows else None

    def __enter__(self) -> "Endpoint":
        self._ahead = ReadAhead(self._fetch, self.threads)
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self._ahead.close()

    def page(
        self, request: ListRequest, ask: Ask, upcoming: Iterable[Ask], known: set[Hashable]
    ) -> Page:
        """Asks for a page, and for those that will probably follow.

        Args:
            request: what is asked for, without paging.
            ask: the page.
            upcoming: the pages that will follow if all goes on as it does.
            known: identities of the rows on the pages before.

        Raises:
            ApiError: the API cannot be reached, refuses, or gives no page.
            IgnoreResponseException: of dlt; a response action says that there is nothing to read.
        """
        answer, came = self._ahead.get((request, ask), [(request, one) for one in upcoming])
        if request.inherited:
            came = [row | request.inherited if isinstance(row, dict) else row for row in came]
        if self.changes:
            self.changes.see(came)
        rows = self.map_rows(came)
        identities = self.identify(rows)
        return Page(
            rows=rows,
            identities=identities,
            originals=came,
            known=known.intersection(identities) if known else frozenset(),
            order=self._order(rows, came, identities),
            total=self.total(answer.document, answer.headers),
            document=answer.document,
            headers=answer.headers,
            links=answer.links,
            url=answer.url,
            answer=answer,
        )

    def _order(self, rows: Rows, came: Rows, identities: Sequence[Hashable]) -> Sequence[Any]:
        if self.order_of is None:
            return identities
        own = [*map(self.order_of, came)]  # by the API's names, which may be those of our columns
        values = [self.order_of(row) if v is None else v for row, v in zip(rows, own, strict=True)]
        is_strict = len({*map(repr, values)}) == len(values)
        return values if is_strict else [*zip(values, identities, strict=True)]

    def _fetch(self, wanted: tuple[ListRequest, Ask]) -> tuple[Answer, Rows]:
        """The answer to one request, with its rows. Called by several threads."""
        request, ask = wanted

        def read(answer: Answer) -> tuple[Answer, Rows]:
            # 204: no content (RFC 9110 15.3.5), which some APIs answer beyond the last page.
            rows = [] if answer.status == 204 else self.rows_of(answer.require_json())
            if not rows:
                require_no_error(answer.document)
                total = self.total(answer.document, answer.headers)
                owed = self.paging.owes(ask, answer.document, total)
                if owed:
                    raise EmptyPageError(owed, (answer, rows))
            rows = shallow(rows) if may_be_deep(answer.body) else rows
            if answer.holds_secret:
                rows = self.session.redaction.value(rows)
            return answer, rows

        return self.session.ask(request.asking(ask), read)
