"""The benchmark runs, and a load that is wrong fails it, however fast."""

import json
import sys

import duckdb
import pytest
import requests

from benchmarks.events import event
from benchmarks.server import KEY, serving
from benchmarks.verification import COLUMNS, WronglyLoadedError, verify


def test_the_benchmark_runs_and_fills_its_page(spawn, tmp_path):
    only = ["plain", "project", "floor"]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    words = ["--events", "300", "--rounds", "1", "--results", tmp_path / "results", "--page", page]
    process = spawn(
        *[sys.executable, "-m", "benchmarks", *words],
        *[word for name in only for word in ("--only", name)],
    )
    _, told = process.communicate()
    assert process.returncode == 0, told
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert (tmp_path / "results" / "table.md").read_text() in text
    assert (tmp_path / "results" / "chart.png").stat().st_size > 10_000
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert list(results["loads"]) == only
    assert all(load["runs"][0]["peak_bytes"] > 2**25 for load in results["loads"].values())


def test_its_api_answers_what_is_expected_in_the_table():
    with serving(950) as url:
        page = requests.get(f"{url}/v1/events?api_key={KEY}&offset=900&limit=500", timeout=5).json()
        assert requests.get(f"{url}/v1/events?api_key=another", timeout=5).status_code == 401
    assert page["total"] == 950
    expected = [event(number)._asdict() for number in range(900, 950)]
    assert [{name: row[name] for name in expected[0]} for row in page["data"]] == expected


@pytest.mark.parametrize(
    "fault",
    [
        "SELECT 1",
        "UPDATE events_data.events SET event_name = 'another' WHERE id = 3",
        "UPDATE events_data.events SET end_time = start_time WHERE id = 3",
        "DELETE FROM events_data.events WHERE id = 3",
        "INSERT INTO events_data.events SELECT * FROM events_data.events WHERE id = 3",
    ],
)
def test_a_wrong_load_is_found(project, fault):
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute(
            "CREATE SCHEMA events_data; CREATE TABLE events_data.events (id BIGINT, "
            "event_name TEXT, start_time TIMESTAMPTZ, end_time TIMESTAMPTZ, status TEXT, "
            "capacity BIGINT, price DOUBLE, tags TEXT[])"
        )
        for number in range(5):
            tags = [""] * (number % 4)
            connection.execute(
                f"INSERT INTO events_data.events ({COLUMNS}, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [*event(number), tags],
            )
        connection.execute(fault)
    if fault == "SELECT 1":
        verify(project, 5)
    else:
        with pytest.raises(WronglyLoadedError):
            verify(project, 5)
