"""How far a scan is: a bar in a terminal, elsewhere a line in the log every few seconds."""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from events_assets.http.transport import Log

INTERVAL = 5.0
"""Seconds between two lines in the log."""

BAR = "{desc}: {n:,} of {total:,} |{bar}| {rate_fmt}, {remaining} left{postfix}"
COUNTER = "{desc}: {n:,} in {elapsed}, {rate_fmt}{postfix}"


class BesideBar(logging.LoggerAdapter[Any]):
    """Writes to a log without breaking a bar that is being shown."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            super().log(level, msg, *args, **kwargs)


class Progress:
    """Tells of a scan, page by page.

    Args:
        name: of what is scanned.
        log: gets a line every `INTERVAL` seconds, if there is no bar.
        terminal: shows a bar, if it is one; none: that of the user who waits for this process.
        clock: tells the seconds of a clock that is never set back.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        terminal: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._log, self._clock = name, log, clock
        self._pages = 0
        self._started = self._told = clock()
        self._opened = ExitStack()
        file = terminal or _terminal(self._opened)
        # `disable=None` is tqdm's way to say: only in a terminal.
        self._bar = tqdm(desc=name, unit="", file=file, disable=None, leave=False, delay=0.5)

    def page(self, rows: int, total: int | None) -> None:
        """Notes a further page.

        Args:
            rows: that came so far, each counted once.
            total: that the API counts, if it does.
        """
        self._pages += 1
        if not self._bar.disable:
            self._bar.total, self._bar.bar_format = total, COUNTER if total is None else BAR
            self._bar.set_postfix_str(f"{self._pages:,} pages", refresh=False)
            self._bar.update(rows - self._bar.n)
            return
        now = self._clock()
        if now - self._told >= INTERVAL:
            self._told = now
            self._log.info(self._line(rows, total, now - self._started))

    def _line(self, rows: int, total: int | None, seconds: float) -> str:
        of = f" of {total:,}" if total is not None else ""
        rate = rows / seconds
        line = f"{self._name}: {rows:,}{of} rows, {self._pages:,} pages, {rate:,.0f} rows/s"
        if total is not None and rate:
            line += f", {tqdm.format_interval(max(0, total - rows) / rate)} left"
        return line

    def close(self) -> None:
        self._bar.close()
        with suppress(OSError):  # the terminal may have hung up
            self._opened.close()


def _terminal(opened: ExitStack) -> TextIO:
    """Where a bar may be seen. Dagster captures the output of a run, but a run in the foreground
    of a terminal can still write there; that is closed with `opened`."""
    if not sys.stderr.isatty():
        with suppress(OSError):  # there is no terminal
            terminal = opened.enter_context(Path("/dev/tty").open("w"))  # noqa: SIM115, a stack does
            if os.tcgetpgrp(terminal.fileno()) == os.getpgrp():
                return terminal
    return sys.stderr
