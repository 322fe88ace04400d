"""What stands beside a time in the rows of an unknown API: its time of day, the zone of its clocks,
and in place of an end how long an event lasts.

Only what holds in all rows is proposed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from itertools import product
from typing import Any

from events_assets.commands.formats import formats_of
from events_assets.commands.paths import NAMES, is_text_or_number, join, words_of
from events_assets.errors import UnreadableTimeError
from events_assets.json_path import Keys
from events_assets.rows.times import clock, duration, from_text, has_offset, is_date, unix_unit
from events_assets.settings import zone

Held = dict[int, Any]
"""Values by the number of their row."""
Values = Mapping[Keys, Held]
Form = dict[str, str]
"""How a time is written, as settings beside its path."""

FIELDS = NAMES["fields"]
TIMES = ("start_time", "end_time")
CLOCK = re.compile(r"\d\d:\d\d(:\d\d(\.\d+)?)?")
CLOCK_IN = re.compile(r"\d:\d\d")
"""A time of day, and what has one in it."""
MINUTES = 24 * 60
"""Of a day; a greater number that is a clock, like 1930, is no count of them."""


def merged(values: Values, paths: Sequence[Keys]) -> Held:
    """What is found in each row at the first of the paths that has something there."""
    found: Held = {}
    for path in paths:
        found = {**values[path], **found}
    return found


def forms_of(held: Held) -> list[Form]:
    """How times may be written: without any settings in ISO 8601 and RFC 2822. Empty: they are no
    times, or not all of one form."""
    values = [*held.values()]
    units = {unix_unit(value) for value in values}
    if units == {None}:
        if all(map(is_time, values)):
            return [{}]
        return [{"format": form} for form in formats_of(values)]
    return [{"unit": str(unit)} for unit in units] if len(units) == 1 else []


def is_time(value: Any) -> bool:
    """Whether a value looks like a point in time: a text in a known form, or a Unix time."""
    try:
        return bool(unix_unit(value) or (isinstance(value, str) and from_text(value, UTC)))
    except UnreadableTimeError:
        return False


def other(name: str) -> str:
    """The other one of start and end."""
    return TIMES[name == TIMES[0]]


def clock_of(
    name: str, days: Iterable[Keys], values: Values
) -> tuple[Keys, Keys, list[Form]] | None:
    """Where the day and the time of day are, and in which forms, if they stand apart."""
    clocks = [path for path in _named_clocks(name, values) if _are_clocks(values[path].values())]
    for day, at in product(days, clocks):
        both = {n: (v, values[at][n]) for n, v in values[day].items() if n in values[at]}
        if both and all(isinstance(v, str) and not CLOCK_IN.search(v) for v, _ in both.values()):
            written = forms_of({n: f"{v} {c}" for n, (v, c) in both.items()})
            is_iso = all(is_time(f"{v.strip()}T{clock(c)}") for v, c in both.values())
            dates = [{"format": one} for one in formats_of([v for v, _ in both.values()])]
            if forms := [{}] if is_iso else written or dates:
                return day, at, forms
    return None


def unread_clock(name: str, paths: Sequence[Keys], values: Values) -> str:
    """Where a time of day seems to be that nothing reads, beside a time that is none but dates;
    empty without one."""
    held = [*merged(values, paths).values()]
    if held and all(isinstance(one, str) and is_time(one) and is_date(one) for one in held):
        for path in _named_clocks(name, values):
            some = [*values[path].values()]
            if path not in paths and all(map(is_text_or_number, some)) and not any(map(_day, some)):
                return join(path)
    return ""


def _day(value: Any) -> bool:
    return isinstance(value, str) and (is_time(value) or bool(formats_of([value])))


def _named_clocks(name: str, values: Values) -> list[Keys]:
    """The fields that are called like a time of day of a start, or of an end."""
    words = {*FIELDS[name]["words"]}
    unfit = ({*FIELDS[other(name)]["words"]} - words) | {*FIELDS["other_times"]}
    plain = {*FIELDS["neutral"], *FIELDS["clock"], *FIELDS["wrappers"]}
    named = {path: {*words_of(path)} for path in values}
    return [
        path
        for path, own in named.items()
        if not unfit & own and (words & own or (name == "start_time" and own <= plain))
    ]


def _are_clocks(values: Iterable[Any]) -> bool:
    """Whether all are times of day; digits alone may also count minutes, unless they are too many,
    or have a zero before them."""
    texts = [*values]
    with suppress(UnreadableTimeError):
        digits = [str(one) for one in texts if str(one).strip().isdecimal()]
        is_told = any(int(one) >= MINUTES or one.startswith("0") for one in digits if one != "0")
        return all(CLOCK.fullmatch(clock(one)) for one in texts) and (is_told or not digits)
    return False


def zone_of(name: str, paths: Sequence[Keys], values: Values, form: Form) -> str:
    """Where the zone of a local time is named: beside it or around it, in each row that needs one;
    empty without one."""
    needy = local_times(paths, values, form)
    for path in _called_zones(name, paths, values) if needy else ():
        if all(n in values[path] and _is_zone(values[path][n]) for n in needy):
            return join(path)
    return ""


def unread_zone(name: str, paths: Sequence[Keys], values: Values) -> Keys | None:
    """What is called like the zone of a time, and is none."""
    called = _called_zones(name, paths, values)
    return next((path for path in called if not all(map(_is_zone, values[path].values()))), None)


def _called_zones(name: str, paths: Sequence[Keys], values: Values) -> list[Keys]:
    """What is called like the zone of a time, beside it or around it; the likeliest first."""
    others, found = {*FIELDS[other(name)]["words"]} - {*FIELDS[name]["words"]}, []
    for path in values:
        words, parent = {*words_of(path[-1:])}, path[:-1]
        is_around = any(place[: len(parent)] == parent for place in paths)
        is_place = {*words_of(parent[-1:])} & {*FIELDS["places"]}
        is_called = words & {*FIELDS["zones"], *FIELDS["offsets"]}
        if is_called and (is_around or is_place) and not others & {*words_of(path)}:
            is_own = bool(words & {*FIELDS[name]["words"]})
            found.append((not is_around, -len(parent), not is_own, len(words), path))
    return [path for *_, path in sorted(found)]


def local_times(paths: Sequence[Keys], values: Values, form: Form) -> Held:
    """The times that do not say where they are meant, nor are called UTC."""
    if "unit" in form or "%z" in form.get("format", ""):
        return {}
    found: Held = {}
    for path in reversed(paths):
        is_utc = {"utc", "gmt"} & {*words_of(path)}
        found |= dict.fromkeys(values[path]) if is_utc else values[path]
    return {n: v for n, v in found.items() if isinstance(v, str) and not _has_offset(v)}


def _has_offset(text: str) -> bool:
    with suppress(UnreadableTimeError):
        return has_offset(text)
    return False


def _is_zone(value: Any) -> bool:
    """Not a mere letter, nor digits that may count minutes, like +120."""
    text = value.strip() if isinstance(value, str) else ""
    with suppress(UnreadableTimeError):
        return len(text) > 1 and not re.fullmatch(r"[+-]\d{3}", text) and bool(zone(text))
    return False


def duration_of(values: Values, starts: Held) -> tuple[str, Form] | None:
    """Where each row says how long an event lasts, and in which unit, none for texts like `1:30`.
    The unit `?`: it is a number, and nothing says of what."""
    for path, held in values.items():
        words = words_of(path)
        is_near = len(path) == 1 or path[0] in FIELDS["wrappers"]
        if (
            not is_near
            or not {*FIELDS["duration"]} & {*words}
            or {*FIELDS["other_times"]} & {*words}
        ):
            continue
        unit = next((u for u, names in FIELDS["units"].items() if {*names} & {*words}), None)
        if held.keys() >= starts.keys() and all(_lasts(one, unit) for one in held.values()):
            return join(path), {"unit": unit} if unit else {}
        if not unit and all(_lasts(one, "minutes") for one in held.values()):
            return join(path), {"unit": "?"}
    return None


def _lasts(value: Any, unit: str | None) -> bool:
    with suppress(UnreadableTimeError, OverflowError):
        return not isinstance(value, bool) and duration(value, unit) is not None
    return False
