"""The API of the benchmark, in a process of its own: fast enough not to be what is measured.

`GET /v1/events?api_key=&offset=&limit=` answers `{"data": [...], "next": ID, "total": N}`, 100
rows or as many as are asked for up to 1,000, and 401 without the key; `after=` takes what a page
names as `next`, `from_id=` asks for those with this id or a later one, `from=&until=` for those
that start in that span, both ends included. It speaks as much HTTP as that takes.
"""

import re
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import unquote

from benchmarks.events import event, serialized

ROOT = Path(__file__).parent.parent
KEY = "key-of-the-benchmark"
LIMIT_BY_DEFAULT, MAX_LIMIT = 100, 1_000
PREPARED = 100_000
"""Rows that are serialised beforehand; later ones are when they are asked for."""

KEY_GIVEN = re.compile(rb"[?&]api_key=" + KEY.encode() + rb"[& ]")
OFFSET, LIMIT = re.compile(rb"[?&]offset=(\d+)"), re.compile(rb"[?&]limit=(\d+)")
FROM_ID, AFTER = re.compile(rb"[?&]from_id=(\d+)"), re.compile(rb"[?&]after=(\d+)")
WINDOW = re.compile(rb"[?&]from=([^& ]+)&until=([^& ]+)")

ANSWER = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@contextmanager
def serving(events: int, latency: float = 0.0) -> Iterator[str]:
    """Serves so many events on loopback, each answer after `latency` seconds; gives the URL."""
    command = [sys.executable, "-m", "benchmarks.server", str(events), str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise RuntimeError("the server of the benchmark did not start")
            yield url
        finally:
            process.kill()


class Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, events: int, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.events = events
        self.latency = latency
        self.prepared = [serialized(number) for number in range(min(events, PREPARED))]
        self.windows: dict[tuple[bytes, bytes], list[int]] = {}

    def page(self, request_line: bytes) -> tuple[bytes, bytes]:
        """Status and body of an answer."""
        if not KEY_GIVEN.search(request_line):
            return b"401 Unauthorized", b'{"error": "api_key is missing or wrong"}'
        first = _number(FROM_ID, request_line, 1) - 1
        window = WINDOW.search(request_line)
        numbers = self.within(*window.groups()) if window else range(first, self.events)
        start, limit = (
            _number(OFFSET, request_line, 0),
            _number(LIMIT, request_line, LIMIT_BY_DEFAULT),
        )
        start += bisect_left(numbers, _number(AFTER, request_line, 0))
        end = min(start + min(limit, MAX_LIMIT), len(numbers))
        rows = b",".join(map(self.row, numbers[start:end]))
        following = b"%d" % (numbers[end - 1] + 1) if end < len(numbers) else b"null"
        return b"200 OK", b'{"data":[%s],"next":%s,"total":%d}' % (rows, following, len(numbers))

    def within(self, start: bytes, end: bytes) -> Sequence[int]:
        """The numbers of the events that start in a span, in their order."""
        if (start, end) not in self.windows:
            first, last = (_seconds(unquote(time.decode())) for time in (start, end))
            begin = bisect_left(self.by_start, (first, 0))
            found = self.by_start[begin : bisect_right(self.by_start, (last, self.events))]
            self.windows[start, end] = sorted(number for _, number in found)
        return self.windows[start, end]

    @cached_property
    def by_start(self) -> list[tuple[float, int]]:
        return sorted((_seconds(event(n).start_time), n) for n in range(self.events))

    def row(self, number: int) -> bytes:
        return self.prepared[number] if number < PREPARED else serialized(number)


class Connection(StreamRequestHandler):
    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while request_line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):  # headers; GET has no body
                pass
            status, body = self.server.page(request_line)
            if self.server.latency:
                time.sleep(self.server.latency)
            self.connection.sendall(ANSWER % (status, len(body), body))


def _number(parameter: re.Pattern[bytes], request_line: bytes, default: int) -> int:
    found = parameter.search(request_line)
    return int(found.group(1)) if found else default


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


if __name__ == "__main__":
    with Server(int(sys.argv[1]), float(sys.argv[2])) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
