"""What comes over a connection: within bounds, and before a deadline."""

import io
import socket
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, LineTooLong
from typing import Any

from events_assets.errors import BoundError
from events_assets.settings import HttpSettings, in_bytes

AT_ONCE = 65_536
"""Bytes that are read at once, where they have come."""
TOLD = {
    "max_headers": ("headers, interim answers included, of", "they are meant"),
    "max_body": ("a body of", "pages cannot be made smaller"),
}
"""What is too large, and when it may be larger, by the setting that bounds it."""


class Wire:
    """The bounds of all answers. `seconds_left` are those until the deadline; it raises what is to
    be said when that is over. `received` counts bytes as they come."""

    def __init__(
        self,
        settings: HttpSettings,
        seconds_left: Callable[[], float],
        received: Callable[[int], None],
    ) -> None:
        self.read_timeout, self.seconds_left = settings.read_timeout, seconds_left
        self.received = received
        self._sizes: dict[str, str] = {name: getattr(settings, name) for name in TOLD}
        self._most = {name: in_bytes(size) for name, size in self._sizes.items()}

    def left(self, size: int, name: str) -> int:
        """Bytes that may still come after `size`, one more than are read.

        Raises:
            BoundError: that one came.
        """
        if size > self._most[name]:
            what, when = TOLD[name]
            raise BoundError(
                f"{what} more than {self._sizes[name]}, which is the most that is read; if {when}, "
                f"raise {name} in [sources.events.http]"
            )
        return self._most[name] + 1 - size


class BoundedResponse(HTTPResponse):
    """The answer that comes over a socket; interim ones before it are skipped (RFC 9110 15.2)."""

    def __init__(self, sock: socket.socket, *args: Any, wire: Wire, **kwargs: Any) -> None:
        self._bytes = _Bytes(sock, wire)
        super().__init__(self._bytes, *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Reads the head.

        Raises:
            BoundError: it is too large.
        """
        try:
            super().begin()
            while 100 <= self.status < 200 and self.status != 101:
                self.headers = None  # type: ignore[assignment]
                super().begin()
        except HTTPException as error:
            if type(error) in (HTTPException, LineTooLong):
                raise BoundError(f"headers that cannot be read: {error}, Python's limit") from error
            raise
        self._bytes.begin_body()


class _Bytes(io.RawIOBase):
    """The bytes of one answer."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        self._sock = sock
        self._wire = wire
        self._raw = sock.makefile("rb", buffering=0)
        self._name, self._size = "max_headers", 0

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, AT_ONCE)

    def begin_body(self) -> None:
        self._name, self._size = "max_body", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        allowed = memoryview(buffer)[: self._wire.left(self._size, self._name)]
        self._sock.settimeout(min(self._wire.read_timeout, self._wire.seconds_left()))
        try:
            size = self._raw.readinto(allowed) or 0
        except TimeoutError:
            self._wire.seconds_left()
            raise
        self._size += size
        self._wire.received(size)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
