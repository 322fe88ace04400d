"""The sensor that follows `events`: launches `daily_events_job` when there is something new."""

from typing import cast

import dagster as dg

from events_assets.defs.jobs import EVENTS, daily_events_job

DAILY_EVENTS = dg.AssetKey("daily_events")
EVALUATIONS_SEEN = 50
"""How many evaluations of a check are looked through, newest first, for those of the last load."""


@dg.sensor(
    job=daily_events_job,
    description=(
        "Launches daily_events_job once for each load of events that passed its blocking checks, "
        "in whichever run, and changed something. Off until it is switched on."
    ),
)
def events_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Follows the last materialization of `events`.

    The cursor is the storage id of the last one that was followed, or that changed nothing. One
    whose checks failed does not move it: they may pass when they are executed again.

    Dagster's `asset_sensor` fires at the materialization, before the checks have spoken. Its
    conditions, such as `all_deps_blocking_checks_passed`, launch no job by name, and take a
    warning, or a load whose checks were deselected, for one that did not pass.
    """
    load = latest(context.instance, EVENTS)
    if load is None:
        return dg.SkipReason("events has not been materialized yet")
    if context.cursor == str(load.storage_id):
        return dg.SkipReason("no new materialization of events")
    obstacle = _obstacle(context, load)
    if obstacle:
        return dg.SkipReason(obstacle)

    context.update_cursor(str(load.storage_id))
    if is_built_from(load, latest(context.instance, DAILY_EVENTS)):
        return dg.SkipReason("the load changed nothing: daily_events is built from these events")
    return dg.RunRequest(run_key=f"events-{load.storage_id}")


def _obstacle(context: dg.SensorEvaluationContext, load: dg.EventLogRecord) -> str | None:
    """Why a load is not followed yet; None if nothing stands in the way.

    A check that did not look at the load does so only where the run that loaded did not succeed:
    otherwise it was deselected.
    """
    run = context.instance.get_run_by_id(load.run_id)
    if run is not None and not run.is_finished:
        return f"waiting for the end of run {run.run_id}, which loads events"
    failed, unknown = [], []
    for check in _blocking_checks(context):
        evaluation = _last_evaluation(context, check, load)
        if evaluation is None:
            unknown.append(check.name)
        elif not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
            failed.append(check.name)
    wait = "waiting for a new load, or for a run of the checks in which they pass"
    if failed:
        return f"run {load.run_id} loaded events that failed {', '.join(failed)}: {wait}"
    if unknown and run is not None and not run.is_success:
        return f"run {run.run_id} loaded events and ended before {', '.join(unknown)}: {wait}"
    return None


def _blocking_checks(context: dg.SensorEvaluationContext) -> list[dg.AssetCheckKey]:
    """Those on `events` in the code location, wherever they are defined."""
    graph = cast(dg.RepositoryDefinition, context.repository_def).asset_graph
    checks = graph.get_check_keys_for_assets({EVENTS})
    return sorted((key for key in checks if graph.get(key).blocking), key=lambda key: key.name)


def _last_evaluation(
    context: dg.SensorEvaluationContext, check: dg.AssetCheckKey, load: dg.EventLogRecord
) -> dg.AssetCheckEvaluation | None:
    """What the check found in the load the last time, in whichever run; None if it did not look.

    Not simply the last of all: a run that is queued has one already, which it only plans.
    """
    history = context.instance.event_log_storage.get_asset_check_execution_history(
        check, limit=EVALUATIONS_SEEN
    )
    of_load = {
        record.event.timestamp: record.evaluation
        for record in history
        if record.event
        and isinstance(record.evaluation, dg.AssetCheckEvaluation)
        and _is_of(load, record.evaluation, record.event.timestamp)
    }
    return of_load[max(of_load)] if of_load else None


def _is_of(load: dg.EventLogRecord, evaluation: dg.AssetCheckEvaluation, timestamp: float) -> bool:
    target = evaluation.target_materialization_data
    # One that is reported by hand names none.
    return target.storage_id == load.storage_id if target else timestamp > load.timestamp


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    records = instance.fetch_materializations(key, limit=1).records
    return records[0] if records else None


def is_built_from(load: dg.EventLogRecord, built: dg.EventLogRecord | None) -> bool:
    """Whether an asset was built from the same events that a load left there."""
    version = _tags(load).get("dagster/data_version")
    seen = _tags(built).get("dagster/input_data_version/events") if built else None
    return version is not None and version == seen


def _tags(record: dg.EventLogRecord) -> dict[str, str]:
    materialization = record.asset_materialization
    return dict(materialization.tags or {}) if materialization else {}
