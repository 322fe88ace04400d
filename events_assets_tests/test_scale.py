"""What the page about scale says is what was measured, and its arithmetic adds up."""

import json
import re
import sys
from itertools import pairwise

import pytest
import requests

from benchmarks.scale_page import SIZES, WORKERS, reckoned, results
from benchmarks.server import KEY, serving
from events_assets_tests.conftest import ROOT

PAGE = ROOT / "docs" / "scale.md"
COST = {"seconds": 20.0, "cpu_seconds": 9.0, "windows": 5}


def grown(events: int) -> dict[str, float]:
    return {"load_cpu": events * 0.36, "database_bytes": events * 1000}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def figures(start: str) -> list[float]:
    """The row of the page's table that starts so."""
    (row,) = re.findall(rf"^\| {re.escape(start)}.*", PAGE.read_text(), re.MULTILINE)
    return [float(cell.replace(",", "")) for cell in row.split("|")[2:5]]


def test_the_page_shows_what_was_measured():
    found = json.loads((ROOT / "benchmarks" / "results" / "scale.json").read_text())
    assert results(found) in PAGE.read_text() and reckoned(found) in PAGE.read_text()


def test_the_arithmetic_to_a_hundred_million_events_adds_up():
    requests = figures("requests")
    assert requests == [2 * events / 100 for events in SIZES] and SIZES[-1] == 10**8
    assert figures("money") == [each / 1000 for each in requests]
    for start, each_hour in (
        ("hours at 60 requests a minute", 60 * 60),
        ("hours at 10 requests a second", 10 * 3600),
        ("hours at 100 requests a second", 100 * 3600),
        ("hours of waiting", WORKERS / 0.05 * 3600),
    ):
        assert figures(start) == pytest.approx([n / each_hour for n in requests], abs=0.05)
    for start in (
        "CPU hours of all",
        "CPU hours of the load into D",
        "GB of answers",
        "GB of the D",
    ):
        assert figures(start)[2] == pytest.approx(10 * figures(start)[1], rel=0.2)


def test_what_was_measured_to_less_is_not_told_as_measured_to_a_million():
    sizes = {"duckdb": (3_000, 1_000_000), "postgres": (3_000, 30_000), "not run": (3_000, 10**9)}
    loads = [
        {"paging": "cursor", "workers": WORKERS, "destination": into, "events": events}
        | {"runs": ["no PostgreSQL" if into == "not run" else COST | grown(events)]}
        for into, both in sizes.items()
        for events in both
    ]
    found = {"latency": 0.05, "every": "quarter", "machine": "one", "loads": loads}
    lines = {row[0]: row[1:] for line in reckoned(found).splitlines() if (row := cells(line))}
    figures = ["100.00", "1,000.00", "10,000.00", "measured to 1,000,000, beyond it reckoned"]
    assert lines["CPU hours of the load into DuckDB"] == figures
    assert lines["CPU hours of the load into PostgreSQL"] == [*["not measured"] * 3, ""]
    figures = ["1.0", "10.0", "100.0", "measured to 30,000, beyond it reckoned"]
    assert lines["GB in PostgreSQL"] == figures
    assert "not run: no PostgreSQL" in results(found) and " 5 windows " in results(found)


def test_the_windows_of_its_api_hold_every_event():
    quarters = ["2025-12-31", "2026-04-01", "2026-07-01", "2026-10-01", "2027-01-01"]
    found = []
    with serving(730) as url:
        for start, end in pairwise(quarters):
            after = 0
            while after is not None:
                asked = {"api_key": KEY, "from": f"{start}T00:00:00Z", "until": f"{end}T00:00:00Z"}
                answer = requests.get(f"{url}/v1/events", {**asked, "after": after}, timeout=5)
                page = answer.json()
                found += [row["id"] for row in page["data"]]
                after = page["next"]
    assert sorted(found) == [*range(1, 731)]


def test_backfills_are_measured_and_fill_their_page(spawn, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- results -->\nold\n<!-- end of results -->\nb\n")
    words = ["--scale", "--events", "300", "--every", "year", "--rounds", "1", "--page", page]
    words += ["--results", tmp_path]
    process = spawn(sys.executable, "-m", "benchmarks", *words, "--only", "cursor, 1 worker, duck")
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert page.read_text().startswith("a\n<!-- results -->\n\n| load")
    assert page.read_text().endswith("\n\n<!-- end of results -->\nb\n")
    (load,) = json.loads((tmp_path / "scale.json").read_text())["loads"]
    (cost,) = load["runs"]
    assert min(cost.values()) > 0
    assert cost["worker_cpu"] + cost["load_cpu"] < cost["cpu_seconds"] < 4 * cost["seconds"]
