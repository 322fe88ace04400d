"""The asset `events`: dlt's REST API source, loaded into the warehouse."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg
from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
from dagster_dlt.translator import DltResourceTranslatorData
from dlt import Pipeline

from events_assets import warehouse
from events_assets.defs.failures import explained
from events_assets.defs.metadata import load_metadata, summary
from events_assets.defs.resources import EventsApi
from events_assets.source import events_outline

POOL = "warehouse"
"""Runs that use the warehouse share this pool; dagster.yaml lets one run at a time use it."""


@dataclass
class EventsTranslator(DagsterDltTranslator):
    """Names each asset after its dlt resource, in the group `events`, without upstream assets."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        name = data.resource.name
        return dg.AssetSpec(
            key=name,
            group_name="events",
            kinds={"dlt", warehouse.destination_name()},
            tags={"source": "rest_api"},
            description=(
                f"The rows of `{name}` that the configured event-management API answers, "
                f"one for each key, updated by each scan.\n\nEach load adds a receipt to "
                f"`scan_receipts`: what was asked, what came, and whether that is everything."
            ),
            metadata={"dagster/storage_kind": warehouse.destination_name()},
        )


def _without_objects(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Drops the Python objects that dagster-dlt keeps in the metadata; the UI cannot show them."""
    shown = {key: value for key, value in spec.metadata.items() if "dagster_dlt/" not in key}
    return spec.replace_attributes(metadata=shown)


@dlt_assets(
    name="load_events",
    dlt_source=events_outline(),
    # A pipeline writes its working folder when it is made; definitions write nothing.
    dlt_pipeline=cast(Pipeline, None),
    dagster_dlt_translator=EventsTranslator(),
    pool=POOL,
)
def load_events(
    context: dg.AssetExecutionContext, dlt: DagsterDltResource, events_api: EventsApi
) -> Iterator[dg.MaterializeResult[Any]]:
    with (
        explained(),
        events_api.source(context.run.run_id, context.log) as source,
        warehouse.loading(context.log) as pipeline,
    ):
        results = dlt.run(
            context=context,
            dlt_source=source,
            dlt_pipeline=pipeline,
            dagster_dlt_translator=EventsTranslator(),
            loader_file_format="parquet",
        )
        for result in results:
            with warehouse.reading(context.log) as dataset:
                assert isinstance(result, dg.MaterializeResult)  # noqa: S101, an asset run's
                shown = load_metadata(result, dataset, context.run.run_id)
            context.log.info(summary(shown))
            yield shown


events = load_events.map_asset_specs(_without_objects)
