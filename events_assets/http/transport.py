"""Sends single requests: to one origin, when the rate limit allows it, before a deadline."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar

from events_assets.errors import ApiError, BoundError
from events_assets.http.rate_limit import RateLimit, asked_to_wait, is_spent
from events_assets.http.remembered import Remembered
from events_assets.http.wire import BoundedResponse, Wire
from events_assets.settings import HttpSettings

Log = logging.Logger | logging.LoggerAdapter[Any]

CHUNK = 65_536
"""Bytes of a body that are read at once, and enough of one that is no page."""
JSON = "application/json"
"""What is asked for, as some APIs answer 404 without it."""
ANYTHING = "application/vnd.api+json, */*;q=0.1"
"""What is asked for where an API has only a type of its own for JSON."""
HOME = ". If that is where the API lives, set client.base_url to it"
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
        remembers: whether pages are kept that carry an ETag, so that they come only once more if
            they changed.
    """

    def __init__(
        self,
        base_url: str,
        settings: HttpSettings,
        rate_limit: RateLimit,
        cookies: RequestsCookieJar,
        log: Log,
        remembers: bool,
    ) -> None:
        super().__init__(pool_maxsize=CONNECTIONS)
        self.traffic = Traffic()
        self.remembered = Remembered(remembers, log.warning)
        self._closing = threading.Event()
        self._origin = origin(base_url)
        self._settings = settings
        self._rate_limit = rate_limit
        self._cookies = cookies
        self._log = log
        self._started = time.monotonic()
        self._wire = Wire(settings, self._seconds_left, lambda n: self.traffic.add(bytes=n))
        self._pool: Any = None
        self._accepts = JSON

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The response, its body read; where JSON by that name is not acceptable (406), to the
        request for anything.

        Raises:
            ApiError: the request must not be sent, or time is up.
            requests.RequestException: the connection failed, or the answer is too large.
        """
        if request.headers.get("Accept") == JSON:
            request.headers["Accept"] = self._accepts
        response = self._sent(request, *args, **kwargs)
        if response.status_code == 406 and request.headers.get("Accept") == JSON:
            self._accepts = request.headers["Accept"] = ANYTHING
            response = self._sent(request, *args, **kwargs)
        return response

    def _sent(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        request.url = with_tls(request.url or "", self._origin)
        if (asked := origin(request.url)) != self._origin:
            advice = "" if asked.startswith("http:") else HOME
            raise ApiError(
                f"the API at {self._origin} leads to another origin, {asked} (by a redirect or a "
                f"link); the request was not sent, because it would carry the key there{advice}"
            )
        self._wait_for_turn()
        known = None if "If-None-Match" in request.headers else self.remembered.find(request)
        if known:
            request = request.copy()  # the headers of this one go on to redirects
            request.headers["If-None-Match"] = known.etag
        self.traffic.add(requests=1)
        try:
            response = super().send(request, *args, **kwargs)
            body = self._body(response)
        except BoundError as error:
            raise requests.RequestException(error, request=request) from error
        if known and known.is_meant_by(response):
            body = self.remembered.restore(response, known)
        self._cookies.update(response.cookies)  # the session looks for them in `raw` only
        response.raw = BytesIO(body)
        if response.is_redirect:  # before requests takes the key out for one without TLS
            response.headers["location"] = with_tls(response.headers["location"], self._origin)
        if response.ok and is_spent(response.headers, self._settings.remaining_headers):
            seconds = asked_to_wait(response.headers, self._settings.reset_headers)
            if seconds <= self._settings.max_retry_after:
                self._rate_limit.pause(seconds)
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """The connections to the one origin, looked up once; answers on them are bounded."""
        if self._pool is None:
            pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
            if "response_class" not in vars(pool.ConnectionCls):
                plain, bounded = pool.ConnectionCls, partial(BoundedResponse, wire=self._wire)
                pool.ConnectionCls = type(plain.__name__, (plain,), {"response_class": bounded})
            self._pool = pool
        return self._pool

    def sleep(self, seconds: float) -> None:
        """Sleeps until the time is over, the deadline, or this is closed."""
        self._closing.wait(min(seconds, self._seconds_left()))

    def close(self) -> None:
        """Ends all waits at once, and lets nothing be sent any more."""
        self._closing.set()
        self.remembered.close()
        super().close()

    def _wait_for_turn(self) -> None:
        """Waits until the rate limit lets a request pass, also if the pause grows meanwhile."""
        self._seconds_left()
        seconds = self._rate_limit.reserve()
        while seconds > 0:
            if seconds >= 1:
                self._log.info(f"waiting {seconds:.0f} s for the rate limit of the API")
            self.traffic.add(seconds_waited=seconds)
            self.sleep(seconds)
            self._seconds_left()
            seconds = self._rate_limit.pause_left()

    def _seconds_left(self) -> float:
        """Seconds until the deadline.

        Raises:
            ApiError: it is over, or this is closed.
        """
        if self._closing.is_set():
            raise ApiError("the scan has ended")
        seconds = self._started + self._settings.deadline - time.monotonic()
        if seconds > 0:
            return seconds
        raise ApiError(
            f"the scan takes longer than http.deadline, {self._settings.deadline:g} s, and was "
            f"given up after {self.traffic.requests} requests"
        )

    def _body(self, response: requests.Response) -> bytes:
        """The body as it arrives, so that what it unpacks to cannot fill the memory; of an error or
        a redirect what came of it, however it ended."""
        raw, body = response.raw, bytearray()
        succeeded = response.status_code < 300
        try:
            while chunk := raw.read1(CHUNK, decode_content=True):
                body += chunk
                self._seconds_left()
                self._wire.left(len(body), "max_body")
                if len(body) >= CHUNK and not succeeded:
                    break
        except urllib3.exceptions.HTTPError as error:
            if succeeded:
                raise requests.ConnectionError(error, request=response.request) from error
        finally:
            raw.close()  # keeps the connection where all was read
        return bytes(body)


def with_tls(url: str, ours: str) -> str:
    """A URL at our origin where a proxy that ends TLS would name its own host without it."""
    with suppress(ValueError):
        own, asked = urlsplit(ours), urlsplit(url)
        if (own.scheme, asked.scheme) == ("https", "http") and own.hostname == asked.hostname:
            return urlunsplit(("https", own.netloc, *asked[2:]))
    return url


def origin(url: str) -> str:
    """Scheme, host and port, as far as a URL has them."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname or ''}{f':{port}' if port else ''}"
