"""What an answer of an unknown API says: where its rows, totals, links, cursors and fields are.

Pure functions over parsed JSON and headers; they ask nothing. Paths are JSON paths as dlt takes
them, `$` for the document itself.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import chain, groupby, product
from typing import Any

from requests.structures import CaseInsensitiveDict
from requests.utils import parse_header_links

from events_assets.commands.formats import formats_of
from events_assets.commands.report import shown
from events_assets.errors import UnreadableTimeError
from events_assets.paging.base import BY_CHANCE, Order
from events_assets.rows.times import from_text, unix_unit
from events_assets.scan.changes import instant
from events_assets.scan.data_selector import ERROR

DEPTH = 4
"""Levels of a document that are looked at."""
LONGEST_CURSOR = 2_000
"""Characters of a value that is tried as a cursor."""
LONGEST = 100
"""Characters of a value by which rows may be ordered."""
ROWS = 1000
"""Rows in which fields are looked for: those of a page, or of the beginning of a huge one."""
DAY = len("2026-05-01")
"""Characters by which times are compared."""

CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?|\d{1,2} ?[AaPp][Mm]")
CLOCK_IN = re.compile(r"\d:\d\d")
"""A time of day, and what has one in it."""

ALWAYS_THERE = ("id", "event_name", "start_time", "end_time")
"""Columns that the events have, whatever the API gives."""

NAMES = tomllib.loads(files(__package__).joinpath("names.toml").read_text(encoding="utf-8"))
"""What APIs commonly call things."""

FIELDS = NAMES["fields"]
TIMES = ("start_time", "end_time")

TOTAL_NAME = re.compile(
    r"(?=.*(total|count|match|found|hits|filtered))"
    r"(odata|hydra|total|filter(ed)?|match(ed)?|found|hits|num(ber)?|of|table|all|count|size|exact"
    r"|(row|record|item|result|element|object|entrie|event)s?)+"
)
"""What counts all rows is named by these words only: `totalItems`, `filtered_count`."""
URL = re.compile(r"https?://|/|\?")
NEXT = ("next", "nextlink", "nexturl", "nextpage", "nextpageurl", "nexthref", "nexturi")

GLUED = re.compile(r"event|object|global|dt|start|end|begin|finish|until|date|time|utc|local|id")
IS_GLUED = re.compile(
    rf"(?=.*(start|end|begin|finish|until|(object|global|event)id))({GLUED.pattern})+"
).fullmatch
"""Words that are written as one: `dtstart`, `startdatetime`, `OBJECTID`."""

UNMISTAKABLE = {*NAMES["keys"]["cursor"]} - {"after", "end"}
"""Names of cursors that are not also those of a span of time."""

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


@dataclass(frozen=True)
class Listed:
    """A list in a document: its `data_selector`, its rows as objects, and what `[scan]` has to say
    so that they are."""

    selector: str
    rows: list[dict[str, Any]]
    scan: Mapping[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, int]:
        """How much it looks like the list of events; an empty one least."""
        found = {*ALWAYS_THERE} & {*proposals(self.rows)}
        return (len(found) if self.rows else -1, len(self.rows))


def listed(document: Any) -> list[Listed]:
    """The lists of a document, those first whose rows look most like events; then the longest;
    empty lists come last. Rows may be objects, also in envelopes or by their keys, or lists of
    values with the names of their columns somewhere."""
    found = []
    for path, value in walk(document):
        at = join(path)
        if path and ERROR.fullmatch(path[-1]):
            continue
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            found += [Listed(at, value), *_enveloped(at, value)]
        elif isinstance(value, list) and all(isinstance(row, list) for row in value):
            found += _table(document, at, value)
        elif isinstance(value, dict) and value:
            found += _by_key(at, value)
    return sorted(found, key=lambda one: one.rank, reverse=True)


def _enveloped(at: str, rows: Sequence[dict[str, Any]], depth: int = 2) -> Iterator[Listed]:
    """Rows of which each, or a list of them, is all that counts of an object: they have ids, and
    that has none."""
    if not rows or not depth or "id" in proposals(rows):
        return
    for key in rows[0]:
        inner = [row.get(key) for row in rows]
        lists = [one for one in inner if isinstance(one, list)]
        flat: list[Any] = [*chain.from_iterable(lists)] if len(lists) == len(inner) else inner
        if not all(isinstance(one, dict) for one in flat):
            continue
        path = f"{at}[*].{join((key,))}" if "[*]" not in at else f"{at}.{join((key,))}"
        path += "[*]" if lists else ""
        found = {*ALWAYS_THERE} & {*proposals(flat)}
        if "id" in found and len(found) > 1:
            yield Listed(path, flat)
        elif not lists:
            yield from _enveloped(path, flat, depth - 1)


def _table(document: Any, at: str, rows: list[list[Any]]) -> Iterator[Listed]:
    """Rows that are lists of values, if something says what their columns are called."""
    width = len(rows[0]) if rows else 0
    lists = [(join(path), value) for path, value in walk(document) if isinstance(value, list)]
    lists += [(f"{at}[0]", rows[0])] if rows else []
    for place, names in lists if width else ():
        for key in ("", "name", "fieldName", "field", "label", "id"):
            columns = [one.get(key) for one in names if isinstance(one, dict)] if key else names
            is_whole = len(columns) == len(names) == width == len({*map(str, columns)})
            if is_whole and all(isinstance(name, str) and name for name in columns):
                path = f"{place}[*].{key}" if key else place
                both = [(columns, row) for row in rows if row != columns and len(row) == width]
                objects = [dict(zip(names, row, strict=True)) for names, row in both]
                if proposals(objects):
                    yield Listed(at, objects, {"columns_path": path})


def _by_key(at: str, rows: Mapping[str, Any]) -> Iterator[Listed]:
    """An object that holds rows by their keys: of the same fields, and like events."""
    inner = [*rows.values()]
    if len(inner) < 2 or not all(isinstance(row, dict) for row in inner):
        return
    shared = {*inner[0]}.intersection(*inner)
    if len(shared) * 2 < max(map(len, inner)) or not {*TIMES} & {*proposals(inner)}:
        return
    has_id = "id" in field_settings(inner)
    name = "id" if not has_id else "key"
    yield Listed(at, [{name: key, **row} for key, row in rows.items()], {"row_key": name})


def lists_of_rows(document: Any) -> dict[str, list[Any]]:
    """The lists of objects by their path, those first that look most like events."""
    return {one.selector: one.rows for one in listed(document) if not one.scan}


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


def is_called_total(place: str) -> bool:
    """Whether the name of a count says that it is one of all rows, and not of a page."""
    return re.search("total|found|hits|match|filter|range", place, re.IGNORECASE) is not None


def link_to_next(document: Any, headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The paginator that follows the link to the next page, and that link; empty without one."""
    for path, url in [*walk(document), *_links_in_lists(document)]:
        if isinstance(url, str) and URL.match(url) and _leads_on(path):
            return {"type": "json_link", "next_url_path": _link_path(path)}, url
    for link in parse_header_links(CaseInsensitiveDict(headers).get("Link", "")):  # RFC 8288
        if link.get("rel", "").lower() == "next":
            return {"type": "header_link"}, link["url"]
    for name, value in headers.items():
        if re.match(r"(x-)?next\b", name, re.IGNORECASE) and re.match(r"https?://|/", value):
            return {"type": "header_link", "links_next_key": name}, value
    return {}, ""


