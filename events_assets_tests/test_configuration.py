"""What the configuration may hold: the same to the schema that editors use, and to a run."""

import json
import os
import re
import tomllib
import traceback
from pathlib import Path

import dlt
import jsonschema
import pytest
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from dlt.sources.rest_api.config_setup import AUTH_MAP, PAGINATOR_MAP, register_auth

from events_assets import configuration, vocabulary
from events_assets.errors import ConfigurationError
from events_assets.json_path import finder
from events_assets.source import events_outline
from events_assets_tests.config_schema import schema
from events_assets_tests.conftest import ROOT, event, failure, load_configured
from events_assets_tests.recipes import put_into, recipes

SCHEMA = json.loads((ROOT / "docs" / "config.schema.json").read_text())
COMMITTED = (ROOT / ".dlt" / "config.toml").read_text()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture
def change(project):
    """Changes `.dlt/config.toml` in one place."""

    def change(right: str, wrong: str) -> str:
        text = COMMITTED.replace(right, wrong, 1)
        assert text != COMMITTED
        (project / ".dlt" / "config.toml").write_text(text)
        configuration.reload_providers()
        return text

    return change


def mistake() -> str:
    with pytest.raises(ConfigurationError) as raised:
        configuration.rest_api_config()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_schema_for_editors_is_that_of_the_code():
    assert schema() == SCHEMA, (
        "python -m events_assets_tests.config_schema > docs/config.schema.json"
    )
    assert COMMITTED.startswith("#:schema ../docs/config.schema.json\n")


def test_the_committed_configuration_and_all_its_comments_fit_the_schema():
    VALIDATOR.validate(tomllib.loads(COMMITTED))
    settings = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", COMMITTED)
    document = tomllib.loads(settings)
    events = document["sources"]["events"]
    assert len(events["fields"]) == 8 and len(events["http"]) == 15 and len(events["windows"]) == 7
    assert len(events["backfill"]) == 5
    assert len(events["alerts"]) == 6 and len(events["alerts"]["email"]) == 6
    VALIDATOR.validate(document)


@pytest.mark.parametrize("title", recipes())
def test_a_recipe_fits_the_schema_and_is_accepted(title, project):
    document = tomllib.loads(COMMITTED)
    put_into(document["sources"]["events"], recipes()[title].settings)
    VALIDATOR.validate(document)
    vocabulary.events_model().model_validate(document["sources"]["events"])


WRONG = {
    "a misspelt section": ("[sources.events.http]", "[sources.events.htpp]"),
    "a misspelt setting": ("overlap = 1", "overlp = 1"),
    "a text for a number": ("max_retries = 3", 'max_retries = "3"'),
    "true for a number": ("max_retries = 3", "max_retries = true"),
    "a fraction for a whole number": ("overlap = 1", "overlap = 1.5"),
    "less than nothing": ("read_timeout = 60.0", "read_timeout = -1"),
    "a status that is none": ("retry_statuses = [429,", "retry_statuses = [42,"),
    "a number for a text": ('timezone = "UTC"', "timezone = 0"),
    "a misspelt key of the client": ("base_url =", "base_ulr ="),
    "a misspelt key of a paginator": ("limit = 100", "limt = 100"),
    "a text for the limit": ("limit = 100", 'limit = "100"'),
    "a setting of another paginator": ("limit = 100", "base_page = 1\nlimit = 100"),
    "a misspelt type": ('type = "offset"', 'type = "ofset"'),
    "a place that is none": ('location = "query"', 'location = "body"'),
    "a table for a path": ('path = "/v1/events"', "path = {}"),
    "a disposition that is none": ('write_disposition = "merge"', 'write_disposition = "marge"'),
    "a resource without a name": ('name = "events"\n', "\n"),
}


@pytest.mark.parametrize("name", WRONG)
def test_editors_and_runs_refuse_the_same(name, change):
    right, wrong = WRONG[name]
    text = change(right, wrong)
    assert not VALIDATOR.is_valid(tomllib.loads(text))
    lines = text.splitlines()
    (number,) = re.findall(r"\(.dlt/config.toml, line (\d+)\)", mistake())
    key = wrong.split(" =")[0].strip() or "[[sources.events.resources]]"
    assert lines[int(number) - 1].startswith(key)


