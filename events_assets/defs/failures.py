"""Turns the errors of the source half into Dagster failures that lead with one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import configuration
from events_assets.errors import EventsError


@contextmanager
def explained() -> Iterator[None]:
    """Reads the configuration as it is now, and raises `dg.Failure` that leads with the explained
    error behind a failure.

    Where dlt failed for another reason, it leads with the step and the innermost cause.
    """
    try:
        configuration.reload_providers()
        yield
    except Exception as error:
        causes = list(_causes(error))
        known = next((cause for cause in causes if isinstance(cause, EventsError)), None)
        if known is not None:
            raise dg.Failure(description=str(known)) from error
        if isinstance(error, ConfigurationException):
            raise dg.Failure(description=" ".join(str(error).split())) from error
        if isinstance(error, PipelineStepFailed):
            reason = f"{type(causes[-1]).__name__}: {causes[-1]}".strip().split("\n")[0]
            raise dg.Failure(
                description=f"the load failed in dlt's step '{error.step}': {reason}; events are "
                f"as they were, and the next run starts anew"
            ) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
