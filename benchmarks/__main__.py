"""Loads the same events with this project, with plain dlt and as fast as can be, several rounds."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks.children import Usage, median
from benchmarks.loads import Load, Sizes, every_load, runner
from benchmarks.measures import measures
from benchmarks.report import write
from benchmarks.scale_command import main as scale_command
from benchmarks.server import ROOT

LARGE = ("many", "many_again", "many_unchanged", "checks")
OTHERS = ("parquet",)
NAMES = list(every_load(Sizes(**dict.fromkeys(Sizes.__annotations__, 0))))

A_PATH = click.Path(path_type=Path)


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--events", default=100_000, help="Events of a full load.")
@click.option("--few", default=100, help="Events of the load that shows the fixed cost.")
@click.option("--many", default=1_000_000, help="Events of the large load.")
@click.option("--latency", default=50, help="Milliseconds for each request, where there is any.")
@click.option("--latency-events", default=20_000, help="Events of the loads with latency.")
@click.option("--read-ahead", default=8, help="Requests under way in the loads with latency.")
@click.option("--rounds", default=3, help="Rounds of all loads but those that take minutes.")
@click.option("--plain-rounds", default=1, help="Rounds of plain dlt.")
@click.option("--rows", default=10_000_000, help="Rows of the large table that is checked.")
@click.option("--large", is_flag=True, help="Also --many events, and the checks of --rows rows.")
@click.option("--others", is_flag=True, help="Also plain dlt with Parquet files.")
@click.option("--scale", is_flag=True, help="Backfills instead: see --scale --help.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Only these loads.")
@click.option("--results", type=A_PATH, default=ROOT / "benchmarks" / "results", help="A folder.")
@click.option("--page", type=A_PATH, default=ROOT / "docs" / "performance.md", help="Gets a copy.")
def main(
    large: bool,
    others: bool,
    only: tuple[str, ...],
    results: Path,
    page: Path,
    latency: int,
    scale: bool,  # noqa: ARG001 - another command
    **numbers: int,
) -> None:
    sizes = Sizes(latency=latency / 1000, **numbers)
    left_out = (*(() if others else OTHERS), *(() if large else LARGE))
    loads = _chosen(every_load(sizes), only or [name for name in NAMES if name not in left_out])
    runs: dict[str, list[Usage]] = {name: [] for name in loads}
    checks: list[float] = []
    with runner() as run:
        for number in range(max(load.rounds for load in loads.values())):
            for name, load in loads.items():
                if number < load.rounds:
                    usage, folder = run(name, load)
                    runs[name].append(usage)
                    click.echo(f"{usage.seconds:7.1f} s {usage.peak_bytes / 1e6:6.0f} MB  {name}")
                    if name == "checks":
                        checks = json.loads((folder / "output.txt").read_text().splitlines()[-1])
    found = measures({name: median(usages) for name, usages in runs.items()}, sizes, checks)
    click.echo(f"\n{write(loads, runs, found, results, page)}")


def _chosen(loads: Mapping[str, Load], names: Sequence[str]) -> dict[str, Load]:
    chosen = {name: load for name, load in loads.items() if name in names}
    for load in chosen.values():
        if load.follows not in (None, *chosen):
            raise click.UsageError(f"'{load.title}' follows '{load.follows}', which is not run")
    return chosen


if __name__ == "__main__":
    (scale_command if "--scale" in sys.argv else main)()
