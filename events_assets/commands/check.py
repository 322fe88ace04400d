"""Tries the configured API with a few requests and reports what a load would find; loads nothing.
Who would be told that something is wrong gets a trial.

The pages are those that a load would get: the same endpoints, sessions and ways of paging.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from dlt.common.configuration.exceptions import ConfigurationException
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import alerts, configuration
from events_assets.api import configured_api
from events_assets.authentication import Authentication
from events_assets.commands import (
    changes,
    detect,
    fields,
    findings,
    order,
    page_size,
    seam,
    verdicts,
    wrong_settings,
)
from events_assets.commands.event_list import EventList
from events_assets.commands.location import Dialogue, KeyPlace, has_rows, merged_in
from events_assets.commands.report import ALERTS, FAILED, NOTE, OK, QUIET, Report, Step, counted
from events_assets.destinations.choice import destination
from events_assets.errors import (
    ApiError,
    ConfigurationError,
    EndlessScanError,
    EventsError,
    StopError,
    UnaddressableError,
)
from events_assets.http.answer import Answer
from events_assets.lists import Lists, Manner
from events_assets.paging.base import BY_CHANCE, Ask, Page, in_query
from events_assets.paging.page_numbers import PageNumbers
from events_assets.scan.changes import Changes
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest, url_of
from events_assets.scan.table_pass import Table

FAULTS = (ApiError, EndlessScanError, ValueError)
"""What a pass may raise: the API refuses, its pages go round, a paginator misses something."""


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
                manner = Manner(is_hurried=True)
                table = Lists(config, authentication, QUIET, manner).table("events")
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
                self.report.count(endpoint.session.traffic)

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
            add(findings.redirect(first.url))
        add(_key_of(self, first))
        add(findings.rows_of(first, self.settings.get("data_selector")))
        if first.rows:
            add(findings.columns(first))
            self.report.show(findings.example(next(r for r in first.rows if isinstance(r, dict))))
        settings = _settings_of(self, first)
        add(findings.total(first, one, settings.events))
        more = self._try_second_page(one, first, coming, settings)
        for nowhere in settings.nowhere(first, "total_path", *(["has_more_path"] if more else [])):
            add(Step(FAILED, "path", nowhere))
        sizes = settings.sizes(self.endpoint.page_size, self.settings.get("params") or {})
        granted = partial(page_size.granted, settings.events)
        add(findings.page_size(first, more, sizes, granted))
        if more and one.evidence.total_last is None and not self.endpoint.page_size:
            _try_seam(self, first, [name for name, _ in sizes.values()])
        if len(first.rows) > 1:
            self._try_order(one, first)
        if self.changes and first.rows:
            self._try_changes(self.changes, first)
        is_only = len(self.table.endpoints) == 1 and not self.table.parents and not one.window
        rows = verdicts.distinct(one.came, self.seen, self.table.identity)
        add(findings.proof(one, is_only, rows))
        add(verdicts.foreseen(self.seen, self.table.identity, self.report))
        add(findings.rate_limit(first.headers))

    def _try_order(self, one: ListPass, first: Page) -> None:
        """Looks for a parameter that asks for rows by id, where that would save a second pass, or
        rows come in another order each time. Who ignores it gives the first page once more."""
        evidence, found, asked = one.evidence, None, list[Page | None]()
        raw = first.originals
        key, (_, is_named) = fields.field_settings(raw).get("id", "id"), order.order_of(raw)

        def by_id(params: dict[str, Any]) -> bool | None:
            with suppress(*FAULTS):
                asked.append(_first_page(self.endpoint, self.request, params))
                return order.strictly(asked[-1], len(first.rows))
            return None

        is_open = not evidence.ordered and not is_named and len(first.rows) >= BY_CHANCE
        if is_open and evidence.touching and evidence.pages > 1:
            found = order.find_order(by_id, key.strip("'"))
        is_same = any(findings.same(page, first) for page in asked)
        is_repeated = evidence.ordered or bool(found) or is_same
        if not is_repeated:
            try:
                is_repeated = findings.same(_first_page(self.endpoint, self.request, {}), first)
            except FAULTS as error:
                raise StopError("order", f"the same request once more fails: {error}") from None
            if is_open and found is None and not is_repeated:
                found = order.find_order(by_id, key.strip("'"))
        sent = self.settings.get("params") or {}
        self.report.add(order.seen(one, raw, is_repeated, found, sent))

    def _try_changes(self, asking: Changes, first: Page) -> None:
        """Asks for what changed, as a load does: by the time of a row that came."""

        def ask() -> changes.Came:
            page = next(ListPass(self.endpoint, self.request_for()).pages(), None)
            return (page.identities, page.originals) if page else ((), ())

        bound = f"{findings.ENDPOINT}.params.{asking.start_param}"
        where = f"{findings.ENDPOINT}.incremental" if "incremental" in self.settings else bound
        came = first.identities, first.originals
        self.report.add(changes.obedience(asking, came, ask, where))

    def _try_second_page(
        self, one: ListPass, first: Page, coming: Iterator[Page], settings: wrong_settings.Settings
    ) -> bool:
        """Whether it brings further rows."""
        paging, self.seen = self.endpoint.paging, [first]
        if not one.goes_on:
            self.report.add(wrong_settings.only_page(settings, first, one))
            return False
        try:
            second = next(coming, None)
            again = bool(second and second.rows and findings.same(second, first))
            if second is None and one.error and one.evidence.expired:
                raise one.error
            if again:  # perhaps it takes only multiples of the limit, or counts pages from 1
                second = next(coming, second)
        except FAULTS as error:
            finding = f"the second page fails with {settings.said()}: {error}"
            raise StopError("second page", finding, settings.other_way()) from None
        self.report.add(wrong_settings.second_page(settings, first, second, again, one))
        self.seen += [second] if second else []
        if isinstance(paging, PageNumbers) and not again:
            number = paging.first - 1
            before = wrong_settings.page_at(one, paging.ask(number)) if paging.first else None
            self.report.add(findings.numbering(paging, before, first))
        wrong = [
            wrong_settings.total(settings, first, one, len(one.came)),
            wrong_settings.page_count(settings, one, first),
        ]
        for step in filter(None, wrong):
            self.report.add(step)
        return second is not None and not {*second.identities} <= {*first.identities}


def _try_seam(trial: _Trial, first: Page, sizes: list[str]) -> None:
    """Whether two pages of half the size hold the same rows, as no total tells of lost ones."""
    params = {name: len(first.rows) // 2 for name in sizes[:1]}
    if not any(params.values()):
        return
    endpoint, request = trial.endpoint, trial.request
    smaller = replace(request, params={**request.params, **params})
    with suppress(*FAULTS):
        coming = ListPass(endpoint, smaller, endpoint.first_window).pages()
        again = partial(_first_page, endpoint, request, {})
        if step := seam.torn(first, [*islice(coming, 2)], again):
            trial.report.add(step)


def _settings_of(trial: _Trial, first: Page) -> wrong_settings.Settings:
    """The list as `init` would ask for it, to try other settings than the configured ones."""
    scan = configuration.scan_settings()
    rows = [row for row in first.originals if isinstance(row, dict)]
    best = detect.listed(first.document)[:1]
    own = {"row_key": scan.row_key, "columns_path": scan.columns_path}
    selector = trial.settings.get("data_selector") or (best[0].selector if best else "$")
    listed = detect.Listed(selector, rows, {name: v for name, v in own.items() if v})
    key = fields.field_settings(rows).get("id", "id")
    events = EventList(partial(_asked, trial), listed, key, first.answer, body=trial.request.json)
    paginator = trial.settings.get("paginator", trial.client.get("paginator"))
    return wrong_settings.Settings(paginator, trial.request, events)


def _asked(trial: _Trial, params: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Answer:
    """The answer to the request for the list with further parameters, without paging."""
    asked = trial.request.within(trial.endpoint.first_window)
    if asked.method == "GET":
        sent = {name: in_query(value) for name, value in params.items()}
        asked = replace(asked, params={**asked.params, **sent})
    else:
        asked = replace(asked, json=merged_in(asked.json, params))
    asked = replace(asked, headers={**asked.headers, **headers})
    session = trial.endpoint.session
    return session.ask(asked.asking(Ask()), lambda answer: answer, any_status=True)


def _key_of(trial: _Trial, first: Page) -> Step:
    """Whether the key is understood, which only rows tell.

    Raises:
        StopError: rows come where it is sent elsewhere.
    """
    if first.rows:
        return Step(OK, "key", "the API lets us in")
    if place := _other_place(trial):
        finding = f"no row came; with {place.description}, rows come"
        raise StopError("key", finding, {f"client.{n}": value for n, value in place.client.items()})
    return Step(NOTE, "key", "no row came, so that nothing tells whether the key was understood")


def _refused(trial: _Trial, error: Exception) -> StopError:
    """There is no first page: says at which step that shows."""
    finding, status = str(error), error.status if isinstance(error, ApiError) else None
    is_key = status in (401, 403)
    if is_key or status in (400, 404, 422) or (isinstance(error, ApiError) and trial.documents):
        if place := _other_place(trial):
            settings = {f"client.{name}": value for name, value in place.client.items()}
            return StopError("key", f"{finding}. The API accepts {place.description}", settings)
        if is_key:
            return StopError("key", finding)
    if not trial.documents:
        return StopError("reachable" if status is None else "answer", finding)
    if not isinstance(error, ApiError):
        return StopError("paging", f"the paginator does not fit the answer: {finding}"[:300])
    selector = trial.settings.get("data_selector")
    lists = [one for one in detect.listed(trial.documents[-1]) if one.selector != selector]
    if not selector or not lists:
        return StopError("rows", finding)
    found = ", ".join(f"{counted(len(one.rows), 'row')} at {one.selector}" for one in lists)
    finding = f'there is no list of rows at "{selector}", but {found}'
    settings = {f"scan.{name}": value for name, value in lists[0].scan.items()}
    settings |= {f"{findings.ENDPOINT}.data_selector": lists[0].selector}
    return StopError("rows", finding, settings)


def _other_place(trial: _Trial) -> KeyPlace | None:
    """Another of the common places for the key with which rows come, if there is one."""
    session, authentication, asked = trial.endpoint.session, trial.authentication, trial.request
    if not authentication.has_key or configuration.is_sample():
        return None
    query = urlencode(dict(asked.params), doseq=True)
    path = str(trial.settings["path"])
    path += ("&" if "?" in path else "?") + query if query else ""
    body = {"method": asked.method, "body": asked.json}
    with suppress(ApiError):
        url = trial.client["base_url"], path
        with Dialogue(*url, session.settings, authentication, trial.report, **body) as found:
            place = found.accepted_place()
            return place if place and place.client and has_rows(found.first) else None
    return None


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
            report.count(outer.session.traffic)
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
