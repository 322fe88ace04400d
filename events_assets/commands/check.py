"""Tries the configured API with a few requests and reports what a load would find; loads nothing.

The pages are those that a load would get: the same endpoints, sessions and ways of paging.
"""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.api import configured_api
from events_assets.authentication import Authentication
from events_assets.commands import detect, first_page, init
from events_assets.commands.first_page import ENDPOINT
from events_assets.commands.location import KeyPlace
from events_assets.commands.report import FAILED, NOTE, OK, Report, counted
from events_assets.errors import (
    ApiError,
    ConfigurationError,
    EndlessScanError,
    EventsError,
    UnaddressableError,
)
from events_assets.http.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.paging.base import Page
from events_assets.paging.page_numbers import PageNumbers
from events_assets.paging.touching_offsets import TouchingOffsets
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.table_scan import TableScan
from events_assets.source import events_scan

FAULTS = (ApiError, EndlessScanError, ValueError)
"""What a pass may raise: the API refuses, its pages go round, a paginator misses something."""


class _StopError(EventsError):
    """A step failed after which the others cannot be tried."""


def try_api(report: Report) -> None:
    """Adds the steps to `report`, up to the first that leaves nothing to try."""
    key = configuration.api_key() or ""
    if len(key) >= MIN_SECRET_LENGTH:  # masked also in what is said of a wrong configuration
        report.redaction = Redaction(key)
    try:
        with configured_api() as (config, authentication):
            report.redaction = authentication.redaction
            scan = events_scan(config, authentication, logging.getLogger("events_assets"))
            for endpoint in scan.endpoints:
                _Trial(report, config, authentication, scan, endpoint).run()
    except ConfigurationError as error:
        report.add(FAILED, "configuration", str(error))
    except _StopError:
        return


@dataclass
class _Selecting:
    """Finds the rows of a page, and remembers the documents and their rows as they came."""

    rows_of: Any
    documents: list[Any] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)

    def __call__(self, document: Any) -> list[Any]:
        self.documents.append(document)
        rows: list[Any] = self.rows_of(document)
        self.rows.append(rows)
        return rows


