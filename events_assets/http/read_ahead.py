"""Read-ahead: the next pages are on the wire before they are asked for.

dlt asks for one page after the other. Where the next requests can be predicted from the last one,
worker threads send them meanwhile. What was predicted wrongly is dropped.
"""

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol
from urllib.parse import parse_qs, quote_plus, urlsplit

import requests
from dlt.common import jsonpath

from events_assets.paging.pages import whole_number


class Numbered(Protocol):
    """A walk whose requests differ in a number: it asks for `current_value` at its `position`."""

    current_value: int
    position: "Position"

    def upcoming(self, count: int) -> Iterable[int]:
        """The numbers that come next if all goes on as it does, at most `count`."""


class ReadAhead:
    """Sends requests of a walk before they are asked for.

    Args:
        answer: sends one request; called by several threads at once.
        walk: says what comes next.
        threads: so many requests are under way, besides the one that is asked for.
    """

    def __init__(
        self,
        answer: Callable[[requests.PreparedRequest], requests.Response],
        walk: Numbered,
        threads: int,
    ) -> None:
        self._answer = answer
        self._walk = walk
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="read-ahead")
        self._moving: requests.Request | None = None
        self._under_way: dict[int, tuple[requests.PreparedRequest, Future[requests.Response]]] = {}

    def prepared(self, request: requests.Request) -> requests.PreparedRequest | None:
        """The request as it was sent already, if it was."""
        if request is not self._moving:  # dlt moves one request through all pages of a walk
            self._keep(())
            self._moving = request
        prepared, _ = self._under_way.get(self._walk.current_value, (None, None))
        return prepared

    def __call__(self, request: requests.PreparedRequest) -> requests.Response:
        """The answer to a request, fetched earlier or now, while the upcoming ones are sent.

        Raises:
            Exception: what `answer` raised for this request, at whatever time.
        """
        _, answer = self._under_way.pop(self._walk.current_value, (None, None))
        upcoming = list(self._walk.upcoming(self._threads))
        self._keep(upcoming)
        for number in upcoming:
            if number not in self._under_way:
                moved = self._walk.position.moved(request, number)
                self._under_way[number] = moved, self._pool.submit(self._answer, moved)
        return answer.result() if answer else self._answer(request)

    def close(self) -> None:
        """Waits for the requests that are being answered, and sends no others."""
        self._pool.shutdown(cancel_futures=True)

    def _keep(self, numbers: Iterable[int]) -> None:
        """Drops what else was read ahead, so that it is asked for anew."""
        for number in self._under_way.keys() - set(numbers):
            _, answer = self._under_way.pop(number)
            answer.cancel()


class Position:
    """A number in requests, in the query or in a JSON body, that says which page is asked for.

    Args:
        name: of the query parameter.
        body_path: dotted path in the body, instead of a parameter.
    """

    def __init__(self, name: str | None, body_path: str | None) -> None:
        self.name = name or ""
        self.body_path = body_path
        self._parameter = re.compile(rf"([?&]{re.escape(quote_plus(self.name))}=)[^&]*")

    def of(self, request: requests.PreparedRequest) -> int | None:
        if self.body_path:
            found = jsonpath.find_values(self.body_path, json.loads(request.body or "{}"))
        else:
            found = parse_qs(urlsplit(request.url or "").query).get(self.name, [])
        return whole_number(found[0] if found else None)

    def moved(self, request: requests.PreparedRequest, number: int) -> requests.PreparedRequest:
        """The same request at another position."""
        moved = request.copy()
        if self.body_path:
            body = json.loads(request.body or "{}")
            jsonpath.set_value_at_path(body, self.body_path, number)
            moved.prepare_body(None, None, body)
        else:
            moved.url = self._parameter.sub(rf"\g<1>{number}", request.url or "")
        return moved
