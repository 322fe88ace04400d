"""Turns the errors of the source half into Dagster failures that lead with one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from events_assets.configuration import ConfigurationError
from events_assets.transport.paging import EndlessScan
from events_assets.transport.session import ApiError
from events_assets.warehouse import WarehouseError

EXPLAINED = (ConfigurationError, ApiError, EndlessScan, WarehouseError)
"""Errors whose message says what is wrong, where, and what to do."""


@contextmanager
def explained() -> Iterator[None]:
    """Raises `dg.Failure` with the message of the explained error that caused a failure."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, EXPLAINED):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise dg.Failure(description=str(cause)) from error
