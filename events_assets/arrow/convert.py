"""Turns rows into Arrow tables that hold what dlt would make of the rows one by one.

dlt decides: the first row that brings a column or a table goes through dlt's own normalizer, in
the order of the rows, and on to dlt as a row. Where all columns are decided, rows become Arrow
tables, one for the resource and one for each list in them: Arrow converts the values that have the
plain form of their column, dlt coerces each of the others. Rows of which dlt may make something
else go on as rows, too.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any

import dlt
import pyarrow as pa  # type: ignore[import-untyped]
from dlt.common.configuration.container import Container
from dlt.common.data_types import TDataType
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import json, may_have_pua
from dlt.common.schema.exceptions import CannotCoerceColumnException, CannotCoerceNullException
from dlt.normalize.configuration import NormalizeConfiguration
from dlt.normalize.items_normalizers import JsonLItemsNormalizer

from events_assets.arrow.shred import Levels, Row, Shape
from events_assets.errors import UnloadableError

BATCH = 5_000
"""Rows that are converted together; dlt writes Arrow tables of this size at once."""


class Columnar:
    """Converts the rows of one scan, in their order.

    To be made while dlt extracts the resource, before any of its rows: declares its table.

    Args:
        key_types: data types of key columns, which dlt need not guess.
        loadable: makes a row fit to be loaded, or raises UnloadableError. Rows in Arrow tables need
            no such check.
    """

    def __init__(
        self, key_types: Mapping[str, TDataType], loadable: Callable[[Row], Row] = lambda row: row
    ) -> None:
        self._loadable = loadable
        self._resource = resource = dlt.current.resource()
        self._schema = dlt.current.source_schema()
        self._load_id = dlt.current.load_package_state()["load_id"]
        self._size = 1
        self._tables: dict[str, list[pa.Table]] = {}
        self._rows: list[Row] = []
        if key_types:
            columns: Any = {name: {"data_type": kind} for name, kind in key_types.items()}
            resource.apply_hints(columns=columns)
        self._usable = not (
            resource.has_dynamic_table_name
            or resource.nested_hints
            or resource.max_table_nesting is not None
            or self._feeds
        )
        if self._usable:
            for table in resource.compute_tables(self._schema.naming):
                self._schema.update_table(
                    table, normalize_identifiers=False, merge_compound_props=False
                )
            self._decide_anew()
            self._usable = self._shape.plain

    def _decide_anew(self) -> None:
        """Lets dlt decide from here on, in a copy of the schema."""
        # The normalizer of a schema learns when it is made which keys its tables have.
        decided = self._schema.clone(update_normalizers=True)
        config = NormalizeConfiguration()
        config.destination_capabilities = Container()[DestinationCapabilitiesContext]
        nowhere: Any = None
        self._normalizer = JsonLItemsNormalizer(
            nowhere, nowhere, nowhere, decided, self._load_id, config
        )
        table = str(self._resource.table_name)
        self._shape = Shape(decided, table, config.destination_capabilities)

    @property
    def _feeds(self) -> bool:
        """Whether anything else in dlt is given the rows: further steps, or other resources."""
        pipe = self._resource._pipe
        # An incremental that is not configured is a step, too.
        steps = any(getattr(step, "incremental", step) for step in pipe.steps[1:])
        others = (other._pipe.parent for other in dlt.current.source().resources.values())
        return steps or any(parent and parent.name == pipe.name for parent in others)

    def take(self, rows: list[Row]) -> dict[int, str]:
        """Converts rows, the more of them together the faster.

        Returns positions in `rows` of those that cannot be loaded, each with the reason.
        """
        refused: dict[int, str] = {}
        start = 0
        while start < len(rows):
            some = rows[start : start + self._size]
            levels = Levels(self._shape, some, self._coerced) if self._usable else None
            new = levels.new if levels else len(some)
            if levels and new < len(some):
                levels = Levels(self._shape, some[:new], self._coerced)
            unfit = list(range(len(some)))
            if levels:
                for name, table in levels.tables(self._load_id):
                    self._tables.setdefault(name, []).append(table)
                unfit = sorted(levels.unfit | {new})
            for place in unfit:
                if place < len(some):
                    try:
                        self._pass_on(self._loadable(some[place]))
                    except UnloadableError as unloadable:
                        refused[start + place] = str(unloadable)
            start += min(new + 1, len(some))
            # After a row that brings something new, the next one may well bring more.
            self._size = min(2 * self._size, BATCH) if new == len(some) else 1
        return refused

    def _coerced(self, table: str, column: str, value: Any) -> tuple[str, Any] | None:
        """As `levels.Coerced` says."""
        try:
            written = json.typed_dumpb(self._loadable({column: value}))
            if may_have_pua(written):
                return None
            made, new = self._normalizer._coerce_row(table, "", json.loadb(written))
        except (UnloadableError, CannotCoerceColumnException, CannotCoerceNullException):
            return None
        return None if new else next(iter(made.items()), None)

    def _pass_on(self, row: Row) -> None:
        """Leaves a row to dlt, and adds the columns and tables that it makes for it.

        Raises:
            UnloadableError: a value fits neither its column nor the variant column beside it.
        """
        if self._usable:
            written = json.typed_dumpb([row])
            try:
                update = self._normalizer._normalize_chunk(
                    self._shape.table, json.loadb(written), may_have_pua(written), skip_write=True
                )
            except CannotCoerceColumnException as error:
                # dlt 1.31 ends the load here. It has added some of the row's columns already.
                self._decide_anew()
                raise UnloadableError(
                    f"no column of {error.table_name} for the value of {error.column_name}"
                ) from None
            for table in chain.from_iterable(update.values()):
                self._schema.update_table(deepcopy(table), normalize_identifiers=False)
        self._rows.append(row)

    def items(self) -> Iterator[Any]:
        """What has been taken, as items to be yielded to dlt: Arrow tables, and a list of rows."""
        for name, parts in self._tables.items():
            yield self._marked(name, pa.concat_tables(parts, promote_options="default"))
        if self._rows:
            yield self._rows
        self._tables, self._rows = {}, []

    def _marked(self, name: str, rows: pa.Table) -> Any:
        if name == self._shape.table:
            return rows
        tables: dict[str, Any] = self._schema.tables
        if not isinstance(tables[name], NestedTable):
            tables[name] = NestedTable(tables[name], self._resource.name)
            # Without hints of its own, dlt takes it for the table of the resource.
            hints = dlt.mark.make_hints(table_name=name, parent_table_name=tables[name]["parent"])
            self._resource._set_hints(hints, create_table_variant=True)
        return dlt.mark.with_table_name(rows, name)


class NestedTable(dict[str, Any]):
    """A table below that of a resource, in a schema while rows are extracted.

    dlt 1.31 allows no `resource` on it, but looks for one when it counts what was extracted.
    """

    def __init__(self, table: Mapping[str, Any], resource: str) -> None:
        super().__init__(table)
        self._resource = resource

    def __missing__(self, key: str) -> str:
        if key == "resource":
            return self._resource
        raise KeyError(key)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return deepcopy(dict(self), memo)


class ByRow:
    """Gives rows on as they are: for a scan whose rows are not loaded."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def take(self, rows: list[Row]) -> dict[int, str]:
        """As `Columnar.take`; refuses none."""
        self._rows += rows
        return {}

    def items(self) -> Iterator[Any]:
        """As `Columnar.items`."""
        yield self._rows
        self._rows = []
