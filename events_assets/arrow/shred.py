"""Rows taken apart into the columns of the tables that dlt makes of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.schema import DEFAULT_SCHEMA_CONTRACT_MODE
from dlt.common.schema.typing import TTableSchemaColumns

from events_assets.arrow.arrays import coerced_array, column_array, dlt_ids, plain_kinds
from events_assets.dlt_private import Normalizer
from events_assets.rows.identity import RESERVED, VARIANTS
from events_assets.rows.rules import NESTED, Key, Path, Rule, objection, offenders

Row = dict[str, Any]

NOTHING: Row = {}
OBJECT = frozenset({dict})
WRAPPERS: dict[Any, str] = {dict: "", list: "list"}
"""The keys under which dlt puts items of lists that are no objects; `value` for all others."""


class Shape:
    """Names, tables and columns that dlt gives to what rows hold, as far as it has decided them.

    Args:
        normalizer: decides them.
        resource_table: the table of the rows themselves.
        rules: what cannot be loaded.
    """

    def __init__(self, normalizer: Normalizer, resource_table: str, rules: Sequence[Rule]) -> None:
        self.normalizer, self.schema, self.rules = normalizer, normalizer.schema, rules
        self.table = normalizer.table_part(resource_table)
        self.levels = normalizer.levels(self.table)
        self.inherited = normalizer.inherited(self.table)
        self.part = lru_cache(maxsize=100_000)(self._part)
        self.column = lru_cache(maxsize=100_000)(self._column)

    @property
    def plain(self) -> bool:
        """Whether tables have the keys and the freedom to change that they have by default."""
        contract = self.schema.resolve_contract_settings_for_table(self.table)
        return (
            contract == DEFAULT_SCHEMA_CONTRACT_MODE
            and self.normalizer.has_random_ids(self.table)
            and set(self.inherited) <= {self.normalizer.id}
        )

    def columns(self, table: str) -> TTableSchemaColumns:
        return self.schema.tables[table]["columns"] if table in self.schema.tables else {}

    def list_table(self, parts: Path) -> str | None:
        """The table of lists; none if dlt may give them another one."""
        table = self.normalizer.joined(*parts)
        stable = self.schema.naming.normalize_tables_path(table) == table
        return table if stable and self.normalizer.is_below_another(table) else None

    def _part(self, key: str, above: Path) -> str | None:
        """The part of a key of objects at a path in names; none if it, or the column, is dlt's to
        decide."""
        if objection(self.rules, key, above, Key) or not key.strip():
            return None
        part = self.normalizer.column_part(key)
        is_variant = any(part.endswith(f"__{variant}") for variant in VARIANTS)
        return None if part in RESERVED or is_variant else part

    def _column(self, parts: Path) -> str | None:
        """The column of a value; none if dlt may give it another one."""
        column = self.normalizer.joined(*parts)
        return column if self.schema.naming.normalize_path(column) == column else None

    def coerced(self, table: str, column: str, value: Any, path: Path) -> tuple[str, Any] | None:
        """What becomes of a value: the column that it goes to, and the value in there.

        None if it cannot be loaded, or if only dlt can tell, from the row as a whole.
        """
        if objection(self.rules, value, path):
            return None
        return self.normalizer.coerced(table, column, value)


@dataclass
class Column:
    """A value for each object of a level, the types of these values, and their path."""

    values: list[Any]
    kinds: set[type]
    path: Path


@dataclass
class Level:
    """Objects that become the rows of one table.

    `parts` make the name of the table. `left` are the levels of nesting below that become tables
    and columns. `roots` are the positions of the rows that the objects belong to, one for each.
    `path` is theirs; `wrappers` are keys that only stand for items that are no objects. `parents`
    are the positions of the objects `above` in whose lists they stand, at `indexes`.
    """

    table: str
    parts: Path
    left: int
    roots: list[int]
    path: Path = ()
    wrappers: frozenset[str] = frozenset()
    above: "Level | None" = None
    parents: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    ids: Any = None


class Levels:
    """Some rows, taken apart.

    `new` is the position of the first row that brings a table or column which is not decided
    yet. `unfit` are the positions of rows that cannot be loaded, or of which dlt may make something
    else.
    """

    def __init__(self, shape: Shape, rows: list[Row]) -> None:
        self.shape = shape
        self.new = len(rows)
        self.unfit: set[int] = set()
        self.all: dict[str, Level] = {}
        if rows:
            level = Level(shape.table, (shape.table,), shape.levels, list(range(len(rows))))
            self._inspect(level, rows, OBJECT, ())
            if self._begin(level):
                self._read_objects(level, rows, (), (), level.left)

    def _begin(self, level: Level) -> bool:
        """Adds a level; whether its table is decided."""
        self.all[level.table] = level
        if self.shape.normalizer.id in self.shape.columns(level.table):
            return True
        self.new = min(self.new, level.roots[0])
        return False

    def refuse(self, level: Level, places: Iterable[int]) -> None:
        self.unfit.update(level.roots[place] for place in places)

    def _inspect(
        self, level: Level, values: Sequence[Any], kinds: frozenset[type], path: Path
    ) -> set[int]:
        """Places of values that cannot be loaded; refuses their rows."""
        places = offenders(self.shape.rules, values, kinds, path)
        self.refuse(level, places)
        return places

    def _read_objects(
        self, level: Level, objects: list[Row], parts: Path, path: Path, left: int
    ) -> None:
        """Reads objects at a place within those of a level: `parts` of names, `path` in there."""
        deep: set[str] = set()
        flat: dict[str, str] = {}
        for key, values in _columns(objects):
            part = self.shape.part(key, level.path + path)
            column = part and self.shape.column((*parts, part))
            if part is None or column is None or column in level.columns:
                self._refuse_holders(level, objects, key)
                continue
            if self._read_values(level, column, values, (*parts, part), (*path, key), left):
                deep.add(part)
            if "__" in part:
                flat[key] = part
        for key, part in flat.items():
            # It may stand for something within another one.
            if any(part.startswith(f"{other}__") for other in deep):
                self._refuse_holders(level, objects, key)

    def _refuse_holders(self, level: Level, objects: list[Row], key: str) -> None:
        self.refuse(level, (place for place, item in enumerate(objects) if key in item))

    def _read_values(
        self, level: Level, column: str, values: list[Any], parts: Path, path: Path, left: int
    ) -> bool:
        """Reads the values of a key, one for each object; whether some are objects or lists."""
        full_path = level.path if path[0] in level.wrappers else level.path + path
        kinds = {*map(type, values)}
        offending = self._inspect(level, values, frozenset(kinds), full_path)
        is_deep = not kinds.isdisjoint(NESTED)
        scalars = values
        if is_deep:
            scalars = [None if type(value) in NESTED else value for value in values]
            kinds = {NoneType if kind in NESTED else kind for kind in kinds}
        level.columns[column] = Column(scalars, kinds, full_path)
        if is_deep:
            if self.shape.normalizer.is_whole(level.table, column, left):
                self.refuse(level, (at for at, one in enumerate(values) if type(one) in NESTED))
            else:
                if offending:  # as deep as they may be
                    values = [None if at in offending else one for at, one in enumerate(values)]
                self._read_nested(level, values, parts, path, left)
        decided = self.shape.columns(level.table).get(column, {})
        if kinds - {NoneType} and "data_type" not in decided:
            first = next(place for place, value in enumerate(scalars) if value is not None)
            self.new = min(self.new, level.roots[first])
        return is_deep

    def _read_nested(
        self, level: Level, values: list[Any], parts: Path, path: Path, left: int
    ) -> None:
        objects = [value if type(value) is dict else NOTHING for value in values]
        if any(objects):
            self._read_objects(level, objects, parts, path, left - 1)
        lists = [(at, value) for at, value in enumerate(values) if type(value) is list and value]
        if lists:
            part = self.shape.normalizer.table_part(path[-1])
            self._read_lists(level, lists, (*level.parts, *parts[:-1], part), path)

    def _read_lists(
        self, level: Level, lists: list[tuple[int, list[Any]]], parts: Path, path: Path
    ) -> None:
        items = [item for _, items in lists for item in items]
        kinds = {*map(type, items)}
        wrappers = {WRAPPERS.get(kind, "value") for kind in kinds} - {""}
        table = self.shape.list_table(parts)
        mixed = dict in kinds and any(type(i) is dict and wrappers & i.keys() for i in items)
        if table is None or table in self.all or (wrappers and mixed):
            self.refuse(level, (place for place, _ in lists))
            return
        parents = [place for place, items in lists for _ in items]
        plain = kinds.isdisjoint(NESTED)
        objects = [] if plain else [_as_object(item) for item in items]
        # dlt counts a list in a list as one level more.
        deeper = 2 if any("list" in item for item in objects) else 1
        below = Level(
            table=table,
            parts=parts,
            left=level.left - deeper,
            roots=[level.roots[parent] for parent in parents],
            path=(*(level.path if path[0] in level.wrappers else level.path + path), "list"),
            wrappers=frozenset(wrappers),
            above=level,
            parents=parents,
            indexes=[index for _, items in lists for index in range(len(items))],
        )
        self._inspect(below, items, OBJECT, below.path)
        if not self._begin(below):
            return
        if plain:
            self._read_values(below, "value", items, ("value",), ("value",), below.left)
        else:
            self._read_objects(below, objects, (), (), below.left)


def tables(levels: Levels, load_id: str) -> Iterator[tuple[str, pa.Table]]:
    """Names and rows of tables, those of the rows that are fit; parents come first."""
    shape = levels.shape
    for level in levels.all.values():
        _convert(levels, level)
    for level in levels.all.values():
        columns = shape.columns(level.table)
        arrays = level.arrays | _keys(levels, level, load_id)
        nullable = {name: columns[name].get("nullable", True) for name in arrays}
        fields = [pa.field(name, array.type, nullable[name]) for name, array in arrays.items()]
        table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
        if levels.unfit:
            table = table.filter(pa.array([root not in levels.unfit for root in level.roots]))
        if table.num_rows:
            yield level.table, table


def _convert(levels: Levels, level: Level) -> None:
    """Makes Arrow arrays of the columns of a level."""
    caps = levels.shape.normalizer.caps
    decided = levels.shape.columns(level.table)
    nothing = Column([None] * len(level.roots), {NoneType}, ())
    awkward: dict[str, dict[int, Any]] = {}
    for name, schema in decided.items():
        column = level.columns.get(name, nothing)
        required = not schema.get("nullable", True) and name not in RESERVED
        if "data_type" not in schema or not (required or column.kinds - {NoneType}):
            continue
        looked_at = column.kinds & plain_kinds(schema, caps)
        screens = [rule.screen for rule in levels.shape.rules if rule.kinds & looked_at]
        level.arrays[name], others = column_array(
            column.values, column.kinds, schema, caps, filter(None, screens), column.path
        )
        for place in others:
            made = levels.shape.coerced(level.table, name, column.values[place], column.path)
            if made is None:
                levels.refuse(level, [place])
            else:
                awkward.setdefault(made[0], {})[place] = made[1]
    for name, found in awkward.items():
        values = [found.get(place) for place in range(len(level.roots))]
        array, unfit = coerced_array(values, decided[name], caps)
        level.arrays[name] = pc.coalesce(level.arrays.get(name, array), array)
        levels.refuse(level, unfit)


def _keys(levels: Levels, level: Level, load_id: str) -> dict[str, pa.Array]:
    """The columns that dlt adds."""
    normalizer, count = levels.shape.normalizer, len(level.roots)
    level.ids = dlt_ids(count)
    keys: dict[str, pa.Array] = {normalizer.id: level.ids}
    if level.above is None:
        keys[normalizer.load_id] = pa.repeat(load_id, count)
    else:
        keys[normalizer.parent_id] = level.above.ids.take(pa.array(level.parents))
        root_ids = levels.all[levels.shape.table].ids.take(pa.array(level.roots))
        keys |= dict.fromkeys(levels.shape.inherited.values(), root_ids)
        keys[normalizer.list_index] = pa.array(level.indexes, pa.int64())
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
    wrapper = WRAPPERS.get(type(item), "value")
    return {wrapper: item} if wrapper else item
