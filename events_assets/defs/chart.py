"""The chart of `daily_events`."""

import base64
import io
from collections import defaultdict
from datetime import date


def chart(rows: list[tuple[date, str | None, int]]) -> str:
    """Stacked bars of events per day as a PNG image, embedded in Markdown."""
    # Imported here: it takes half a second, and only this function draws.
    from matplotlib.figure import Figure

    by_status: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for day, status, events in rows:
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
    axes.set_title("Events per day (UTC) by status", loc="left")
    if by_status:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=len(by_status))
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    return f"![Events per day](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
