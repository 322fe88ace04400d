"""Answers kept in files, so that one process reads what several have asked for.

A file is a zip with an entry for each answer, named by the request and its number. Requests are
told apart by what they ask for, without the key: no secret gets into a file. Where an answer
repeats the key, as in a link to the next page, it is taken out, and put back when it is read.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from io import BytesIO
from threading import Lock
from typing import Any, BinaryIO, TypeVar
from zipfile import ZIP_DEFLATED, ZipFile

import requests
from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from requests.utils import get_encoding_from_headers

from events_assets.errors import ApiError, EmptyPageError, OutdatedError
from events_assets.http.answer import Answer
from events_assets.http.redaction import Redaction
from events_assets.http.session import ApiSession

T = TypeVar("T")
Read = Callable[[Answer], T]
Open = Callable[[], BinaryIO]
"""Opens a file, here or far away."""

UNKEPT = {"set-cookie", "set-cookie2", "content-encoding", "content-length", "transfer-encoding"}
"""Headers that are not kept: secrets, and what is no longer so of a body that was unpacked."""
FAST = 1
GONE = (404, 410)


class Recorder:
    """Writes answers to a file, until it is closed."""

    def __init__(self, file: BinaryIO, redaction: Redaction, base_url: str) -> None:
        self._zip = ZipFile(file, "w", ZIP_DEFLATED, compresslevel=FAST)
        self._redaction, self._base_url = redaction, base_url
        self._lock, self._number = Lock(), 0

    def keep(self, name: str, request: requests.Request, answer: Answer) -> None:
        """Keeps an answer without the key; none with another secret, or with the key in a form that
        could not be put back. `name` is that of the list."""
        url = answer.url.removeprefix(self._base_url)
        is_safe = not (answer.body and answer.holds_secret)
        head = {
            "status": answer.status,
            "is_below": answer.url.startswith(self._base_url),  # today's, when it is read
            "url": url,
            "headers": {k: v for k, v in answer.headers.items() if k.lower() not in UNKEPT},
            "seconds": answer.seconds,
            "redirected": answer.redirected,
            "is_safe": is_safe,
        }
        body = answer.body if is_safe else self._without_key(answer)
        masked = head | {"url": self._redaction.text(url)}
        for told in (head, masked) if body is not None else ():
            if (safe := self._redaction.take_out(json.dumps(told).encode())) is not None:
                self._write(name, request, safe, body or b"")
                return

    def _without_key(self, answer: Answer) -> bytes | None:
        """The body without the key; None where it is in another charset than it is looked for."""
        try:
            is_as_read = json.loads(answer.body.decode()) == answer.document
        except (ValueError, RecursionError):
            return None
        return self._redaction.take_out(answer.body) if is_as_read else None

    def refuse(self, name: str, request: requests.Request, error: ApiError) -> None:
        """Keeps the status with which an API refuses a request."""
        told = {"refused": error.status, "why": str(error)}
        self._write(name, request, json.dumps(told).encode())

    def ignore(self, name: str, request: requests.Request) -> None:
        """Keeps that a response action said that there is nothing to read."""
        self._write(name, request, b'{"ignored": true}')

    def note(self, **facts: Any) -> None:
        """Facts about all that is kept."""
        self._zip.comment = json.dumps(facts).encode()

    def close(self) -> None:
        self._zip.close()

    def _write(self, name: str, request: requests.Request, head: bytes, body: bytes = b"") -> None:
        key = _key(name, request, self._redaction, self._base_url)
        with self._lock:
            self._number += 1
            self._zip.writestr(f"{key}/{self._number}", head + b"\n" + body)


class Recordings:
    """Answers of several passes, each of them given once, to one thread, and in the order in which
    they came.

    Each pass was recorded after the one before. Where an answer is not there, and comes now, the
    later passes are of a time before it: then nothing of them is given any more (`forsake`).

    Args:
        passes: the files of each.
    """

    def __init__(self, passes: Sequence[Sequence[Open]]) -> None:
        self._passes, self._later = passes, deque(passes)
        self._places: dict[str, list[tuple[Open, str]]] = {}
        self._current: tuple[Open, ZipFile] | None = None
        self._stack = ExitStack()

    def rewind(self) -> None:
        """Gives all of them once more."""
        self._later = deque(self._passes)

    def begin(self) -> None:
        """Begins with the next pass."""
        self._places.clear()
        for file in self._later.popleft() if self._later else ():
            for name in self._opened(file).namelist():
                self._places.setdefault(name.split("/")[0], []).append((file, name))

    def find(self, key: str) -> bytes | None:
        """What is kept of the next answer to such a request."""
        places = self._places.get(key)
        if not places:
            return None
        file, name = places.pop(0)
        return self._opened(file).read(name)

    def forsake(self) -> None:
        """Gives nothing of the later passes."""
        self._later.clear()

    def close(self) -> None:
        self._stack.close()

    def _opened(self, file: Open) -> ZipFile:
        """A file; one is open at a time."""
        if self._current is None or self._current[0] is not file:
            self._stack.close()
            there = self._stack.enter_context(file())
            self._current = file, self._stack.enter_context(ZipFile(there))
        return self._current[1]


def facts(file: Open) -> dict[str, Any]:
    """What was noted about a file."""
    with file() as there, ZipFile(there) as recorded:
        return dict(json.loads(recorded.comment))


class RecordingSession(ApiSession):
    """Keeps each answer that is accepted, and each refusal."""

    def __init__(self, *args: Any, recorder: Recorder, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recorder = recorder

    def ask(self, request: requests.Request, read: Read[T], *, any_status: bool = False) -> T:
        answers = []

        def reading(answer: Answer) -> T:
            answers.append(answer)
            return read(answer)

        try:
            found = super().ask(request, reading, any_status=any_status)
        except ApiError as error:
            if error.status:
                self.recorder.refuse(self.name, request, error)
            raise
        except IgnoreResponseException:
            self.recorder.ignore(self.name, request)
            raise
        self.recorder.keep(self.name, request, answers[-1])
        return found


class PlayingSession(ApiSession):
    """Asks for what was not recorded only."""

    def __init__(self, *args: Any, recordings: Recordings, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recordings = recordings

    def ask(self, request: requests.Request, read: Read[T], *, any_status: bool = False) -> T:
        kept = self.recordings.find(_key(self.name, request, self.redaction, self.base_url))
        if kept is None:
            return self._ask_now(request, read, any_status)
        head, _, body = kept.partition(b"\n")
        told = json.loads(self.redaction.put_back(head))
        if "refused" in told:
            refusal = ApiError(told["why"])
            refusal.status = told["refused"]
            raise refusal
        if "ignored" in told:
            raise IgnoreResponseException
        body = body if told.get("is_safe", True) else self.redaction.put_back(body)
        response = _response(told, body, self.base_url)
        for hook in request.hooks.get("response", ()):
            hook(response)
        try:
            return read(Answer.of(response, told["seconds"], self.redaction))
        except EmptyPageError as error:  # it was accepted after the last attempt
            return error.found  # type: ignore[no-any-return]

    def _ask_now(self, request: requests.Request, read: Read[T], any_status: bool) -> T:
        """Asks for what is not there, and perhaps no longer anywhere: what one worker found may
        have gone before the next one asked for what depends on it."""
        try:
            found = super().ask(request, read, any_status=any_status)
        except ApiError as error:
            if error.status not in GONE:
                raise
            outdated = OutdatedError(f"{error}; if it was there before, launch the backfill anew")
            outdated.status = error.status
            raise outdated from None
        except IgnoreResponseException:
            self.recordings.forsake()
            raise
        self.recordings.forsake()
        return found


def _response(told: dict[str, Any], body: bytes, base_url: str) -> requests.Response:
    response = requests.Response()
    response.status_code = told["status"]
    response.url = (base_url if told["is_below"] else "") + told["url"]
    response.headers.update(told["headers"])
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = BytesIO(body)
    response.history = [response] if told["redirected"] else []
    return response


def _key(name: str, request: requests.Request, redaction: Redaction, base_url: str) -> str:
    """What a request asks of a list: without the key, which is added when it is sent, and wherever
    the API is today."""
    url = str(request.url).removeprefix(base_url)
    asked = (name, request.method, url, request.params, request.headers, request.json, request.data)
    text = redaction.text(json.dumps(asked, sort_keys=True, default=str))
    return blake2b(text.encode(), digest_size=16).hexdigest()
