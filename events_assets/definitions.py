"""The code location: puts the definitions together, nothing else."""

import dagster as dg
from dagster_dlt import DagsterDltResource

from events_assets.defs import assets, checks, daily_events, jobs, schedules, sensors
from events_assets.defs.resources import EventsApi

defs = dg.Definitions(
    assets=[assets.events, daily_events.daily_events],
    asset_checks=dg.load_asset_checks_from_modules([checks]),
    jobs=[jobs.events_job, jobs.daily_events_job, jobs.check_api_job],
    schedules=[schedules.events_schedule],
    sensors=[sensors.events_sensor],
    resources={"events_api": EventsApi(), "dlt": DagsterDltResource()},
    # A process for each step would import Dagster and dlt anew, seconds each time.
    executor=dg.in_process_executor,
)
