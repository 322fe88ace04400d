"""The events window by window as partitions, to be loaded anew from Dagster's own backfill page.

They are there where `[sources.events.windows]` says how to ask for a span of start times.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from events_assets import configuration
from events_assets.defs.assets import load
from events_assets.defs.configured import DESTINATION, configured
from events_assets.defs.failures import explained
from events_assets.defs.resources import POOL, EventsApi, LoadConfig
from events_assets.lists import Manner
from events_assets.paging.windows import Window, cuts
from events_assets.recorded import AROUND
from events_assets.rows.times import from_text
from events_assets.scan.window_scan import WindowScan

CRON = {
    "day": "0 0 * * *",
    "week": "0 0 * * 1",
    "month": "0 0 1 * *",
    "quarter": "0 0 1 */3 *",
    "year": "0 0 1 1 *",
}
YEARS = 10
"""Partitions begin so many years ago, and end in a year, where the configuration does not say when
events start."""


def partitions() -> dg.TimeWindowPartitionsDefinition | None:
    """Those of start times, None where the API cannot be asked for them."""
    settings, every = configuration.window_settings(), configuration.backfill_settings().every
    if not (settings.start_param and settings.end_param):
        return None
    set_by_user, now = settings.model_fields_set, datetime.now(UTC)
    first, last = datetime(now.year - YEARS, 1, 1, tzinfo=UTC), now + AROUND
    if "initial_value" in set_by_user:
        first = from_text(settings.initial_value, UTC)
    if "end_value" in set_by_user:
        last = from_text(settings.end_value, UTC)
    return dg.TimeWindowPartitionsDefinition(
        start=next(cuts(every, first, first)),
        end=last if last < now else None,
        cron_schedule=CRON[every],
        fmt="%Y-%m-%d",
        # Dagster's own partitions end today; most events are still to come.
        end_offset=sum(1 for _ in cuts(every, now, last)) if last > now else 0,
    )


def by_window(partitions: dg.TimeWindowPartitionsDefinition, every: str) -> dg.AssetsDefinition:
    """The asset of these partitions."""

    @dg.asset(
        name=f"events_by_{every}",
        partitions_def=partitions,
        group_name="backfill",
        kinds={"dlt", DESTINATION},
        pool=POOL,
        description=(
            f"The events that start in one {every}, asked for alone and loaded into `events`. "
            "None is marked as removed by that: an event may only have moved to another one. The "
            "next load of `events` checks them."
        ),
    )
    def events_by_window(context: dg.AssetExecutionContext, events_api: EventsApi) -> Iterator[Any]:
        span, told = context.partition_time_window, LoadConfig()
        with explained():
            settings = configuration.window_settings()
            # One more second at the start: where the API leaves out the ends of a window.
            window = Window(span.start - timedelta(seconds=1), span.end, settings)
            manner = Manner([window], is_counted=False, scan=WindowScan)
            with events_api.source(context.run.run_id, context.log, told, manner) as source:
                for result in load(context, source.with_resources("events")):
                    yield dg.MaterializeResult(metadata=result.metadata)

    return events_by_window


@dg.definitions
def windows() -> dg.Definitions:
    found = configured(partitions, None)
    every = configured(lambda: configuration.backfill_settings().every, "month")
    return dg.Definitions(assets=[by_window(found, every)] if found else [])
