"""What cannot be loaded: each rule in one place, for rows that dlt takes one by one and for the
columns of Arrow tables."""

import json
import math
import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from dlt.common.time import ensure_datetime

from events_assets.dlt_private import TYPE_MARKS
from events_assets.rows.names import distinct

Path = tuple[str, ...]
"""The keys above a value and its own; `list` stands for the place in a list. Empty for a row."""

LONGEST_PATH = 180
"""Characters in the name of a nested table; file systems end at 255."""

DEEPEST = 50
"""Levels of nesting; each one lengthens the names of columns."""

NESTED = frozenset({dict, list})
EDGE_YEARS = ("0001", "9999")
SURROGATE = re.compile("[\ud800-\udfff]")


NO_BRACKETS = bytes(set(range(256)).difference(b"{}[]"))
ABYSS = 250
"""Levels of nesting at which functions that call themselves come near their end."""


class TooDeep(str):
    """Stands for a row that nests deeper than `ABYSS` levels: its JSON."""


def may_be_deep(body: bytes) -> bool:
    """Whether the JSON may nest deeper than `ABYSS` levels: not if taking innermost brackets out so
    often leaves none."""
    brackets = body.translate(None, NO_BRACKETS)
    for _ in range(ABYSS):
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(brackets):
            break
        brackets = fewer
    return bool(brackets)


def shallow(rows: list[Any]) -> list[Any]:
    """The rows, with `TooDeep` in place of those that are."""
    if not _is_deep(rows):
        return rows
    return [TooDeep(_json(row)) if _is_deep([row]) else row for row in rows]


def _is_deep(rows: list[Any]) -> bool:
    level = rows
    for _ in range(ABYSS):
        parts = (one.values() if type(one) is dict else one for one in level if type(one) in NESTED)
        level = [item for part in parts for item in part if type(item) in NESTED]
        if not level:
            return False
    return True


def _json(value: Any) -> str:
    """As `json.dumps` writes it, however deep it nests."""
    written: list[str] = []
    rest: list[tuple[bool, Any]] = [(False, value)]
    while rest:
        is_text, one = rest.pop()
        if is_text or type(one) not in NESTED:
            written.append(one if is_text else json.dumps(one))
            continue
        parts: list[tuple[bool, Any]] = []
        for key, item in one.items() if type(one) is dict else enumerate(one):
            name = f"{json.dumps(key)}: " if type(one) is dict else ""
            parts += [(True, f"{', ' if parts else ''}{name}"), (False, item)]
        begin, end = "{}" if type(one) is dict else "[]"
        rest += [(True, end), *reversed(parts), (True, begin)]
    return "".join(written)


class Key:
    """The kind of the keys of objects; their path is that of their object."""


@dataclass(frozen=True)
class Rule:
    """Why values cannot be loaded.

    `kinds` are the types of values that it is about: text, numbers, booleans, `dict` for objects
    and rows, `list`, and `Key`. `reason` says what is wrong with a value at a path, or None.

    `screen` spares asking for each value where rows become Arrow tables. It gets the values of a
    column (an Arrow array of texts or numbers, in a column of fractions all as fractions; a list of
    objects and lists) and their path, and tells which may have a reason, or one answer for all.
    """

    kinds: frozenset[type]
    reason: Callable[[Any, Path], str | None]
    screen: Callable[[Any, Path], Any] | None = None


def objection(
    rules: Sequence[Rule], value: Any, path: Path, kind: type | None = None
) -> str | None:
    """The first reason why a value cannot be loaded; `kind` is its own type, or `Key`."""
    kind = kind or type(value)
    for rule in rules:
        if kind in rule.kinds and (found := rule.reason(value, path)):
            return found
    return None


def offenders(
    rules: Sequence[Rule], values: Sequence[Any], kinds: Set[type], path: Path
) -> set[int]:
    """Places of values at a path that cannot be loaded, as far as no screen of an Arrow array finds
    them; `kinds` are the types of these values."""
    found: set[int] = set()
    for rule in rules:
        mine = rule.kinds & kinds
        if mine and (not rule.screen or (mine & NESTED and rule.screen(values, path))):
            at_mine = ((at, one) for at, one in enumerate(values) if type(one) in mine)
            found.update(at for at, one in at_mine if rule.reason(one, path))
    return found


def _half_a_pair(text: str, _: Path) -> str | None:
    return "half a surrogate pair in the text" if SURROGATE.search(text) else None


def _marked(text: str, _: Path) -> str | None:
    """dlt would take it for a value of another type that it has written itself."""
    if text.startswith(TYPE_MARKS):
        return f"a text that begins with U+{ord(text[0]):04X}, a mark of dlt's,"
    return None


def _may_be_marked(texts: pa.Array, _: Path) -> Any:
    after = chr(ord(TYPE_MARKS[-1]) + 1)
    return pc.and_(pc.greater_equal(texts, TYPE_MARKS[0]), pc.less(texts, after))


def _with_nul(text: str, _: Path) -> str | None:
    return "a NUL character, which PostgreSQL cannot hold, in the text" if "\0" in text else None


def _may_have_nul(texts: pa.Array, _: Path) -> Any:
    return pc.match_substring(texts, "\0")


def _out_of_calendar(text: str, _: Path) -> str | None:
    """dlt takes any text that looks like a time for one, and fails to write it in UTC."""
    if text[:4] not in EDGE_YEARS:
        return None
    try:
        time = ensure_datetime(text)
    except (ValueError, OverflowError, OSError):  # the last of a number beyond all years
        return None
    if time.tzinfo is None:  # as a number of four digits that is no year
        return None
    try:
        time.astimezone(UTC)
    except (ValueError, OverflowError):
        return "a time outside the years 1 to 9999 (UTC)"
    return None


def _in_edge_years(texts: pa.Array, _: Path) -> Any:
    first, last = (pc.starts_with(texts, year) for year in EDGE_YEARS)
    return pc.or_(first, last)


def beyond_64_bit(number: int, _: Path = ()) -> str | None:
    return None if -(2**63) <= number < 2**63 else "integer beyond 64 bit"


def _not_finite(number: float, _: Path) -> str | None:
    """dlt writes them as null."""
    return None if math.isfinite(number) else "NaN or Infinity"


def _too_deep(_: Any, path: Path) -> str | None:
    return f"nested deeper than {DEEPEST} levels" if len(path) > DEEPEST else None


def _too_long(_: Any, path: Path) -> str | None:
    """A nested list becomes a table, and a file, named after all keys above it."""
    too_long = sum(2 * len(distinct(key)) + 2 for key in path) > LONGEST_PATH
    return "a list nested too deep" if too_long else None


def _not_in_arrow(_: Any, _path: Path) -> bool:
    """Arrow refuses such values itself, and they are looked at one by one."""
    return False


RULES = (
    Rule(frozenset({str, Key}), _half_a_pair, _not_in_arrow),
    Rule(frozenset({str, Key}), _marked, _may_be_marked),
    Rule(frozenset({str}), _out_of_calendar, _in_edge_years),
    Rule(frozenset({int}), beyond_64_bit, _not_in_arrow),
    Rule(frozenset({float}), _not_finite, lambda numbers, _: pc.invert(pc.is_finite(numbers))),
    Rule(frozenset({dict}), _too_deep, _too_deep),
    Rule(frozenset({list}), _too_long, _too_long),
)
"""What neither dlt nor a warehouse can hold."""

RULES_OF = {"postgres": (Rule(frozenset({str}), _with_nul, _may_have_nul),)}
"""What some databases cannot hold, by their SQL dialects (sqlglot's)."""
