"""Values of a column as an Arrow array, where that gives exactly what dlt makes of each."""

import math
from base64 import b64encode
from collections.abc import Iterable, Sequence, Set
from secrets import token_bytes
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.normalizers.utils import generate_dlt_id
from dlt.common.schema.typing import TColumnSchema
from dlt.common.time import get_context_timezone_name

from events_assets.rows.rules import Path, Rule

INSTANT = pa.timestamp("us", "UTC")
PLAIN: dict[Any, tuple[frozenset[type], pa.DataType]] = {
    "text": (frozenset({str}), pa.string()),
    "bigint": (frozenset({int}), pa.int64()),
    "double": (frozenset({float, int}), pa.float64()),
    "bool": (frozenset({bool}), pa.bool_()),
    "timestamp": (frozenset({str}), INSTANT),
}
"""Data types of dlt: the types of values that Arrow converts as dlt does, and its own type."""

# dlt cannot read the year 0.
YEAR = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
TIME = rf"{YEAR}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{{1,6}})?)?"
ZONE = r"(Z|[+-]\d\d:?\d\d)"


def plain_kinds(column: TColumnSchema, caps: DestinationCapabilitiesContext) -> frozenset[type]:
    """The types of values of a column that Arrow may convert; none if it has a precision or time
    zone of its own."""
    kinds, plain_type = PLAIN.get(column.get("data_type"), (frozenset(), None))
    arrow_type = get_py_arrow_datatype(column, caps, get_context_timezone_name())
    return kinds if arrow_type == plain_type else frozenset()


def column_array(
    values: Sequence[Any],
    kinds: Set[type],
    column: TColumnSchema,
    rules: Iterable[Rule],
    path: Path,
) -> pa.Array:
    """Values at a path, of these types or None, for a column of `PLAIN`; null stands for those that
    dlt may convert in another way, and for those that the screens of rules find."""
    plain, arrow_type = PLAIN[column["data_type"]]
    if not kinds <= plain | {NoneType}:
        values = [value if type(value) in plain else None for value in values]
    try:
        array = pa.array(values, pa.string() if arrow_type == INSTANT else arrow_type)
    except (ValueError, OverflowError):  # of one of them
        return pa.nulls(len(values), arrow_type)
    for rule in rules:
        suspects = rule.screen(array, path) if rule.screen else False
        if suspects is not False:
            array = pc.if_else(suspects, None, array)
    return _times(array) if arrow_type == INSTANT else array


def missing(array: pa.Array, values: Sequence[Any]) -> list[int]:
    """The places where the array has nothing, but something belongs there."""
    if not array.null_count or array.null_count == values.count(None):
        return []
    there = array.is_valid().to_pylist()
    return [at for at, value in enumerate(values) if value is not None and not there[at]]


def dlt_ids(count: int) -> pa.Array:
    """As many ids as dlt gives to rows: random, in the characters of base64, of dlt's length."""
    length = len(generate_dlt_id())
    characters = pa.py_buffer(b64encode(token_bytes(math.ceil(count * length * 3 / 4))))
    ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(length), count, [None, characters])
    return ids.cast(pa.binary()).cast(pa.string())


def _times(texts: pa.Array) -> pa.Array:
    """The instants of texts in full; null for the others, of which dlt may make something else."""
    full = pc.match_substring_regex(texts, f"^{TIME}{ZONE}$")
    if pc.all(full).as_py() is False:
        # dlt takes a time without a zone to be in that of the column, which is UTC.
        naive = pc.match_substring_regex(texts, f"^{TIME}$")
        texts = pc.if_else(naive, pc.binary_join_element_wise(texts, "Z", ""), texts)
        texts = pc.if_else(pc.or_(naive, full), texts, None)
    try:
        return pc.cast(texts, INSTANT)
    except ValueError:  # like February 30
        return pa.nulls(len(texts), INSTANT)
