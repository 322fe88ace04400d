"""Builds the dlt source from a REST API configuration: dlt's own, over the lossless transport."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, cast
from urllib.parse import quote

import dlt
import requests
from dlt.common import jsonpath
from dlt.extract import DltResource, DltSource
from dlt.sources.rest_api import rest_api_resources
from dlt.sources.rest_api.config_setup import create_paginator
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.authentication import Authentication
from events_assets.errors import ConfigurationError, UnaddressableError
from events_assets.http.rate_limit import Budget
from events_assets.http.session import ApiSession, patient
from events_assets.paging.base import Walk
from events_assets.paging.cursors import ChainScan, HeaderLinks
from events_assets.paging.page_numbers import PageNumberScan
from events_assets.paging.pages import Rows, Total
from events_assets.paging.touching_offsets import OffsetScan
from events_assets.paging.windows import Window
from events_assets.rows.canonical import finder
from events_assets.rows.identity import Identity
from events_assets.scan.progress import BesideBar
from events_assets.scan.table_scan import Listing, Scan
from events_assets.settings import ScanSettings

EVENT_COLUMNS: dict[str, Any] = {
    "id": {"nullable": False},
    "event_name": {"data_type": "text"},
    "start_time": {"data_type": "timestamp", "timezone": True},
    "end_time": {"data_type": "timestamp", "timezone": True},
}
"""Canonical columns: they exist also where every value is null. `id` is typed by its data; where it
is not part of the key, it is a text that may be null."""


def events_source(
    config: RESTAPIConfig,
    api_key: str | None = None,
    *,
    authentication: Authentication | None = None,
    run_id: str | None = None,
    log: logging.Logger | None = None,
) -> DltSource:
    """A dlt source named `events` with one resource for each table configured.

    Resources with the same `table_name` are lists of one table, and united in one resource.
    Each scan of a resource ends with a row in `scan_receipts`.

    Args:
        config: the API in dlt's vocabulary, without its key.
        api_key: the key, put where `auth` says.
        authentication: fills in the key and other secrets, instead of `api_key`.
        run_id: identifies the run in the receipts.
        log: told about progress, retries and repeated scans.

    Raises:
        ConfigurationError: `auth` needs a key and there is none, or it is too short to be masked.
    """
    log = log or logging.getLogger("events_assets")
    authentication = authentication or Authentication(api_key)
    api = _Api(authentication.fill(deepcopy(config)), authentication, log, run_id)
    resources = [api.table(name, entries) for name, entries in api.tables().items()]

    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return resources

    return events()


def events_lists(
    config: RESTAPIConfig, authentication: Authentication, log: logging.Logger
) -> list[Listing]:
    """The lists of the API that make up the table `events`, to be tried: asked strictly one page
    after another, with the patience of someone who is waiting.

    Raises:
        ConfigurationError: as `events_source`.
    """
    api = _Api(authentication.fill(deepcopy(config)), authentication, log, None)
    api.http, api.settings.read_ahead = patient(api.http), 0
    scan, _ = api.scan("events", api.tables()["events"])
    return scan.listings


def events_outline() -> DltSource:
    """The resources that `events_source` will have, by name: for definitions, which need no key."""

    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return [dlt.resource([], name=name) for name in configuration.table_names()]

    return events()


ANYTHING = jsonpath.compile_path("$")
"""What dlt looks for in a page; `Rows` finds the rows."""


class _Api:
    """The configured API: makes its resources, each on sessions of its own."""

    def __init__(
        self,
        config: RESTAPIConfig,
        authentication: Authentication,
        log: logging.Logger,
        run_id: str | None,
    ) -> None:
        self.config = config
        self.defaults = cast(dict[str, Any], config.get("resource_defaults") or {})
        self.entries = {e["name"]: e for e in configuration.entries(config["resources"])}
        self.authentication = authentication
        self.redaction = authentication.redaction
        self.log = BesideBar(log)
        self.run_id = run_id
        self.settings = configuration.scan_settings()
        self.http = configuration.http_settings()
        self.budget = Budget(self.http.max_requests, self.http.period)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The entries of the resources to load, by the table that they go to."""
        tables: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries.values():
            if entry.get("selected", True):
                tables.setdefault(configuration.table_of(entry), []).append(entry)
        return tables

    def table(self, name: str, entries: list[dict[str, Any]]) -> DltResource:
        """One resource, which scans all lists that go to a table."""
        scan, resources = self.scan(name, entries)
        return scan.wrap(resources[0])

    def scan(self, name: str, entries: list[dict[str, Any]]) -> tuple[Scan, list[DltResource]]:
        """The scan of all lists that go to a table, and the resources that give their pages."""
        identity = Identity(self._key(entries[0]))
        built = [self._listing(name, entry, identity) for entry in entries]
        scan = Scan(name, identity, [listing for listing, _ in built], self.run_id)
        return scan, [resource for _, resource in built]

    def _key(self, entry: Mapping[str, Any]) -> list[str]:
        key = entry.get("primary_key", self.defaults.get("primary_key"))
        return [key] if isinstance(key, str) else list(key or [])

    def _listing(
        self, table: str, entry: dict[str, Any], identity: Identity
    ) -> tuple[Listing, DltResource]:
        """How the pages of a resource are walked, and dlt's own resource, which gives them."""
        endpoint = configuration.endpoint_of(entry, self.defaults)
        walk = self._walk(table, entry, endpoint, identity)
        session = self._fetching(walk, endpoint)
        parent = self._parent(entry)
        if parent is not None:
            endpoint, addressed = _quoting(endpoint, parent)
        own = self._resource(
            table, entry, {**endpoint, "paginator": walk, "data_selector": ANYTHING}, session
        )
        listing = Listing(
            name=entry["name"],
            pages=_pages(own),
            walk=walk,
            session=session,
            page_size=getattr(walk, "limit", None),
        )
        if table == "events":
            listing.window = _whole_window(listing.name, listing.page_size)
        if parent is not None:
            listing.parents, _ = self.scan(parent, [self.entries[parent]])
            taken = entry.get("include_from_parent") or []
            listing.addressed = lambda row: dict.fromkeys(taken) | addressed(row)
            listing.inherited = lambda row: {f"_{parent}_{name}": row[name] for name in taken}
        return listing, own

    def _walk(
        self, table: str, entry: dict[str, Any], endpoint: dict[str, Any], identity: Identity
    ) -> Walk:
        """The walk over the pages of an endpoint."""
        paginator = endpoint.get("paginator", self.config["client"].get("paginator"))
        try:
            walk = _walk_with(paginator, identity, self.settings)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"wrong paginator of the resource '{entry['name']}' in "
                f"[[{configuration.SECTION}.resources]]: {error}"
            ) from error
        fields = configuration.fields()
        if table == "events" and fields:
            walk.map_rows = lambda rows: fields.map(rows, entry["name"])
        return walk

    def _fetching(self, walk: Walk, endpoint: dict[str, Any]) -> ApiSession:
        """The session that fetches the pages for a walk, and authenticates: `auth` is taken out
        of the endpoint, so that dlt gets to see no secret of it."""
        rows_of = Rows(endpoint.get("data_selector"), self.settings.absent_when_empty)
        session = self._session(self.config["client"]["base_url"])
        session.auth = self.authentication.of(
            endpoint.pop("auth", self.config["client"].get("auth")), self._session
        )

        def read(response: requests.Response) -> None:
            rows = rows_of(response)
            if self.redaction.may_occur_in(response.content, response.json()):
                rows = self.redaction.value(rows)
            response.rows = rows  # type: ignore[attr-defined]
            walk.require_promised(response, rows)

        session.check = read
        session.is_past_the_end = walk.is_past_the_end
        if self.settings.read_ahead > 0 and isinstance(walk, OffsetScan | PageNumberScan):
            session.read_ahead(walk, self.settings.read_ahead)
        return session

    def _resource(
        self, table: str, entry: dict[str, Any], endpoint: dict[str, Any], session: ApiSession
    ) -> DltResource:
        """The resource of dlt's REST API source."""
        parent = self._parent(entry)
        name = table if parent is None else entry["name"]
        resource = {key: entry[key] for key in entry if key not in ("table_name", "selected")}
        resource |= {"name": name, "endpoint": endpoint}
        if table == "events":
            own_id = {} if "id" in self._key(entry) else {"id": {"data_type": "text"}}
            resource["columns"] = {**EVENT_COLUMNS, **own_id, **resource.get("columns", {})}
        config = {
            **self.config,
            "client": {**self.config["client"], "session": session, "auth": None},
            "resources": [*([] if parent is None else self._ancestors(parent)), resource],
        }
        built = rest_api_resources(cast(RESTAPIConfig, config))
        (own,) = (one for one in built if one.name == name)
        return own if name == table else own.with_name(table)

    def _session(self, base_url: str) -> ApiSession:
        return ApiSession(base_url, self.http, self.redaction, self.log, self.budget)

    def _parent(self, entry: Mapping[str, Any]) -> str | None:
        """The resource whose rows an entry depends on, by dlt's `resolve` or a placeholder."""
        endpoint = entry.get("endpoint")
        params = endpoint.get("params") if isinstance(endpoint, Mapping) else None
        for value in (params or {}).values():
            if isinstance(value, Mapping) and value.get("type") == "resolve":
                return str(value["resource"])
        placeholder = re.search(r"\{resources\.([^.}]+)\.", json.dumps(endpoint or ""))
        return placeholder.group(1) if placeholder else None

    def _ancestors(self, name: str) -> list[dict[str, Any]]:
        """What dlt has to know to build a resource that depends on `name`."""
        if name not in self.entries:
            raise ConfigurationError(
                f"a resource depends on '{name}', which [[{configuration.SECTION}.resources]] "
                f"does not describe: {', '.join(self.entries)}"
            )
        parent = self._parent(self.entries[name])
        return [*(self._ancestors(parent) if parent else []), self.entries[name]]


