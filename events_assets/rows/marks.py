"""Columns that a table has beside those of its rows: what each holds, and since when it has it."""

from typing import Any

from dlt.common.schema import Schema

DIGEST = "_digest"
FIRST_SEEN, CHANGED, REMOVED = "_first_seen_at", "_changed_at", "_removed_at"

INSTANT: Any = {"data_type": "timestamp", "timezone": True}
MARKS: dict[str, Any] = {
    FIRST_SEEN: {**INSTANT},  # dlt writes into what it is given
    CHANGED: {**INSTANT},
    REMOVED: {**INSTANT},
    DIGEST: {"data_type": "bigint"},
}
"""Their data types (dlt's). The first three are times at which a scan began; the digest is that of
the row's content as it came, to tell whether it changes."""


def declare_marks(schema: Schema, table: str) -> None:
    """Adds the marks to a table that has none, after the columns that it has."""
    known = schema.tables[table]["columns"] if table in schema.tables else {}
    missing: Any = {name: {"name": name, **MARKS[name]} for name in MARKS if name not in known}
    if missing:
        schema.update_table({"name": table, "columns": missing}, normalize_identifiers=False)


def fingerprint(digests: int) -> str:
    """What tells the content of a table from another one: from the sum of the digests of its rows,
    which is the same in whatever order they come."""
    return f"{digests % (1 << 128):032x}"
