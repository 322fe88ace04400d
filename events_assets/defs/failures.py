"""Turns what a step fails with into a Dagster failure that leads with one sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import configuration
from events_assets.errors import EventsError, causes

DROPPED = re.compile(
    r"(column|table|relation)\b.* (not found|does not exist|does not have a column)", re.IGNORECASE
)
"""What a database says of what was dropped by hand."""


@contextmanager
def explained() -> Iterator[None]:
    """Reads the configuration as it is now, and explains failures, that of reading included."""
    with in_a_sentence():
        configuration.reload_providers()
        yield


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Raises `dg.Failure` that leads with the explained error behind a failure.

    Where there is none, it leads with the step that failed and the innermost cause. What Dagster
    raises to steer a run passes.
    """
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        raise dg.Failure(description=_sentence(error)) from error


def _sentence(error: Exception) -> str:
    chain = [*causes(error)]
    for cause in chain:
        if isinstance(cause, EventsError):
            return str(cause)
    if isinstance(error, ConfigurationException):
        return " ".join(str(error).split())
    reason = f"{type(chain[-1]).__name__}: {chain[-1]}".strip().split("\n")[0]
    if isinstance(error, PipelineStepFailed):
        return f"the load failed in dlt's step '{error.step}': {reason}; {_left_by(error.step)}"
    remedy = "; a load makes again what was dropped by hand" if DROPPED.search(reason) else ""
    return f"{_step()} failed: {reason}{remedy}"


def _left_by(step: str) -> str:
    """What is in the warehouse after a failed step: dlt commits each table by itself."""
    if step == "load":
        return "what it had committed stays, and the next load goes on from there"
    return "nothing was loaded, and the next load starts anew"


def _step() -> str:
    """The step that is being executed, if Dagster does it."""
    try:
        return dg.OpExecutionContext.get().op.name
    except dg.DagsterInvariantViolationError:
        return "this"
