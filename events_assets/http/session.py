"""Asks an API, with retries, and hands each answer to whoever reads it."""

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth
from tenacity import RetryCallState

from events_assets.errors import ApiError, EmptyPageError, NotAPageError
from events_assets.http import retry
from events_assets.http.answer import Answer
from events_assets.http.explain import explanation, reason
from events_assets.http.rate_limit import RateLimit
from events_assets.http.redaction import Redaction
from events_assets.http.transport import JSON, Log, Transport
from events_assets.settings import HttpSettings

T = TypeVar("T")


@runtime_checkable
class Renewable(Protocol):
    """Authentication by something that the API may refuse before its time is over."""

    def renew(self, request: requests.PreparedRequest) -> None:
        """Puts another one into a request that was refused."""


class ApiSession:
    """A session with one API. It may be used by several threads at once.

    Args:
        base_url: only requests to its origin are sent.
        settings: which failures are asked for again, and how long everything may take.
        redaction: masks what is said of requests and answers.
        log: hears of retries and waits.
        rate_limit: is shared with other sessions; none: one of its own, by the settings.
        auth: authenticates each request, as in `requests`; one that is `Renewable` is renewed
            when the API refuses a request with 401.
        remembers: whether what was read before comes only if it changed, where answers carry an
            ETag.
    """

    name = ""
    """Of the list that is asked for on it, if it is only one."""

    def __init__(
        self,
        base_url: str,
        settings: HttpSettings,
        redaction: Redaction,
        log: Log,
        rate_limit: RateLimit | None = None,
        auth: Any = None,
        remembers: bool = False,
    ) -> None:
        self.base_url = base_url
        self.settings = settings
        self.redaction = redaction
        self.log = log
        self.auth = auth
        self._rate_limit = rate_limit or RateLimit(settings.max_requests, settings.period)
        self._requests = requests.Session()
        self._requests.auth = auth or get_netrc_auth(base_url)  # looked up once, too
        self._requests.headers["Accept"] = JSON
        cookies = self._requests.cookies
        self._transport = Transport(base_url, settings, self._rate_limit, cookies, log, remembers)
        self.traffic = self._transport.traffic
        self._requests.max_redirects = settings.max_redirects
        for scheme in ("http://", "https://", ""):  # the others are refused there
            self._requests.mount(scheme, self._transport)
        # Proxies and certificates are looked up once, not for each page.
        environment = self._requests.merge_environment_settings(base_url, {}, True, None, None)
        timeout = (settings.connect_timeout, settings.read_timeout)
        self._options: dict[str, Any] = {**environment, "timeout": timeout}
        self._retrying = retry.retrying(settings, self._before_retry, self._transport.sleep)

    def __enter__(self) -> "ApiSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all waits at once; what is asked from now on raises ApiError."""
        self._requests.close()

    def ask(
        self, request: requests.Request, read: Callable[[Answer], T], *, any_status: bool = False
    ) -> T:
        """What is read from the answer to a request, after all retries.

        Hooks of the request see each response; where it has none, an error status is a failure.

        Args:
            read: makes something of an answer; raises NotAPageError where that is no page, so
                that it is asked for again. An EmptyPageError is accepted after the last attempt:
                the value that it carries is returned.
            any_status: an error status that is not asked for again is an answer, too.

        Raises:
            ApiError: the API cannot be reached, refuses, or keeps failing. `status` is that of
                its answer, if there was one.
            Exception: what a hook or `read` raises besides.
        """
        asked: requests.Request | requests.PreparedRequest = request
        try:
            asked = ready = prepared(request, self._requests)
            if not ready.hooks["response"]:
                ready.hooks["response"] = [self._transient if any_status else _any_error]
            return cast(T, self._retrying(self._attempt, ready, read))
        except EmptyPageError as error:
            return cast(T, error.found)
        except (requests.RequestException, NotAPageError) as error:
            failure = ApiError(explanation(error, asked, self.settings, self.redaction))
            failure.status = retry.status_of(error)
        # Raised here and not in the handler, so that nothing refers to the request and its key.
        raise failure

    def _attempt(self, request: requests.PreparedRequest, read: Callable[[Answer], T]) -> T:
        started = time.monotonic()
        response = self._response(request)
        try:
            found = read(Answer.of(response, time.monotonic() - started, self.redaction))
        except NotAPageError as error:
            error.request = response.request
            self._transport.remembered.forget(response.request)
            raise
        self._transport.remembered.keep(response)
        return found

    def _response(self, request: requests.PreparedRequest) -> requests.Response:
        """The response to a request, sent once more if its access token is refused."""
        try:
            return self._sent(request)
        except requests.HTTPError as error:
            if retry.status_of(error) != 401 or not isinstance(self.auth, Renewable):
                raise
        self.auth.renew(request)
        return self._sent(request)

    def _sent(self, request: requests.PreparedRequest) -> requests.Response:
        try:
            return self._requests.send(request, **self._options)
        except requests.RequestException:
            raise
        # It, or a redirect, leads to what is no URL; there is no such file of certificates.
        except (ValueError, OSError) as error:
            raise requests.RequestException(error, request=request) from error

    def _transient(self, response: requests.Response, **_: Any) -> None:
        if response.status_code in self.settings.retry_statuses:
            response.raise_for_status()

    def _before_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        if error is None:
            return
        self.traffic.add(retries=1, seconds_waited=seconds)
        if retry.status_of(error) == 429:
            self._rate_limit.pause(seconds)
        request: requests.PreparedRequest = state.args[0]
        self.log.warning(
            self.redaction.text(
                f"{request.method} {request.url}: {reason(error)}; attempt "
                f"{state.attempt_number} of {self.settings.max_retries + 1}, next in {seconds:g} s"
            )
        )


def prepared(request: requests.Request, session: requests.Session) -> requests.PreparedRequest:
    """As `session.prepare_request` does it, in half the time: there is little to merge."""
    if request.auth or request.cookies or request.files:
        return session.prepare_request(request)
    headers = CaseInsensitiveDict({**session.headers, **request.headers})
    ready = requests.PreparedRequest()
    ready.prepare(
        method=request.method,
        url=request.url,
        headers={name: value for name, value in headers.items() if value is not None},
        data=request.data,
        params=request.params,
        auth=session.auth,
        cookies=session.cookies,
        hooks=request.hooks,
        json=request.json,
    )
    return ready


def _any_error(response: requests.Response, **_: Any) -> None:
    response.raise_for_status()
    if response.status_code == 304:  # what has not changed was never received
        raise requests.HTTPError(response=response)
