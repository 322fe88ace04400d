"""Where the canonical fields are in the rows of an unknown API, and how their times are written:
`[sources.events.fields]`.

Pure functions over rows; they ask nothing. Paths are JSON paths as dlt takes them.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from events_assets.commands.paths import (
    NAMES,
    is_text_or_number,
    join,
    key_of,
    words_of,
)
from events_assets.commands.report import shown
from events_assets.commands.time_parts import (
    TIMES,
    Form,
    Held,
    Values,
    clock_of,
    duration_of,
    forms_of,
    is_time,
    local_times,
    merged,
    other,
    unread_clock,
    unread_zone,
    zone_of,
)
from events_assets.commands.toml_file import inline
from events_assets.json_path import Keys, walk
from events_assets.rows.times import is_date, unix_unit
from events_assets.scan.changes import instant

ROWS = 1000
"""Rows in which fields are looked for: those of a page, or of the beginning of a huge one."""
DAY = len("2026-05-01")
"""Characters by which times are compared."""

ALWAYS_THERE = ("id", "event_name", *TIMES)
"""Columns that the events have, whatever the API gives."""

FIELDS = NAMES["fields"]
URL = re.compile(r"https?://|/|\?")


def field_settings(rows: Sequence[Any]) -> dict[str, Any]:
    """`[sources.events.fields]`: where the canonical fields seem to be, as far as they are found
    beyond doubt; several paths where they complete each other, and tables for times that are
    numbers, or written otherwise than ISO 8601, or of which a part stands elsewhere."""
    return {name: found[0] for name, found in proposals(rows).items() if len(found) == 1}


def proposals(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """The same, with two settings for a time of which day and month cannot be told apart."""
    values, count = values_by_path(rows)
    places = {name: _places(name, values, count) for name in (*ALWAYS_THERE, "status")}
    places["start_time"] = places["start_time"] or _twin(places["end_time"], values)
    found: dict[str, list[Any]] = {
        name: [_setting(paths, {})] for name, paths in places.items() if paths and name not in TIMES
    }
    found |= _times(places, values)
    languages = [
        one for held in merged(values, places["event_name"]).values() for one in _languages(held)
    ]
    return found | ({"language": languages[:1]} if languages else {})


def _times(places: Mapping[str, list[Keys]], values: Values) -> dict[str, list[Any]]:
    """The settings of start and end, with what stands beside them."""
    where, forms, beside = dict(places), dict[str, list[Form]](), dict[str, Form]()
    for name in TIMES:
        apart = clock_of(name, (where[name] or places["start_time"])[:1], values)
        if apart:
            day, clock, forms[name] = apart
            where[name], beside[name] = [day], {"time_path": join(clock)}
        elif where[name]:
            forms[name], beside[name] = forms_of(merged(values, where[name])), {}
    for name in TIMES:  # of which one may tell what the other one means
        both = [form for form in forms.get(name, []) if form in forms.get(other(name), [])]
        forms |= {name: both} if both else {}
    found = dict[str, list[Any]]()
    for name, its_forms in forms.items():
        zone = zone_of(name, where[name], values, (*its_forms, {})[0])
        parts = beside[name] | ({"timezone_path": zone} if zone else {})
        found[name] = [_setting(where[name], {**parts, **form}) for form in its_forms]
    if "start_time" in found and "end_time" not in found:
        lasting = duration_of(values, merged(values, where["start_time"]))
        if lasting and lasting[1].get("unit") != "?":
            found["end_time"] = [{"duration_path": lasting[0], **lasting[1]}]
    return found


def _twin(ends: Sequence[Keys], values: Values) -> list[Keys]:
    """The time that is called like an end without the word for it: `value`, of `end_value`."""
    for end in ends[:1]:
        words = [word for word in words_of(end) if word not in FIELDS["end_time"]["words"]]
        twins = [p for p, held in values.items() if words_of(p) == words and forms_of(held)]
        return twins[:1] if words else []
    return []


def doubts(rows: Sequence[Any]) -> list[str]:
    """What is said of times: those of which day and month cannot be told apart, with both settings;
    fields that are called like one, or like a part of one, and are not read; those that are taken
    for UTC."""
    found, (values, _) = proposals(rows), values_by_path(rows)
    said = unclear_times(found)
    for name in TIMES:
        for path, held in values.items() if name not in found else ():
            if _likeness_of_time(name, words_of(path), [*held.values()]) > 5 and len(path) == 1:
                value = shown(next(iter(held.values())))
                said.append(f'"{join(path)}" cannot be read as {name} (like {value})')
                break
    settled = field_settings(rows)
    return [
        *said,
        *unread_parts(rows, settled),
        *taken_for_utc(local(rows, settled), rows, settled),
    ]


def unclear_times(proposed: Mapping[str, Sequence[Any]]) -> list[str]:
    """What is said of times of which day and month cannot be told apart, with both settings."""
    return [
        f"day and month of {name} cannot be told apart: set {name} = "
        + f", or {name} = ".join(map(inline, settings))
        for name, settings in proposed.items()
        if len(settings) > 1
    ]


def unread_parts(rows: Sequence[Any], settings: Mapping[str, Any]) -> list[str]:
    """What is said of fields beside times that may be a part of them, and are not read."""
    values, _ = values_by_path(rows)
    said = []
    for name in TIMES:
        table, paths = _table(settings.get(name)), _paths(settings.get(name), values)
        at = "" if "time_path" in table else unread_clock(name, paths, values)
        if at:
            value = shown(next(one for path, one in _first(values).items() if join(path) == at))
            said.append(f'"{at}" is not read as the time of day of {name} (like {value})')
    lasting = duration_of(values, {}) if "end_time" not in settings else None
    if lasting and lasting[1].get("unit") == "?":
        table = {"duration_path": lasting[0], "unit": "minutes"}
        said.append(f'"{lasting[0]}" says no unit: set end_time = {inline(table)}, or another')
    return said


def local(rows: Sequence[Any], settings: Mapping[str, Any]) -> list[str]:
    """The times that do not say where they are meant, by settings that do not either. Days among
    times that do say so are none."""
    values, _ = values_by_path(rows)
    found = []
    for name in TIMES:
        table, paths = _table(settings.get(name)), _paths(settings.get(name), values)
        held = {} if "timezone_path" in table else local_times(paths, values, table)
        is_day = all(is_time(one) and is_date(one) for one in held.values())
        if held and (not is_day or len(held) == len(merged(values, paths))):
            found.append(name)
    return found


def taken_for_utc(
    names: Sequence[str], rows: Sequence[Any], settings: Mapping[str, Any]
) -> list[str]:
    """What is said of times that do not say where they are meant, and of what is called like their
    zone, and is none."""
    said = [f"without a time zone, so taken for UTC: {', '.join(names)}"] if names else []
    values, _ = values_by_path(rows)
    found = [unread_zone(name, _paths(settings.get(name), values), values) for name in names]
    for path in dict.fromkeys(filter(None, found)):
        value = shown(next(iter(values[path].values())))
        said.append(
            f'"{join(path)}" is no zone that can be read (like {value}): set timezone to an IANA '
            f'name, like "Europe/Vienna", if it is the same for all events'
        )
    return said


def _table(setting: Any) -> dict[str, Any]:
    return setting if isinstance(setting, dict) else {"path": setting}


def _paths(setting: Any, values: Values) -> list[Keys]:
    """The keys at which the paths of a setting are found."""
    path = _table(setting).get("path")
    wanted = path if isinstance(path, list) else [path]
    return [keys for one in wanted for keys in values if join(keys) == one]


def _first(values: Values) -> dict[Keys, Any]:
    return {path: next(iter(held.values())) for path, held in values.items()}


def values_by_path(rows: Sequence[Any]) -> tuple[dict[Keys, Held], int]:
    """The values of rows at each path where one of them has something, and how many rows they
    are."""
    values: dict[Keys, Held] = {}
    objects = [row for row in rows if isinstance(row, dict)][:ROWS]
    for number, row in enumerate(objects):
        for path, value in walk(row):
            if path and value not in (None, ""):
                values.setdefault(path, {})[number] = value
    return values, len(objects)


def _places(name: str, values: Values, count: int) -> list[Keys]:
    """Where a canonical field is in `count` rows: at the likeliest path, and at those that have it
    in other rows, if they do not say something else where both have it."""
    scored = [(_likeness(name, path, [*held.values()]), path) for path, held in values.items()]
    scored.sort(key=lambda one: (-one[0], len(one[1])))
    paths = [path for score, path in scored if score > 0]
    if name == "id":  # several would be its parts; it may be missing in a few rows
        texts = {path: [*map(str, values[path].values())] for path in paths}
        return [p for p in paths if count / 2 < len(texts[p]) == len({*texts[p]})][:1]
    if name in TIMES:  # a path that is more like the other one is that
        like = {path: _likeness(other(name), path, [*values[path].values()]) for path in paths}
        paths = [path for score, path in scored if score > 0 and score >= like[path]]
    if name == "status":
        towns = {path[:-1] for path in values if key_of(path) in FIELDS["beside_state"]}
        paths = [p for p in paths if words_of(p[-1:]) != ["state"] or p[:-1] not in towns]
    chosen = paths[:1]
    for path in paths[1:]:
        before = merged(values, chosen)
        shared = before.keys() & values[path].keys()
        agree = all(str(before[n])[:DAY] == str(values[path][n])[:DAY] for n in shared)
        is_further = len(before) < len(before.keys() | values[path].keys())
        if is_further and (
            name not in TIMES or (agree and forms_of(merged(values, [*chosen, path])))
        ):
            chosen.append(path)
    return chosen


def _setting(paths: Sequence[Keys], form: Mapping[str, str]) -> Any:
    """The setting of a field: a path, several, or a table."""
    found = [join(path) for path in paths]
    place = found if len(found) > 1 else found[0]
    return {"path": place, **form} if form else place


def only(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those settings of fields that are named; the language goes with the name of the event."""
    wanted = [*names, "language"] if "event_name" in names else [*names]
    lasts = "end_time" in names and "duration_path" in _table(settings.get("end_time"))
    wanted += ["start_time"] if lasts else []  # from which on it lasts
    return {name: value for name, value in settings.items() if name in wanted}


