"""What an answer of an unknown API says: where its rows, totals, links, cursors and fields are.

Pure functions over parsed JSON and headers; they ask nothing. Paths are JSON paths as dlt takes
them, `$` for the document itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests.structures import CaseInsensitiveDict
from requests.utils import parse_header_links

from events_assets.errors import UnreadableTimeError
from events_assets.rows.times import from_text

DEPTH = 4
"""Levels of a document that are looked at."""

CANONICAL = ("id", "event_name", "start_time", "end_time")

TOTAL_NAME = re.compile(
    r"(?=.*(total|count|match|found|hits|filtered))"
    r"(odata|total|filter(ed)?|match(ed)?|found|hits|num(ber)?|of|table|all|count|size|exact"
    r"|(row|record|item|result|element|object|entrie|event)s?)+"
)
"""What counts all rows is named by these words only: `totalItems`, `filtered_count`."""
TOTAL_HEADERS = (
    *("x-total-count", "x-total", "total-count", "x-pagination-total-count", "x-count"),
    *("x-wp-total", "x-total-results", "x-total-items", "content-range"),
)
CURSOR_NAMES = (
    *("nextcursor", "endcursor", "nextpagetoken", "continuationtoken", "continuation", "nexttoken"),
    *("cursornext", "nextpagecursor", "after", "cursor", "next", "end"),
)
HAS_MORE_NAMES = ("hasmore", "hasmoreitems", "hasnext", "hasnextpage", "more", "moreitems")
NEXT, URL = re.compile("next", re.IGNORECASE), re.compile(r"https?://|/|\?")

ID_NAMES = ("slug", "code", "key", "identifier", "uuid", "guid", "uid", "event id", "id")
EVENT_NAMES = (
    *("label", "subject", "headline", "summary", "name text", "title rendered", "name", "title"),
    *("event title", "event name"),
)
"""Both with the likeliest last."""
WRAPPERS = ("attributes", "fields", "properties", "event", "node", "data", "content", "submission")
"""Objects within a row that may hold all of its fields."""
START_NAMES = (
    *("start time", "starts at", "start at", "start", "date from", "begin", "utc start date"),
)
START_WORDS = ("start", "starts", "begin", "begins", "from", "started", "starting")
END_NAMES = ("end time", "ends at", "end at", "end", "date to", "finish", "utc end date")
END_WORDS = ("end", "ends", "finish", "finishes", "to", "until", "till", "ended", "ending")
OTHER_TIMES = (
    *("presale", "sale", "sales", "registration", "booking", "created", "updated", "modified"),
    *("published", "admission", "publish", "deadline", "available"),
)
"""Words for times of something else than the event."""

FIRST_TIME, LAST_TIME = 4e8, 5e9
LAST_YEAR = 2128
"""Unix times between 1982 and 2128 count as times."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class FieldProposal:
    """Where a canonical field is found: the value for `[sources.events.fields]`."""

    setting: str | dict[str, str]
    language: str = ""

    @property
    def has_unit(self) -> bool:
        """Whether it is a time in a number."""
        return isinstance(self.setting, dict)


def join(path: Sequence[str]) -> str:
    """The JSON path of nested keys; keys that are no plain names are quoted."""
    plain = re.compile(r"(?!where)[A-Za-z_]\w*", re.ASCII)  # `where` is an operator
    quoted = {key: "'" + re.sub(r"(['\\])", r"\\\1", key) + "'" for key in path}
    return ".".join(key if plain.fullmatch(key) else quoted[key] for key in path) or "$"


def walk(value: Any) -> Iterator[tuple[Path, Any]]:
    """All values below nested objects with their paths, outer ones first; lists are not entered."""
    level: list[tuple[Path, Any]] = [((), value)]
    while level:
        yield from level
        level = [
            ((*path, str(key)), inner)
            for path, outer in level
            if isinstance(outer, dict) and len(path) < DEPTH
            for key, inner in outer.items()
        ]


