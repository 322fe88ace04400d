"""The sensor that follows `events`: launches `daily_events_job` when there is something new."""

import dagster as dg

from events_assets.defs.jobs import daily_events_job

EVENTS, DAILY_EVENTS = dg.AssetKey("events"), dg.AssetKey("daily_events")


@dg.sensor(
    job=daily_events_job,
    description=(
        "Launches daily_events_job once for each load of events that passed its checks and "
        "changed something. Off until it is switched on."
    ),
)
def events_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Follows materializations of `events`; the cursor is the storage id of the last one seen.

    Dagster's `asset_sensor` fires at the materialization, before the checks of the same run have
    spoken, and moves its cursor on; this one waits for the run to end.
    """
    latest = _latest(context, EVENTS)
    if latest is None:
        return dg.SkipReason("events has not been materialized yet")
    if context.cursor == str(latest.storage_id):
        return dg.SkipReason("no new materialization of events")
    run = context.instance.get_run_by_id(latest.run_id)
    if run is not None and not run.is_finished:
        return dg.SkipReason(f"waiting for the end of run {run.run_id}, which loads events")

    context.update_cursor(str(latest.storage_id))
    if run is not None and not run.is_success:
        return dg.SkipReason(f"run {run.run_id} loaded events but failed, by its checks perhaps")
    version = _tags(latest).get("dagster/data_version")
    built = _latest(context, DAILY_EVENTS)
    built_from = _tags(built).get("dagster/input_data_version/events") if built else None
    if version is not None and version == built_from:
        return dg.SkipReason("the load changed nothing: daily_events is built from these events")
    return dg.RunRequest(run_key=f"events-{latest.storage_id}")


def _latest(context: dg.SensorEvaluationContext, key: dg.AssetKey) -> dg.EventLogRecord | None:
    records = context.instance.fetch_materializations(key, limit=1).records
    return records[0] if records else None


def _tags(record: dg.EventLogRecord) -> dict[str, str]:
    materialization = record.asset_materialization
    return dict(materialization.tags or {}) if materialization else {}
