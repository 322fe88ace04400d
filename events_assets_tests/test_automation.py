"""The schedule and the sensor launch what they should, once."""

import dagster as dg
import pytest

from events_assets import warehouse
from events_assets.definitions import defs
from events_assets_tests.conftest import ROOT, event

pytestmark = pytest.mark.slow  # each loads several times


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
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=defs))
        .run_requests[0]
        .run_key
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


ERROR = dg.AssetCheckSeverity.ERROR
BACKWARDS = event(1, end_time="2020-01-01T00:00:00Z")


def mend():
    """Somebody mends the table by hand."""
    with warehouse.loading() as pipeline, pipeline.sql_client() as client:
        client.execute_sql("UPDATE events SET end_time = start_time")


def events_job():
    return defs.resolve_job_def("events_job")


@pytest.fixture
def checks(instance):
    """Executes checks of `events` in a run of their own, as the UI does."""

    def checks(*names):
        job = defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection=set(),
            asset_check_selection={dg.AssetCheckKey(dg.AssetKey("events"), name) for name in names},
        )
        return job.execute_in_process(instance=instance, raise_on_error=False)

    return checks


def test_events_that_failed_their_checks_launch_nothing(serve, run, tick):
    serve([BACKWARDS])
    assert not run().success
    for _ in range(2):
        assert "failed events_end_after_they_start:" in tick().skip_message


def test_a_load_whose_checks_pass_at_their_reexecution_is_followed_once(serve, run, tick, instance):
    serve([BACKWARDS])
    failed = run()
    assert "failed events_end_after_they_start:" in tick().skip_message
    mend()
    again = dg.execute_job(
        dg.reconstructable(events_job),
        instance,
        reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, instance),
    )
    assert again.success and not again.get_asset_materialization_events()
    (request,) = tick().run_requests
    assert request.run_key.startswith("events-")
    assert "no new materialization" in tick().skip_message


def test_a_load_is_followed_once_all_its_checks_have_passed_in_runs_of_their_own(
    serve, run, tick, checks
):
    serve([BACKWARDS])
    assert not run().success
    assert checks("event_ids_are_unique").success
    assert not checks("events_end_after_they_start").success
    assert "failed events_end_after_they_start:" in tick().skip_message
    mend()
    assert checks("events_end_after_they_start").success
    assert tick().run_requests
    assert "no new materialization" in tick().skip_message


def test_a_newer_load_takes_the_place_of_one_that_failed_its_checks(serve, run, tick):
    api = serve([BACKWARDS])
    assert not run().success
    assert tick().skip_message
    api.events[0] = event(1)
    assert run().success
    assert run().success
    assert len(tick().run_requests) == 1
    assert "no new materialization" in tick().skip_message


def test_of_two_loads_between_two_ticks_the_newer_one_counts(serve, run, tick):
    api = serve([event(1)])
    assert run().success
    api.events[0] = BACKWARDS
    assert not run().success
    assert "failed events_end_after_they_start:" in tick().skip_message


def test_a_load_that_is_planned_does_not_hide_that_the_last_one_passed(
    serve, run, tick, checks, instance
):
    serve([BACKWARDS])
    assert not run().success
    mend()
    assert checks("events_end_after_they_start").success
    queued = instance.create_run_for_job(events_job())
    assert tick().run_requests
    instance.report_run_failed(queued)
    assert "no new materialization" in tick().skip_message


def test_a_warning_does_not_hold_a_load_back(serve, run, tick, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__CHECKS__EVENTS_END_AFTER_THEY_START__SEVERITY", "warn")
    serve([BACKWARDS])
    result = run()
    assert result.success
    assert [e.check_name for e in result.get_asset_check_evaluations() if not e.passed] == [
        "events_end_after_they_start"
    ]
    assert tick().run_requests


@pytest.fixture
def load_only(instance):
    """Materializes `events` in a run without checks."""
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey("events")}, asset_check_selection=set()
    )

    def load_only():
        result = job.execute_in_process(instance=instance)
        assert not result.get_asset_check_evaluations()

    return load_only


def test_a_load_without_its_checks_is_followed_until_one_fails(serve, load_only, tick, checks):
    api = serve([BACKWARDS])
    load_only()
    assert tick().run_requests
    api.events.append(event(2))
    load_only()
    assert not checks("events_end_after_they_start").success
    assert "failed events_end_after_they_start:" in tick().skip_message


