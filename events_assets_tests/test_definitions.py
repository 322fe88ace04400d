"""The code location loads anywhere, and is what its contract says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest

from events_assets.definitions import defs
from events_assets.defs.resources import EventsApi
from events_assets_tests.conftest import ROOT

BIN = Path(sys.executable).parent


def names(keys: Iterable[dg.AssetKey]) -> list[str]:
    return sorted(key.to_user_string() for key in keys)


def test_names_are_those_of_the_contract():
    graph = defs.resolve_asset_graph()
    assert names(graph.materializable_asset_keys) == ["daily_events", "events"]
    assert names(graph.get_all_asset_keys() - graph.materializable_asset_keys) == [
        *("current_events", "event_changes", "events_api", "quarantined_events", "scan_receipts")
    ]
    assert {key.name for key in graph.asset_check_keys} >= {
        "event_ids_are_unique",
        "events_end_after_they_start",
        "events_scan_is_complete",
        "events_did_not_vanish",
        "event_fields_are_filled",
        "event_columns_are_as_before",
    }
    assert {job.name for job in defs.resolve_all_job_defs()} >= {"events_job", "daily_events_job"}
    assert isinstance(defs.resources["events_api"], EventsApi)


def test_events_come_from_the_api_and_are_described():
    graph = defs.resolve_asset_graph()
    events = graph.get(dg.AssetKey("events"))
    assert events.parent_keys == {dg.AssetKey("events_api")}
    assert graph.get(dg.AssetKey("events_api")).parent_keys == set()
    assert events.group_name == "events" and events.kinds == {"dlt", "duckdb"}
    assert events.tags["source"] == "rest_api"
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description and graph.get(key).group_name == "events"


def test_importing_needs_no_key_no_network_no_file_and_writes_none(python, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    told = python(
        "import socket; socket.socket.connect = None; socket.getaddrinfo = None\n"
        "from events_assets.definitions import defs\n"
        "print(len(defs.resolve_all_job_defs()) >= 2)",
        cwd=empty,
        env={"HOME": str(empty)},
    )
    assert told.stdout == "True\n", told.stderr
    assert list(empty.iterdir()) == []


def test_the_source_half_never_imports_dagster(python):
    told = python(
        "import sys, events_assets.source, events_assets.warehouse, events_assets.sample_api\n"
        "print([name for name in sys.modules if name.startswith('dagster')])"
    )
    assert told.stdout == "[]\n", told.stderr


def test_the_launchpad_has_no_field_for_a_key():
    assert list(EventsApi.model_fields) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["dagster", "definitions", "validate", "-m", "events_assets.definitions"],
        ["dg", "check", "defs"],
    ],
)
def test_the_definitions_are_valid(command, tmp_path):
    if not (BIN / command[0]).exists():
        pytest.skip(f"{command[0]} is not installed here")
    result = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=ROOT,
        env={"PATH": str(BIN), "HOME": str(tmp_path), "DAGSTER_HOME": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_another_resource_is_another_asset_without_code(python, project):
    config = project / ".dlt" / "config.toml"
    more = '[[sources.events.resources]]\nname = "venues"\nendpoint = "/v1/venues"\n'
    config.write_text(config.read_text() + more)
    told = python(
        "from events_assets.definitions import defs\n"
        "keys = defs.resolve_asset_graph().materializable_asset_keys\n"
        "print(sorted(k.to_user_string() for k in keys))"
    )
    assert told.stdout == "['daily_events', 'events', 'venues']\n", told.stderr


MORE = '[[sources.events.resources]]\nname = "my venues"\nendpoint = "/v1/venues"\n'
BROKEN = """
import sys
import dagster as dg
from events_assets.definitions import defs
assert len(defs.resolve_asset_graph().materializable_asset_keys) == 2
schedule = defs.resolve_schedule_def("events_schedule")
assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 * * * *", "UTC")
with dg.DagsterInstance.ephemeral() as instance:
    for job, step in (("events_job", "load_events"), ("daily_events_job", "daily_events")):
        run = defs.resolve_job_def(job)
        result = run.execute_in_process(instance=instance, raise_on_error=False)
        if not result.success:
            print(result.failure_data_for_node(step).user_failure_data.description)
