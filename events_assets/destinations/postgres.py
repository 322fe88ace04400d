"""PostgreSQL, into which one load of a dataset at a time is let by a lock in the database."""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import adbc_driver_postgresql  # type: ignore[import-untyped]  # noqa: F401 - dlt loads with it
import dlt
import psycopg2  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.destination.client import LoadJob
from dlt.common.schema import Schema
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.destinations.impl.postgres.configuration import PostgresCredentials
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.job_impl import FinalizedLoadJobWithFollowupJobs

from events_assets.destinations.base import InUseError, cause
from events_assets.errors import ConfigurationError, WarehouseError

LOCK = "hashtextextended('events_assets ' || %s, 0)"
"""The advisory lock of a dataset, which ends with the connection that has it."""
TAKE = f"SELECT pg_try_advisory_lock({LOCK})"
# The values of classid and objid are the two halves of the lock's number.
HOLDERS = f"""
SELECT a.pid, coalesce(a.client_addr::text, 'this machine or of another role')
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (l.classid::bigint << 32) | l.objid::bigint = {LOCK}
"""  # noqa: S608
FITNESS = """
SELECT current_setting('server_encoding'), current_database(), current_user,
       has_database_privilege(current_database(), 'CREATE') OR 2 = (
           SELECT count(*) FROM pg_namespace
           WHERE nspname IN (%s, %s) AND has_schema_privilege(oid, 'CREATE'))
"""
COMMENTS = """
SELECT CASE WHEN a.attnum > 0 THEN 'COLUMN' WHEN c.relkind = 'v' THEN 'VIEW' ELSE 'TABLE' END,
       c.relname, a.attname, d.description
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN (SELECT attrelid, attname, attnum FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
      UNION ALL SELECT oid, NULL, 0 FROM pg_class) AS a ON a.attrelid = c.oid
LEFT JOIN pg_description AS d
       ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
WHERE n.nspname = %s AND c.relkind IN ('r', 'v')
"""
LOST = (
    "the connection that kept other loads out of the warehouse broke, and nothing was loaded: load "
    "again"
)
KEEPALIVE = 60
"""Seconds after which a silent connection shows a firewall that it lives."""


