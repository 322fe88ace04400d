"""Turns rows into Arrow tables that hold what dlt would make of the rows one by one.

dlt decides: a row that brings a column or a table goes through dlt's own normalizer, and on to dlt
as a row. Where all columns are decided, rows become Arrow tables, one for the resource and one for
each list in them: Arrow converts the values that have the plain form of their column, dlt coerces
each of the others. Rows of which dlt may make something else go on as rows, too; so do all rows of
a table of which a contract (dlt's `schema_contract`) says how far it may change.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from typing import Any

import dlt
import pyarrow as pa  # type: ignore[import-untyped]
from dlt.common.data_types import TDataType
from dlt.common.schema import Schema
from dlt.common.schema.exceptions import CannotCoerceColumnException
from dlt.common.schema.typing import TSchemaContractDict
from dlt.extract import DltResource

from events_assets.arrow.arrays import INSTANT
from events_assets.arrow.shred import Row, Shred, tables
from events_assets.dlt_private import Normalizer, for_nested_table, is_shared
from events_assets.errors import UnloadableError
from events_assets.rows.identity import Loadable
from events_assets.rows.marks import CHANGED, DIGEST, FIRST_SEEN, declare_marks
from events_assets.rows.names import distinct

LATER_ID = "zzzzzzzz{:016x}".format
"""Row ids of later versions: they grow, and come after all that dlt makes up, so that a merge which
sorts by them takes the last version."""

Digests = Sequence[int]

BATCH = 5_000
"""Rows that are converted together; dlt writes Arrow tables of this size at once."""


@dataclass(frozen=True)
class Marks:
    """Marks rows as seen first, and changed last, at a time; without one, not at all."""

    seen_at: datetime | None = None

    def on(self, row: Row, digest: int) -> Row:
        """The row with its marks."""
        if self.seen_at is None:
            return row
        return row | {FIRST_SEEN: self.seen_at, CHANGED: self.seen_at, DIGEST: digest}

    def arrays(self, digests: Digests) -> dict[str, pa.Array]:
        """The marks of some rows, as columns."""
        if self.seen_at is None:
            return {}
        seen_at = pa.repeat(pa.scalar(self.seen_at, INSTANT), len(digests))
        return {FIRST_SEEN: seen_at, CHANGED: seen_at, DIGEST: pa.array(digests, pa.int64())}


UNMARKED = Marks()


class Noticed:
    """A storage of dlt's that keeps no rows, but the names of the tables that rows went to."""

    def __init__(self) -> None:
        self.tables: set[str] = set()

    def write_data_item(self, _load: str, _schema: str, table: str, _row: Any, _all: Any) -> None:
        self.tables.add(table)


class Conversion:
    """Converts rows in their order; what has been taken is in `tables`, by name, and in `rows`.

    `schema` knows the table of the rows, and gets what dlt decides. `loadable` makes a row fit to
    be loaded, or raises UnloadableError; its rules hold for rows in Arrow tables, too.
    """

    def __init__(
        self, schema: Schema, table: str, load_id: str, loadable: Loadable, marks: Marks = UNMARKED
    ) -> None:
        self._schema, self._load_id, self._loadable = schema, load_id, loadable
        self._marks = marks
        self._noticed = Noticed()
        self._normalizer = Normalizer(schema, load_id, self._noticed)
        self.table = self._normalizer.table_part(table)
        self.usable = self._normalizer.is_usual(self.table)
        """Whether dlt's decisions on rows of the table can be known at all."""
        self._may_change = self._normalizer.may_change(self.table)
        self._size = 1
        self.tables: dict[str, list[pa.Table]] = {}
        self.rows: list[Row] = []

    def take(self, rows: list[Row], digests: Digests) -> dict[int, str]:
        """As `Columnar.take`."""
        if not self._may_change:
            return one_by_one(
                rows, digests, lambda row, digest: self.leave(self._loadable(row), digest)
            )
        refused: dict[int, str] = {}
        start = 0
        while start < len(rows):
            some = rows[start : start + self._size]
            shred = Shred(self._normalizer, self.table, self._loadable, some)
            if 0 < shred.new < len(some):
                self._size = shred.new  # the rows before the one that brings something new
                continue
            is_decided = shred.new > 0
            if is_decided:
                self._declare_marks()
                marks = self._marks.arrays(digests[start : start + len(some)])
                for name, table in tables(shred, self._load_id, marks):
                    self.tables.setdefault(name, []).append(table)
            for place in sorted(shred.unfit) if is_decided else [0]:
                try:
                    self.leave(self._loadable(some[place]), digests[start + place])
                except UnloadableError as unloadable:
                    refused[start + place] = str(unloadable)
            start += len(some) if is_decided else 1
            # After a row that brings something new, the next one may well bring more.
            self._size = min(2 * self._size, BATCH) if is_decided else 1
        return refused

    def leave(self, row: Row, digest: int) -> None:
        """Leaves a row to dlt, and adds the columns and tables that it makes for it.

        Raises:
            UnloadableError: a value fits neither its column nor the variant column beside it, or
                a contract discards the row.
            DataValidationError: a contract freezes what the row would change.
        """
        self._noticed.tables.clear()
        try:
            update = self._normalizer.decide(self.table, row)
        except CannotCoerceColumnException as error:
            # dlt 1.31 ends the load here. It may have added columns of the row already.
            self._normalizer = Normalizer(self._schema, self._load_id, self._noticed)
            raise UnloadableError(
                f"no column of {error.table_name} for the value of {error.column_name}"
            ) from None
        if not self._may_change and self.table not in self._noticed.tables:
            new = ", ".join(self._normalizer.discarding(self.table))
            raise UnloadableError(f"schema_contract discards rows that bring new columns: {new}")
        for table in chain.from_iterable(update.values()):
            self._schema.update_table(deepcopy(table), normalize_identifiers=False)
        self._declare_marks()
        self.rows.append(self._marks.on(row, digest))

    def _declare_marks(self) -> None:
        if self._marks.seen_at:
            declare_marks(self._schema, self.table)


