"""Old runs leave the Dagster instance, and nothing that is still needed."""

import dagster as dg
import pytest

from events_assets.definitions import defs
from events_assets_tests.conftest import event


@pytest.mark.slow  # five jobs
def test_the_history_of_dagster_does_not_grow_for_ever(serve, project, monkeypatch):
    serve([event(1)])
    (project / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(project / "dagster")) as instance:

        def run(job):
            definition = defs.resolve_job_def(job)
            return definition.execute_in_process(instance=instance).run_id

        loads, days = [run("events_job") for _ in range(2)], run("daily_events_job")
        mistaken = instance.create_run_for_job(
            defs.resolve_job_def("events_job"), tags={".dagster/repository": "of@another.project"}
        )
        instance.report_run_failed(mistaken)
        first = run("retention_job")
        assert {*_runs(instance)} == {*loads, days, mistaken.run_id, first}
        monkeypatch.setenv("SOURCES__EVENTS__RETENTION__RUNS", "1e-9")
        second = run("retention_job")
        assert {*_runs(instance)} == {loads[1], days, mistaken.run_id, second}
        left = [str(path) for path in (project / "dagster").rglob("*")]
        assert not [path for path in left if loads[0] in path or first in path]
        assert instance.get_latest_materialization_event(dg.AssetKey("events")).run_id == loads[1]


def _runs(instance):
    return [run.run_id for run in instance.get_runs()]
