"""How APIs write times, and the instant that each form means.

- A text is read as ISO 8601 or RFC 3339 (`2026-05-01T10:00:00+02:00`, `2026-05-01 10:00Z`,
  `20260501T1000`), as RFC 2822 (`Fri, 01 May 2026 10:00:00 GMT`), or in a configured format.
  Fractions beyond microseconds are cut off.
- A text without offset is a local time. A date alone is midnight at its start; whether an end
  given as a date is meant to be inclusive is not guessed.
- A number is only read where its unit is configured.
- Local times follow RFC 5545 3.3.5, which is `fold=0` of PEP 495: one that a change of the clock
  skips is read with the offset before the change, of one that occurs twice the first is meant.
- A duration is exact: a day has 24 hours, a week seven such days; months and years have no
  length, and cannot be read.

What cannot be read raises `UnreadableTimeError`; nothing is guessed.
"""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

from events_assets.errors import UnreadableTimeError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNIX_UNITS = {"seconds": 1_000_000, "milliseconds": 1_000}
"""Microseconds in the units of Unix times."""

DURATION_UNITS = {**UNIX_UNITS, "minutes": 60_000_000, "hours": 3_600_000_000}
"""Microseconds in the units of durations."""

LIKELY_YEARS = range(1982, 2128)
"""In which a number is taken for a Unix time where no unit is configured: by `init`."""

UNREADABLE = "unreadable: "
"""Stands before a value that is no time, so that nobody takes it for one."""

# `fromisoformat` takes any character between date and time, the fifth digit of a Unix time, too.
ISO = re.compile(r"[0-9W-]{7,10}(?:[Tt ][0-9:.,]+(?:[Zz]|[+-][0-9:]+)?)?")
SPACED_OFFSET = re.compile(r"([0-9]) *(?:(?:UTC|GMT|[Zz])|([+-][0-9]{2}:?[0-9]{2}))$")
RFC_2822 = re.compile(
    r"(?:[A-Z][a-z]{2}, *)?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}(?::[0-9]{2})? "
    r"(?:GMT|UTC?|[+-][0-9]{4})"
)
ISO_DATE = re.compile(r"[0-9W-]{7,10}")
TIME_OF_DAY = re.compile(r"%[HIMcXTRs]")
"""What a format has that says more than a date."""
ASP_NET = re.compile(r"/Date\((-?[0-9]+)(?:[+-][0-9]{4})?\)/")
"""Milliseconds since 1970, of UTC whatever offset stands there, as of old servers."""
NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
CLOCK = re.compile(r"([0-9]+):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]+)?))?")
TIME_OF_DAY_TEXT = re.compile(
    r"([01]?[0-9]|2[0-3])(?:[:.hH]?([0-5][0-9]))?(?::([0-5][0-9](?:\.[0-9]+)?))?"
    r" ?(?:(Uhr|h)|([AaPp])\.?[Mm]\.?)?"
)
_PART = r"([0-9]+(?:[.,][0-9]+)?)"
ISO_DURATION = re.compile(
    rf"P(?=.)(?:{_PART}W)?(?:{_PART}D)?(?:T(?=.)(?:{_PART}H)?(?:{_PART}M)?(?:{_PART}S)?)?"
)
ISO_PARTS = (604_800_000_000, 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000)
"""Microseconds in weeks, days, hours, minutes and seconds."""


def from_text(text: str, local: tzinfo) -> datetime:
    """The instant, in UTC, of a text in ISO 8601, RFC 3339 or RFC 2822.

    Args:
        text: the time.
        local: the zone of a text without offset.

    Raises:
        UnreadableTimeError: the text is none of these, or beyond the years 1 to 9999 (UTC).
    """
    text = text.strip()
    try:
        if RFC_2822.fullmatch(text):
            # An offset of -0000 means UTC, too (RFC 5322 3.3).
            return _in_utc(parsedate_to_datetime(text), UTC)
        if ISO.fullmatch(text) is None:
            text = SPACED_OFFSET.sub(lambda found: found[1] + (found[2] or "+00:00"), text)
        if ISO.fullmatch(text):
            return _in_utc(datetime.fromisoformat(text.upper()), local)
    except (ValueError, OverflowError):
        pass
    raise UnreadableTimeError(text)


def from_format(text: str, form: str, local: tzinfo) -> datetime:
    """The instant, in UTC, of a text in a format of `strptime`; `local` as in `from_text`.

    Raises:
        UnreadableTimeError: the text has another format, or is beyond the years 1 to 9999 (UTC).
    """
    try:
        return _in_utc(datetime.strptime(text.strip(), form), local)
    except (ValueError, OverflowError):
        raise UnreadableTimeError(text) from None


