"""The warehouse: the dlt pipeline that loads it, and read access for checks and tables built on it.

One load at a time: others wait until it lets go of the warehouse.
"""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from operator import itemgetter
from typing import Any, TypeVar, cast

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.common.schema import Schema
from dlt.common.schema.exceptions import DataValidationError
from dlt.common.schema.utils import get_nested_tables, get_root_table
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.exceptions import PipelineStepFailed
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from events_assets import configuration, last_load
from events_assets.arrow.coercion import fitting
from events_assets.arrow.convert import contract_of
from events_assets.comments import describe
from events_assets.destinations.base import Destination, cause
from events_assets.destinations.choice import destination
from events_assets.errors import ContractError, KeyTypeError, WarehouseError, causes
from events_assets.retention import (
    forget_doubles,
    forget_old,
    forget_superseded,
    forget_unfinished,
)
from events_assets.rows.marks import DIGEST
from events_assets.rows.names import distinct
from events_assets.scan.tables import CHANGES, VERSIONS
from events_assets.sql import execute
from events_assets.sync import drop_view, require_unique_keys, settle

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)
logger = logging.getLogger("events_assets")
_loads = threading.Lock()

IN_USE = "the warehouse is in use, waiting up to {:g} s: {}"
KEPT = "{} kept the warehouse for {:g} s (warehouse.lock_timeout): let it end, or close it"


def dataset_name() -> str:
    """The dataset of the configured API; sample events are kept apart from real ones."""
    usual = "events_sample" if configuration.is_sample() else "events_data"
    return configuration.warehouse_settings().dataset or usual


@contextmanager
def loading(log: logging.Logger = logger) -> Iterator[dlt.Pipeline]:
    """The pipeline for `load`, while the warehouse is held for it. Raises WarehouseError where it
    stays in use, or cannot be opened.

    Its working folder is temporary: what one run leaves behind cannot disturb another, and dlt
    restores schema and state from the warehouse. dlt's own tools are left what they show. Threads
    of this process load one after another, as all loads share dlt's staging dataset.
    """
    chosen = destination()
    of_dlt = chosen.for_loads()
    with (
        _alone(log),
        _opened(chosen, of_dlt, log) as dataset,
        chosen.working_folder(dataset) as folder,
        fitting(),
        _collecting_seldom(),
    ):
        _patiently(chosen, lambda: chosen.hold(dataset), log)
        _make_again(dataset, log)
        forget_unfinished(dataset)
        forget_superseded(dataset)
        settle(dataset)
        pipeline = dlt.pipeline(
            "events_assets",
            pipelines_dir=folder,
            destination=of_dlt,
            dataset_name=dataset_name(),
        )
        pipeline.schemas.save_schema(dataset.schema)  # dlt asks for none where no load was finished
        try:
            yield pipeline
        finally:
            last_load.keep(pipeline, log)


def load(
    pipeline: dlt.Pipeline, data: Any, log: logging.Logger = logger, **options: Any
) -> LoadInfo:
    """Runs the pipeline of `loading` with data and options as `dlt.Pipeline.run` takes them. Raises
    ContractError where rows would change a table in a way that its schema contract freezes.

    DuckDB, which would take most of the memory there is for a merge that needs little, gets its own
    limit back where little is not enough: the load goes on with what has not been loaded. Where
    keys come that a key column is too narrow for, it becomes one of texts, and all is read anew.
    """
    narrow = None
    try:
        info = pipeline.run(data, loader_file_format="parquet", **options)
    except PipelineStepFailed as error:
        if forbidden := _cause_of(error, DataValidationError):
            column = (forbidden.column_name or "").split("__v_")[0]
            raise ContractError(forbidden.table_name, column, forbidden.schema_entity) from error
        narrow = _cause_of(error, KeyTypeError)
        if not narrow:
            if not destination().gave_memory(pipeline, error, log):
                raise
            info = pipeline.load()
            with pipeline.dataset() as dataset:
                forget_doubles(dataset)
    if narrow:
        if contract_of(data.resources[narrow.table])["data_type"] != "evolve":
            raise ContractError(narrow.table, ", ".join(sorted(narrow.columns)), "data_type")
        log.warning(f"{narrow}: that is done now")
        _widen(pipeline, data.schema, narrow)
        return load(pipeline, data, log, **options)
    info.raise_on_failed_jobs()
    with pipeline.dataset() as dataset:
        forget_superseded(dataset)
        settle(dataset)
        require_unique_keys(dataset, destination())
        forget_old(dataset, configuration.retention_settings())
        describe(pipeline, dataset, destination())
    return info


def _cause_of(error: BaseException, kind: type[E]) -> E | None:
    """The error of a kind that is behind another one."""
    return next((one for one in causes(error) if isinstance(one, kind)), None)


