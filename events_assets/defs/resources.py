"""The API as a Dagster resource: where its key enters, at run time and nowhere else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dlt.extract import DltSource

from events_assets.api import configured_api
from events_assets.source import events_source


class EventsApi(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configured event-management API.

    It has no fields: the API is described in `.dlt/config.toml`, and the key comes from dlt's
    secrets when a run starts, so that no launchpad, run configuration or event shows it.
    """

    @contextmanager
    def source(self, run_id: str, log: logging.Logger) -> Iterator[DltSource]:
        """The source to load.

        Raises:
            ConfigurationError: the API is not, or wrongly, configured, or its key is missing.
        """
        with configured_api() as (config, authentication):
            yield events_source(config, authentication=authentication, run_id=run_id, log=log)
