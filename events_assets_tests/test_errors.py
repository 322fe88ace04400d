"""Each mistake ends the run with one sentence that says what, where and what to do."""

import shutil
import socket

import dagster as dg
import pytest

from events_assets import configuration
from events_assets.defs.failures import explained
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure, load_configured, refused, unplugged
from events_assets_tests.test_checks import checked
from events_assets_tests.test_configuration import mistake


def test_a_missing_key_names_where_to_put_it(serve, run, monkeypatch):
    serve([event(1)])
    monkeypatch.delenv("API_KEY")
    assert "set the environment variable API_KEY" in failure(run())


def test_a_key_too_short_to_be_masked_is_refused(serve, run):
    serve([event(1)], key="abc")
    assert "shorter than 6 characters" in failure(run())


def test_a_wrong_key_is_told_from_other_refusals(serve, run, monkeypatch):
    serve([event(1)])
    monkeypatch.setenv("API_KEY", "not-the-right-one")
    told = failure(run())
    assert "401 Unauthorized: the API does not accept the key; check API_KEY" in told
    assert "not-the-right-one" not in told


def test_a_forbidden_resource_says_so(serve, run):
    serve([event(1)]).intercept = lambda number, path: Answer(403, {})
    assert "403 Forbidden: the key is not allowed to read this" in failure(run())


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"code": 7, "message": "ask for less"}},
        {"errors": [{"title": "Bad Request", "detail": "ask for less"}]},
        {"type": "about:blank", "detail": "ask for\n less"},
        "ask for less",
    ],
)
def test_what_the_api_says_of_a_refusal_is_told(serve, document):
    serve().intercept = lambda number, path: Answer(400, document)
    assert 'it says: "ask for less"' in refused()


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[[]]", b'{"detail": 7}', b"\xff"])
def test_a_refusal_without_words_is_told_without_them(serve, body):
    serve().intercept = lambda number, path: Answer(400, body)
    told = refused()
    assert "400 Bad Request" in told and "it says" not in told


def test_a_wrong_path_names_the_setting(serve, run, monkeypatch):
    serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PATH", "/v2/events")
    told = failure(run())
    assert "404 Not Found" in told and "endpoint.path" in told


def test_an_unreachable_host_names_the_address(run, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", url)
        monkeypatch.setenv("API_KEY", "key-of-the-tests")
        told = failure(run())
    assert f"GET {url}/v1/events cannot be read after 4 attempts" in told
    assert "refused" in told and "client.base_url" in told


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://example.com", "https://", "events", "http://a:0"]
)
def test_a_base_url_that_is_none_is_refused_before_any_request(monkeypatch, url):
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", url)
    assert repr(url) in mistake() and "no URL" in mistake()


def test_rows_elsewhere_than_the_selector_says_are_looked_up(serve, run):
    api = serve([event(1)])
    api.intercept = lambda number, path: Answer(200, {"items": [event(1)], "total": 1})
    told = failure(run())
    assert "expected at 'data' (data_selector), but there is nothing; lists are at: items" in told


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("CLIENT__BASE_ULR", "x", "unknown 'base_ulr' in sources.events.client"),
        ("CLIENT__AUTH__LOCATON", "query", "did you mean 'location'?"),
        ("RESOURCES__EVENTS__ENDPOINT__DATA_SELECTR", "data", "did you mean 'data_selector'?"),
        ("RESOURCES__EVENTS__ENDPOINT__PAGINATOR__LIMT", "5", "did you mean 'limit'?"),
        ("RESOURCES__EVENTS__ENDPOINT__PAGINATOR__TYPE", "ofset", "did you mean 'offset'?"),
        ("RESOURCES__EVENTS__ENDPOINT__PAGINATOR__LIMIT", "many", "paginator"),
        ("RESOURCES__VENUES__ENDPOINT__PATH", "/v1/venues", "no entry of"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest_known_one(monkeypatch, variable, value, told):
    monkeypatch.setenv(f"SOURCES__EVENTS__{variable}", value)
    assert told in mistake()


def test_a_part_of_the_authentication_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", '{"type": "http_basic", "username": "me"}')
    assert "'password' is missing in sources.events.client.auth" in mistake()


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("[sources.events.http]", "[sources.events.htpp]", "did you mean 'http'?"),
        ("overlap = 1", "overlp = 1", "did you mean 'overlap'?"),
        ("[sources.events.resource_defaults]", "[sources.events.defaults]", "unknown 'defaults'"),
    ],
)
def test_a_misspelt_section_is_named(project, right, wrong, told):
    config = project / ".dlt" / "config.toml"
    config.write_text(config.read_text().replace(right, wrong))
    configuration.reload_providers()
    assert told in mistake()


