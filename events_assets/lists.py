"""The lists of the configured API, in dlt's vocabulary, and the tables that they go to."""

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

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
from events_assets.paging.base import Paging, Total
from events_assets.paging.windows import Window
from events_assets.providers import SECTION
from events_assets.rows.canonical import Fields
from events_assets.rows.identity import Identity
from events_assets.scan.changes import changes_of
from events_assets.scan.data_selector import DataSelector
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.list_request import ListRequests, url_of
from events_assets.scan.paginators import paging_of
from events_assets.scan.placeholders import as_written
from events_assets.scan.progress import BesideBar
from events_assets.scan.table_pass import Table
from events_assets.scan.table_scan import TableScan
from events_assets.scan.tables import EVENT_COLUMNS
from events_assets.settings import ScanSettings

SYNCED_STRATEGIES = (None, "delete-insert", "upsert")
"""Ways to merge (dlt's) that leave one row for each key."""


@dataclass(frozen=True)
class Manner:
    """How lists are asked for, as far as that is otherwise than configured.

    `windows` are those of the events that are asked for, `is_counted`: also how many there are
    without windows. `session` makes what asks, `workers`: so many processes ask at once.
    `is_strict`: one page after another; `is_hurried`: so, and as someone asks who is waiting.
    `scan` makes what scans a table. `origin` is the API that may be asked only, if any.
    """

    windows: Sequence[Window] | None = None
    is_counted: bool | None = None
    session: Callable[..., ApiSession] | None = None
    workers: int = 1
    is_strict: bool = False
    is_hurried: bool = False
    scan: Callable[..., TableScan] = TableScan
    origin: str | None = None


class Lists:
    """The lists of an API, each asked on sessions of its own.

    `config` is the API in dlt's vocabulary, without its secrets, which `authentication` fills in.
    `names` are those of the resources to load, by the table that they go to; `resources` has what
    is configured for each, with dlt's defaults.

    Raises:
        ConfigurationError: `auth` needs a key and there is none, or it is too short to be masked,
            or dlt refuses what a resource says, or the API is another one than that of the manner.
    """

    def __init__(
        self,
        config: RESTAPIConfig,
        authentication: Authentication,
        log: logging.Logger | None,
        manner: Manner = Manner(),
    ) -> None:
        config = authentication.fill(_as_written(deepcopy(config)))
        self._client: dict[str, Any] = dict(config["client"])
        self._defaults: dict[str, Any] = dict(config.get("resource_defaults") or {})
        self._entries = {e["name"]: e for e in configuration.entries(config["resources"])}
        try:
            _, resources, self._parameters = build_resource_dependency_graph(
                cast(Any, self._defaults), cast(Any, [*self._entries.values()])
            )
        except (ValueError, JSONPathError) as error:
            told = f"wrong [[{SECTION}.resources]]: {error}"
            raise ConfigurationError(told) from error
        self.resources = cast(dict[str, dict[str, Any]], resources)
        self._authentication = authentication
        self._log = BesideBar(log or logging.getLogger("events_assets"))
        self._manner = manner
        self.settings, self._http = configuration.scan_settings(), configuration.http_settings()
        if manner.is_strict or manner.is_hurried:
            self.settings.read_ahead = 0
        if manner.is_hurried:
            self._http = hurried(self._http)
        limit = self._http.max_requests, self._http.period
        self._rate_limit = RateLimit(*limit, workers=manner.workers)
        self._identities: dict[tuple[str, bool], Identity] = {}
        self.names: dict[str, list[str]] = {}
        for name, entry in self._entries.items():
            if entry.get("selected", True):
                self.names.setdefault(configuration.table_of(entry), []).append(name)
        if manner.origin and manner.origin != (now := self.origin("events")):
            raise ConfigurationError(
                f"what was read of {manner.origin} cannot be loaded as events of {now}: launch "
                f"events_backfill_job anew"
            )

    def is_synced(self, table: str) -> bool:
        """Whether rows of a table are compared with those that it holds."""
        if table != "events" or table not in self.names:
            return False
        entry = self.resources[self.names[table][0]]
        how = entry.get("write_disposition")
        how = how if isinstance(how, dict) else {"disposition": how}
        is_merged = how["disposition"] == "merge" and how.get("strategy") in SYNCED_STRATEGIES
        return bool(entry.get("primary_key")) and is_merged

    def origin(self, table: str) -> str:
        """What the API is called; nothing secret, and no query, is in it."""
        if configured := configuration.warehouse_settings().origin:
            return configured
        if configuration.is_sample():
            return configuration.SAMPLE
        paths = [self.resources[name]["endpoint"]["path"] for name in self.names[table]]
        lists = set()
        for url in (urlsplit(url_of(self._client["base_url"], path)) for path in paths):
            place = url.netloc.rpartition("@")[2].lower()
            lists.add(f"{url.scheme}://{place}{url.path}".rstrip("/"))
        return self._authentication.redaction.text(", ".join(sorted(lists)))

    def table(self, table: str) -> Table:
        """A table with its lists, and those of parents; on new sessions each time."""
        return self._table(table, self.names[table], is_parent=False)

    def _table(self, table: str, names: list[str], is_parent: bool) -> Table:
        entry = self.resources[names[0]]
        key = entry.get("primary_key") or []
        key = [key] if isinstance(key, str) else list(key)
        identity = self._identities.setdefault((table, is_parent), Identity(key))
        identity.widened.clear()
        if table == "events":  # a canonical column keeps its type in a key, too
            types = {name: EVENT_COLUMNS.get(name, {}).get("data_type") for name in key}
            identity.types |= {name: kind for name, kind in types.items() if kind}
        parents = {}
        for name in names:
            if parameters := self._parameters[name]:
                parent = parameters[0].resolve_config["resource"]
                parents[name] = self._table(parent, [parent], is_parent=True)
        endpoints = [self._endpoint(table, name, identity) for name in names]
        return Table(table, identity, endpoints, parents)

    def _endpoint(self, table: str, name: str, identity: Identity) -> Endpoint:
        is_events, endpoint = table == "events", dict(self.resources[name]["endpoint"])
        # dlt takes the place of one object for a list of one where nothing is configured.
        configured = configuration.endpoint_of(self._entries[name], self._defaults)
        settings, changes = self.settings, changes_of(endpoint, name)
        paginator = configured.get("paginator", self._client.get("paginator"))
        paging, total = _paging(name, paginator, settings)
        if changes and not self.is_synced(table):
            raise ConfigurationError(
                f"the resource '{name}' is incremental, which only events can be that are merged "
                f"on a primary_key: remove incremental from its endpoint"
            )
        fields, page_size = Fields(configuration.field_settings()), getattr(paging, "limit", None)
        inherited = self.resources[name].get("include_from_parent") or []
        parameters, counted = self._parameters[name] or [], self._manner.is_counted
        session = self._session(endpoint.get("auth", self._client.get("auth")))
        session.name = name
        return Endpoint(
            name=name,
            session=session,
            paging=paging,
            request_for=ListRequests(self._client, endpoint, parameters, inherited, changes),
            rows_of=DataSelector(
                configured.get("data_selector"),
                settings.absent_when_empty,
                settings.row_key,
                settings.columns_path,
            ),
            total=total,
            identify=identity,
            map_rows=lambda rows: fields.map(rows, name) if is_events else rows,
            windows=_windows(self._manner, name, page_size) if is_events else None,
            is_counted=configuration.window_settings().undated if counted is None else counted,
            page_size=page_size,
            threads=settings.read_ahead,
            order_of=value_at(settings.order) if settings.order and is_events else None,
            max_pages_factor=settings.max_pages_factor,
            changes=changes,
            twice=fields.twice,
        )

    def _session(self, auth: Any, base_url: str | None = None) -> ApiSession:
        """A session with this authentication, of the API, or of where it gives access tokens."""
        make = (None if base_url else self._manner.session) or ApiSession
        return make(
            base_url or self._client["base_url"],
            self._http,
            self._authentication.redaction,
            self._log,
            self._rate_limit,
            self._authentication.of(auth, lambda url: self._session(None, url)),
            remembers=self.settings.passes > 1 and base_url is None,
        )


