"""The asset `daily_events`: events per day and status, as a table and as a chart."""

from typing import Any

import dagster as dg
import dlt

from events_assets import warehouse
from events_assets.defs.chart import chart
from events_assets.defs.configured import DESTINATION
from events_assets.defs.failures import explained
from events_assets.defs.metadata import markdown_table
from events_assets.defs.resources import POOL
from events_assets.errors import WarehouseError

DAILY_EVENTS = """
SELECT CAST(start_time AS DATE) AS day, {status} AS status, count(*) AS events
FROM {events}
GROUP BY 1, 2
ORDER BY 1, 2
"""
COLUMNS: dict[str, Any] = {
    "day": {"data_type": "date"},
    "status": {"data_type": "text"},
    "events": {"data_type": "bigint"},
}
DAYS_SHOWN = 10


@dg.asset(
    deps=["events"],
    group_name="events",
    kinds={"dlt", "sql", DESTINATION},
    pool=POOL,
    description=(
        "How many events start on each day (UTC), by status. Events without a start are counted "
        "under no day; where the API tells no status, it is null."
    ),
)
def daily_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    with explained(), warehouse.loading(context.log) as pipeline:
        with warehouse.reading(context.log) as dataset:
            if "events" not in dataset.tables:
                raise WarehouseError("there are no events yet: materialize the asset events first")
            known = "status" in dataset.schema.get_table_columns("events")
            rows = warehouse.select(dataset, DAILY_EVENTS, status="status" if known else "NULL")
        warehouse.load(
            pipeline,
            [dict(zip(COLUMNS, row, strict=True)) for row in rows]
            or [dlt.mark.materialize_table_schema()],
            context.log,
            table_name="daily_events",
            write_disposition="replace",
            columns=COLUMNS,
            schema=dlt.Schema("daily_events"),
        )
    days = [row for row in rows if row[0] is not None]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "events": sum(row[2] for row in rows),
            "chart": dg.MetadataValue.md(chart(days)),
            "busiest_days": markdown_table(
                sorted(days, key=lambda row: -row[2])[:DAYS_SHOWN], list(COLUMNS)
            ),
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(name, column["data_type"]) for name, column in COLUMNS.items()
                ]
            ),
        }
    )
