"""The schedule of `events_job`: cron and time zone from `[sources.events.schedule]`; how old the
events may get by it.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from events_assets import configuration
from events_assets.defs.configured import configured
from events_assets.defs.jobs import EVENTS, events_job
from events_assets.settings import ScheduleSettings

# Without NOT_STARTED: a tick that was broken off has made its run already, and the daemon repeats
# the tick to launch it.
UNDER_WAY = [dg.DagsterRunStatus(word) for word in ("QUEUED", "STARTING", "STARTED", "CANCELING")]


def load_unless_under_way(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run of the job, unless another one would only queue up behind a load."""
    for record in context.instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY)):
        run = record.dagster_run
        if run.job_name == events_job.name or _loads_events(context.instance, run.run_id):
            return dg.SkipReason(
                f"run {run.run_id} of {run.job_name}, which loads events, is "
                f"{run.status.value.lower()}; if its process is gone, terminate it in the UI"
            )
    return dg.RunRequest()


def _loads_events(instance: dg.DagsterInstance, run_id: str) -> bool:
    planned = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    )
    return any(record.asset_key == EVENTS for record in planned.records)


def schedule_at(settings: ScheduleSettings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="events_schedule",
        job=events_job,
        cron_schedule=settings.cron,
        execution_timezone=settings.timezone,
        execution_fn=load_unless_under_way,
        description=(
            "Loads and checks the events, unless a load is under way. Off until it is switched on."
        ),
    )


def configured_schedule() -> dg.ScheduleDefinition:
    """`events_schedule` at the times that are configured. Raises ConfigurationError where there is
    no such time zone, or `cron` is no cron expression."""
    settings = configuration.schedule_settings()
    try:
        return schedule_at(settings)
    except dg.DagsterInvalidDefinitionError as error:
        raise configuration.mistake(
            "schedule.cron", f"is {settings.cron!r}, but should be like '0 * * * *': {error}"
        ) from error


events_schedule = configured(configured_schedule, schedule_at(ScheduleSettings()))

TICKS = 200
"""Ticks of the schedule that are looked at, from a Friday noon on: before the longest pauses."""


def longest_pause(settings: ScheduleSettings) -> timedelta:
    """The longest time between two ticks, that of a weekend, say."""
    at = datetime(2026, 1, 2, 12, tzinfo=ZoneInfo(settings.timezone))
    # The only of Dagster's public names that steps along a cron expression.
    ticks = dg.TimeWindowPartitionsDefinition(
        start=at, fmt="%Y-%m-%d %H:%M", cron_schedule=settings.cron, timezone=settings.timezone
    )
    pauses: list[float] = []
    while len(pauses) < TICKS and (
        window := ticks.get_next_partition_window(at, respect_bounds=False)
    ):
        pauses.append(window.end.timestamp() - window.start.timestamp())
        at = window.end
    return timedelta(seconds=max(pauses))


def stale_after(settings: ScheduleSettings) -> timedelta:
    """The age of a load at which the next one is late: after the longest pause of the schedule, and
    as much again for the load itself, but one hour at least, and three at most."""
    pause = longest_pause(settings)
    return pause + min(max(pause, timedelta(hours=1)), timedelta(hours=3))


LATE = configured(
    lambda: stale_after(configuration.schedule_settings()), stale_after(ScheduleSettings())
)
DAILY_LATE = LATE + timedelta(days=7)
"""Of `daily_events`, which is built when events changed, not each time they were loaded."""
