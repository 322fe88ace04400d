"""A load that is late shows, and one whose process died is made again."""

import shutil
from datetime import timedelta

import dagster as dg
import pytest

from events_assets.definitions import defs
from events_assets.defs.schedules import LATE, stale_after
from events_assets.settings import ScheduleSettings
from events_assets_tests.conftest import ROOT


@pytest.mark.parametrize(
    ("cron", "zone", "hours"),
    [
        ("0 * * * *", "UTC", 2),
        ("*/30 * * * *", "UTC", 1.5),
        ("@daily", "UTC", 24 + 3),
        ("0 9 * * 1-5", "Europe/Lisbon", 72 + 3),
        ("*/10 9-17 * * 1-5", "UTC", 63 + 10 / 60 + 3),
        ("0 0 1 * *", "UTC", 31 * 24 + 3),
    ],
)
def test_the_pauses_of_a_schedule_are_not_taken_for_lateness(cron, zone, hours):
    assert stale_after(ScheduleSettings(cron=cron, timezone=zone)) == timedelta(hours=hours)


def test_what_the_schedule_builds_has_a_freshness_policy():
    windows = {
        key.to_user_string(): spec.freshness_policy.fail_window.to_timedelta()
        for spec in defs.resolve_all_asset_specs()
        if (key := spec.key) and spec.freshness_policy
    }
    # One is built when events changed, the other with each load.
    assert windows == {"events": LATE, "daily_events": LATE + timedelta(days=7)}


@dg.op
def fail() -> None:
    raise ValueError("for a known reason, each time")


@dg.job(executor_def=dg.in_process_executor)
def failing() -> None:
    fail()


def test_a_run_whose_process_died_starts_again_and_one_that_failed_does_not(tmp_path):
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        failed = failing.execute_in_process(instance=instance, raise_on_error=False)
        died = instance.create_run_for_job(failing)
        instance.report_run_failed(died)
        will_retry = [
            instance.get_run_by_id(run_id).tags["dagster/will_retry"]
            for run_id in (failed.run_id, died.run_id)
        ]
    assert will_retry == ["false", "true"]
