"""Jobs: `events_job` loads and checks the events, `daily_events_job` builds on them."""

import dagster as dg

from events_assets.assets import events
from events_assets.daily_events import daily_events

events_job = dg.define_asset_job(
    "events_job",
    selection=dg.AssetSelection.assets(events),
    description="Loads the events of the configured API into the warehouse and checks them.",
)

daily_events_job = dg.define_asset_job(
    "daily_events_job",
    selection=dg.AssetSelection.assets(daily_events),
    description="Counts the events per day and status.",
)