def _widen(pipeline: dlt.Pipeline, of_source: Schema, narrow: KeyTypeError) -> None:
    """Makes key columns of the warehouse columns of texts; rows keep their keys."""
    table = of_source.naming.normalize_table_identifier(narrow.table)
    tables = [table, CHANGES, VERSIONS] if table == "events" else [table]
    columns = [of_source.naming.normalize_identifier(distinct(name)) for name in narrow.columns]
    known: list[Schema] = [pipeline.default_schema] if pipeline.default_schema_name else []
    for schema in (of_source, *known):
        for name in tables:
            found = schema.tables[name]["columns"] if name in schema.tables else {}
            for column in found.keys() & columns:
                found[column]["data_type"] = "text"
    if not known or table not in known[0].tables:
        return  # nothing was loaded yet
    pipeline.schemas.save_schema(known[0])
    with cast(Any, pipeline.destination_client()) as client:
        sql = client.sql_client
        drop_view(sql)
        for place in (nullcontext(), client.with_staging_dataset()):
            with place:
                for name, there in client.get_storage_tables(tables):
                    for column in there.keys() & columns:
                        sql.execute_sql(
                            f"ALTER TABLE {sql.make_qualified_table_name(name)} "
                            f"ALTER COLUMN {sql.escape_column_name(column)} TYPE VARCHAR"
                        )
    pipeline.sync_schema()


@contextmanager
def reading(log: logging.Logger = logger) -> Iterator[dlt.Dataset]:
    """The dataset with dlt's schema of it, to be read with `select` while the warehouse is held.
    Raises WarehouseError as `loading` does."""
    chosen = destination()
    with _opened(chosen, chosen.for_reading(), log) as dataset:
        yield dataset


@contextmanager
def _alone(log: logging.Logger) -> Iterator[None]:
    """Waits until no other thread of this process loads."""
    timeout, other = configuration.warehouse_settings().lock_timeout, "another load of this process"
    if not _loads.acquire(blocking=False):
        log.warning(IN_USE.format(timeout, other))
        if not _loads.acquire(timeout=timeout):
            raise WarehouseError(KEPT.format(other, timeout))
    try:
        yield
    finally:
        _loads.release()


@contextmanager
def _opened(chosen: Destination, of_dlt: Any, log: logging.Logger) -> Iterator[dlt.Dataset]:
    def connected() -> Any:  # dlt's Dataset is a context manager that its types do not know
        return dlt.dataset(of_dlt, dataset_name(), schema="events")

    with ExitStack() as stack:
        try:
            dataset = _patiently(chosen, lambda: stack.enter_context(connected()), log)
        except chosen.cannot_be_opened as error:
            raise WarehouseError(chosen.explained(error)) from error
        yield dataset


def _patiently(chosen: Destination, attempt: Callable[[], T], log: logging.Logger) -> T:
    """The outcome of an attempt, as soon as others let go of the warehouse. Raises WarehouseError
    where they do not in time."""
    timeout = configuration.warehouse_settings().lock_timeout

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if state.attempt_number == 1 and error:
            log.warning(IN_USE.format(timeout, cause(error)))

    retrying = Retrying(
        retry=retry_if_exception(chosen.is_in_use),
        stop=stop_after_delay(timeout),
        wait=wait_fixed(min(0.5, timeout)),
        before_sleep=before_sleep,
        reraise=True,
    )
    try:
        return retrying(attempt)
    except Exception as error:
        if not chosen.is_in_use(error):
            raise
        kept = KEPT.format("another process", timeout)
        raise WarehouseError(f"the warehouse cannot be opened: {cause(error)}; {kept}") from error


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Looks for cycles of objects less often: rows form none, and it takes a third of a load."""
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _make_again(dataset: dlt.Dataset, log: logging.Logger) -> None:
    """Makes tables and columns that were dropped by hand again: dlt only looks at its own notes.
    Raises WarehouseError for a column without which its rows are worth nothing."""
    schema, client = dataset.schema, cast(SqlJobClientBase, dataset.destination_client)
    qualified = dataset.sql_client.make_qualified_table_name
    known = [str(table["name"]) for table in schema.data_tables(seen_data_only=True)]
    with client:
        found = dict(client.get_storage_tables(known)) if known else {}
    dropped = {
        f"{table}.{name}" if there else table: (table, there and not column.get("nullable", True))
        for table, there in found.items()
        for name, column in schema.get_table_columns(table).items()
        if name not in there
    }
    for name, (table, is_required) in dropped.items():
        if is_required:
            raise WarehouseError(
                f"the column {name} was dropped from the warehouse, and its rows cannot be told "
                f"apart without it: drop the table {table}, too, and load again"
            )
    for table in [name for name in dropped if name in found]:
        for nested in map(itemgetter("name"), get_nested_tables(schema.tables, table)[1:]):
            if found.get(nested):  # no row is left that its rows belong to
                execute(dataset, "DELETE FROM {table}", table=qualified(nested))
    if dropped:
        log.warning(f"made again what was dropped from the warehouse: {', '.join(dropped)}")
        with client:
            client.update_stored_schema({table for table, _ in dropped.values()}, force=True)
        for table, _ in dropped.values():
            root = str(get_root_table(schema.tables, table)["name"])
            if DIGEST in schema.get_table_columns(root):  # so that its rows are loaded once more
                execute(dataset, "UPDATE {table} SET _digest = NULL", table=qualified(root))