def test_the_right_one_of_many_equal_keys_is_named(change):
    other = '[[sources.events.resources]]\nname = "venues"\nendpoint.pth = "/v1/venues"\n\n'
    text = change("# Where the five", other + "# Where the five")
    line = text[: text.index("endpoint.pth")].count("\n") + 1
    assert mistake() == (
        f"unknown 'pth' in sources.events.resources.venues.endpoint (.dlt/config.toml, "
        f"line {line}); did you mean 'path'?"
    )


@pytest.mark.parametrize(
    ("key", "name", "told"),
    [
        ("resources.events.endpoint.paginator", "ofset", "did you mean 'offset'?"),
        ("client.paginator", "everything", "must be one of json_link, "),
        ("client.auth", "barer", "did you mean 'bearer'?"),
        ("client.auth", "magic", "must be one of bearer, api_key, http_basic, "),
    ],
)
def test_a_wrong_name_in_place_of_a_table_is_told_the_known_ones(monkeypatch, key, name, told):
    monkeypatch.setenv(f"SOURCES__EVENTS__{key.replace('.', '__').upper()}", name)
    said = mistake()
    assert told in said and f"sources.events.{key} must be one of" in said and name not in said


def test_an_entry_whose_name_is_none_is_named_by_its_number(configure):
    configure('[sources.events]\nclient.base_url = "sample"\nresources = [{ name = 5 }]')
    place = "(.dlt/config.toml, line 3)"
    assert mistake() == f"sources.events.resources.0.name must be a text {place}"


def test_what_is_wrong_with_a_table_is_found_also_where_none_of_its_lines_names_it(configure):
    configure('\n[sources.events.fields.end_time]\nduration_path = "length"')
    assert mistake().endswith("say where it is (.dlt/config.toml, line 2)")


def test_what_is_wrong_with_a_table_of_the_environment_names_a_variable(monkeypatch):
    name = "SOURCES__EVENTS__FIELDS__END_TIME__DURATION_PATH"
    monkeypatch.setenv(name, "length")
    assert mistake().endswith(f"say where it is ({name})")


@pytest.mark.parametrize("value", ["5", '"five"', "false"])
def test_a_section_that_is_none_is_refused_also_where_the_environment_sets_a_part(change, value):
    text = change("[sources.events.scan]", "[other]").replace(
        "\n[sources.events.client]",
        f"\n[sources.events]\nscan = {value}\n[sources.events.client]",
        1,
    )
    Path(".dlt/config.toml").write_text(text)
    configuration.reload_providers()
    line = text[: text.index("scan = ")].count("\n") + 1
    assert os.environ["SOURCES__EVENTS__SCAN__READ_AHEAD"]
    assert mistake() == f"sources.events.scan must be a table (.dlt/config.toml, line {line})"


BROKEN_PATHS = {
    "data_selector": ('data_selector = "data"', 'data_selector = "["'),
    "total_path of all": ("overlap = 1", 'overlap = 1\ntotal_path = "[["'),
    "total_path": ("limit = 100", 'limit = 100\ntotal_path = "a[?"'),
    "has_more_path": ("limit = 100", 'limit = 100\nhas_more_path = "a."'),
    "next_url_path": ('type = "offset"\nlimit = 100', 'type = "json_link"\nnext_url_path = "$$"'),
}


@pytest.mark.parametrize("setting", BROKEN_PATHS)
def test_a_broken_json_path_is_named_with_its_line(change, setting):
    text = change(*BROKEN_PATHS[setting])
    key = setting.split()[0]
    line = text[: text.index(f"\n{key} = ")].count("\n") + 2
    said = mistake()
    assert said.endswith(f"which is no JSON path (.dlt/config.toml, line {line})")
    assert f".{key} is '" in said


