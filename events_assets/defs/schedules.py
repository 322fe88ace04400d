"""The schedule of `events_job`: cron and time zone from `[sources.events.schedule]`."""

import dagster as dg

from events_assets import configuration
from events_assets.defs.configured import configured
from events_assets.defs.jobs import events_job
from events_assets.errors import ConfigurationError
from events_assets.settings import ScheduleSettings


def schedule(settings: ScheduleSettings) -> dg.ScheduleDefinition:
    """`events_schedule` at the times that the settings say.

    Raises:
        ConfigurationError: they are no cron expression or no time zone.
    """
    try:
        return dg.ScheduleDefinition(
            name="events_schedule",
            job=events_job,
            cron_schedule=settings.cron,
            execution_timezone=settings.timezone,
            description="Loads and checks the events. Off until it is switched on.",
        )
    except dg.DagsterInvalidDefinitionError as error:
        raise ConfigurationError(
            f"wrong cron or timezone in [{configuration.SECTION}.schedule] of .dlt/config.toml: "
            f'{error} Write them like "0 * * * *" and "Europe/Lisbon"'
        ) from error


events_schedule = configured(
    lambda: schedule(configuration.schedule_settings()), schedule(ScheduleSettings())
)
