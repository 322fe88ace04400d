"""The asset `daily_events`: events per day and status, as a table and as a chart."""

import base64
import io
from collections import defaultdict
from datetime import date
from typing import Any

import dagster as dg
import dlt

from events_assets import sql, warehouse
from events_assets.defs.configured import DESTINATION
from events_assets.defs.failures import explained
from events_assets.defs.metadata import markdown_table
from events_assets.defs.resources import POOL
from events_assets.defs.schedules import DAILY_LATE
from events_assets.errors import WarehouseError

DAILY_EVENTS = """
SELECT CAST(start_time AT TIME ZONE 'UTC' AS DATE) AS day, {status} AS status, count(*) AS events
FROM {events} WHERE {current}
GROUP BY 1, 2
ORDER BY 1, 2
"""
COLUMNS: dict[str, Any] = {
    "day": {"data_type": "date"},
    "status": {"data_type": "text"},
    "events": {"data_type": "bigint"},
}
DAYS_SHOWN = 10
FARTHEST = 3653
"""Days from the middle one that the chart shows: ten years."""


@dg.asset(
    deps=["events"],
    group_name="events",
    kinds={"dlt", "sql", DESTINATION},
    pool=POOL,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=DAILY_LATE),
    description=(
        "How many events start on each day (UTC), by status, without those that the API does not "
        "give any more. Events without a start are counted "
        "under no day; where the API tells no status, it is null."
    ),
)
def daily_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    with explained(), warehouse.loading(context.log) as pipeline:
        with warehouse.reading(context.log) as dataset:
            if "events" not in dataset.tables:
                raise WarehouseError("there are no events yet: materialize the asset events first")
            known = "status" in dataset.schema.get_table_columns("events")
            status, there = "status" if known else "NULL", sql.current(dataset, "events")
            rows = sql.select(dataset, DAILY_EVENTS, status=status, current=there)
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


def chart(rows: list[tuple[date, str | None, int]]) -> str:
    """Stacked bars of events per day as a PNG image, embedded in Markdown, without days of which
    there could be no calendar beside the others: a wrong year would leave them a line."""
    # Imported here: it takes half a second, and only this function draws.
    from matplotlib.figure import Figure

    middle = sorted(day for day, _, _ in rows)[len(rows) // 2] if rows else date.today()
    shown = [row for row in rows if abs((row[0] - middle).days) <= FARTHEST]
    by_status: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for day, status, events in shown:
        by_status[status or "no status"][day] += events
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    axes = figure.subplots()
    floor: dict[date, int] = defaultdict(int)
    for status, counts in sorted(by_status.items()):
        days = sorted(counts)
        axes.bar(
            days,  # type: ignore[arg-type]
            [counts[day] for day in days],
            bottom=[floor[day] for day in days],
            width=1.0,
            label=status,
        )
        for day in days:
            floor[day] += counts[day]
    axes.set_ylabel("events")
    hidden = f", without {len(rows) - len(shown)} days that are far off" if shown != rows else ""
    axes.set_title(f"Events per day (UTC) by status{hidden}", loc="left")
    if by_status:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=len(by_status))
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    return f"![Events per day](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