def lists_of_rows(document: Any) -> dict[str, list[Any]]:
    """The lists of objects by their path, those first whose rows look most like events; then the
    longest; empty lists come last."""
    found = _lists(document, dict)
    order = {p: (len(field_proposals(r)) if r else -1, len(r)) for p, r in found.items()}
    return {path: found[path] for path in sorted(found, key=order.__getitem__, reverse=True)}


def lists_of_lists(document: Any) -> list[str]:
    """The paths of tables whose rows are lists of values."""
    return [path for path, rows in _lists(document, list).items() if rows]


def _lists(document: Any, kind: type) -> dict[str, list[Any]]:
    return {
        join(path): value
        for path, value in walk(document)
        if isinstance(value, list) and all(isinstance(row, kind) for row in value)
    }


def totals(document: Any, received: int) -> dict[str, int]:
    """Numbers that count all rows, by their path, the most telling name first.

    Args:
        received: rows in this answer; a total is not less.
    """
    found = []
    for path, value in walk(document):
        name = _plain(path)
        is_number = _is_text_or_number(value) and re.fullmatch(r"\d{1,15}", str(value))
        if TOTAL_NAME.fullmatch(name) and is_number and int(value) >= received:
            order = "filter" not in name, "total" not in name, len(path)
            found.append((*order, join(path), int(value)))
    return {path: total for *_, path, total in sorted(found)}


def total_headers(headers: Mapping[str, str], received: int) -> dict[str, int]:
    """Headers that count all rows, by name; of `Content-Range: 0-24/573` it is the 573."""
    found = {
        name: value.strip().rpartition("/")[2]
        for name, value in headers.items()
        if name.lower() in TOTAL_HEADERS
    }
    return {n: int(v) for n, v in found.items() if v.isdecimal() and int(v) >= received}


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


def link_parameters(url: str) -> dict[str, int]:
    """The numeric parameters of a link: they tell how the API names its pages."""
    query = parse_qsl(urlsplit(url).query)
    return {name: int(value) for name, value in query if re.fullmatch(r"\d{1,12}", value)}


def cursors(document: Any) -> dict[str, str]:
    """Cursors to the next page by their path."""
    found = {p: str(v) for p, v in _named(document, CURSOR_NAMES) if _is_text_or_number(v)}
    return {path: cursor for path, cursor in found.items() if cursor and not URL.match(cursor)}


def has_more(document: Any) -> dict[str, bool]:
    """What says whether there is another page, by its path."""
    return {p: value for p, value in _named(document, HAS_MORE_NAMES) if isinstance(value, bool)}


def continues(document: Any, headers: Mapping[str, str]) -> bool:
    """Whether an answer speaks of another page."""
    link, _ = link_to_next(document, headers)
    return bool(link or cursors(document) or any(has_more(document).values()))


