"""Maps the rows of any API onto `id`, `event_name`, `start_time`, `end_time` and `status`.

`[sources.events.fields]` says where each of them is in a row, and how it is written. Every field
of the API stays. One that would share the column of a canonical field moves to
`<name>_original`; only a field that becomes the canonical one as it is has no copy. Which fields
move is decided by the settings, not by the values of a row (but for the languages of an
`event_name` without `language`).

A time is given on as ISO 8601 in UTC. One that cannot be read stays in its place as the text
`unreadable: ` and what the API gave, which dlt puts in the variant column, `start_time__v_text`.
"""

import difflib
import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

from dlt.common import jsonpath
from dlt.common.normalizers.naming.snake_case import NamingConvention
from jsonpath_ng.exceptions import JSONPathError

from events_assets.errors import FieldsError, UnreadableTimeError
from events_assets.rows import times

Row = dict[str, Any]
Find = Callable[[Row], Any]
Read = tuple[str | None, datetime | None]
"""What goes into the field of a time, and the instant if it can be read."""

KEYS = ("id", "event_name", "language", "timezone", "start_time", "end_time", "status")
START_KEYS = ("path", "unit", "format", "time_path", "timezone_path")
END_KEYS = (*START_KEYS, "duration_path")
RULES = ("deleted", "cancelled")
STATUS_KEYS = ("path", *RULES)
RULE_KEYS = ("path", "values", "resource")

PLAIN = re.compile(r"(?:\$\.)?([\w-]+(?:\.[\w-]+)*)")
"""Dotted keys; any other path is left to jsonpath."""

NOT_TOLD = ("", "0", "false", "no", "null", "none")
"""Texts of a flag that is not set."""


