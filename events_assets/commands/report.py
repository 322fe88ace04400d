"""What `events-assets` reports: steps, each with its finding and, where it helps, TOML to set."""

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click
import tomlkit
from tabulate import tabulate

from events_assets.errors import EventsError
from events_assets.http.redaction import Redaction

OK, NOTE, FAILED = "ok", "note", "FAILED"

COLOURS = {OK: "green", NOTE: "yellow", FAILED: "red"}

SHOWN = 70
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Step:
    """One finding. `settings` are values to set, by their path below `sources.events`."""

    state: str
    name: str
    finding: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def toml(self) -> str:
        """The settings as lines of `.dlt/config.toml`, each table with its header."""
        tables: dict[str, list[str]] = {}
        for path, value in self.settings.items():
            table, _, key = f"sources.events.{path}".rpartition(".")
            tables.setdefault(table, []).append(f"{key} = {inline(value)}")
        return "\n".join(f"[{table}]\n" + "\n".join(lines) for table, lines in tables.items())

    def text(self, name_width: int, columns: int | None) -> str:
        """The step for a terminal of so many columns; None: no line is broken, as in a pipe."""
        text = f"{self.state:<8}{self.name:<{name_width}}  {self.finding}"
        if columns:
            text = textwrap.fill(
                text,
                columns,
                subsequent_indent=" " * (8 + name_width + 2),
                break_long_words=False,
                break_on_hyphens=False,
            )
        text = click.style(self.state, fg=COLOURS[self.state]) + text.removeprefix(self.state)
        if self.settings:
            text += f"\n{'':8}set in .dlt/config.toml:\n" + textwrap.indent(self.toml(), " " * 10)
        return text


class StopError(EventsError):
    """A step failed after which the others cannot be tried: its name, its finding, and settings."""


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

    def add(
        self, state: str, name: str, finding: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        masked = self.redaction.value(dict(settings or {}))
        step = Step(state, name, " ".join(self.redaction.text(finding).split()), masked)
        self.steps.append(step)
        self.tell(step)

    def show(self, row: Mapping[str, Any]) -> None:
        """Takes a row as the example event."""
        self.example = self.redaction.value(dict(row))

    @property
    def failed(self) -> Step | None:
        """The first failed step."""
        return next((step for step in self.steps if step.state == FAILED), None)

    def json(self) -> str:
        """The report for programs."""
        report = {
            "works": self.failed is None,
            "requests": self.requests,
            "steps": [asdict(step) for step in self.steps],
            "example": self.example,
        }
        return json.dumps(report, indent=2, default=str)

    def markdown(self) -> str:
        """The report for the UI."""
        steps = [(step.state, step.name, step.finding) for step in self.steps]
        parts = [markdown_table(steps, ["", "step", "finding"])]
        for step in self.steps:
            if step.settings:
                parts.append(f"For {step.name}, set:\n\n```toml\n{step.toml()}\n```")
        if self.example:
            example = [(name, shown(value)) for name, value in self.example.items()]
            parts.append(markdown_table(example, ["column", "an example event"]))
        return "\n\n".join(parts)


def markdown_table(rows: Iterable[Sequence[str]], headers: Sequence[str]) -> str:
    """A table for the UI, each cell as it is."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, headers, tablefmt="github", disable_numparse=True)


def inline(value: Any) -> str:
    """A value as TOML in one line. (Nested tables of tomlkit's own have no space after a comma.)"""
    if isinstance(value, Mapping):
        pairs = (f"{tomlkit.key(name).as_string()} = {inline(v)}" for name, v in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return str(tomlkit.item(value).as_string())


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(value: Any, width: int = SHOWN) -> str:
    """A value in at most so many characters."""
    text = "null" if value is None else " ".join(str(value).split()) or '""'
    return text if len(text) <= width else text[: width - 2] + " …"
