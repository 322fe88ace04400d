"""What `events-assets` reports: steps, each with its finding and, where it helps, TOML to set."""

import json
import logging
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from threading import Event, Thread
from typing import Any

import click

from events_assets import providers
from events_assets.commands.toml_file import inline
from events_assets.http.redaction import Redaction
from events_assets.http.transport import Traffic

OK, NOTE, FAILED = "ok", "note", "FAILED"
QUIET = logging.getLogger("events_assets.trials")
"""Hears of retries and waits, which have no place in the middle of a report."""
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

ALERTS = "alerts"
"""The step that says who gets them."""

COLOURS = {OK: "green", NOTE: "yellow", FAILED: "red"}

INDENT = 8 + len("configuration") + 2
"""Of findings: they stand after the state and the name of the step."""

SHOWN = 70
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Step:
    """One finding. `settings` are values to set, by their path below `sources.events`."""

    state: str
    name: str
    finding: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_set(self) -> str:
        """The settings as lines of TOML, each table with its header; for a component's file by
        their paths in it."""
        if providers.described_in() != providers.FILE:
            lines = (f"attributes.{path}: {json.dumps(v)}" for path, v in self.settings.items())
            return "\n".join(lines)
        tables: dict[str, list[str]] = {}
        for path, value in self.settings.items():
            table, _, key = f"sources.events.{path}".rpartition(".")
            tables.setdefault(table, []).append(f"{key} = {inline(value)}")
        return "\n".join(f"[{table}]\n" + "\n".join(lines) for table, lines in tables.items())

    def text(self, columns: int | None = None) -> str:
        """The step for a terminal of so many columns; None: no line is broken, as in a pipe."""
        text = textwrap.fill(
            f"{self.state:<8}{self.name:<{INDENT - 10}}  {self.finding}",
            columns or sys.maxsize,
            subsequent_indent=" " * INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = click.style(self.state, fg=COLOURS[self.state]) + text.removeprefix(self.state)
        if self.settings:
            lines = textwrap.indent(self.to_set(), " " * 10)
            text += f"\n{'':8}set in {providers.described_in()}:\n{lines}"
        return text


@dataclass
class Report:
    """Steps in order, and an example event, with all secrets masked.

    `tell` hears each step when it is found.
    """

    tell: Callable[[Step], object] = lambda _: None
    redaction: Redaction = field(default_factory=Redaction)
    steps: list[Step] = field(default_factory=list)
    example: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0

    def count(self, traffic: Traffic, requests: int = 0, retries: int = 0) -> None:
        """Adds what was asked, beyond what was asked before."""
        self.requests += traffic.requests - requests
        self.retries += traffic.retries - retries

    def add(self, step: Step) -> None:
        finding = " ".join(self.redaction.text(step.finding).split())
        finding = providers.at_its_place(finding)
        settings = self.redaction.value(dict(step.settings))
        step = replace(step, finding=finding, settings=settings)
        self.steps.append(step)
        self.tell(step)

    def show(self, row: Mapping[str, Any]) -> None:
        """Takes a row as the example event."""
        self.example = self.redaction.value(dict(row))

    @property
    def failed(self) -> Step | None:
        """The first failed step."""
        return next((step for step in self.steps if step.state == FAILED), None)

    @property
    def traffic(self) -> str:
        were = "was" if self.requests == 1 else "were"
        again = f", {self.retries} of them once more after a failure" if self.retries else ""
        return f"{counted(self.requests, 'request')} {were} made{again}"

    def example_text(self, columns: int | None = None) -> str:
        """The example event, a column in each line; empty without one."""
        width = max(map(len, self.example), default=0)
        room = min(SHOWN, max(20, (columns or sys.maxsize) - width - 4))
        lines = [f"  {name:<{width}}  {shown(v, room)}\n" for name, v in self.example.items()]
        return "".join(["\nAn example event, as it will be loaded\n", *lines]) if lines else ""

    def json(self) -> str:
        """The report for programs."""
        steps = [asdict(step) for step in self.steps]
        report = {"works": self.failed is None, "requests": self.requests, "steps": steps}
        return json.dumps(report | {"example": self.example}, indent=2, default=str)

    def markdown(self) -> str:
        """The report for the UI, as in a terminal."""
        text = "\n".join(step.text(100) for step in self.steps) + "\n" + self.example_text()
        return textwrap.indent(click.unstyle(text), " " * 4)


@contextmanager
def patience(seconds: float = 5.0, tell: Callable[..., object] = click.echo) -> Iterator[None]:
    """Tells every few seconds how long it takes already, beside the report, on stderr."""
    done, began = Event(), time.monotonic()

    def wait() -> None:
        while not done.wait(seconds):
            tell(f"... still at it after {time.monotonic() - began:.0f} s", err=True)

    teller = Thread(target=wait, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def terminal_columns() -> int | None:
    """The width of the terminal, None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(value: Any, width: int = SHOWN) -> str:
    """A value in at most so many characters."""
    text = "null" if value is None else " ".join(str(value).split()) or '""'
    return text if len(text) <= width else text[: width - 2] + " …"
