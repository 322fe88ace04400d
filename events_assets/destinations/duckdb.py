"""DuckDB, a database in a file.

It takes one process at a time. Every use therefore holds a connection from its first to its last
statement, so that no other process can come in between, and waits for it first.
"""

import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import dlt
from dlt.common.configuration import resolve_configuration
from dlt.common.data_writers.escape import escape_duckdb_literal
from dlt.common.destination.client import LoadJob
from dlt.common.schema import Schema
from dlt.common.storages.load_package import LoadJobInfo
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.job_impl import FinalizedLoadJobWithFollowupJobs

from events_assets.destinations.base import cause
from events_assets.settings import WarehouseSettings

OUT_OF_MEMORY = re.compile("Out of Memory|could not allocate block|failed to pin block")
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


class SqlClient(DuckDbSqlClient):
    """dlt's, for which rows that wait in Parquet `files`, by table, are in its staging tables."""

    files: Mapping[str, list[str]] = {}

    def get_qualified_table_names(
        self, table_name: str, quote: bool = True, casefold: bool = True
    ) -> tuple[str, str]:
        table, staging = super().get_qualified_table_names(table_name, quote, casefold)
        if not (files := self.files.get(table_name)):
            return table, staging
        # The staging table, which is empty, has the columns that no file has.
        return table, f"(SELECT * FROM {staging} UNION ALL BY NAME {_rows_in(files)})"  # noqa: S608


class CopyJob(DuckDbCopyJob):
    """dlt's, which takes a quote in the name of a folder for SQL."""

    def run(self) -> None:
        client = self._job_client.sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        client.execute_sql(f"INSERT INTO {table} BY NAME {_rows_in([self._file_path])}")


class Client(DuckDbClient):
    """dlt's, which merges Parquet files as they are, without a copy in its staging tables, and all
    in one transaction."""

    def __init__(self, schema: Schema, config: Any, capabilities: Any) -> None:
        # dlt 1.31 does not know: it deletes rows of tables without lists, and inserts them later.
        capabilities.supports_transactions = True
        super().__init__(schema, config, capabilities)
        own = self.sql_client
        names = own.dataset_name, own.staging_dataset_name
        self.sql_client = SqlClient(*names, config.credentials, capabilities)

    def create_load_job(
        self, table: Any, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if not file_path.endswith(".parquet"):
            return super().create_load_job(table, file_path, load_id, restore)
        is_merged = table["write_disposition"] == "merge"
        return FinalizedLoadJobWithFollowupJobs(file_path) if is_merged else CopyJob(file_path)

    def create_table_chain_completed_followup_jobs(
        self, table_chain: Any, completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None
    ) -> list[Any]:
        files: dict[str, list[str]] = {}
        for job in completed_table_chain_jobs or ():
            files.setdefault(job.job_file_info.table_name, []).append(job.file_path)
        cast(SqlClient, self.sql_client).files = files
        return super().create_table_chain_completed_followup_jobs(
            table_chain, completed_table_chain_jobs
        )


def _rows_in(files: Sequence[str]) -> str:
    """A query for all rows of Parquet files."""
    paths = ", ".join(map(escape_duckdb_literal, files))
    return f"SELECT * FROM read_parquet([{paths}], union_by_name=true)"  # noqa: S608


class DltDuckDB(dlt.destinations.duckdb):
    @property
    def destination_type(self) -> str:
        return "dlt.destinations.duckdb"  # as others know it who read the state

    @property
    def client_class(self) -> type[DuckDbClient]:
        return Client


class DuckDB:
    """The file of our own setting where none is configured as dlt documents it: dlt keeps
    credentials, also a file's path, out of config.toml."""

    cannot_be_opened: tuple[type[Exception], ...] = (DestinationConnectionError,)
    comments = COMMENTS

    def __init__(self, name: str, settings: WarehouseSettings) -> None:
        self.name, self.settings = name, settings

    def for_loads(self) -> Any:
        # Where rows need not stay in their order, DuckDB writes them in half of the time.
        limit = self.settings.memory_limit
        return self._with(memory_limit=limit, preserve_insertion_order=False)

    def for_reading(self) -> Any:
        return self._with()

    def _with(self, **global_config: Any) -> Any:
        """All that use what is returned share one connection."""
        credentials = DuckDbCredentials(self.settings.database, global_config=global_config)
        sections = ("destination", self.name)
        return DltDuckDB(
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
