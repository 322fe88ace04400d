"""Runs may be killed, cancelled, or kept from the disk: the next one needs no help."""

import os
import random
import signal
import subprocess
import sys
import time
from threading import Event

import duckdb
import pytest

from events_assets_tests.conftest import ROOT, event

LOAD = """
import logging, sys
from events_assets import configuration, warehouse
from events_assets.source import events_source
with warehouse.loading() as pipeline:
    pipeline.drop()
    config = configuration.rest_api_config()
    source = events_source(config, configuration.api_key())
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
"""


@pytest.fixture
def load(spawn):
    """Starts a load in a process of its own."""
    return lambda: spawn(sys.executable, "-c", LOAD)


def test_a_load_killed_at_any_moment_leaves_all_or_nothing(serve, load, rows):
    dice = random.Random(4)
    asked = Event()

    def events(generation):
        name = f"generation {generation}"
        return [event(n, event_name=name, tags=[name, name]) for n in range(400)]

    def begun(generation):
        api.events[:] = events(generation)
        asked.clear()
        process = load()
        assert asked.wait(30)
        return process

    api = serve([])
    api.intercept = lambda number, path: asked.set() if "offset=396" in path else None
    seconds = []
    for _ in range(2):  # how long a load goes on after its last page
        process, started = begun(0), time.monotonic()
        assert process.wait() == 0
        seconds.append(time.monotonic() - started)
    for generation in range(1, 9):
        process = begun(generation)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, 0.8 * min(seconds)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        ((name, count),) = rows("SELECT event_name, count(*) FROM events GROUP BY 1")
        assert count == 400
        assert rows("SELECT value, count(*) FROM events__tags GROUP BY 1") == [(name, 800)]
    api.intercept = lambda number, path: None
    assert load().wait() == 0
    assert rows("SELECT event_name, count(*) FROM events GROUP BY 1") == [("generation 8", 400)]
    assert rows(
        "SELECT count(*) FROM scan_receipts WHERE _dlt_load_id NOT IN "
        "(SELECT load_id FROM _dlt_loads WHERE status = 0)"
    ) == [(0,)]


def test_a_receipt_without_its_load_is_forgotten(serve, run, rows, project):
    serve([event(1)])
    assert run().success
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute(
            "INSERT INTO events_data.scan_receipts "
            "SELECT * REPLACE ('killed' AS _dlt_load_id, now() + INTERVAL 1 HOUR AS started_at, "
            "'torn' AS verdict) FROM events_data.scan_receipts"
        )
    result = run()
    assert result.success
    assert rows("SELECT count(*) FROM scan_receipts WHERE _dlt_load_id = 'killed'") == [(0,)]


def test_a_clock_that_was_set_back_does_not_hide_the_last_scan(serve, run, rows, project):
    api = serve([event(1)])
    assert run().success
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute("UPDATE events_data.scan_receipts SET started_at = '2999-01-01'")
    api.events.append(event(1))
    assert not run().success


def test_a_load_waits_for_another_process_and_says_for_whom(serve, load, project, holder, rows):
    serve([event(1)])
    with holder(project / "data" / "events.duckdb") as other:
        process = load()
        assert process.stderr
        told = process.stderr.readline()
        assert "the warehouse is in use, waiting up to 300 s" in told
        assert f"PID {other.pid}" in told
    assert process.wait() == 0
    assert rows("SELECT id FROM events") == [(1,)]


def test_a_full_disk_leaves_the_tables_as_they_were(serve, load, rows):
    api = serve([event(n) for n in range(10)])
    assert load().wait() == 0
    before = rows("SELECT * FROM events ORDER BY id")
    api.events[:] = [event(n, event_name="x" * 20_000) for n in range(400)]
    limited = subprocess.run(
        ["bash", "-c", f"ulimit -f 2000; exec {sys.executable} -c '{LOAD}'"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert limited.returncode != 0
    assert rows("SELECT * FROM events ORDER BY id") == before
    assert load().wait() == 0
    assert rows("SELECT count(*) FROM events") == [(400,)]


def test_a_cancelled_load_stops_asking(serve, load):
    api = serve([event(n) for n in range(2000)])
    asked = Event()
    api.intercept = lambda number, path: asked.set() if number == 3 else None
    process = load()
    assert asked.wait(30)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    assert len(api.paths) < 21
