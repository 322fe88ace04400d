"""Builds the dlt source from a REST API configuration in dlt's vocabulary: a resource for each
table, which scans the lists that go to it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any, cast
from urllib.parse import urlsplit

import dlt
from dlt.extract import DltResource, DltSource
from dlt.sources.helpers.rest_client.utils import join_url
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph
from dlt.sources.rest_api.typing import RESTAPIConfig
from jsonpath_ng.exceptions import JSONPathError

from events_assets import configuration
from events_assets.authentication import Authentication
from events_assets.errors import ConfigurationError
from events_assets.http.rate_limit import RateLimit
from events_assets.http.retry import hurried
from events_assets.http.session import ApiSession
from events_assets.json_path import value_at
from events_assets.paging.base import Total
from events_assets.paging.windows import Window
from events_assets.rows.identity import Identity
from events_assets.rows.names import distinct
from events_assets.scan.changes import Changes, changes_of
from events_assets.scan.data_selector import DataSelector
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_request import ListRequests
from events_assets.scan.paginators import paging_of
from events_assets.scan.progress import BesideBar
from events_assets.scan.table_pass import Table
from events_assets.scan.table_scan import TableScan
from events_assets.scan.tables import EVENT_COLUMNS, Aside, declare
from events_assets.settings import SyncSettings

SYNCED_STRATEGIES = (None, "delete-insert", "upsert")
"""Ways to merge (dlt's) that leave one row for each key."""

NO_HINTS = frozenset(
    ("name", "table_name", "endpoint", "selected", "parallelized", "include_from_parent")
)
"""What a resource's table says that is no hint of the dlt resource."""


def events_source(
    config: RESTAPIConfig,
    api_key: str | None = None,
    *,
    authentication: Authentication | None = None,
    run_id: str | None = None,
    log: logging.Logger | None = None,
    sync: SyncSettings | None = None,
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
        sync: how events are kept in step, instead of what is configured.

    Raises:
        ConfigurationError: `auth` needs a key and there is none, or it is too short to be masked,
            or dlt refuses what a resource says.
    """
    builder = _ScanBuilder(config, authentication or Authentication(api_key), run_id, log)
    builder.sync = sync or builder.sync
    resources = [builder.resource(table) for table in builder.tables]

    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return resources

    return events()


def events_table(
    config: RESTAPIConfig, authentication: Authentication, log: logging.Logger
) -> Table:
    """The table `events`, to be tried: it is asked for strictly one page after another, and is
    in as much of a hurry as someone who is waiting.

    Raises:
        ConfigurationError: as `events_source`.
    """
    builder = _ScanBuilder(config, authentication, None, log)
    builder.http, builder.settings.read_ahead = hurried(builder.http), 0
    return builder.table("events", builder.tables["events"])


def events_outline(tables: Iterable[str]) -> DltSource:
    """The resources that `events_source` will have, by name: for definitions, which need no key."""

    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return [dlt.resource([], name=name) for name in tables]

    return events()


class _ScanBuilder:
    """Builds the scans of the configured API, each endpoint on a session of its own.

    `tables` are the names of the resources to load, by the table that they go to.
    """

    def __init__(
        self,
        config: RESTAPIConfig,
        authentication: Authentication,
        run_id: str | None,
        log: logging.Logger | None,
    ) -> None:
        config = authentication.fill(deepcopy(config))
        self.client: dict[str, Any] = dict(config["client"])
        self.defaults: dict[str, Any] = dict(config.get("resource_defaults") or {})
        self.entries = {e["name"]: e for e in configuration.entries(config["resources"])}
        try:
            _, resources, self.parameters = build_resource_dependency_graph(
                cast(Any, self.defaults), cast(Any, [*self.entries.values()])
            )
        except (ValueError, JSONPathError) as error:
            raise ConfigurationError(
                f"wrong [[{configuration.SECTION}.resources]]: {error}"
            ) from error
        self.resources = cast(dict[str, dict[str, Any]], resources)
        self.authentication = authentication
        self.log = BesideBar(log or logging.getLogger("events_assets"))
        self.run_id = run_id
        self.settings = configuration.scan_settings()
        self.sync = configuration.sync_settings()
        self.http = configuration.http_settings()
        self.rate_limit = RateLimit(self.http.max_requests, self.http.period)
        self.identities: dict[tuple[str, bool], Identity] = {}
        self.tables: dict[str, list[str]] = {}
        for name, entry in self.entries.items():
            if entry.get("selected", True):
                self.tables.setdefault(configuration.table_of(entry), []).append(name)

    def resource(self, table: str) -> DltResource:
        """The dlt resource that scans all lists of a table."""
        names = self.tables[table]
        scan = self.scan(table, names)
        identity, entry = scan.table.identity, dict(self.resources[names[0]])
        steps = entry.pop("processing_steps", None) or []
        hints = {key: value for key, value in entry.items() if key not in NO_HINTS}
        hints.setdefault("schema_contract", "evolve")  # else dlt goes on with that of the last load
        if table == "events":
            # Typed until the data of a key say otherwise: dlt puts a column without a type last.
            canonical = {"id": {"data_type": "text"}, **EVENT_COLUMNS}
            hints["columns"] = {**canonical, **hints.get("columns", {})}
        for hint in {"primary_key", "merge_key"} & hints.keys():
            keys = hints[hint]
            hints[hint] = distinct(keys) if isinstance(keys, str) else [*map(distinct, keys)]
        if isinstance(hints.get("columns"), dict):
            hints["columns"] = {distinct(key): hint for key, hint in hints["columns"].items()}
        waiting = [scan]  # and held no longer: the load that follows needs the memory

        def items() -> Iterator[Any]:  # once more where keys of another type than before came
            return (waiting.pop() if waiting else self.scan(table, names)).items()

        resource: DltResource = dlt.resource(items, name=table, **hints)()
        for step in steps:
            for kind, change in step.items():
                add = {"filter": "add_filter", "map": "add_map", "yield_map": "add_yield_map"}[kind]
                getattr(resource, add)(_of_rows(change))
        return declare(resource, identity, self._is_synced(table))

    def scan(self, table: str, names: list[str]) -> TableScan:
        """The scan of a table; each one asks on sessions of its own."""
        sync = self.sync if self._is_synced(table) else None
        scan = TableScan(self.table(table, names), self.run_id, self.settings.passes, sync)
        scan.receipt.origin = self._origin(names)
        return scan

    def _is_synced(self, table: str) -> bool:
        """Whether rows of a table are compared with those that it holds."""
        entry = self.resources[self.tables[table][0]]
        how = entry.get("write_disposition")
        how = how if isinstance(how, dict) else {"disposition": how}
        is_merged = how["disposition"] == "merge" and how.get("strategy") in SYNCED_STRATEGIES
        return table == "events" and bool(entry.get("primary_key")) and is_merged

    def table(self, table: str, names: list[str], *, is_parent: bool = False) -> Table:
        """A table with its lists, and those of parents."""
        entry = self.resources[names[0]]
        key = entry.get("primary_key") or []
        key = [key] if isinstance(key, str) else list(key)
        identity = self.identities.setdefault((table, is_parent), Identity(key))
        identity.widened.clear()
        if table == "events":  # a canonical column keeps its type in a key, too
            types = {name: EVENT_COLUMNS.get(name, {}).get("data_type") for name in key}
            identity.types |= {name: kind for name, kind in types.items() if kind}
        parents = {
            name: self.table(parent, [parent], is_parent=True)
            for name in names
            if (parent := self._parent(name)) is not None
        }
        endpoints = [self._endpoint(table, name, identity) for name in names]
        return Table(table, identity, endpoints, parents)

    def _origin(self, names: list[str]) -> str:
        """What the API is called whose lists these are; nothing secret, and no query, is in it."""
        if configured := configuration.warehouse_settings().origin:
            return configured
        if configuration.is_sample():
            return configuration.SAMPLE
        lists = set()
        for name in names:
            path = self.resources[name]["endpoint"]["path"]
            is_url = path.startswith(("http://", "https://"))
            url = urlsplit(path if is_url else join_url(self.client["base_url"], path))
            place = url.netloc.rpartition("@")[2].lower()
            lists.add(f"{url.scheme}://{place}{url.path}".rstrip("/"))
        return self.authentication.redaction.text(", ".join(sorted(lists)))

    def _parent(self, name: str) -> str | None:
        parameters = self.parameters[name]
        return parameters[0].resolve_config["resource"] if parameters else None

    def _endpoint(self, table: str, name: str, identity: Identity) -> Endpoint:
        endpoint = dict(self.resources[name]["endpoint"])
        # dlt takes the place of one object for a list of one where nothing is configured.
        configured = configuration.endpoint_of(self.entries[name], self.defaults)
        try:
            paging, total = paging_of(
                configured.get("paginator", self.client.get("paginator")), self.settings.overlap
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"wrong paginator of the resource '{name}' in "
                f"[[{configuration.SECTION}.resources]]: {error}"
            ) from error
        settings, changes = self.settings, changes_of(endpoint, name)
        if changes and not self._is_synced(table):
            raise ConfigurationError(
                f"the resource '{name}' is incremental, which only events can be that are merged "
                f"on a primary_key: remove incremental from its endpoint"
            )
        if total is None or settings.total_path or settings.total_header:
            total = Total(settings.total_path, settings.total_header)
        page_size = getattr(paging, "limit", None)
        fields = configuration.fields()
        return Endpoint(
            name=name,
            session=self._session(endpoint.get("auth", self.client.get("auth"))),
            paging=paging,
            request_for=self._requests(name, endpoint, changes),
            rows_of=DataSelector(configured.get("data_selector"), settings.absent_when_empty),
            total=total,
            identify=identity,
            map_rows=lambda rows: fields.map(rows, name) if table == "events" else rows,
            window=_whole_window(name, page_size) if table == "events" else None,
            page_size=page_size,
            threads=settings.read_ahead,
            order_of=value_at(settings.order) if settings.order and table == "events" else None,
            max_pages_factor=settings.max_pages_factor,
            changes=changes,
        )

    def _session(self, auth: Any, base_url: str | None = None) -> ApiSession:
        return ApiSession(
            base_url or self.client["base_url"],
            self.http,
            self.authentication.redaction,
            self.log,
            self.rate_limit,
            self.authentication.of(auth, lambda url: self._session(None, url)),
            remembers=self.settings.passes > 1 and base_url is None,
        )

    def _requests(
        self, name: str, endpoint: dict[str, Any], changes: Changes | None
    ) -> ListRequests:
        inherited = self.resources[name].get("include_from_parent") or []
        parameters = self.parameters[name] or []
        return ListRequests(self.client, endpoint, parameters, inherited, changes)


def _of_rows(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A processing step that leaves alone what goes to other tables."""
    return lambda item: item if isinstance(item, Aside) else change(item)


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
