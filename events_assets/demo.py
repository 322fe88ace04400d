"""Runs the main job against the built-in sample API, through Dagster, and shows what came in."""

import os
import sys
from collections.abc import Iterable
from datetime import UTC

import dagster as dg
from tabulate import tabulate

from events_assets import configuration, sql, warehouse
from events_assets.commands.report import terminal_columns
from events_assets.defs.metadata import changes, last_receipt, scan_seconds

UPCOMING = """
SELECT start_time, event_name, venue__city, status
FROM {events} WHERE start_time >= CURRENT_TIMESTAMP ORDER BY start_time, id LIMIT 5
"""


def main() -> int:
    """Returns the exit code: 0 when the job and its checks succeeded."""
    os.environ["SOURCES__EVENTS__CLIENT__BASE_URL"] = configuration.SAMPLE
    from events_assets.definitions import defs

    print("Loading the events of the built-in sample API with Dagster ...\n")
    # What the run tells in passing is told below, in order.
    quiet = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def("events_job").execute_in_process(
            instance=instance, run_config=quiet, raise_on_error=False
        )
    if result.success:
        _show(result)
    return 0 if result.success else 1


def _show(result: dg.ExecuteInProcessResult) -> None:
    with warehouse.reading() as dataset:
        receipt = last_receipt(dataset, "events", result.run_id)
        database = dataset.destination_client.config.data_location() or ""
        upcoming = sql.select(dataset, UPCOMING)
    print(
        f"{receipt['rows_loaded']:,} events came in, in {receipt['requests']} requests and "
        f"{scan_seconds(receipt):.1f} s:\n{changes(receipt)}.\n"
    )
    print("Checks")
    checks = result.get_asset_check_evaluations()
    print(_table(("passed" if c.passed else "FAILED", c.check_name, c.description) for c in checks))
    print("\nThe next events (times in UTC)")
    starts = ((start.astimezone(UTC), *rest) for start, *rest in upcoming)
    print(_table((f"{start:%a %d %b %H:%M}", *rest) for start, *rest in starts))
    print(f"\nDatabase  {os.path.relpath(database)}, dataset {warehouse.dataset_name()}")
    print(
        "\nGo on with\n"
        "  make dev    the Dagster UI: history, charts, schedule and sensor\n"
        "  make test   the tests\n"
        "  README.md   how to load the events of your own API"
    )


def _table(rows: Iterable[Iterable[object]]) -> str:
    """In a terminal as wide as that: the longest column is broken where it does not fit."""
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    columns, longest = terminal_columns(), max(widths, default=0)
    room = columns and max(20, columns - sum(widths) + longest - 2 * len(widths))
    limits = [room if width == longest else None for width in widths]
    return tabulate(cells, tablefmt="plain", disable_numparse=True, maxcolwidths=limits)


if __name__ == "__main__":
    sys.exit(main())
