"""What an answer of an unknown API says: where its rows, totals, links, cursors and fields are.

Pure functions over parsed JSON and headers; they ask nothing. Paths are JSON paths as dlt takes
them, `$` for the document itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
    *("next_cursor", "nextcursor", "end_cursor", "endcursor", "next_page_token", "nextpagetoken"),
    *("continuation_token", "continuationtoken", "continuation", "next_token", "nexttoken"),
    *("cursor_next", "next_page_cursor", "after", "cursor", "next", "end"),
)
HAS_MORE_NAMES = (
    *("has_more", "hasmore", "has_more_items", "has_next", "hasnext", "has_next_page"),
    *("hasnextpage", "more", "more_items"),
)
WRAPPERS = ("attributes", "fields", "properties", "event", "node", "data", "content", "submission")
"""Objects within a row that may hold all of its fields."""

LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")

FIRST_TIME, LAST_TIME = 4e8, 5e9
LAST_YEAR = 2128
"""Unix times between 1982 and 2128 count as times."""


@dataclass(frozen=True)
class FieldProposal:
    """Where a canonical field is found: the value for `[sources.events.fields]`, and a sample."""

    setting: str | dict[str, str]
    sample: Any
    language: str = ""

    @property
    def has_unit(self) -> bool:
        """Whether it is a time in a number."""
        return isinstance(self.setting, dict)


def join(parts: Sequence[str]) -> str:
    """The JSON path of nested keys; keys that are no plain names are quoted."""
    quoted = (p if re.fullmatch(r"[A-Za-z_]\w*", p) else f"'{p}'" for p in parts)
    return ".".join(quoted) or "$"


def walk(value: Any, parts: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All values below nested objects with their paths, outer ones first; lists are not entered."""
    level = [(parts, value)]
    while level:
        yield from level
        level = [
            ((*path, str(key)), inner)
            for path, outer in level
            if isinstance(outer, dict) and len(path) < len(parts) + DEPTH
            for key, inner in outer.items()
        ]


def lists_of_rows(document: Any) -> dict[str, list[Any]]:
    """The lists of objects by their path, the most promising first; empty lists come last."""
    found = [
        (join(path), value)
        for path, value in walk(document)
        if isinstance(value, list) and all(isinstance(row, dict) for row in value)
    ]
    return dict(sorted(found, key=lambda item: (_likeness(item[1]), len(item[1])), reverse=True))


def lists_of_lists(document: Any) -> list[str]:
    """The paths of tables whose rows are lists of values."""
    return [
        join(path)
        for path, value in walk(document)
        if isinstance(value, list) and value and all(isinstance(row, list) for row in value)
    ]


def _likeness(rows: list[Any]) -> int:
    """How many of the canonical fields rows seem to have, -1 without rows."""
    return len(field_proposals(rows)) if rows else -1


def totals(document: Any, received: int) -> dict[str, int]:
    """Numbers that count all rows, by their path, the most telling name first.

    Args:
        received: rows in this answer; a total is not less.
    """
    found = [
        ("filter" not in name, "total" not in name, len(path), join(path), int(value))
        for path, value in walk(document)
        if path
        and TOTAL_NAME.fullmatch(name := re.sub(r"[\W_]+", "", path[-1]).lower())
        and isinstance(value, int | str)
        and not isinstance(value, bool)
        and re.fullmatch(r"\d{1,15}", str(value))
        and int(value) >= received
    ]
    return {path: total for *_, path, total in sorted(found)}


def total_headers(headers: Mapping[str, str], received: int) -> dict[str, int]:
    """Headers that count all rows, by name; of `Content-Range: 0-24/573` it is the 573."""
    found = {}
    for name, value in headers.items():
        number = value.strip().rpartition("/")[2]
        if name.lower() in TOTAL_HEADERS and number.isdecimal() and int(number) >= received:
            found[name] = int(number)
    return found