@pytest.mark.parametrize(
    ("before", "secret"),
    [
        ("", 'api_key = "a-real-key"\n'),
        ("[sources.events.client.auth]\n", 'api_key = "a-real-key"\n'),
        ("[sources.events.client.auth]\n", 'password = "a-real-key"\n'),
        ("[sources.events.resources.endpoint]\n", 'auth = { token = "a-real-key" }\n'),
        ("", '[sources.events.alerts.email]\npassword = "a-real-key"\n'),
        ("", '[sources.events.alerts.slack]\nurl = "a-real-key"\n'),
    ],
)
def test_a_secret_in_config_toml_is_refused_and_not_quoted(project, before, secret):
    config = project / ".dlt" / "config.toml"
    config.write_text(config.read_text().replace(before, before + secret, 1))
    configuration.reload_providers()
    told = mistake()
    assert "move it to .dlt/secrets.toml" in told and "line" in told and "a-real-key" not in told


def test_a_file_that_is_no_toml_says_where(serve, run, project):
    serve([event(1)])
    (project / ".dlt" / "config.toml").write_text("[sources.events\nx = 1")
    assert ".dlt/config.toml is no TOML at line 1, column 16" in failure(run())


@pytest.mark.parametrize(
    ("paginator", "told"),
    [
        ('{"type": "offset"}', "limit"),
        ('{"type": "offset", "limit": 10, "offset_param": "a", "offset_body_path": "b"}', "both"),
        ('{"type": "cursor", "cursor_param": "a", "cursor_body_path": "b"}', "both"),
    ],
)
def test_a_paginator_that_contradicts_itself_is_told(serve, monkeypatch, paginator, told):
    api = serve()
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR", paginator)
    said = refused()
    assert told in said and "paginator" in said and api.paths == []


def test_a_missing_configuration_file_says_where_it_was_looked_for(run, project):
    shutil.rmtree(project / ".dlt")
    told = failure(run())
    assert "no API is configured" in told and "config.toml" in told


def test_a_warehouse_in_a_missing_folder_names_it(serve, run, monkeypatch, project):
    serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__DATABASE", str(project / "no" / "x.duckdb"))
    told = failure(run())
    assert "the warehouse cannot be opened" in told and "no/x.duckdb" in told


def test_a_locked_warehouse_names_who_holds_it(serve, run, monkeypatch, project, holder):
    serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__LOCK_TIMEOUT", "0.2")
    with holder(project / "data" / "events.duckdb") as process:
        told = failure(run())
    assert f"PID {process.pid}" in told and "warehouse.lock_timeout" in told


def test_a_failing_load_leaves_the_tables_as_they_were(serve, run, rows):
    api = serve([event(number) for number in range(250)])
    load_configured()
    before = rows("SELECT * FROM events ORDER BY id")
    api.events[:] = [event(number, event_name="New") for number in range(250)]
    api.intercept = lambda number, path: Answer(500, {}) if "offset=198" in path else None
    assert not run().success
    assert rows("SELECT * FROM events ORDER BY id") == before
    assert rows("SELECT count(*) FROM scan_receipts") == [(1,)]


def test_a_memory_limit_that_is_none_is_named(serve, run, monkeypatch):
    serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__MEMORY_LIMIT", "plenty")
    assert failure(run()).startswith("memory_limit in [sources.events.warehouse] is 'plenty'")


def test_a_column_that_was_dropped_is_no_traceback_where_it_is_read(serve, run, rows, instance):
    serve([event(1)])
    assert run().success
    rows("DROP VIEW current_events")
    rows("ALTER TABLE events DROP COLUMN end_time")
    result = checked(instance, "events_end_after_they_start")
    told = failure(result, "check_events")
    assert told.startswith("check_events failed: BinderException: Binder Error: ")
    assert "end_time" in told and "a load makes again what was dropped" in told


def test_a_load_that_broke_off_after_a_commit_does_not_say_that_nothing_was_loaded(
    serve, run, rows
):
    serve([event(1)])
    with unplugged():
        told = failure(run())
    assert "failed in dlt's step 'load': RuntimeError: the plug was pulled; " in told
    assert told.endswith("what it had committed stays, and the next load goes on from there")
    assert rows("SELECT id FROM events") == [(1,)]
    assert run().success and rows("SELECT count(*) FROM event_changes") == [(1,)]


@pytest.mark.parametrize("raised", [dg.Failure("no"), dg.RetryRequested(), KeyboardInterrupt()])
def test_what_steers_a_run_is_no_failure_of_a_step(raised):
    with pytest.raises(type(raised)) as passed, explained():
        raise raised
    assert passed.value is raised
