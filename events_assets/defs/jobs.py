"""Jobs: to load and check the events, to build on them, and to try the API beforehand."""

import dagster as dg

from events_assets.defs.check_api import try_api
from events_assets.defs.configured import TABLES

events_job = dg.define_asset_job(
    "events_job",
    selection=dg.AssetSelection.assets(*TABLES),
    description="Loads the events of the configured API into the warehouse and checks them.",
)

daily_events_job = dg.define_asset_job(
    "daily_events_job",
    selection=dg.AssetSelection.assets("daily_events"),
    description="Counts the events per day and status.",
)


@dg.job
def check_api_job() -> None:
    """Tries the configured API with a few requests, and reports what a load would find."""
    try_api()
