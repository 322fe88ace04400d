"""An executor that runs each step as a task of a Dask cluster.

That of dagster-dask 0.29.27 names a task after job and step only: of two runs on one cluster the
second gets the results of the first, and ends well without having done anything. It tries no step
again, goes on after one that failed, and cannot execute a run again from its failure.
"""

# mypy: disable-error-code="no-untyped-call"

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import create_execution_plan, execute_plan
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster_dask import dask_executor as of_dagster
from dagster_dask.executor import DaskExecutor, get_dask_resource_requirements
from distributed import Client, Future, LocalCluster, wait

from events_assets.errors import ClusterError

ONE_AT_A_TIME = threading.Lock()
"""Dagster is not safe in threads, of which a worker has as many as cores unless it is told."""


class Steps(DaskExecutor):
    @property
    def retries(self) -> RetryMode:
        return RetryMode.ENABLED

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        if self.cluster_type not in ("existing", "local"):  # a new cluster for each run
            yield from super().execute(plan_context, execution_plan)
            return
        with ExitStack() as stack:
            address = self.cluster_configuration.get("address")
            cluster = address or stack.enter_context(LocalCluster(**self.build_dict("")))
            client = stack.enter_context(Client(cluster))
            active = stack.enter_context(ActiveExecution(execution_plan, self.retries))
            tasks: dict[str, Future[Any]] = {}
            while not active.is_complete:
                if active.check_for_interrupts():
                    active.mark_interrupted()
                    client.cancel([*tasks.values()])
                    raise DagsterExecutionInterruptedError
                for step in active.get_steps_to_execute():
                    tasks[step.key] = submit(client, plan_context, step, active.get_known_state())
                if not tasks:
                    active.sleep_til_ready()
                for key, events in finished(tasks):
                    for event in events:
                        yield event
                        active.handle_event(event)
                    active.verify_complete(plan_context, key)
                yield from active.plan_events_iterator(plan_context)


def finished(tasks: dict[str, "Future[Any]"]) -> Iterator[tuple[str, Sequence[dg.DagsterEvent]]]:
    """Takes out the tasks that are done within a second, and gives what happened in each."""
    try:
        with suppress(TimeoutError):
            wait([*tasks.values()], timeout=1, return_when="FIRST_COMPLETED")
        for key in [key for key, task in tasks.items() if task.done()]:
            task = tasks.pop(key)
            yield key, task.result()
            task.release()  # else Dask does it again where the worker that did it is lost
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ClusterError(
            f"the Dask cluster does not go on: {reason}; what was read is kept: resume the backfill"
        ) from error


def submit(
    client: Client, context: PlanOrchestrationContext, step: Any, known: KnownExecutionState
) -> "Future[Any]":
    attempt = known.get_retry_state().get_attempt_count(step.key)
    return client.submit(
        run_step,
        context.reconstructable_job,
        context.dagster_run,
        step.key,
        context.instance.get_ref(),
        known,
        key=f"{context.job_name}.{step.key}.{context.run_id}.{attempt}",
        resources=get_dask_resource_requirements(step.tags),
    )


def run_step(
    job: ReconstructableJob, run: dg.DagsterRun, step: str, instance: Any, known: Any
) -> Sequence[dg.DagsterEvent]:
    """Executes a step in the process of a worker; what happened."""
    with ONE_AT_A_TIME, dg.DagsterInstance.from_ref(instance) as there:
        chosen = job.get_subset(op_selection=run.resolved_op_selection)
        plan = create_execution_plan(
            chosen, run_config=run.run_config, step_keys_to_execute=[step], known_state=known
        )
        return execute_plan(
            plan, chosen, there, run, run_config=run.run_config, retry_mode=RetryMode.DEFERRED
        )


def configured(context: Any) -> Steps:
    ((cluster_type, settings),) = context.executor_config["cluster"].items()
    return Steps(cluster_type, settings)


dask_executor = dg.ExecutorDefinition(
    name="dask",
    config_schema=of_dagster.config_schema.as_field(),
    requirements=multiple_process_executor_requirements(),
    executor_creation_fn=configured,
)
