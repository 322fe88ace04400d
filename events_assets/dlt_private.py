"""Every name of dlt that it does not document, each with the reason why it is needed.

Written for dlt 1.31. `test_dlt_private.py` fails on the day that one of them is renamed, or that
dlt does by itself what it is needed for.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, cast

import dlt
from dlt.common.configuration.container import Container
from dlt.common.data_types import TDataType, type_helpers
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import PUA_CHARACTER_MAX, PUA_START, json, may_have_pua
from dlt.common.normalizers.json.relational import DataItemNormalizer
from dlt.common.schema import DEFAULT_SCHEMA_CONTRACT_MODE, Schema, TSchemaUpdate
from dlt.common.schema.exceptions import CannotCoerceColumnException, CannotCoerceNullException
from dlt.extract import DltResource
from dlt.normalize.configuration import NormalizeConfiguration
from dlt.normalize.items_normalizers import JsonLItemsNormalizer

TYPE_MARKS = tuple(map(chr, range(PUA_START, PUA_START + PUA_CHARACTER_MAX + 1)))
"""Characters that dlt puts before values that JSON has no type for. It takes a text of the API that
begins with one for such a value, and fails or loses it."""


def conversions() -> dict[tuple[TDataType, TDataType], Callable[[Any], Any]]:
    """How dlt converts a value of the second type to the first, for the whole process; needed since
    the schema would name a normalizer of our own, and could not be read without this package."""
    return type_helpers._COERCE_DISPATCH


class Normalizer:
    """dlt's own normalizer of rows, asked what it would make of them; needed because dlt normalizes
    rows in a step of its own, after all of them were extracted.

    `schema` is copied, not changed. Rows are written to `storage`, a DataItemStorage, if any.
    """

    def __init__(self, schema: Schema, load_id: str, storage: Any = None) -> None:
        # The normalizer of a schema learns when it is made which keys its tables have.
        self.schema = schema.clone(update_normalizers=True)
        config = NormalizeConfiguration()
        self.caps = config.destination_capabilities = Container()[DestinationCapabilitiesContext]
        no: Any = None
        self._rows = JsonLItemsNormalizer(storage, no, no, self.schema, load_id, config)
        self._writes = storage is not None
        self._names = names = cast(DataItemNormalizer, self.schema.data_item_normalizer)
        self.table_part = names._normalize_table_identifier  # key -> part of a table's name
        self.column_part = names._normalize_identifier  # key -> part of a column's name
        self.joined = names._shorten_fragments  # parts -> name
        # Table, column, levels that are left -> whether objects and lists stay as they are.
        self.is_whole = names._is_nested_type

    def is_table_of_lists(self, table: str) -> bool:
        """Whether a table is below another one, and dlt leaves its name as it is."""
        stable = self.schema.naming.normalize_tables_path(table) == table
        return stable and self._names._should_be_nested(table)

    def levels(self, table: str) -> int:
        """Levels of nesting that become tables and columns."""
        return self._names._get_table_nesting_level(table, self._names.max_nesting) or 0

    def inherited(self, table: str) -> dict[Any, str]:
        """Columns of a table whose values the tables below get, and their names in there."""
        mapping = self._names._get_propagation_mapping
        return dict(mapping(table, True)) if mapping else {}

    def is_usual(self, table: str) -> bool:
        """Whether tables have the keys that they have by default."""
        return self._names._get_root_row_id_type(table) == "random" and self.inherited(
            table
        ).keys() <= {self._names.c_dlt_id}

    def may_change(self, table: str) -> bool:
        """Whether no schema contract says how far tables may change."""
        contract = self.schema.resolve_contract_settings_for_table(table)
        return contract == DEFAULT_SCHEMA_CONTRACT_MODE

    def discarding(self, table: str) -> list[str]:
        """New columns that a contract lets no row of a table bring, as far as rows tried to."""
        modes = self._rows._filtered_tables_columns.get(table, {})
        return [column for column, mode in modes.items() if mode == "discard_row"]

    def coerced(self, table: str, column: str, value: Any) -> tuple[str, Any] | None:
        """The column that a value goes to, and the value in there; None if that is not decided yet,
        or only for the row as a whole."""
        try:
            made, new = self._rows._coerce_row(table, "", {column: value})
        except (CannotCoerceColumnException, CannotCoerceNullException):
            return None
        return None if new else next(iter(made.items()), None)

    def decide(self, table: str, row: Mapping[str, Any]) -> TSchemaUpdate:
        """Decides on all tables and columns for a row; those that are new. Raises
        CannotCoerceColumnException where a value fits neither its column nor the variant column
        beside it; some of the row's columns may have been decided by then. Raises
        DataValidationError where a contract freezes what the row would change."""
        written = json.typed_dumpb([row])
        return self._rows._normalize_chunk(
            table, json.loadb(written), may_have_pua(written), skip_write=not self._writes
        )


def is_shared(resource: DltResource, others: Iterable[DltResource]) -> bool:
    """Whether dlt gives the items of a resource to further steps or to resources that depend on it;
    needed because a resource does not tell its steps, nor a source who depends on whom."""
    pipe = resource._pipe
    # An incremental that is not configured is a step, too.
    steps = any(getattr(step, "incremental", step) for step in pipe.steps[1:])
    parents = (other._pipe.parent for other in others)
    return steps or any(parent and parent.name == pipe.name for parent in parents)


def for_nested_table(resource: DltResource, schema: Schema, name: str, items: Any) -> Any:
    """Items of a resource for a table below its own, which is in the schema already; needed because
    dlt gives the hints of the resource (key, columns, how to write) to each table that is named by
    public means, and looks for a resource that it does not allow on one below."""
    tables: dict[str, Any] = schema.tables
    if not isinstance(tables[name], NestedTable):
        tables[name] = NestedTable(tables[name])
        tables[name].resource = resource.name
        hints = dlt.mark.make_hints(table_name=name, parent_table_name=tables[name]["parent"])
        resource._set_hints(hints, create_table_variant=True)
    return dlt.mark.with_table_name(items, name)


class NestedTable(dict[str, Any]):
    """A table in a schema where dlt finds the resource when it counts what was extracted, although
    none is written to it."""

    resource = ""

    def __missing__(self, key: str) -> str:
        if key == "resource":
            return self.resource
        raise KeyError(key)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return deepcopy(dict(self), memo)
