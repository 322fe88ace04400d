"""Sends requests: which answers are asked for again, how long to wait, and what failures say."""

import copy
import math
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from events_assets.errors import ApiError, EmptyPageError, NotAPageError
from events_assets.http.explain import message_of
from events_assets.http.rate_limit import Budget, asked_to_wait, is_spent
from events_assets.http.read_ahead import Numbered, ReadAhead
from events_assets.http.redaction import Redaction
from events_assets.scan.progress import Log
from events_assets.settings import HttpSettings

CONNECTION_FAILURES = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


CHUNK = 65_536
"""Bytes of a body that are read at once."""
REFUSAL = 16_384
"""Bytes of an error body that are enough."""
SENTENCE = 160
"""Characters of an error body that are told."""


PATIENCE = {"max_retries": 1, "max_retry_after": 60.0, "read_timeout": 30.0, "deadline": 300.0}
"""The most that someone wants to wait who tries an API."""


def patient(settings: HttpSettings) -> HttpSettings:
    """The settings, with as much patience as a person has."""
    few = copy.copy(settings)
    for name, most in PATIENCE.items():
        setattr(few, name, min(getattr(few, name), most))
    return few


class Traffic:
    """What one scan cost: requests sent, retries among them, seconds waited, bytes received."""

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.seconds_waited = 0.0
        self.bytes = 0
        self._lock = threading.Lock()

    def add(
        self, *, requests: int = 0, retries: int = 0, seconds_waited: float = 0.0, received: int = 0
    ) -> None:
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.seconds_waited += seconds_waited
            self.bytes += received


