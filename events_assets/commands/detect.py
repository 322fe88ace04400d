"""What an answer of an unknown API says: where its rows, totals, links, cursors and fields are.

Pure functions over parsed JSON and headers; they ask nothing. Paths are JSON paths as dlt takes
them, `$` for the document itself.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import groupby
from typing import Any

from requests.structures import CaseInsensitiveDict
from requests.utils import parse_header_links

from events_assets.commands.formats import formats_of
from events_assets.errors import UnreadableTimeError
from events_assets.paging.base import BY_CHANCE, Order
from events_assets.rows.times import from_text, unix_unit
from events_assets.scan.changes import instant

DEPTH = 4
"""Levels of a document that are looked at."""
LONGEST = 100
"""Characters of a value by which rows may be ordered."""
ROWS = 1000
"""Rows in which fields are looked for: those of a page, or of the beginning of a huge one."""
DAY = len("2026-05-01")
"""Characters by which times are compared."""

ALWAYS_THERE = ("id", "event_name", "start_time", "end_time")
"""Columns that the events have, whatever the API gives."""

NAMES = tomllib.loads(files(__package__).joinpath("names.toml").read_text(encoding="utf-8"))
"""What APIs commonly call things."""

FIELDS = NAMES["fields"]
TIMES = ("start_time", "end_time")

TOTAL_NAME = re.compile(
    r"(?=.*(total|count|match|found|hits|filtered))"
    r"(odata|total|filter(ed)?|match(ed)?|found|hits|num(ber)?|of|table|all|count|size|exact"
    r"|(row|record|item|result|element|object|entrie|event)s?)+"
)
"""What counts all rows is named by these words only: `totalItems`, `filtered_count`."""
NEXT, URL = re.compile("next", re.IGNORECASE), re.compile(r"https?://|/|\?")

Keys = tuple[str, ...]
Held = dict[int, Any]
"""Values by the number of their row."""


def join(path: Sequence[str]) -> str:
    """The JSON path of nested keys; keys that are no plain names are quoted."""
    plain = re.compile(r"(?!where)[A-Za-z_]\w*", re.ASCII)  # `where` is an operator
    quoted = {key: "'" + re.sub(r"(['\\])", r"\\\1", key) + "'" for key in path}
    return ".".join(key if plain.fullmatch(key) else quoted[key] for key in path) or "$"


def walk(value: Any) -> Iterator[tuple[Keys, Any]]:
    """All values below nested objects with their paths, outer ones first; lists are not entered."""
    level: list[tuple[Keys, Any]] = [((), value)]
    while level:
        yield from level
        level = [
            ((*path, str(key)), inner)
            for path, outer in level
            if isinstance(outer, dict) and len(path) < DEPTH
            for key, inner in outer.items()
        ]


def lists_of_rows(document: Any, kind: type = dict) -> dict[str, list[Any]]:
    """The lists of objects, or of values of another type, by their path, those first whose rows
    look most like events; then the longest; empty lists come last."""
    found = {
        join(path): value
        for path, value in walk(document)
        if isinstance(value, list) and all(isinstance(row, kind) for row in value)
    }
    order = {
        path: (len({*ALWAYS_THERE} & {*proposals(rows)}) if rows else -1, len(rows))
        for path, rows in found.items()
    }
    return {path: found[path] for path in sorted(found, key=order.__getitem__, reverse=True)}


def totals(document: Any, headers: Mapping[str, str], received: int) -> dict[str, int]:
    """Numbers that count all rows, not less than were `received`, by their path or the name of
    their header; paths first, the most telling one before others. Of `0-24/573` it is the 573."""
    found = []
    for path, value in walk(document):
        name = _key(path)
        if TOTAL_NAME.fullmatch(name) and _is_text_or_number(value):
            order = "filter" not in name, "total" not in name, len(path)
            found.append((*order, join(path), str(value)))
    counts = {path: text for *_, path, text in sorted(found)}
    counts |= {
        n: v.strip().rpartition("/")[2]
        for n, v in headers.items()
        if n.lower() in NAMES["headers"]["total"]
    }
    numbers = {at: int(text) for at, text in counts.items() if re.fullmatch(r"\d{1,15}", text)}
    return {at: number for at, number in numbers.items() if number >= received}


def link_to_next(document: Any, headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The paginator that follows the link to the next page, and that link; empty without one."""
    for path, url in walk(document):
        is_next = any(map(NEXT.match, path)) and not re.search("prev", path[-1], re.IGNORECASE)
        if is_next and isinstance(url, str) and URL.match(url):
            return {"type": "json_link", "next_url_path": join(path)}, url
    for link in parse_header_links(CaseInsensitiveDict(headers).get("Link", "")):  # RFC 8288
        if link.get("rel", "").lower() == "next":
            return {"type": "header_link"}, link["url"]
    for name, value in headers.items():
        if re.match(r"(x-)?next\b", name, re.IGNORECASE) and re.match(r"https?://|/", value):
            return {"type": "header_link", "links_next_key": name}, value
    return {}, ""


