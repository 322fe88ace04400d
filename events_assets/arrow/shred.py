"""Rows taken apart into Arrow tables, those that dlt makes of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.schema.typing import TTableSchemaColumns

from events_assets.arrow.arrays import PLAIN, column_array, dlt_ids, missing, plain_kinds
from events_assets.dlt_private import Normalizer
from events_assets.rows.identity import RESERVED, Loadable
from events_assets.rows.rules import NESTED, Key, Path, objection, offenders

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
    above: str = ""
    parents: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Columns that some key stands for."""
    arrays: dict[str, pa.Array] = field(default_factory=dict)


class Shred:
    """Some rows, one at least, taken apart into `levels` by their tables.

    `new` is the position of the first row that brings a table or column which dlt has not decided
    yet; only if there is none, the levels are good. `unfit` are the positions of rows that cannot
    be loaded, or of which dlt may make something else.
    """

    def __init__(
        self, normalizer: Normalizer, table: str, loadable: Loadable, rows: list[Row]
    ) -> None:
        self._dlt, self._rules, self._names = normalizer, loadable.rules, loadable.names
        self._canonical = loadable.canonical
        self.new = len(rows)
        self.unfit: set[int] = set()
        self.levels: dict[str, Level] = {}
        self.inherited = {*normalizer.inherited(table).values()}
        """Columns of the tables below that hold the id of the row."""
        self._read(Level(table, (table,), (), normalizer.levels(table), [*range(len(rows))]), rows)

    def columns(self, table: str) -> TTableSchemaColumns:
        tables = self._dlt.schema.tables
        return tables[table]["columns"] if table in tables else {}

    def _refuse(self, level: Level, places: Iterable[int]) -> None:
        self.unfit.update(level.roots[place] for place in places)

    def _read(self, level: Level, items: Sequence[Any]) -> None:
        """Reads what becomes the rows of a table: objects, or values of other types."""
        self.levels[level.table] = level
        columns = self.columns(level.table)
        if not columns.keys() >= {"_dlt_id", *(self.inherited if level.above else ())}:
            self.new = min(self.new, level.roots[0])
        elif type(items[0]) is dict:
            self._refuse(level, offenders(self._rules, items, {dict}, level.path))
            self._read_objects(level, items, ())
        else:
            self._read_values(level, "value", items, ())
        for name, column in columns.items():
            array = level.arrays.get(name)
            may_be_null = column.get("nullable", True) or name in RESERVED
            if not may_be_null and (array is None or array.null_count):
                self._refuse(level, range(len(items)))

    def _read_objects(self, level: Level, objects: Sequence[Row], path: Path) -> None:
        """Reads the objects at a path within those of a level."""
        above, here = self._parts(level, path), level.path + path
        found = dict(_columns(objects))
        sound = [key for key in found if not objection(self._rules, key, here, Key)]
        names = self._names(filter(str.strip, sound), here)
        for key, values in found.items():
            part = self._part(names.get(key, ""))
            column = self._dlt.joined(*above, part)
            is_stable = self._dlt.schema.naming.normalize_path(column) == column
            if part and is_stable and column not in level.seen:
                level.seen.add(column)
                self._read_values(level, column, values, (*path, key))
            else:
                self._refuse(level, (at for at, item in enumerate(objects) if key in item))

    def _parts(self, level: Level, path: Path) -> list[str]:
        """The parts of the keys of a path in names."""
        keys = [(key, level.path + path[:at]) for at, key in enumerate(path)]
        return [self._dlt.column_part(self._names([key], above)[key]) for key, above in keys]

    def _part(self, name: str) -> str:
        """The part of a key in names; empty if it, or the column, is dlt's to decide."""
        part = self._dlt.column_part(name) if name else ""
        # A name with two underscores may stand for something within another key, or for a variant.
        return "" if part in RESERVED or "__" in part else part

    def _read_values(self, level: Level, column: str, values: Sequence[Any], path: Path) -> None:
        """Reads the values of a key, one for each object."""
        kinds = {*map(type, values)}
        wrong = offenders(self._rules, values, kinds, level.path + path)
        if wrong:  # perhaps as deep as they may be
            self._refuse(level, wrong)
            values = [None if at in wrong else value for at, value in enumerate(values)]
            kinds = {*map(type, values)}
        nested, scalars = kinds & NESTED, kinds - NESTED - {NoneType}
        if scalars:
            flat = [None if type(one) in NESTED else one for one in values] if nested else values
            self._add_column(level, column, flat, scalars, level.path + path)
        is_canonical = not level.above and len(path) == 1 and column in self._canonical
        left = level.left - len(path) + 1
        if nested and (is_canonical or self._dlt.is_whole(level.table, column, left)):
            self._refuse(level, (at for at, value in enumerate(values) if type(value) in NESTED))
            return
        if dict in nested:
            objects = [value if type(value) is dict else {} for value in values]
            self._read_objects(level, objects, path)
        if list in nested:
            lists = {at: value for at, value in enumerate(values) if type(value) is list and value}
            self._read_lists(level, lists, path)

    def _read_lists(self, level: Level, lists: dict[int, list[Any]], path: Path) -> None:
        alike = _alike(lists)
        self._refuse(level, lists.keys() - alike.keys())
        if not alike:
            return
        name = self._names(path[-1:], level.path + path[:-1])[path[-1]]
        parts = (*level.parts, *self._parts(level, path[:-1]), self._dlt.table_part(name))
        table = self._dlt.joined(*parts)
        if table in self.levels or not self._dlt.is_table_of_lists(table):
            self._refuse(level, alike)
            return
        parents = [parent for parent, items in alike.items() for _ in items]
        below = Level(
            table,
            parts,
            path=(*level.path, *path, "list"),
            left=level.left - 1,
            roots=[level.roots[parent] for parent in parents],
            above=level.table,
            parents=parents,
            indexes=[*chain.from_iterable(range(len(items)) for items in alike.values())],
        )
        self._read(below, [*chain.from_iterable(alike.values())])

    def _add_column(
        self, level: Level, name: str, values: Sequence[Any], kinds: Set[type], path: Path
    ) -> None:
        """Makes Arrow arrays of values, some of which may belong to a variant of their column."""
        columns, caps = self.columns(level.table), self._dlt.caps
        if "data_type" not in columns.get(name, {}):
            first = next(place for place, value in enumerate(values) if value is not None)
            self.new = min(self.new, level.roots[first])
            return
        plain = plain_kinds(columns[name], caps)
        if not plain:
            self._refuse(level, (at for at, value in enumerate(values) if value is not None))
            return
        rules = [rule for rule in self._rules if rule.kinds & kinds & plain]
        array = column_array(values, kinds, columns[name], rules, path)
        level.arrays[name] = array
        coerced: dict[str, dict[int, Any]] = {}
        for place in missing(array, values):
            one = None
            if not objection(self._rules, values[place], path):
                one = self._dlt.coerced(level.table, name, values[place])
            if one and plain_kinds(columns[one[0]], caps):
                coerced.setdefault(one[0], {})[place] = one[1]
            else:
                self._refuse(level, [place])
        for other, found in coerced.items():
            _, arrow_type = PLAIN[columns[other]["data_type"]]
            own = pa.array([*map(found.get, range(len(values)))], arrow_type)
            level.arrays[other] = pc.coalesce(level.arrays.get(other, own), own)


