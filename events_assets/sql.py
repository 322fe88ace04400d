"""Statements on a dataset, in the dialect of its destination."""

from typing import Any

import dlt

from events_assets.rows.marks import REMOVED


def select(dataset: dlt.Dataset, sql: str, *parameters: Any, **parts: str) -> list[tuple[Any, ...]]:
    """The rows of a query. In `sql`, `{events}` stands for the qualified name of the table
    `events`, and `%s` for each of the `parameters`; `parts` are further parts of it."""
    rows = dataset.sql_client.execute_sql(_filled(dataset, sql, parts), *parameters)
    return [tuple(row) for row in rows or []]


def execute(dataset: dlt.Dataset, sql: str, *parameters: Any, **parts: str) -> None:
    """Executes a statement that changes something, as `select` takes it."""
    dataset.sql_client.execute_sql(_filled(dataset, sql, parts), *parameters)


def records(dataset: dlt.Dataset, sql: str, *parameters: Any, **parts: str) -> list[dict[str, Any]]:
    """The rows of a query, as `select` takes it, by the names of their columns."""
    query = _filled(dataset, sql, parts)
    with dataset.sql_client.execute_query(query, *parameters) as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def current(dataset: dlt.Dataset, table: str) -> str:
    """The condition for rows of a table that are not marked as removed."""
    known = dataset.schema.get_table_columns(table)
    return f"{REMOVED} IS NULL" if REMOVED in known else "1 = 1"


def _filled(dataset: dlt.Dataset, sql: str, parts: dict[str, str]) -> str:
    qualified = dataset.sql_client.make_qualified_table_name
    return sql.format(**{table: qualified(table) for table in dataset.tables} | parts)
