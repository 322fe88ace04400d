"""Builds the dlt source from a REST API configuration in dlt's vocabulary: a resource for each
table, which scans the lists that go to it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dlt
from dlt.extract import DltResource, DltSource
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.authentication import Authentication
from events_assets.errors import ConfigurationError
from events_assets.lists import Lists, Manner
from events_assets.rows.names import distinct
from events_assets.scan.quarantine import Aside
from events_assets.scan.table_scan import TableScan
from events_assets.scan.tables import EVENT_COLUMNS, declare
from events_assets.scan.window_scan import WindowScan
from events_assets.settings import SyncSettings

NO_HINTS = frozenset(
    ("name", "table_name", "endpoint", "selected", "parallelized", "include_from_parent")
)
"""What a resource's table says that is no hint of the dlt resource."""

PROCESSING = {"filter": "add_filter", "map": "add_map", "yield_map": "add_yield_map"}
"""Processing steps, and the methods of a dlt resource that add them."""


def events_source(
    config: RESTAPIConfig,
    api_key: str | None = None,
    *,
    authentication: Authentication | None = None,
    run_id: str | None = None,
    log: logging.Logger | None = None,
    sync: SyncSettings | None = None,
    manner: Manner = Manner(),
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
        manner: how the API is asked, instead of for everything.

    Raises:
        ConfigurationError: `auth` needs a key and there is none, or it is too short to be masked,
            or dlt refuses what a resource says.
    """
    lists = Lists(config, authentication or Authentication(api_key), log, manner)
    sync = sync or configuration.sync_settings()
    if manner.scan is WindowScan and not lists.is_synced("events"):
        raise ConfigurationError(
            "only events that are merged on a primary_key can be loaded window by window: "
            "all others would be lost, or come twice"
        )
    if manner.scan is not TableScan:
        sync.full_scan_every = 0  # it never asks for changes only

    def scan(table: str) -> TableScan:
        synced = sync if lists.is_synced(table) else None
        one = manner.scan(lists.table(table), run_id, lists.settings.passes, synced)
        one.receipt.origin = lists.origin(table)
        return one

    return _source_of([_resource(lists, table, scan) for table in lists.names])


def events_outline(tables: Iterable[str]) -> DltSource:
    """The resources that `events_source` will have, by name: for definitions, which need no key."""
    return _source_of([dlt.resource([], name=name) for name in tables])


def _source_of(resources: list[DltResource]) -> DltSource:
    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return resources

    return events()


def _resource(lists: Lists, table: str, scan: Callable[[str], TableScan]) -> DltResource:
    """The dlt resource that scans all lists of a table."""
    first = scan(table)
    entry = dict(lists.resources[lists.names[table][0]])
    steps = entry.pop("processing_steps", None) or []
    waiting = [first]  # and held no longer: the load that follows needs the memory
    identity = first.table.identity
    del first

    def items() -> Iterator[Any]:  # once more where keys of another type than before came
        return (waiting.pop() if waiting else scan(table)).items()

    hints = _hints(table, entry)
    resource: DltResource = dlt.resource(items, name=table, **hints)()
    for step in steps:
        for kind, change in step.items():
            getattr(resource, PROCESSING[kind])(_of_rows(change))
    return declare(resource, identity, lists.is_synced(table))


def _hints(table: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What dlt is told of a table, with the names that its keys get."""
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
    return hints


def _of_rows(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A processing step that leaves alone what goes to other tables."""
    return lambda item: item if isinstance(item, Aside) else change(item)
