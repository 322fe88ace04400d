"""The events can be put into somebody else's dg project."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import yaml
from dagster import Failure

from events_assets import configuration, providers
from events_assets.commands.report import OK, Report, Step
from events_assets.component import EventsApiComponent
from events_assets.defs.failures import in_a_sentence
from events_assets.errors import ConfigurationError
from events_assets.settings import SECTIONS
from events_assets_tests.conftest import ROOT, event
from events_assets_tests.shapes import KEY

BIN = Path(sys.executable).parent
DOCUMENT = (ROOT / "docs" / "component.md").read_text(encoding="utf-8")
EXAMPLE = textwrap.dedent(*re.findall(r"(?s)```yaml\n(.*?) *```", DOCUMENT))
FILE = Path("defs/events/defs.yaml")

PYPROJECT = """
[project]
name = "my_project"
version = "0.1.0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "my_project"
[tool.dg.cli]
suppress_warnings = ["project_and_activated_venv_mismatch"]
"""
DEFINITIONS = """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
OTHERS = """
import dagster as dg
from dagster_dlt import DagsterDltResource


@dg.definitions
def others():
    executor = dg.multiprocess_executor
    return dg.Definitions(resources={"dlt": DagsterDltResource()}, executor=executor)
"""
"""What a project may well have already."""


pytestmark = pytest.mark.filterwarnings("ignore:`parse_obj_as`")  # Dagster's own


def attributes(text: str = EXAMPLE) -> str:
    """The example's attributes, as text."""
    return yaml.safe_dump(yaml.safe_load(text)["attributes"])


def test_the_example_of_the_document_is_a_configuration_that_dlts_own_files_change(
    project, monkeypatch
):
    (project / ".dlt" / "config.toml").write_text("[sources.events.sync]\nmax_removed = 0.5\n")
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__LOCK_TIMEOUT", "7")
    configuration.provide(EventsApiComponent.resolve_from_yaml(attributes()).settings, FILE)
    for _ in range(2):
        assert configuration.rest_api_config()["client"]["base_url"] == "https://api.example.com"
        assert configuration.warehouse_settings().database == "events.duckdb"
        assert configuration.warehouse_settings().lock_timeout == 7
        assert configuration.sync_settings().max_removed == 0.5
        configuration.reload_providers()  # as each run does


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("base_urll", "https://api.example.com", "unknown 'base_urll' in sources.events.client"),
        ("headers", {"X-Api-Key": KEY}, "there is a secret, X-Api-Key, in defs/events/defs.yaml"),
    ],
)
def test_what_is_wrong_is_told_before_any_run_with_the_file(key, value, told):
    with pytest.raises(ConfigurationError, match=told) as raised:
        configuration.provide({"client": {key: value}}, FILE)
    assert str(FILE) in str(raised.value) and KEY not in str(raised.value)


def test_a_second_api_is_not_mixed_with_the_first():
    configuration.provide({}, FILE)
    configuration.provide({}, FILE)
    with pytest.raises(ConfigurationError, match=r"one only: move defs/more/defs.yaml"):
        configuration.provide({}, Path("defs/more/defs.yaml"))


def test_what_is_to_be_changed_is_named_where_it_stands():
    text = "check client.auth in .dlt/config.toml, and overlap in [sources.events.scan]"
    step = Step(OK, "fields", "", {"fields.start_time": {"path": "start", "unit": "seconds"}})
    assert providers.at_its_place(text) == text and "[sources.events.fields]" in step.text()
    configuration.provide({}, FILE)
    assert providers.at_its_place(text) == (
        "check client.auth in defs/events/defs.yaml, and overlap in attributes.scan of "
        "defs/events/defs.yaml"
    )
    report = Report()
    report.add(replace(step, finding=text))
    assert "config.toml" not in report.markdown() and "[sources" not in report.markdown()
    assert 'attributes.fields.start_time: {"path": "start", "unit"' in report.markdown()
    for error in (ConfigurationError(text), ValueError(text)):
        with pytest.raises(Failure) as raised, in_a_sentence():
            raise error
        assert "config.toml" not in str(raised.value.description)


def test_a_template_is_not_sent_to_the_api_as_it_is():
    with pytest.raises(ValueError, match="SOURCES__EVENTS__CLIENT__BASE_URL"):
        EventsApiComponent.resolve_from_yaml("client: {base_url: '{{ env.URL }}'}")


def test_editors_know_all_settings():
    schema = EventsApiComponent.model().model_json_schema()
    assert schema["properties"].keys() >= {"client", "resources", *SECTIONS}
    assert schema["additionalProperties"] is False
    for table in SECTIONS.values():
        found = schema["$defs"][table.__name__]["properties"].values()
        assert all("description" in one for one in found), table


@pytest.mark.slow
def test_a_project_of_dg_loads_the_events_besides_its_own_definitions(tmp_path, serve):
    if not (BIN / "dg").exists():
        pytest.skip("dg is not installed here")
    serve([event(1), event(2)], key=KEY)
    folder = tmp_path / "my_project"
    defs = folder / "src" / "my_project" / "defs"
    defs.mkdir(parents=True)
    for path, text in {
        folder / "pyproject.toml": PYPROJECT,
        defs / "__init__.py": "",
        defs / "others.py": OTHERS,
        defs.parent / "__init__.py": "",
        defs.parent / "definitions.py": DEFINITIONS,
    }.items():
        path.write_text(text)
    quiet = {"DAGSTER_DISABLE_TELEMETRY": "yes", "PYTHONPATH": f"{ROOT}:{folder / 'src'}"}
    keyless = {name: os.environ[name] for name in os.environ if name != "API_KEY"} | quiet

    def dg(*words: str, **env: str) -> str:
        command = [BIN / "dg", *words]
        result = subprocess.run(
            command, cwd=folder, env=keyless | env, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert KEY not in result.stdout + result.stderr
        return result.stdout

    name = "events_assets.component.EventsApiComponent"
    assert name in dg("list", "components", "--json")
    dg("scaffold", "defs", name, "events")
    dg("check", "defs")
    (defs / "events" / "defs.yaml").write_text(
        f"{EXAMPLE}\npost_processing: {{assets: [{{attributes: {{owners: [team:calendar]}}}}]}}\n"
    )
    assert dg("list", "defs", "--json").count('"team": "calendar"') == 7
    dg("launch", "--job", "events_job", API_KEY=KEY)
    with duckdb.connect(str(folder / "events.duckdb")) as connection:
        ids = connection.execute("SELECT id FROM events_data.events ORDER BY id").fetchall()
    assert ids == [(1,), (2,)]
