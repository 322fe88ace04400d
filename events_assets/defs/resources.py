"""What runs use: the API, whose key enters here, at run time and nowhere else; the executor."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dlt.extract import DltSource
from pydantic import Field

from events_assets import configuration
from events_assets.api import configured_api
from events_assets.lists import Manner
from events_assets.scan.replay import Replay
from events_assets.source import events_source

POOL = "warehouse"
"""Runs that use the warehouse share this pool; dagster.yaml lets one run at a time use it."""


class LoadConfig(dg.Config):
    """What one load is told, in the launchpad."""

    accept_removed: bool = Field(
        default=False,
        description="Mark all events as removed that the API does not give any more, however "
        "many they are.",
    )
    full_scan: bool = Field(
        default=False, description="Read all events, where else only changes would be asked for."
    )
    replay: bool = Field(
        default=False,
        description="Ask the API for nothing, and load what is in quarantine, as far as it can be "
        "loaded now.",
    )


class EventsApi(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configured event-management API.

    It has no fields: the API is described in `.dlt/config.toml`, and the key comes from dlt's
    secrets when a run starts, so that no launchpad, run configuration or event shows it.
    """

    @contextmanager
    def source(
        self,
        run_id: str,
        log: logging.Logger,
        load: LoadConfig,
        manner: Manner = Manner(),
    ) -> Iterator[DltSource]:
        """The source to load, as it is configured and, for one load, told. Raises
        ConfigurationError where the API is not, or wrongly, configured, or its key is missing."""
        with configured_api() as (config, authentication):
            sync = configuration.sync_settings()
            if load.accept_removed:
                sync.max_removed = 1
            if load.full_scan:
                sync.full_scan_every = 0
            yield events_source(
                config,
                authentication=authentication,
                run_id=run_id,
                log=log,
                sync=sync,
                manner=Manner(scan=Replay) if load.replay else manner,
            )


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={"events_api": EventsApi()},
        # A process for each step would import Dagster and dlt anew, seconds each time.
        executor=dg.in_process_executor,
    )
