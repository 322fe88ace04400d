"""Turns what a step fails with into a Dagster failure that leads with one sentence."""

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import configuration, providers
from events_assets.errors import ConfigurationError, EventsError, causes

DROPPED = re.compile(
    r"(column|table|relation)\b.* (not found|does not exist|does not have a column)", re.IGNORECASE
)
"""What a database says of what was dropped by hand."""
NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large", re.IGNORECASE)
"""What systems say of ENOSPC, EDQUOT and EFBIG, however deep in other texts."""
OF_SERVER = re.compile(r'file "(base|pg_)')
QUOTED_PATH = re.compile(r"""["'](/[^"']+)["']""")


@contextmanager
def explained() -> Iterator[None]:
    """Reads the configuration as it is now, and explains failures, that of reading included."""
    with in_a_sentence():
        configuration.reload_providers()
        yield


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Raises `dg.Failure` that leads with the explained error behind a failure, and says no more:
    where it went wrong in the code is logged at the level DEBUG. Where there is none, it leads with
    the step that failed and the innermost cause, and all causes follow."""
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        known = _known(error)
        if known is None:
            told = providers.at_its_place(_sentence(error))
            raise dg.Failure(description=told) from error
        logging.getLogger("events_assets").debug("the causes of what failed", exc_info=error)
        raise dg.Failure(description=providers.at_its_place(known)) from None


def _known(error: Exception) -> str | None:
    """What a failure says to people, where it was foreseen."""
    chain = [*causes(error)]
    full = next((one for one in reversed(chain) if NO_ROOM.search(str(one))), None)
    found = next((str(one) for one in chain if isinstance(one, EventsError)), None)
    if found is None and isinstance(error, ConfigurationException):
        found = " ".join(str(error).split())
    if full:
        return f"{found or _sentence(error)}; {_room(full)}"
    return found


def _room(error: BaseException) -> str:
    """Where too little room is left, how much, and what to do."""
    if OF_SERVER.search(str(error)):
        return "that is the disk of the database server: make room there"
    places = QUOTED_PATH.findall(str(error))[:1]
    if not places:
        places = [f"{tempfile.gettempdir()}/x"]
        with suppress(ConfigurationError):
            places.append(configuration.warehouse_settings().database)
    folders = [next(p for p in Path(place).absolute().parents if p.is_dir()) for place in places]
    folder, usage = min(
        ((folder, shutil.disk_usage(folder)) for folder in folders), key=lambda one: one[1].free
    )
    return (
        f"of the {usage.total / 1e6:,.1f} MB of the disk with {folder}, {usage.free / 1e6:,.1f} MB "
        f"are free now: make room there, or set another database in [sources.events.warehouse]"
    )


def _sentence(error: Exception) -> str:
    """Where the code failed, and why."""
    reason = f"{type(last := [*causes(error)][-1]).__name__}: {last}".strip().split("\n")[0]
    if isinstance(error, PipelineStepFailed):
        # dlt commits each table by itself.
        left = "what it had committed stays, and the next load goes on from there"
        left = left if error.step == "load" else "nothing was loaded, and the next load starts anew"
        return f"the load failed in dlt's step '{error.step}': {reason}; {left}"
    remedy = "; a load makes again what was dropped by hand" if DROPPED.search(reason) else ""
    return f"{_step()} failed: {reason}{remedy}"


def _step() -> str:
    """The step that is being executed, if Dagster does it."""
    try:
        return dg.OpExecutionContext.get().op.name
    except dg.DagsterInvariantViolationError:
        return "this"
