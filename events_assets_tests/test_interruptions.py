"""Runs may be killed, cancelled, or kept from the disk: the next one needs no help."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from threading import Event

import duckdb
import pytest

from events_assets import warehouse
from events_assets_tests import conftest
from events_assets_tests.conftest import ROOT, event, load_configured
from events_assets_tests.forks import Forks
from events_assets_tests.model import COUNTS, Model, by_id
from events_assets_tests.test_changes_only import BY_PARAM, CLIENT, ChangingEvents
from events_assets_tests.test_in_step import changed_rows

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


FINISHED = f"""
SELECT started_at, scan_kind = 'full' AND verdict = 'complete', {COUNTS}
FROM scan_receipts JOIN _dlt_loads ON load_id = _dlt_load_id ORDER BY load_id
"""
UNFINISHED = """
SELECT DISTINCT _changed_at FROM events WHERE _dlt_load_id NOT IN
(SELECT load_id FROM _dlt_loads UNION ALL SELECT _dlt_load_id FROM event_versions)
"""


class RestlessEvents(ChangingEvents):
    """Events that change between loads, and while they are read unless they are `still`; `came` are
    the rows that a load was given."""

    def __init__(self, api):
        super().__init__(api)
        self.chance, self.came, self.number, self.still = random.Random(4), [], 0, False

    def edit(self):
        """Some rows change, go, come and return; one that cannot be loaded comes and goes."""
        before, self.number, self.came = {**self.rows}, self.number + 1, []
        events = [row for row in before.values() if "id" in row]
        after = {row["id"]: row for row in changed_rows(self.chance, events, self.number)}
        if self.number % 4 < 2:
            after[99] = {"event_name": f"without id {self.number // 4}"}
        self.rows = {}
        for key, row in after.items():
            stays = before.get(key, {}) | {"updated_at": 0} == row | {"updated_at": 0}
            self.rows[key] = before[key] if stays else row | {"updated_at": now()}

    def answer(self, number, path):
        if self.rows and not self.still and self.chance.random() < 0.2:
            key = self.chance.choice([*self.rows])
            self.rows[key] = self.rows[key] | {
                "event_name": f"renamed {number}",
                "updated_at": now(),
            }
        answer = super().answer(number, path)
        answer.document["data"] = answer.document["data"][:5]
        self.came += answer.document["data"]
        return answer


def now():
    return datetime.now(UTC).isoformat()


def test_a_load_killed_at_any_moment_is_gone_on_with(serve, configure, spawn, rows, project):
    configure(CLIENT + BY_PARAM)
    api, model, ends = RestlessEvents(serve()), Model(), Counter()
    forks, finished, merged = Forks(spawn), 0, []

    def load(dies_at=0):
        nonlocal finished, merged
        api.edit()
        every = api.chance.choice(["0", "24"])
        code = forks.load(dies_at, SOURCES__EVENTS__SYNC__FULL_SCAN_EVERY=every)
        assert code == 0 or (dies_at and code == -signal.SIGKILL)
        receipts, unfinished = rows(FINISHED), rows(UNFINISHED)
        if len(receipts) > finished:
            at, is_full, *counts = receipts[-1]
            assert model.load(api.came, at, is_full) == tuple(counts)
            ends["finished"] += code != 0
        elif unfinished and unfinished != merged:
            model.merge(by_id(api.came), *unfinished[0])
            ends["merged"] += 1
        finished, merged = len(receipts), unfinished
        return code

    load()
    for moment in count(1):
        if load(dies_at=moment) == 0:
            break
        if moment % 2:
            load()
            model.is_held(rows)
    api.still = True
    load()
    model.is_held(rows)
    assert all(model.rows[key] == row for key, row in api.rows.items() if key != 99)
    assert [path.name for path in (project / "data").iterdir()] == ["events.duckdb"]
    assert moment > 9 and ends["merged"] and ends["finished"]


@pytest.mark.slow
def test_a_row_set_aside_again_by_a_load_that_was_killed_then_stands_there_once(
    serve, rows, monkeypatch
):
    serve()
    with monkeypatch.context() as killed:  # before the last thing that a load does
        killed.setattr(warehouse, "forget_superseded", lambda *_: None)
        for _ in range(2):
            conftest.load([event(1), {"event_name": "without id"}])
    conftest.load([event(1)])
    assert rows("SELECT count(*) FROM quarantined_events") == [(1,)]


def test_a_receipt_without_its_load_is_forgotten(serve, run, rows, project):
    serve([event(1)])
    load_configured()
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute(
            "INSERT INTO events_data.scan_receipts "
            "SELECT * REPLACE ('killed' AS _dlt_load_id, now() + INTERVAL 1 HOUR AS started_at, "
            "'torn' AS verdict) FROM events_data.scan_receipts"
        )
    result = run()
    assert result.success
    assert rows("SELECT count(*) FROM scan_receipts WHERE _dlt_load_id = 'killed'") == [(0,)]


@pytest.mark.slow
def test_a_clock_that_was_set_back_does_not_hide_the_last_scan(serve, run, rows, project):
    api = serve([event(1)])
    load_configured()
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
