"""The code location loads anywhere, and is what its contract says."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from events_assets.definitions import defs
from events_assets.defs.resources import EventsApi
from events_assets_tests.conftest import ROOT

BIN = Path(sys.executable).parent


def test_names_are_those_of_the_contract():
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        "events",
        "daily_events",
    }
    assert {key.name for key in graph.asset_check_keys} >= {
        "event_ids_are_unique",
        "events_end_after_they_start",
        "events_scan_is_complete",
    }
    assert {job.name for job in defs.resolve_all_job_defs()} >= {"events_job", "daily_events_job"}
    assert isinstance(defs.resources["events_api"], EventsApi)


def test_events_has_no_phantom_upstream_and_is_described():
    events = defs.resolve_asset_graph().get(dg.AssetKey("events"))
    assert events.parent_keys == set()
    assert events.group_name == "events" and events.kinds == {"dlt", "duckdb"}
    assert events.description and events.tags["source"] == "rest_api"


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
        "print(sorted(k.to_user_string() for k in defs.resolve_asset_graph().get_all_asset_keys()))"
    )
    assert told.stdout == "['daily_events', 'events', 'venues']\n", told.stderr