def next_links(document: Any) -> dict[str, str]:
    """URLs of the next page by their path."""
    return {
        join(path): value
        for path, value in walk(document)
        if isinstance(value, str)
        and any(re.match(r"next", part, re.IGNORECASE) for part in path)
        and not re.search(r"prev", path[-1], re.IGNORECASE)
        and re.match(r"https?://|/|\?", value)
    }


def header_link(headers: Mapping[str, str]) -> str:
    """The URL of the next page in a `Link` header (RFC 8288), empty if there is none."""
    found = re.search(r"""<([^>]*)>[^,]*rel=["']?next\b""", header(headers, "link"), re.IGNORECASE)
    return found[1] if found else ""


def link_to_next(document: Any, headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The paginator that follows the link to the next page, and that link; empty without one."""
    for path, url in next_links(document).items():
        return {"type": "json_link", "next_url_path": path}, url
    if url := header_link(headers):
        return {"type": "header_link"}, url
    for name, value in headers.items():
        if re.match(r"(x-)?next\b", name, re.IGNORECASE) and re.match(r"https?://|/", value):
            return {"type": "header_link", "links_next_key": name}, value
    return {}, ""


def cursors(document: Any) -> dict[str, str]:
    """Cursors to the next page by their path."""
    return {
        path: str(value)
        for path, value in _named(document, CURSOR_NAMES)
        if isinstance(value, str | int)
        and not isinstance(value, bool)
        and str(value)
        and not re.match(r"https?://|/|\?", str(value))
    }


def has_more_paths(document: Any) -> list[str]:
    """Paths of booleans that say whether there is another page."""
    return [p for p, value in _named(document, HAS_MORE_NAMES) if isinstance(value, bool)]


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that tell how many requests are allowed, and when to come again."""
    wanted = re.compile(r"(x-)?rate-?limit|retry-after", re.IGNORECASE)
    return {name: value for name, value in headers.items() if wanted.match(name)}


def link_parameters(url: str) -> dict[str, int]:
    """The numeric parameters of a link: they tell how the API names its pages."""
    query = parse_qsl(urlsplit(url).query)
    return {name: int(value) for name, value in query if re.fullmatch(r"\d{1,12}", value)}


def field_proposals(rows: Sequence[Any]) -> dict[str, FieldProposal]:
    """Where the canonical fields seem to be, by their name; those not found are left out."""
    objects = [row for row in rows if isinstance(row, dict)][:50]
    paths: dict[tuple[str, ...], list[Any]] = {}
    for row in objects:
        for path, value in walk(row):
            if path:
                paths.setdefault(path, []).append(value)
    found = {}
    for name, judge in JUDGES.items():
        scored = [(judge(path, values), path) for path, values in paths.items()]
        best = max(scored, default=(0, ()), key=lambda item: (item[0], -len(item[1])))
        if best[0] > 0:
            found[name] = _proposal(name, best[1], paths[best[1]])
    if "id" in found and isinstance(found["id"].setting, str):
        key = tuple(found["id"].setting.replace("'", "").split("."))
        if len({str(value) for value in paths.get(key, [])}) < len(objects):
            del found["id"]
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


def time_unit(value: Any) -> str:
    """`seconds` or `milliseconds` where a value looks like a Unix time, else empty."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    if isinstance(value, str) and not re.fullmatch(r"\d{9,13}(\.\d+)?", value):
        return ""
    number = float(value)
    if FIRST_TIME <= number <= LAST_TIME:
        return "seconds"
    return "milliseconds" if FIRST_TIME * 1000 <= number <= LAST_TIME * 1000 else ""


def is_time(value: Any) -> bool:
    """Whether a value looks like a point in time: ISO 8601 or a Unix time."""
    if isinstance(value, str) and re.match(r"\d{4}-?\d{2}-?\d{2}", value):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return bool(re.match(r"\d{4}-\d{2}-\d{2}[T ]", value) or time_unit(value))
        return True
    return bool(time_unit(value))


def _named(document: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Values whose key is one of `names`, in their order, with their paths."""
    found = []
    for path, value in walk(document):
        name = re.sub(r"\W+", "_", path[-1]).strip("_").lower() if path else ""
        if name in names:
            found.append((names.index(name), len(path), join(path), value))
    return [(path, value) for _, _, path, value in sorted(found, key=lambda item: item[:3])]


def header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def words_of(path: tuple[str, ...]) -> list[str]:
    """The words of a path in lower case: `startDate.utc` → start, date, utc."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", " ".join(path))
    return re.sub(r"[\W_]+", " ", spaced).lower().split()


def _id(path: tuple[str, ...], values: list[Any]) -> int:
    kinds = all(isinstance(v, str | int) and not isinstance(v, bool) for v in values)
    order = ["slug", "code", "key", "identifier", "uuid", "guid", "uid", "event id", "id"]
    words = " ".join(words_of(path))
    return 1 + order.index(words) if kinds and len(path) == 1 and words in order else 0


def _event_name(path: tuple[str, ...], values: list[Any]) -> int:
    known = [value for value in values if value not in (None, "")]
    if not known or not all(isinstance(v, str) or _languages(v) for v in known):
        return 0
    order = ["label", "subject", "headline", "summary", "name text", "title rendered"]
    order += ["name", "title", "event title", "event name"]
    wrapped = len(path) > 1 and path[0] in WRAPPERS
    words = " ".join(words_of(path[1:] if wrapped else path))
    return 1 + order.index(words) if words in order else 0


def _time(marks: set[str], names: list[str]) -> Callable[[tuple[str, ...], list[Any]], int]:
    foreign = {"presale", "sale", "sales", "registration", "booking", "created", "updated"}
    foreign |= {"modified", "published", "admission", "publish", "deadline", "available"}

    def judge(path: tuple[str, ...], values: list[Any]) -> int:
        known = [value for value in values if value not in (None, "")]
        words = words_of(path)
        if not known or not all(map(is_time, known)) or foreign & set(words):
            return 0
        score = 40 if " ".join(words) in names else 20 if marks & set(words) else 0
        if not score:
            return 10 if names[0] == "start time" and words[-1:] == ["date"] else 0
        score += 5 if {"utc", "gmt"} & set(words) else 0
        if {"local", "date"} & set(words):
            score -= 2
        precise = any(":" in str(value) or time_unit(value) for value in known)
        return score - (0 if precise else 10) - len(path)

    return judge


JUDGES: dict[str, Callable[[tuple[str, ...], list[Any]], int]] = {
    "id": _id,
    "event_name": _event_name,
    "start_time": _time(
        {"start", "starts", "begin", "begins", "from", "started", "starting"},
        ["start time", "starts at", "start at", "start", "date from", "begin", "utc start date"],
    ),
    "end_time": _time(
        {"end", "ends", "finish", "finishes", "to", "until", "till", "ended", "ending"},
        ["end time", "ends at", "end at", "end", "date to", "finish", "utc end date"],
    ),
}


def _languages(value: Any) -> list[str]:
    """The languages of a text given by language, like `{"en": "Fair", "de": "Messe"}`."""
    if not isinstance(value, dict) or not value:
        return []
    texts = all(LANGUAGE.fullmatch(str(k)) and isinstance(v, str | None) for k, v in value.items())
    return sorted(value, key=lambda key: (not key.startswith("en"), key)) if texts else []


def _proposal(name: str, path: tuple[str, ...], values: list[Any]) -> FieldProposal:
    sample = next((value for value in values if value not in (None, "")), None)
    unit = time_unit(sample) if name.endswith("_time") else ""
    if unit:
        return FieldProposal({"path": join(path), "unit": unit}, sample)
    languages = _languages(sample) if name == "event_name" else []
    return FieldProposal(join(path), sample, languages[0] if languages else "")
