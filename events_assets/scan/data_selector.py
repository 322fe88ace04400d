"""Where the rows of an answer are: dlt's `data_selector`, which is never content with nothing."""

import re
from collections.abc import Mapping
from typing import Any

from dlt.sources.helpers.rest_client.detector import find_response_page_data

from events_assets.errors import NotAPageError
from events_assets.json_path import finder

ERROR = re.compile(r"_?errors?|error_?(message|code|text)s?|exceptions?|faults?", re.IGNORECASE)
"""Keys of a document that tell of an error."""
WILDCARDS = re.compile(r"\*|\.\.|\[\?|\[:|:\]")


class DataSelector:
    """Finds the rows of a page.

    Args:
        path: JSON path of a list, or with a wildcard of the rows themselves
            (`entries[*].event`); none: a list is looked for in the first page, as dlt does.
        absent_when_empty: the API leaves the list out where there are no rows.
        row_key: the field that gets the key of a row, where an object holds them by their keys.
        columns_path: where the names of columns are, where rows are lists of values. The row that
            holds them is none.
    """

    def __init__(
        self,
        path: str | None,
        absent_when_empty: bool = False,
        row_key: str | None = None,
        columns_path: str | None = None,
    ) -> None:
        self._path, self._row_key = path, row_key
        self._absent_when_empty = absent_when_empty
        self._columns = finder(columns_path) if columns_path else None
        self._columns_path = columns_path

    def __call__(self, document: Any) -> list[Any]:
        """The rows of a page.

        Raises:
            NotAPageError: there is no list at the path. Names what came instead, without quoting
                it.
        """
        path = self._path
        if path is None:
            path = ".".join(find_response_page_data(document)[0])
        rows = self._rows(document, path)
        self._path = path
        return self._with_names(document, rows) if self._columns and rows else rows

    def _with_names(self, document: Any, rows: list[Any]) -> list[Any]:
        """Rows that are lists of values as objects."""
        found = self._columns(document) if self._columns else []
        names = found[0] if found and isinstance(found[0], list) else found
        if not names or not all(isinstance(name, str) for name in names):
            there = _kind(names[0]) if names else "nothing"
            raise NotAPageError(
                f"names of columns were expected at '{self._columns_path}' (columns_path in "
                f"[sources.events.scan]), but there is {there}"
            )
        return [
            dict(zip(names, row, strict=True)) if _is_list_of(row, len(names)) else row
            for row in rows
            if row != names
        ]

    def _rows(self, document: Any, path: str) -> list[Any]:
        list_path, _, below = path.partition("[*].")
        if below and not WILDCARDS.search(list_path + below):
            return [_inner(row, below) for row in self._list(document, list_path or "$")]
        first_wildcard = WILDCARDS.search(path)
        if first_wildcard is None:
            return self._list(document, path)
        container = path[: first_wildcard.start()].rstrip(".[")
        if container and not finder(container)(document):
            return self._absent(document, container)
        return finder(path)(document)

    def _list(self, document: Any, path: str) -> list[Any]:
        if isinstance(document, dict) and path in document:
            found = [document[path]]
        else:
            found = finder(path)(document)
        if not found or (found[0] is None and self._absent_when_empty):
            return self._absent(document, path)
        if self._row_key and isinstance(found[0], dict):
            return [
                {self._row_key: key, **row} if isinstance(row, dict) else row
                for key, row in found[0].items()
            ]
        if not isinstance(found[0], list):
            raise _no_list(document, path, _kind(found[0]))
        return found[0]

    def _absent(self, document: Any, path: str) -> list[Any]:
        if self._absent_when_empty and isinstance(document, dict):
            return []
        raise _no_list(document, path, "nothing")


def require_no_error(document: Any) -> None:
    """Raises NotAPageError where a document without rows holds an error in a success."""
    if not isinstance(document, Mapping):
        return
    told = [key for key, value in document.items() if ERROR.fullmatch(key) and value]
    if told:
        raise NotAPageError(f"there are no rows, but the answer tells of an error at '{told[0]}'")


def _no_list(document: Any, path: str, there: str) -> NotAPageError:
    return NotAPageError(
        f"a list of rows was expected at '{path}' (data_selector), but there is {there}; "
        f"{_outline(document)}"
    )


def _is_list_of(row: Any, count: int) -> bool:
    return isinstance(row, list) and len(row) == count


def _inner(entry: Any, path: str) -> Any:
    """What is at a path in an entry; the entry as a list if there is nothing, to be set aside."""
    found = finder(path)(entry)
    return found[0] if found else [entry]


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
