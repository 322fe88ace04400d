"""Formats of `strptime` for times that are written neither in ISO 8601 nor in RFC 2822.

Only what names a whole date is a time. `03/04/2026` is in March or in April; with dots, as in
`3.4.2026`, the day comes first.
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from datetime import UTC
from itertools import chain
from typing import Any

from events_assets.errors import UnreadableTimeError
from events_assets.rows.times import from_format

LONGEST = 50
"""Characters of a time."""

NUMBER = "#"
"""Stands for a day, a month or a short year."""

PARTS = {
    r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?= ?[AP]M)": "%I:%M:%S",
    r"[0-9]{1,2}:[0-9]{2}(?= ?[AP]M)": "%I:%M",
    r"[0-9]{1,2}(?= ?[AP]M)": "%I",
    r"[AP]M(?![A-Z])": "%p",
    r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}": "%H:%M:%S",
    r"[0-9]{1,2}:[0-9]{2}": "%H:%M",
    r"(?:(?<=:[0-9]{2})|(?<=[0-9M] ))(?:[+-][0-9]{2}:?[0-9]{2}(?![0-9])|Z)": "%z",
    r"[0-9]{4}(?![0-9])": "%Y",
    r"[0-9]{1,2}(?![0-9])": NUMBER,
    **{
        rf"(?:{'|'.join(names)})(?![a-z])": directive
        for directive, names in {
            "%B": [*calendar.month_name][1:],
            "%b": [*calendar.month_abbr][1:],
            "%A": [*calendar.day_name],
            "%a": [*calendar.day_abbr],
        }.items()
    },
}
"""Directives by what they read."""

PART = re.compile("|".join(f"({pattern})" for pattern in PARTS), re.IGNORECASE)
DIRECTIVES = re.compile(rf"%[A-Za-z](?::%[A-Za-z])*|{NUMBER}")
BETWEEN = re.compile(r"(?:[\s,./()-]|\b(?:at|T|um|Uhr)\b)*", re.IGNORECASE)
"""What may stand between the parts."""


def formats_of(values: Sequence[Any]) -> list[str]:
    """The formats that read all of the values; two where day and month cannot be told apart."""
    if not all(isinstance(value, str) and len(value) < LONGEST for value in values):
        return []
    shapes = dict.fromkeys(map(_shape, values))
    forms = dict.fromkeys(chain.from_iterable(map(_forms, shapes)))
    return [form for form in forms if all(_reads(form, value) for value in values)]


def _shape(text: str) -> str:
    """A text with directives in place of its parts; empty where something else is in it."""
    shape = PART.sub(lambda found: [*PARTS.values()][(found.lastindex or 1) - 1], text.strip())
    rest = BETWEEN.fullmatch(DIRECTIVES.sub(" ", shape))
    return shape if rest else ""


def _forms(shape: str) -> Iterator[str]:
    """The formats that a shape can mean: one for each order of its numbers."""
    directives = re.findall("%[A-Za-z]", shape)
    if len(directives) > len({*directives}):  # which no format may have
        return
    month, year = "%B" in shape or "%b" in shape, "%Y" in shape
    numbers = shape.count(NUMBER)
    orders = [["%d"]] if month else [["%m", "%d"], ["%d", "%m"]]
    if not month and (f"{NUMBER}.{NUMBER}." in shape):
        orders = orders[1:]
    elif not month and year and shape.index("%Y") < shape.find(NUMBER):
        orders = orders[:1]
    for order in orders:
        meant = order if year else [*order, "%y"]
        if len(meant) == numbers:
            form = shape
            for directive in meant:
                form = form.replace(NUMBER, directive, 1)
            yield form


def _reads(form: str, text: str) -> bool:
    try:
        return bool(from_format(text, form, UTC))
    except UnreadableTimeError:
        return False
