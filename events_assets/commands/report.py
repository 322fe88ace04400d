"""What `events-assets` tells: steps, each with its finding and, where it helps, the TOML to set."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tomlkit
from tabulate import tabulate

from events_assets.http.redaction import Redaction

OK, NOTE, FAILED = "ok", "note", "FAILED"

WIDTH = 100


@dataclass(frozen=True)
class Step:
    """One finding. `settings` are values to set, by their path below `sources.events`."""

    state: str
    name: str
    told: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def toml(self) -> str:
        """The settings as lines of `.dlt/config.toml`, each table with its header."""
        tables: dict[str, list[str]] = {}
        for path, value in self.settings.items():
            table, _, key = f"sources.events.{path}".rpartition(".")
            tables.setdefault(table, []).append(f"{key} = {line_of(value)}")
        return "\n".join(f"[{table}]\n" + "\n".join(lines) for table, lines in tables.items())


@dataclass
class Report:
    """Steps in order, and an example event, with all secrets masked.

    `tell` hears each step when it is found.
    """

    tell: Callable[[Step], object] = lambda _: None
    redaction: Redaction = field(default_factory=Redaction)
    steps: list[Step] = field(default_factory=list)
    example: dict[str, str] = field(default_factory=dict)
    requests: int = 0

    def add(
        self, state: str, name: str, told: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        masked = self.redaction.value(dict(settings or {}))
        step = Step(state, name, self.redaction.text(told), masked)
        self.steps.append(step)
        self.tell(step)

    def show(self, row: Mapping[str, Any]) -> None:
        """Takes a row as the example event."""
        # Masked before it is shortened: half a key is a secret, too.
        masked = self.redaction.value(dict(row))
        self.example = {name: shown(value) for name, value in masked.items()}

    @property
    def failed(self) -> Step | None:
        """The first failed step."""
        return next((step for step in self.steps if step.state == FAILED), None)

    def markdown(self) -> str:
        """The report for the UI."""
        rows = [[step.state, step.name, _cell(step.told)] for step in self.steps]
        parts = [tabulate(rows, headers=["", "step", "finding"], tablefmt="github")]
        for step in self.steps:
            if step.settings:
                parts.append(f"For {step.name}, set:\n\n```toml\n{step.toml()}\n```")
        if self.example:
            table = tabulate(
                [[name, _cell(value)] for name, value in self.example.items()],
                headers=["column", "an example event"],
                tablefmt="github",
                disable_numparse=True,
            )
            parts.append(table)
        return "\n\n".join(parts)


def line_of(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(name)} = {line_of(item)}" for name, item in value.items())
        return f"{{ {inner} }}"
    return str(tomlkit.item(value).as_string())


def _key(name: str) -> str:
    return tomlkit.key(name).as_string()


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(value: Any) -> str:
    """A value in a few characters."""
    if value is None:
        return "null"
    return textwrap.shorten(str(value), 70, placeholder=" …") or '""'


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def lines(step: Step, width: int) -> str:
    """A step as aligned text; `width` is that of the widest name."""
    indent = " " * (8 + width + 2)
    text = textwrap.fill(
        f"{step.state:<8}{step.name:<{width}}  {step.told}",
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if step.settings:
        text += f"\n{indent}set in .dlt/config.toml:\n" + textwrap.indent(
            step.toml(), indent + "  "
        )
    return text
