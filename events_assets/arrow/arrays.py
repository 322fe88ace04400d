"""Values of a column as an Arrow array, where that gives exactly what dlt makes of each."""

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime
from secrets import token_bytes
from types import NoneType
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import PUA_CHARACTER_MAX, PUA_START, may_have_pua
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.normalizers.utils import DLT_ID_LENGTH_BYTES
from dlt.common.schema.typing import TColumnSchema
from dlt.common.time import get_context_timezone_name

NONE: frozenset[type] = frozenset()
PLAIN: dict[Any, tuple[frozenset[type], pa.DataType]] = {
    "text": (frozenset({str}), pa.string()),
    "bigint": (frozenset({int}), pa.int64()),
    "double": (frozenset({float, int}), pa.float64()),
    "bool": (frozenset({bool}), pa.bool_()),
    "timestamp": (frozenset({str}), pa.timestamp("us", "UTC")),
}
"""Data types of dlt: the types of values that Arrow converts as dlt does, and its own type."""

TYPED = f"^[\\x{{{PUA_START:x}}}-\\x{{{PUA_START + PUA_CHARACTER_MAX:x}}}]"
"""Starts text that dlt takes for a value of another type."""

TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
ZONE = r"(Z|[+-]\d\d:?\d\d)"
FITTING = pa.array([True])
EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def column_array(
    values: Sequence[Any],
    kinds: Set[type],
    column: TColumnSchema,
    caps: DestinationCapabilitiesContext,
) -> tuple[pa.Array, list[int]]:
    """The values of a column, and the places of those that dlt may convert in another way.

    Args:
        values: texts, numbers, booleans or None.
        kinds: the types of values that are among them.
        column: the column as dlt has decided it.
        caps: what the destination can hold.
    """
    arrow_type = get_py_arrow_datatype(column, caps, get_context_timezone_name())
    plain, plain_type = PLAIN.get(column.get("data_type"), (NONE, None))
    if arrow_type != plain_type:  # of a precision or time zone of its own
        plain = NONE
    allowed = plain | {NoneType} if column.get("nullable", True) else plain
    unfit: list[int] = []
    if not allowed.issuperset(kinds):
        unfit = [place for place, value in enumerate(values) if type(value) not in allowed]
        values = _without(values, unfit)
    array, others = _array(values, arrow_type)
    return array, unfit + others


def coerced_array(
    values: Sequence[Any], column: TColumnSchema, caps: DestinationCapabilitiesContext
) -> tuple[pa.Array, list[int]]:
    """As `column_array`, of values that dlt has coerced to the type of the column, or None."""
    arrow_type = get_py_arrow_datatype(column, caps, get_context_timezone_name())
    if arrow_type != PLAIN.get(column.get("data_type"), (NONE, None))[1]:
        return pa.nulls(len(values), arrow_type), [
            place for place, value in enumerate(values) if value is not None
        ]
    return _array(values, arrow_type)


def dlt_ids(count: int) -> pa.Array:
    """As many ids as dlt gives to rows: random, in the characters of base64, of dlt's length."""
    length = math.ceil(DLT_ID_LENGTH_BYTES * 4 / 3)
    characters = b64encode(token_bytes(math.ceil(count * length * 3 / 4)))
    pieces = [None, pa.py_buffer(characters)]
    ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(length), count, pieces)
    return ids.cast(pa.binary()).cast(pa.string())


def _without(values: Sequence[Any], places: list[int]) -> list[Any]:
    values = list(values)
    for place in places:
        values[place] = None
    return values


def _array(values: Sequence[Any], arrow_type: pa.DataType) -> tuple[pa.Array, list[int]]:
    """The values that Arrow converts as dlt does, null for the others, and their places."""
    unfit: list[int] = []
    try:
        array, fits = _converted(values, arrow_type)
    except (ValueError, OverflowError):
        unfit = list(_misfits(values, 0, arrow_type))
        array, fits = _converted(_without(values, unfit), arrow_type)
    if _all(fits):
        return array, unfit
    unfit += [place for place, fit in enumerate(fits.to_pylist()) if fit is False]
    return pc.if_else(fits, array, None), unfit


def _misfits(values: Sequence[Any], start: int, arrow_type: pa.DataType) -> Iterator[int]:
    """The places of values that cannot be converted, found by halving."""
    try:
        _converted(values, arrow_type)
    except (ValueError, OverflowError):
        if len(values) == 1:
            yield start
            return
        half = len(values) // 2
        yield from _misfits(values[:half], start, arrow_type)
        yield from _misfits(values[half:], start + half, arrow_type)


def _converted(values: Sequence[Any], arrow_type: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """An array of values, and which of them are what dlt would make of them; null where null is.

    Raises:
        ValueError, OverflowError: some cannot be converted.
    """
    if pa.types.is_timestamp(arrow_type):
        return _times(values, arrow_type)
    array = pa.array(values, arrow_type)
    if pa.types.is_floating(arrow_type):
        return array, pc.is_finite(array)
    if pa.types.is_string(arrow_type) and _may_be_typed(array):
        return array, pc.invert(pc.match_substring_regex(array, TYPED))
    return array, FITTING


def _may_be_typed(texts: pa.Array) -> bool:
    """Whether the bytes of texts hold the start of a mark, which is quicker than to read each."""
    _, _, characters = texts.buffers()
    return characters is not None and may_have_pua(characters.to_pybytes())


def _times(values: Sequence[Any], arrow_type: pa.DataType) -> tuple[pa.Array, pa.Array]:
    if any(isinstance(value, datetime) for value in values):  # what dlt has coerced
        times = pa.array(values, arrow_type)
        return times, _in_years(times)
    texts = pa.array(values, pa.string())
    fits = pc.match_substring_regex(texts, f"^{TIME}{ZONE}$")
    if not _all(fits):
        naive = pc.match_substring_regex(texts, f"^{TIME}$")
        # dlt takes a time without a zone to be in that of the column, which is UTC.
        texts = pc.if_else(naive, pc.binary_join_element_wise(texts, "Z", ""), texts)
        fits = pc.or_(naive, fits)
        texts = pc.if_else(fits, texts, None)
    times = pc.cast(texts, arrow_type)
    return times, pc.and_kleene(fits, _in_years(times))


def _in_years(times: pa.Array) -> pa.Array:
    return pc.and_(pc.less_equal(EARLIEST, times), pc.less(times, LATEST))


def _all(claims: pa.Array) -> bool:
    """Whether none of the claims is false; what is null claims nothing."""
    return pc.all(claims).as_py() is not False
