"""The asset `events`: dlt's REST API source, loaded into the warehouse."""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from dagster_dlt import DagsterDltTranslator, dlt_assets
from dagster_dlt.translator import DltResourceTranslatorData
from dlt import Pipeline
from dlt.extract import DltSource

from events_assets import warehouse
from events_assets.defs import schedules
from events_assets.defs.configured import DESTINATION, TABLES, tables
from events_assets.defs.failures import explained
from events_assets.defs.lineage import API, OWNERS, of_asset, with_code
from events_assets.defs.metadata import (
    last_receipts,
    load_metadata,
    replay_metadata,
    replay_summary,
    summary,
)
from events_assets.defs.resources import POOL, EventsApi, LoadConfig
from events_assets.descriptions import of_table
from events_assets.source import events_outline

DESCRIPTION = """
The events of the configured API, one row for each, kept in step with it. Lists within an event have
tables of their own, such as `events__tags`.

What each load shows below, under Metadata:

- `verdict`: `complete` where it is proven that nothing is missing, and by what; `torn` where rows
  are known to be missing; `unproven` where neither is so. `docs/faults.md` says more.
- `rows_inserted`, `rows_updated`, `rows_removed`: events that are new, that changed, and that the
  API does not give any more; these stay, with the time in `_removed_at`.
- `scan_seconds`, `requests`: how long it took to ask the API, and how often it was asked.
- `rows_quarantined`: rows that cannot be loaded, in `quarantined_events` with the reason.
- `changes_over_time`: what the last loads changed. Each line has a scale of its own.
- `receipt`: all numbers of the load, each explained, as they stand in `scan_receipts`.

`Plots` shows the numbers of all loads. What happened to which event is in `event_changes`.
"""


class EventsTranslator(DagsterDltTranslator):
    """Names each asset after its dlt resource, in the group `events`, downstream of the API."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        table = data.resource.name
        return dg.AssetSpec(
            key=table,
            deps=[API],
            group_name="events",
            kinds={"dlt", DESTINATION},
            tags={"source": "rest_api"},
            owners=OWNERS,
            description=DESCRIPTION if table == "events" else of_table(table),
            metadata=of_asset(table),
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=schedules.LATE),
        )


DLT_NAMES = {
    "dagster_dlt/source": "events",
    "dagster_dlt/pipeline": "events_assets",
    "dagster_dlt/translator": "EventsTranslator",
}
"""Where dagster-dlt keeps Python objects, which the UI cannot show; a run makes its own."""


def without_objects(assets: dg.AssetsDefinition) -> dg.AssetsDefinition:
    return assets.map_asset_specs(lambda spec: spec.merge_attributes(metadata=DLT_NAMES))


@without_objects
@with_code
@dlt_assets(
    name="load_events",
    dlt_source=events_outline(TABLES),
    # A pipeline writes its working folder when it is made; definitions write nothing.
    dlt_pipeline=cast(Pipeline, None),
    dagster_dlt_translator=EventsTranslator(),
    pool=POOL,
)
def events(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    events_api: EventsApi,
) -> Iterator[dg.MaterializeResult[Any]]:
    names = sorted(key.path[-1] for key in context.selected_asset_keys)
    with explained():
        # Where these are wrong, the definitions have the defaults: the run says what is wrong.
        tables()
        schedules.configured_schedule()
        with events_api.source(context.run.run_id, context.log, config) as source:
            yield from load(context, source.with_resources(*names), replay=config.replay)


def load(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    source: DltSource,
    replay: bool = False,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Loads what a source selects, and tells of each table what came of it."""
    with warehouse.loading(context.log) as pipeline:
        info = warehouse.load(pipeline, source, context.log)
        with pipeline.dataset() as dataset:
            for table in source.selected_resources:
                if replay:
                    metadata, version = replay_metadata(dataset, table, info)
                    context.log.info(replay_summary(table, metadata))
                else:
                    receipts = last_receipts(dataset, table, context.run.run_id)
                    metadata = load_metadata(dataset, table, receipts)
                    version = receipts[0]["fingerprint"]
                    rows = metadata["dagster/row_count"]
                    context.log.info(summary(table, receipts[0], rows))
                yield dg.MaterializeResult(
                    asset_key=table,
                    metadata=metadata,
                    # A load that changed nothing can be told from one that did.
                    data_version=dg.DataVersion(version),
                )
