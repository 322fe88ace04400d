"""Which destination is configured, and why others are refused."""

import re

import dlt

from events_assets import configuration
from events_assets.destinations.base import Destination
from events_assets.errors import ConfigurationError

BROKEN = {
    "sqlalchemy": (
        "SQLite gives times back as texts and MariaDB without a zone, and neither takes the "
        "statements that keep events in step; no other database was tried that way"
    ),
    "filesystem": (
        "dlt only adds to files: an event that changed was there twice (Parquet), its old lists "
        "stayed (Delta), and a new field ended the load (Iceberg)"
    ),
    "ducklake": (
        "nothing keeps loads apart there: when four ran at once, an event was there twice, and two "
        "receipts called it new"
    ),
}
"""By dlt's type of destination: the promises that it broke when it was tried."""
UNTRIED = "nobody has compared what it would hold with what DuckDB holds"
UNKNOWN = "dlt has no destination of that name"
REMEDY = (
    'set destination_type to "duckdb" or "postgres", at the top of .dlt/config.toml or, as that '
    "wins, in the environment as DESTINATION_TYPE; docs/destinations.md says more"
)
OF_DLT = "dlt.destinations."
NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}")


def destination_name() -> str:
    """The name under which the destination is configured, DuckDB by default. Raises
    ConfigurationError where it is none, without it, as it may be a URL with a password."""
    name = (dlt.config.get("destination_type", str) or "duckdb").removeprefix(OF_DLT)
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"destination_type is no name of a destination: {REMEDY}")
    return name


def destination() -> Destination:
    """The destination that is configured. Raises ConfigurationError where events cannot be kept
    there as they have to be, or what it needs is not installed."""
    name = destination_name()
    kind = dlt.config.get(f"destination.{name}.destination_type", str) or name
    kind = kind.removeprefix(OF_DLT)
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
    is_known = "." in kind or kind in dlt.destinations.__all__
    why = BROKEN.get(kind, UNTRIED if is_known else UNKNOWN)
    told = name if kind == name else f"{name}, which is of the type {kind}"
    raise ConfigurationError(f"events cannot go to {told}: {why}; {REMEDY}")
