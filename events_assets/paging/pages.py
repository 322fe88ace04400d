"""What counts as a page: a JSON document with a list of rows where the selector says."""

import json
import re
from typing import Any

import orjson
import requests
from dlt.common import jsonpath
from dlt.sources.helpers.rest_client.detector import find_response_page_data

from events_assets.errors import NotAPageError

DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
LONG_NUMBER = b"0" * 19
"""May be an integer that the fast parser would round. (A regular expression takes 20 times as
long to find one as the parser needs for all.)"""

WILDCARDS = re.compile(r"\*|\.\.|\[\?|\[:|:\]")


class Rows:
    """Finds the rows of a page.

    Args:
        selector: JSON path of a list, or with a wildcard of the rows themselves
            (`entries[*].event`); none: a list is looked for in the first page, as dlt does.
        absent_when_empty: the API leaves the list out where there are no rows.
    """

    def __init__(self, selector: str | None, absent_when_empty: bool = False) -> None:
        self.selector = selector
        self.absent_when_empty = absent_when_empty

    def __call__(self, response: requests.Response) -> list[Any]:
        """The rows of a page.

        Raises:
            NotAPageError: the body is no JSON, or has no list at the selector. Names what came
                instead, without quoting it.
        """
        document = document_of(response)
        if self.selector is None:
            path, _ = find_response_page_data(document)
            self.selector = ".".join(path)
        list_path, _, below = self.selector.partition("[*].")
        if below and not WILDCARDS.search(list_path + below):
            return [_inner(row, below) for row in self._list(document, list_path or "$")]
        first_wildcard = WILDCARDS.search(self.selector)
        if first_wildcard is None:
            return self._list(document, self.selector)
        container = self.selector[: first_wildcard.start()].rstrip(".[")
        if container and not jsonpath.find_values(container, document):
            return self._absent(document, container)
        return list(jsonpath.find_values(self.selector, document))

    def _list(self, document: Any, path: str) -> list[Any]:
        if isinstance(document, dict) and path in document:
            found = [document[path]]
        else:
            found = jsonpath.find_values(path, document)
        if not found or (found[0] is None and self.absent_when_empty):
            return self._absent(document, path)
        if not isinstance(found[0], list):
            raise NotAPageError(
                f"a list of rows was expected at '{path}' (data_selector), but there is "
                f"{_kind(found[0])}; {_outline(document)}"
            )
        return found[0]

    def _absent(self, document: Any, path: str) -> list[Any]:
        if self.absent_when_empty and isinstance(document, dict):
            return []
        raise NotAPageError(
            f"a list of rows was expected at '{path}' (data_selector), but there is "
            f"nothing; {_outline(document)}"
        )


def document_of(response: requests.Response) -> Any:
    """The JSON body, parsed once; `response.json` returns it from then on.

    Raises:
        NotAPageError: the body is no JSON.
    """
    if hasattr(response, "_document"):
        return response._document
    body = response.content
    try:
        exact = LONG_NUMBER not in body.translate(DIGITS_AS_ZEROS)
        document = orjson.loads(body) if exact else json.loads(body)
    except (ValueError, RecursionError):
        # The standard parser takes more: other encodings, NaN, half surrogates.
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            kind = response.headers.get("Content-Type", "an unnamed type").split(";")[0]
            raise NotAPageError(
                f"JSON was expected, but the body is {kind}, {len(body)} bytes that cannot be "
                f"parsed"
            ) from None
    response._document = document  # type: ignore[attr-defined]
    response.json = lambda **_: document  # type: ignore[method-assign]
    return document


class Total:
    """Reads how many rows the API counts.

    Args:
        path: JSON path of a number in the document.
        header: name of a header that holds a number, or ends with one after a slash
            (`Content-Range: items 0-24/573`, RFC 9110 14.4).
    """

    def __init__(self, path: Any = None, header: str | None = None) -> None:
        self.path = jsonpath.compile_path(path) if path else None
        self.header = header

    def __call__(self, response: requests.Response) -> int | None:
        """The total, None where there is none or it is no whole number from 0 on."""
        if self.path is not None:
            values = jsonpath.find_values(self.path, document_of(response))
            total = whole_number(values[0] if values else None)
            if total is not None:
                return total
        if self.header is not None:
            return whole_number(response.headers.get(self.header, "").rpartition("/")[2])
        return None


def whole_number(value: Any) -> int | None:
    """`value` as an integer from 0 on, None if it is nothing of the kind."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if number >= 0 else None


def value_at(path: Any, response: requests.Response) -> tuple[bool, Any]:
    """Whether there is a value at a JSON path of the document, and which."""
    values = jsonpath.find_values(path, document_of(response)) if path else []
    return bool(values), values[0] if values else None


def says_no(value: Any) -> bool:
    """Whether a flag like `has_more` says no."""
    return str(value).lower() in ("false", "0", "no", "n")


def says_yes(value: Any) -> bool:
    """Whether a flag like `has_more` says yes."""
    return str(value).lower() in ("true", "1", "yes", "y")


def _inner(entry: Any, path: str) -> Any:
    """What is at a path in an entry; the entry as a list if there is nothing, to be set aside."""
    value = entry
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return [entry]
        value = value[key]
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return names.get(type(value), "a number")


def _outline(document: Any) -> str:
    """The shape of a document: the names of its keys, and which of them hold lists."""
    if isinstance(document, dict):
        lists = [key for key, value in document.items() if isinstance(value, list)]
        if lists:
            return f"lists are at: {', '.join(lists[:10])}"
        return (
            f"the document has the keys: {', '.join(list(document)[:10]) or 'none'}; an API that "
            f"leaves the list out when it is empty needs absent_when_empty = true in "
            f"[sources.events.scan]"
        )
    if isinstance(document, list):
        return 'the document is a list; its data_selector is "$"'
    return f"the document is {_kind(document)}"
