"""Which rows can be loaded, and what identifies them."""

import hashlib
import json
import struct
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from dlt.common.data_types import DATA_TYPES, TDataType, coerce_value

from events_assets.errors import UnloadableError
from events_assets.rows.canonical import legible
from events_assets.rows.marks import MARKS
from events_assets.rows.names import Names
from events_assets.rows.rules import (
    ABYSS,
    RULES,
    Key,
    Path,
    Rule,
    TooDeep,
    beyond_64_bit,
    objection,
)

Row = dict[str, Any]

RESERVED = frozenset(
    {"_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_list_idx", *MARKS}
)
"""Columns that dlt fills itself, or this package."""

VARIANTS = tuple(f"__v_{data_type}" for data_type in DATA_TYPES)
"""Ends of the names of columns for values of another type than that of their own column."""

KEY_TYPES: dict[type, TDataType] = {str: "text", int: "bigint"}


@dataclass(eq=False)
class Identity:
    """Identifies rows by their primary key, as the warehouse will compare it.

    A key column has one type. The first key that comes decides it, unless the table exists
    already; later keys are converted as dlt will convert them (1 and "1" are the same text). Where
    one does not fit a column of integers, it is to be one of texts, and all is to be read anew.

    Args:
        primary_key: names of the columns, one for most APIs; none: rows are compared whole.

    `types` are the data types (dlt's) of the key columns, as far as they are known; `widened` those
    that turned out to be too narrow.
    """

    primary_key: Sequence[str]
    types: dict[str, TDataType] = field(default_factory=dict)
    widened: set[str] = field(default_factory=set)

    def copy(self) -> "Identity":
        """One that decides on types by itself."""
        return Identity(self.primary_key, {**self.types})

    def objection(self, row: Any) -> str:
        """Why a row has no usable key: it is no object, or its key is missing, empty, neither text
        nor integer, or does not fit the column. Empty for one that has."""
        if isinstance(row, TooDeep):
            return f"nested deeper than {ABYSS} levels"
        if not isinstance(row, dict):
            return "not an object"
        try:
            self._key(row)
        except UnloadableError as error:
            return str(error)
        return ""

    def with_keys(self, rows: list[Row], identities: Iterable[Any]) -> list[Row]:
        """The rows, which have usable keys, with these as the warehouse will hold them."""
        if not self.primary_key:
            return rows
        keyed = zip(rows, identities, strict=True)
        if len(self.primary_key) > 1:
            return [row | dict(zip(self.primary_key, key, strict=True)) for row, key in keyed]
        (name,) = self.primary_key
        return [row if row[name] is key else row | {name: key} for row, key in keyed]

    def is_keyless(self, identity: Hashable) -> bool:
        """Whether an identity stands for a row without a usable key. Such rows may be equal, and
        yet several."""
        return isinstance(identity, bytes) and bool(self.primary_key)

    def __call__(self, rows: list[Any]) -> list[Hashable]:
        """An identity for each row: its key, or what stands for the content of one without."""
        return self._plain(rows) or [self._of(row) for row in rows]

    def _plain(self, rows: list[Any]) -> list[Hashable]:
        """The keys of rows if none of them has to be converted or refused, which is most often so
        and takes a tenth of the time; else nothing."""
        if len(self.primary_key) != 1 or {*map(type, rows)} != {dict}:
            return []
        (name,) = self.primary_key
        keys = [row.get(name) for row in rows]
        kinds, column_type = {*map(type, keys)}, self.types.get(name)
        whole = kinds == {int} and column_type == "bigint"
        if whole and not beyond_64_bit(min(keys)) and not beyond_64_bit(max(keys)):
            return keys
        return keys if kinds == {str} and column_type == "text" and "" not in keys else []

    def _of(self, row: Any) -> Hashable:
        if self.primary_key and isinstance(row, dict):
            with suppress(UnloadableError):
                key = self._key(row)
                return key[0] if len(key) == 1 else key
        return content_digest(row)

    def _key(self, row: dict[str, Any]) -> tuple[Hashable, ...]:
        return tuple(self._converted(name, row.get(name)) for name in self.primary_key)

    def _converted(self, name: str, value: Any) -> Hashable:
        if value is None or value == "":
            raise UnloadableError(f"no {name}")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        own_type = KEY_TYPES.get(type(value))
        if own_type is None:
            raise UnloadableError(f"{name} is neither text nor integer")
        if own_type == "bigint" and beyond_64_bit(value):
            own_type, value = "text", str(value)
        column_type = self.types.setdefault(name, own_type)
        try:
            converted = coerce_value(column_type, own_type, value)
        except (ValueError, TypeError):
            converted = None
        if isinstance(converted, datetime):
            return in_utc(converted)
        if converted is None or str(converted) != str(value):
            if column_type == "bigint":
                self.types[name] = "text"
                self.widened.add(name)
                return cast(Hashable, value)
            raise UnloadableError(f"{name} does not fit its column of type {column_type}")
        return cast(Hashable, converted)


