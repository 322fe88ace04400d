"""Long scans tell how far they are."""

import io
import logging
import os
import subprocess
import sys

import pytest

from events_assets.scan.progress import INTERVAL, BesideBar, Progress
from events_assets_tests.conftest import ROOT, event


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    """A clock that is set by hand."""

    class Clock:
        seconds = 0.0

        def __call__(self):
            return self.seconds

    return Clock()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "events_assets")
    return lambda: [record.getMessage() for record in caplog.records]


LOG = logging.getLogger("events_assets")


def test_a_line_every_few_seconds_says_what_came_and_what_is_left(lines, clock):
    progress = Progress("events", LOG, io.StringIO(), clock)
    for page in range(1, 6):
        clock.seconds += INTERVAL / 2
        progress.page(page * 500, 10_000)
    progress.close()
    assert lines() == [
        "events: 1,000 of 10,000 rows, 2 pages, 200 rows/s, 00:45 left",
        "events: 2,000 of 10,000 rows, 4 pages, 200 rows/s, 00:40 left",
    ]


def test_without_a_total_nothing_is_promised(lines, clock):
    progress = Progress("events", LOG, io.StringIO(), clock)
    clock.seconds += 10
    progress.page(2_000, None)
    progress.close()
    assert lines() == ["events: 2,000 rows, 1 pages, 200 rows/s"]


def test_a_terminal_shows_a_bar_that_other_lines_do_not_break(clock):
    terminal = Terminal()
    progress = Progress("events", LOG, terminal, clock)
    progress._bar.delay = 0
    for page in range(1, 4):
        progress.page(page * 100, 1_000)
        progress._bar.refresh()
    shown = terminal.getvalue()
    assert "events: 300 of 1,000 |" in shown and "3 pages" in shown and "\n" not in shown
    progress.close()
    assert terminal.getvalue().endswith("\r")


IN_A_TERMINAL_THAT_HANGS_UP = """
import fcntl, gc, logging, os, signal, termios
from events_assets.scan.progress import Progress

signal.signal(signal.SIGHUP, signal.SIG_IGN)
terminal, its_end = os.openpty()
fcntl.ioctl(its_end, termios.TIOCSCTTY, 0)
progress = Progress("events", logging.getLogger())
progress._bar.delay = 0
progress.page(300, 1_000)
progress._bar.refresh()
print(os.read(terminal, 10_000).decode())
os.close(terminal)
progress.page(400, 1_000)
progress._bar.refresh()
progress.close()
del progress
gc.collect()
"""


@pytest.mark.slow
def test_a_captured_run_shows_its_bar_in_the_terminal_and_closes_it():
    process = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", IN_A_TERMINAL_THAT_HANGS_UP],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0 and "/dev/tty" not in process.stderr, process.stderr
    assert "events: 300 of 1,000 |" in process.stdout


def test_what_is_no_terminal_shows_no_bar(clock):
    written = io.StringIO()
    progress = Progress("events", LOG, written, clock)
    progress.page(100, 1_000)
    progress.close()
    assert written.getvalue() == ""


def test_a_short_run_tells_nothing_in_passing(serve, run, capfd):
    serve([event(number) for number in range(250)])
    assert run().success
    told = capfd.readouterr().err
    assert "250 rows are there now" in told and "rows/s" not in told


def test_lines_beside_a_bar_reach_the_log(lines):
    BesideBar(LOG).warning("waiting")
    assert lines() == ["waiting"]
