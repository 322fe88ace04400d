"""What an API says when it refuses a request, in its own words."""

from collections.abc import Iterator
from typing import Any

import orjson

NAMES = ("message", "detail", "error_description", "description", "title", "error", "reason")
"""Keys of error documents that hold words for people (RFC 9457, RFC 6749 5.2, JSON:API), the most
telling first."""


def message_of(body: bytes) -> str:
    """The sentence of an error document; empty where there is none."""
    try:
        document = orjson.loads(body)
    except ValueError:
        return ""
    found = [(NAMES.index(name), text) for name, text in _texts(document) if name in NAMES]
    if not found:
        return document.strip() if isinstance(document, str) else ""
    return " ".join(min(found, key=lambda one: one[0])[1].split())


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """All texts below objects and lists, with their keys; outer ones first."""
    level = [document] if isinstance(document, dict | list) else []
    while level:
        below = []
        for value in level:
            named = value.items() if isinstance(value, dict) else enumerate(value)
            for name, inner in named:
                if isinstance(inner, str) and inner.strip():
                    yield str(name), inner
                elif isinstance(inner, dict | list):
                    below.append(inner)
        level = below
