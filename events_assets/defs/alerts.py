"""Sensors that tell people what is wrong: when it breaks, each day while it lasts, and when it is
well again. There is one for each configured way of telling, so that each knows whom it told.

They compare what is so, in Dagster's history of runs, checks and loads, with what their cursor says
was told. Dagster's sensors of failed runs, its e-mails among them, tell each failure anew, know of
no other trouble, and go on to the next one where telling failed.
"""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, cast

import dagster as dg

from events_assets import alerts, configuration, providers
from events_assets.alerts import Message
from events_assets.defs.configured import TABLES, configured
from events_assets.defs.jobs import EVENTS, check_api_job, daily_events_job, events_job, replay_job
from events_assets.defs.retention import MATERIALIZE, REPOSITORY
from events_assets.defs.schedules import LATE
from events_assets.defs.sensors import (
    DAILY_EVENTS,
    EVALUATIONS_SEEN,
    is_built_from,
    latest,
)
from events_assets.settings import AlertSettings

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
WILL_RETRY, RETRY = "dagster/will_retry", "dagster/auto_retry_run_id"
RETRIED_WITHIN = 300.0
"""Seconds in which Dagster starts a run again; one without a code location it never does."""
RUNS_SEEN = 10
"""Runs of each job that are looked at, newest first."""
LOADS_SEEN = 50
LONGEST, SHORT = 1000, 80
"""Characters of what is told of one problem, and of the first one in the title."""
TITLES = {"wrong": "wrong", "well_again": "no longer wrong", "still_wrong": "still wrong"}
"""What people read for the keys of what programs read."""
JOB_OF = {"events": events_job.name, "daily_events": daily_events_job.name}
"""What builds an asset, where it is not by the button Materialize."""


@dataclass(frozen=True)
class Problem:
    """What is wrong, `since` when as far as was seen, and when that was `told` the last time."""

    text: str
    run_id: str | None = None
    since: float = 0.0
    told: float = 0.0


Problems = dict[str, Problem]
"""By their names, which stay the same while they last."""


def found(context: dg.SensorEvaluationContext, settings: AlertSettings) -> Problems:
    """All that is wrong now."""
    return dict([*_failed_runs(context), *_failed_checks(context, settings), *_late(context)])


def _failed_runs(context: dg.SensorEvaluationContext) -> Iterator[tuple[str, Problem]]:
    """What failed when it was run the last time, and was not done by another run since."""
    repository = cast(dg.RepositoryDefinition, context.repository_def)
    origin = context.code_location_origin
    ours = origin and f"{context.repository_name}@{origin.location_name}"
    records = [
        record
        for name in repository.job_names
        for record in context.instance.get_run_records(
            dg.RunsFilter(job_name=name, statuses=ENDED), limit=RUNS_SEEN
        )
    ]
    seen = set[str]()
    for record in sorted(records, key=lambda one: one.end_time or 0.0, reverse=True):
        run = record.dagster_run
        tag = run.tags.get(REPOSITORY)
        is_fresh = datetime.now(UTC).timestamp() - (record.end_time or 0.0) < RETRIED_WITHIN
        is_retried = RETRY in run.tags or (run.tags.get(WILL_RETRY) == "true" and is_fresh)
        if is_retried or (tag and ours and tag != ours):
            continue
        names = _done_by(run)
        if not run.is_success:
            why = _why(context.instance, run) if names - seen else None
            for name in sorted(names - seen) if why else ():
                yield name, Problem(f"{name} failed: {why}", run.run_id)
        elif run.job_name == events_job.name:
            names |= {*TABLES, replay_job.name, check_api_job.name}
        seen |= names


def _done_by(run: dg.DagsterRun) -> set[str]:
    """The job of a run; of the button Materialize what builds its assets."""
    if run.job_name != MATERIALIZE:
        return {run.job_name}
    keys = [key.to_user_string() for key in run.asset_selection or ()]
    return {JOB_OF.get(key, key) for key in keys}


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """What a run failed with, in the words of its first failed step; None: only with its checks,
    which are told anyhow."""
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
            event = record.event_log_entry.dagster_event
            data: Any = event and event.event_specific_data
            said = getattr(data, "user_failure_data", None)
            if said and said.description:
                return str(said.description)
            error = getattr(data, "error", None)
            if error and error.cls_name == "DagsterAssetCheckFailedError":
                return None
            # Dagster puts the name of the class before it.
            text = error.message.partition(": ")[2] if error else event and event.message
            if text:
                return " ".join(text.split())
    return "its process ended"


def _failed_checks(
    context: dg.SensorEvaluationContext, settings: AlertSettings
) -> Iterator[tuple[str, Problem]]:
    graph = cast(dg.RepositoryDefinition, context.repository_def).asset_graph
    for key in sorted(graph.asset_check_keys):
        told = _last_evaluation(context.instance, key)
        if told is None or told[0].passed:
            continue
        found, run_id = told
        if settings.warnings or found.severity is dg.AssetCheckSeverity.ERROR:
            text = f"the check {key.name} failed: {found.description or 'it does not say why'}"
            yield f"check {key.to_user_string()}", Problem(text, run_id)


