"""Rows taken apart into the columns of the tables that dlt makes of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.normalizers.json.relational import DataItemNormalizer
from dlt.common.schema import DEFAULT_SCHEMA_CONTRACT_MODE, Schema
from dlt.common.schema.typing import TTableSchemaColumns

from events_assets.arrow.arrays import coerced_array, column_array, dlt_ids
from events_assets.rows.identity import DEEPEST, RESERVED

Row = dict[str, Any]
Path = tuple[str, ...]

Coerced = Callable[[str, str, Any], tuple[str, Any] | None]
"""What dlt makes of a value in a table and column: the column that it goes to, and the value in
there; None where that is not decided yet, or only for the row as a whole."""

NOTHING: Row = {}
NESTED = frozenset({dict, list})


class Shape:
    """Names, tables and columns that dlt gives to what rows hold, as far as it has decided them.

    Args:
        schema: where it decides them.
        resource_table: the table of the rows themselves.
        caps: what the destination can hold.
    """

    def __init__(
        self, schema: Schema, resource_table: str, caps: DestinationCapabilitiesContext
    ) -> None:
        normalizer = schema.data_item_normalizer
        assert isinstance(normalizer, DataItemNormalizer)  # noqa: S101, dlt has no other
        self.schema, self.normalizer, self.caps = schema, normalizer, caps
        self.table = normalizer._normalize_table_identifier(resource_table)
        nesting = normalizer._get_table_nesting_level(self.table, normalizer.max_nesting)
        self.nesting = 0 if nesting is None else nesting
        inherited = normalizer._get_propagation_mapping
        self.inherited = inherited(self.table, True) if inherited else {}
        self.name = lru_cache(maxsize=100_000)(self._name)

    @property
    def plain(self) -> bool:
        """Whether tables have the keys and the freedom to change that they have by default."""
        contract = self.schema.resolve_contract_settings_for_table(self.table)
        return (
            contract == DEFAULT_SCHEMA_CONTRACT_MODE
            and self.normalizer._get_root_row_id_type(self.table) == "random"
            and set(self.inherited) <= {self.normalizer.c_dlt_id}
        )

    def columns(self, table: str) -> TTableSchemaColumns:
        return self.schema.tables[table]["columns"] if table in self.schema.tables else {}

    def list_table(self, path: Path) -> str | None:
        """The table of lists; none if dlt may give them another one."""
        table = self.normalizer._shorten_fragments(*path)
        stable = self.schema.naming.normalize_tables_path(table) == table
        return table if stable and self.normalizer._should_be_nested(table) else None

    def _name(self, path: Path, key: str) -> tuple[str, str] | None:
        """The column of a key and the last part of its name; none if dlt may give it another."""
        if not key.strip():
            return None
        part = self.normalizer._normalize_identifier(key)
        column = self.normalizer._shorten_fragments(*path, part)
        stable = self.schema.naming.normalize_path(column) == column
        return (column, part) if stable and part not in RESERVED and _is_text(key) else None


@dataclass
class Level:
    """Objects that become the rows of one table.

    `roots` are the positions of the rows they belong to, one for each object. `parents` are the
    positions of the objects `above` in whose lists they stand, at `indexes`. `columns` hold a value
    for each object, `kinds` the types of these values.
    """

    table: str
    path: Path
    nesting: int
    roots: list[int]
    above: "Level | None" = None
    parents: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    kinds: dict[str, set[type]] = field(default_factory=dict)
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    ids: Any = None


class Levels:
    """Some rows, taken apart. `coerced` is asked about values that Arrow does not convert as dlt.

    `new` is the position of the first row that brings a table or column which is not decided
    yet. `unfit` are the positions of rows of which dlt may make something else.
    """

    def __init__(self, shape: Shape, rows: list[Row], coerced: Coerced) -> None:
        self.shape = shape
        self._coerced = coerced
        self.new = len(rows)
        self.unfit: set[int] = set()
        self._levels: dict[str, Level] = {}
        if rows:
            level = Level(shape.table, (shape.table,), shape.nesting, list(range(len(rows))))
            if self._begin(level):
                self._read_objects(level, rows, (), level.nesting)

    def _begin(self, level: Level) -> bool:
        """Adds a level; whether its table is decided."""
        self._levels[level.table] = level
        if self.shape.normalizer.c_dlt_id in self.shape.columns(level.table):
            return True
        self.new = min(self.new, level.roots[0])
        return False

    def _read_objects(self, level: Level, objects: list[Row], path: Path, nesting: int) -> None:
        for key, values in _columns(objects):
            holders = (place for place, item in enumerate(objects) if key in item)
            self._read_values(level, key, values, holders, path, nesting)

    def _read_values(
        self,
        level: Level,
        key: str,
        values: list[Any],
        holders: Iterable[int],
        path: Path,
        nesting: int,
    ) -> None:
        """Reads the values of a key, one for each object; `holders` are those that have it."""
        name = self.shape.name(path, key)
        if name is None or name[0] in level.columns:
            self._refuse(level, holders)
            return
        column, part = name
        level.columns[column] = values
        kinds = {*map(type, values)}
        level.kinds[column] = {NoneType if kind in NESTED else kind for kind in kinds}
        if not kinds.isdisjoint(NESTED):
            level.columns[column] = [None if type(v) in NESTED else v for v in values]
            self._read_nested(level, values, (*path, part), key, nesting)
        decided = self.shape.columns(level.table).get(column, {})
        if kinds - NESTED - {NoneType} and "data_type" not in decided:
            scalars = level.columns[column]
            first = next(place for place, value in enumerate(scalars) if value is not None)
            self.new = min(self.new, level.roots[first])

    def _read_nested(
        self, level: Level, values: list[Any], path: Path, key: str, nesting: int
    ) -> None:
        normalizer = self.shape.normalizer
        column = normalizer._shorten_fragments(*path)
        if normalizer._is_nested_type(level.table, column, nesting) or len(path) > DEEPEST:
            self._refuse(level, (at for at, value in enumerate(values) if type(value) in NESTED))
            return
        objects = [value if type(value) is dict else NOTHING for value in values]
        if any(objects):
            self._read_objects(level, objects, path, nesting - 1)
        lists = [(at, value) for at, value in enumerate(values) if type(value) is list and value]
        if lists:
            table_path = (*level.path, *path[:-1], normalizer._normalize_table_identifier(key))
            self._read_lists(level, lists, table_path)

    def _read_lists(self, level: Level, lists: list[tuple[int, list[Any]]], path: Path) -> None:
        table = self.shape.list_table(path)
        if table is None or table in self._levels:
            self._refuse(level, (place for place, _ in lists))
            return
        parents = [place for place, items in lists for _ in items]
        items = [item for _, items in lists for item in items]
        plain = NESTED.isdisjoint(map(type, items))
        objects = [] if plain else [_as_object(item) for item in items]
        # dlt counts a list in a list as one level more.
        deeper = 2 if any("list" in item for item in objects) else 1
        below = Level(
            table=table,
            path=path,
            nesting=level.nesting - deeper,
            roots=[level.roots[parent] for parent in parents],
            above=level,
            parents=parents,
            indexes=[index for _, items in lists for index in range(len(items))],
        )
        if self._begin(below):
            if plain:
                self._read_values(below, "value", items, range(len(items)), (), below.nesting)
            else:
                self._read_objects(below, objects, (), below.nesting)

    def _refuse(self, level: Level, places: Iterable[int]) -> None:
        self.unfit.update(level.roots[place] for place in places)

    def tables(self, load_id: str) -> Iterator[tuple[str, pa.Table]]:
        """Names and rows of tables, those of the rows that are fit; parents come first."""
        for level in self._levels.values():
            self._convert(level)
        for level in self._levels.values():
            columns = self.shape.columns(level.table)
            arrays = level.arrays | self._keys(level, load_id)
            nullable = {name: columns[name].get("nullable", True) for name in arrays}
            fields = [pa.field(name, array.type, nullable[name]) for name, array in arrays.items()]
            table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
            if self.unfit:
                table = table.filter(pa.array([root not in self.unfit for root in level.roots]))
            if table.num_rows:
                yield level.table, table

    def _convert(self, level: Level) -> None:
        columns = self.shape.columns(level.table)
        nothing = [None] * len(level.roots)
        awkward: dict[str, dict[int, Any]] = {}
        for name, column in columns.items():
            if "data_type" not in column:
                continue
            values = level.columns.get(name, nothing)
            filled = any(value is not None for value in values)
            required = not column.get("nullable", True)
            if filled or (required and name not in RESERVED):
                kinds = level.kinds.get(name, {NoneType})
                level.arrays[name], others = column_array(values, kinds, column, self.shape.caps)
                for place in others:
                    made = self._coerced(level.table, name, values[place])
                    if made is None or place in awkward.get(made[0], {}):
                        self._refuse(level, [place])
                    else:
                        awkward.setdefault(made[0], {})[place] = made[1]
        for name, found in awkward.items():
            values = [found.get(place) for place in range(len(level.roots))]
            array, unfit = coerced_array(values, columns[name], self.shape.caps)
            plain = level.arrays.get(name, array)
            taken = [place for place in found if plain is not array and plain[place].is_valid]
            level.arrays[name] = pc.coalesce(plain, array)
            self._refuse(level, [*unfit, *taken])

    def _keys(self, level: Level, load_id: str) -> dict[str, pa.Array]:
        """The columns that dlt adds."""
        normalizer, count = self.shape.normalizer, len(level.roots)
        level.ids = dlt_ids(count)
        keys: dict[str, pa.Array] = {normalizer.c_dlt_id: level.ids}
        if level.above is None:
            keys[normalizer.c_dlt_load_id] = pa.repeat(load_id, count)
        else:
            keys[normalizer.c_dlt_parent_id] = level.above.ids.take(pa.array(level.parents))
            root_ids = self._levels[self.shape.table].ids.take(pa.array(level.roots))
            keys |= dict.fromkeys(self.shape.inherited.values(), root_ids)
            keys[normalizer.c_dlt_list_idx] = pa.array(level.indexes, pa.int64())
        return keys


def _columns(objects: list[Row]) -> Iterator[tuple[str, list[Any]]]:
    """The keys of objects, in the order in which they come, each with its value in each object."""
    if len({*map(tuple, objects)}) == 1:  # all have the same keys, as most APIs answer
        columns = zip(*map(dict.values, objects), strict=True)
        yield from zip(objects[0], map(list, columns), strict=True)
        return
    for key in dict.fromkeys(chain.from_iterable(objects)):
        yield key, [item.get(key) for item in objects]


def _as_object(item: Any) -> Row:
    """An item of a list as the object that dlt makes of it."""
    if type(item) is dict:
        return item
    return {"list": item} if type(item) is list else {"value": item}


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