def _walk_with(paginator: Any, identity: Identity, settings: ScanSettings) -> Walk:
    """The walk that a paginator in dlt's vocabulary stands for."""
    config = {"type": paginator} if isinstance(paginator, str) else dict(paginator or {})
    kind = config.pop("type", "auto")
    total = Total(settings.total_path, settings.total_header)
    told = bool(settings.total_path or settings.total_header)
    if kind == "offset":
        return OffsetScan(identity, total if told else None, settings.overlap, **config)
    if kind == "page_number":
        return PageNumberScan(identity, total, **config)
    has_more_path = config.pop("has_more_path", None)
    built = (
        HeaderLinks(**config)
        if kind == "header_link"
        else create_paginator(cast(Any, {"type": kind, **config}))
    )
    return ChainScan(identity, total, built, has_more_path)


def _quoting(
    endpoint: dict[str, Any], parent: str
) -> tuple[dict[str, Any], Callable[[Any], dict[str, Any]]]:
    """Lets fields of a parent stand percent-encoded in the path, where dlt puts them as they are:
    an id with a slash would lead to another path, and one with a hash to the rows of another id.

    Returns the endpoint, which takes other fields there, and what adds these to a parent.
    """
    placeholder = rf"(\{{resources\.{re.escape(parent)}\.)([^}}]+)"
    in_path: dict[str, str] = {}

    def quoted(field: str) -> str:
        name = re.sub(r"\W", "_", field) + "_in_path"
        in_path[name] = field
        return name

    endpoint = {**endpoint, "params": dict(endpoint.get("params") or {})}
    for name, value in endpoint["params"].items():
        if isinstance(value, Mapping) and value.get("type") == "resolve":
            endpoint["params"][name] = {**value, "field": quoted(value["field"])}
    if "path" in endpoint:
        endpoint["path"] = re.sub(
            placeholder, lambda found: found[1] + quoted(found[2]), endpoint["path"]
        )
    elsewhere = [field for _, field in re.findall(placeholder, str({**endpoint, "path": ""}))]
    finders = {field: finder(field, "field") for field in [*in_path.values(), *elsewhere]}

    def addressed(row: Any) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise UnaddressableError("not an object")
        values = {field: find(row) for field, find in finders.items()}
        for field, value in values.items():
            if value is None:
                found = ", ".join(list(row)[:10]) or "nothing"
                raise UnaddressableError(f"its {field} is null or missing; it has {found}")
            if value == "":
                raise UnaddressableError(f"its {field} is empty")
        return row | {name: _part_of_path(values[field], field) for name, field in in_path.items()}

    return endpoint, addressed


