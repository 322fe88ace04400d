"""The rate limit of an API: how many requests may be sent, and how long to wait.

One is shared by all sessions of a run, so that a pause that the API asks of one request
holds for all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SECONDS_UP_TO = 10**8
"""A header's number up to here is a span in seconds, beyond it a time in Unix seconds, ..."""
UNIX_SECONDS_UP_TO = 10**11
"""... and beyond this one in milliseconds."""


class RateLimit:
    """Lets a request pass when the rate limit allows it.

    Args:
        max_requests: in any `period` (0: any number).
        period: seconds.
        clock: tells the seconds of a clock that is never set back.
        workers: so many processes share that number.
    """

    def __init__(
        self,
        max_requests: int = 0,
        period: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        workers: int = 1,
    ) -> None:
        each = max(1, max_requests // workers) if max_requests else 0
        self._period = period * max(1, each * workers / max_requests) if each else period
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=each)
        self._not_before = 0.0
        self._lock = threading.Lock()

    def pause(self, seconds: float) -> None:
        """Lets no request pass for so many seconds from now."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)

    def reserve(self) -> float:
        """Takes a place among the requests. Returns the seconds until its turn, 0 for now."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._not_before)
            if self._sent and len(self._sent) == self._sent.maxlen:
                turn = max(turn, self._sent[0] + self._period)
            self._sent.append(turn)
            return turn - now

    def pause_left(self) -> float:
        """Seconds of the pause that are left."""
        with self._lock:
            return max(0.0, self._not_before - self._clock())


def seconds_until(value: str, now: float | None = None) -> float:
    """Seconds that a header asks to wait, 0 if it does not say so in a known form.

    Args:
        value: seconds, a Unix time in seconds or milliseconds (told apart by their size), an HTTP
            date (RFC 9110 10.2.3), or an ISO 8601 time.
        now: Unix time in seconds; none: the time.
    """
    now = time.time() if now is None else now
    value = value.strip()
    try:
        number = float(value)
    except ValueError:
        return max(0.0, _instant(value) - now)
    if not 0 <= number < float("inf"):
        return 0.0
    if number > UNIX_SECONDS_UP_TO:
        number /= 1000
    elif number <= SECONDS_UP_TO:
        return number
    return max(0.0, number - now)


def asked_to_wait(headers: Mapping[str, str], names: list[str]) -> float:
    """The longest wait that one of the named headers asks for, in seconds."""
    return max((seconds_until(headers[name]) for name in names if name in headers), default=0.0)


def is_spent(headers: Mapping[str, str], names: list[str]) -> bool:
    """Whether one of the named headers says that no request is left."""
    return any(headers.get(name, "").strip() in ("0", "0.0") for name in names)


def _instant(text: str) -> float:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            time_ = read(text)
        except (TypeError, ValueError):
            continue
        return (time_ if time_.tzinfo else time_.replace(tzinfo=UTC)).timestamp()
    return 0.0
