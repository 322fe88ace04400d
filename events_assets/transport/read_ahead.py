"""Read-ahead: the next pages are on the wire before they are asked for.

dlt asks for one page after the other. Where the next requests can be predicted from the last one,
worker threads send them meanwhile. What was predicted wrongly is dropped.
"""

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import requests
from dlt.common import jsonpath

from events_assets.transport.pages import whole_number

Key = tuple[str | None, str | None, Any]


class ReadAhead:
    """Sends requests before they are asked for.

    Args:
        answer: sends one request; called by several threads at once.
        threads: so many requests are under way, besides the one that is asked for.
    """

    def __init__(
        self, answer: Callable[[requests.PreparedRequest], requests.Response], threads: int
    ) -> None:
        self._answer = answer
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read-ahead")
        self._under_way: dict[Key, Future[requests.Response]] = {}

    def __call__(
        self, request: requests.PreparedRequest, upcoming: Iterable[requests.PreparedRequest]
    ) -> requests.Response:
        """The answer to a request, fetched earlier or now, while the upcoming ones are sent.

        Raises:
            Exception: what `answer` raised for this request, at whatever time.
        """
        fetched = self._under_way.pop(_key(request), None)
        predicted = {_key(one): one for one in upcoming}
        self.forget(all_but=predicted)
        for key, one in predicted.items():
            if key not in self._under_way:
                self._under_way[key] = self._pool.submit(self._answer, one)
        return self._answer(request) if fetched is None else fetched.result()

    def forget(self, all_but: Iterable[Key] = ()) -> None:
        """Drops what was fetched, so that it is asked for anew."""
        for key in self._under_way.keys() - set(all_but):
            self._under_way.pop(key).cancel()

    def close(self) -> None:
        """Waits for the requests that are being answered, and sends no others."""
        self._pool.shutdown(cancel_futures=True)


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


def _key(request: requests.PreparedRequest) -> Key:
    return request.method, request.url, request.body
