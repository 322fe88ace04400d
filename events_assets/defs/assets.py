"""The asset `events`: dlt's REST API source, loaded into the warehouse."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource, DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData

from events_assets import warehouse
from events_assets.defs.configured import DESTINATION, TABLES
from events_assets.defs.failures import explained
from events_assets.defs.metadata import load_metadata, summary
from events_assets.defs.resources import POOL, EventsApi


def table_asset(table: str) -> dg.AssetSpec:
    """The asset that a table of the API is, in the group `events`, without upstream assets."""
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
    )


class EventsTranslator(DagsterDltTranslator):
    """Tells dagster-dlt which asset a dlt resource is: that of its name."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        return table_asset(data.resource.name)


# Not `@dlt_assets`: it keeps dlt's objects in the metadata of the assets, where the UI shows them as
# unserializable, and wants a source and a pipeline, which a run alone can make.
@dg.multi_asset(
    name="load_events", specs=[table_asset(name) for name in TABLES], can_subset=True, pool=POOL
)
def events(
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
