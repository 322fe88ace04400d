"""Keeps what dlt's own tools show of the last load where they look for it: `dlt pipeline`,
`dlt.attach`, dlt's dashboard. The working folder of a load is temporary."""

import logging
from pathlib import Path
from typing import Any, cast

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.common.storages import FileStorage, WithLocalFiles
from dlt.pipeline.trace import PipelineTrace, save_trace

from events_assets.http.log_masking import masked_text

KEPT = ("state.json", "trace.pickle", "schemas/*.json")
"""What dlt's tools read, in the working folder of a pipeline."""


def keep(pipeline: dlt.Pipeline, log: logging.Logger) -> None:
    """Copies state, trace and schemas to the folder of dlt's own; without it a load is no worse."""
    try:
        if not pipeline.last_trace:
            return  # nothing was run
        config = pipeline.destination_client().config
        if isinstance(config, WithLocalFiles):
            # By which dlt knows of a DuckDB file that its own configuration does not name.
            database = Path(cast(Any, config).credentials.database).absolute()
            pipeline.set_local_state_val("duckdb_database", str(database))
        save_trace(pipeline.working_dir, _masked(pipeline.last_trace))
        of_load, lasting = Path(pipeline.working_dir), Path(get_dlt_pipelines_dir())
        for path in (found for pattern in KEPT for found in of_load.glob(pattern)):
            target = lasting / pipeline.pipeline_name / path.relative_to(of_load)
            target.parent.mkdir(parents=True, exist_ok=True)
            FileStorage.save_atomic(str(target.parent), path.name, path.read_bytes(), "b")
    except Exception as error:
        log.warning(f"dlt's own tools do not see this load: {error}")


def _masked(trace: PipelineTrace) -> PipelineTrace:
    """A trace of which no error shows a secret."""
    steps = [
        step._replace(
            step_exception=step.step_exception and masked_text(step.step_exception),
            exception_traces=[_shown(one) for one in step.exception_traces or ()],
        )
        for step in trace.steps
    ]
    return trace._replace(steps=steps)


def _shown(error: Any) -> Any:
    """What dlt shows of an error, without the attributes that it may have."""
    return {
        "message": masked_text(error["message"]),
        "exception_type": error["exception_type"],
        "stack_trace": [*map(masked_text, error["stack_trace"])],
    }
