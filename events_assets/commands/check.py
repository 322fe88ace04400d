"""Tries the configured API with a few requests and reports what a load would find; loads nothing.
Who would be told that something is wrong gets a trial.

The pages are those that a load would get: the same endpoints, sessions and ways of paging.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from dlt.common.configuration.exceptions import ConfigurationException
from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import alerts, configuration
from events_assets.api import configured_api
from events_assets.authentication import Authentication
from events_assets.commands import changes, detect, findings, pages
from events_assets.commands.location import Dialogue
from events_assets.commands.report import ALERTS, FAILED, NOTE, OK, Report, Step, counted
from events_assets.destinations.choice import destination
from events_assets.errors import (
    ApiError,
    ConfigurationError,
    EndlessScanError,
    EventsError,
    StopError,
    UnaddressableError,
)
from events_assets.lists import Lists, Manner
from events_assets.paging.base import BY_CHANCE, Page
from events_assets.paging.page_numbers import PageNumbers
from events_assets.scan.changes import Changes
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest, url_of
from events_assets.scan.table_pass import Table

FAULTS = (ApiError, EndlessScanError, ValueError)
"""What a pass may raise: the API refuses, its pages go round, a paginator misses something."""

RATE_LIMITS = re.compile(r"(x-)?rate-?limit|retry-after", re.IGNORECASE)
"""Headers that tell how many requests are allowed, and when to come again."""


def try_api(report: Report) -> None:
    """Adds the steps to `report`, up to the first that leaves nothing to try."""
    try:
        configuration.reload_providers()
        # The key is masked also in what is said of a wrong configuration.
        report.redaction = Authentication(configuration.api_key()).redaction
        with configured_api() as (config, authentication):
            report.redaction = authentication.redaction
            try:
                _require_destination()
                log, manner = logging.getLogger("events_assets"), Manner(is_hurried=True)
                table = Lists(config, authentication, log, manner).table("events")
                for endpoint in table.endpoints:
                    _Trial(report, config, authentication, table, endpoint).run()
            except StopError as stop:  # here, as an error that leaves the context is masked as text
                report.add(Step(FAILED, *stop.args))
    except EventsError as error:
        report.add(Step(FAILED, "configuration", str(error)))
    _try_alerts(report)


def _try_alerts(report: Report) -> None:
    """Sends a trial to each of those who would be told that something is wrong."""
    with suppress(ConfigurationError):  # which is told already
        for channel in configuration.alert_settings().channels:
            try:
                where = alerts.send(channel, alerts.TRIAL)
            except EventsError as error:
                report.add(Step(FAILED, ALERTS, str(error)))
            else:
                report.add(Step(OK, ALERTS, f"a trial was sent to {where}"))


def _require_destination() -> None:
    """Where events go is looked up as a load would do it, but not opened."""
    try:
        destination().for_reading()
    except (ConfigurationError, ConfigurationException) as error:
        raise StopError("destination", " ".join(str(error).split())) from None


@dataclass
class _Trial:
    """One endpoint of the API, asked for its first pages."""

    report: Report
    config: RESTAPIConfig
    authentication: Authentication
    table: Table
    endpoint: Endpoint

    def __post_init__(self) -> None:
        name, rows_of = self.endpoint.name, self.endpoint.rows_of
        self.documents: list[Any] = []

        def remembering(document: Any) -> list[Any]:
            self.documents.append(document)
            return rows_of(document)

        self.changes = self.endpoint.changes
        self.endpoint = replace(self.endpoint, rows_of=remembering, changes=None)
        self.client: Any = self.config["client"]
        entries = {e["name"]: e for e in configuration.entries(self.config["resources"])}
        defaults: Any = self.config.get("resource_defaults") or {}
        self.settings = {"path": name, **configuration.endpoint_of(entries[name], defaults)}

    def run(self) -> None:
        path, auth = str(self.settings["path"]), self.settings.get("auth", self.client.get("auth"))
        url = url_of(self.client["base_url"], path).split("?")[0]
        url = "the built-in sample API" if configuration.is_sample() else url
        name = f"{self.endpoint.name} at " if len(self.table.endpoints) > 1 else ""
        headers = {**self.client.get("headers", {}), **self.settings.get("headers", {})}
        key = findings.where_key_goes(headers, auth)
        self.report.add(Step(OK, "configuration", f"{name}{url}, {key}"))
        with self.endpoint as endpoint:
            try:
                self.request_for = _request(self.table, endpoint, self.report)
                self.request = self.request_for()
                self._try(ListPass(self.endpoint, self.request, self.endpoint.first_window))
            finally:
                self.report.requests += endpoint.session.traffic.requests

    def _try(self, one: ListPass) -> None:
        add, coming = self.report.add, one.pages()
        try:
            first = next(coming, None)
        except FAULTS as error:
            raise _refused(self, error) from None
        if first is None:
            raise StopError("answer", "the API has no first page; check the path")
        add(Step(OK, "reachable", f"answered in {first.answer.seconds:.1f} s"))
        if first.answer.redirected:
            path = urlsplit(first.url).path
            finding = f"the API redirects to {path}, so that each request is sent twice"
            add(Step(NOTE, "redirect", f"{finding}; change path"))
        add(Step(OK, "key", "the API lets us in"))
        add(findings.rows(first.document, len(first.rows), self.settings.get("data_selector")))
        if first.rows:
            add(findings.fields(first))
            self.report.show(findings.example(next(r for r in first.rows if isinstance(r, dict))))
        add(findings.total(first, one))
        more, params = self._try_second_page(one, first, coming), self.settings.get("params") or {}
        add(findings.page_size(first, more, self.endpoint.page_size, params))
        if len(first.rows) > 1:
            self._try_order(one, first)
        if self.changes and first.rows:
            self._try_changes(self.changes, first)
        is_only = len(self.table.endpoints) == 1 and not self.table.parents and not one.window
        add(findings.proof(one, is_only))
        limits = [f"{name}: {v}" for name, v in first.headers.items() if RATE_LIMITS.match(name)]
        add(Step(OK, "rate limit", ", ".join(limits) or "no header tells one"))

    def _try_order(self, one: ListPass, first: Page) -> None:
        """Looks for a parameter that asks for rows by id, where that would save a second pass, or
        rows come in another order each time. Who ignores it gives the first page once more."""
        evidence, found, asked = one.evidence, None, list[Page | None]()
        raw = first.originals
        key, (_, is_named) = detect.field_settings(raw).get("id", "id"), detect.order_of(raw)

        def by_id(params: dict[str, Any]) -> bool | None:
            with suppress(*FAULTS):
                asked.append(_first_page(self.endpoint, self.request, params))
                return findings.strictly(asked[-1], len(first.rows))
            return None

        is_open = not evidence.ordered and not is_named and len(first.rows) >= BY_CHANCE
        if is_open and evidence.touching and evidence.pages > 1:
            found = pages.find_order(by_id, key.strip("'"))
        is_same = any(findings.same(page, first) for page in asked)
        is_repeated = evidence.ordered or bool(found) or is_same
        if not is_repeated:
            try:
                is_repeated = findings.same(_first_page(self.endpoint, self.request, {}), first)
            except FAULTS as error:
                raise StopError("order", f"the same request once more fails: {error}") from None
            if is_open and found is None and not is_repeated:
                found = pages.find_order(by_id, key.strip("'"))
        sent = self.settings.get("params") or {}
        self.report.add(findings.order(one, raw, is_repeated, found, sent))

    def _try_changes(self, asking: Changes, first: Page) -> None:
        """Asks for what changed, as a load does: by the time of a row that came."""

        def ask() -> changes.Came:
            page = next(ListPass(self.endpoint, self.request_for()).pages(), None)
            return (page.identities, page.originals) if page else ((), ())

        bound = f"{findings.ENDPOINT}.params.{asking.start_param}"
        where = f"{findings.ENDPOINT}.incremental" if "incremental" in self.settings else bound
        came = first.identities, first.originals
        self.report.add(changes.obedience(asking, came, ask, where))

    def _try_second_page(self, one: ListPass, first: Page, coming: Iterator[Page]) -> bool:
        """Whether it brings further rows."""
        paging = self.endpoint.paging
        paginator = self.settings.get("paginator", self.client.get("paginator"))
        way = findings.other_way(first, paginator)
        if not one.goes_on:
            self.report.add(findings.only_page(first, one, way))
            return False
        try:
            second = next(coming, None)
            again = bool(second and second.rows and findings.same(second, first))
            if again:  # perhaps it takes only multiples of the limit, or counts pages from 1
                second = next(coming, None)
        except FAULTS as error:
            raise StopError("second page", f"the second page fails: {error}", way) from None
        self.report.add(findings.second_page(first, second, again, one, way))
        if isinstance(paging, PageNumbers) and not again:
            before = None
            with suppress(ApiError, IgnoreResponseException):
                if paging.first:
                    request = self.request.within(self.endpoint.first_window)
                    before = self.endpoint.page(request, paging.ask(paging.first - 1), (), set())
            self.report.add(findings.numbering(paging, before, first))
        return second is not None and not {*second.identities} <= {*first.identities}


def _refused(trial: _Trial, error: Exception) -> StopError:
    """There is no first page: says at which step that shows."""
    finding, status = str(error), error.status if isinstance(error, ApiError) else None
    if status in (401, 403):
        return _refused_key(trial, finding)
    if not trial.documents:
        return StopError("reachable" if status is None else "answer", finding)
    if not isinstance(error, ApiError):
        return StopError("paging", f"the paginator does not fit the answer: {finding}"[:300])
    selector = trial.settings.get("data_selector")
    lists = detect.lists_of_rows(trial.documents[-1])
    lists.pop(str(selector), None)
    if not selector or not lists:
        return StopError("rows", finding)
    found = ", ".join(f"{counted(len(rows), 'row')} at {at}" for at, rows in lists.items())
    finding = f'there is no list of rows at "{selector}", but {found}'
    settings = {f"{findings.ENDPOINT}.data_selector": next(iter(lists))}
    return StopError("rows", finding, settings)


def _refused_key(trial: _Trial, finding: str) -> StopError:
    """The API refuses the key: says which of the common places for it the API accepts."""
    session, authentication = trial.endpoint.session, trial.authentication
    if authentication.has_key and session.traffic.requests == 1:
        with suppress(ApiError):
            url = trial.client["base_url"], str(trial.settings["path"])
            with Dialogue(*url, session.settings, authentication, trial.report) as found:
                place = found.accepted_place()
            if place:
                settings = {f"client.{name}": value for name, value in place.client.items()}
                finding += f". The API accepts {place.description}"
                return StopError("key", finding, settings)
    return StopError("key", finding)


def _first_page(endpoint: Endpoint, request: ListRequest, params: dict[str, Any]) -> Page | None:
    """The first page, asked for with further parameters."""
    request = replace(request, params={**request.params, **params})
    return next(ListPass(endpoint, request, endpoint.first_window).pages(), None)


def _request(table: Table, endpoint: Endpoint, report: Report) -> Callable[[], ListRequest]:
    """Gives the request for a list; if it depends on parents, for the first that can be asked
    for."""
    parents = table.parents.get(endpoint.name)
    if parents is None:
        return partial(endpoint.request_for, None)
    with parents.endpoints[0] as outer:
        request = _request(parents, outer, report)()
        try:
            page = _first_page(outer, request, {})
        except FAULTS as error:
            raise StopError("parent", f"{outer.name}: {error}") from None
        finally:
            report.requests += outer.session.traffic.requests
    rows, usable, unusable = page.rows if page else [], [], []
    for number, row in enumerate(rows, start=1):
        try:
            endpoint.request_for(row)
            usable.append(partial(endpoint.request_for, row))
        except UnaddressableError as error:
            unusable.append(f"{parents.name_of(row, number)}: {error}")
    finding = f"{counted(len(rows), 'row')} of {outer.name}"
    if not usable:
        why = unusable[0] if unusable else "so there is none to ask for"
        raise StopError("parent", f"{finding}, {why}")
    if unusable:
        finding += f", of which {len(unusable)} cannot be asked for ({unusable[0]})"
    report.add(Step(NOTE if unusable else OK, "parent", f"{finding}; the first is tried"))
    return usable[0]
