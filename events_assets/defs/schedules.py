"""The schedule of `events_job`: cron and time zone from `[sources.events.schedule]`."""

import dagster as dg

from events_assets import configuration
from events_assets.defs.configured import configured
from events_assets.defs.jobs import events_job
from events_assets.settings import ScheduleSettings


def schedule_at(settings: ScheduleSettings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="events_schedule",
        job=events_job,
        cron_schedule=settings.cron,
        execution_timezone=settings.timezone,
        description="Loads and checks the events. Off until it is switched on.",
    )


def configured_schedule() -> dg.ScheduleDefinition:
    """`events_schedule` at the times that are configured.

    Raises:
        ConfigurationError: there is no such time zone, or `cron` is no cron expression.
    """
    settings = configuration.schedule_settings()
    try:
        return schedule_at(settings)
    except dg.DagsterInvalidDefinitionError as error:
        raise configuration.mistake(
            "schedule.cron", f"is {settings.cron!r}, but should be like '0 * * * *': {error}"
        ) from error


events_schedule = configured(configured_schedule, schedule_at(ScheduleSettings()))