def test_a_broken_json_path_ends_a_run_and_a_check_before_any_request(serve, run, monkeypatch):
    api = serve([event(1)])
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__TOTAL_PATH", "[[")
    told = "sources.events.scan.total_path is '[[', which is no JSON path"
    assert failure(run()).startswith(told)
    assert told in str(run("check_api_job").all_events)
    assert api.paths == []


def test_a_broken_path_to_what_a_parent_is_asked_for_ends_the_run(serve, run, configure):
    api = serve([event(1)])
    configure(
        """
[[sources.events.resources]]
name = "venues"
endpoint.path = "/v1/venues"
[[sources.events.resources]]
name = "events"
endpoint.path = "/v1/{venue}"
endpoint.params.venue = { type = "resolve", resource = "venues", field = "[" }
"""
    )
    assert "wrong [[sources.events.resources]]" in failure(run())
    assert api.paths == []


def test_keys_that_are_no_json_path_are_looked_up_as_they_are():
    assert finder("hydra:view.hydra:total")({"hydra:view": {"hydra:total": 7}}) == [7]
    assert finder("number of events")({"number of events": 7}) == [7]
    for broken in ("[", "[[", "a.", ".", "a[?", "a..", "$$"):
        with pytest.raises(ConfigurationError):
            finder(broken)


@pytest.mark.parametrize("zone", ["+02:00", "Z", "UTC+1", "Europe/Lisboa"])
def test_a_time_zone_that_dagster_does_not_know_is_named_with_its_line(change, zone):
    text = change('timezone = "UTC"', f'timezone = "{zone}"')
    line = text[: text.index(f'"{zone}"')].count("\n") + 1
    assert mistake() == (
        f"sources.events.schedule.timezone is '{zone}', which is no time zone: use an IANA name "
        f'like "Europe/Lisbon" (.dlt/config.toml, line {line})'
    )


def test_a_wrong_cron_expression_ends_the_run_with_its_line(serve, run, change):
    api = serve([event(1)])
    text = change('cron = "0 * * * *"', 'cron = "0 25 * * *"')
    line = text[: text.index("cron =")].count("\n") + 1
    told = failure(run())
    assert told.startswith("sources.events.schedule.cron is '0 25 * * *', but should be like")
    assert f"(.dlt/config.toml, line {line})" in told and api.paths == []


def test_a_wrong_value_of_the_environment_is_named_by_its_variable(monkeypatch):
    name = "SOURCES__EVENTS__HTTP__RETRY_STATUSES"
    monkeypatch.setenv(name, "[429, 503]")
    assert configuration.http_settings().retry_statuses == [429, 503]
    monkeypatch.setenv(name, '["429"]')
    assert mistake() == f"sources.events.http.retry_statuses.0 must be a whole number ({name})"


def test_texts_of_the_environment_become_what_their_settings_ask_for(monkeypatch):
    for name, text in {
        "SCAN__ABSENT_WHEN_EMPTY": "true",
        "SCAN__TOTAL_PATH": '["a"]',
        "HTTP__BACKOFF_FACTOR": "3",
        "HTTP__MAX_RETRIES": "7",
        "WINDOWS__END_VALUE": "2027",
        "WAREHOUSE": '{"lock_timeout": 5}',
    }.items():
        monkeypatch.setenv(f"SOURCES__EVENTS__{name}", text)
    scan, http = configuration.scan_settings(), configuration.http_settings()
    assert (scan.absent_when_empty, scan.total_path) == (True, '["a"]')
    assert (http.backoff_factor, http.max_retries) == (3.0, 7)
    assert configuration.window_settings().end_value == "2027"
    assert configuration.warehouse_settings().lock_timeout == 5.0


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("auth.api_key = 123454321", "auth.api_key must be a text"),
        ("auth = '123454321'", "auth must be one of bearer, api_key, http_basic"),
        ("auth = ['123454321']", "auth must be a name, or a table with a type"),
        ("headers = '123454321'", "headers must be a table"),
        ("headers.X-Key = ['123454321']", "headers.X-Key must be a text"),
    ],
)
def test_a_secret_of_the_wrong_type_is_named_and_not_shown(project, toml, told):
    secrets = project / ".dlt" / "secrets.toml"
    secrets.write_text(f"[sources.events.client]\n{toml}\n")
    configuration.reload_providers()
    with pytest.raises(ConfigurationError) as raised:
        configuration.rest_api_config()
    said = "".join(traceback.format_exception(raised.value))
    assert told in said and "(.dlt/secrets.toml, line 2)" in said
    assert "123454321" not in said


def test_times_may_be_those_of_toml(change):
    text = (
        "[sources.events.windows]\ninitial_value = 2026-01-01\nend_value = 2027-01-01T00:00:00Z\n"
    )
    change("# [sources.events.windows]\n", text)
    configuration.rest_api_config()
    windows = configuration.window_settings()
    assert windows.initial_value == "2026-01-01"
    assert windows.end_value == "2027-01-01T00:00:00+00:00"