def cursors(document: Any) -> dict[str, str]:
    """Cursors to the next page by their path."""
    found = {
        at: str(v) for at, v in _named(document, NAMES["keys"]["cursor"]) if _is_text_or_number(v)
    }
    return {path: cursor for path, cursor in found.items() if cursor and not URL.match(cursor)}


def has_more(document: Any) -> dict[str, bool]:
    """What says whether there is another page, by its path."""
    return {at: v for at, v in _named(document, NAMES["keys"]["has_more"]) if isinstance(v, bool)}


def continues(document: Any, headers: Mapping[str, str]) -> bool:
    """Whether an answer speaks of another page."""
    link, _ = link_to_next(document, headers)
    return bool(link or cursors(document) or any(has_more(document).values()))


def _named(document: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Values whose key is one of `names`, in their order, with their paths."""
    found = [
        (names.index(key), path, v) for path, v in walk(document) if (key := _key(path)) in names
    ]
    return [(join(path), value) for _, path, value in sorted(found, key=lambda one: one[0])]


def _key(path: Keys) -> str:
    """The last key of a path, without what separates its words: `next_page` → nextpage."""
    return "".join(_words(path[-1:]))


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def field_settings(rows: Sequence[Any]) -> dict[str, Any]:
    """`[sources.events.fields]`: where the canonical fields seem to be, as far as they are found
    beyond doubt; several paths where they complete each other, and tables for times that are
    numbers, or written otherwise than ISO 8601."""
    return {name: found[0] for name, found in proposals(rows).items() if len(found) == 1}


def proposals(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """The same, with two settings for a time of which day and month cannot be told apart."""
    objects = [row for row in rows if isinstance(row, dict)][:ROWS]
    values = _by_path(objects)
    places = {name: _places(name, values, len(objects)) for name in (*ALWAYS_THERE, "status")}
    forms: dict[str, list[dict[str, str]]] = {
        name: _forms(_merged(values, paths)) if name in TIMES else [{}]
        for name, paths in places.items()
        if paths
    }
    for name, other in (TIMES, TIMES[::-1]):  # of which one may tell what the other one means
        both = [form for form in forms.get(name, []) if form in forms.get(other, [])]
        forms |= {name: both} if both else {}
    found = {name: [_setting(places[name], form) for form in forms[name]] for name in forms}
    names = _merged(values, places["event_name"]).values()
    languages = [languages[0] for name in names if (languages := _languages(name))]
    return found | ({"language": languages[:1]} if languages else {})


def _by_path(objects: Sequence[dict[str, Any]]) -> dict[Keys, Held]:
    """The values of rows at each path where one of them has something."""
    values: dict[Keys, Held] = {}
    for number, row in enumerate(objects):
        for path, value in walk(row):
            if path and value not in (None, ""):
                values.setdefault(path, {})[number] = value
    return values


def _places(name: str, values: Mapping[Keys, Held], count: int) -> list[Keys]:
    """Where a canonical field is in `count` rows: at the likeliest path, and at those that have it
    in other rows, if they do not say something else where both have it."""
    scored = [(_likeness(name, path, [*held.values()]), path) for path, held in values.items()]
    scored.sort(key=lambda one: (-one[0], len(one[1])))
    paths = [path for score, path in scored if score > 0]
    if name == "id":  # several would be its parts; it may be missing in a few rows
        texts = {path: [*map(str, values[path].values())] for path in paths}
        return [p for p in paths if count / 2 < len(texts[p]) == len({*texts[p]})][:1]
    if name == "status":
        towns = {path[:-1] for path in values if _key(path) in FIELDS["beside_state"]}
        paths = [p for p in paths if _words(p[-1:]) != ["state"] or p[:-1] not in towns]
    chosen = paths[:1]
    for path in paths[1:]:
        before = _merged(values, chosen)
        shared = before.keys() & values[path].keys()
        agree = all(str(before[n])[:DAY] == str(values[path][n])[:DAY] for n in shared)
        is_further = len(before) < len(before.keys() | values[path].keys())
        if is_further and (
            name not in TIMES or (agree and _forms(_merged(values, [*chosen, path])))
        ):
            chosen.append(path)
    return chosen


def _merged(values: Mapping[Keys, Held], paths: Sequence[Keys]) -> Held:
    """What is found in each row at the first of the paths that has something there."""
    merged: Held = {}
    for path in paths:
        merged = {**values[path], **merged}
    return merged


def _forms(held: Held) -> list[dict[str, str]]:
    """How times may be written, as settings beside their path: none for ISO 8601 and RFC 2822.
    Empty: they are no times, or not all of one form."""
    values = [*held.values()]
    units = {unix_unit(value) for value in values}
    if units == {None}:
        if all(map(is_time, values)):
            return [{}]
        return [{"format": form} for form in formats_of(values)]
    return [{"unit": str(unit)} for unit in units] if len(units) == 1 else []


def _setting(paths: Sequence[Keys], form: Mapping[str, str]) -> Any:
    """The setting of a field: a path, several, or a table."""
    found = [join(path) for path in paths]
    place = found if len(found) > 1 else found[0]
    return {"path": place, **form} if form else place


def only(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those settings of fields that are named; the language goes with the name of the event."""
    wanted = [*names, "language"] if "event_name" in names else names
    return {name: value for name, value in settings.items() if name in wanted}


def _likeness(name: str, path: Keys, values: list[Any]) -> int:
    """How much a path and its values look like a canonical field; 0 or less: not at all."""
    if name in TIMES:
        likeness = _likeness_of_time(name, _words(path), values) - len(path)
        return likeness if likeness > 0 and _forms(dict(enumerate(values))) else 0
    if name == "id":
        fits = len(path) == 1 and all(map(_is_text_or_number, values))
    elif name == "status":
        fits = all(map(_is_text_or_number, values))
    else:
        fits = all(isinstance(value, str) or _languages(value) for value in values)
    if name != "id":
        path = path[1:] if len(path) > 1 and path[0] in FIELDS["wrappers"] else path
    names, words = FIELDS[name], " ".join(_words(path))
    return len(names) - names.index(words) if fits and words in names else 0


def _likeness_of_time(name: str, words: list[str], values: list[Any]) -> int:
    """By whole names, by words within one, and last by one word that says little alone."""
    names = FIELDS[name]
    if {*FIELDS["other_times"]} & {*words}:
        return 0
    is_name = " ".join(words) in names["names"]
    if not is_name and not {*names["words"]} & {*words}:
        is_end = not {*FIELDS["end_time"]["words"]}.isdisjoint(words)
        return 11 if words and words[-1] in names["alone"] and not is_end else 0
    precise = any(":" in str(value) or unix_unit(value) for value in values)
    score = (40 if is_name else 20) - (0 if precise else 10)
    score += 5 if {"utc", "gmt"} & {*words} else 0
    return score - 2 if {"local", "date"} & {*words} else score


def _words(path: Keys) -> list[str]:
    """The words of a path in lower case: `startDate.utc` → start, date, utc."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", " ".join(path))
    return re.sub(r"[\W_]+", " ", spaced).lower().split()


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
    objects = [row for row in rows if isinstance(row, dict)][:ROWS]
    found = []
    for path, held in _by_path(objects).items():
        words = [word for word in FIELDS["changed"] if word in _words(path)]
        if words and len(held) == len(objects) and all(map(_is_past, held.values())):
            found.append((len(path), FIELDS["changed"].index(words[0]), len(_words(path)), path))
    return [join(path) for *_, path in sorted(found)]


def _is_past(value: Any) -> bool:
    """Whether a value is a time that is over, in whichever zone it was."""
    time = instant(value)
    return time is not None and time < datetime.now(UTC) + timedelta(days=1)


def order_of(rows: Sequence[Any]) -> tuple[str, bool]:
    """The field that explains the order of rows, and whether it does so strictly, as one that tells
    when they were created; empty where none does. Fields of times come first."""
    objects = [row for row in rows if isinstance(row, dict)]
    if len(objects) < BY_CHANCE:
        return "", False
    complete = {
        path: [*held.values()]
        for path, held in _by_path(objects).items()
        if len(held) == len(objects) and all(map(_may_order, held.values()))
    }
    ordered = ((_rank(path), path) for path, found in complete.items() if _is_ordered(found))
    rank, path = min(ordered, default=(0, ()))
    is_strict = bool(path) and rank == 0 and bool(Order().then(complete[path]).directions)
    return join(path) if path else "", is_strict


def _may_order(value: Any) -> bool:
    return _is_text_or_number(value) and len(str(value)) < LONGEST


def _rank(path: Keys) -> int:
    """How little it would surprise if an API ordered its rows by a field; 0: by their creation."""
    kinds = ({"created", "inserted"}, {*FIELDS["start_time"]["words"]}, {"updated", "modified"})
    words = {*_words(path)}
    return next((rank for rank, kind in enumerate(kinds) if kind & words), len(kinds))


def _is_ordered(values: Sequence[Any]) -> bool:
    """Whether values go up or down, as they are, as times or as days; equal ones follow each other,
    of which there are some."""
    forms = [values]
    if all(isinstance(value, str) and is_time(value) for value in values):
        forms += [[from_text(value, UTC) for value in values], [value[:10] for value in values]]
    distinct = ([value for value, _ in groupby(form)] for form in forms)
    return any(len(form) > 2 and Order().then(form).directions for form in distinct)


def is_time(value: Any) -> bool:
    """Whether a value looks like a point in time: a text in a known form, or a Unix time."""
    try:
        return bool(unix_unit(value) or (isinstance(value, str) and from_text(value, UTC)))
    except UnreadableTimeError:
        return False