def one_by_one(
    rows: list[Row], digests: Digests, take: Callable[[Row, int], None]
) -> dict[int, str]:
    """Takes rows; the positions of those that cannot be loaded, each with the reason."""
    refused: dict[int, str] = {}
    for place, (row, digest) in enumerate(zip(rows, digests, strict=True)):
        try:
            take(row, digest)
        except UnloadableError as unloadable:
            refused[place] = str(unloadable)
    return refused


class ByRow:
    """Gives rows on as rows, as `loadable` makes them; without it, as they are: these rows are not
    loaded."""

    def __init__(
        self, loadable: Callable[[Row], Row] = lambda row: row, marks: Marks = UNMARKED
    ) -> None:
        self._loadable, self._marks = loadable, marks
        self._rows: list[Row] = []

    def take(self, rows: list[Row], digests: Digests) -> dict[int, str]:
        """As `Columnar.take`."""
        return one_by_one(
            rows, digests, lambda row, digest: self._take(self._loadable(row), digest)
        )

    def _take(self, row: Row, digest: int) -> None:
        self._rows.append(self._marks.on(row, digest))

    def take_later(self, rows: list[Row], digests: Digests) -> dict[int, str]:
        """As `Columnar.take_later`."""
        return self.take(rows, digests)

    def items(self) -> Iterator[Any]:
        """As `Columnar.items`."""
        rows, self._rows = self._rows, []
        if rows:
            yield rows


class Columnar(ByRow):
    """Converts the rows of one scan for dlt, in their order.

    To be made while dlt extracts the resource, before any of its rows: declares its table.
    `key_types` are the data types of key columns, which dlt need not guess.
    """

    def __init__(
        self, key_types: Mapping[str, TDataType], loadable: Loadable, marks: Marks = UNMARKED
    ) -> None:
        super().__init__(loadable, marks)
        self._resource = resource = dlt.current.resource()
        self._schema = schema = dlt.current.source_schema()
        self._conversion: Conversion | None = None
        self._later_ids = map(LATER_ID, count(time.time_ns()))
        if schema.is_new_table(schema.naming.normalize_table_identifier(str(resource.table_name))):
            _take_shape(resource)
        if key_types:
            columns: Any = {distinct(name): {"data_type": kind} for name, kind in key_types.items()}
            resource.apply_hints(columns=columns)
        if (
            resource.has_dynamic_table_name
            or resource.nested_hints
            or resource.max_table_nesting is not None
            or is_shared(resource, dlt.current.source().resources.values())
        ):
            return
        for table in resource.compute_tables(schema.naming):
            schema.update_table(table, normalize_identifiers=False, merge_compound_props=False)
        load_id = dlt.current.load_package_state()["load_id"]
        conversion = Conversion(schema, str(resource.table_name), load_id, loadable, marks)
        self._conversion = conversion if conversion.usable else None

    def take(self, rows: list[Row], digests: Digests) -> dict[int, str]:
        """Converts rows, the more of them together the faster.

        Args:
            rows: as they came.
            digests: of the content of each.

        Returns positions in `rows` of those that cannot be loaded, each with the reason.
        """
        take = self._conversion.take if self._conversion else super().take
        return take(rows, digests)

    def take_later(self, rows: list[Row], digests: Digests) -> dict[int, str]:
        """Takes later versions of rows that were taken before, to be loaded in their place; as
        `take`."""

        def loadable(row: Row) -> Row:
            return self._loadable(row) | {"_dlt_id": next(self._later_ids)}

        conversion = self._conversion
        take = conversion.leave if conversion else self._take
        return one_by_one(rows, digests, lambda row, digest: take(loadable(row), digest))

    def items(self) -> Iterator[Any]:
        """What has been taken, as items to be yielded to dlt: Arrow tables, and a list of rows."""
        if done := self._conversion:
            for name, parts in done.tables.items():
                table = pa.concat_tables(parts, promote_options="default")
                own = name == done.table
                yield table if own else for_nested_table(self._resource, self._schema, name, table)
            self._rows, done.tables, done.rows = done.rows, {}, []
        yield from super().items()


def _take_shape(resource: DltResource) -> None:
    """Lets the first load of a table decide on its columns and those of the tables below it: a
    contract says how far they may change from then on."""
    contract = contract_of(resource)
    freely: Any = {**contract, "tables": "evolve", "columns": "evolve"}
    if freely != contract:  # dlt checks a table of modes with each item, and keeps that in memory
        resource.apply_hints(schema_contract=freely)


def contract_of(resource: DltResource) -> TSchemaContractDict:
    """The contract that is configured, in full."""
    configured: Any = resource.schema_contract or {}
    return Schema.expand_schema_contract_settings(configured)
