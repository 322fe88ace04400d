"""Sends single requests: to one origin, when the rate limit allows it, before a deadline."""

import logging
import math
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar

from events_assets.errors import ApiError
from events_assets.http.rate_limit import RateLimit, asked_to_wait, is_spent
from events_assets.settings import HttpSettings

Log = logging.Logger | logging.LoggerAdapter[Any]

CHUNK = 65_536
"""Bytes of a body that are read at once, and enough of one that is no page."""
CONNECTIONS = 64
"""Kept open for further requests at most, as many as are ever read ahead."""


@dataclass
class Traffic:
    """What one scan cost: requests sent, retries among them, seconds waited, bytes received."""

    requests: int = 0
    retries: int = 0
    seconds_waited: float = 0.0
    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **counts: float) -> None:
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


class Transport(HTTPAdapter):
    """Sends requests, those of redirects among them, and reads the answers to their end.

    Requests to any other origin than that of `base_url` are refused, redirects and links
    included, because they would carry the key along.

    Args:
        cookies: get those of each answer.
    """

    def __init__(
        self,
        base_url: str,
        settings: HttpSettings,
        rate_limit: RateLimit,
        cookies: RequestsCookieJar,
        log: Log,
    ) -> None:
        super().__init__(pool_maxsize=CONNECTIONS)
        self.traffic = Traffic()
        self._closing = threading.Event()
        self._origin = origin(base_url)
        self._settings = settings
        self._rate_limit = rate_limit
        self._cookies = cookies
        self._log = log
        self._started = time.monotonic()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The response, its body read.

        Raises:
            ApiError: the request must not be sent, or time is up.
            requests.RequestException: the connection failed.
        """
        self._require_same_origin(request)
        self._wait_for_turn()
        self.traffic.add(requests=1)
        response = super().send(request, *args, **kwargs)
        body = self._body(response)
        self.traffic.add(bytes=len(body))
        self._cookies.update(response.cookies)  # the session looks for them in `raw` only
        response.raw = BytesIO(body)
        if response.ok:
            self._heed(response)
        return response

    def sleep(self, seconds: float) -> None:
        """Sleeps until the time is over or this is closed."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """Ends all waits at once, and lets nothing be sent any more."""
        self._closing.set()
        super().close()

    def _require_same_origin(self, request: requests.PreparedRequest) -> None:
        asked = origin(request.url or "")
        if asked != self._origin:
            raise ApiError(
                f"the API at {self._origin} leads to another origin, {asked} (by a redirect or a "
                f"link); the request was not sent, because it would carry the key there. If "
                f"that is where the API lives, set client.base_url to it"
            )

    def _wait_for_turn(self) -> None:
        """Waits until the rate limit lets a request pass, also if the pause grows meanwhile."""
        self._require_time()
        seconds = self._rate_limit.reserve()
        while seconds > 0:
            if seconds >= 1:
                self._log.info(f"waiting {seconds:.0f} s for the rate limit of the API")
            self.traffic.add(seconds_waited=seconds)
            self.sleep(seconds)
            self._require_time()
            seconds = self._rate_limit.pause_left()

    def _require_time(self) -> None:
        if self._closing.is_set():
            raise ApiError("the scan has ended")
        if time.monotonic() - self._started > self._settings.deadline:
            raise ApiError(
                f"the scan takes longer than http.deadline, {self._settings.deadline:g} s, and was "
                f"given up after {self.traffic.requests} requests"
            )

    def _body(self, response: requests.Response) -> bytes:
        """The body as it arrives, so that a server that drips cannot outlast the deadline; of an
        error or a redirect what came of it, however it ended."""
        raw, body = response.raw, bytearray()
        succeeded = response.status_code < 300
        enough = math.inf if succeeded else CHUNK
        try:
            while len(body) < enough and (chunk := raw.read1(CHUNK, decode_content=True)):
                body += chunk
                self._require_time()
        except urllib3.exceptions.HTTPError as error:
            if succeeded:
                raise requests.ConnectionError(error, request=response.request) from error
        finally:
            raw.close()  # keeps the connection where all was read
        return bytes(body)

    def _heed(self, response: requests.Response) -> None:
        """Pauses where the API says that this request was the last one for now."""
        if is_spent(response.headers, self._settings.remaining_headers):
            seconds = asked_to_wait(response.headers, self._settings.reset_headers)
            if seconds <= self._settings.max_retry_after:
                self._rate_limit.pause(seconds)


def origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
