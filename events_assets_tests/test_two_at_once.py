"""Two loads into one warehouse at once: one waits for the other, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import dagster as dg
import pytest

from benchmarks.loads import PROJECT
from events_assets import warehouse
from events_assets.errors import WarehouseError
from events_assets_tests.conftest import event, load
from events_assets_tests.model import COUNTS

pytestmark = pytest.mark.slow  # each loads several times

RECEIPTS = f"SELECT {COUNTS} FROM scan_receipts ORDER BY started_at"
OVERLAPPING = """
SELECT run_id FROM (SELECT *, lag(finished_at) OVER (ORDER BY started_at) AS before
FROM scan_receipts) AS receipts WHERE started_at < before
"""


def test_threads_load_one_after_the_other(serve, rows):
    serve()
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            some = [event(number, tags=["a"]) for number in range(200)]
            assert {*threads.map(load, [some] * 4)} == {(202, 200, 2, 0)}
    for table in ("events", "events__tags", "event_changes"):
        assert rows(f"SELECT count(*) FROM {table}") == [(200,)]
    assert rows(RECEIPTS) == [(200, 0, 0, 0)] + [(0, 0, 200, 0)] * 11
    assert rows(OVERLAPPING) == []


def test_a_thread_that_waits_in_vain_is_told_for_what(serve, monkeypatch):
    serve()
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__LOCK_TIMEOUT", "0.1")
    with warehouse.loading(), ThreadPoolExecutor(1) as threads:
        error = threads.submit(load, [event(1)]).exception()
    assert isinstance(error, WarehouseError)
    assert str(error).startswith("another load of this process kept the warehouse for 0.1 s")


def test_two_dagster_homes_load_one_after_the_other(serve, spawn, rows, project):
    api = serve([event(number, tags=["a"]) for number in range(300)])
    homes, waiting = [project / name for name in ("a", "b")], Event()
    api.intercept = lambda number, path: waiting.wait(60) and None

    def ended(run):
        for line in run.stderr:
            if "the warehouse is in use, waiting up to 300 s" in line:
                waiting.set()  # so that the other one is answered
        return run.wait()

    for home in homes:
        home.mkdir()
        (home / "dagster.yaml").touch()  # that of the project keeps its history in the project
    for expected in ((300, 0, 0, 0), (1, 1, 298, 1)):  # into no file, and into one that is there
        runs = [spawn(*PROJECT, DAGSTER_HOME=str(home)) for home in homes]
        with ThreadPoolExecutor(2) as threads:
            assert [*threads.map(ended, runs)] == [0, 0] and waiting.is_set()
        waiting.clear()
        assert rows(RECEIPTS)[-2:] == [expected, (0, 0, 300, 0)]
        api.events[5] = event(5, event_name="Renamed")
        api.events[:1] = [event(1000)]
    assert rows(OVERLAPPING) == [] and rows("SELECT count(*) FROM current_events") == [(300,)]
    receipts = dict(rows("SELECT run_id, rows_inserted FROM scan_receipts"))
    for home in homes:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            found = instance.fetch_materializations(dg.AssetKey("events"), limit=9).records
        for one in found:
            metadata = one.asset_materialization.metadata
            assert metadata["rows_inserted"].value == receipts.pop(one.run_id)
    assert not receipts
