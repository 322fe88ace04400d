"""The schedule of `events_job`: cron and time zone from `[sources.events.schedule]`."""

import dagster as dg

from events_assets.configuration import schedule_settings
from events_assets.defs.jobs import events_job

_settings = schedule_settings()

events_schedule = dg.ScheduleDefinition(
    name="events_schedule",
    job=events_job,
    cron_schedule=_settings.cron,
    execution_timezone=_settings.timezone,
    description="Loads and checks the events. Off until it is switched on.",
)
