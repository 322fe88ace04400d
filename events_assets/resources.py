"""The API as a Dagster resource: where its key enters, at run time and nowhere else."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from dlt.extract import DltSource

from events_assets import configuration, sample_api
from events_assets.authentication import Authentication
from events_assets.source import events_source


class EventsApi(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configured event-management API.

    It has no fields: the API is described in `.dlt/config.toml`, and the key comes from dlt's
    secrets when a run starts, so that no launchpad, run configuration or event shows it.
    """

    @contextmanager
    def source(self, run_id: str, log: logging.Logger) -> Iterator[DltSource]:
        """The source to load, with the built-in sample API running while it is in use.

        Raises:
            ConfigurationError: the API is not, or wrongly, configured, or its key is missing.
        """
        configuration.reload_providers()
        config, key = configuration.rest_api_config(), configuration.api_key()
        with ExitStack() as stack:
            if config["client"]["base_url"] == configuration.SAMPLE:
                api = stack.enter_context(sample_api.serving())
                config["client"]["base_url"], key = api.base_url, api.key
            authentication = Authentication(key)
            stack.enter_context(authentication.redaction.everywhere())
            yield events_source(config, authentication=authentication, run_id=run_id, log=log)