class Fields:
    """The mapping that the settings describe, compiled once.

    Args:
        settings: `[sources.events.fields]`; empty: rows are given on as they are.

    Raises:
        FieldsError: a setting is unknown, has the wrong type, or contradicts another one.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        _require_known(settings, KEYS, "")
        self._language = _text(settings, "language", "")
        zone = _text(settings, "timezone", "") or "UTC"
        try:
            local = times.zone(zone)
        except UnreadableTimeError:
            raise FieldsError(
                f"timezone is {zone!r}, which is no time zone: use an IANA name like "
                f'"Europe/Lisbon"'
            ) from None
        self._id = _id(settings["id"]) if "id" in settings else None
        name = _text(settings, "event_name", "")
        self._name = finder(name, "event_name") if name else None
        self._start, self._end = (
            Time(settings[key], key, local) if key in settings else None
            for key in ("start_time", "end_time")
        )
        if self._end and self._end.is_duration and not self._start:
            raise FieldsError(
                "end_time has a duration_path, but start_time is not set: say where the start is"
            )
        self._status = Status(settings["status"]) if "status" in settings else None

        local_times = "timezone" in settings
        if self._language and not name:
            raise FieldsError("language is set, but event_name is not: say where the name is")
        if local_times and not self._start and not self._end:
            raise FieldsError(
                "timezone is set, but neither start_time nor end_time: say where they are"
            )
        as_it_is = {
            "id": settings.get("id"),
            "event_name": None if self._language else name,
            "start_time": self._start and not local_times and self._start.only_path,
            "end_time": self._end and not local_times and self._end.only_path,
            "status": self._status and self._status.only_path,
        }
        self._as_it_is = {key: path for key, path in as_it_is.items() if key in settings}
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
        if moves:
            names = ((moves.get(key, key), item) for key, item in row.items())
            new = {name: item for name, item in names if name is not None}
        else:
            new = row.copy()
        if self._id:
            new["id"] = self._id(row)
        if self._name:
            name = self._name(row)
            if isinstance(name, dict):
                if moves.get(str(self._as_it_is["event_name"]), "") is None:
                    new[_free("event_name", new)] = name
                name = _translation(name, self._language)
            new["event_name"] = name
        start: Read = (None, None)
        if self._start:
            start = self._start(row)
            new["start_time"] = start[0]
        if self._end:
            new["end_time"], _ = self._end(row, start)
        if self._status:
            new["status"] = self._status(row, resource)
        return new

    def _moves_of(self, keys: tuple[str, ...]) -> dict[str, str | None]:
        """New names for keys that share a canonical column, None for one that becomes it."""
        moves: dict[str, str | None] = {}
        for key in keys:
            name = _column(key)
            if name in self._as_it_is:
                taken = {*keys, *moves.values()}
                moves[key] = None if self._as_it_is[name] == key else _free(name, taken)
        return moves


class Time:
    """Where a time is in a row, and how it is written: a path, or a table of `END_KEYS`."""

    def __init__(self, setting: Any, name: str, local: tzinfo) -> None:
        allowed = END_KEYS if name == "end_time" else START_KEYS
        table = {"path": setting} if isinstance(setting, str) else setting
        if not isinstance(table, Mapping):
            raise FieldsError(f"{name} is a path, or a table of {', '.join(allowed)}")
        if name == "start_time" and "duration_path" in table:
            raise FieldsError("start_time has a duration_path, which only end_time may have")
        _require_known(table, allowed, name)
        values = {key: _text(table, key, name) for key in END_KEYS}
        self._unit, self._format = values["unit"], values["format"]
        self._local = local
        self.is_duration = "duration_path" in table
        self.only_path = table["path"] if list(table) == ["path"] else None
        if self.is_duration:
            for key in START_KEYS:
                if key != "unit" and key in table:
                    raise FieldsError(f"{name} has both duration_path and {key}; remove one")
        elif not values["path"]:
            raise FieldsError(f"{name} has no path: say where in a row it is")
        if self._unit:
            for key in ("format", "time_path", "timezone_path"):
                if key in table:
                    raise FieldsError(
                        f"{name} has both unit, for a number, and {key}, for a text; remove one"
                    )
            units = times.DURATION_UNITS if self.is_duration else times.UNIX_UNITS
            if self._unit not in units:
                raise FieldsError(
                    f"{name}.unit is {self._unit!r}, which is none of: {', '.join(units)}"
                )
        if self._format:
            try:
                times.require_format(self._format)
            except ValueError as error:
                raise FieldsError(
                    f"{name}.format is {self._format!r}, which cannot be used: {error}"
                ) from error
        self._find = finder(values["duration_path"] or values["path"], name)
        self._find_time, self._find_zone = (
            finder(values[key], f"{name}.{key}") if values[key] else None
            for key in ("time_path", "timezone_path")
        )

    def __call__(self, row: Row, start: Read = (None, None)) -> Read:
        """What goes into the canonical field, and the instant if there is one.

        Args:
            row: a row of the API.
            start: what the start was read as, for an end given as a duration.
        """
        value = self._find(row)
        if value is None or value == "":
            return None, None
        parts = [value]
        try:
            if self.is_duration:
                text, begin = start
                if text is None:
                    return None, None
                if begin is None:
                    raise UnreadableTimeError(text)
                instant = times.later(begin, times.duration(value, self._unit or None))
            elif self._unit:
                instant = times.from_number(value, self._unit)
            else:
                instant = self._from_text(row, value, parts)
        except UnreadableTimeError:
            return times.unreadable(*parts), None
        return instant.isoformat(), instant

    def _from_text(self, row: Row, text: Any, parts: list[Any]) -> datetime:
        """Reads a text, and notes what else it is read from in `parts`."""
        clock = (self._find_time and self._find_time(row)) or ""
        zone = (self._find_zone and self._find_zone(row)) or ""
        parts += filter(None, (clock, zone))
        if not all(isinstance(part, str) for part in parts):
            raise UnreadableTimeError(text)
        local = times.zone(zone.strip()) if zone else self._local
        if self._format:
            return times.from_format(f"{text} {clock}" if clock else text, self._format, local)
        return times.from_text(f"{text.strip()}T{clock.strip()}" if clock else text, local)


class Status:
    """The status of an event: `deleted`, else `cancelled`, else the value at `path`, else null."""

    def __init__(self, setting: Any) -> None:
        table = {"path": setting} if isinstance(setting, str) else setting
        if not isinstance(table, Mapping):
            raise FieldsError(f"status is a path, or a table of {', '.join(STATUS_KEYS)}")
        _require_known(table, STATUS_KEYS, "status")
        if not table:
            raise FieldsError(f"status is empty: it needs one of {', '.join(STATUS_KEYS)}")
        path = _text(table, "path", "status")
        self._find = finder(path, "status.path") if path else None
        self._rules = [(rule, _rule(table[rule], rule)) for rule in RULES if rule in table]
        self.only_path = path if list(table) == ["path"] else None

    def __call__(self, row: Row, resource: str) -> str | None:
        for status, told in self._rules:
            if told(row, resource):
                return status
        value = self._find(row) if self._find else None
        return value if value is None or isinstance(value, str) else json.dumps(value)


def _rule(setting: Any, rule: str) -> Callable[[Row, str], bool]:
    """Whether a row, or the resource that it comes from, tells that an event is `rule`."""
    place = f"status.{rule}"
    table = {"path": setting} if isinstance(setting, str) else setting
    if not isinstance(table, Mapping):
        raise FieldsError(f"{place} is a path, or a table of {', '.join(RULE_KEYS)}")
    _require_known(table, RULE_KEYS, place)
    path, source = _text(table, "path", place), _text(table, "resource", place)
    if not path and not source:
        raise FieldsError(f"{place} has neither path nor resource: one of them must tell it")
    values = table.get("values")
    if values is not None and not path:
        raise FieldsError(f"{place} has values but no path: say where in a row they are")
    if values is not None and (not isinstance(values, list) or not values):
        raise FieldsError(f'{place}.values must be a list, like ["cancelled"]')
    find = finder(path, f"{place}.path", every=True) if path else None
    texts = {value for value in values or () if isinstance(value, str)}
    wanted = {json.dumps(value) for value in values or ()}

    def told(row: Row, resource: str) -> bool:
        if resource == source:
            return True
        found = find(row) if find else []
        if not wanted:
            return any(_is_set(value) for value in found)
        items = (item for value in found for item in (value if type(value) is list else [value]))
        return any(
            item in texts if type(item) is str else json.dumps(item) in wanted for item in items
        )

    return told


def _is_set(value: Any) -> bool:
    return value.strip().lower() not in NOT_TOLD if isinstance(value, str) else bool(value)


def _id(setting: Any) -> Find:
    paths = setting if isinstance(setting, list) else [setting]
    if not paths or not all(isinstance(path, str) and path.strip() for path in paths):
        raise FieldsError('id must be a path, or a list of paths like ["organizer.slug", "slug"]')
    finders: list[Find] = [finder(path, "id") for path in paths]
    if not isinstance(setting, list):
        return finders[0]

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
    if wanted in texts:
        return texts[wanted]
    primary = wanted.split("-")[0]
    regional = (text for key, text in texts.items() if key.split("-")[0] == primary)
    return next(regional, None) or next(iter(texts.values()), None)


def finder(path: str, place: str, *, every: bool = False) -> Any:
    """Looks up a JSON path in a row: the first value found or None, or `every` one as a list.

    Raises:
        FieldsError: the path cannot be parsed.
    """
    plain = PLAIN.fullmatch(path)
    if plain:
        find = _plain(plain[1].split("."))
        if not every:
            return find
        return lambda row: [] if (value := find(row)) is None else [value]
    try:
        compiled = jsonpath.compile_path(str(path))
    except (JSONPathError, AttributeError, TypeError, ValueError) as error:
        raise FieldsError(f"{place} is {str(path)!r}, which is no JSON path") from error
    if every:
        return lambda row: jsonpath.find_values(compiled, row)
    return lambda row: next(iter(jsonpath.find_values(compiled, row)), None)


def _plain(keys: list[str]) -> Find:
    first, *rest = keys

    def find(row: Row) -> Any:
        value: Any = row.get(first)
        for key in rest:
            value = value.get(key) if type(value) is dict else None
        return value

    return (lambda row: row.get(first)) if not rest else find


_normalize = lru_cache(maxsize=100_000)(NamingConvention().normalize_identifier)


def _column(key: str) -> str:
    return _normalize(key) if key.strip() else ""


def _free(name: str, taken: Container[str | None]) -> str:
    new, number = f"{name}_original", 2
    while new in taken:
        new, number = f"{name}_original_{number}", number + 1
    return new


def _text(table: Mapping[str, Any], key: str, place: str) -> str:
    value = table.get(key)
    if key in table and (not isinstance(value, str) or not value.strip()):
        raise FieldsError(f"{f'{place}.{key}' if place else key} must be a text that is not empty")
    return str(value) if key in table else ""


def _require_known(keys: Any, known: Iterable[str], place: str) -> None:
    if not isinstance(keys, Mapping):
        raise FieldsError("it must be a table")
    known = list(known)
    for key in keys:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            remedy = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"
            raise FieldsError(f"unknown '{key}'{f' in {place}' if place else ''}; {remedy}")
