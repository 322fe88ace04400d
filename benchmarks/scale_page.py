"""Writes what backfills took, and what that makes for more events than were measured."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.report import machine
from benchmarks.scale import Backfill, Cost, median

SECTIONS = re.compile(r"(<!-- (results|reckoned) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
SIZES = (10**6, 10**7, 10**8)
ROWS, PASSES, WORKERS, PRICE = 100, 2, 4, 1.0
"""Of a request; over all events; that read at once; of 1,000 requests."""

MEASURED = (
    (f"GB of answers kept, {PASSES} passes", "kept_bytes", 1e9, "duckdb", ",.1f"),
    ("GB of the DuckDB file", "database_bytes", 1e9, "duckdb", ",.1f"),
    ("GB in PostgreSQL", "database_bytes", 1e9, "postgres", ",.1f"),
    ("CPU hours of all workers", "worker_cpu", 3600, "duckdb", ",.2f"),
    ("CPU hours of the load into DuckDB", "load_cpu", 3600, "duckdb", ",.2f"),
    ("CPU hours of the load into PostgreSQL", "load_cpu", 3600, "postgres", ",.2f"),
    ("GB of memory of the load into DuckDB", "load_bytes", 1e9, "duckdb", ",.1f"),
    ("GB of memory of the load into PostgreSQL", "load_bytes", 1e9, "postgres", ",.1f"),
)
"""Title, name in `Cost`, unit, destination and form of what grows with the events."""

CURVED = ("load_cpu", "load_bytes")
"""Grow otherwise up to some 100,000 events, so that small backfills tell nothing of large ones."""

Runs = Mapping[str, tuple[Backfill, Sequence[Cost | str]]]


def document(runs: Runs, latency: float, every: str) -> dict[str, Any]:
    """All that was measured, as JSON has it; of loads that were not run, why."""
    return {
        "machine": machine(),
        "latency": latency,
        "every": every,
        "loads": [
            asdict(backfill) | {"runs": [c if isinstance(c, str) else asdict(c) for c in costs]}
            for backfill, costs in runs.values()
            if costs
        ],
    }


def write(found: dict[str, Any], folder: Path, page: Path) -> str:
    """Writes `scale.json`, and the tables between the markers of a page; gives these back."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scale.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    tables = {"results": results(found), "reckoned": reckoned(found)}
    if page.exists():
        before = page.read_text(encoding="utf-8")
        text = SECTIONS.sub(lambda at: f"{at[1]}\n{tables[at[2]]}\n\n{at[3]}", before)
        page.write_text(text, encoding="utf-8")
    return "\n\n".join(tables.values())


def results(found: dict[str, Any]) -> str:
    """The table of what was measured."""
    alone = {
        (backfill.paging, backfill.destination, backfill.events): median(costs).reading
        for backfill, costs in _loads(found)
        if backfill.workers == 1 and not isinstance(costs, str)
    }
    lines = [_line(backfill, costs, alone) for backfill, costs in _loads(found)]
    headers = ["load", "into", "events", "seconds", "reading", "to 1 worker", "loading"]
    headers += ["CPU s, all", "CPU s, workers", "CPU s, load", "MB, worker", "MB, load"]
    table = tabulate(
        lines, headers, "github", disable_numparse=True, colalign=("left", "left", *["right"] * 10)
    )
    rounds = max(len(load["runs"]) for load in found["loads"])
    taken = "Measured once" if rounds == 1 else f"Medians of up to {rounds} rounds"
    costs = [cost for _, costs in _loads(found) if not isinstance(costs, str) for cost in costs]
    windows = max((cost.windows for cost in costs), default=0)
    return (
        f"{table}\n\n{taken}, {found['latency'] * 1000:g} ms a request, {windows} windows of "
        f"at most a {found['every']}. Measured on {found['machine']}."
    )


def _line(backfill: Backfill, costs: list[Cost] | str, alone: Mapping[Any, float]) -> list[str]:
    about = [backfill.title, backfill.destination, f"{backfill.events:,}"]
    if isinstance(costs, str):
        return [*about, f"not run: {costs}", *[""] * 8]
    cost = median(costs)
    one = alone.get((backfill.paging, backfill.destination, backfill.events), 0.0)
    ratio = cost.reading / one if one else 0.0
    cpu = (cost.cpu_seconds, cost.worker_cpu, cost.load_cpu)
    memory = (cost.worker_bytes / 1e6, cost.load_bytes / 1e6)
    figures = [
        *(_figure(seconds, ",.1f") for seconds in (cost.seconds, cost.reading)),
        _figure(ratio, ".2f"),
        *(_figure(seconds, ",.1f") for seconds in (cost.loading, *cpu)),
        *(_figure(size, ",.0f") for size in memory),
    ]
    return [*about, *figures]


def _figure(number: float, form: str) -> str:
    return format(number, form) if number else ""


def reckoned(found: dict[str, Any]) -> str:
    """The table of what more events take, each figure with how it is known."""
    latency = found["latency"]
    by_hand: list[tuple[str, Callable[[int], float], str]] = [
        (f"requests: {PASSES} passes of {ROWS} rows each", requests, ",.0f"),
        ("hours at 60 requests a minute", lambda n: requests(n) / 60 / 60, ",.1f"),
        ("hours at 10 requests a second", lambda n: requests(n) / 10 / 3600, ",.1f"),
        ("hours at 100 requests a second", lambda n: requests(n) / 100 / 3600, ",.1f"),
        (
            f"hours of waiting, {latency * 1000:g} ms a request, {WORKERS} workers by cursor",
            lambda n: requests(n) * latency / WORKERS / 3600,
            ",.1f",
        ),
        (f"money, at {PRICE:.2f} for 1,000 requests", lambda n: requests(n) / 1000 * PRICE, ",.0f"),
    ]
    lines = [
        *(
            (title, *(format(of(n), form) for n in SIZES), "reckoned")
            for title, of, form in by_hand
        ),
        *(_grown(found, *measured) for measured in MEASURED),
    ]
    headers = ["", *(f"{events:,} events" for events in SIZES), "how it is known"]
    align = ("left", *["right"] * 3, "left")
    return tabulate(lines, headers, "github", disable_numparse=True, colalign=align)


def requests(events: int) -> float:
    return PASSES * events / ROWS


def _grown(
    found: dict[str, Any], title: str, name: str, unit: float, into: str, form: str
) -> tuple[str, ...]:
    """A straight line through the smallest and the largest backfill that were measured."""
    sizes = {
        backfill.events: getattr(median(costs), name) / unit
        for backfill, costs in _loads(found)
        if backfill == Backfill("cursor", WORKERS, into, backfill.events)
        if not isinstance(costs, str)
    }
    if len(sizes) < 2 or (name in CURVED and max(sizes) < SIZES[0]):
        return (title, *["not measured"] * len(SIZES), "")
    few, many = min(sizes), max(sizes)
    each = (sizes[many] - sizes[few]) / (many - few)
    figures = (format(sizes[few] + each * (events - few), form) for events in SIZES)
    return (title, *figures, f"measured to {many:,}, beyond it reckoned")


def _loads(found: dict[str, Any]) -> list[tuple[Backfill, list[Cost] | str]]:
    loads: list[tuple[Backfill, list[Cost] | str]] = []
    for load in found["loads"]:
        backfill = Backfill(**{name: load[name] for name in Backfill.__dataclass_fields__})
        runs = load["runs"]
        told = next((one for one in runs if isinstance(one, str)), None)
        loads.append((backfill, told or [Cost(**one) for one in runs]))
    return loads
