"""Maps the rows of any API onto `id`, `event_name`, `start_time`, `end_time` and `status`.

`[sources.events.fields]` says where each of them is in a row, and how it is written. Every field
of the API stays. One that would share the column of a canonical field moves to
`<name>_original`; only a field that becomes the canonical one as it is has no copy. Which fields
move is decided by the settings, not by the values of a row (but for the languages of an
`event_name` without `language`).

A time is given on as ISO 8601 in UTC. One that cannot be read stays in its place as the text
`unreadable: ` and what the API gave, which dlt puts in the variant column, `start_time__v_text`.
"""

import json
import re
from collections.abc import Callable, Container, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, cast

from dlt.common import jsonpath
from dlt.common.normalizers.naming.snake_case import NamingConvention
from jsonpath_ng.exceptions import JSONPathError

from events_assets.errors import FieldsError, UnreadableTimeError
from events_assets.rows import times
from events_assets.settings import FieldsSettings, RuleSettings, StatusSettings, TimeSettings

Row = dict[str, Any]
Find = Callable[[Row], Any]
Read = tuple[str | None, datetime | None]
"""What goes into the field of a time, and the instant if it can be read."""

PLAIN = re.compile(r"(?:\$\.)?([\w-]+(?:\.[\w-]+)*)")
"""Dotted keys; any other path is left to jsonpath."""

NOT_TOLD = ("", "0", "false", "no", "null", "none")
"""Texts of a flag that is not set."""


class Fields:
    """The mapping that the settings describe, compiled once.

    Args:
        settings: `[sources.events.fields]`, also as a table; empty: rows are given on as they are.

    Raises:
        FieldsError: a path, zone or format in it cannot be used.
    """

    def __init__(self, settings: FieldsSettings | Mapping[str, Any]) -> None:
        settings = FieldsSettings.model_validate(settings)
        try:
            local = times.zone(settings.timezone or "UTC")
        except UnreadableTimeError:
            raise FieldsError(
                f"timezone is {settings.timezone!r}, which is no time zone: use an IANA name like "
                f'"Europe/Lisbon"'
            ) from None
        self._language = settings.language or ""
        self._id = _id(settings.id) if settings.id else None
        self._name = finder(settings.event_name, "event_name") if settings.event_name else None
        start, end, status = settings.start_time, settings.end_time, settings.status
        self._start = Time(start, "start_time", local) if start else None
        self._end = Time(end, "end_time", local) if end else None
        self._status = Status(status) if status else None
        as_it_is = {
            "id": settings.id,
            "event_name": None if settings.language else settings.event_name,
            "start_time": start and not settings.timezone and start.only_path,
            "end_time": end and not settings.timezone and end.only_path,
            "status": status and status.only_path,
        }
        given = settings.model_fields_set
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
    """Reads a time of a row as the settings say."""

    def __init__(self, settings: TimeSettings, name: str, local: tzinfo) -> None:
        self._unit, self._format = settings.unit, settings.format
        self._local = local
        self.is_duration = settings.duration_path is not None
        if self._format:
            try:
                times.require_format(self._format)
            except ValueError as error:
                raise FieldsError(
                    f"{name}.format is {self._format!r}, which cannot be used: {error}"
                ) from error
        self._find = finder(settings.duration_path or settings.path or "", name)
        self._find_time, self._find_zone = (
            finder(path, f"{name}.{key}") if path else None
            for key, path in (
                ("time_path", settings.time_path),
                ("timezone_path", settings.timezone_path),
            )
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
                instant = times.later(begin, times.duration(value, self._unit))
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

    def __init__(self, settings: StatusSettings) -> None:
        self._find = finder(settings.path, "status.path") if settings.path else None
        rules = {"deleted": settings.deleted, "cancelled": settings.cancelled}
        self._rules = [(name, _rule(rule, name)) for name, rule in rules.items() if rule]

    def __call__(self, row: Row, resource: str) -> str | None:
        for status, told in self._rules:
            if told(row, resource):
                return status
        value = self._find(row) if self._find else None
        return value if value is None or isinstance(value, str) else json.dumps(value)


def _rule(settings: RuleSettings, name: str) -> Callable[[Row, str], bool]:
    """Whether a row, or the resource that it comes from, tells that an event is `name`."""
    find = finder(settings.path, f"status.{name}.path", every=True) if settings.path else None
    source, values = settings.resource, settings.values or ()
    texts = {value for value in values if isinstance(value, str)}
    wanted = {json.dumps(value) for value in values}

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


def _id(setting: str | list[str]) -> Find:
    if isinstance(setting, str):
        return cast(Find, finder(setting, "id"))
    finders: list[Find] = [finder(path, "id") for path in setting]

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
