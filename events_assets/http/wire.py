"""What comes over a connection: within bounds, and before a deadline."""

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, LineTooLong
from typing import Any, Literal

from events_assets.errors import BoundError
from events_assets.settings import HttpSettings, in_bytes


@dataclass
class Wire:
    """The bounds of all answers. `seconds_left` are those until the deadline; it raises what is to
    be said when that is over. `received` counts bytes as they come."""

    settings: HttpSettings
    seconds_left: Callable[[], float]
    received: Callable[[int], None]

    def __post_init__(self) -> None:
        self.most = {
            name: in_bytes(getattr(self.settings, name)) for name in ("max_headers", "max_body")
        }

    def require(self, size: int, name: Literal["max_headers", "max_body"]) -> None:
        """Raises BoundError where `size` bytes are more than a setting allows."""
        if size > self.most[name]:
            what, remedy = {
                "max_headers": ("headers, interim answers included, of", "if they are meant"),
                "max_body": ("a body of", "if pages cannot be made smaller"),
            }[name]
            raise BoundError(
                f"{what} more than {getattr(self.settings, name)}, which is the most that is read; "
                f"{remedy}, raise {name} in [sources.events.http]"
            )


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
        self._name: Literal["max_headers", "max_body"] = "max_headers"
        self._size = 0

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def begin_body(self) -> None:
        self._name, self._size = "max_body", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wire = self._wire
        wire.require(self._size, self._name)
        self._sock.settimeout(min(wire.settings.read_timeout, wire.seconds_left()))
        try:
            allowed = memoryview(buffer)[: wire.most[self._name] + 1 - self._size]
            size = self._raw.readinto(allowed) or 0
        except TimeoutError:
            wire.seconds_left()
            raise
        self._size += size
        wire.received(size)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
