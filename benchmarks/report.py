"""Writes what was measured: a Markdown table, JSON, a chart, and the table in the documentation."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.children import Usage, median
from benchmarks.loads import Load
from benchmarks.measures import Measure

PACKAGES = ("dagster", "dagster-dlt", "dlt", "duckdb", "pyarrow")
RESULTS = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)
OURS, THEIRS = "#2a6fb0", "#b8bec6"

Loads = Mapping[str, Load]
Runs = Mapping[str, Sequence[Usage]]
"""What each run of a load used, by the name of the load."""


def write(loads: Loads, runs: Runs, measures: Sequence[Measure], folder: Path, page: Path) -> str:
    """Writes `table.md`, `results.json` and `chart.png`; puts the table between the markers of a
    page, too, and gives it back."""
    tables = [_loads_table(loads, runs), _measures_table(measures), f"Measured on {machine()}."]
    text = "\n\n".join(tables) + "\n"
    document = {
        "machine": machine(),
        "loads": {
            name: {
                "load": asdict(replace(loads[name], command=_without_folders(loads[name].command))),
                "runs": [asdict(usage) for usage in usages],
            }
            for name, usages in runs.items()
        },
        "measures": [asdict(measure) for measure in measures],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(text, encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _chart(loads, runs).savefig(folder / "chart.png", dpi=100)
    if page.exists():
        before = page.read_text(encoding="utf-8")
        page.write_text(RESULTS.sub(lambda _: f"\n{text}\n", before), encoding="utf-8")
    return text


def _without_folders(command: list[str]) -> list[str]:
    return [Path(word).name for word in command]


def _loads_table(loads: Loads, runs: Runs) -> str:
    lines = []
    for name, usages in runs.items():
        load, usage = loads[name], median(usages)
        times = sorted(usage.seconds for usage in usages)
        lines.append(
            (
                load.title,
                f"{load.events:,}" if load.events else "",
                f"{usage.seconds:.1f}",
                f"{times[0]:.1f} to {times[-1]:.1f}" if len(times) > 1 else "",
                f"{usage.cpu_seconds:.1f}",
                f"{usage.peak_bytes / 1e6:,.0f}",
            )
        )
    headers = ["load", "events", "seconds", "from, to", "CPU seconds", "peak MB"]
    align = ("left", *["right"] * 5)
    return tabulate(lines, headers, "github", disable_numparse=True, colalign=align)


def _measures_table(measures: Sequence[Measure]) -> str:
    def limit(ratio: float, most: float | None) -> str:
        return "" if most is None else f"{_ratio(most)} {'✓' if ratio <= most else '✗'}"

    lines = [
        (one.title, _ratio(one.ratio), limit(one.ratio, one.must), limit(one.ratio, one.aim))
        for one in measures
    ]
    headers = ["measure", "result", "must be at most", "aims at"]
    align = ("left", *["right"] * 3)
    return tabulate(lines, headers, "github", disable_numparse=True, colalign=align)


def _ratio(ratio: float) -> str:
    return f"1/{1 / ratio:.1f}" if 0 < ratio < 0.5 else f"{ratio:.2f}"


def _chart(loads: Loads, runs: Runs) -> Figure:
    """Seconds and memory of the loads of as many events as the first one, side by side."""
    events = next(iter(loads.values())).events
    usage = {
        loads[name].title: median(usages)
        for name, usages in runs.items()
        if loads[name].events in (events, 0) and loads[name].follows is None
    }
    figure = Figure(figsize=(10, 0.5 * len(usage) + 1), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    colors = [OURS if title == "this project" else THEIRS for title in usage]
    for axes, label, numbers in (
        (left, f"Seconds for {events:,} events", [one.seconds for one in usage.values()]),
        (right, "Peak memory in MB", [one.peak_bytes / 1e6 for one in usage.values()]),
    ):
        bars = axes.barh(list(usage), numbers, color=colors)
        axes.bar_label(bars, fmt="{:,.1f}" if axes is left else "{:,.0f}", padding=4)
        axes.set_title(label, loc="left", fontsize=11)
        axes.margins(x=0.15)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.xaxis.set_visible(False)
        axes.tick_params(length=0)
    left.invert_yaxis()
    return figure


def machine() -> str:
    info = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores ({models[0].strip() if models else platform.machine()}), "
        f"{memory:.0f} GB of memory, {platform.system()}; Python {platform.python_version()}, "
        f"{versions}"
    )