class Client(PostgresClient):
    """dlt's, which asks `require_hold` before it writes, and merges in one transaction."""

    require_hold: Callable[[], None]

    def __init__(self, schema: Schema, config: Any, capabilities: Any) -> None:
        capabilities.supports_transactions = True  # dlt 1.31 does not know
        super().__init__(schema, config, capabilities)

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        self.require_hold()
        super().initialize_storage(truncate_tables or ())

    def create_load_job(
        self, table: Any, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """As dlt's, which fails for files without rows: tables that are to exist."""
        if file_path.endswith(".parquet") and not pq.read_metadata(file_path).num_rows:
            return FinalizedLoadJobWithFollowupJobs(file_path)
        return super().create_load_job(table, file_path, load_id, restore)


class DltPostgres(dlt.destinations.postgres):
    """dlt's destination; `require_hold` raises where others may load, too."""

    require_hold: Callable[[], None] = staticmethod(lambda: None)

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.postgres"  # as others know it who read the state

    @property
    def client_class(self) -> type[PostgresClient]:
        return Client

    def client(self, schema: Schema, initial_config: Any = None) -> Any:
        client: Any = super().client(schema, initial_config)
        client.require_hold = self.require_hold
        return client


class Postgres:
    cannot_be_opened: tuple[type[Exception], ...] = (
        DestinationConnectionError,
        psycopg2.Error,  # by dlt as it is
    )
    comments = COMMENTS

    def __init__(self, name: str) -> None:
        self.name = name

    def for_reading(self) -> Any:
        return self.for_loads()

    def for_loads(self) -> Any:
        credentials = self._credentials()
        credentials.session_timezone = credentials.session_timezone or "UTC"
        credentials.query = {"keepalives_idle": KEEPALIVE, **(credentials.query or {})}
        self._of_dlt = DltPostgres(credentials, destination_name=self.name)
        return self._of_dlt

    def _credentials(self) -> PostgresCredentials:
        """Errors tell nothing of what is configured: it holds the password."""
        section = f"destination.{self.name}.credentials"
        remedy = (
            f"set {section.upper().replace('.', '__')}=postgresql://user:password@host:5432/"
            f"database in the environment, or the same as {section} in .dlt/secrets.toml"
        )
        try:
            found = resolve_configuration(
                PostgresCredentials(), sections=("destination", self.name)
            )
        except ConfigFieldMissingException as error:
            missing = ", ".join(error.fields)
            raise ConfigurationError(f"the warehouse has no {missing}: {remedy}") from error
        except ConfigurationException:
            raise ConfigurationError(f"{section} is no URL of PostgreSQL: {remedy}") from None
        if found.drivername not in ("postgresql", "postgres") or "@" in (found.host or ""):
            raise ConfigurationError(
                f"{section} is no URL of PostgreSQL, or has an @ in its password that is not "
                f"written as %40: {remedy}"
            )
        return found

    def is_in_use(self, error: BaseException) -> bool:
        return isinstance(error, InUseError)

    def explained(self, error: BaseException) -> str:
        return (
            f"the warehouse cannot be opened: {cause(error)}; check "
            f"[destination.{self.name}.credentials], and that it runs"
        )

    def hold(self, dataset: dlt.Dataset) -> None:
        _require_fit(dataset)
        if not _asked(dataset, TAKE)[0][0]:
            holders = [f"process {pid} of {host}" for pid, host in _asked(dataset, HOLDERS)]
            who = ", ".join(holders) or "another load"
            raise InUseError(f"{who} loads into {dataset.dataset_name}")
        self._of_dlt.require_hold = partial(_require_hold, dataset)

    def require_unique(self, dataset: dlt.Dataset, table: str, columns: list[str]) -> None:
        client = dataset.sql_client
        key = ", ".join(map(client.escape_column_name, columns))
        name = client.make_qualified_table_name(table)
        try:
            client.execute_sql(f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_key ON {name} ({key})")
        except DatabaseException as error:
            raise WarehouseError(
                f"rows of {name} have the same {key}: delete those that should not be there, and "
                f"load again ({cause(error)})"
            ) from error

    def working_folder(self, _: dlt.Dataset) -> AbstractContextManager[str]:
        return tempfile.TemporaryDirectory(prefix="events_assets_")

    def gave_memory(self, *_: Any) -> bool:
        return False


def _require_fit(dataset: dlt.Dataset) -> None:
    """Sees to it that a load, which is about to begin, can end: with another encoding than UTF-8,
    texts would even be loaded, and be other texts."""
    client = dataset.sql_client
    schemas = client.dataset_name, client.staging_dataset_name
    ((encoding, database, user, may_write),) = client.execute_sql(FITNESS, *schemas) or []
    if encoding != "UTF8":
        raise WarehouseError(
            f"the database {database} has the encoding {encoding}, in which not every text can be "
            f"held: make another one with ENCODING 'UTF8' TEMPLATE template0"
        )
    if not may_write:
        raise WarehouseError(
            f"{user} may make no schemas in the database {database}, where {' and '.join(schemas)} "
            f'have to be: GRANT CREATE ON DATABASE "{database}" TO "{user}"'
        )


def _require_hold(dataset: dlt.Dataset) -> None:
    try:
        is_held = _asked(dataset, f"{HOLDERS} AND pid = pg_backend_pid()")
    except Exception as error:
        raise WarehouseError(f"{LOST}: {cause(error)}") from error
    if not is_held:
        raise WarehouseError(LOST)


def _asked(dataset: dlt.Dataset, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query about the lock of a dataset."""
    return [tuple(row) for row in dataset.sql_client.execute_sql(sql, dataset.dataset_name) or []]
