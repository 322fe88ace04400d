"""The key enters at run time, through dlt's secrets."""

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.specs import PluggableRunContext

from events_assets import configuration
from events_assets_tests.conftest import event, failure


def test_a_rotated_key_is_used_by_the_next_run(serve, run, project, monkeypatch):
    api = serve([event(1)], key="the-first-key")
    monkeypatch.delenv("API_KEY")
    secrets = project / ".dlt" / "secrets.toml"
    secrets.write_text('api_key = "the-first-key"\n')
    assert run().success
    api.key = "the-second-key"
    assert "401" in failure(run())
    secrets.write_text('api_key = "the-second-key"\n')
    assert run().success


def test_the_more_specific_key_wins(project, monkeypatch):
    monkeypatch.setenv("API_KEY", "the-general-key")
    assert configuration.api_key() == "the-general-key"
    secrets = project / ".dlt" / "secrets.toml"
    secrets.write_text('[sources.events]\napi_key = "the-specific-key"\n')
    configuration.reload_providers()
    assert configuration.api_key() == "the-specific-key"


def test_the_key_may_come_from_the_environment_of_the_source(monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__API_KEY", "the-specific-key")
    assert configuration.api_key() == "the-specific-key"


def test_a_bearer_token_is_sent_in_the_header_alone(serve, run, monkeypatch):
    api = serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", '{"type": "bearer"}')
    assert "401" in failure(run())
    assert all("key-of-the-tests" not in path for path in api.paths)


def test_the_key_may_come_from_another_provider_of_secrets(serve, run, monkeypatch):
    serve([event(1)], key="the-key-of-a-vault")
    monkeypatch.delenv("API_KEY")
    vault = CustomLoaderDocProvider("a vault", lambda: {"api_key": "the-key-of-a-vault"}, True)
    dlt.secrets.register_provider(vault)
    try:
        assert run().success
    finally:
        Container()[PluggableRunContext].reload_providers()