def _leads_on(path: Keys) -> bool:
    return any(map(_is_next, path)) and "prev" not in _words(path[-1:])


def _is_next(key: str) -> bool:
    """Whether a key is that of a next page, like `hydra:next` or `@odata.nextLink`."""
    words = _words((key,))
    return "".join(words[words.index("next") :]) in NEXT if "next" in words else False


def _links_in_lists(document: Any) -> Iterator[tuple[Keys, Any]]:
    """The addresses in lists of links, with the name and value of what says where one leads."""
    for path, links in walk(document):
        for link in links if isinstance(links, list) else ():
            for key in ("rel", "relation") if isinstance(link, dict) else ():
                for at in ("href", "url", "uri"):
                    if str(link.get(key)).lower() == "next" and at in link:
                        yield (*path, f"[?(@.{key}=='{link[key]}')]", "next", at), link[at]


def _link_path(path: Keys) -> str:
    """The JSON path of a link, that of a list with its condition."""
    if path[-3:-2] and path[-3].startswith("[?("):
        return f"{join(path[:-3])}{path[-3]}.{path[-1]}"
    return join(path)


def cursors(document: Any) -> dict[str, str]:
    """Cursors to the next page by their path."""
    found = {
        at: str(v) for at, v in _named(document, NAMES["keys"]["cursor"]) if _is_text_or_number(v)
    }
    return {path: cursor for path, cursor in found.items() if cursor and not URL.match(cursor)}


def unknown_scalars(document: Any) -> dict[str, str]:
    """Texts and numbers beside the list that may be cursors under a name of their own."""
    found = {}
    for path, value in walk(document):
        is_known = not path or TOTAL_NAME.fullmatch(_key(path)) or ERROR.fullmatch(path[-1])
        if not is_known and _is_text_or_number(value) and 0 < len(str(value)) < LONGEST_CURSOR:
            found[join(path)] = str(value)
    known = cursors(document)
    return {path: v for path, v in found.items() if path not in known and not URL.match(v)}


def has_more(document: Any) -> dict[str, bool]:
    """What says whether there is another page, by its path."""
    return {at: v for at, v in _named(document, NAMES["keys"]["has_more"]) if isinstance(v, bool)}


def end(document: Any) -> str:
    """Where a document says that it is the last page, empty where it does not: by a flag, or by a
    place for the next page in which there is none."""
    more = [path for path, value in has_more(document).items() if not value]
    last = [path for path, value in _named(document, NAMES["keys"]["is_last"]) if value is True]
    none = [
        join(path)
        for path, value in walk(document)
        if path and value in (None, "") and (_is_next(path[-1]) or _key(path) in UNMISTAKABLE)
    ]
    return next(iter([*more, *last, *none]), "")


