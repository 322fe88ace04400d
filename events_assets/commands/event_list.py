"""The list of the events in the answers of an unknown API, and what these say beside its rows."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.common.jsonpath import set_value_at_path

from events_assets.commands import detect
from events_assets.errors import NotAPageError
from events_assets.http.answer import Answer
from events_assets.json_path import value_at
from events_assets.scan.data_selector import DataSelector

Rows = list[dict[str, Any]]
Params = dict[str, Any]


@dataclass
class EventList:
    """The list of the events in the answers of an API, whose rows `read` finds.

    `get` asks for it, with parameters and headers. `id` is the JSON path of what tells rows apart,
    `first` the first answer; `asked_few`: to a request for a few rows. `size` is the parameter of
    the page size, and `small` a page with few rows; without one, `size` is empty, and `small` the
    first answer; `counted` is the one with the fewest rows. `sample` are the most rows that came at
    once; `no_objects` counts nulls and the like among the first ones. `body` is that of the
    requests; `given` are parameters of the address that it needs to be paged.
    """

    get: Callable[..., Answer]
    listed: detect.Listed
    id: str
    first: Answer
    size: str = ""
    asked_few: bool = False
    body: Any = None
    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.selector, scan = self.listed.selector, self.listed.scan
        keys = scan.get("row_key"), scan.get("columns_path")
        self.read = DataSelector(self.selector, False, *keys)
        self.id_of = value_at(self.id)
        self.first_rows = self.sample = self.rows(self.first)
        self.no_objects = len(self._entries(self.first)) - len(self.first_rows)
        self.small, self.few = self.first, self.first_rows
        self.counted = self.first

    @property
    def link(self) -> tuple[dict[str, str], str]:
        """The paginator that follows the links to the next page, and such a link; or empty."""
        found = [
            detect.link_to_next(self.beside(one), one.headers) for one in (self.small, self.first)
        ]
        return found[0] if found[0][0] else found[1]

    @property
    def linked(self) -> list[str]:
        """The parameters of such a link that are numbers: they tell how the API names its pages."""
        return [n for n, v in parse_qsl(urlsplit(self.link[1]).query) if v.isdecimal()]

    def rows(self, answer: Answer) -> Rows:
        """The rows of an answer, none where it is no page."""
        return [row for row in self._entries(answer) if isinstance(row, dict)]

    def _entries(self, answer: Answer) -> list[Any]:
        """The same, with nulls and what else is no object."""
        with suppress(NotAPageError):
            if 200 <= answer.status < 300:
                return self.read(answer.require_json())
        return []

    def sized(self, rows: int) -> dict[str, int]:
        """What asks for so many rows a page."""
        return {self.size: rows} if self.size else {}

    def page(self, params: Params) -> Rows:
        """The rows of a small page, if the size of pages can be chosen."""
        return self.page_of(len(self.few), params)

    def page_of(self, rows: int, params: Params) -> Rows:
        return self.rows(self.get(self.sized(rows) | params))

    def are_others(self, page: Rows, before: Rows) -> bool:
        """Whether rows are those of another page; by their ids, as all else may change."""
        ids = [self.key(row) for row in before]
        return bool(page) and not any(self.key(row) in ids for row in page)

    def beside(self, answer: Answer) -> Any:
        """The document of an answer without rows that stand there by their keys."""
        if "row_key" not in self.listed.scan or not isinstance(answer.document, dict):
            return answer.document
        rest = deepcopy(answer.document) if self.selector != "$" else {}
        if rest:
            set_value_at_path(rest, self.selector, [])
        return rest

    def key(self, row: Any) -> Any:
        """The id of a row; all of it, where it has none."""
        found = self.id_of(row)
        return row if found is None else found

    def totals(self, answer: Answer) -> dict[str, int]:
        """Where all rows seem to be counted: no fewer than came in any answer so far, and more than
        are in this one. A count of just these may be that of the page: it has to be called a
        total, and nothing may lead on."""
        came = max(len(self.first_rows), len(self.sample), len(self.rows(answer)))
        found = detect.totals(self.beside(answer), answer.headers, came)
        more = self.goes_on or detect.continues(self.beside(answer), answer.headers)
        is_whole = not more and not (self.size and self.has_own_count())
        return {
            place: total
            for place, total in found.items()
            if total > len(self.rows(answer)) or (is_whole and detect.is_called_total(place))
        }

    goes_on = False
    """Whether there is known to be another page."""

    def has_own_count(self) -> bool:
        """Whether what the first answer counts is no more than the rows of a page."""
        few, counted = len(self.rows(self.counted)), self.counted
        counts = detect.totals(self.beside(counted), counted.headers, 0).values()
        return few < len(self.first_rows) and max(counts, default=0) <= few

    def has_more_than(self, rows: int, answer: Answer) -> bool:
        """Whether the API has more than came in an answer."""
        total = max(self.totals(answer).values(), default=0)
        return total > rows or detect.continues(self.beside(answer), answer.headers)

    def end(self) -> str:
        """What says that no more rows are there than came, empty where nothing does."""
        if at := detect.end(self.beside(self.first)):
            return f'"{at}" says that there are no more'
        came = len(self.first_rows) + self.no_objects
        counts = [at for at, total in self.totals(self.first).items() if total == came]
        return f'"{counts[0]}" counts as many' if counts else ""
