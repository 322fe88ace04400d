"""Answers that carry an ETag, so that a page that is asked for again comes only if it changed."""

import json
import re
from collections.abc import Callable
from hashlib import blake2b
from io import FileIO
from os import SEEK_END
from tempfile import TemporaryFile
from threading import Lock
from typing import NamedTuple

import requests
from requests.utils import get_encoding_from_headers

from events_assets.errors import ApiError

ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]{0,200}"')
OF_NO_ACCOUNT = {"authorization", "cookie", "if-none-match"}
"""Headers by which two requests for the same page may differ."""


class Kept(NamedTuple):
    """Where an answer is kept: `head` bytes of headers at `start`, and `body` bytes of body."""

    etag: str
    start: int
    head: int
    body: int

    def is_meant_by(self, response: requests.Response) -> bool:
        """Whether a response says that the answer still holds."""
        etag = response.headers.get("ETag", self.etag)
        is_same = etag.removeprefix("W/") == self.etag.removeprefix("W/")
        return response.status_code == 304 and is_same


class Remembered:
    """Keeps answers to GET requests without a body in a temporary file, until it is closed.

    Args:
        keeps: whether anything is kept at all.
        told: hears why nothing is kept any more, where there is no room.
    """

    def __init__(self, keeps: bool, told: Callable[[str], None]) -> None:
        self._told = told
        self._places: dict[bytes, Kept] = {}
        self._file: FileIO | None = None
        self._has_ended = not keeps
        self._lock = Lock()

    def find(self, request: requests.PreparedRequest) -> Kept | None:
        """Where the answer to such a request is kept, None where none is."""
        with self._lock:
            return self._places.get(_key(request)) if self._places else None

    def keep(self, response: requests.Response) -> None:
        """Keeps an answer if it has an ETag."""
        request, etag = response.request, response.headers.get("ETag", "")
        is_plain = request.method == "GET" and not request.body
        if response.status_code != 200 or not is_plain or not ETAG.fullmatch(etag):
            return
        head, body = json.dumps(dict(response.headers)).encode(), response.content
        with self._lock:
            known = self._places.get(_key(request))
            if self._has_ended or (known and known.etag == etag):
                return
            try:
                self._file = self._file or TemporaryFile(buffering=0)  # noqa: SIM115, see close()
                place = Kept(etag, self._file.seek(0, SEEK_END), len(head), len(body))
                self._has_ended = self._file.write(head + body) < len(head) + len(body)
            except OSError:
                self._has_ended = True
            if not self._has_ended:
                self._places[_key(request)] = place
                return
        self._told("no room in the temporary folder: pages are transferred again though unchanged")

    def forget(self, request: requests.PreparedRequest) -> None:
        with self._lock:
            self._places.pop(_key(request), None)

    def restore(self, response: requests.Response, place: Kept) -> bytes:
        """Makes a 304 the answer that is kept, with its newer headers, and returns the body."""
        with self._lock:
            if self._file is None or self._file.closed:
                raise ApiError("the scan has ended")
            self._file.seek(place.start)
            head, body = self._file.read(place.head), self._file.read(place.body)
        newer = {
            name: value
            for name, value in response.headers.items()
            if not name.lower().startswith("content-")
        }
        response.headers.clear()
        response.headers.update({**json.loads(head), **newer})
        response.status_code, response.reason = 200, "OK"
        response.encoding = get_encoding_from_headers(response.headers)
        return body

    def close(self) -> None:
        with self._lock:
            self._has_ended = True
            if self._file:
                self._file.close()


def _key(request: requests.PreparedRequest) -> bytes:
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    told = sorted((n, value) for n, value in headers.items() if n not in OF_NO_ACCOUNT)
    what = (request.method, bool(request.body), request.url, told)
    return blake2b(repr(what).encode(), digest_size=16).digest()
