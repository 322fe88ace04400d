"""The job that deletes old runs of this project with their logs: nothing else in Dagster does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from events_assets import configuration
from events_assets.defs.backfill import events_backfill_job
from events_assets.defs.configured import TABLES
from events_assets.defs.failures import explained
from events_assets.defs.jobs import check_api_job, daily_events_job, events_job, replay_job
from events_assets.recorded import Plan

REPOSITORY = ".dagster/repository"
"""The tag of a run that tells its code location, if it was not started without one."""
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
JOBS = (events_job, events_backfill_job, daily_events_job, replay_job, check_api_job)
MATERIALIZE = "__ASSET_JOB"
"""The job behind the button of that name."""
ASSETS = [dg.AssetKey(name) for name in (*TABLES, "daily_events")]


@dg.op(out=dg.Out(dg.Nothing))
def delete_old_runs(context: dg.OpExecutionContext) -> None:
    """Deletes runs that finished before the days in `[sources.events.retention]`, and what was read
    by backfills before them and never loaded. The last run of each job stays, and the one that
    materialized an asset last."""
    with explained():
        days = configuration.retention_settings().runs
        before = datetime.now(UTC) - timedelta(days=days)
        answers = _delete_answers(context.instance, before) if days else 0
    instance, tag = context.instance, context.run.tags.get(REPOSITORY)
    names = [*(job.name for job in JOBS), context.job_name, MATERIALIZE]
    newest = [instance.get_runs(dg.RunsFilter(job_name=name), limit=1) for name in names]
    kept = {run.run_id for runs in newest for run in runs}
    for key in ASSETS:
        latest = instance.get_latest_materialization_event(key)
        kept |= {latest.run_id} if latest else set()
    deleted = 0
    for name in names if days else ():
        old = dg.RunsFilter(job_name=name, statuses=FINISHED, updated_before=before)
        for run in instance.get_runs(old):
            if run.run_id not in kept and run.tags.get(REPOSITORY, tag) == tag:
                _delete(instance, run.run_id)
                deleted += 1
    context.log.info(
        f"{deleted} runs deleted that ended more than {days:g} days ago, and the answers of "
        f"{answers} backfills that began before"
    )
    context.add_output_metadata({"runs_deleted": deleted, "backfills_deleted": answers})


def _delete_answers(instance: dg.DagsterInstance, before: datetime) -> int:
    backfills = instance.get_runs(dg.RunsFilter(job_name=events_backfill_job.name))
    going_on = {run.root_run_id or run.run_id for run in backfills if not run.is_finished}
    old = [plan for plan in Plan.every() if plan.began_at < before]
    stale = [plan for plan in old if plan.folder.name not in going_on]
    for plan in stale:
        plan.forget()
    return len(stale)


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    # SQLite has a file for the events of each run, which stays when it is empty.
    path_of: Any = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_of:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path_of(run_id)}{suffix}").unlink(missing_ok=True)


@dg.job
def retention_job() -> None:
    """Deletes old runs of this project with their logs, as `[sources.events.retention]` says."""
    delete_old_runs()


retention_schedule = dg.ScheduleDefinition(
    name="retention_schedule",
    job=retention_job,
    cron_schedule="30 4 * * *",
    description="Deletes old runs each day. Off until it is switched on.",
)
