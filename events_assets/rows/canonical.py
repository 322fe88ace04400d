"""Maps the rows of any API onto `id`, `event_name`, `start_time`, `end_time` and `status`.

`[sources.events.fields]` says where each of them is in a row, and how it is written. Every field
of the API stays. One that would share the column of a canonical field moves to
`<name>_original`; only a field that becomes the canonical one as it is has no copy. Which fields
move is decided by the settings, not by the values of a row (but for the languages of an
`event_name` without `language`). Of several paths the first counts at which there is a value that
is neither null nor an empty text.

A time is given on as ISO 8601 in UTC. One that cannot be read stays in its place as the text
`unreadable: ` and what the API gave, which dlt puts in the variant column, `start_time__v_text`.
So does a name or status that is an object or a list, in its own column, which is one of texts.
"""

import json
import re
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import chain, count
from typing import Any

from dlt.common.normalizers.naming.snake_case import NamingConvention

from events_assets import json_path
from events_assets.errors import UnreadableTimeError
from events_assets.rows import times
from events_assets.rows.names import distinct
from events_assets.rows.rules import NESTED
from events_assets.settings import (
    FieldsSettings,
    RuleSettings,
    StatusSettings,
    TimeSettings,
    listed,
    zone,
)

Row = dict[str, Any]
Find = Callable[[Row], Any]
Time = tuple[str | None, datetime | None, bool]
"""What goes into the field of a time, the instant if it can be read, and whether it was a date."""

CANONICAL = ("event_name", "start_time", "end_time", "status")

OFFSET = re.compile(r"\d[ ]*([Zz]|UTC|GMT|[+-]\d{2}:?\d{2})\s*$")

NO_TIME: Time = (None, None, False)

NOT_TOLD = ("", "0", "false", "no", "null", "none")
"""Texts of a flag that is not set."""


class Fields:
    """The mapping that the settings describe, compiled once.

    Args:
        settings: `[sources.events.fields]`, also as a table; empty: rows are given on as they are.
    """

    def __init__(self, settings: FieldsSettings | Mapping[str, Any]) -> None:
        settings = FieldsSettings.model_validate(settings)
        start, end, status = settings.start_time, settings.end_time, settings.status
        local = zone(settings.timezone or "UTC")
        self.twice = set[str]()
        """Instants of local times that exist twice, in the night when clocks go back."""
        self._language = settings.language or ""
        self._id = _id(settings.id) if settings.id else None
        self._name = _finder(settings.event_name) if settings.event_name else None
        days = settings.all_day
        self._start = _time(start, local, self.twice, tells_dates=days) if start else None
        self._end = _time(end, local, self.twice) if end else None
        self._status = _status(status) if status else None
        self._has_all_day = settings.all_day
        as_it_is = {
            "id": settings.id,
            "event_name": None if settings.language else settings.event_name,
            "start_time": start and not settings.timezone and start.only_path,
            "end_time": end and not settings.timezone and end.only_path,
            "status": status and status.only_path,
            "all_day": None,
        }
        given = {key for key in settings.model_fields_set if getattr(settings, key)}
        self._as_it_is = {key: path for key, path in as_it_is.items() if key in given}
        self._moves = lru_cache(maxsize=1_000)(self._moves_of)

    def __bool__(self) -> bool:
        """Whether anything is mapped."""
        return bool(self._as_it_is)

    def map(self, rows: list[Any], resource: str = "events") -> list[Any]:
        """The rows with canonical fields; what is no object is given on as it is.

        Args:
            rows: one page, as the API gave it; not changed.
            resource: name of the resource that they come from.
        """
        if not self:
            return rows
        return [self._row(row, resource) if type(row) is dict else row for row in rows]

    def _row(self, row: Row, resource: str) -> Row:
        moves = self._moves(tuple(row))
        names = ((moves.get(key, key), item) for key, item in row.items())
        new = {name: item for name, item in names if name is not None} if moves else row.copy()
        if self._id:
            new["id"] = self._id(row)
        if self._name:
            name = self._name(row)
            if isinstance(name, dict):
                if moves.get(str(self._as_it_is["event_name"]), "") is None:
                    new[_free("event_name", new)] = name
                texts = [text for text in name.values() if text is not None]
                found = _translation(name, self._language)
                is_legible = found or all(isinstance(text, str) for text in texts)
                name = found if is_legible else times.unreadable(name)
            new["event_name"] = name
        start = NO_TIME
        if self._start:
            start = self._start(row, NO_TIME)
            new["start_time"] = start[0]
        if self._end:
            new["end_time"] = self._end(row, start)[0]
        if self._status:
            new["status"] = self._status(row, resource)
        if self._has_all_day:
            new["all_day"] = start[2]
        return new

    def _moves_of(self, keys: tuple[str, ...]) -> dict[str, str | None]:
        """New names for keys that share a canonical column, None for one that becomes it."""
        moves: dict[str, str | None] = {}
        for key in keys:
            name = _normalize(distinct(key)) if key.strip() else ""
            if name in self._as_it_is:
                taken = {*keys, *moves.values()}
                moves[key] = None if self._as_it_is[name] == key else _free(name, taken)
        return moves


def legible(row: Row) -> Row:
    """The row with texts in place of objects and lists in canonical fields: dlt would put these
    beside the column, and null into it, over what it held before."""
    for key in _canonical(tuple(row)):
        if type(row[key]) in NESTED:
            row = row | {key: times.unreadable(row[key])}
    return row


@lru_cache(maxsize=1_000)
def _canonical(keys: tuple[str, ...]) -> list[str]:
    """Keys whose values go to canonical columns, but for the id; one for each column."""
    found: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: key not in CANONICAL):
        name = _normalize(distinct(key)) if key.strip() else ""
        if name in CANONICAL:
            found.setdefault(name, key)
    return [*found.values()]


