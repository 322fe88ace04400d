"""What an answer of an unknown API says: where its rows, totals, links and cursors are.

Pure functions over parsed JSON and headers; they ask nothing. Paths are JSON paths as dlt takes
them, `$` for the document itself.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from requests.structures import CaseInsensitiveDict
from requests.utils import parse_header_links

from events_assets.commands.fields import ALWAYS_THERE, URL, field_settings, proposals
from events_assets.commands.paths import (
    NAMES,
    is_text_or_number,
    join,
    key_of,
    words_of,
)
from events_assets.commands.time_parts import TIMES
from events_assets.json_path import Keys, walk
from events_assets.scan.data_selector import ERROR

LONGEST_CURSOR = 2_000
"""Characters of a value that is tried as a cursor."""

TOTAL_NAME = re.compile(
    r"(?=.*(total|count|match|found|hits|filtered)|(row|record|item|result|element|entrie)s\Z)"
    r"(odata|hydra|total|filter(ed)?|match(ed)?|found|hits|num(ber)?|of|table|all|count|size|exact"
    r"|(row|record|item|result|element|object|entrie|event)s?)+"
)
"""What counts all rows is named by these words only: `totalItems`, `filtered_count`, `items`."""
NEXT = ("next", "nextlink", "nexturl", "nextpage", "nextpageurl", "nexthref", "nexturi")

UNMISTAKABLE = {*NAMES["keys"]["cursor"]} - {"after", "end"}
"""Names of cursors that are not also those of a span of time."""


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
        if path and (ERROR.fullmatch(path[-1]) or path[-1] == "included"):  # as of JSON:API
            continue
        objects = [row for row in value if row is not None] if isinstance(value, list) else []
        is_list = isinstance(value, list) and (objects or not value)
        if is_list and all(isinstance(row, dict) for row in objects):
            found += [Listed(at, objects), *_enveloped(f"{at}[*]", objects)]
        elif isinstance(value, list) and all(isinstance(row, list) for row in value):
            found += _table(document, at, value)
        elif isinstance(value, dict) and value:
            found += _by_key(at, value)
    return sorted(found, key=lambda one: one.rank, reverse=True)


def _enveloped(each: str, rows: Sequence[dict[str, Any]], depth: int = 3) -> Iterator[Listed]:
    """Rows that are in objects, one, a list, or lists by their names in each, like the sessions in
    the rooms of a day: they look like events, and the objects, each at a path, do not."""
    outer = {*ALWAYS_THERE} & {*proposals(rows)} if rows and depth else {*ALWAYS_THERE}
    for key in dict.fromkeys(chain.from_iterable(rows)):
        if "id" in outer and ("event_name" in outer or key.lower() not in NAMES["rows"]["below"]):
            continue
        inner = [value for row in rows if (value := row.get(key)) is not None]
        path = f"{each}.{join((key,))}"
        if all(isinstance(one, dict) and _are_lists(one.values()) for one in inner):
            inner, path = [*chain.from_iterable(one.values() for one in inner)], f"{path}.*"
        if is_many := _are_lists(inner):
            inner, path = [*chain.from_iterable(inner)], f"{path}[*]"
        if not all(isinstance(one, dict) for one in inner) or (
            len(inner) < len(rows) and not is_many
        ):
            continue
        found = {*ALWAYS_THERE} & {*proposals(inner)}
        if "id" in found and len(found) > max(1, len(outer)):
            yield Listed(path, inner)
        else:
            yield from _enveloped(path, inner, depth - 1)


def _are_lists(values: Iterable[Any]) -> bool:
    """Whether there are values, all of them lists."""
    found = [*values]
    return bool(found) and all(isinstance(one, list) for one in found)


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


def totals(document: Any, headers: Mapping[str, str], received: int) -> dict[str, int]:
    """Numbers that count all rows, not less than were `received`, by their path or the name of
    their header; paths first, the most telling one before others. Of `0-24/573` it is the 573."""
    found = []
    for path, value in walk(document):
        name = key_of(path[:-1] if path[-1:] == ("value",) else path)
        if TOTAL_NAME.fullmatch(name) and is_text_or_number(value):
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
    return any(map(_is_next, path)) and "prev" not in words_of(path[-1:])


def _is_next(key: str) -> bool:
    """Whether a key is that of a next page, like `hydra:next` or `@odata.nextLink`."""
    words = words_of((key,))
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
        at: str(v) for at, v in _named(document, NAMES["keys"]["cursor"]) if is_text_or_number(v)
    }
    return {path: cursor for path, cursor in found.items() if cursor and not URL.match(cursor)}


def cursor_objects(document: Any) -> dict[str, Any]:
    """The same that are objects, or lists of texts and numbers, by their path."""
    named = [
        (path, value) for path, value in walk(document) if path and key_of(path) in UNMISTAKABLE
    ]
    return {
        join(path): value
        for path, value in named
        if value and (isinstance(value, dict) or are_plain(value))
    }


def are_plain(value: Any) -> bool:
    """Whether a value is a list of texts and numbers."""
    return isinstance(value, list) and all(map(is_text_or_number, value))


def unknown_scalars(document: Any) -> dict[str, str]:
    """Texts and numbers beside the list that may be cursors under a name of their own."""
    found = {}
    for path, value in walk(document):
        is_known = not path or TOTAL_NAME.fullmatch(key_of(path)) or ERROR.fullmatch(path[-1])
        if not is_known and is_text_or_number(value) and 0 < len(str(value)) < LONGEST_CURSOR:
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
        if path and value in (None, "") and (_is_next(path[-1]) or key_of(path) in UNMISTAKABLE)
    ]
    return next(iter([*more, *last, *none]), "")


def empty_link(document: Any) -> str:
    """Where a document has a place for a link to the next page with null in it, as on the last one;
    not one that is called like a cursor."""
    paths = [
        path for path, value in walk(document) if path and value is None and _is_next(path[-1])
    ]
    links = [
        path for path in paths if key_of(path) == "next" or {"link", "url"} & {*words_of(path)}
    ]
    return join(links[0]) if links else ""


def continues(document: Any, headers: Mapping[str, str]) -> bool:
    """Whether an answer speaks of another page."""
    link, _ = link_to_next(document, headers)
    last = [v for _, v in _named(document, NAMES["keys"]["is_last"]) if isinstance(v, bool)]
    next_one = [path for path in cursors(document) if "next" in path.lower()]
    next_one += [path for path in cursor_objects(document) if path.lower().endswith("key")]
    return bool(link or next_one or any(has_more(document).values()) or False in last)


def _named(document: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Values whose key is one of `names`, in their order, with their paths."""
    found = [
        (names.index(key), path, v) for path, v in walk(document) if (key := key_of(path)) in names
    ]
    return [(join(path), value) for _, path, value in sorted(found, key=lambda one: one[0])]
