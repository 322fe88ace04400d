"""Values that do not fit their column go to a variant column, as dlt means them to.

dlt 1.31 converts a value to the type of its column, and makes a variant column where that raises
ValueError. Two conversions slip through and end the load instead: a number too large for a time
raises OSError, and a whole number beyond 64 bit is converted, and fails when it is written.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.data_types import type_helpers


@contextmanager
def fitting() -> Iterator[None]:
    """Lets dlt's conversions of this process raise ValueError for what cannot be written."""
    conversions: Any = type_helpers._COERCE_DISPATCH
    before = dict(conversions)
    conversions.update(
        (types, _fitting(convert))
        for types, convert in before.items()
        if types[0] in ("bigint", "timestamp")
    )
    try:
        yield
    finally:
        conversions.update(before)


def _fitting(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert_or_refuse(value: Any) -> Any:
        try:
            converted = convert(value)
        except OSError as error:
            raise ValueError(value) from error
        if isinstance(converted, int) and not -(2**63) <= converted < 2**63:
            raise ValueError(value)
        return converted

    return convert_or_refuse
