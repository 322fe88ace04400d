"""Loads the rows that were set aside, as far as they can be loaded now."""

import dlt

from events_assets import configuration, warehouse
from events_assets.api import configured_api
from events_assets.commands.report import NOTE, OK, Report, Step, counted
from events_assets.lists import Manner
from events_assets.retention import quarantined
from events_assets.scan.quarantine import quarantine_of
from events_assets.scan.replay import Replay
from events_assets.source import events_source
from events_assets.sql import select

REASONS_SHOWN = 3


def replay_quarantine(report: Report) -> None:
    """Adds a step to `report` for each table of which rows are in quarantine.

    Raises:
        EventsError: what is configured is wrong, or the warehouse cannot be used.
    """
    with configured_api() as (config, authentication):
        report.redaction = authentication.redaction
        tables = configuration.table_names()
        with warehouse.reading() as dataset:
            before = {table: quarantined(dataset, table) for table in tables}
        tables = [table for table in tables if before[table]]
        if not tables:
            report.add(Step(OK, "quarantine", "there is no row in it"))
            return
        source = events_source(config, authentication=authentication, manner=Manner(scan=Replay))
        with warehouse.loading() as pipeline:
            warehouse.load(pipeline, source.with_resources(*tables))
        with warehouse.reading() as dataset:
            for table in tables:
                remaining = quarantined(dataset, table)
                loaded = before[table] - remaining
                finding = f"{loaded:,} of {counted(before[table], 'row')} loaded"
                if remaining:
                    finding += f"; the others remain: {_reasons(dataset, table)}"
                report.add(Step(NOTE if remaining else OK, table, finding))


def _reasons(dataset: dlt.Dataset, table: str) -> str:
    """The most frequent reasons why rows are in quarantine."""
    table = quarantine_of(table)
    reasons = select(
        dataset,
        f"SELECT reason, count(*) FROM {{{table}}} GROUP BY 1 ORDER BY 2 DESC, 1",  # noqa: S608
    )
    told = [f"{reason} ({times:,})" for reason, times in reasons[:REASONS_SHOWN]]
    return "; ".join(told) + ("; ..." if len(reasons) > REASONS_SHOWN else "")
