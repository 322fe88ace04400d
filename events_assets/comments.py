"""Describes tables and columns where they are: in dlt's schema, which then stands in `_dlt_version`,
and as comments in the database. Both are written only where they differ."""

from typing import Any

import dlt
from dlt.common.schema import Schema

from events_assets.descriptions import MARKED, OWN, TABLES, of_column, of_table
from events_assets.sql import select

# DuckDB has these catalogs of PostgreSQL, too.
COMMENTS = """
SELECT c.relname, a.attname, c.relkind, d.description
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = %s
JOIN (SELECT attrelid, attname, attnum FROM pg_catalog.pg_attribute WHERE attnum > 0
      UNION ALL SELECT oid, NULL, 0 FROM pg_catalog.pg_class) AS a ON a.attrelid = c.oid
LEFT JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = a.attnum
WHERE c.relkind = 'r' OR (c.relkind = 'v' AND a.attnum = 0)
"""


def describe(pipeline: dlt.Pipeline) -> None:
    """Describes all that a pipeline knows, after its load."""
    tables: dict[str, Any] = {}
    for name in pipeline.schema_names:
        schema = pipeline.schemas[name]
        _note(schema)
        if schema.is_modified:
            pipeline.schemas.save_schema(schema)
            pipeline.sync_schema(name)
        tables |= schema.tables
    with pipeline.dataset() as dataset:
        _comment(dataset, tables)


def _note(schema: Schema) -> None:
    """Puts descriptions into a schema; those that the user has given stay."""
    for table in schema.data_tables(seen_data_only=True):
        name = table["name"]
        is_own = name.startswith(OWN)
        table["description"] = (not is_own and table.get("description")) or of_table(name)
        for column in table["columns"].values():
            ours = of_column(name, column["name"])
            is_set = not is_own and column["name"] not in MARKED
            column["description"] = (is_set and column.get("description")) or ours


def _comment(dataset: dlt.Dataset, tables: dict[str, Any]) -> None:
    client = dataset.sql_client
    quote = client.escape_column_name
    for table, column, kind, comment in select(dataset, COMMENTS, client.dataset_name):
        known = tables.get(table, {"columns": {}})
        found = known["columns"].get(column, {}) if column else known
        text = found.get("description") or (not column and TABLES.get(table))
        if text and text != comment:
            what = "COLUMN" if column else "VIEW" if kind == "v" else "TABLE"
            name = client.make_qualified_table_name(table) + (f".{quote(column)}" if column else "")
            literal = client.capabilities.escape_literal(text)
            client.execute_sql(f"COMMENT ON {what} {name} IS {literal}")
