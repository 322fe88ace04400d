"""Turns rows into Arrow tables that hold what dlt would make of the rows one by one.

dlt decides: the first row that brings a column or a table goes through dlt's own normalizer, in
the order of the rows, and on the way of rows. A row whose values have the plain form of columns
that are known goes into Arrow tables, one for the resource and one for each list in its rows.
Any other row goes on the way of rows as well.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.configuration.container import Container
from dlt.common.data_types import TDataType
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import PUA_CHARACTER_MAX, PUA_START, json, may_have_pua
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.normalizers.json.helpers import get_nested_row_hash
from dlt.common.normalizers.json.relational import DataItemNormalizer
from dlt.common.normalizers.utils import generate_dlt_ids
from dlt.common.schema import DEFAULT_SCHEMA_CONTRACT_MODE, Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.common.time import get_context_timezone_name
from dlt.normalize.configuration import NormalizeConfiguration
from dlt.normalize.items_normalizers import JsonLItemsNormalizer

from events_assets.transport.rows import DEEPEST, RESERVED, Unloadable

Row = dict[str, Any]

BATCH = 5_000
"""Rows that are converted together; dlt writes Arrow tables of this size at once."""

PLAIN: dict[str, tuple[frozenset[type], pa.DataType]] = {
    "text": (frozenset({str}), pa.string()),
    "bigint": (frozenset({int}), pa.int64()),
    "double": (frozenset({float, int}), pa.float64()),
    "bool": (frozenset({bool}), pa.bool_()),
    "timestamp": (frozenset({str}), pa.timestamp("us", "UTC")),
}
"""For data types of dlt: values that Arrow takes as dlt would convert them, and as what."""

TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
ZONE = r"(Z|[+-]\d\d:\d\d)"
EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

TYPED = f"^[\\x{{{PUA_START:x}}}-\\x{{{PUA_START + PUA_CHARACTER_MAX:x}}}]"
"""Text that dlt takes for a value of another type."""

NOTHING: Row = {}
NESTED = frozenset({dict, list})


@dataclass
class Level:
    """Objects that become rows of one table.

    `roots` are the positions of the rows they belong to; `parents` are the positions of the
    objects `above` whose lists hold them, at `indexes`. `columns` hold a value for each object,
    and the types of these values.
    """

    table: str
    path: tuple[str, ...]
    nesting: int
    objects: list[Row]
    roots: list[int]
    above: "Level | None" = None
    parents: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    columns: dict[str, tuple[list[Any], set[type]]] = field(default_factory=dict)
    arrays: dict[str, pa.Array] = field(default_factory=dict)


class Shape:
    """Names and types that dlt gives to what rows hold, as far as they are decided."""

    def __init__(self, schema: Schema, table: str, caps: DestinationCapabilitiesContext) -> None:
        normalizer = schema.data_item_normalizer
        assert isinstance(normalizer, DataItemNormalizer)  # noqa: S101, dlt has no other
        self.schema, self.normalizer, self.caps = schema, normalizer, caps
        self.table = normalizer._normalize_table_identifier(table)
        self.nesting = normalizer._get_table_nesting_level(self.table, normalizer.max_nesting)
        inherited = normalizer._get_propagation_mapping
        self.inherited = inherited(self.table, True) if inherited else {}
        self.name = lru_cache(maxsize=100_000)(self._name)

    @property
    def usable(self) -> bool:
        """Whether rows can be converted at all; keys and contracts of other kinds are dlt's."""
        contract = self.schema.resolve_contract_settings_for_table(self.table)
        return (
            contract == DEFAULT_SCHEMA_CONTRACT_MODE
            and self.normalizer._get_root_row_id_type(self.table) == "random"
            and set(self.inherited) <= {self.normalizer.c_dlt_id}
        )

    def columns(self, table: str) -> dict[str, TColumnSchema]:
        return self.schema.tables[table]["columns"] if table in self.schema.tables else {}

    def _name(self, path: tuple[str, ...], key: str) -> tuple[str, str] | None:
        """The name of a column and its last part; none for a key that needs a closer look."""
        part = self.normalizer._normalize_identifier(key) if key.strip() else ""
        name = self.normalizer._shorten_fragments(*path, part)
        stable = self.schema.naming.normalize_path(name) == name
        plain = part and part not in RESERVED and stable and _is_text(key)
        return (name, part) if plain else None

    def list_table(self, level: Level, path: tuple[str, ...]) -> str | None:
        """The table of a list; none for one that needs a closer look."""
        table = self.normalizer._shorten_fragments(*level.path, *path)
        stable = self.schema.naming.normalize_tables_path(table) == table
        return table if stable and self.normalizer._should_be_nested(table) else None


