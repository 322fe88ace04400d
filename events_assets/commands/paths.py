"""The words of paths in parsed JSON, and what APIs commonly call things."""

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from events_assets.json_path import Keys

NAMES = tomllib.loads(files(__package__).joinpath("names.toml").read_text(encoding="utf-8"))
"""What APIs commonly call things."""

GLUED = re.compile(r"event|object|global|dt|start|end|begin|finish|until|date|time|utc|local|id")
IS_GLUED = re.compile(
    rf"(?=.*(start|end|begin|finish|until|(object|global|event)id))({GLUED.pattern})+"
).fullmatch
"""Words that are written as one: `dtstart`, `startdatetime`, `OBJECTID`."""


def join(path: Sequence[str]) -> str:
    """The JSON path of nested keys, `$` for the document itself; keys that are no plain names are
    quoted."""
    plain = re.compile(r"(?!where)[A-Za-z_]\w*", re.ASCII)  # `where` is an operator
    quoted = {key: "'" + re.sub(r"(['\\])", r"\\\1", key) + "'" for key in path}
    return ".".join(key if plain.fullmatch(key) else quoted[key] for key in path) or "$"


def words_of(path: Keys) -> list[str]:
    """The words of a path in lower case: `startDate.utc` → start, date, utc."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", " ".join(path))
    words = re.sub(r"[\W_]+", " ", spaced).lower().split()
    return [one for word in words for one in (GLUED.findall(word) if IS_GLUED(word) else [word])]


def key_of(path: Keys) -> str:
    """The last key of a path, without what separates its words: `next_page` → nextpage."""
    return "".join(words_of(path[-1:]))


def is_text_or_number(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