def test_what_a_check_found_in_an_earlier_load_is_not_held_against_a_later_one(
    serve, run, load_only, tick
):
    api = serve([BACKWARDS])
    assert not run().success
    api.events[0] = event(1)
    load_only()
    assert tick().run_requests


def test_a_check_that_does_not_block_does_not_hold_a_load_back(serve, run, tick, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__CHECKS__NO_EVENTS_WERE_QUARANTINED__TOLERATE", "0")
    serve([event(1), event(None)])
    (failed,) = [e for e in run().get_asset_check_evaluations() if not e.passed]
    assert (failed.check_name, failed.severity) == ("no_events_were_quarantined", ERROR)
    assert tick().run_requests


def test_a_run_that_failed_elsewhere_does_not_hold_back_a_load_that_passed(serve, instance, tick):
    @dg.asset(deps=["events"])
    def venues():
        raise ValueError("elsewhere")

    serve([event(1)])
    job = dg.define_asset_job("both", selection=dg.AssetSelection.assets("events", "venues"))
    theirs = dg.Definitions.merge(defs, dg.Definitions(assets=[venues], jobs=[job]))
    both = theirs.resolve_job_def("both")
    result = both.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success and all(e.passed for e in result.get_asset_check_evaluations())
    assert tick().run_requests


def test_an_evaluation_that_is_reported_by_hand_counts(serve, run, tick, instance):
    serve([BACKWARDS])
    assert not run().success
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("events"), check_name="events_end_after_they_start", passed=True
        )
    )
    assert tick().run_requests


def test_the_sensor_waits_for_the_checks_of_a_running_load(instance, tick):
    run = instance.create_run_for_job(events_job())
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
    for _ in range(2):
        skipped = tick().skip_message
        assert "ended before event" in skipped and "event_ids_are_unique" in skipped


def materialized():
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(dg.AssetMaterialization("events"))


def test_the_schedule_is_hourly_and_off_by_default():
    schedule = defs.resolve_schedule_def("events_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 * * * *", "UTC")
    assert schedule.job_name == "events_job"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


@pytest.fixture
def hour():
    """Evaluates the schedule once, on an instance that it returns with the evaluation."""
    schedule = defs.resolve_schedule_def("events_schedule")
    with dg.DagsterInstance.local_temp() as instance:

        def hour():
            with dg.build_schedule_context(instance) as context:
                return schedule.evaluate_tick(context)

        hour.instance = instance
        yield hour


def under_way(hour, job, status, **more):
    """A run of a job that nobody launched, in a status of one that somebody did."""
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )

    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ours"), "__repository__")
    return hour.instance.create_run_for_job(
        job, status=status, remote_job_origin=RemoteJobOrigin(repository, job.name), **more
    )


@pytest.mark.parametrize("status", ["QUEUED", "STARTING", "STARTED", "CANCELING"])
def test_loads_do_not_pile_up_behind_one_that_is_slower_than_the_schedule(hour, status):
    assert len(hour().run_requests) == 1
    run = under_way(hour, events_job(), status)
    told = hour()
    assert not told.run_requests
    assert told.skip_message.startswith(
        f"run {run.run_id} of events_job, which loads events, is {status.lower()};"
    )
    hour.instance.report_run_failed(run)
    assert len(hour().run_requests) == 1


def test_a_tick_does_not_replace_a_load_whose_checks_are_executed_again(hour):
    from dagster._core.execution.api import create_execution_plan

    checks = create_execution_plan(events_job(), step_keys_to_execute=["check_events"])
    under_way(hour, events_job(), "STARTED", execution_plan=checks)
    assert hour().skip_message


@pytest.mark.parametrize(("asset", "waits"), [("events", True), ("daily_events", False)])
def test_a_tick_waits_for_any_run_that_loads_events_and_for_no_other(hour, asset, waits):
    job = dg.define_asset_job("by_hand", selection=dg.AssetSelection.assets(asset))
    theirs = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("by_hand")
    under_way(hour, theirs, "STARTED")
    assert bool(hour().skip_message) is waits


def test_a_tick_that_was_broken_off_before_it_launched_its_run_is_no_reason_to_skip_it(hour):
    under_way(hour, events_job(), "NOT_STARTED")
    assert len(hour().run_requests) == 1


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
