"""The schedule of `events_job`: cron and time zone from `[sources.events.schedule]`."""

import dagster as dg

from events_assets import configuration
from events_assets.defs.configured import configured
from events_assets.defs.jobs import events_job
from events_assets.errors import ConfigurationError
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
        ConfigurationError: they are no cron expression or no time zone.
    """
    settings = configuration.schedule_settings()
    try:
        return schedule_at(settings)
    except dg.DagsterInvalidDefinitionError as error:
        raise ConfigurationError(
            f"cron and timezone in [{configuration.SECTION}.schedule] of .dlt/config.toml are "
            f"{settings.cron!r} and {settings.timezone!r}, but should be like '0 * * * *' and "
            f"'Europe/Lisbon': {error}"
        ) from error


events_schedule = configured(configured_schedule, schedule_at(ScheduleSettings()))
