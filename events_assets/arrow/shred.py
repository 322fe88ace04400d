"""Rows taken apart into Arrow tables, those that dlt makes of them."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.schema.typing import TTableSchemaColumns

from events_assets.arrow.arrays import (
    PLAIN,
    column_array,
    converted,
    dlt_ids,
    missing,
    plain_kinds,
)
from events_assets.dlt_private import Normalizer
from events_assets.rows.identity import RESERVED, VARIANTS
from events_assets.rows.rules import NESTED, Key, Path, Rule, objection, offenders

Row = dict[str, Any]


@dataclass
class Level:
    """Objects, or other items of lists, that become the rows of one table.

    `parts` make the name of the table, `path` is that of the items, and `left` are the levels of
    nesting below that become tables and columns. For each item, `roots` has the position of its
    row, `parents` that of the item `above` in whose list it stands, and `indexes` that in the list.
    """

    table: str
    parts: Path
    path: Path
    left: int
    roots: list[int]
    above: "Level | None" = None
    parents: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Columns that some key stands for."""
    arrays: dict[str, pa.Array] = field(default_factory=dict)


class Shred:
    """Some rows, taken apart.

    `new` is the position of the first row that brings a table or column which dlt has not decided
    yet; the tables are good only if there is none. `unfit` are the positions of rows that cannot be
    loaded, or of which dlt may make something else.

    Args:
        normalizer: knows what dlt has decided.
        table: that of the rows.
        rules: what cannot be loaded.
        rows: one at least.
    """

    def __init__(
        self, normalizer: Normalizer, table: str, rules: Sequence[Rule], rows: list[Row]
    ) -> None:
        self._dlt, self._rules = normalizer, rules
        self.new = len(rows)
        self.unfit: set[int] = set()
        self._levels: dict[str, Level] = {}
        self._root = Level(table, (table,), (), normalizer.levels(table), [*range(len(rows))])
        self._read(self._root, rows)

    def tables(self, load_id: str) -> Iterator[tuple[str, pa.Table]]:
        """Names and rows of tables, those of the rows that are fit; parents come first."""
        ids: dict[str, pa.Array] = {}
        for name, level in self._levels.items():
            ids[name] = dlt_ids(len(level.roots))
            arrays = level.arrays | {self._dlt.id: ids[name]}
            if level.above is None:
                arrays[self._dlt.load_id] = pa.repeat(load_id, len(level.roots))
            else:
                arrays[self._dlt.parent_id] = ids[level.above.table].take(pa.array(level.parents))
                arrays[self._dlt.list_index] = pa.array(level.indexes, pa.int64())
                root_ids = ids[self._root.table].take(pa.array(level.roots))
                inherited = self._dlt.inherited(self._root.table).values()
                arrays |= dict.fromkeys(inherited, root_ids)
            fields = [
                pa.field(column, arrays[column].type, schema.get("nullable", True))
                for column, schema in self._columns(name).items()
                if column in arrays
            ]
            table = pa.table([arrays[one.name] for one in fields], schema=pa.schema(fields))
            if self.unfit:
                table = table.filter(pa.array([root not in self.unfit for root in level.roots]))
            if table.num_rows:
                yield name, table

    def _columns(self, table: str) -> TTableSchemaColumns:
        tables = self._dlt.schema.tables
        return tables[table]["columns"] if table in tables else {}

    def _refuse(self, level: Level, places: Iterable[int]) -> None:
        self.unfit.update(level.roots[place] for place in places)

    def _read(self, level: Level, items: Sequence[Any]) -> None:
        """Reads what becomes the rows of a table: objects, or values of other types."""
        self._levels[level.table] = level
        columns = self._columns(level.table)
        if self._dlt.id not in columns:
            self.new = min(self.new, level.roots[0])
        elif type(items[0]) is dict:
            self._refuse(level, offenders(self._rules, items, {dict}, level.path))
            self._read_objects(level, items, ())
        else:
            self._read_values(level, "value", items, ())
        for name, column in columns.items():
            if not column.get("nullable", True) and name not in level.arrays.keys() | RESERVED:
                self._refuse(level, range(len(items)))

    def _read_objects(self, level: Level, objects: Sequence[Row], path: Path) -> None:
        """Reads the objects at a path within those of a level."""
        named: dict[str, str] = {}
        deep: set[str] = set()
        above = [self._dlt.column_part(key) for key in path]
        for key, values in _by_key(objects):
            part = self._part(key, level.path + path)
            column = self._dlt.joined(*above, part)
            if not part or column in level.seen or not self._dlt.is_stable(column):
                self._refuse_holders(level, objects, key)
                continue
            named[key] = part
            level.seen.add(column)
            if self._read_values(level, column, values, (*path, key)):
                deep.add(part)
        for key, part in named.items():
            # It may stand for something within another one.
            if "__" in part and any(part.startswith(f"{other}__") for other in deep):
                self._refuse_holders(level, objects, key)

    def _part(self, key: str, above: Path) -> str:
        """The part of a key in names; empty if it, or the column, is dlt's to decide."""
        if objection(self._rules, key, above, Key) or not key.strip():
            return ""
        part = self._dlt.column_part(key)
        return "" if part in RESERVED or part.endswith(VARIANTS) else part

    def _refuse_holders(self, level: Level, objects: Sequence[Row], key: str) -> None:
        self._refuse(level, (place for place, item in enumerate(objects) if key in item))

    def _read_values(self, level: Level, column: str, values: Sequence[Any], path: Path) -> bool:
        """Reads the values of a key, one for each object; whether some are objects or lists."""
        kinds = {*map(type, values)}
        wrong = offenders(self._rules, values, kinds, level.path + path)
        if wrong:  # perhaps as deep as they may be
            self._refuse(level, wrong)
            values = [None if at in wrong else value for at, value in enumerate(values)]
        is_deep = not kinds.isdisjoint(NESTED)
        if is_deep:
            nested = {at: value for at, value in enumerate(values) if type(value) in NESTED}
            if self._dlt.is_whole(level.table, column, level.left - len(path) + 1):
                self._refuse(level, nested)
            else:
                objects = [value if type(value) is dict else {} for value in values]
                if any(objects):
                    self._read_objects(level, objects, path)
                lists = {at: value for at, value in nested.items() if value and type(value) is list}
                self._read_lists(level, lists, path)
            values = [None if at in nested else value for at, value in enumerate(values)]
        if wrong or is_deep:
            kinds = {*map(type, values)}
        if kinds != {NoneType}:
            self._add_column(level, column, values, kinds, level.path + path)
        return is_deep

    def _read_lists(self, level: Level, lists: dict[int, list[Any]], path: Path) -> None:
        alike = _alike(lists)
        self._refuse(level, lists.keys() - alike.keys())
        if not alike:
            return
        between = [self._dlt.column_part(key) for key in path[:-1]]
        parts = (*level.parts, *between, self._dlt.table_part(path[-1]))
        table = self._dlt.joined(*parts)
        if table in self._levels or not self._dlt.is_table_of_lists(table):
            self._refuse(level, alike)
            return
        below = Level(
            table,
            parts,
            (*level.path, *path, "list"),
            level.left - 1,
            [level.roots[parent] for parent, items in alike.items() for _ in items],
            level,
            [parent for parent, items in alike.items() for _ in items],
            [*chain.from_iterable(range(len(items)) for items in alike.values())],
        )
        self._read(below, [*chain.from_iterable(alike.values())])

    def _add_column(
        self, level: Level, name: str, values: Sequence[Any], kinds: Set[type], path: Path
    ) -> None:
        """Makes Arrow arrays of values, some of which may belong to a variant of their column."""
        columns = self._columns(level.table)
        if "data_type" not in columns.get(name, {}):
            first = next(place for place, value in enumerate(values) if value is not None)
            self.new = min(self.new, level.roots[first])
            return
        plain = plain_kinds(columns[name], self._dlt.caps)
        if not plain:
            self._refuse(level, (at for at, value in enumerate(values) if value is not None))
            return
        screens = [
            rule.screen for rule in self._rules if rule.screen and rule.kinds & kinds & plain
        ]
        array = column_array(values, kinds, columns[name]["data_type"], screens, path)
        made: dict[str, dict[int, Any]] = {}
        for place in missing(array, values):
            value = values[place]
            refused = objection(self._rules, value, path)
            one = None if refused else self._dlt.coerced(level.table, name, value)
            if one is None or not plain_kinds(columns[one[0]], self._dlt.caps):
                self._refuse(level, [place])
            else:
                made.setdefault(one[0], {})[place] = one[1]
        level.arrays[name] = array
        for other, found in made.items():
            # dlt has coerced the values.
            coerced = [found.get(place) for place in range(len(values))]
            own = converted(coerced, PLAIN[columns[other]["data_type"]][1])
            level.arrays[other] = pc.coalesce(level.arrays.get(other, own), own)
            self._refuse(level, missing(own, coerced))
        if not columns[name].get("nullable", True):
            self._refuse(level, (at for at, value in enumerate(values) if value is None))


def _by_key(objects: Sequence[Row]) -> Iterator[tuple[str, list[Any]]]:
    """The keys of objects, in the order in which they come, each with its value in each object."""
    if len({*map(tuple, objects)}) == 1:  # all have the same keys, as most APIs answer
        columns = zip(*map(dict.values, objects), strict=True)
        yield from zip(objects[0], map(list, columns), strict=True)
        return
    for key in dict.fromkeys(chain.from_iterable(objects)):
        yield key, [item.get(key) for item in objects]


def _alike(lists: dict[int, list[Any]]) -> dict[int, list[Any]]:
    """The lists of objects, or those of plain values, whichever are more. dlt wraps what stands
    beside objects, and lists in lists."""
    kinds = {*map(type, chain.from_iterable(lists.values()))}
    if kinds <= {dict} or kinds.isdisjoint(NESTED):
        return lists
    objects = {at: items for at, items in lists.items() if {*map(type, items)} == {dict}}
    plain = {at: items for at, items in lists.items() if NESTED.isdisjoint(map(type, items))}
    return max(objects, plain, key=len)
