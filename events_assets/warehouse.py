"""The warehouse: the dlt pipeline that loads it, and read access for checks and tables built on it.

A DuckDB file takes one process at a time. Every use therefore holds a connection from its first
to its last statement, so that no other process can come in between, and waits for it first.
"""

import gc
import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.pipeline.exceptions import PipelineStepFailed
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from events_assets import configuration
from events_assets.arrow.coercion import fitting
from events_assets.errors import WarehouseError

logger = logging.getLogger("events_assets")


def destination_name() -> str:
    """The dlt destination that is configured, DuckDB by default."""
    return dlt.config.get("destination_type", str) or "duckdb"


def dataset_name() -> str:
    """The dataset of the configured API; sample events are kept apart from real ones."""
    return "events_sample" if configuration.is_sample() else "events_data"


@contextmanager
def loading(log: logging.Logger = logger) -> Iterator[dlt.Pipeline]:
    """The pipeline that loads events, while the warehouse is held for it.

    Its working folder is temporary: what one run leaves behind cannot disturb another, and dlt
    restores schema and state from the warehouse.

    Raises:
        WarehouseError: the warehouse stays locked by another process, or cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="events_assets_") as folder:
        pipeline = dlt.pipeline(
            "events_assets",
            pipelines_dir=folder,
            destination=_destination(),
            dataset_name=dataset_name(),
        )
        with reading(log) as dataset, fitting(), _collecting_seldom():
            if destination_name() == "duckdb":
                _limit_memory(pipeline, dataset, log)
            _forget_unfinished(dataset)
            yield pipeline


@contextmanager
def reading(log: logging.Logger = logger) -> Iterator[dlt.Dataset]:
    """The dataset with dlt's schema of it, to be read with `select` while the warehouse is held.

    Raises:
        WarehouseError: the warehouse stays locked by another process, or cannot be opened.
    """
    timeout = configuration.warehouse_settings().lock_timeout

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if state.attempt_number == 1 and error:
            log.warning(f"the warehouse is in use, waiting up to {timeout:g} s: {_cause(error)}")

    retrying = Retrying(
        retry=retry_if_exception(_is_locked),
        stop=stop_after_delay(timeout),
        wait=wait_fixed(min(0.5, timeout)),
        before_sleep=before_sleep,
        reraise=True,
    )

    def connected() -> Any:  # dlt's Dataset is a context manager that its types do not know
        return dlt.dataset(_destination(), dataset_name(), schema="events")

    with ExitStack() as stack:
        try:
            dataset = retrying(lambda: stack.enter_context(connected()))
        except DestinationConnectionError as error:
            remedy = (
                f"another process kept it for {timeout:g} s (warehouse.lock_timeout): close it"
                if _is_locked(error)
                else "check that the file and its folder exist and can be written, or set another "
                "one in [sources.events.warehouse]"
            )
            raise WarehouseError(
                f"the warehouse cannot be opened: {_cause(error)}; {remedy}"
            ) from error
        yield dataset


def select(dataset: dlt.Dataset, sql: str, *parameters: Any, **parts: str) -> list[tuple[Any, ...]]:
    """The rows of a query in the dialect of the destination.

    Args:
        sql: a template; `{events}` stands for the qualified name of the table `events`.
        parameters: values for `%s` in the query.
        parts: further parts of the template.
    """
    client = dataset.sql_client
    tables = {table: client.make_qualified_table_name(table) for table in dataset.tables}
    rows = client.execute_sql(sql.format(**{**tables, **parts}), *parameters)
    return [tuple(row) for row in rows or []]


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Looks for cycles of objects less often: rows form none, and it takes a sixth of a scan."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _limit_memory(pipeline: dlt.Pipeline, dataset: dlt.Dataset, log: logging.Logger) -> None:
    """DuckDB would take most of the memory there is for a merge that needs little. It gets its
    own limit back where little is not enough: the load goes on with what has not been loaded.

    Raises:
        WarehouseError: the configured limit is none.
    """
    limit, load = configuration.warehouse_settings().memory_limit, pipeline.load

    def load_with_little_memory(*args: Any, **kwargs: Any) -> LoadInfo:
        try:
            return load(*args, **kwargs)
        except PipelineStepFailed as error:
            if "Out of Memory" not in str(error):
                raise
        log.warning(
            f"DuckDB cannot load this in {limit} (memory_limit in [sources.events.warehouse]); "
            f"going on with DuckDB's own limit, {own_limit}"
        )
        # RESET would be shown, but not obeyed, by DuckDB 1.5.
        dataset.sql_client.execute_sql("SET memory_limit = %s", own_limit)
        return load(*args, **kwargs)

    try:
        ((own_limit,),) = select(dataset, "SELECT current_setting('memory_limit')")
        dataset.sql_client.execute_sql("SET memory_limit = %s", limit)
    except DatabaseException as error:
        raise WarehouseError(
            f"memory_limit in [sources.events.warehouse] is {limit!r}, but should be like "
            f"'256MB' or '4GB': {_cause(error)}"
        ) from error
    pipeline.load = load_with_little_memory  # type: ignore[method-assign]


def _forget_unfinished(dataset: dlt.Dataset) -> None:
    """Removes what a killed load had added before it could replace the events.

    dlt merges `events` in one transaction, but appends to the tables beside it in others.
    """
    for table in dataset.tables:
        if table == "scan_receipts" or table.startswith("quarantined_"):
            name = dataset.sql_client.make_qualified_table_name(table)
            loads = dataset.sql_client.make_qualified_table_name("_dlt_loads")
            dataset.sql_client.execute_sql(
                f"DELETE FROM {name} WHERE _dlt_load_id NOT IN "  # noqa: S608
                f"(SELECT load_id FROM {loads} WHERE status = 0)"
            )


def _destination() -> Any:
    """The configured destination. dlt keeps credentials out of config.toml, also a file's path,
    so the path of the default DuckDB file is a setting of ours."""
    name = destination_name()
    configured = any(
        dlt.secrets.get(f"destination.{key}") is not None
        for key in ("duckdb.credentials", "duckdb.credentials.database", "credentials")
    )
    if name != "duckdb" or configured:
        return name
    return dlt.destinations.duckdb(configuration.warehouse_settings().database)


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, DestinationConnectionError) and "lock on file" in str(error.inner_exc)


def _cause(error: BaseException) -> str:
    """What the database said, in one line: DuckDB names the process that holds a lock."""
    text = str(getattr(error, "inner_exc", error))
    return " ".join(text.split(". See also")[0].split())
