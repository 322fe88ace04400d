"""DuckDB, a database in a file.

It takes one process at a time. Every use therefore holds a connection from its first to its last
statement, so that no other process can come in between, and waits for it first.
"""

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import dlt
from dlt.common.configuration import resolve_configuration
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from events_assets.destinations.base import cause
from events_assets.settings import WarehouseSettings

OUT_OF_MEMORY = re.compile("Out of Memory|could not allocate block")
"""What it says where its memory limit does not suffice, also when it commits."""
NEWER_STORAGE = re.compile("database file with version number|newer version of DuckDB")
"""What it says of a file that a newer DuckDB has written."""
COMMENTS = """
SELECT what, table_name, column_name, comment FROM (
    SELECT 'TABLE' AS what, schema_name, table_name, NULL AS column_name, comment
    FROM duckdb_tables() WHERE database_name = current_database()
    UNION ALL SELECT 'VIEW', schema_name, view_name, NULL, comment
    FROM duckdb_views() WHERE database_name = current_database()
    UNION ALL SELECT 'COLUMN', schema_name, table_name, column_name, comment
    FROM duckdb_columns() WHERE database_name = current_database()
) WHERE schema_name = %s
"""


class DuckDB:
    """The file of our own setting where none is configured as dlt documents it: dlt keeps
    credentials, also a file's path, out of config.toml."""

    cannot_be_opened: tuple[type[Exception], ...] = (DestinationConnectionError,)
    comments = COMMENTS

    def __init__(self, name: str, settings: WarehouseSettings) -> None:
        self.name, self.settings = name, settings

    def for_loads(self) -> Any:
        return self._with(memory_limit=self.settings.memory_limit)

    def for_reading(self) -> Any:
        return self._with()

    def _with(self, **global_config: Any) -> Any:
        """All that use what is returned share one connection."""
        credentials = DuckDbCredentials(self.settings.database, global_config=global_config)
        sections = ("destination", self.name)
        return dlt.destinations.duckdb(
            resolve_configuration(credentials, sections=sections), destination_name=self.name
        )

    def hold(self, dataset: dlt.Dataset) -> None:
        """Nobody else can open the file."""

    def require_unique(self, dataset: dlt.Dataset, table: str, columns: list[str]) -> None:
        """Does nothing: an index on keys of texts is larger than the table, and DuckDB 1.5 takes a
        row that a transaction replaces in a file just opened for a second one."""

    def is_in_use(self, error: BaseException) -> bool:
        inner = error.inner_exc if isinstance(error, DestinationConnectionError) else ""
        return "lock on file" in str(inner)

    def explained(self, error: BaseException) -> str:
        said = cause(error)
        if "memory" in said.lower():
            return (
                f"memory_limit in [sources.events.warehouse] is {self.settings.memory_limit!r}, "
                f"but should be like '256MB' or '4GB': {said}"
            )
        if NEWER_STORAGE.search(said):
            remedy = (
                "a newer DuckDB wrote the file: set another one in [sources.events.warehouse] and "
                "load again, or copy its tables with the newer DuckDB (COPY FROM DATABASE) into a "
                "file attached with STORAGE_VERSION 'v1.5.0'"
            )
        else:
            remedy = (
                "check that the file and its folder exist and can be written, or set another one "
                "in [sources.events.warehouse]"
            )
        return f"the warehouse cannot be opened: {said}; {remedy}"

    @contextmanager
    def working_folder(self, dataset: dlt.Dataset) -> Iterator[str]:
        """Beside the file, where what a killed load left is found."""
        folder = f"{cast(Any, dataset.sql_client).credentials.database}.dlt"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def gave_memory(
        self, pipeline: dlt.Pipeline, error: BaseException, log: logging.Logger
    ) -> bool:
        if not OUT_OF_MEMORY.search(str(error)):
            return False
        import duckdb  # here: definitions need none

        limit = self.settings.memory_limit
        with duckdb.connect() as fresh, pipeline.sql_client() as client:
            # RESET would be shown, but not obeyed, by DuckDB 1.5.
            ((own_limit,),) = fresh.execute("SELECT current_setting('memory_limit')").fetchall()
            client.execute_sql("SET memory_limit = %s", own_limit)
        log.warning(
            f"DuckDB cannot load this in {limit} (memory_limit in [sources.events.warehouse]); "
            f"going on with DuckDB's own limit, {own_limit}"
        )
        return True
