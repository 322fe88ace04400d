"""The job that reads all events window by window, side by side, and loads them as one scan.

    plan ─► read each window ─► read each again ─► load ─► check

A window that fails is tried again alone; a run that failed goes on where it stopped when it is
executed again from its failure, or with `resume`.
"""

import importlib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource
from pydantic import Field

from events_assets import configuration, warehouse
from events_assets.defs.assets import load
from events_assets.defs.checks import BLOCKING, CLAIMS, evaluated
from events_assets.defs.configured import configured
from events_assets.defs.failures import explained
from events_assets.defs.jobs import EVENTS
from events_assets.defs.resources import POOL, EventsApi, LoadConfig
from events_assets.errors import ConfigurationError
from events_assets.recorded import Plan
from events_assets.sql import select

EXECUTORS = {
    "in_process": "dagster:in_process_executor",
    "multiprocess": "dagster:multiprocess_executor",
    "dask": "dagster_dask:dask_executor",
    "celery": "dagster_celery:celery_executor",
    "k8s": "dagster_k8s:k8s_job_executor",
}
SPAN = "SELECT min(start_time), max(start_time) FROM {events}"


class PlanConfig(dg.Config):
    resume: bool = Field(
        default=False,
        description="Go on with the last backfill that was not loaded, instead of a new one.",
    )


@dg.op(out=dg.DynamicOut(str))
def plan_windows(
    context: dg.OpExecutionContext, config: PlanConfig
) -> Iterator[dg.DynamicOutput[str]]:
    """Plans the windows of start times that are read."""
    with explained():
        executor()  # where it is wrong, the definitions have the default: the run says what is
        plan = Plan.last() if config.resume else None
        if config.resume and plan is None:
            raise ConfigurationError("there is no backfill to resume: leave resume out")
        plan = plan or Plan.new(context.run.root_run_id or context.run_id, *_span(context))
    context.log.info(f"{len(plan.parts)} parts, kept in {plan.folder} until all are loaded")
    for part in plan.parts:
        yield dg.DynamicOutput(f"{plan.folder.name}/{part}", mapping_key=part)


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL))
def read_window(context: dg.OpExecutionContext, part: str) -> str:
    """Asks the API for the events of a window, and keeps its answers."""
    return _read(context, part, 1)


@dg.op(out=dg.DynamicOut(str))
def plan_second_pass(
    context: dg.OpExecutionContext, parts: list[str]
) -> Iterator[dg.DynamicOutput[str]]:
    """Lets each window be read once more, now that all were: two equal passes are the proof."""
    with explained():
        passes = configuration.scan_settings().passes
    if passes == 1:
        context.log.info("scan.passes is 1: nothing is read twice, and so nothing is proven")
    for part in parts if passes > 1 else ():
        yield dg.DynamicOutput(part, mapping_key=part.rpartition("/")[2])


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL))
def read_window_again(context: dg.OpExecutionContext, part: str) -> str:
    """Asks the API for the events of a window once more."""
    return _read(context, part, 2)


class LoadWindowsConfig(dg.Config):
    accept_removed: bool = Field(
        default=False, description=LoadConfig.model_fields["accept_removed"].description
    )


@dg.op(pool=POOL, out=dg.Out(dg.Nothing))
def load_windows(
    context: dg.OpExecutionContext,
    config: LoadWindowsConfig,
    parts: list[str],
    parts_again: list[str],
    dlt: DagsterDltResource,
    events_api: EventsApi,
) -> Iterator[Any]:
    """Loads what was read as one scan of all events."""
    with explained():
        plan = Plan.named(parts[0].partition("/")[0])
        context.log.info(f"loading {len(parts) + len(parts_again)} parts that were read")
        recorded, told = plan.recorded(), LoadConfig(accept_removed=config.accept_removed)
        with (
            closing(recorded.recordings),
            events_api.source(context.run_id, context.log, told, recorded) as source,
        ):
            for result in load(context, source.with_resources("events"), dlt):
                version = result.data_version
                yield dg.AssetMaterialization(
                    EVENTS,
                    metadata=result.metadata,
                    tags={"dagster/data_version": version.value} if version else None,
                )
        plan.forget()
    yield dg.Output(None)


@dg.op(pool=POOL, ins={"loaded": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def check_windows(context: dg.OpExecutionContext) -> Iterator[Any]:
    """Checks the events as the asset checks do."""
    with explained():
        results = evaluated(context, CLAIMS)
    blocking = {claim.__name__ for claim in BLOCKING}
    for result in results:
        name = str(result.check_name)
        yield dg.AssetCheckEvaluation(
            asset_key=EVENTS,
            check_name=name,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
            blocking=name in blocking,
        )
    wrong = [one for one in results if not one.passed and one.check_name in blocking]
    if failed := [one.check_name for one in wrong if one.severity is dg.AssetCheckSeverity.ERROR]:
        raise dg.Failure(f"events failed {', '.join(map(str, failed))}", allow_retries=False)
    yield dg.Output(None)


def _span(context: dg.OpExecutionContext) -> tuple[datetime | None, datetime | None]:
    """The start times of the events that are there, if there are any."""
    with warehouse.reading(context.log) as dataset:
        if "events" not in dataset.tables:
            return None, None
        first, last = select(dataset, SPAN)[0]
    return first, last


def _read(context: dg.OpExecutionContext, part: str, number: int) -> str:
    folder, _, name = part.partition("/")
    with explained():
        plan = Plan.named(folder)
        found = plan.record(name, number, context.log)
    context.log.info(f"{name}: {found['rows']} rows in {found['requests']} requests")
    context.add_output_metadata(found)
    return part


def executor() -> dg.ExecutorDefinition:
    """The configured executor, with its configuration.

    Raises:
        ConfigurationError: there is none of that name, or it is not installed.
    """
    settings = configuration.backfill_settings()
    module, _, name = EXECUTORS.get(settings.executor, settings.executor).partition(":")
    try:
        found: dg.ExecutorDefinition = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"executor in [sources.events.backfill] is {settings.executor!r}, which cannot be "
            f"imported: it is to be {', '.join(EXECUTORS)}, or package.module:name ({error})"
        ) from error
    given: dict[str, Any] = settings.executor_config
    if settings.executor == "multiprocess":
        given = {"max_concurrent": settings.workers, **given}
    return found.configured(given, name=found.name) if given else found


@dg.job(
    executor_def=configured(executor, dg.in_process_executor),
    description=(
        "Reads all events window by window, side by side, each twice, and loads them as one scan."
    ),
)
def events_backfill_job() -> None:
    parts = plan_windows().map(read_window).collect()
    again = plan_second_pass(parts).map(read_window_again).collect()
    check_windows(load_windows(parts, again))