def _likeness(name: str, path: Keys, values: list[Any]) -> int:
    """How much a path and its values look like a canonical field; 0 or less: not at all."""
    if name in TIMES:
        likeness = _likeness_of_time(name, words_of(path), values) - len(path)
        return likeness if likeness > 0 and forms_of(dict(enumerate(values))) else 0
    if name == "id":
        is_near = len(path) == 1 or (len(path) == 2 and path[0] in FIELDS["id_holders"])
        if not is_near or not all(map(is_text_or_number, values)):
            return 0
        return _likeness_of_id(words_of(path[-1:]), values) - 3 * (len(path) - 1)
    if name == "status":
        fits = all(map(is_text_or_number, values))
    else:
        fits = all(isinstance(value, str) or _languages(value) for value in values)
    path = path[1:] if len(path) > 1 and path[0] in FIELDS["wrappers"] else path
    names, words, marks = list[str](FIELDS[name]), words_of(path), list[str](FIELDS["marks"])
    whole, marked = " ".join(words), " ".join(words[:-1])
    if fits and whole in names:
        return 100 * (len(names) - names.index(whole))
    if fits and name == "event_name" and marked in names and words[-1] in marks:
        return 100 * (len(names) - names.index(marked)) - 1 - marks.index(words[-1])
    is_last = " ".join(words[-2:]) in ("event name", "event title")
    return int(fits and name == "event_name" and is_last)


