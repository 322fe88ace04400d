"""Values that do not fit their column go to a variant column, as dlt means them to.

dlt 1.31 makes a variant column where a conversion raises ValueError. Some succeed although a part
is lost: the zero of "01234", all of 5 in a column of booleans, the last digit of a whole number in
a column of fractions. Two others end the load: a number too large for a time raises OSError, and a
whole number beyond 64 bit fails when it is written.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from threading import Lock
from typing import Any

from events_assets.dlt_private import conversions

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
"""Text that is a number in JSON, too (RFC 8259 6)."""


def _fitting(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert_or_refuse(value: Any) -> Any:
        try:
            converted = convert(value)
        except OSError as error:
            raise ValueError(value) from error
        if not isinstance(converted, date) and not _is_kept(value, converted):
            raise ValueError(value)
        return converted

    return convert_or_refuse


OWN = {
    types: convert
    for types, convert in conversions().items()
    if types[0] in ("bigint", "double", "bool", "timestamp")
}
FITTING = {types: _fitting(convert) for types, convert in OWN.items()}

_lock = Lock()
_users: list[None] = []


@contextmanager
def fitting() -> Iterator[None]:
    """Lets dlt's conversions of this process raise ValueError for what cannot be kept.

    Several may overlap: the last one to end gives dlt its own conversions back.
    """
    with _lock:
        _users.append(None)
        conversions().update(FITTING)
    try:
        yield
    finally:
        with _lock:
            _users.pop()
            if not _users:
                conversions().update(OWN)


def _is_kept(value: Any, converted: Any) -> bool:
    """Whether a number or boolean says all that the value said."""
    if isinstance(converted, int) and not -(2**63) <= converted < 2**63:
        return False
    if not isinstance(value, str):
        return bool(converted == value)
    if isinstance(converted, bool):
        return value.lower() == str(converted).lower()
    return bool(NUMBER.fullmatch(value)) and Decimal(value) == Decimal(repr(converted))