def continues(document: Any, headers: Mapping[str, str]) -> bool:
    """Whether an answer speaks of another page."""
    link, _ = link_to_next(document, headers)
    last = [v for _, v in _named(document, NAMES["keys"]["is_last"]) if isinstance(v, bool)]
    next_one = [path for path in cursors(document) if "next" in path.lower()]
    return bool(link or next_one or any(has_more(document).values()) or False in last)


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
    clocks = {name: _clock(name, places[name], values, len(objects)) for name in TIMES}
    for name, (day, clock, its_forms) in {n: one for n, one in clocks.items() if one}.items():
        places[name], forms[name] = [day], [{"time_path": join(clock), **f} for f in its_forms]
    for name, other in (TIMES, TIMES[::-1]):  # of which one may tell what the other one means
        both = [form for form in forms.get(name, []) if form in forms.get(other, [])]
        forms |= {name: both} if both else {}
    found = {name: [_setting(places[name], form) for form in forms[name]] for name in forms}
    names = _merged(values, places["event_name"]).values()
    languages = [languages[0] for name in names if (languages := _languages(name))]
    return found | ({"language": languages[:1]} if languages else {})


def _clock(
    name: str, paths: Sequence[Keys], values: Mapping[Keys, Held], count: int
) -> tuple[Keys, Keys, list[dict[str, str]]] | None:
    """Where the day and the time of day are, and in which forms, if they stand apart: the day at
    the path of the time itself, or in a field for both start and end."""
    words, others = ({*FIELDS[one]["words"]} for one in (name, *({*TIMES} - {name})))
    plain = {*FIELDS["neutral"], "hour", "clock", *FIELDS["wrappers"]}
    clocks = [
        path
        for path, held in values.items()
        if all(isinstance(v, str) and CLOCK.fullmatch(v.strip()) for v in held.values())
        and (words & {*_words(path)} or (name == "start_time" and {*_words(path)} <= plain))
        and not (others - words) & {*_words(path)}
        and not {*FIELDS["other_times"]} & {*_words(path)}
    ]
    days = [*paths[:1], *([] if paths else _places("start_time", values, count)[:1])]
    for day, clock in product(days, clocks):
        both = {n: (v, values[clock][n]) for n, v in values[day].items() if n in values[clock]}
        if both and all(isinstance(v, str) and not CLOCK_IN.search(v) for v, _ in both.values()):
            is_iso = all(is_time(f"{v.strip()}T{at.strip()}") for v, at in both.values())
            texts = [f"{v} {at}" for v, at in both.values()]
            forms = [{}] if is_iso else [{"format": form} for form in formats_of(texts)]
            if forms:
                return day, clock, forms
    return None


def unreadable(rows: Sequence[Any]) -> list[str]:
    """What is said of fields that are called like a time that is not found, and are none."""
    found, values = proposals(rows), _by_path([row for row in rows if isinstance(row, dict)][:ROWS])
    said = []
    for name in TIMES:
        for path, held in values.items() if name not in found else ():
            if _likeness_of_time(name, _words(path), [*held.values()]) > 5 and len(path) == 1:
                value = shown(next(iter(held.values())))
                said.append(f'"{join(path)}" cannot be read as {name} (like {value})')
                break
    return said


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
    if name in TIMES:  # a path that is more like the other one is that
        other = next(one for one in TIMES if one != name)
        like = {path: _likeness(other, path, [*values[path].values()]) for path in paths}
        paths = [path for score, path in scored if score > 0 and score >= like[path]]
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
        is_near = len(path) == 1 or (len(path) == 2 and path[0] in FIELDS["id_holders"])
        if not is_near or not all(map(_is_text_or_number, values)):
            return 0
        return _likeness_of_id(_words(path[-1:]), values) - 3 * (len(path) - 1)
    if name == "status":
        fits = all(map(_is_text_or_number, values))
    else:
        fits = all(isinstance(value, str) or _languages(value) for value in values)
    path = path[1:] if len(path) > 1 and path[0] in FIELDS["wrappers"] else path
    names, words = FIELDS[name], " ".join(_words(path))
    return len(names) - names.index(words) if fits and words in names else 0


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
    names, others = FIELDS[name], FIELDS[next(one for one in TIMES if one != name)]
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


def _words(path: Keys) -> list[str]:
    """The words of a path in lower case: `startDate.utc` → start, date, utc."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", " ".join(path))
    words = re.sub(r"[\W_]+", " ", spaced).lower().split()
    return [one for word in words for one in (GLUED.findall(word) if IS_GLUED(word) else [word])]


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
        if len(held) == len(objects)
        and all(_is_text_or_number(v) and len(str(v)) < LONGEST for v in held.values())
    }
    ordered = ((_rank(path), path) for path, found in complete.items() if _is_ordered(found))
    rank, path = min(ordered, default=(0, ()))
    is_strict = bool(path) and rank == 0 and bool(Order().then(complete[path]).directions)
    return join(path) if path else "", is_strict


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
