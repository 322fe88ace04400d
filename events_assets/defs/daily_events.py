"""The asset `daily_events`: events per day and status, as a table and as a chart."""

from collections import Counter
from datetime import date
from typing import Any

import dagster as dg
import dlt

from events_assets import warehouse
from events_assets.defs.configured import DESTINATION
from events_assets.defs.failures import explained
from events_assets.defs.lineage import OWNERS, of_asset, with_code
from events_assets.defs.metadata import days, markdown_table
from events_assets.defs.pictures import over_time
from events_assets.defs.resources import POOL
from events_assets.defs.schedules import DAILY_LATE
from events_assets.descriptions import of_table
from events_assets.errors import WarehouseError

COLUMNS: dict[str, Any] = {
    "day": {"data_type": "date"},
    "status": {"data_type": "text"},
    "events": {"data_type": "bigint"},
}
DAYS_SHOWN = 10
AS_CHART = (320, 960, 100_000)
"""How many bars the chart has at most, in how many pixels, in how much Markdown: it is shown at a
click, with a bar for each day where there are not more."""
DESCRIPTION = f"""
{of_table("daily_events")}

`chart` has a bar for each day; in `events_over_time` a bar stands for as many days as needed.
"""
LINEAGE = dg.TableColumnLineage(
    {
        column: [dg.TableColumnDep(dg.AssetKey("events"), origin)]
        for column, origin in {"day": "start_time", "status": "status", "events": "id"}.items()
    }
)
"""The column of `events` that each column is made from."""


@with_code
@dg.asset(
    deps=["events"],
    group_name="events",
    kinds={"dlt", "sql", DESTINATION},
    pool=POOL,
    owners=OWNERS,
    description=DESCRIPTION,
    metadata=of_asset("daily_events", COLUMNS),
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=DAILY_LATE),
)
def daily_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    with explained(), warehouse.loading(context.log) as pipeline:
        with warehouse.reading(context.log) as dataset:
            if "events" not in dataset.tables:
                raise WarehouseError("there are no events yet: materialize the asset events first")
            rows = days(dataset)
        warehouse.load(
            pipeline,
            [dict(zip(COLUMNS, row, strict=True)) for row in rows]
            or [dlt.mark.materialize_table_schema()],
            context.log,
            table_name="daily_events",
            write_disposition="replace",
            columns=COLUMNS,
            schema=dataset.schema,  # that of the events: readers who name none see both
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "dagster/column_lineage": LINEAGE,  # of the materialization, as Dagster+ shows it
            "events": sum(number for *_, number in rows),
            "events_over_time": dg.MetadataValue.md(over_time(rows)),
            "chart": dg.MetadataValue.md(over_time(rows, *AS_CHART)),
            "busiest_days": busiest(rows),
        }
    )


def busiest(rows: list[tuple[date | None, str | None, int]]) -> dg.MarkdownMetadataValue:
    """The days with the most events, whatever their status."""
    totals = Counter[date]()
    for day, _, number in rows:
        if day is not None:
            totals[day] += number
    return markdown_table(totals.most_common(DAYS_SHOWN), ["day (UTC)", "events"])
