"""Which rows can be loaded, and what identifies them."""

import hashlib
import json
import math
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, cast

from dlt.common.data_types import DATA_TYPES, TDataType, coerce_value

from events_assets.errors import UnloadableError
from events_assets.rows.rules import RULES, Key, Path, Rule

RESERVED = frozenset({"_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_list_idx"})
"""Columns that dlt fills itself."""

VARIANTS = frozenset(f"v_{data_type}" for data_type in DATA_TYPES)
"""Ends of the names of columns for values of another type than that of their own column."""

EMPTY_KEY = "empty"
"""Stands for a key without a visible character; dlt mixes up the tables below such keys."""


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

    def with_key(self, row: Any, identity: Hashable) -> dict[str, Any]:
        """`keyed` for a row whose identity is known already.

        Raises:
            UnloadableError: as `keyed`.
        """
        if len(self.primary_key) == 1 and not isinstance(identity, bytes):
            (name,) = self.primary_key
            return cast(
                dict[str, Any],
                row if type(row[name]) is type(identity) else {**row, name: identity},
            )
        return self.keyed(row)

    def is_keyless(self, identity: Hashable) -> bool:
        """Whether an identity stands for a row without a usable key. Such rows may be equal, and
        yet several."""
        return isinstance(identity, bytes) and bool(self.primary_key)

    def keyed(self, row: Any) -> dict[str, Any]:
        """The row with its primary key as the warehouse will hold it.

        Raises:
            UnloadableError: the row is no object, or its key is missing, empty, neither text nor
                integer, or does not fit the column.
        """
        if not isinstance(row, dict):
            raise UnloadableError("not an object")
        key = {name: self._converted(name, row.get(name)) for name in self.primary_key}
        same = all(type(row[name]) is type(value) for name, value in key.items())
        return row if same else {**row, **key}

    def __call__(self, rows: list[Any]) -> list[Hashable]:
        """An identity for each row: its key, or what stands for the content of one without."""
        keys = self._plain(rows)
        return [self._of(row) for row in rows] if keys is None else keys

    def _plain(self, rows: list[Any]) -> list[Hashable] | None:
        """The keys of rows, if none of them has to be converted or refused."""
        if len(self.primary_key) != 1 or {*map(type, rows)} != {dict}:
            return None
        (name,) = self.primary_key
        keys = [row.get(name) for row in rows]
        kinds, column_type = {*map(type, keys)}, self.types.get(name)
        if kinds == {int} and column_type == "bigint":
            return keys if min(keys) >= -(2**63) and max(keys) < 2**63 else None
        return keys if kinds == {str} and column_type == "text" and "" not in keys else None

    def _of(self, row: Any) -> Hashable:
        if self.primary_key and isinstance(row, dict):
            try:
                values = [self._converted(name, row.get(name)) for name in self.primary_key]
                return values[0] if len(values) == 1 else tuple(values)
            except UnloadableError:
                pass
        text = json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16).digest()

    def _converted(self, name: str, value: Any) -> Hashable:
        if value is None or value == "":
            raise UnloadableError(f"no {name}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise UnloadableError(f"{name} is neither text nor integer")
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            raise UnloadableError(f"{name} is neither text nor integer")
        own_type: TDataType = "text" if isinstance(value, str) else "bigint"
        value = int(value) if isinstance(value, float) else value
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UnloadableError(f"{name} is an integer beyond 64 bit")
        column_type = self.types.setdefault(name, own_type)
        try:
            converted = (
                value if column_type == own_type else coerce_value(column_type, own_type, value)
            )
        except (ValueError, TypeError):
            converted = None
        if converted is None or str(converted) != str(value):
            raise UnloadableError(f"{name} does not fit its column of type {column_type}")
        return cast(Hashable, converted)


class Loadable:
    """Makes rows fit to be loaded without losing a value.

    Keys that dlt would give one and the same column are told apart by a number (`Event Name`
    beside `event_name` becomes `event_name_2`); dlt would keep only one of their values.

    Args:
        normalize: gives the column name that dlt makes of a key.
        rules: what cannot be loaded.
    """

    def __init__(self, normalize: Callable[[str], str], rules: Sequence[Rule] = RULES) -> None:
        self._normalize = lru_cache(maxsize=100_000)(normalize)
        self.rules = rules
        kinds = {kind for rule in rules for kind in rule.kinds}
        self._reasons = {
            kind: [rule.reason for rule in rules if kind in rule.kinds] for kind in kinds
        }

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row itself, or a copy of it with other keys.

        Raises:
            UnloadableError: it holds what dlt or the warehouse cannot hold; names the place.
        """
        return cast(dict[str, Any], self._value(row, ()))

    def _value(self, value: Any, path: Path) -> Any:
        kind = type(value)
        for reason in self._reasons.get(kind, ()):
            if found := reason(value, path):
                raise UnloadableError(f"{found} at {_place(path)}" if path else found)
        if kind is dict:
            return self._object(value, path)
        if kind is list:
            items = [self._value(item, (*path, "list")) for item in value]
            if any(new is not old for new, old in zip(items, value, strict=True)):
                return items
        return value

    def _object(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        for reason in self._reasons.get(Key, ()):
            for key in value:
                if found := reason(key, path):
                    raise UnloadableError(f"{found} at {_place(path)}")
        items = {key: self._value(item, (*path, key)) for key, item in value.items()}
        names = {key: self._name(key) for key in value}
        keys = {name: key for key, name in names.items()}
        unsound = EMPTY_KEY in keys or not RESERVED.isdisjoint(keys)
        if (
            unsound
            or len(keys) < len(names)
            or any(self._is_taken(name, items, keys) for name in keys)
        ):
            return self._renamed(items, names, keys)
        if any(items[key] is not value[key] for key in value):
            return items
        return value

    def _name(self, key: str) -> str:
        return self._normalize(key) if key.strip() else EMPTY_KEY

    def _is_taken(self, name: str, value: dict[str, Any], keys: dict[str, str]) -> bool:
        """Whether a name with two underscores stands for something within another key of an
        object, or for its values of another type; `keys` are those of the object by their names.
        """
        parts = name.split("__")
        for at in range(1, len(parts)):
            key, rest = keys.get("__".join(parts[:at])), "__".join(parts[at:])
            if key is not None and (rest in VARIANTS or self._holds(value[key], rest)):
                return True
        return False

    def _holds(self, value: Any, name: str) -> bool:
        if isinstance(value, list):
            return any(self._holds(item, name) for item in value)
        if not isinstance(value, dict):
            return False
        keys = {self._name(key): key for key in value}
        same = any(f"{other}__".startswith(f"{name}__") for other in keys)
        return same or self._is_taken(name, value, keys)

    def _renamed(
        self, items: dict[str, Any], names: dict[str, str], keys: dict[str, str]
    ) -> dict[str, Any]:
        taken = {*RESERVED} | {name for key, name in names.items() if key == name}
        renamed = {}
        for key, item in items.items():
            new, number = key, 2
            if key != names[key] or key in RESERVED or self._is_taken(key, items, keys):
                new = names[key]
                while new in taken or self._is_taken(new, items, keys):
                    new, number = f"{names[key]}_{number}", number + 1
                taken.add(new)
            renamed[new] = item
        return renamed


def _place(path: Path) -> str:
    place = ".".join(path).encode("ascii", "replace").decode() or "its keys"
    return place if len(place) <= 60 else f"{place[:57]}..."
