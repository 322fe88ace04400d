"""Describes tables and columns where they are: in dlt's schema, which `_dlt_version` keeps, and as
comments in the database. Both are written only where they differ."""

from typing import Any

import dlt
from dlt.common.schema import Schema

from events_assets.descriptions import MARKED, OWN, TABLES, of_column, of_table
from events_assets.destinations.base import Destination
from events_assets.sql import select
from events_assets.sync import CURRENT


def describe(pipeline: dlt.Pipeline, dataset: dlt.Dataset, destination: Destination) -> None:
    """Describes all that a pipeline knows, after its load, in its dataset."""
    tables: dict[str, Any] = {}
    for name in pipeline.schema_names:
        schema = pipeline.schemas[name]
        _note(schema)
        if schema.is_modified:
            pipeline.schemas.save_schema(schema)
            pipeline.sync_schema(name)
        tables |= schema.tables
    _comment(dataset, tables, destination.comments)


def _note(schema: Schema) -> None:
    """Puts descriptions into a schema; those that the user has given stay."""
    for table in schema.data_tables(seen_data_only=True):
        name = str(table["name"])
        is_own = name.startswith(OWN)
        table["description"] = (not is_own and table.get("description")) or of_table(name)
        for key, column in table["columns"].items():
            is_of_api = not is_own and key not in MARKED and "__v_" not in key
            column["description"] = (is_of_api and column.get("description")) or of_column(
                name, key
            )


def _comment(dataset: dlt.Dataset, tables: dict[str, Any], comments: str) -> None:
    client = dataset.sql_client
    found = select(dataset, comments, client.dataset_name)
    with client.begin_transaction():  # one for all: the view is made anew by each load
        for what, table, column, comment in found:
            text = _said(tables, table, column)
            if text and text != comment:
                name = client.make_qualified_table_name(table)
                name += f".{client.escape_column_name(column)}" if column else ""
                client.execute_sql(
                    f"COMMENT ON {what} {name} IS {client.capabilities.escape_literal(text)}"
                )


def _said(tables: dict[str, Any], table: str, column: str | None) -> str | None:
    """What is known of a table or of a column; those of the view are the columns of the events."""
    if not column:
        return tables.get(table, {}).get("description") or TABLES.get(table)
    known = tables.get("events" if table == CURRENT else table, {"columns": {}})
    found: str | None = known["columns"].get(column, {}).get("description")
    return found
