"""A Dagster job that does nothing, run as `events_job` is run: what Dagster itself needs."""

import dagster as dg


@dg.op
def nothing() -> None:
    pass


@dg.job
def empty_job() -> None:
    nothing()


defs = dg.Definitions(jobs=[empty_job], executor=dg.in_process_executor)