def _part_of_path(value: Any, field: str) -> str:
    """A value percent-encoded.

    Raises:
        UnaddressableError: it can be no part of a path.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnaddressableError(f"its {field} is neither text nor number")
    if value in (".", ".."):  # encoded or not, it would be resolved (RFC 3986 5.2.4)
        raise UnaddressableError(f'its {field} is "{value}", which leads to another path')
    try:
        return quote(str(value), safe="")
    except UnicodeEncodeError:
        raise UnaddressableError(f"its {field} has half a surrogate pair") from None


def _pages(resource: DltResource) -> Any:
    """The pages of a resource, which is to be wrapped: its generator as it is now."""
    pipe: Any = resource._pipe
    return pipe.gen


def _whole_window(resource: str, page_size: int | None) -> Window | None:
    """The window of all events, none where the API lets everything be paged through."""
    settings = configuration.window_settings()
    if not settings.max_rows:
        return None
    if page_size and page_size > settings.max_rows:
        raise ConfigurationError(
            f"the paginator of the resource '{resource}' asks for pages of {page_size} rows, but "
            f"max_rows in [{configuration.SECTION}.windows] lets nobody see more than "
            f"{settings.max_rows}: lower its limit"
        )
    try:
        return Window.whole(settings)
    except ValueError as error:
        raise ConfigurationError(
            f"initial_value and end_value in [{configuration.SECTION}.windows] are to be ISO 8601 "
            f"times, the first before the second: {error}"
        ) from error