class Chunk:
    """Rows taken apart into levels.

    `unfit` are the positions of rows that need a closer look, `new` is the position of the first
    row that brings a column or table which is not decided yet.
    """

    def __init__(self, shape: Shape, rows: list[Row]) -> None:
        self.shape = shape
        self.unfit: set[int] = set()
        self.new = len(rows)
        self.levels: dict[str, Level] = {}
        if rows:
            places = list(range(len(rows)))
            self._read(Level(shape.table, (shape.table,), shape.nesting, rows, places))

    def _read(self, level: Level) -> None:
        self.levels[level.table] = level
        if self.shape.normalizer.c_dlt_id not in self.shape.columns(level.table):
            self.new = min(self.new, level.roots[0])
        self._read_objects(level, level.objects, (), level.nesting)

    def _read_objects(
        self, level: Level, objects: list[Row], path: tuple[str, ...], nesting: int
    ) -> None:
        columns = self.shape.columns(level.table)
        for key in dict.fromkeys(chain.from_iterable(objects)):
            name = self.shape.name(path, key)
            if name is None or name[0] in level.columns:
                self._refuse(level, (place for place, item in enumerate(objects) if key in item))
                continue
            values = [item.get(key) for item in objects]
            kinds = set(map(type, values))
            kinds.discard(NoneType)
            if not kinds.isdisjoint(NESTED):
                self._read_nested(level, values, (*path, name[1]), key, nesting)
                values = [None if type(value) in NESTED else value for value in values]
                kinds -= NESTED
            level.columns[name[0]] = (values, kinds)
            if kinds and "data_type" not in columns.get(name[0], {}):
                first = next(place for place, value in enumerate(values) if value is not None)
                self.new = min(self.new, level.roots[first])

    def _read_nested(
        self, level: Level, values: list[Any], path: tuple[str, ...], key: str, nesting: int
    ) -> None:
        normalizer = self.shape.normalizer
        name = normalizer._shorten_fragments(*path)
        lists = (*path[:-1], normalizer._normalize_table_identifier(key))
        table = self.shape.list_table(level, lists)
        if normalizer._is_nested_type(level.table, name, nesting) or len(path) > DEEPEST:
            self._refuse(level, (at for at, value in enumerate(values) if type(value) in NESTED))
            return
        objects = [value if type(value) is dict else NOTHING for value in values]
        if any(objects):
            self._read_objects(level, objects, path, nesting - 1)
        parents = [at for at, value in enumerate(values) if type(value) is list for _ in value]
        if not parents:
            return
        if table is None or table in self.levels:
            self._refuse(level, parents)
            return
        found = [value for value in values if type(value) is list]
        items = list(chain.from_iterable(found))
        below = Level(
            table,
            (*level.path, *lists),
            # dlt counts a list in a list as one level more.
            level.nesting - (2 if list in set(map(type, items)) else 1),
            [_wrapped(item) for item in items],
            [level.roots[parent] for parent in parents],
            level,
            parents,
            list(chain.from_iterable(range(len(value)) for value in found)),
        )
        self._read(below)

    def _refuse(self, level: Level, places: Iterable[int]) -> None:
        self.unfit.update(level.roots[place] for place in places)

    def convert(self) -> None:
        """Converts the columns of all levels."""
        normalizer = self.shape.normalizer
        own = {normalizer.c_dlt_id, normalizer.c_dlt_load_id, *RESERVED}
        for level in self.levels.values():
            for name, column in self.shape.columns(level.table).items():
                values, kinds = level.columns.get(name, ([None] * len(level.objects), set()))
                if name in own or not (kinds or column.get("nullable", True) is False):
                    continue
                level.arrays[name], unfit = _array(values, kinds, column, self.shape.caps)
                self._refuse(level, unfit)

    def tables(self, load_id: str) -> Iterator[tuple[Level, pa.Table]]:
        """The tables of all rows that are fit, those above first."""
        normalizer, inherited = self.shape.normalizer, self.shape.inherited
        for level in self.levels.values():
            if level.above is None:
                level.ids = roots = generate_dlt_ids(len(level.objects))
                own = {normalizer.c_dlt_load_id: pa.repeat(load_id, len(level.objects))}
            else:
                parents = [level.above.ids[parent] for parent in level.parents]
                level.ids = [
                    get_nested_row_hash(parent, level.table, index)
                    for parent, index in zip(parents, level.indexes, strict=True)
                ]
                own = {normalizer.c_dlt_parent_id: pa.array(parents, pa.string())}
                own[normalizer.c_dlt_list_idx] = pa.array(level.indexes, pa.int64())
                for name in inherited.values():
                    own[name] = pa.array([roots[root] for root in level.roots], pa.string())
            own[normalizer.c_dlt_id] = pa.array(level.ids, pa.string())
            arrays = level.arrays | own
            columns = self.shape.columns(level.table)
            fields = [
                pa.field(name, array.type, columns[name].get("nullable", True))
                for name, array in arrays.items()
            ]
            table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
            if self.unfit:
                table = table.filter(pa.array(root not in self.unfit for root in level.roots))
            if table.num_rows:
                yield level, table


