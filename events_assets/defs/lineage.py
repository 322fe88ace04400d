"""What stands around the assets in Dagster's catalog: the API that events come from, the tables
that a load fills beside them, and what is known of each before anything is loaded."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

import dagster as dg

from events_assets import configuration, providers, warehouse
from events_assets.defs.configured import DESTINATION, TABLES, configured
from events_assets.defs.metadata import column_schema
from events_assets.descriptions import of_table
from events_assets.http.transport import origin
from events_assets.scan.quarantine import QUARANTINE_COLUMNS, quarantine_of
from events_assets.scan.receipt import Receipt
from events_assets.scan.tables import CHANGE_COLUMNS, CHANGES, RECEIPTS
from events_assets.sync import CURRENT

API = "events_api"
OWNERS: list[str] = configured(lambda: configuration.catalog_settings().owners, list[str]())
DATASET = configured(warehouse.dataset_name, "events_data")
DATA_TYPES = {"str": "text", "int": "bigint", "float": "double", "datetime": "timestamp"}


def with_code(assets: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """Assets whose pages lead to the lines that define them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        (found,) = dg.with_source_code_references([assets])
    return cast(dg.AssetsDefinition, found)


def of_asset(table: str, columns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The metadata that a table has by definition."""
    shown: dict[str, Any] = {"dagster/table_name": f"{DATASET}.{table}"}
    return shown | ({"dagster/column_schema": column_schema(table, columns)} if columns else {})


def beside(table: str, upstream: str, columns: Mapping[str, Any] | None = None) -> dg.AssetSpec:
    """A table that is filled by the load of another one."""
    return dg.AssetSpec(
        table,
        deps=[upstream],
        group_name="events",
        kinds={DESTINATION, "view" if table == CURRENT else "table"},
        owners=OWNERS,
        description=of_table(table),
        metadata=of_asset(table, columns),
    )


def api() -> dg.AssetSpec:
    """The API, without a path or a query: these may hold what is secret."""
    base_url = "the built-in sample API"
    if not configuration.is_sample():
        config = configured(configuration.rest_api_config, None)
        base_url = origin(config["client"]["base_url"]) if config else "not configured rightly"
    return dg.AssetSpec(
        API,
        group_name="events",
        kinds={"api"},
        owners=OWNERS,
        description=f"The event-management API of `{providers.described_in()}`. Nothing is run "
        "for it: `check_api_job` tries it, and `events` loads from it.",
        metadata={"base_url": base_url},
    )


def receipt_columns() -> dict[str, Any]:
    """The columns of receipts, with the data types (dlt's) that they have."""
    kinds = {
        one.name: re.search(r"\b(str|int|float|datetime)\b", str(one.type))
        for one in fields(Receipt)
    }
    return {name: {"data_type": DATA_TYPES[kind[1]]} for name, kind in kinds.items() if kind}


@dg.definitions
def lineage() -> dg.Definitions:
    quarantines = [beside(quarantine_of(name), name, QUARANTINE_COLUMNS) for name in TABLES]
    return dg.Definitions(
        assets=[
            api(),
            beside(CURRENT, "events"),
            beside(CHANGES, "events", CHANGE_COLUMNS),
            beside(RECEIPTS, "events", receipt_columns()),
            *quarantines,
        ]
    )
