"""Which rows can be loaded, and what identifies them."""

import hashlib
import json
import math
from collections.abc import Hashable, Sequence
from typing import Any, cast

from dlt.common.data_types import TDataType, coerce_value


class Unloadable(Exception):
    """A row that cannot be an event; the message says why."""


class Identity:
    """Identifies rows by their primary key, as the warehouse will compare it.

    A key column has one type. The first key that comes decides it, unless the table exists
    already; later keys are converted as dlt will convert them (1 and "1" are the same text).

    Args:
        primary_key: names of the columns, one for most APIs; none: rows are compared whole.

    `types` are the data types (dlt's) of the key columns, as far as they are known.
    """

    def __init__(self, primary_key: Sequence[str]) -> None:
        self.primary_key = primary_key
        self.types: dict[str, TDataType] = {}

    def key(self, row: Any) -> Hashable:
        """The primary key of a row.

        Raises:
            Unloadable: the row is no object, or its key is missing, empty, neither text nor
                integer, or does not fit the column.
        """
        if not isinstance(row, dict):
            raise Unloadable("not an object")
        values = [self._converted(name, row.get(name)) for name in self.primary_key]
        return values[0] if len(values) == 1 else tuple(values)

    def __call__(self, rows: list[Any]) -> list[Hashable]:
        """An identity for each row: its key, or what stands for the content of one without."""
        return [self._of(row) for row in rows]

    def _of(self, row: Any) -> Hashable:
        if self.primary_key:
            try:
                return ("key", self.key(row))
            except Unloadable:
                pass
        text = json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass")
        return ("row", hashlib.blake2b(text, digest_size=16).digest())

    def _converted(self, name: str, value: Any) -> Hashable:
        if value is None or value == "":
            raise Unloadable(f"no {name}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Unloadable(f"{name} is neither text nor integer")
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            raise Unloadable(f"{name} is neither text nor integer")
        own_type: TDataType = "text" if isinstance(value, str) else "bigint"
        value = int(value) if isinstance(value, float) else value
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise Unloadable(f"{name} is an integer beyond 64 bit")
        column_type = self.types.setdefault(name, own_type)
        try:
            converted = (
                value if column_type == own_type else coerce_value(column_type, own_type, value)
            )
        except (ValueError, TypeError):
            raise Unloadable(f"{name} does not fit its column of type {column_type}") from None
        return cast(Hashable, converted)


def require_loadable(row: Any) -> None:
    """Checks a row for what dlt or the warehouse cannot hold.

    Raises:
        Unloadable: says what it is.
    """