class Columnar:
    """Converts the rows of one scan, in their order.

    To be made while dlt extracts the resource, whose columns it declares.

    Args:
        key_types: data types of key columns, which dlt need not guess.
        loadable: makes a row fit to be loaded, or raises Unloadable; only rows that go on the
            way of rows need it.

    `refused` collects the rows that are not loadable, each with the reason.
    """

    def __init__(
        self, key_types: Mapping[str, TDataType], loadable: Callable[[Row], Row] = lambda row: row
    ) -> None:
        self._loadable = loadable
        self.refused: list[tuple[Row, str]] = []
        self._resource = dlt.current.resource()
        self._schema = dlt.current.source_schema()
        self._load_id = dlt.current.load_package_state()["load_id"]
        self._size = 1
        self._tables: dict[str, list[pa.Table]] = {}
        self._rows: list[Row] = []
        resource = self._resource
        if key_types:
            columns: Any = {name: {"data_type": kind} for name, kind in key_types.items()}
            resource.apply_hints(columns=columns)
        self._usable = not (
            resource.has_dynamic_table_name
            or len(resource._pipe) > 1
            or resource.validator
            or resource.nested_hints
            # Resources that depend on this one are given its rows.
            or any(
                other._pipe.parent and other._pipe.parent.name == resource._pipe.name
                for other in dlt.current.source().resources.values()
            )
        )
        if self._usable:
            for declared in resource.compute_tables(self._schema.naming):
                self._schema.update_table(
                    declared, normalize_identifiers=False, merge_compound_props=False
                )
            # The normalizer of a schema learns of merged tables when it is made.
            schema = self._schema.clone(update_normalizers=True)
            config = NormalizeConfiguration()
            config.destination_capabilities = Container()[DestinationCapabilitiesContext]
            unused: Any = None
            self._rows_normalizer = JsonLItemsNormalizer(
                unused, unused, unused, schema, self._load_id, config
            )
            self._shape = Shape(schema, str(resource.table_name), config.destination_capabilities)
            self._usable = self._shape.usable

    def __call__(self, rows: list[Row]) -> Iterator[Any]:
        """Items to be yielded to dlt: Arrow tables, and a list of rows."""
        start = 0
        while self._usable and start < len(rows):
            chunk = rows[start : start + self._size]
            taken = self._take(chunk)
            start += taken
            # After a row that brings something new, the next one may well bring more.
            self._size = min(2 * self._size, BATCH) if taken == len(chunk) else 1
        self._rows += self._fitting(rows[start:])
        for table, parts in self._tables.items():
            yield self._marked(table, pa.concat_tables(parts, promote_options="default"))
        if self._rows:
            yield self._rows
        self._tables, self._rows = {}, []

    def _take(self, rows: list[Row]) -> int:
        """Takes rows up to the first one that brings something new, and that one.

        Returns the number of rows taken.
        """
        chunk = Chunk(self._shape, rows)
        if chunk.new < len(rows):
            new = chunk.new
            chunk = Chunk(self._shape, rows[:new])
            chunk.unfit.add(new)
        chunk.convert()
        for level, table in chunk.tables(self._load_id):
            self._tables.setdefault(level.table, []).append(table)
        for row in self._fitting(rows[place] for place in sorted(chunk.unfit)):
            self._decide(row)
            self._rows.append(row)
        return min(chunk.new + 1, len(rows))

    def _fitting(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            try:
                yield self._loadable(row)
            except Unloadable as unloadable:
                self.refused.append((row, str(unloadable)))

    def _decide(self, row: Row) -> None:
        """Lets dlt add the columns and tables that it makes for a row."""
        written = json.typed_dumpb([row])
        update = self._rows_normalizer._normalize_chunk(
            self._shape.table, json.loadb(written), may_have_pua(written), skip_write=True
        )
        for partial in chain.from_iterable(update.values()):
            self._schema.update_table(partial, normalize_identifiers=False)

    def _marked(self, name: str, rows: pa.Table) -> Any:
        """An Arrow table as an item for its table in the warehouse."""
        if name == self._shape.table:
            return rows
        tables: dict[str, Any] = self._schema.tables
        if not isinstance(tables[name], NestedTable):
            tables[name] = NestedTable(tables[name], self._resource.name)
            # Without a variant of its own, dlt takes it for the table of the resource.
            hints = dlt.mark.make_hints(table_name=name, parent_table_name=tables[name]["parent"])
            self._resource._set_hints(hints, create_table_variant=True)
        return dlt.mark.with_table_name(rows, name)


class NestedTable(dict[str, Any]):
    """A table below that of a resource, in a schema.

    dlt 1.31 allows no `resource` on it, and looks for one when it counts what was extracted.
    """

    def __init__(self, table: Mapping[str, Any], resource: str) -> None:
        super().__init__(table)
        self.resource = resource

    def __missing__(self, key: str) -> str:
        if key == "resource":
            return self.resource
        raise KeyError(key)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return deepcopy(dict(self), memo)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrapped(item: Any) -> Row:
    """An item of a list as the object that dlt makes of it."""
    if type(item) is dict:
        return item
    return {"list": item} if type(item) is list else {"value": item}


def _array(
    values: list[Any], kinds: set[type], column: TColumnSchema, caps: DestinationCapabilitiesContext
) -> tuple[pa.Array, list[int]]:
    """A column of Arrow, and the places of values that dlt may convert otherwise."""
    arrow_type = get_py_arrow_datatype(column, caps, get_context_timezone_name())
    plain, plain_type = PLAIN.get(column["data_type"], (frozenset(), None))
    if arrow_type != plain_type:
        plain = frozenset()
    unfit: list[int] = []
    if not kinds <= plain:
        unfit = [
            at for at, value in enumerate(values) if value is not None and type(value) not in plain
        ]
        values = _without(values, unfit)
    if column.get("nullable", True) is False:
        unfit += [at for at, value in enumerate(values) if value is None]
    try:
        return _converted(values, arrow_type), unfit
    except (ValueError, OverflowError):
        misfits = list(_misfits(values, 0, arrow_type))
        return _converted(_without(values, misfits), arrow_type), unfit + misfits


def _without(values: list[Any], places: list[int]) -> list[Any]:
    values = values.copy()
    for place in places:
        values[place] = None
    return values


def _misfits(values: list[Any], start: int, arrow_type: pa.DataType) -> Iterator[int]:
    """The places of values that are not plain, found by halving."""
    try:
        _converted(values, arrow_type)
    except (ValueError, OverflowError):
        if len(values) == 1:
            yield start
            return
        half = len(values) // 2
        yield from _misfits(values[:half], start, arrow_type)
        yield from _misfits(values[half:], start + half, arrow_type)


def _converted(values: list[Any], arrow_type: pa.DataType) -> pa.Array:
    """An array of values that are plain.

    Raises:
        ValueError, OverflowError: some of them are not.
    """
    if pa.types.is_timestamp(arrow_type):
        return _times(pa.array(values, pa.string()), arrow_type)
    array = pa.array(values, arrow_type)
    if pa.types.is_floating(arrow_type):
        _require(pc.is_finite(array))
    elif pa.types.is_string(arrow_type):
        _require(pc.invert(pc.match_substring_regex(array, TYPED)))
    return array


def _times(texts: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    naive = pc.match_substring_regex(texts, f"^{TIME}$")
    _require(pc.or_(naive, pc.match_substring_regex(texts, f"^{TIME}{ZONE}$")))
    # The time zone of the column is UTC, and dlt takes times without one to be in it.
    zoned = pc.if_else(naive, pc.binary_join_element_wise(texts, "Z", ""), texts)
    times = pc.cast(zoned, arrow_type)
    _require(pc.and_(pc.less_equal(EARLIEST, times), pc.less(times, LATEST)))
    return times


def _require(claims: pa.Array) -> None:
    if pc.all(claims).as_py() is False:
        raise ValueError
