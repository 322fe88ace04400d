"""All events are read window by window, side by side, and loaded as one scan."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import dagster as dg
import psutil
import pytest

from events_assets import configuration
from events_assets.definitions import defs
from events_assets.defs.backfill import executor
from events_assets.defs.partitions import by_window, partitions
from events_assets.paging.windows import Window
from events_assets.sample_api import Answer
from events_assets.settings import WindowSettings
from events_assets_tests.calendars import WINDOWS, Calendar, moved
from events_assets_tests.conftest import (
    ROOT,
    event,
    failure,
    forget_providers,
    load_configured,
)

DAGSTER = [
    sys.executable,
    *["-m", "dagster", "job", "execute", "-m", "events_assets.definitions", "-j"],
]
JOB = "events_backfill_job"
FOLDER = Path("data/backfill")


def receipts(rows, *columns):
    return rows(f"SELECT {', '.join(columns)} FROM scan_receipts ORDER BY started_at, resource")


def test_all_windows_make_one_scan_with_a_receipt_for_each(calendar, run, rows):
    calendar.events[:2] = [moved(1, "2026-06-01T00:00:00Z"), moved(500, "2026-07-31T00:00:00Z")]
    assert run(JOB).success
    assert rows("SELECT count(*) FROM current_events") == [(150,)]
    names = ("resource", "verdict", "proof", "rows_inserted", "rows_updated", "rows_removed")
    whole = ("events", "complete", "two equal passes", 1, 1, 1)
    assert receipts(rows, *names)[1] == whole
    windows = receipts(rows, "resource", "scan_kind", "verdict", "rows_loaded")[2:]
    assert {(kind, verdict) for _, kind, verdict, _ in windows} == {("window", "complete")}
    assert [name for name, *_ in windows] == [
        "events from 1970-01-01T00:00:00Z to 2026-05-01T00:00:00Z",
        "events from 2026-04-30T23:59:59Z to 2026-06-01T00:00:00Z",
        "events from 2026-05-31T23:59:59Z to 2026-07-01T00:00:00Z",
        "events from 2026-06-30T23:59:59Z to 2100-01-01T00:00:00Z",
    ]
    assert sum(loaded for *_, loaded in windows) == 150
    assert not [*FOLDER.iterdir()]


@pytest.mark.slow
def test_a_wrong_year_makes_no_window_of_each_month_up_to_it(calendar, run, rows):
    calendar.events += [moved(500, "1971-01-01T00:00:00Z"), moved(501, "2099-01-01T00:00:00Z")]
    load_configured()
    calendar.asked.clear()
    assert run(JOB).success
    assert len({query.get("until") for query in calendar.asked}) == 5
    assert rows("SELECT count(*) FROM current_events") == [(152,)]


def test_the_load_asks_for_nothing_that_was_read(calendar, run, rows):
    assert run(JOB).success
    pages = [json.dumps(query) for query in calendar.asked]
    assert {*map(pages.count, pages)} == {2}
    assert receipts(rows, "requests")[1] == (len(pages),)


def run_with(instance, config=None):
    """Runs the job with a configuration of its own."""
    job = defs.resolve_job_def(JOB)
    return job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)


RESUME = {"ops": {"plan_windows": {"config": {"resume": True}}}}


@pytest.mark.slow
def test_a_window_that_fails_is_tried_again_alone(calendar, run, rows):
    failures = iter(range(4))  # as many as one try makes attempts
    calendar.refuses = lambda query: (
        "2026-06-01" in query.get("until", "") and next(failures, 9) < 9
    )
    assert run(JOB).success
    assert receipts(rows, "verdict", "retries")[1] == ("complete", 0)  # of tries that succeeded
    starts = [query.get("from") for query in calendar.asked if query["offset"] == "0"]
    assert {start: starts.count(start) for start in starts} == {
        None: 2,
        "1970-01-01T00:00:00Z": 2,
        "2026-04-30T23:59:59Z": 6,
        "2026-05-31T23:59:59Z": 2,
        "2026-06-30T23:59:59Z": 2,
    }


@pytest.mark.slow
def test_a_backfill_that_broke_off_is_resumed_where_it_stopped(calendar, run, rows, instance):
    calendar.events.append(moved(500, "2026-07-01T00:00:00Z"))
    calendar.refuses = lambda query: query.get("until", "").startswith("2026-07")
    broken = run(JOB)
    assert not broken.success and "answers 500" in failure(broken, "read_windows_1")
    assert rows("SELECT count(*) FROM events") == [(150,)]
    calendar.refuses = lambda query: False
    calendar.asked.clear()
    assert run_with(instance, RESUME).success
    first_pass = [query["until"][:7] for query in calendar.asked[:3]]
    assert first_pass == ["2026-07"] * 3  # and not those that had been read
    assert receipts(rows, "verdict", "rows_inserted")[1] == ("complete", 1)
    told = failure(run_with(instance, RESUME), "plan_windows")
    assert told == "there is no backfill to resume: leave resume out"


@pytest.mark.slow
def test_a_list_that_changes_between_the_passes_is_read_once_more(calendar, run, rows):
    second = (n for n in range(1000) if n)
    grown = moved(500, "2026-06-15T00:00:00Z")

    def change(query):
        if "from" not in query and next(second) == 2:  # the second pass begins
            calendar.events.append(grown)
        return False

    calendar.refuses = change
    assert run(JOB).success
    assert receipts(rows, "verdict", "scans", "rows_inserted")[1] == ("complete", 3, 1)
    assert rows("SELECT count(*) FROM current_events") == [(151,)]


@pytest.mark.slow
def test_what_was_loaded_meanwhile_is_neither_overwritten_nor_removed(calendar, run, rows):
    hourly = iter([True])

    def load_between(query):
        if "from" not in query and next(hourly, False):
            before = [*calendar.events]
            calendar.events[:] = [*before[1:], moved(500, "2026-06-15T00:00:00Z")]
            calendar.events[5] = event(6, event_name="Renamed", end_time=None)
            load_configured()
            calendar.events[:] = before
        return False

    calendar.refuses = load_between
    assert run(JOB).success
    assert rows("SELECT event_name FROM events WHERE id = 6") == [("Renamed",)]
    gone = rows("SELECT id, _removed_at IS NULL FROM events WHERE id IN (0, 500) ORDER BY id")
    assert gone == [(0, False), (500, True)]
    assert receipts(rows, "verdict", "rows_removed", "rows_excluded")[1] == ("complete", 0, 2)


@pytest.mark.slow
def test_no_secret_gets_into_the_files_of_a_backfill(calendar, run, rows):
    key = "key-of-the-tests"
    calendar.events.append(moved(500, "2026-06-15T00:00:00Z") | {"note": f"asked with {key}"})
    calendar.refuses = lambda query: query.get("until", "").startswith("2100")
    assert not run(JOB).success
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        assert key.encode() not in path.read_bytes()
        for name in ZipFile(path).namelist() if path.suffix == ".zip" else ():
            assert key.encode() not in ZipFile(path).read(name)


@pytest.mark.slow
def test_windows_with_more_rows_than_may_be_paged_through_are_halved(
    calendar, run, rows, monkeypatch
):
    monkeypatch.setenv("SOURCES__EVENTS__WINDOWS__MAX_ROWS", "30")
    calendar.refuses = lambda query: int(query["offset"]) >= 30
    assert run(JOB).success
    windows = receipts(rows, "resource", "verdict", "rows_loaded")[2:]
    assert len(windows) > 6 and {verdict for _, verdict, _ in windows} == {"complete"}
    assert sum(loaded for *_, loaded in windows) == 150


def test_an_api_without_windows_is_read_as_a_whole(serve, run, rows):
    serve([event(number) for number in range(250)])
    assert run(JOB).success
    assert receipts(rows, "resource", "verdict", "rows_loaded") == [("events", "complete", 250)]


@pytest.mark.slow
def test_the_sample_api_is_read_wherever_it_listens(run, monkeypatch, rows):
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__READ_AHEAD", "4")
    assert run(JOB).success
    query = "SELECT verdict, rows_loaded, requests FROM events_sample.scan_receipts"
    ((verdict, loaded, requests),) = rows(query)
    assert (verdict, loaded) == ("complete", 1200) and 12 <= requests < 24


@pytest.mark.slow
def test_where_each_event_has_a_start_windows_hold_all_without_a_total(
    calendar, run, rows, monkeypatch
):
    answer = Calendar.__call__

    def without_total(self, number, path):
        found = answer(self, number, path)
        return Answer(found.status, {"data": found.document["data"]})

    monkeypatch.setattr(Calendar, "__call__", without_total)
    assert run(JOB).success
    monkeypatch.setenv("SOURCES__EVENTS__WINDOWS__UNDATED", "false")
    assert run(JOB).success
    whole = rows("SELECT verdict FROM scan_receipts WHERE resource = 'events' ORDER BY started_at")
    assert whole[1:] == [("unproven",), ("complete",)]


def test_one_pass_proves_nothing(calendar, run, rows, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__PASSES", "1")
    assert run(JOB).success
    assert receipts(rows, "verdict", "scans")[1] == ("unproven", 1)


@pytest.mark.slow
def test_events_that_fail_a_blocking_check_fail_the_job_and_are_not_built_on(
    calendar, run, rows, instance
):
    calendar.events[:1] = [event(0, end_time="2020-01-01T00:00:00Z")]
    calendar.events += [event(1000 + n, end_time="2020-01-01T00:00:00Z") for n in range(9)]
    result = run(JOB)
    assert "events_end_after_they_start" in failure(result, "check_windows")
    assert rows("SELECT count(*) FROM events") == [(159,)]
    evaluations = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert len(evaluations) == 7 and not evaluations["events_end_after_they_start"]
    with dg.build_sensor_context(instance, definitions=defs) as context:
        outcome = defs.resolve_sensor_def("events_sensor")(context)
    assert "failed events_end_after_they_start" in str(outcome)


def test_a_backfill_is_followed_like_any_load(calendar, run, instance):
    calendar.events.pop()
    assert run(JOB).success
    with dg.build_sensor_context(instance, definitions=defs) as context:
        assert isinstance(defs.resolve_sensor_def("events_sensor")(context), dg.RunRequest)


def test_an_executor_that_is_not_there_is_named(configure, run, monkeypatch):
    configure(WINDOWS)
    monkeypatch.setenv("SOURCES__EVENTS__BACKFILL__EXECUTOR", "spark")
    told = failure(run(JOB), "plan_windows")
    assert told.startswith(
        "executor in [sources.events.backfill] is 'spark', which cannot be imported"
    )


@pytest.mark.parametrize(
    ("every", "cuts"),
    [
        ("day", ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"]),
        ("week", ["2024-02-26"]),
        ("month", ["2024-02-01", "2024-03-01"]),
        ("quarter", ["2024-01-01"]),
        ("year", ["2024-01-01"]),
    ],
)
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"])
def test_neighbouring_windows_share_a_moment_and_reach_to_the_ends(every, cuts, form):
    whole = Window.whole(WindowSettings(start_param="a", end_param="b", format=form))
    parts = whole.parts(
        every, datetime(2024, 2, 28, 9, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC)
    )
    assert [f"{part.end:%Y-%m-%d}" for part in parts[:-1]] == cuts
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    for before, after in pairwise(parts):
        assert after.start < before.end and after.parameters()["a"] != before.parameters()["b"]


def done_elsewhere(run, home):
    """Whether the last run ended well, in other processes than its own, and told no key."""
    out, err = run.communicate()
    assert run.returncode == 0, err[-3000:]
    assert "key-of-the-tests" not in out + err
    with dg.DagsterInstance.from_config(home) as instance:
        (last,) = instance.get_runs(limit=1)
        events = instance.all_logs(last.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return events and run.pid not in {one.dagster_event.pid for one in events}


def test_a_local_cluster_of_dask_reads_what_one_process_would(calendar, spawn, rows, project):
    cluster = {"cluster": {"local": {"n_workers": 1, "dashboard_address": None}}}
    env = {
        "SOURCES__EVENTS__BACKFILL__EXECUTOR": "dask",
        "SOURCES__EVENTS__BACKFILL__WORKERS": "2",
        "SOURCES__EVENTS__BACKFILL__EXECUTOR_CONFIG": json.dumps(cluster),
        "DAGSTER_HOME": str(project / "home"),
    }
    (project / "home").mkdir()
    calendar.events.append(moved(500, "2026-06-15T00:00:00Z"))
    assert done_elsewhere(spawn(*DAGSTER, JOB, **env), env["DAGSTER_HOME"])
    assert receipts(rows, "verdict", "rows_loaded", "rows_inserted")[1] == ("complete", 151, 1)


def test_readers_that_are_killed_lose_only_the_window_they_were_at(calendar, spawn, rows, project):
    env = {
        "SOURCES__EVENTS__BACKFILL__EXECUTOR": "multiprocess",
        "SOURCES__EVENTS__BACKFILL__WORKERS": "2",
        "DAGSTER_HOME": str(project / "home"),
    }
    (project / "home").mkdir()
    calendar.events.append(moved(500, "2026-06-15T00:00:00Z"))
    runs = []

    def kill(query):
        if query.get("until", "").startswith("2100") and len(runs) == 1:
            for reader in psutil.Process(runs[0].pid).children(recursive=True):
                reader.kill()
        return False

    calendar.refuses = kill
    runs.append(spawn(*DAGSTER, JOB, **env))
    assert runs[0].communicate() and runs[0].returncode == 1
    done = {path.name for path in FOLDER.glob("*/*.zip")}
    assert "until_2100_01_01.1.zip" not in done
    calendar.asked.clear()
    (project / "resume.yaml").write_text(json.dumps(RESUME))
    runs.append(spawn(*DAGSTER, JOB, "-c", "resume.yaml", **env))
    assert done_elsewhere(runs[1], env["DAGSTER_HOME"])
    assert receipts(rows, "verdict", "rows_loaded", "rows_inserted")[1] == ("complete", 151, 1)
    asked = [
        query.get("until", "count")[:10].replace("-", "_")
        for query in calendar.asked
        if query["offset"] == "0"
    ]
    for name in done:
        assert (
            asked.count(name.removeprefix("until_").removesuffix(".1.zip")) == 1
        )  # the second pass


def backfill_job():
    return defs.resolve_job_def(JOB)


@pytest.mark.slow
def test_a_run_is_executed_again_from_its_failure(calendar, instance, rows):
    job = dg.reconstructable(backfill_job)
    calendar.events.append(moved(500, "2026-07-01T00:00:00Z"))
    calendar.refuses = lambda query: query.get("until", "").startswith("2026-07")
    with dg.execute_job(job, instance) as broken:
        assert not broken.success
    calendar.refuses = lambda query: False
    calendar.asked.clear()
    again = dg.ReexecutionOptions.from_failure(broken.run_id, instance)
    with dg.execute_job(job, instance, reexecution_options=again) as mended:
        assert mended.success
    assert [query["until"][:7] for query in calendar.asked[:3]] == ["2026-07"] * 3
    assert receipts(rows, "verdict", "rows_inserted")[1] == ("complete", 1)


def test_a_month_is_loaded_alone_as_a_partition(calendar, instance, rows):
    months = by_window(partitions(), "month")
    calendar.events[:2] = [moved(1, "2026-06-30T23:00:00Z"), moved(500, "2026-06-15T00:00:00Z")]
    calendar.events += [moved(501, "2026-07-15T00:00:00Z")]
    result = dg.materialize(
        [months, *defs.assets],
        selection=[months],
        partition_key="2026-06-01",
        instance=instance,
        resources=defs.resources,
    )
    assert result.success
    ids = "SELECT id FROM current_events WHERE id IN (0, 500, 501) ORDER BY id"
    assert rows(ids) == [(0,), (500,)]  # nothing is removed, and nothing of July was asked for
    assert rows("SELECT event_name FROM events WHERE start_time = '2026-06-30T23:00:00Z'") != []
    (found,) = receipts(rows, "scan_kind", "verdict", "reason", "rows_removed")[1:]
    kind, verdict, reason, removed = found
    assert (kind, verdict, removed) == ("window", "complete", 0)
    assert reason.startswith("of the events from 2026-05-31T23:59:59Z to 2026-07-01T00:00:00Z: ")
    assert instance.get_materialized_partitions(months.key) == {"2026-06-01"}
    assert {query.get("until") for query in calendar.asked} == {"2026-07-01T00:00:00Z"}


@pytest.mark.parametrize("every", ["day", "week", "month", "quarter", "year"])
def test_partitions_reach_from_the_first_event_to_those_still_to_come(
    configure, monkeypatch, every
):
    configure(WINDOWS)
    monkeypatch.setenv("SOURCES__EVENTS__BACKFILL__EVERY", every)
    monkeypatch.setenv("SOURCES__EVENTS__WINDOWS__INITIAL_VALUE", "2024-01-16")
    now = datetime.now(UTC)
    found = partitions()
    assert found.get_first_partition_window().start <= datetime(2024, 1, 16, tzinfo=UTC)
    last = found.get_last_partition_window()
    assert last.start <= now + timedelta(days=366) <= last.end


def test_without_windows_there_are_no_partitions():
    assert partitions() is None
    keys = defs.resolve_asset_graph().materializable_asset_keys
    assert {key.to_user_string() for key in keys} == {"events", "daily_events"}


def test_the_documented_lines_configure_a_backfill(project, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(project)
    documented = (ROOT / "docs" / "backfill.md").read_text(encoding="utf-8")
    executors = []
    for lines in re.findall(r"```toml\n(.*?)```", documented, re.DOTALL):
        (project / ".dlt" / "config.toml").write_text(lines, encoding="utf-8")
        forget_providers()
        executors.append(configuration.backfill_settings().executor)
        if executors == ["multiprocess"]:
            assert configuration.window_settings().end_param == "starts_before"
        if executors[-1] == "dask":
            job = dg.JobDefinition(graph_def=dg.GraphDefinition(name="a"), executor_def=executor())
            given = dg.validate_run_config(job, {})["execution"]
            assert given["dask"]["cluster"]["existing"]["address"].startswith("tcp://127.0.0.1")
    assert executors == ["multiprocess", "dask", "celery"]