"""
FOR_EACH = """
import json, os, pathlib, sys
import dagster_dlt, dlt.destinations, dlt.sources.rest_api, duckdb, pyarrow  # which take long
code, *configurations = json.loads(pathlib.Path("told.json").read_text())
for number, text in enumerate(configurations):
    pathlib.Path(".dlt/config.toml").write_text(text)
    print(f"== {number}", flush=True)
    if not os.fork():  # a process that has read no configuration
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0
"""
CLIENT = "[sources.events.client]"
WRONG = [
    ('"sample"', '"sample', r"config\.toml.* line \d+\D+\d+.*\n.*config\.toml.* line \d+\D+\d+"),
    ('"0 * * * *"', '"hourly"', r"schedule\.cron is 'hourly'.*'0 \* \* \* \*'.*config\.toml"),
    ('"UTC"', '"Lisboa"', r"schedule\b.*Lisboa"),
    ("[[sources.events.resources]]", "[sources.events.resources]", r"resources.*config\.toml"),
    (
        CLIENT,
        f'[sources.events.catalog]\nowners = ["ada"]\n{CLIENT}',
        r"owners\b.*'ada', which is no",
    ),
    ("[sources.events.schedule]", MORE + "[sources.events.schedule]", "'my venues'.*my_venues"),
    *(
        (CLIENT, f'destination_type = "{name}"\n{CLIENT}', f"(?s){told}.*{told}")
        for name, told in (
            ("filesystem", "events cannot go to filesystem: dlt only adds"),
            ("no such one://pass:word@", "destination_type is no name of a destination"),
        )
    ),
    ("lock_timeout = 300.0", 'lock_timeout = "long"', "lock_timeout(.|\n)*lock_timeout"),
]


@pytest.mark.slow
def test_a_wrong_configuration_leaves_the_assets_in_the_ui_and_is_told_by_the_run(python, project):
    text = (project / ".dlt" / "config.toml").read_text()
    assert all(before in text for before, *_ in WRONG)
    configurations = [text.replace(before, after) for before, after, _ in WRONG]
    (project / "told.json").write_text(json.dumps([BROKEN, *configurations]))
    result = python(FOR_EACH)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stdout
    _, *said = re.split(r"== \d+\n", result.stdout)
    for (*_, told), output in zip(WRONG, said, strict=True):
        assert re.search(told, output), output


@pytest.mark.slow
def test_what_is_scaffolded_into_the_folder_is_loaded(tmp_path):
    if not (BIN / "dg").exists():
        pytest.skip("dg is not installed here")
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "events_assets", copy / "events_assets")
    shutil.copy(ROOT / "pyproject.toml", copy)
    env = {**os.environ, "PYTHONPATH": str(copy), "DAGSTER_DISABLE_TELEMETRY": "yes"}

    def command(*words: str | Path) -> str:
        result = subprocess.run(words, cwd=copy, env=env, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    command(BIN / "dg", "scaffold", "defs", "dagster.asset", "my_asset.py")
    command(BIN / "dg", "scaffold", "defs", "dagster.PythonScriptComponent", "my_component")
    (copy / "events_assets" / "defs" / "my_component" / "defs.yaml").write_text(
        "type: dagster.PythonScriptComponent\n"
        "attributes: {execution: {path: script.py}, assets: [{key: scripted}]}\n"
    )
    told = command(
        sys.executable,
        "-c",
        "from events_assets.definitions import defs\n"
        "keys = defs.resolve_asset_graph().materializable_asset_keys\n"
        "print(sorted(key.to_user_string() for key in keys))",
    )
    assert told == "['daily_events', 'events', 'my_asset', 'scripted']\n"
