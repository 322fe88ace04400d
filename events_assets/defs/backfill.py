"""The job that reads all events window by window, side by side, and loads them as one scan.

    plan ─┬─► read windows 1 ─┬─► read windows 1 again ─┬─► load ─► check
          └─► read windows 2 ─┴─► read windows 2 again ─┘

Each reader has its share of the windows, and starts once for all of them. A window that fails is
tried again alone; a run that failed goes on where it stopped when it is executed again, or with
`resume`. What is read stands in a folder that is named after the run: dagster-dask runs neither
dynamic outputs (dagster #9785) nor hands on several outputs as one input. The job is in no pool, so
that loads need not wait for it while it reads; what it loads waits for them at the warehouse.
"""

import importlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg
from pydantic import Field

from events_assets import configuration, recorded, warehouse
from events_assets.defs.assets import load
from events_assets.defs.checks import BLOCKING, CLAIMS, evaluated
from events_assets.defs.configured import configured
from events_assets.defs.failures import explained
from events_assets.defs.jobs import EVENTS
from events_assets.defs.resources import EventsApi, LoadConfig
from events_assets.errors import ConfigurationError
from events_assets.recorded import Plan
from events_assets.sql import select

EXECUTORS = {
    "in_process": "dagster:in_process_executor",
    "multiprocess": "dagster:multiprocess_executor",
    "dask": "events_assets.dask:dask_executor",
    "celery": "dagster_celery:celery_executor",
    "k8s": "dagster_k8s:k8s_job_executor",
}
READERS = configured(recorded.workers, 1)
RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL)
AFTER = {"after": dg.In(dg.Nothing)}
SPAN = """
SELECT percentile_disc(0.01) WITHIN GROUP (ORDER BY start_time),
       percentile_disc(0.99) WITHIN GROUP (ORDER BY start_time) FROM {events}
"""


class PlanConfig(dg.Config):
    resume: bool = Field(
        default=False,
        description="Go on with the last backfill that was not loaded, instead of a new one.",
    )


@dg.op(out=dg.Out(dg.Nothing))
def plan_windows(context: dg.OpExecutionContext, config: PlanConfig) -> None:
    """Plans the windows of start times that are read."""
    with explained():
        executor()  # where it is wrong, the definitions have the default: the run says what is
        if config.resume:
            plan = Plan.last()
            run = context.instance.get_run_by_id(plan.folder.name)
            if run and not run.is_finished:
                raise ConfigurationError(
                    f"run {run.run_id} is reading what is to be resumed: terminate it first"
                )
            plan = plan.renamed(_name(context))
        else:
            plan = Plan.new(_name(context), *_span(context))
    context.log.info(f"{len(plan.parts)} parts, kept in {plan.folder} until all are loaded")


def reading(reader: int, nth: int) -> Callable[..., Any]:
    """An op that reads the windows of one reader in the first pass or in the second."""
    again = " once more, now that all were: two equal passes are the proof" if nth > 1 else ""

    @dg.op(
        name=f"read_windows_{reader + 1}{'_again' if nth > 1 else ''}",
        description=f"Asks the API for a share of the windows{again}, and keeps its answers.",
        retry_policy=RETRIES,
        ins=AFTER,
        out=dg.Out(dg.Nothing),
    )
    def read(context: dg.OpExecutionContext) -> None:
        with explained():
            plan = Plan(_name(context))
            if nth > 1:
                plan.require(1)
            for part in [*plan.parts][reader::READERS] if nth <= plan.passes() else ():
                found = plan.record(part, nth, context.log)
                context.log.info(
                    f"{part}: {found['rows']} rows in {found['requests']} requests; "
                    f"{len(plan.read(nth))} of {len(plan.parts)} parts are read"
                )

    return read


class LoadWindowsConfig(dg.Config):
    accept_removed: bool = Field(
        default=False, description=LoadConfig.model_fields["accept_removed"].description
    )


@dg.op(ins=AFTER, out=dg.Out(dg.Nothing))
def load_windows(
    context: dg.OpExecutionContext,
    config: LoadWindowsConfig,
    events_api: EventsApi,
) -> Iterator[Any]:
    """Loads what was read as one scan of all events."""
    with explained():
        plan = Plan(_name(context))
        for number in range(plan.passes()):
            plan.require(number + 1)
        told = LoadConfig(accept_removed=config.accept_removed)
        with (
            plan.playing() as manner,
            events_api.source(context.run.run_id, context.log, told, manner) as source,
        ):
            for result in load(context, source.with_resources("events")):
                version = result.data_version
                yield dg.AssetMaterialization(
                    EVENTS,
                    metadata=result.metadata,
                    tags={"dagster/data_version": version.value} if version else None,
                )
        plan.forget()
    yield dg.Output(None)


@dg.op(ins=AFTER, out=dg.Out(dg.Nothing))
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


def _name(context: dg.OpExecutionContext) -> str:
    """That of the folder of a backfill: the run that was executed first."""
    return context.run.root_run_id or context.run.run_id


def _span(context: dg.OpExecutionContext) -> tuple[datetime | None, datetime | None]:
    """The start times between which nearly all events are, if there are any; a few far from the
    others would make a window of each month up to them."""
    with warehouse.reading(context.log) as dataset:
        if "events" not in dataset.tables:
            return None, None
        first, last = select(dataset, SPAN)[0]
    return first, last


def executor() -> dg.ExecutorDefinition:
    """The configured executor, with its configuration. Raises ConfigurationError where there is
    none of that name, or it is not installed."""
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
    plan = plan_windows()
    read = [reading(number, 1)(after=plan) for number in range(READERS)]
    read_again = [reading(number, 2)(after=read) for number in range(READERS)]
    check_windows(after=load_windows(after=read_again))
