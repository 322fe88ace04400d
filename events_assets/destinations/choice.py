"""Which destination is configured."""

import dlt

from events_assets import configuration
from events_assets.destinations.base import Destination
from events_assets.errors import ConfigurationError

REMEDY = 'set destination_type = "duckdb" or "postgres" at the top of .dlt/config.toml'


def destination_name() -> str:
    """The name under which the destination is configured, DuckDB by default."""
    return dlt.config.get("destination_type", str) or "duckdb"


def destination() -> Destination:
    """The destination that is configured.

    Raises:
        ConfigurationError: events cannot be kept there as they have to be, or what it needs is not
            installed.
    """
    name = destination_name()
    kind = dlt.config.get(f"destination.{name}.destination_type", str) or name
    kind = kind.rpartition(".")[2]
    if kind == "duckdb":
        from events_assets.destinations.duckdb import DuckDB

        return DuckDB(name, configuration.warehouse_settings())
    if kind == "postgres":
        try:
            from events_assets.destinations.postgres import Postgres
        except ImportError as error:
            raise ConfigurationError(
                f"PostgreSQL needs what is not installed: pip install 'events-assets[postgres]' "
                f"({error})"
            ) from error
        return Postgres(name)
    raise ConfigurationError(f"events cannot go to {kind}: {REMEDY}")