def tables(
    shred: Shred, load_id: str, marks: Mapping[str, pa.Array]
) -> Iterator[tuple[str, pa.Table]]:
    """Names and rows of tables, those of the rows that are fit; parents come first. The rows have
    `marks` as further columns."""
    ids: dict[str, pa.Array] = {}
    for name, level in shred.levels.items():
        ids[name] = dlt_ids(len(level.roots))
        arrays = level.arrays | {"_dlt_id": ids[name]}
        if level.above:
            arrays["_dlt_parent_id"] = ids[level.above].take(pa.array(level.parents))
            arrays["_dlt_list_idx"] = pa.array(level.indexes, pa.int64())
            root_ids = next(iter(ids.values())).take(pa.array(level.roots))
            arrays |= dict.fromkeys(shred.inherited, root_ids)
        else:
            arrays |= {"_dlt_load_id": pa.repeat(load_id, len(level.roots)), **marks}
        columns = shred.columns(name)
        fields = [
            pa.field(column, array.type, columns.get(column, {}).get("nullable", True))
            for column, array in arrays.items()
        ]
        table = pa.table([*arrays.values()], schema=pa.schema(fields))
        if shred.unfit:
            table = table.filter(pa.array([root not in shred.unfit for root in level.roots]))
        if table.num_rows:
            yield name, table


def _columns(objects: Sequence[Row]) -> Iterator[tuple[str, Sequence[Any]]]:
    """The keys of objects in the order in which they come, each with its value in each object."""
    first = objects[0]
    if len(first) > 1 and {*map(len, objects)} == {len(first)}:
        with suppress(KeyError):  # all have the same keys, as most APIs answer, and it is quicker
            yield from zip(first, zip(*map(itemgetter(*first), objects), strict=True), strict=True)
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
