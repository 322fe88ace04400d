"""Which failures are asked for again, how often, and how long the pauses are."""

import copy
import ssl
from collections.abc import Callable

import requests
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exception,
    wait_exponential,
)

from events_assets.errors import BoundError, NotAPageError
from events_assets.http.rate_limit import asked_to_wait
from events_assets.settings import HttpSettings

FAILURES = requests.ConnectionError | requests.Timeout | NotAPageError

HURRY = {"max_retries": 1, "max_retry_after": 60.0, "read_timeout": 30.0, "deadline": 300.0}
"""The most that someone wants to wait who tries an API."""


def hurried(settings: HttpSettings) -> HttpSettings:
    """The settings for someone who tries an API: fewer retries and shorter waits."""
    limited = copy.copy(settings)
    for name, most in HURRY.items():
        setattr(limited, name, min(getattr(limited, name), most))
    return limited


def retrying(
    settings: HttpSettings,
    before_sleep: Callable[[RetryCallState], None],
    sleep: Callable[[float], None],
) -> Retrying:
    """Calls a function again after a status in `retry_statuses`, a connection failure, or an
    answer that is no page: at most `max_retries` times, after `backoff_factor` seconds, doubled
    for each further retry, or what the answer asks to wait if that is longer. A certificate that
    is not trusted is not looked at again.
    """

    def is_transient(error: BaseException) -> bool:
        if (status := status_of(error)) is None:
            return isinstance(error, FAILURES) and not is_lasting(innermost(error))
        soon = seconds_asked(error, settings) <= settings.max_retry_after
        return status in settings.retry_statuses and soon

    backoff = wait_exponential(multiplier=settings.backoff_factor, exp_base=2)
    asked = wait_exception(lambda error: seconds_asked(error, settings))
    return Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(settings.max_retries + 1),
        wait=lambda state: max(backoff(state), asked(state)),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )


def seconds_asked(error: BaseException, settings: HttpSettings) -> float:
    """Seconds that the answer asks to wait (`Retry-After`, RFC 9110 10.2.3), 0 if none.

    When a limit is reset is in many answers; it says how long to wait only after a 429.
    """
    if not isinstance(error, requests.HTTPError) or error.response is None:
        return 0.0
    asked = asked_to_wait(error.response.headers, settings.retry_after_headers)
    if not asked and error.response.status_code == 429:
        asked = asked_to_wait(error.response.headers, settings.reset_headers)
    return asked


def status_of(error: BaseException) -> int | None:
    """The status of the answer that an error stands for, if it stands for one."""
    response = error.response if isinstance(error, requests.HTTPError) else None
    return None if response is None else response.status_code


def innermost(error: BaseException) -> BaseException:
    """What a failure came from: also what urllib3 and requests carry along as an argument."""
    while not isinstance(error, NotAPageError | BoundError):
        inner = [getattr(error, "reason", None), *error.args[:1], error.__cause__]
        causes = [one for one in (*inner, error.__context__) if isinstance(one, BaseException)]
        if not causes:
            break
        error = causes[0]
    return error


def is_lasting(cause: BaseException) -> bool:
    """Whether there is no TLS with the other side, whenever one asks."""
    return isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER"
    )