def _named(document: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Values whose key is one of `names`, in their order, with their paths."""
    found = [(path, value) for path, value in walk(document) if _plain(path) in names]
    found.sort(key=lambda item: (names.index(_plain(item[0])), len(item[0]), join(item[0])))
    return [(join(path), value) for path, value in found]


def _plain(path: Path) -> str:
    """The last key of a path, without what separates its words: `next_page` → nextpage."""
    return re.sub(r"[\W_]+", "", path[-1]).lower() if path else ""


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that tell how many requests are allowed, and when to come again."""
    wanted = re.compile(r"(x-)?rate-?limit|retry-after", re.IGNORECASE)
    return {name: value for name, value in headers.items() if wanted.match(name)}


def field_proposals(rows: Sequence[Any]) -> dict[str, FieldProposal]:
    """Where the canonical fields seem to be, by their name; those not found are left out."""
    objects = [row for row in rows if isinstance(row, dict)][:50]
    values: dict[Path, list[Any]] = {}
    for path, value in chain.from_iterable(map(walk, objects)):
        if path:
            values.setdefault(path, []).append(value)
    found = {}
    for name, score in SCORES.items():
        scored = [(score(path, values[path]), -len(path), path) for path in values]
        best, _, path = max(scored, default=(0, 0, ()), key=lambda item: item[:2])
        repeated = name == "id" and len({str(v) for v in values.get(path, [])}) < len(objects)
        if best > 0 and not repeated:
            found[name] = _proposal(name, path, values[path])
    return found


def field_settings(
    proposed: Mapping[str, FieldProposal], names: Sequence[str]
) -> dict[str, str | dict[str, str]]:
    """`[sources.events.fields]` for the named fields, as far as they are proposed."""
    settings: dict[str, str | dict[str, str]] = {}
    for name in names:
        if name in proposed:
            settings[name] = proposed[name].setting
            if proposed[name].language:
                settings["language"] = proposed[name].language
    return settings


def _proposal(name: str, path: Path, values: list[Any]) -> FieldProposal:
    sample = next(iter(_known(values)), None)
    if name.endswith("_time") and (unit := time_unit(sample)):
        return FieldProposal({"path": join(path), "unit": unit})
    return FieldProposal(join(path), next(iter(_languages(sample)), ""))


def _score_id(path: Path, values: list[Any]) -> int:
    words = " ".join(_words(path))
    good = len(path) == 1 and words in ID_NAMES and all(map(_is_text_or_number, values))
    return 1 + ID_NAMES.index(words) if good else 0


def _score_event_name(path: Path, values: list[Any]) -> int:
    wrapped = len(path) > 1 and path[0] in WRAPPERS
    words, known = " ".join(_words(path[1:] if wrapped else path)), _known(values)
    texts = bool(known) and all(isinstance(v, str) or _languages(v) for v in known)
    return 1 + EVENT_NAMES.index(words) if texts and words in EVENT_NAMES else 0


def _score_time(
    names: Sequence[str], words: Sequence[str], alone: str, path: Path, values: list[Any]
) -> int:
    """By whole names, by words within one, and last by one word that says little alone."""
    known, named = _known(values), _words(path)
    if not known or not all(map(is_time, known)) or {*OTHER_TIMES} & {*named}:
        return 0
    score = 40 if " ".join(named) in names else 20 if {*words} & {*named} else 0
    if not score:
        return 10 if named[-1:] == [alone] else 0
    score += 5 if {"utc", "gmt"} & {*named} else 0
    score -= 2 if {"local", "date"} & {*named} else 0
    precise = any(":" in str(value) or time_unit(value) for value in known)
    return score - (0 if precise else 10) - len(path)


SCORES: dict[str, Callable[[Path, list[Any]], int]] = {
    "id": _score_id,
    "event_name": _score_event_name,
    "start_time": partial(_score_time, START_NAMES, START_WORDS, "date"),
    "end_time": partial(_score_time, END_NAMES, END_WORDS, ""),
}
"""How much a path and its values look like a canonical field; 0: not at all."""


def _known(values: list[Any]) -> list[Any]:
    return [value for value in values if value not in (None, "")]


def _words(path: Path) -> list[str]:
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


def time_unit(value: Any) -> str:
    """`seconds` or `milliseconds` where a value looks like a Unix time, else empty."""
    number = float(value) if re.fullmatch(r"\d{9,13}(\.\d+)?", str(value)) else 0.0
    for unit, factor in (("seconds", 1), ("milliseconds", 1000)):
        if FIRST_TIME * factor <= number <= LAST_TIME * factor:
            return unit
    return ""


def is_time(value: Any) -> bool:
    """Whether a value looks like a point in time: ISO 8601 or a Unix time."""
    if isinstance(value, str) and re.match(r"\d{4}-?\d{2}-?\d{2}", value) and not time_unit(value):
        try:
            from_text(value, UTC)
        except UnreadableTimeError:
            return False
        return True
    return bool(time_unit(value))