def content_digest(row: Any) -> bytes:
    """A digest of what a row holds, whatever the order of its keys."""
    try:
        text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # what only the standard module writes: surrogates, large integers
        text = json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


def as_numbers(digests: Sequence[bytes]) -> Sequence[int]:
    """The first 64 bits of each digest, as the warehouse keeps them."""
    return struct.unpack(">" + "q8x" * len(digests), b"".join(digests))


def in_utc(time: datetime) -> str:
    """A time as keys have it; one without a zone is in UTC, as the warehouse takes it."""
    return (time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


@dataclass(frozen=True)
class Loadable:
    """Makes rows fit to be loaded without losing a value.

    Keys that dlt would give one and the same column get names of their own, by `names`; dlt would
    keep only one of their values. `canonical` are the columns that hold no objects and no lists.
    """

    names: Names
    rules: Sequence[Rule] = RULES
    canonical: Sequence[str] = ()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A copy of the row, with other keys where they clash. Raises UnloadableError, with the
        place, where it holds what dlt or the warehouse cannot hold."""
        return cast(dict[str, Any], self._value(legible(row) if self.canonical else row, ()))

    def _value(self, value: Any, path: Path) -> Any:
        if found := objection(self.rules, value, path):
            raise UnloadableError(f"{found} at {_place(path)}" if path else found)
        if type(value) is list:
            return [self._value(item, (*path, "list")) for item in value]
        if type(value) is not dict:
            return value
        for key in value:
            if found := objection(self.rules, key, path, Key):
                raise UnloadableError(f"{found} at {_place(path)}")
        items = {key: self._value(one, (*path, key)) for key, one in value.items()}
        return self._renamed(items, self.names(items, path))

    def _renamed(self, items: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
        """An object with keys of which dlt makes different columns."""
        taken = {*RESERVED} | {
            f"{names[key]}__{rest}" for key, item in items.items() for rest in self._within(item)
        }
        kept = {key for key, name in names.items() if key == name and key not in taken}
        kept -= {key for key in kept if key.endswith(VARIANTS)}
        taken |= kept
        renamed = {}
        for key, item in items.items():
            name, number = names[key], 2
            while key not in kept and (name in taken or name.endswith(VARIANTS)):
                name, number = f"{names[key]}_{number}", number + 1
            taken.add(name)
            is_usual = key.strip() and name == self.names.column(key)
            renamed[key if is_usual else name] = item
        return renamed

    def _within(self, value: Any) -> Iterator[str]:
        """Names of all that objects and lists hold, and what such names begin with; the keys in
        there have their names already."""
        if type(value) is list:
            for item in value:
                yield from self._within(item)
        elif type(value) is dict:
            for key, item in value.items():
                name = self.names.column(key)
                yield from (name[:at] for at in range(len(name)) if name.startswith("__", at))
                yield name
                yield from (f"{name}__{rest}" for rest in self._within(item))


def _place(path: Path) -> str:
    place = ".".join(path).encode("ascii", "replace").decode() or "its keys"
    return place if len(place) <= 60 else f"{place[:57]}..."
