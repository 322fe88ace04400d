"""The API that is configured, and its secrets, which are masked while it is in use."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration, sample_api
from events_assets.authentication import Authentication
from events_assets.http.log_masking import masked


@contextmanager
def configured_api() -> Iterator[tuple[RESTAPIConfig, Authentication]]:
    """The API as it is configured now, with the built-in sample API running while it is in use.
    Raises ConfigurationError where it is not, or wrongly, configured.

    Until the context ends, the key and all other secrets are masked in logs, and in an exception
    that leaves it.
    """
    configuration.reload_providers()
    config, key = configuration.rest_api_config(), configuration.api_key()
    with ExitStack() as stack:
        if config["client"]["base_url"] == configuration.SAMPLE:
            api = stack.enter_context(sample_api.serving())
            config["client"]["base_url"], key = api.base_url, api.key
        authentication = Authentication(key)
        stack.enter_context(masked(authentication.redaction))
        yield config, authentication
