"""Servers with the unusual shapes of real APIs, one small function each: over real HTTP."""

from collections.abc import Callable
from typing import Any

from events_assets.sample_api import Answer
from events_assets_tests.shapes import KEY, Asked

Row = dict[str, Any]
Server = Callable[[Asked], Answer]


def events(count: int = 57, **fields: Any) -> list[Row]:
    """Events as most APIs have them, with further fields; a text among these may hold the number,
    `{n}`."""
    return [
        {
            "id": n,
            "title": f"Fair {n}",
            "start": f"2026-05-{1 + n % 28:02}T10:00:00Z",
            "end": f"2026-05-{1 + n % 28:02}T12:00:00Z",
        }
        | {k: v.format(n=n) if isinstance(v, str) else v for k, v in fields.items()}
        for n in range(1, count + 1)
    ]


def keyed(server: Server, refusal: Answer, key_in: str = "header:X-Key") -> Server:
    """Answers a request without the key with a refusal of its own."""
    return lambda asked: server(asked) if asked.part(key_in) == KEY else refusal


def paged(
    position: str,
    size: str = "",
    most: int = 20,
    at: str = "items",
    rows: list[Row] | None = None,
    base: int = 0,
    **beside: Callable[[int, int, int], Any],
) -> Server:
    """Pages from the number that `position` names on, which the first row has as its `base`, `most`
    rows or as many as `size` asks for; what stands `beside` the list is made of the start, the rows
    of the page, and all rows."""
    listed = events() if rows is None else rows

    def answer(asked: Asked) -> Answer:
        query = asked.parameters()
        start = int("".join(filter(str.isdecimal, query.get(position, ""))) or base) - base
        page = listed[start : start + min(int(query.get(size, most)), most)]
        extra = {name: make(start, len(page), len(listed)) for name, make in beside.items()}
        return Answer(200, {at: page} | {n: v for n, v in extra.items() if v is not None})

    return answer


def token(start: int, rows: int, total: int) -> str | None:
    """What leads to the next page and says nothing to people, or nothing."""
    return f"itr{start + rows}x" if start + rows < total else None


def is_more(start: int, rows: int, total: int) -> bool | None:
    return True if start + rows < total else None


def whole(*, at: str = "events", rows: list[Row] | None = None, **beside: Any) -> Server:
    """All rows at once, whatever is asked."""
    listed = events() if rows is None else rows
    return lambda _: Answer(200, {**beside, at: listed})


def numbered(most: int = 20, **beside: Callable[[int, int, int], Any]) -> Server:
    """Page numbers from 1, of a size that cannot be chosen."""

    def answer(asked: Asked) -> Answer:
        start = (int(asked.query.get("page", 1)) - 1) * most
        page = events()[start : start + most]
        extra = {name: make(start, len(page), 57) for name, make in beside.items()}
        return Answer(200, {"results": page, **extra})

    return answer


def own_rows(_start: int, rows: int, _total: int) -> int:
    """A count of nothing but the page."""
    return rows


def all_rows(_start: int, _rows: int, total: int) -> int:
    return total


def page_count(_start: int, _rows: int, total: int) -> int:
    return -(-total // 20)


def graphql(asked: Asked) -> Answer:
    """Events by `first` and `after`, by POST only."""
    if asked.method != "POST":
        return Answer(405, {"message": "use POST"})
    if not asked.body or "events" not in str(asked.body.get("query")):
        return Answer(400, {"errors": [{"message": "Must provide query string."}]})
    variables = asked.body.get("variables") or {}
    start, count = int((variables.get("after") or "c0")[1:]), int(variables.get("first") or 20)
    page = events()[start : start + min(count, 20)]
    end = start + len(page)
    info = {"hasNextPage": end < 57, "endCursor": f"c{end}"}
    edges = [{"cursor": f"c{start + n}", "node": one} for n, one in enumerate(page, start=1)]
    return Answer(200, {"data": {"events": {"edges": edges, "pageInfo": info}}})


def posted(server: Server) -> Server:
    """The same by POST only."""
    return lambda asked: server(asked) if asked.method == "POST" else Answer(405, {})


def linked(most: int = 20, **beside: Callable[[str | None, int], Any]) -> Server:
    """Pages that name the URL of the next one somewhere."""

    def answer(asked: Asked) -> Answer:
        start = int(asked.query.get("at", 0))
        page, following = events()[start : start + most], start + most
        url = f"{asked.base_url}/events?at={following}" if following < 57 else None
        extra = {name: make(url, 57) for name, make in beside.items()}
        return Answer(200, {"items": page, **extra})

    return answer


def arranged(arrange: Callable[[list[Row]], Any], rows: list[Row] | None = None) -> Server:
    """All rows, in an answer of some arrangement."""
    return lambda _: Answer(200, arrange(events() if rows is None else rows))


def raw(body: bytes, kind: str) -> Server:
    return lambda _: Answer(200, body, {"Content-Type": kind})


def in_header(name: str, param: str = "cursor") -> Server:
    """A cursor in a header."""
    answer = paged(param, next=token)

    def moved(asked: Asked) -> Answer:
        document = answer(asked).document
        following = document.pop("next", None)
        return Answer(200, document, {name: following} if following else {})

    return moved