def _last_evaluation(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> tuple[dg.AssetCheckEvaluation, str] | None:
    """What a check found the last time, and in which run.

    Runs that are under way, and those that failed before it was its turn, only planned it.
    """
    cursor: int | None = None
    while history := instance.event_log_storage.get_asset_check_execution_history(
        key, limit=EVALUATIONS_SEEN, cursor=cursor
    ):
        for one in history:
            if isinstance(one.evaluation, dg.AssetCheckEvaluation):
                return one.evaluation, one.run_id
        cursor = history[-1].id
    return None


def _late(context: dg.SensorEvaluationContext) -> Iterator[tuple[str, Problem]]:
    """What should have come by now, by the schedule."""
    loads = context.instance.fetch_materializations(EVENTS, limit=LOADS_SEEN).records
    built = latest(context.instance, DAILY_EVENTS)
    if loads and _is_old(loads[0]):
        yield (
            "events are late",
            Problem(
                f"events is late: it was loaded at {_time(loads[0].timestamp)}, and by the schedule"
                f" again within {LATE}; is events_schedule switched on, is a run stuck?"
            ),
        )
    since = [*takewhile(lambda load: not is_built_from(load, built), loads)]
    if built and since and _is_old(since[-1]):
        yield (
            "daily_events is late",
            Problem(
                f"daily_events is late: it was built at {_time(built.timestamp)}, and events "
                f"changed at {_time(since[-1].timestamp)}; is events_sensor switched on?"
            ),
        )


def _is_old(load: dg.EventLogRecord) -> bool:
    return datetime.now(UTC).timestamp() - load.timestamp > LATE.total_seconds()


def told(cursor: str | None) -> Problems:
    """What was told, by the cursor of a sensor; one of an earlier version says nothing."""
    try:
        return {name: Problem(**noted) for name, noted in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def message(
    now: float, known: Problems, wrong: Problems, settings: AlertSettings
) -> Message | None:
    """What is to be told of what is wrong by those who know what was; None: nothing."""
    new = {name: one for name, one in wrong.items() if name not in known}
    well = {name: one for name, one in known.items() if name not in wrong}
    lasting = {name: one for name, one in wrong.items() if name in known}
    is_due = any(now - one.told >= settings.repeat_after * 3600 for one in lasting.values())
    if not new and not well and not is_due:
        return None
    parts = [("wrong", new), ("well_again", well), ("still_wrong", lasting)]
    parts = [(key, problems) for key, problems in parts if problems]
    key, (first, *others) = parts[0][0], parts[0][1].values()
    more = f", and {len(others)} more" if others else ""
    short = _head(first) if key == "well_again" else textwrap.shorten(first.text, SHORT)
    lines = [
        line
        for key, problems in parts
        for line in (
            *("", TITLES[key].capitalize()),
            *(
                _line(one, settings.ui, now if key == "well_again" else None)
                for one in problems.values()
            ),
        )
    ]
    return Message(
        f"events_assets: {TITLES[key]}: {short}{more}",
        "\n".join(lines[1:]) + ("" if wrong else "\n\nNothing is wrong any more."),
        {key: _documents(problems, settings.ui) for key, problems in parts},
    )


def _head(problem: Problem) -> str:
    """What is wrong, without why, and without what to do."""
    return problem.text.partition(":")[0]


def _line(problem: Problem, ui: str | None, until: float | None) -> str:
    text, when = textwrap.shorten(problem.text, LONGEST), f"since {_time(problem.since)}"
    if until is not None:
        text, when = _head(problem), f"from {_time(problem.since)} to {_time(until)}"
    run = _link(problem, ui) or (f"run {problem.run_id}" if problem.run_id else None)
    return "\n  ".join([f"- {text}", when, *([run] if run else [])])


def _link(problem: Problem, ui: str | None) -> str | None:
    return f"{ui.rstrip('/')}/runs/{problem.run_id}" if ui and problem.run_id else None


def _documents(problems: Problems, ui: str | None) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "text": one.text,
            "since": _time(one.since),
            "run_id": one.run_id,
            "url": _link(one, ui),
        }
        for name, one in problems.items()
    ]


def _time(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"


def alerting(channel: str) -> dg.SensorDefinition:
    """The sensor that tells people by one of the channels."""

    @dg.sensor(
        name=f"alerts_by_{channel}",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Tells by {channel} what is wrong: a failed run, a failed check, a load that is late; "
            "again each day while it lasts, and when it is well. What could not be told is tried "
            "again at the next tick."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        configuration.reload_providers()
        settings = configuration.alert_settings()
        if channel not in settings.channels:
            lacking = f"there is no [sources.events.alerts.{channel}]"
            return dg.SkipReason(providers.at_its_place(lacking))
        now, known = datetime.now(UTC).timestamp(), told(context.cursor)
        mask = alerts.redaction(settings).text  # before a text is cut: half a key is a secret, too
        wrong = {}
        for name, one in found(context, settings).items():
            before = known.get(name, Problem("", since=now))
            wrong[name] = replace(one, text=mask(one.text), since=before.since, told=before.told)
        said = message(now, known, wrong, settings)
        if said is None:
            still = f"still wrong, and told: {', '.join(wrong)}" if wrong else "nothing is wrong"
            return dg.SkipReason(still)
        where = alerts.send(channel, said)
        noted = {name: asdict(replace(one, told=now)) for name, one in wrong.items()}
        context.update_cursor(json.dumps(noted))
        return dg.SkipReason(f"told {where}: {said.title}")

    return sensor


@dg.definitions
def sensors() -> dg.Definitions:
    # Where the section is wrong, all are there: each tick says what is wrong.
    channels = configured(lambda: configuration.alert_settings().channels, [*alerts.SENDERS])
    return dg.Definitions(sensors=[alerting(channel) for channel in channels])
