"""Jobs: to load and check the events, to build on them, and to try the API beforehand."""

from typing import Any

import dagster as dg

from events_assets.commands import check
from events_assets.commands.report import FAILED, NOTE, Report, Step
from events_assets.defs.configured import TABLES
from events_assets.defs.failures import in_a_sentence

EVENTS = dg.AssetKey("events")

events_job = dg.define_asset_job(
    "events_job",
    selection=dg.AssetSelection.assets(*TABLES),
    description="Loads the events of the configured API into the warehouse and checks them.",
)

replay_job = dg.define_asset_job(
    "replay_job",
    selection=dg.AssetSelection.assets(*TABLES),
    config={"ops": {"load_events": {"config": {"replay": True}}}},
    description="Loads what was set aside as far as it can be loaded now, and checks the events.",
)

daily_events_job = dg.define_asset_job(
    "daily_events_job",
    selection=dg.AssetSelection.assets("daily_events"),
    description="Counts the events per day and status.",
)


@dg.op(out=dg.Out(dg.Nothing))
def try_api(context: dg.OpExecutionContext) -> None:
    """Asks the API for a few pages, and reports what a load would find; loads nothing."""

    def tell(step: Step) -> None:
        text = f"{step.name}: {step.finding}" + (f"\n{step.to_set()}" if step.settings else "")
        level = {FAILED: context.log.error, NOTE: context.log.warning}
        level.get(step.state, context.log.info)(text)

    report = Report(tell)
    with in_a_sentence():
        check.try_api(report)
    metadata: dict[str, Any] = {
        "report": dg.MetadataValue.md(report.markdown()),
        "requests": report.requests,
    }
    if report.failed:
        raise dg.Failure(description=report.failed.finding, metadata=metadata)
    context.add_output_metadata(metadata)


@dg.job
def check_api_job() -> None:
    """Tries the configured API with a few requests, and reports what a load would find."""
    try_api()
