"""What counts as a page: a JSON document with a list of rows where the selector says."""

import json
from typing import Any

import requests
from dlt.common import jsonpath


class NotAPage(Exception):
    """The API answered with success, but not with a page. Treated like a transient failure."""


class PromisedMore(NotAPage):
    """The API gave an empty page although it counts rows beyond it."""

    def __init__(self, message: str, response: requests.Response) -> None:
        super().__init__(message)
        self.response = response


def rows_of(response: requests.Response, data_selector: str) -> list[Any]:
    """The rows of a page.

    The document is parsed once; `response.json` returns it from then on.

    Raises:
        NotAPage: the body is no JSON, or has no list at `data_selector`. Names what came
            instead, without quoting it.
    """
    document = document_of(response)
    found = jsonpath.find_values(data_selector, document)
    if "*" in data_selector or "[?" in data_selector or ".." in data_selector:
        return list(found)
    if not found:
        raise NotAPage(
            f"a list of rows was expected at '{data_selector}' (data_selector), but there is "
            f"nothing; {_outline(document)}"
        )
    if not isinstance(found[0], list):
        raise NotAPage(
            f"a list of rows was expected at '{data_selector}' (data_selector), but there is "
            f"{_kind(found[0])}; {_outline(document)}"
        )
    return found[0]


def document_of(response: requests.Response) -> Any:
    """The parsed JSON body.

    Raises:
        NotAPage: the body is no JSON.
    """
    try:
        # The standard parser: it keeps integers of any size, which faster ones turn into floats.
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        kind = response.headers.get("Content-Type", "an unnamed type").split(";")[0]
        raise NotAPage(
            f"JSON was expected, but the body is {kind}, {len(response.content)} bytes that "
            f"cannot be parsed"
        ) from None
    response.json = lambda **_: document  # type: ignore[method-assign]
    return document


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
        return f"the document has the keys: {', '.join(list(document)[:10]) or 'none'}"
    return f"the document is {_kind(document)}"