class ApiSession(requests.Session):
    """A session for one API, to be given to dlt's REST client.

    A request is repeated after a status in `retry_statuses`, after a connection failure, and
    when the answer is no page (`pages.NotAPageError`): at most `max_retries` times, after
    `backoff_factor` seconds, doubled for each further retry, or what `Retry-After` asks if that
    is longer. Requests to any other origin than that of `base_url` are refused, redirects and
    links included, because they would carry the key along.

    Raises:
        ApiError: the API cannot be reached, refuses, or keeps failing.
    """

    def __init__(
        self,
        base_url: str,
        settings: HttpSettings,
        redaction: Redaction,
        log: Log,
        budget: Budget | None = None,
    ) -> None:
        super().__init__()
        self.budget = budget or Budget(settings.max_requests, settings.period)
        self.base_url = base_url
        self.settings = settings
        self.redaction = redaction
        self.log = log
        self.traffic = Traffic()
        self.check: Callable[[requests.Response], object] = lambda _: None
        """Raises `NotAPageError` for an answer that is no page of what this session is used for."""
        self.is_past_the_end: Callable[[int], bool] = lambda _: False
        """Whether an error status means that there are no further pages."""
        self._environment: dict[Any, Any] = {}
        self._send_settings: dict[str, Any] = {}
        self._ahead: ReadAhead | None = None
        self._thread = threading.local()
        self._closing = threading.Event()
        self._started = time.monotonic()
        self._retrying = Retrying(
            retry=retry_if_exception(self._is_transient),
            stop=stop_after_attempt(settings.max_retries + 1),
            wait=self._wait,
            before_sleep=self._before_sleep,
            sleep=self._sleep,
            reraise=True,
        )

    def __deepcopy__(self, memo: Any) -> "ApiSession":
        return self  # dlt copies configurations, also what they hold of connections

    def read_ahead(self, walk: Numbered, count: int) -> None:
        """Sends up to `count` upcoming requests of a walk while one is waited for."""
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=count + 1)
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        self._ahead = ReadAhead(self._answer, walk, count)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As `requests.Session`, but what was read ahead is prepared already."""
        prepared = self._ahead.prepared(request) if self._ahead else None
        return prepared or super().prepare_request(request)

    def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
        """As `requests.Session`, but looks into the environment once, not for each page."""
        key = (_origin(str(url)), repr(settings))
        if key not in self._environment:
            self._environment[key] = super().merge_environment_settings(url, *settings)
        return dict(self._environment[key])

    def close(self) -> None:
        self._closing.set()
        if self._ahead:
            self._ahead.close()
        super().close()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if getattr(self._thread, "is_answering", False):  # a redirect of a request under way
            return self._checked_answer(request, **kwargs)
        try:
            self._send_settings = kwargs
            return self._ahead(request) if self._ahead else self._answer(request)
        except ApiError as error:
            if error.status is None or not self.is_past_the_end(error.status):
                raise
        raise IgnoreResponseException

    def _answer(self, request: requests.PreparedRequest) -> requests.Response:
        """The answer to one request, after all retries. Called by several threads."""
        self._thread.is_answering = True
        try:
            return self._checked_answer(request, **self._send_settings)
        finally:
            self._thread.is_answering = False

    def _checked_answer(
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        self._require_same_origin(request)
        self._require_time()
        kwargs["timeout"] = (self.settings.connect_timeout, self.settings.read_timeout)
        try:
            return self._retrying(self._send_once, request, **kwargs)
        except IgnoreResponseException:
            raise
        except EmptyPageError as error:
            return cast(requests.Response, error.answer)
        except (requests.RequestException, NotAPageError) as error:
            failure = ApiError(self.redaction.text(self._explain(request, error)))
            failure.status = _status(error)
        # Raised here and not in the handler, so that nothing refers to the request and its key.
        raise failure

    def _send_once(
        self,
        request: requests.PreparedRequest,
        renewed: bool = False,
        **kwargs: Any,
    ) -> requests.Response:
        self._wait_for_turn()
        self.traffic.add(requests=1)
        try:
            response = super().send(request, **{**kwargs, "stream": True})
        except requests.HTTPError as error:
            if error.response is not None:  # raised by a hook, before the body is read
                self._read_refusal(error.response)
            renew = getattr(self.auth, "renew", None)
            if renew is None or renewed or _status(error) != 401:
                raise
            renew(request)
            return self._send_once(request, renewed=True, **kwargs)
        try:
            self._read(response)
        except BaseException:
            response.close()
            raise
        self.traffic.add(received=len(response.content))
        self._heed(response)
        self.check(response)
        return response

    def _wait_for_turn(self) -> None:
        """Waits until the budget lets a request pass, also if the pause grows meanwhile."""
        seconds = self.budget.reserve()
        while seconds > 0:
            if seconds >= 1:
                self.log.info(f"waiting {seconds:.0f} s for the rate limit of the API")
            self.traffic.add(seconds_waited=seconds)
            self._sleep(seconds)
            self._require_time()
            seconds = self.budget.remaining()

    def _sleep(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise ApiError("the scan has ended")

    def _heed(self, response: requests.Response) -> None:
        """Pauses where the API says that this request was the last one for now."""
        if is_spent(response.headers, self.settings.remaining_headers):
            seconds = asked_to_wait(response.headers, self.settings.reset_headers)
            if seconds <= self.settings.max_retry_after:
                self.budget.pause(seconds)

    def _retry_after(self, error: BaseException | None) -> float:
        """Seconds that the answer asks to wait (`Retry-After`, RFC 9110 10.2.3), 0 if none.

        When a limit is reset is in many answers; it says how long to wait only after a 429.
        """
        response = getattr(error, "response", None)
        if response is None:
            return 0.0
        asked = asked_to_wait(response.headers, self.settings.retry_after_headers)
        if not asked and response.status_code == 429:
            asked = asked_to_wait(response.headers, self.settings.reset_headers)
        return asked

    def _read(self, response: Any) -> None:
        """Reads the body of an answer."""
        if response._content_consumed:  # that of a redirect, read in its own request
            return
        try:
            body = self._received(response)
        except urllib3.exceptions.DecodeError as error:
            raise requests.exceptions.ContentDecodingError(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error) from error
        response._content, response._content_consumed = body, True

    def _received(self, response: Any, enough: float = math.inf) -> bytes:
        """The body as it arrives, so that a server that drips cannot outlast the deadline.

        Args:
            enough: bytes after which no more are read.
        """
        body = bytearray()
        while len(body) < enough and (chunk := response.raw.read1(CHUNK, decode_content=True)):
            body += chunk
            self._require_time()
        return bytes(body)

    def _read_refusal(self, response: requests.Response) -> None:
        """Reads as much of an error body as may hold a sentence, and lets the connection go."""
        try:
            with suppress(urllib3.exceptions.HTTPError, OSError):
                body = self._received(response, REFUSAL)
                response.refusal = message_of(body)  # type: ignore[attr-defined]
        finally:
            response.close()

    def _is_transient(self, error: BaseException) -> bool:
        if isinstance(error, requests.HTTPError) and error.response is not None:
            return (
                error.response.status_code in self.settings.retry_statuses
                and self._retry_after(error) <= self.settings.max_retry_after
            )
        return isinstance(error, (*CONNECTION_FAILURES, NotAPageError))

    def _wait(self, state: RetryCallState) -> float:
        backoff: float = self.settings.backoff_factor * 2 ** (state.attempt_number - 1)
        return max(backoff, self._retry_after(_error(state)))

    def _before_sleep(self, state: RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0.0
        self.traffic.add(retries=1, seconds_waited=seconds)
        if _status(_error(state)) == 429:
            self.budget.pause(seconds)
        self.log.warning(
            self.redaction.text(
                f"{state.args[0].method} {state.args[0].url}: {_reason(_error(state))}; attempt "
                f"{state.attempt_number} of {self.settings.max_retries + 1}, "
                f"next in {seconds:g} s"
            )
        )

    def _require_same_origin(self, request: requests.PreparedRequest) -> None:
        asked, allowed = _origin(request.url or ""), _origin(self.base_url)
        if asked != allowed:
            raise ApiError(
                f"the API at {allowed} leads to another origin, {asked} (by a redirect or a "
                f"link); the request was not sent, because it would carry the key there. If "
                f"that is where the API lives, set client.base_url to it"
            )

    def _require_time(self) -> None:
        if time.monotonic() - self._started > self.settings.deadline:
            raise ApiError(
                f"the scan takes longer than http.deadline, {self.settings.deadline:g} s, and was "
                f"given up after {self.traffic.requests} requests"
            )

    def _explain(self, request: requests.PreparedRequest, error: Exception) -> str:
        response = getattr(error, "response", None)
        attempts = f"after {self.settings.max_retries + 1} attempts"
        if isinstance(error, requests.HTTPError) and response is not None:
            retry_after = self._retry_after(error)
            if response.status_code in self.settings.retry_statuses:
                if retry_after > self.settings.max_retry_after:
                    when = time.strftime(
                        "%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + retry_after)
                    )
                    attempts = (
                        f"and asks to wait {retry_after:.0f} s, until {when}, which is longer "
                        f"than max_retry_after ({self.settings.max_retry_after:g} s)"
                    )
                told = f"{_name(request)} answers {_reason(error)} {attempts}"
            else:
                remedy = _remedy(response.status_code)
                told = f"{_name(request)} answers {_reason(error)}: {remedy}"
            # Masked before it is cut: half a key is a secret, too.
            said = textwrap.shorten(self.redaction.text(getattr(response, "refusal", "")), SENTENCE)
            return f'{told}; it says: "{said}"' if said else told
        if isinstance(error, NotAPageError):
            return f"{_name(request)} answers with something else than a page {attempts}: {error}"
        if isinstance(error, CONNECTION_FAILURES):
            return (
                f"{_name(request)} cannot be read {attempts}: {_reason(error)}; check "
                f"client.base_url and that the API is reachable from here"
            )
        return f"{_name(request)}: {_reason(error)}"


def _status(error: BaseException | None) -> int | None:
    response = error.response if isinstance(error, requests.HTTPError) else None
    return None if response is None else response.status_code


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _name(request: requests.PreparedRequest) -> str:
    """The request without its query, which may hold the key."""
    return f"{request.method} {(request.url or '').split('?')[0]}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _reason(error: BaseException | None) -> str:
    """What went wrong in a few words: the status line, or the innermost cause."""
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and response is not None:
        return f"{response.status_code} {response.reason or ''}".strip()
    if isinstance(error, NotAPageError):
        return str(error)
    while error is not None:
        inner = error.__cause__ or error.__context__
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException):
            inner = reason
        elif error.args and isinstance(error.args[0], BaseException):
            inner = error.args[0]
        if inner is None:
            break
        error = inner
    return f"{type(error).__name__}: {error}"


def _remedy(status: int) -> str:
    if status == 401:
        return (
            "the API does not accept the key; check API_KEY or api_key in .dlt/secrets.toml, "
            "and how it is sent, client.auth in .dlt/config.toml"
        )
    if status == 403:
        return "the key is not allowed to read this; ask for a key that may, or check the path"
    if status == 404:
        return (
            "there is nothing at this address; check client.base_url and endpoint.path in "
            ".dlt/config.toml"
        )
    return (
        "the API does not understand the request; check endpoint in .dlt/config.toml, and set "
        "overlap = 0 in [sources.events.scan] if it takes only some offsets"
    )
