"""A backfill on a Dask cluster whose scheduler and workers are processes of their own."""

import json
import sys
import threading

import dagster as dg
import pytest

from events_assets_tests.calendars import moved
from events_assets_tests.postgres import free_port
from events_assets_tests.test_backfill import DAGSTER, FOLDER, JOB, RESUME, receipts

pytestmark = pytest.mark.slow

DASK = [sys.executable, "-m", "dask"]
ON_LOOPBACK = ["--host", "127.0.0.1", "--no-dashboard"]
KEY = "key-of-the-tests"
ROWS = "SELECT id, event_name, start_time FROM current_events ORDER BY id"
JOB_OF = """
from events_assets.definitions import defs
def backfill_job():
    return defs.resolve_job_def("events_backfill_job")
"""
AGAIN = """
import dagster as dg
from again import backfill_job
with dg.DagsterInstance.get() as instance:
    broken = instance.get_runs(limit=1)[0].run_id
    options = dg.ReexecutionOptions.from_failure(broken, instance)
    job = dg.reconstructable(backfill_job)
    with dg.execute_job(job, instance, reexecution_options=options) as result:
        assert result.success
"""


class Cluster:
    """A scheduler, and as many workers as are started."""

    def __init__(self, spawn, home):
        self._spawn, self._port = spawn, str(free_port())
        self._address = f"tcp://127.0.0.1:{self._port}"
        existing = {"cluster": {"existing": {"address": self._address}}}
        self.settings = {
            "SOURCES__EVENTS__BACKFILL__EXECUTOR": "dask",
            "SOURCES__EVENTS__BACKFILL__WORKERS": "2",
            "SOURCES__EVENTS__BACKFILL__EXECUTOR_CONFIG": json.dumps(existing),
            "DAGSTER_HOME": str(home),
        }
        self.scheduler = spawn(*DASK, "scheduler", *ON_LOOPBACK, "--port", self._port)
        self.workers = []

    def work(self):
        words = [*DASK, "worker", self._address, *ON_LOOPBACK, "--no-nanny"]
        self.workers.append(self._spawn(*words, "--local-directory", "worker", **self.settings))

    def run(self, *words):
        return self._spawn(*DAGSTER, JOB, *words, **self.settings)


@pytest.fixture
def cluster(calendar, spawn, project):
    (project / "home").mkdir()
    calendar.events[:2] = [moved(1, "2026-06-01T00:00:00Z"), moved(500, "2026-07-31T00:00:00Z")]
    return Cluster(spawn, project / "home")


def started(home):
    """The steps of the last run that began, each with its process."""
    begun = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
    with dg.DagsterInstance.from_config(home) as instance:
        (run,) = instance.get_runs(limit=1)
        logs = instance.all_logs(run.run_id, of_type=begun)
    return [(one.dagster_event.step_key, one.dagster_event.pid) for one in logs]


def in_step(rows, calendar):
    """Whether each row is there as the API has it, and no other."""
    answered = [(one["id"], one["event_name"], one["start_time"]) for one in calendar.events]
    there = [(*names, start.isoformat()) for *names, start in rows(ROWS)]
    return there == sorted((n, name, s.replace("Z", "+00:00")) for n, name, s in answered)