BROKEN = {
    "no end": ("secrets.toml", 'api_key = "sEcReT-1', "line 1, column"),
    "twice": ("secrets.toml", 'api_key = "sEcReT-1"\napi_key = "sEcReT-2"\n', "line 2, column"),
    "as a key": ("secrets.toml", "sEcReT-1 = 1\nsEcReT-1 = 2\n", "line 2, column"),
    "bare": ("secrets.toml", "\n\napi_key = sEcReT-1\n", "line 3, column"),
    "no text": ("secrets.toml", b'api_key = "sEcReT-1\xff"\n', "no UTF-8 at line 1"),
    "a header": ("config.toml", "[sources.events\n", "line 1, column 16"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_toml_is_named_without_a_word_of_it(name, project):
    file, text, told = BROKEN[name]
    (project / ".dlt" / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as raised:
        configuration.reload_providers()
    assert f".dlt/{file}" in str(raised.value) and told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "sEcReT" not in "".join(traceback.format_exception(raised.value))


def test_definitions_can_be_made_while_a_file_is_no_toml_and_the_run_says_so(project):
    file = project / ".dlt" / "config.toml"
    file.write_text("[sources.events\n")  # dlt has not read it
    assert configuration.table_names() == ["events"] and not configuration.is_sample()
    with pytest.raises(ConfigurationError, match="line 1, column 16"):
        configuration.schedule_settings()
    configuration.load_providers()
    assert configuration.table_names() == ["events"] and not configuration.is_sample()
    assert configuration.schedule_settings().cron == "0 * * * *"
    assert (
        list(events_outline(configuration.table_names()).resources)
        and dlt.config.get("destination_type") is None
    )
    with pytest.raises(ConfigurationError, match="line 1, column 16"):
        configuration.reload_providers()
    file.write_text(COMMITTED)
    configuration.reload_providers()
    assert configuration.is_sample()
    file.write_text(COMMITTED.replace('"sample"', '"https://example.com"'))
    configuration.reload_providers()
    assert not configuration.is_sample()


def test_types_that_were_registered_with_dlt_are_accepted_with_any_keys(monkeypatch):
    class Signed(AuthConfigBase):
        pass

    monkeypatch.setitem(AUTH_MAP, "signed", Signed)
    register_auth("signed", Signed)
    monkeypatch.setitem(PAGINATOR_MAP, "spiral", PAGINATOR_MAP["offset"])
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", '{"type": "signed", "turns": 3}')
    paginator = "SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR"
    monkeypatch.setenv(paginator, '{"type": "spiral", "arms": 2}')
    config = configuration.rest_api_config()
    assert config["client"]["auth"] == {"type": "signed", "turns": 3}
    assert config["resources"][0]["endpoint"]["paginator"] == {"type": "spiral", "arms": 2}
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", '{"type": "singed"}')
    assert "unknown 'singed' in sources.events.client.auth.type (SOURCES__" in mistake()
    assert "did you mean 'signed'?" in mistake()


def test_a_start_time_in_the_key_stays_a_time_and_keeps_instances_apart(serve, rows, change):
    change('primary_key = "id"', 'primary_key = ["id", "start_time"]')
    times = [f"2026-05-0{day}T10:00:00+02:00" for day in (1, 2, 3)]
    api = serve([event("a", start_time=time, end_time=None) for time in [*times, "", "soon"]])
    load_configured()
    assert rows("SELECT count(*) FROM quarantined_events") == [(2,)]
    times = [f"2026-05-0{day}T08:00:00Z" for day in (1, 2, 3, 4)]
    api.events[:] = [event("a", start_time=time, end_time=None) for time in times]
    load_configured()
    assert rows("SELECT id, start_time::VARCHAR FROM events ORDER BY ALL") == [
        ("a", f"2026-05-0{day} 08:00:00+00") for day in (1, 2, 3, 4)
    ]
    kind = "SELECT data_type FROM duckdb_columns() WHERE column_name = 'start_time'"
    assert set(rows(kind)) == {("TIMESTAMP WITH TIME ZONE",)}
