"""Values of a column as an Arrow array, where that gives exactly what dlt makes of each."""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence, Set
from secrets import token_bytes
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.schema.typing import TColumnSchema
from dlt.common.time import get_context_timezone_name

from events_assets.dlt_private import ID_BYTES
from events_assets.rows.rules import Path

Screen = Callable[[pa.Array, Path], Any]
"""Tells which values of an array are not to be converted; one answer may stand for all."""

INSTANT = pa.timestamp("us", "UTC")
NONE: frozenset[type] = frozenset()
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
    """The types of values of a column that Arrow may convert."""
    kinds, plain_type = PLAIN.get(column.get("data_type"), (NONE, None))
    # none of a precision or time zone of its own
    return kinds if _arrow_type(column, caps) == plain_type else NONE


def column_array(
    values: Sequence[Any],
    kinds: Set[type],
    column: TColumnSchema,
    caps: DestinationCapabilitiesContext,
    screens: Iterable[Screen] = (),
    path: Path = (),
) -> tuple[pa.Array, list[int]]:
    """The values of a column, and the places of those that dlt may convert in another way.

    Args:
        values: texts, numbers, booleans or None.
        kinds: the types of values that are among them.
        column: the column as dlt has decided it.
        caps: what the destination can hold.
        screens: get the texts or numbers, and the path of the values.
    """
    arrow_type, plain = _arrow_type(column, caps), plain_kinds(column, caps)
    fit: Sequence[Any] = values
    if not kinds <= plain | {NoneType}:
        fit = [value if type(value) in plain else None for value in values]
    are_times = bool(plain) and arrow_type == INSTANT
    array = _array(fit, pa.string() if are_times else arrow_type)
    for screen in screens:
        suspects = screen(array, path)
        if suspects is not False and (suspects is True or pc.any(suspects).as_py()):
            array = pc.if_else(suspects, None, array)
    if are_times:
        array = _times(array)
    return array, _missing(array, values, NoneType in kinds, bool(column.get("nullable", True)))


def coerced_array(
    values: Sequence[Any], column: TColumnSchema, caps: DestinationCapabilitiesContext
) -> tuple[pa.Array, list[int]]:
    """As `column_array`, of values that dlt has coerced to the type of the column, or None."""
    arrow_type = _arrow_type(column, caps)
    known = bool(plain_kinds(column, caps))
    array = _array(values, arrow_type) if known else pa.nulls(len(values), arrow_type)
    return array, _missing(array, values, True, True)


def dlt_ids(count: int) -> pa.Array:
    """As many ids as dlt gives to rows: random, in the characters of base64, of dlt's length."""
    length = math.ceil(ID_BYTES * 4 / 3)
    characters = b64encode(token_bytes(math.ceil(count * length * 3 / 4)))
    pieces = [None, pa.py_buffer(characters)]
    ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(length), count, pieces)
    return ids.cast(pa.binary()).cast(pa.string())


def _arrow_type(column: TColumnSchema, caps: DestinationCapabilitiesContext) -> pa.DataType:
    return get_py_arrow_datatype(column, caps, get_context_timezone_name())


def _missing(
    array: pa.Array, values: Sequence[Any], has_none: bool, may_be_none: bool
) -> list[int]:
    """The places where the array has nothing, but something belongs there."""
    if array.null_count == (values.count(None) if has_none and may_be_none else 0):
        return []
    there = array.is_valid().to_pylist()
    return [
        place
        for place, (value, is_there) in enumerate(zip(values, there, strict=True))
        if not is_there and not (value is None and may_be_none)
    ]


def _array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array:
    """An array of values, with null for those that Arrow refuses; they are found by halving."""
    try:
        return pa.array(values, arrow_type)
    except (ValueError, OverflowError):
        return _in_halves(values, lambda half: _array(half, arrow_type), arrow_type)


def _times(texts: pa.Array) -> pa.Array:
    """The instants of texts in full; null for the others, of which dlt may make something else."""
    full = pc.match_substring_regex(texts, f"^{TIME}{ZONE}$")
    if pc.all(full).as_py() is False:
        # dlt takes a time without a zone to be in that of the column, which is UTC.
        naive = pc.match_substring_regex(texts, f"^{TIME}$")
        texts = pc.if_else(naive, pc.binary_join_element_wise(texts, "Z", ""), texts)
        texts = pc.if_else(pc.or_(naive, full), texts, None)
    return _cast(texts)


def _cast(texts: pa.Array) -> pa.Array:
    try:
        return pc.cast(texts, INSTANT)
    except ValueError:  # like February 30
        return _in_halves(texts, _cast, INSTANT)


def _in_halves(
    values: Any, convert: Callable[[Any], pa.Array], arrow_type: pa.DataType
) -> pa.Array:
    if len(values) == 1:
        return pa.nulls(1, arrow_type)
    half = len(values) // 2
    return pa.concat_arrays([convert(values[:half]), convert(values[half:])])
