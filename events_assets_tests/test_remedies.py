"""What failed for a known reason is one sentence that says what to do, and no more."""

import errno
import socketserver

import dagster as dg
import pytest

from events_assets.defs.failures import explained
from events_assets.errors import WarehouseError
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure, load_configured, refused
from events_assets_tests.receivers import CERTIFICATE, Http, receiving
from events_assets_tests.shapes import KEY


@pytest.fixture
def at(monkeypatch):
    """Says where the API is; certificates and proxies are those of the test only."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("API_KEY", KEY)
    return lambda url: monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", url)


def test_a_certificate_that_is_not_trusted_is_looked_at_once(at, monkeypatch):
    with receiving(Http, with_tls=True) as server:
        at(f"https://127.0.0.1:{server.port}")
        told = refused()
        assert server.connections == 1 and server.received == []
        assert told.startswith(f"GET https://127.0.0.1:{server.port}/v1/events was not sent: ")
        assert "is not accepted: self-signed certificate; " in told
        assert told.endswith("set REQUESTS_CA_BUNDLE to the path of it")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        load_configured()
        assert server.received


def test_a_certificate_for_another_host_is_not_remedied_by_trust(at, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with receiving(Http, with_tls=True) as server:
        at(f"https://localhost:{server.port}")
        told = refused()
        assert server.received == []
    assert f"(REQUESTS_CA_BUNDLE is '{CERTIFICATE}')" in told
    assert "valid for 'localhost'; check client.base_url" in told


def test_a_bundle_of_certificates_that_is_not_there_is_named(at, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    at("https://127.0.0.1:1")
    assert refused().endswith("invalid path: /no/such.pem; correct REQUESTS_CA_BUNDLE")


def test_a_server_without_tls_is_told_once(at):
    with receiving(Http) as server:
        at(f"https://127.0.0.1:{server.port}")
        assert "there is no TLS at this address; is client.base_url to begin with" in refused()
        assert server.connections == 1


class Closes(socketserver.BaseRequestHandler):
    """A server that is about to restart."""


def test_a_connection_that_breaks_off_while_it_is_encrypted_is_made_again(at):
    with receiving(Closes) as server:
        at(f"https://127.0.0.1:{server.port}")
        assert "cannot be read after 4 attempts" in refused()
        assert server.connections == 4


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_dead_proxy_is_not_taken_for_the_api(at, monkeypatch, name):
    at("https://api.example.com")
    monkeypatch.setenv(name, "http://me:pass-word@127.0.0.1:1")
    told = refused()
    assert f"was not sent: the proxy 127.0.0.1:1 ({name}) lets nothing through after 4" in told
    assert f"correct {name}, or name api.example.com in NO_PROXY" in told
    assert "base_url" not in told and "pass-word" not in told


@pytest.mark.parametrize(("status", "told"), [(401, "check API_KEY or"), (403, "as API_KEY or as")])
def test_a_refused_key_is_told_by_its_settings(serve, status, told):
    serve().intercept = lambda number, path: Answer(status, {})
    said = refused()
    assert told in said and "api_key in .dlt/secrets.toml" in said


FULL = 'Failed to commit: Could not write file "{}/x.duckdb.wal": No space left on device'


def test_a_full_disk_is_told_with_the_folder_and_what_is_free(tmp_path):
    folder = tmp_path / "data"
    for error in (
        OSError(errno.ENOSPC, "No space left on device", str(folder / "not" / "there")),
        OSError(errno.EDQUOT, "Disk quota exceeded", str(folder / "x")),
        ValueError(FULL.format(folder)),
        WarehouseError(FULL.format(folder)),
    ):
        with pytest.raises(dg.Failure) as raised, explained():
            raise error
        told = str(raised.value.description)
        assert f"MB of the disk with {folder}, " in told
        assert told.endswith(
            "make room there, or set another database in [sources.events.warehouse]"
        )


def test_the_full_disk_of_a_server_is_not_looked_for_here():
    error = ValueError('could not extend file "base/16384/2": No space left on device')
    with pytest.raises(dg.Failure) as raised, explained():
        raise error
    assert str(raised.value.description).endswith("of the database server: make room there")


def test_the_frames_of_a_known_failure_do_not_bury_its_sentence(serve, run, monkeypatch):
    serve([event(1)])
    monkeypatch.setenv("API_KEY", "not-the-right-one")
    result = run()
    error = result.failure_data_for_node("load_events").error
    assert "401 Unauthorized" in failure(result)
    assert error.cause is None and error.context is None
    assert len(error.to_string().splitlines()) < 40


def test_an_unknown_failure_is_told_with_all_its_causes():
    with pytest.raises(dg.Failure) as raised, explained():
        try:
            raise KeyError("within")
        except KeyError as error:
            raise TypeError("around") from error
    assert isinstance(raised.value.__cause__, TypeError)
    assert isinstance(raised.value.__cause__.__cause__, KeyError)
