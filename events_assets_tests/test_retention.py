"""Old runs leave the Dagster instance, and nothing that is still needed."""

import dagster as dg
import pytest

from events_assets.definitions import defs
from events_assets.recorded import Plan
from events_assets_tests.conftest import event
from events_assets_tests.test_backfill import FOLDER


@pytest.mark.slow  # seven jobs
def test_the_history_of_dagster_does_not_grow_for_ever(serve, project, monkeypatch):
    serve([event(1)])
    (project / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(project / "dagster")) as instance:

        def run(job):
            definition = defs.resolve_job_def(job)
            return definition.execute_in_process(instance=instance).run_id

        backfills = [run("events_backfill_job") for _ in range(2)]
        loads, days = [run("events_job") for _ in range(2)], run("daily_events_job")
        mistaken = instance.create_run_for_job(
            defs.resolve_job_def("events_job"), tags={".dagster/repository": "of@another.project"}
        )
        instance.report_run_failed(mistaken)
        first = run("retention_job")
        assert {*_runs(instance)} == {*backfills, *loads, days, mistaken.run_id, first}
        monkeypatch.setenv("SOURCES__EVENTS__RETENTION__RUNS", "1e-9")
        second = run("retention_job")
        assert {*_runs(instance)} == {
            *(backfills[1], loads[1], days),
            *(mistaken.run_id, second),
        }
        left = [str(path) for path in (project / "dagster").rglob("*")]
        assert not [path for path in left if loads[0] in path or first in path]
        assert instance.get_latest_materialization_event(dg.AssetKey("events")).run_id == loads[1]


def test_what_a_backfill_read_and_never_loaded_is_deleted_once_it_is_old(
    serve, instance, run, monkeypatch
):
    serve([event(1)])
    backfill = defs.resolve_job_def("events_backfill_job")
    first = instance.create_run_for_job(backfill)
    again = instance.create_run_for_job(
        backfill,
        root_run_id=first.run_id,
        parent_run_id=first.run_id,
        status=dg.DagsterRunStatus.STARTED,
    )
    instance.delete_run(first.run_id)
    for name in (first.run_id, "of-another-instance"):
        Plan.new(name, None, None)
    assert run("retention_job").success
    assert {plan.folder.name for plan in Plan.every()} == {first.run_id, "of-another-instance"}
    monkeypatch.setenv("SOURCES__EVENTS__RETENTION__RUNS", "1e-9")
    assert run("retention_job").success
    assert [plan.folder.name for plan in Plan.every()] == [first.run_id]
    instance.report_run_failed(again)
    assert run("retention_job").success
    assert not [*FOLDER.iterdir()]


def _runs(instance):
    return [run.run_id for run in instance.get_runs()]
