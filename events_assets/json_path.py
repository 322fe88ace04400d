"""JSON paths as dlt takes them: dotted keys are looked up, anything else is left to jsonpath_ng;
and the keys that lead to the values of a document."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonpath_ng import JSONPath
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse

from events_assets.errors import ConfigurationError

PLAIN_KEYS = re.compile(r"(?:\$\.)?([\w-]+(?:\.[\w-]+)*)")
UNUSUAL_KEYS = re.compile(r"""([^][(){}*?$'"`|&,.]+(?:\.[^][(){}*?$'"`|&,.]+)*)""")
"""Such as `hydra:member`, where jsonpath_ng does not know better."""

DEPTH = 4
"""Levels of a document that are walked through."""

Find = Callable[[Any], list[Any]]
Keys = tuple[str, ...]


def finder(path: str | JSONPath) -> Find:
    """Gives all values at a path, a text or what jsonpath_ng makes of one, in any document; null is
    a value, too. Raises ConfigurationError where the path cannot be parsed."""
    return _finder(path) if isinstance(path, str) else _values(path)


def value_at(path: str) -> Callable[[Any], Any]:
    """Gives the first value at a path, None where there is none. Raises as `finder`."""
    find = finder(path)
    return lambda document: next(iter(find(document)), None)


def walk(document: Any) -> Iterator[tuple[Keys, Any]]:
    """All values below nested objects with their keys, outer ones first; lists are not entered."""
    level: list[tuple[Keys, Any]] = [((), document)]
    while level:
        yield from level
        level = [
            ((*path, str(key)), inner)
            for path, outer in level
            if isinstance(outer, dict) and len(path) < DEPTH
            for key, inner in outer.items()
        ]


def _values(path: JSONPath) -> Find:
    return lambda document: [found.value for found in path.find(document)]


@lru_cache(maxsize=1_000)
def _finder(path: str) -> Find:
    """Cached, as it may be asked for with each page and row, and parsing takes milliseconds."""
    keys = PLAIN_KEYS.fullmatch(path)
    if keys is None:
        try:
            return _values(parse(path))
        except (JSONPathError, AttributeError, TypeError, ValueError):
            keys = UNUSUAL_KEYS.fullmatch(path)
    if keys is None:
        raise ConfigurationError(f"{path!r} is no JSON path")
    names = keys[1].split(".")

    def find(document: Any) -> list[Any]:
        for name in names:
            if not isinstance(document, Mapping) or name not in document:
                return []
            document = document[name]
        return [document]

    return find