def test_workers_elsewhere_lose_no_row_and_tell_no_key(into_postgres, cluster, calendar, project):
    both, met = threading.Barrier(2), []

    def meet(query):
        if query.get("until", "2026-05").startswith("2026-05") and len(met) < 2:
            met.append(query)
            both.wait(300)  # for the other worker
        return False

    calendar.refuses = meet
    for _ in range(2):
        cluster.work()
    run = cluster.run()
    told = "".join(run.communicate())
    assert run.returncode == 0, told[-3000:]
    names = ("resource", "verdict", "rows_inserted", "rows_updated", "rows_removed")
    assert receipts(into_postgres, *names)[1] == ("events", "complete", 1, 1, 1)
    assert in_step(into_postgres, calendar)
    pids = {pid for _, pid in started(cluster.settings["DAGSTER_HOME"])}
    assert pids == {one.pid for one in cluster.workers}
    for one in (*cluster.workers, cluster.scheduler):
        one.terminate()
        told += "".join(one.communicate())
    assert KEY not in told
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_what_a_killed_worker_was_at_is_read_by_another(cluster, calendar, rows):
    def kill_the_worker(query):
        if query.get("until", "").startswith("2026-07") and len(cluster.workers) == 1:
            cluster.workers[0].kill()
            cluster.work()
        return False

    calendar.refuses = kill_the_worker
    cluster.work()
    run = cluster.run()
    _, err = run.communicate()
    assert run.returncode == 0, err[-6000:]
    assert in_step(rows, calendar)
    assert [step for step, _ in started(cluster.settings["DAGSTER_HOME"])].count(
        "read_windows_2"
    ) == 2
    starts = [one["until"] for one in calendar.asked if "until" in one and one["offset"] == "0"]
    assert starts.count("2026-05-01T00:00:00Z") == 2  # and not a third time


def test_what_was_read_outlives_the_cluster(cluster, calendar, rows, spawn, project):
    def kill_the_cluster(query):
        if query.get("until", "").startswith("2026-07"):
            for one in (cluster.scheduler, *cluster.workers):
                one.kill()
        return False

    calendar.refuses = kill_the_cluster
    cluster.work()
    run = cluster.run()
    _, err = run.communicate()
    assert run.returncode == 1
    assert "ClusterError: the Dask cluster does not go on: " in err
    done = {path.name for path in FOLDER.glob("*/*.1.zip")}
    assert "until_2026_07_01.1.zip" not in done and done
    calendar.refuses = lambda query: False
    calendar.asked.clear()
    (project / "resume.yaml").write_text(json.dumps(RESUME))
    other = Cluster(spawn, project / "home")
    other.work()
    run = other.run("-c", "resume.yaml")
    assert run.communicate() and run.returncode == 0
    assert in_step(rows, calendar)
    starts = [one.get("until", "count") for one in calendar.asked if one["offset"] == "0"]
    names = [f"{start[:10].replace('-', '_')}" for start in starts]
    for name in done:
        assert names.count(name.removeprefix("until_").removesuffix(".1.zip")) == 1


def test_a_step_that_fails_is_tried_again_and_executed_again(
    cluster, calendar, rows, spawn, project
):
    calendar.refuses = lambda query: query.get("until", "").startswith("2026-07")
    cluster.work()
    run = cluster.run()
    assert run.communicate() and run.returncode == 1
    steps = [step for step, _ in started(cluster.settings["DAGSTER_HOME"])]
    assert sorted(steps) == ["plan_windows", "read_windows_1", *["read_windows_2"] * 3]
    calendar.refuses = lambda query: False
    (project / "again.py").write_text(JOB_OF)
    again = spawn(sys.executable, "-c", AGAIN, **cluster.settings)
    _, err = again.communicate()
    assert again.returncode == 0, err[-3000:]
    steps = [step for step, _ in started(cluster.settings["DAGSTER_HOME"])]
    assert sorted(steps) == [
        *("check_windows", "load_windows"),
        *("read_windows_1_again", "read_windows_2", "read_windows_2_again"),
    ]
    assert in_step(rows, calendar)


def test_of_two_runs_on_one_cluster_each_does_its_work(cluster, calendar, rows):
    first, go = threading.Event(), threading.Event()

    def hold(query):
        if not first.is_set():
            first.set()
            go.wait(600)
        return False

    calendar.refuses = hold
    for _ in range(2):
        cluster.work()
    one = cluster.run()
    assert first.wait(300)
    two = cluster.run()
    try:
        assert two.communicate(timeout=300) and two.returncode == 0
    finally:
        go.set()
    assert len(started(cluster.settings["DAGSTER_HOME"])) == 7
    assert one.communicate() and one.returncode == 0
    assert in_step(rows, calendar)
