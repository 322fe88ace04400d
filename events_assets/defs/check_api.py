"""The op of `check_api_job`: tries the configured API as `events-assets check` does."""

from typing import Any

import dagster as dg

from events_assets.commands import check
from events_assets.commands.report import FAILED, NOTE, Report, Step


@dg.op(out=dg.Out(dg.Nothing))
def try_api(context: dg.OpExecutionContext) -> None:
    """Asks the API for a few pages, and reports what a load would find; loads nothing."""

    def tell(step: Step) -> None:
        text = f"{step.name}: {step.finding}" + (f"\n{step.toml()}" if step.settings else "")
        level = {FAILED: context.log.error, NOTE: context.log.warning}
        level.get(step.state, context.log.info)(text)

    report = Report(tell)
    check.try_api(report)
    metadata: dict[str, Any] = {
        "report": dg.MetadataValue.md(report.markdown()),
        "requests": report.requests,
    }
    if report.failed:
        raise dg.Failure(description=report.failed.finding, metadata=metadata)
    context.add_output_metadata(metadata)
