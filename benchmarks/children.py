"""Runs a process and measures it: seconds, CPU seconds, and the memory of it and its children."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.01
"""Seconds between two looks at the processes."""

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Resident memory of the process and its children at the moment when it was largest."""
    database_bytes: int = 0
    """Size of the database afterwards."""


def median(usages: Sequence[Usage]) -> Usage:
    """The median of each number by itself."""
    return Usage(
        statistics.median(usage.seconds for usage in usages),
        statistics.median(usage.cpu_seconds for usage in usages),
        int(statistics.median(usage.peak_bytes for usage in usages)),
        int(statistics.median(usage.database_bytes for usage in usages)),
    )


def measured(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Usage:
    """Runs a command to its end; what it writes goes to `output.txt` in the folder.

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
            time.sleep(INTERVAL)
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


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants; without /proc only the process."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(children).split()):
            if _read(Path(f"/proc/{child}/cmdline")) != _read(Path(f"/proc/{pid}/cmdline")):
                yield from _tree(child)  # else it still shares the memory of its parent


def _resident(pid: int) -> int:
    numbers = _read(Path(f"/proc/{pid}/statm")).split()
    return int(numbers[1]) * PAGE_SIZE if numbers else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended, or there is no /proc
        return ""