def _as_written(config: RESTAPIConfig) -> RESTAPIConfig:
    """The configuration with braces that stand for nothing as dlt wants them."""
    entries: list[Any] = [*config["resources"], config.get("resource_defaults") or {}]
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("endpoint"), dict):
            entry["endpoint"] = as_written(entry["endpoint"])
    return config


def _paging(resource: str, paginator: Any, settings: ScanSettings) -> tuple[Paging, Total]:
    """How a list is paged, and where it counts its rows."""
    try:
        paging, total = paging_of(paginator, settings.overlap)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"wrong paginator of the resource '{resource}' in [[{SECTION}.resources]]: {error}"
        ) from error
    if total is None or settings.total_path or settings.total_header:
        total = Total(settings.total_path, settings.total_header)
    return paging, total


def _windows(manner: Manner, resource: str, page_size: int | None) -> Sequence[Window] | None:
    """The windows in which events are read: that of all where the API lets nobody page through
    everything, or None."""
    settings = configuration.window_settings()
    if settings.max_rows and page_size and page_size > settings.max_rows:
        raise ConfigurationError(
            f"the paginator of the resource '{resource}' asks for pages of {page_size} rows, but "
            f"max_rows in [{SECTION}.windows] lets nobody see more than "
            f"{settings.max_rows}: lower its limit"
        )
    if manner.windows is not None or not settings.max_rows:
        return manner.windows
    return [whole_window()]


def whole_window() -> Window:
    """The window of all events."""
    try:
        return Window.whole(configuration.window_settings())
    except ValueError as error:
        raise ConfigurationError(
            f"initial_value and end_value in [{SECTION}.windows] are to be ISO 8601 "
            f"times, the first before the second: {error}"
        ) from error
