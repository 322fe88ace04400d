"""The schedule and the sensor launch what they should, once."""

import dagster as dg
import pytest

from events_assets.definitions import defs
from events_assets_tests.conftest import ROOT, event


@pytest.fixture
def tick(instance):
    """Evaluates the sensor once, on the cursor that the tick before left."""
    sensor = defs.resolve_sensor_def("events_sensor")
    state = {"cursor": None}

    def tick():
        context = dg.build_sensor_context(
            instance=instance, cursor=state["cursor"], definitions=defs
        )
        data = sensor.evaluate_tick(context)
        state["cursor"] = data.cursor
        return data

    return tick


def test_a_load_launches_one_run_of_the_daily_job(serve, run, tick):
    serve([event(1)])
    assert "not been materialized" in tick().skip_message
    assert run().success
    (request,) = tick().run_requests
    assert request.run_key.startswith("events-")
    assert defs.resolve_sensor_def("events_sensor").job_name == "daily_events_job"
    assert "no new materialization" in tick().skip_message


def test_a_restarted_daemon_asks_with_the_same_run_key(serve, run, instance):
    serve([event(1)])
    assert run().success
    sensor = defs.resolve_sensor_def("events_sensor")
    keys = {
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests[0].run_key
        for _ in range(2)
    }
    assert len(keys) == 1


def test_a_load_that_changed_nothing_launches_nothing(serve, run, tick):
    api = serve([event(1), event(2)])
    assert run().success and tick().run_requests
    assert run("daily_events_job").success
    api.events.reverse()
    assert run().success
    assert "changed nothing" in tick().skip_message
    api.events[0]["status"] = "cancelled"
    assert run().success
    assert tick().run_requests


def test_events_that_failed_their_checks_launch_nothing(serve, run, tick):
    serve([event(1, end_time="2020-01-01T00:00:00Z")])
    assert not run().success
    assert "failed" in tick().skip_message
    assert "no new materialization" in tick().skip_message


def test_the_sensor_waits_for_the_checks_of_a_running_load(instance, tick):
    run = instance.create_run_for_job(defs.resolve_job_def("events_job"))
    instance.report_dagster_event(
        dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name="events_job",
            event_specific_data=materialized(),
        ),
        run_id=run.run_id,
    )
    assert "waiting for the end of run" in tick().skip_message
    instance.report_run_failed(run)
    assert "failed" in tick().skip_message


def materialized():
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(dg.AssetMaterialization("events"))


def test_the_schedule_is_hourly_and_off_by_default():
    schedule = defs.resolve_schedule_def("events_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 * * * *", "UTC")
    assert schedule.job_name == "events_job"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.build_schedule_context() as context:
        assert len(schedule.evaluate_tick(context).run_requests) == 1


def test_cron_and_time_zone_come_from_the_configuration(python, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__SCHEDULE__CRON", "30 6 * * 1")
    monkeypatch.setenv("SOURCES__EVENTS__SCHEDULE__TIMEZONE", "Europe/Warsaw")
    told = python(
        "from events_assets.definitions import defs;"
        "s = defs.resolve_schedule_def('events_schedule');"
        "print(s.cron_schedule, s.execution_timezone)"
    )
    assert told.stdout == "30 6 * * 1 Europe/Warsaw\n"


def test_runs_that_write_share_a_pool_with_room_for_one():
    text = (ROOT / "dagster.yaml").read_text()
    assert "granularity: run" in text and "default_limit: 1" in text
    for job in ("events_job", "daily_events_job"):
        for node in defs.resolve_job_def(job).all_node_defs:
            assert node.pools == {"warehouse"}