def _likeness_of_id(words: list[str], values: list[Any]) -> int:
    """What names an event for good comes before a number, which may name a row or a version, and
    a URL, which may change, last."""
    name, names = " ".join(words), list[str](FIELDS["id"])
    is_number = all(isinstance(value, int) or str(value).isdecimal() for value in values)
    if all(isinstance(value, str) and URL.match(value) for value in values):
        return 1 if name in (*names, "url", "uri", "href", "self", "link", "permalink") else 0
    if name in FIELDS["lasting_id"]:
        return 50 if not is_number or name not in names else 40 - names.index(name)
    if name in names:
        return 40 + (0 if is_number or name != "id" else 20) - names.index(name)
    return (
        (2 if is_number else 3) if words[-1:] and words[-1] in ("id", "key", "code", "uid") else 0
    )


def _likeness_of_time(name: str, words: list[str], values: list[Any]) -> int:
    """By whole names, by words within one, and last by one word that says little alone."""
    names, others = FIELDS[name], FIELDS[other(name)]
    if {*FIELDS["other_times"]} & {*words}:
        return 0
    is_name = " ".join(words) in names["names"]
    is_other = {*others["words"]} & {*words} and not {*names["words"]} & {*words}
    if not is_name and (is_other or not {*names["words"]} & {*words}):
        is_plain = bool({*names["alone"]} & {*words[-1:]}) and {*words} <= {
            *FIELDS["neutral"],
            *FIELDS["wrappers"],
            *names["alone"],
        }
        return 5 if is_plain and not is_other else 0
    precise = any(":" in str(value) or unix_unit(value) for value in values)
    score = (40 if is_name else 20) - (0 if precise else 10)
    score += 5 if {"utc", "gmt"} & {*words} else 0
    return score - 2 if {"local", "date"} & {*words} else score


def _languages(value: Any) -> list[str]:
    """The languages of a text given by language, like `{"en": "Fair", "de": "Messe"}`."""
    if not isinstance(value, dict):
        return []
    code = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
    texts = all(code.fullmatch(str(k)) and isinstance(v, str | None) for k, v in value.items())
    return sorted(value, key=lambda key: (not key.startswith("en"), key)) if texts else []


def changed_at(rows: Sequence[Any]) -> list[str]:
    """Where rows may tell when they were changed last, the likeliest path first: in all of them,
    as a text or a Unix time, and not in the future."""
    values, count = values_by_path(rows)
    found = []
    for path, held in values.items():
        words = [word for word in FIELDS["changed"] if word in words_of(path)]
        if words and len(held) == count and all(map(_is_past, held.values())):
            found.append((len(path), FIELDS["changed"].index(words[0]), len(words_of(path)), path))
    return [join(path) for *_, path in sorted(found)]


def _is_past(value: Any) -> bool:
    """Whether a value is a time that is over, in whichever zone it was."""
    time = instant(value)
    return time is not None and time < datetime.now(UTC) + timedelta(days=1)