def _time(
    settings: TimeSettings, local: tzinfo, twice: set[str], *, tells_dates: bool = False
) -> Callable[[Row, Time], Time]:
    """Reads a time of a row; an end given as a duration needs what the start was read as. `twice`
    gets the instants of local times that exist twice."""
    find = _finder(settings.duration_path or settings.path)
    find_clock, find_zone = _finder(settings.time_path), _finder(settings.timezone_path)

    def instant(value: Any, clock: Any, zone_name: Any, start: datetime | None) -> datetime:
        if settings.duration_path:
            if start is None:
                raise UnreadableTimeError(value)
            return start + times.duration(value, settings.unit)
        if settings.unit:
            return times.from_number(value, settings.unit)
        if not all(isinstance(part, str) for part in (value, zone_name)):
            raise UnreadableTimeError(value)
        where = zone(zone_name.strip()) if zone_name else local
        form, text = settings.format, value
        if clock != "":
            text, form = _joined(value.strip(), clock, form)
        found = times.from_format(text, form, where) if form else times.from_text(text, where)
        if times.is_twice(found, where) and not OFFSET.search(text):
            twice.add(found.isoformat())
        return found

    def is_date(value: Any, clock: Any) -> bool:
        is_whole = clock != "" or settings.unit or settings.duration_path
        return not is_whole and times.is_date(value, settings.format)

    def read(row: Row, start: Time) -> Time:
        value, clock, zone_name = find(row), find_clock(row), find_zone(row) or ""
        clock = "" if clock is None else clock
        if value is None or value == "" or (settings.duration_path and start == NO_TIME):
            return NO_TIME
        try:
            found = instant(value, clock, zone_name, start[1])
        except (UnreadableTimeError, OverflowError):
            parts = [part for part in (clock, zone_name) if part != ""]
            return times.unreadable(value, *parts), None, False
        return found.isoformat(), found, tells_dates and is_date(value, clock)

    return read


def _joined(day: str, clock: Any, form: str | None) -> tuple[str, str | None]:
    """A date and the time of day that stands apart from it, with their format, None for ISO 8601.
    The configured one may be that of the date alone."""
    if form and times.TIME_OF_DAY.search(form):
        return f"{day} {str(clock).strip()}", form
    date = times.from_format(day, form, UTC).date().isoformat() if form else day
    return f"{date}T{times.clock(clock)}", None


def _status(settings: StatusSettings) -> Callable[[Row, str], str | None]:
    """The status of an event: `deleted`, else `cancelled`, else the value at `path`, else null."""
    find = _finder(settings.path)
    rules = {"deleted": settings.deleted, "cancelled": settings.cancelled}
    told = {status: _rule(rule) for status, rule in rules.items() if rule}

    def status(row: Row, resource: str) -> str | None:
        for name, holds in told.items():
            if holds(row, resource):
                return name
        value = find(row)
        if isinstance(value, dict | list):
            return times.unreadable(value)
        return value if value is None or isinstance(value, str) else json.dumps(value)

    return status


def _rule(settings: RuleSettings) -> Callable[[Row, str], bool]:
    """Whether a row, or the resource that it comes from, tells what the rule is about."""
    finders = [json_path.finder(path) for path in listed(settings.path)]
    wanted = {json.dumps(value) for value in settings.values or ()}

    def holds(row: Row, resource: str) -> bool:
        if resource == settings.resource:
            return True
        if not wanted:
            return any(_is_set(value) for find in finders for value in find(row))
        found = (value for find in finders for value in find(row))
        items = (item for value in found for item in (value if type(value) is list else [value]))
        return any(json.dumps(item) in wanted for item in items)

    return holds


def _is_set(value: Any) -> bool:
    return value.strip().lower() not in NOT_TOLD if isinstance(value, str) else bool(value)


def _id(setting: str | list[str]) -> Find:
    if isinstance(setting, str):
        return _finder(setting)
    finders = [_finder(path) for path in setting]

    def composed(row: Row) -> str | None:
        parts = [_part(find(row)) for find in finders]
        return None if None in parts else "/".join(filter(None, parts))

    return composed


def _part(value: Any) -> str | None:
    """A part of a composed id; percent-encoded as far as it could be taken for two parts."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int:
        return str(value)
    if type(value) is str and value:
        return value.replace("%", "%25").replace("/", "%2F")
    return None


def _translation(languages: Mapping[str, Any], language: str) -> str | None:
    """The text in `language`, else in that language of some region, else the first there is."""
    texts = {
        key.replace("_", "-").lower(): text
        for key, text in languages.items()
        if isinstance(text, str) and text.strip()
    }
    wanted = language.replace("_", "-").lower()
    regional = (text for key, text in texts.items() if key.split("-")[0] == wanted.split("-")[0])
    return texts.get(wanted) or next(regional, None) or next(iter(texts.values()), None)


def _finder(path: str | list[str] | None) -> Find:
    """Gives the first value at a path in a row, None if there is none; of several paths the first
    value that is there."""
    if path is None:
        return lambda _: None
    if isinstance(path, list):
        finders = [_finder(one) for one in path]
        return lambda row: next(
            (value for find in finders if (value := find(row)) not in (None, "")), None
        )
    if path.isidentifier():  # a single key, as most are, is looked up at once
        return lambda row: row.get(path)
    return json_path.value_at(path)


_normalize = lru_cache(maxsize=100_000)(NamingConvention().normalize_identifier)


def _free(name: str, taken: Container[str | None]) -> str:
    numbered = (f"{name}_original_{number}" for number in count(2))
    return next(new for new in chain([f"{name}_original"], numbered) if new not in taken)
