"""Backfills on 1, 2 and 4 worker processes, into DuckDB and PostgreSQL, several rounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.scale import Backfill, Cost, backfiller, every_backfill
from benchmarks.scale_page import document, write
from benchmarks.server import ROOT

Runs = dict[str, tuple[Backfill, list[Cost | str]]]
A_PATH = click.Path(path_type=Path)


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--scale", is_flag=True, hidden=True)
@click.option("--events", default=30_000, help="Events of a backfill.")
@click.option("--few", default=3_000, help="Events of the backfills that show the fixed cost.")
@click.option("--many", default=1_000_000, help="Events of the large ones.")
@click.option("--large", is_flag=True, help="Also --many events, once.")
@click.option("--latency", default=50, help="Milliseconds for each request.")
@click.option("--every", default="quarter", help="The span of start times of a window.")
@click.option("--rounds", default=2, help="Rounds of all but the large ones.")
@click.option("--only", multiple=True, help="Only those whose name has this in it.")
@click.option("--results", type=A_PATH, default=ROOT / "benchmarks" / "results", help="A folder.")
@click.option("--page", type=A_PATH, default=ROOT / "docs" / "scale.md", help="Gets a copy.")
def main(
    scale: bool,  # noqa: ARG001 - what has brought us here
    only: tuple[str, ...],
    results: Path,
    page: Path,
    large: bool,
    every: str,
    events: int,
    few: int,
    many: int,
    latency: int,
    rounds: int,
) -> None:
    backfills = every_backfill(events, few, many if large else 0)
    runs: Runs = {
        name: (backfill, [])
        for name, backfill in backfills.items()
        if not only or any(part in name for part in only)
    }
    if not runs:
        raise click.UsageError(f"no backfill is named so; there are: {'; '.join(backfills)}")
    text = ""
    for found in rounds_of(runs, rounds, many, latency / 1000, every):
        text = write(found, results, page)
    click.echo(f"\n{text}")


def rounds_of(
    runs: Runs, rounds: int, many: int, latency: float, every: str
) -> Iterator[dict[str, Any]]:
    """Runs all backfills so often, those of so `many` events once; gives after each of them all
    that was measured."""
    with backfiller(latency, every) as run:
        for number in range(rounds):
            for name, (backfill, costs) in runs.items():
                if number and backfill.events == many:
                    continue
                costs.append(cost := run(name, backfill))
                told = cost if isinstance(cost, str) else f"{cost.seconds:7.1f} s"
                click.echo(f"{told}  {name}")
                yield document(runs, latency, every)