class _Trial:
    """One endpoint of the API, asked for its first pages."""

    def __init__(
        self,
        report: Report,
        config: RESTAPIConfig,
        authentication: Authentication,
        scan: TableScan,
        endpoint: Endpoint,
    ) -> None:
        self.report = report
        self.config = config
        self.authentication = authentication
        self.scan = scan
        self.selecting = _Selecting(endpoint.rows_of)
        self.endpoint = replace(endpoint, rows_of=self.selecting)
        entries = {e["name"]: e for e in configuration.entries(config["resources"])}
        defaults: Any = config.get("resource_defaults") or {}
        self.settings = configuration.endpoint_of(entries[endpoint.name], defaults)
        self.settings.setdefault("path", endpoint.name)
        client: Any = config["client"]
        self.auth = self.settings.get("auth", client.get("auth"))
        self.paginator = self.settings.get("paginator", client.get("paginator"))

    def run(self) -> None:
        base_url = str(self.config["client"]["base_url"]).rstrip("/")
        path = str(self.settings["path"])
        url = path if "://" in path else f"{base_url}/{path.lstrip('/')}"
        name = f"{self.endpoint.name} at " if len(self.scan.endpoints) > 1 else ""
        url = "the built-in sample API" if configuration.is_sample() else url.split("?")[0]
        key = first_page.key_place(self.config, self.settings, self.auth)
        self.report.add(OK, "configuration", f"{name}{url}, {key}")
        with self.endpoint as endpoint:
            try:
                self._try(ListPass(endpoint, self._request(self.scan, endpoint), endpoint.window))
            finally:
                self.report.requests += endpoint.session.traffic.requests

    def _try(self, one: ListPass) -> None:
        pages = one.pages()
        try:
            page = next(pages, None)
        except FAULTS as error:
            raise self._refused(error) from None
        if page is None:
            raise self._fail("answer", "the API has no first page; check the path")
        raw, add = self.selecting.rows[-1], self.report.add
        add(OK, "reachable", f"answered in {page.answer.seconds:.1f} s")
        if page.answer.redirected:
            add(NOTE, "redirect", first_page.redirect(page))
        add(OK, "key", "the API lets us in")
        add(*first_page.rows(page.document, raw, self.settings.get("data_selector")))
        if page.rows:
            self._add_fields(page, raw)
        add(*first_page.total(page, one.evidence))
        more = self._try_second_page(one, page, pages)
        add(*first_page.page_size(page, more, self.endpoint.page_size, self.settings))
        self._try_order(one, page)
        limits = detect.rate_limits(page.headers)
        found = ", ".join(f"{name}: {value}" for name, value in limits.items())
        add(OK, "rate limit", found or "no header tells one")

    def _fail(
        self, name: str, finding: str, settings: Mapping[str, Any] | None = None
    ) -> _StopError:
        self.report.add(FAILED, name, finding, settings)
        return _StopError(finding)

    def _request(self, scan: TableScan, endpoint: Endpoint) -> ListRequest:
        """The request for a list; if it depends on parents, for the first that can be asked for."""
        parents = scan.parents.get(endpoint.name)
        if parents is None:
            return endpoint.request_for(None)
        of_parents = parents.endpoints[0]
        with of_parents:
            request = self._request(parents, of_parents)
            try:
                page = next(ListPass(of_parents, request, of_parents.window).pages(), None)
            except FAULTS as error:
                raise self._fail("parent", f"{of_parents.name}: {error}") from None
            finally:
                self.report.requests += of_parents.session.traffic.requests
        usable, unusable = [], []
        rows = page.rows if page else []
        for number, row in enumerate(rows, start=1):
            try:
                usable.append(endpoint.request_for(row))
            except UnaddressableError as error:
                unusable.append(f"{parents.name_of(row, number)}: {error}")
        finding = f"{counted(len(rows), 'row')} of {of_parents.name}"
        if not usable:
            why = unusable[0] if unusable else "so there is none to ask for"
            raise self._fail("parent", f"{finding}, {why}")
        if unusable:
            finding += f", of which {len(unusable)} cannot be asked for ({unusable[0]})"
        self.report.add(NOTE if unusable else OK, "parent", f"{finding}; the first is tried")
        return usable[0]

    def _refused(self, error: Exception) -> _StopError:
        """There is no first page: says at which step that shows."""
        finding = str(error)
        status = error.status if isinstance(error, ApiError) else None
        if status in (401, 403):
            place = self._accepted_place()
            if place is not None:
                finding = f"{finding}. The API accepts {place.description}"
            settings = {f"client.{k}": v for k, v in place.client.items()} if place else {}
            return self._fail("key", finding, settings)
        if not self.selecting.documents:
            return self._fail("reachable" if status is None else "answer", finding)
        if not isinstance(error, ApiError):
            return self._fail("paging", f"the paginator does not fit the answer: {finding}"[:300])
        selector = self.settings.get("data_selector")
        lists = detect.lists_of_rows(self.selecting.documents[-1])
        lists = {path: rows for path, rows in lists.items() if path != selector}
        if selector and lists:
            found = ", ".join(f"{counted(len(rows), 'row')} at {at}" for at, rows in lists.items())
            finding = f'there is no list of rows at "{selector}", but {found}'
            return self._fail("rows", finding, {f"{ENDPOINT}.data_selector": next(iter(lists))})
        return self._fail("rows", finding)

    def _accepted_place(self) -> KeyPlace | None:
        """Where the key is accepted, of the common places, for an API that refuses it."""
        session = self.endpoint.session
        if not self.authentication.has_key or session.traffic.requests > 1:
            return None
        base_url, path = self.config["client"]["base_url"], str(self.settings["path"])
        found = init.Discovery(base_url, path, session.settings, self.authentication, Report())
        try:
            return found.accepted_place()
        except ApiError:
            return None
        finally:
            self.report.requests += found.asked

    def _add_fields(self, page: Page, raw: list[Any]) -> None:
        rows = [row for row in page.rows if isinstance(row, dict)]
        if not rows:
            raise self._fail("fields", "the rows are no objects; check data_selector")
        self.report.add(*first_page.fields(rows, raw))
        self.report.show(first_page.example(rows[0]))

    def _try_second_page(self, one: ListPass, first: Page, pages: Iterator[Page]) -> bool:
        """Whether it brings further rows."""
        way = first_page.other_way(first, self.paginator)
        kind = _kind(one)
        if not one.goes_on:
            self._add_only_page(one, first, way)
            return False
        asked = len(self.selecting.documents)
        try:
            second = next(pages, None)
            touches = one.evidence.touching
            if second and second.rows and _same(second, first) and self._is_by_offset:
                second = next(pages, None)  # perhaps it takes only multiples of the limit
                touches = False
        except FAULTS as error:
            raise self._fail("second page", f"the second page fails: {error}", way) from None
        if len(self.selecting.documents) == asked or second is None or not second.rows:
            self.report.add(OK, "second page", f"{kind}: empty, all rows are on the first page")
        elif isinstance(self.endpoint.paging, PageNumbers):
            self._add_numbered_page(one, first, second, way)
        else:
            self._add_second_page(kind, first, second, touches, way)
        if isinstance(self.endpoint.paging, PageNumbers) and not _same(second, first):
            self._try_numbering(one, first)
        return second is not None and not {*second.identities} <= {*first.identities}

    def _add_only_page(self, one: ListPass, first: Page, way: dict[str, Any]) -> None:
        kind, came, total = _kind(one), len(first.rows), first_page.counted_rows(first)
        if total > came:
            finding = f"the API counts {total:,} rows and gave {came}, as the only page"
            if not way:
                finding += "; events-assets init tries the common ways to the next one"
            raise self._fail("second page", finding, way)
        if way and first.rows:
            finding = "the API has a next page, but the paginator ends here"
            raise self._fail("second page", finding, way)
        self.report.add(OK, "second page", f"{kind}: all rows are on one page")

    @property
    def _is_by_offset(self) -> bool:
        return isinstance(self.endpoint.paging, TouchingOffsets)

    def _add_second_page(
        self, kind: str, first: Page, second: Page, touches: bool, way: dict[str, Any]
    ) -> None:
        shared = len({*first.identities} & {*second.identities})
        if _same(second, first) and len(second.rows) > 1:
            finding = (
                f"{kind}: the same as the first, the API ignores the paging parameter; "
                f"events-assets init tries the common ones"
            )
            raise self._fail("second page", finding, way)
        if self._is_by_offset and touches and shared:
            finding = f"{kind}: {len(second.rows)} rows, {shared} shared with the first page"
            self.report.add(OK, "second page", f"{finding}, so the two touch")
        elif self._is_by_offset:
            finding = (
                f"{kind}: the API takes only multiples of the limit, so that pages cannot touch; "
                f"its total has to prove that all came"
            )
            self.report.add(NOTE, "second page", finding, {"scan.overlap": 0})
        else:
            finding = f"{len(second.rows)} rows, {shared or 'none'} of them on the first page too"
            self.report.add(NOTE if shared else OK, "second page", f"{kind}: {finding}")

    def _add_numbered_page(
        self, one: ListPass, first: Page, second: Page, way: dict[str, Any]
    ) -> None:
        paging, kind = self.endpoint.paging, _kind(one)
        assert isinstance(paging, PageNumbers)  # noqa: S101, asked before
        if not _same(second, first) or len(second.rows) < 2 or paging.first:
            self._add_second_page(kind, first, second, False, way)
        elif {*self._identities_at(one, paging, 2)} & {*first.identities}:
            finding = f"{kind}: the same as the first, the API ignores {paging.number_at.name}"
            raise self._fail("second page", finding, way)
        else:
            finding = f"{kind}: the pages 0 and 1 are the same, so numbers start at 1"
            self.report.add(NOTE, "second page", finding, {f"{ENDPOINT}.paginator.base_page": 1})

    def _try_numbering(self, one: ListPass, first: Page) -> None:
        """Whether numbers start where they are asked for."""
        paging = self.endpoint.paging
        assert isinstance(paging, PageNumbers)  # noqa: S101, asked before
        name, before = paging.number_at.name, paging.first - 1
        if before >= 0:
            earlier = self._identities_at(one, paging, before)
            if earlier and not {*earlier} & {*first.identities}:
                finding = f"there are rows at {name}={before}, before the first page asked for"
                settings = {f"{ENDPOINT}.paginator.base_page": before}
                self.report.add(FAILED, "numbering", finding, settings)
                return
        self.report.add(OK, "numbering", f"{name} starts at {paging.first}")

    def _identities_at(self, one: ListPass, paging: PageNumbers, number: int) -> Sequence[Hashable]:
        """Identities of the rows of a page, none if there is no such page."""
        assert one.request is not None  # noqa: S101, it has been read
        request = one.request.within(one.window)
        try:
            return self.endpoint.page(request, paging.ask(number), (), set()).identities
        except (ApiError, IgnoreResponseException):
            return []

    def _try_order(self, one: ListPass, first: Page) -> None:
        if len(first.rows) < 2:
            return
        try:
            again = next(ListPass(self.endpoint, one.request, one.window).pages(), None)
        except FAULTS as error:
            raise self._fail("order", f"the same request once more fails: {error}") from None
        if _same(again, first):
            finding = "two identical requests give the same rows in one order"
            self.report.add(OK, "order", finding)
        else:
            finding = (
                "two identical requests give other rows, or another order; ask for a fixed order "
                "by a parameter of the API, often named like this"
            )
            self.report.add(NOTE, "order", finding, {f"{ENDPOINT}.params": {"sort": "id"}})


def _same(page: Page | None, other: Page) -> bool:
    return page is not None and [*page.identities] == [*other.identities]


def _kind(one: ListPass) -> str:
    """The way of paging, in a word that people use."""
    return one.evidence.paging.replace("touching", "offsets").replace("plain", "offsets")
