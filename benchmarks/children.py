"""Runs a process and measures it: seconds, CPU seconds, and the memory of it and its children."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.01
"""Seconds between two looks at the processes."""

LOOKING = 0.05
"""The same where each process is looked at by itself, which takes longer."""

PAGE_SIZE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")

Look = Callable[[Path, int], None]
"""Looks at the folder and the process of a command while it runs."""


@dataclass(frozen=True)
class Usage:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Resident memory of the process and its children at the moment when it was largest."""
    database_bytes: int = 0
    """Size of the database afterwards."""
    scan_seconds: float = 0.0
    """Of the load, from the first request to the last row, as its receipt says."""


@dataclass
class Process:
    """What one process of several used, as far as it was seen."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    def look(self, pid: int) -> None:
        numbers = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        if numbers:
            self.cpu_seconds = (int(numbers[11]) + int(numbers[12])) / TICKS
        self.peak_bytes = max(self.peak_bytes, _resident(pid))


def median(usages: Sequence[Usage]) -> Usage:
    """The median of each number by itself."""
    return Usage(
        statistics.median(usage.seconds for usage in usages),
        statistics.median(usage.cpu_seconds for usage in usages),
        int(statistics.median(usage.peak_bytes for usage in usages)),
        int(statistics.median(usage.database_bytes for usage in usages)),
        statistics.median(usage.scan_seconds for usage in usages),
    )


def measured(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    look: Look | None = None,
) -> Usage:
    """Runs a command to its end; what it writes goes to `output.txt` in the folder.

    Args:
        look: called again and again.

    Raises:
        RuntimeError: it failed; with the end of what it wrote.
    """
    output = folder / "output.txt"
    with output.open("w+") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        peak, ended = 0, 0
        while not ended:
            time.sleep(LOOKING if look else INTERVAL)
            if look:
                look(folder, process.pid)
            peak = max(peak, sum(map(_resident, _tree(process.pid))))
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        told = output.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}:\n{told}")
    if not peak:  # No /proc. On Linux, ru_maxrss begins with the memory of the parent.
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(seconds, usage.ru_utime + usage.ru_stime, peak)


def descendants(pid: int) -> Iterator[int]:
    """All processes that a process has started, and those that they have."""
    for child in _children(pid):
        yield child
        yield from descendants(child)


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants; without /proc only the process."""
    yield pid
    for child in _children(pid):
        if _read(Path(f"/proc/{child}/cmdline")) != _read(Path(f"/proc/{pid}/cmdline")):
            yield from _tree(child)  # else it still shares the memory of its parent


def _children(pid: int) -> list[int]:
    try:
        threads = [*Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has ended meanwhile
        return []
    return [int(child) for thread in threads for child in _read(thread).split()]


def _resident(pid: int) -> int:
    numbers = _read(Path(f"/proc/{pid}/statm")).split()
    return int(numbers[1]) * PAGE_SIZE if numbers else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended, or there is no /proc
        return ""