def from_number(value: Any, unit: str) -> datetime:
    """The instant, in UTC, of a Unix time: a number, or a text of digits, also in `/Date(...)/`.

    Args:
        value: the time since 1970.
        unit: of `UNIX_UNITS`.

    Raises:
        UnreadableTimeError: the value is no number, or beyond the years 1 to 9999.
    """
    written = ASP_NET.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        return EPOCH + _amount(written[1] if written else value, UNIX_UNITS[unit])
    except OverflowError:
        raise UnreadableTimeError(value) from None


def duration(value: Any, unit: str | None = None) -> timedelta:
    """A duration: a number of `unit`, or without unit an ISO 8601 duration or `H:MM[:SS]`.

    Args:
        value: like 90 (`minutes`), "PT1H30M" or "1:30".
        unit: of `DURATION_UNITS`.

    Raises:
        UnreadableTimeError: the value is neither, or says months or years, which have no length.
    """
    if unit is not None:
        return _amount(value, DURATION_UNITS[unit])
    text = value.strip().upper() if isinstance(value, str) else ""
    found = CLOCK.fullmatch(text) or ISO_DURATION.fullmatch(text)
    if found is None:
        raise UnreadableTimeError(value)
    parts = zip(reversed(found.groups()), reversed(ISO_PARTS), strict=False)
    amounts = (_amount(number.replace(",", "."), size) for number, size in parts if number)
    return sum(amounts, timedelta())


def clock(value: Any) -> str:
    """A time of day as ISO 8601 has it: of `9:30 PM`, `21.30`, `21h30`, `21 Uhr`, `2130` or the
    number 2130; another text is given back as it is.

    Raises:
        UnreadableTimeError: the value is a number that is no such time, or no text at all.
    """
    text = value.strip() if isinstance(value, str) else ""
    if isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:04}"
    found = TIME_OF_DAY_TEXT.fullmatch(text)
    if not isinstance(value, str) and not found:
        raise UnreadableTimeError(value)
    if not found or not (found[2] or found[4] or found[5]):
        return text
    hour = int(found[1])
    if found[5]:
        hour = hour % 12 + (12 if found[5] in "Pp" else 0)
    return f"{hour:02}:{found[2] or '00'}" + (f":{found[3]}" if found[3] else "")


def to_text(instant: datetime, form: str) -> str:
    """An instant as an API wants it: in a unit of `UNIX_UNITS`, or in a format of `strftime`."""
    if form in UNIX_UNITS:
        return str((instant - EPOCH) // timedelta(microseconds=UNIX_UNITS[form]))
    return instant.strftime(form)


def unix_unit(value: Any) -> str | None:
    """The unit in which a number, or a text of digits, is a Unix time of `LIKELY_YEARS`."""
    for unit in UNIX_UNITS:
        with suppress(UnreadableTimeError):
            if from_number(value, unit).year in LIKELY_YEARS:
                return unit
    return None


def is_twice(instant: datetime, local: tzinfo) -> bool:
    """Whether clocks somewhere show the time of an instant twice, as they were put back."""
    if not isinstance(local, ZoneInfo):
        return False
    wall = instant.astimezone(local)
    return wall.replace(fold=0).utcoffset() != wall.replace(fold=1).utcoffset()


def is_date(text: str, form: str | None = None) -> bool:
    """Whether a time that can be read, in a format or else as ISO 8601, says no time of day."""
    says_more = TIME_OF_DAY.search(form) if form else not ISO_DATE.fullmatch(text.strip())
    return not says_more


def has_offset(text: str) -> bool:
    """Whether a time says where it is meant; one that does not is a local time.

    Raises:
        UnreadableTimeError: the text is no time.
    """
    return from_text(text, UTC) == from_text(text, timezone(timedelta(hours=1)))


def unreadable(*values: Any) -> str:
    """What stands in the place of a time that cannot be read: its parts, whole, as text."""
    parts = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return UNREADABLE + " ".join(parts)


def _in_utc(time: datetime, local: tzinfo) -> datetime:
    return (time.replace(tzinfo=local) if time.tzinfo is None else time).astimezone(UTC)


def _amount(value: Any, microseconds: int) -> timedelta:
    """The time that a number of units takes, cut off to microseconds."""
    text = value.strip() if isinstance(value, str) else repr(value)
    try:
        if isinstance(value, str) and not NUMBER.fullmatch(text):
            raise UnreadableTimeError(value)
        return timedelta(microseconds=floor(Decimal(text) * microseconds))
    except (ValueError, ArithmeticError):
        raise UnreadableTimeError(value) from None
