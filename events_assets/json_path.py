"""JSON paths as dlt takes them: dotted keys are looked up, anything else is left to jsonpath_ng."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jsonpath_ng import JSONPath
from jsonpath_ng.ext.parser import parse

KEYS = re.compile(r"(?:\$\.)?([\w-]+(?:\.[\w-]+)*)")


def finder(path: str | JSONPath) -> Callable[[Any], list[Any]]:
    """Gives all values at a path, in any document; null is a value, too.

    Args:
        path: a text, or what jsonpath_ng makes of one.

    Raises:
        Exception: the path cannot be parsed (jsonpath_ng has no common class for this).
    """
    return _finder(path) if isinstance(path, str) else _values(path)


def value_at(path: str) -> Callable[[Any], Any]:
    """Gives the first value at a path, None where there is none. Raises as `finder`."""
    find = finder(path)
    return lambda document: next(iter(find(document)), None)


def _values(path: JSONPath) -> Callable[[Any], list[Any]]:
    return lambda document: [found.value for found in path.find(document)]


@lru_cache(maxsize=1_000)
def _finder(path: str) -> Callable[[Any], list[Any]]:
    """Cached, as it may be asked for with each page and row, and parsing takes milliseconds."""
    keys = KEYS.fullmatch(path)
    if keys is None:
        return _values(parse(path))
    names = keys[1].split(".")

    def find(document: Any) -> list[Any]:
        for name in names:
            if not isinstance(document, Mapping) or name not in document:
                return []
            document = document[name]
        return [document]

    return find
