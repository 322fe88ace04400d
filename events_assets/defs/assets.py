"""The asset `events`: dlt's REST API source, loaded into the warehouse."""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
from dagster_dlt.translator import DltResourceTranslatorData
from dlt import Pipeline
from dlt.extract import DltSource

from events_assets import warehouse
from events_assets.defs import schedules
from events_assets.defs.configured import DESTINATION, TABLES, tables
from events_assets.defs.failures import explained
from events_assets.defs.metadata import (
    last_receipt,
    load_metadata,
    replay_metadata,
    replay_summary,
    summary,
)
from events_assets.defs.resources import POOL, EventsApi, LoadConfig
from events_assets.source import events_outline


class EventsTranslator(DagsterDltTranslator):
    """Names each asset after its dlt resource, in the group `events`, without upstream assets."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        table = data.resource.name
        return dg.AssetSpec(
            key=table,
            group_name="events",
            kinds={"dlt", DESTINATION},
            tags={"source": "rest_api"},
            description=(
                f"The rows of `{table}` that the configured event-management API answers, "
                f"one for each key, updated by each scan.\n\nEach load adds a receipt to "
                f"`scan_receipts`: what was asked, what came, and whether that is everything."
            ),
            metadata={"dagster/storage_kind": DESTINATION},
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
    dlt: DagsterDltResource,
    events_api: EventsApi,
) -> Iterator[dg.MaterializeResult[Any]]:
    names = sorted(key.path[-1] for key in context.selected_asset_keys)
    with explained():
        # Where these are wrong, the definitions have the defaults: the run says what is wrong.
        tables()
        schedules.configured_schedule()
        with events_api.source(context.run.run_id, context.log, config) as source:
            yield from load(context, source.with_resources(*names), dlt, replay=config.replay)


def load(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    source: DltSource,
    dlt: DagsterDltResource,
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
                    receipt = last_receipt(dataset, table, context.run.run_id)
                    metadata = load_metadata(dataset, table, receipt)
                    version = receipt["fingerprint"]
                    context.log.info(summary(table, metadata))
                # Afterwards: it takes the columns of the table out of the pipeline's schema.
                loaded = dlt.extract_resource_metadata(
                    context, source.resources[table], info, pipeline
                )
                yield dg.MaterializeResult(
                    asset_key=table,
                    metadata={name: loaded[name] for name in loaded if name != "jobs"} | metadata,
                    # A load that changed nothing can be told from one that did.
                    data_version=dg.DataVersion(version),
                )
