"""dlt's own tools find the last load, from whatever folder, and no secret in it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import warehouse
from events_assets.api import configured_api
from events_assets.defs.daily_events import COLUMNS
from events_assets_tests.conftest import ROOT, event, forget_providers, load
from events_assets_tests.shapes import KEY
from events_assets_tests.test_ui import CHROMIUM, MINUTE, QUIET

DOCUMENT = (ROOT / "docs" / "dlt.md").read_text(encoding="utf-8")
DLT = Path(sys.executable).parent / "dlt"


@pytest.fixture
def attached(tmp_path, monkeypatch):
    """Attaches to the pipeline as a notebook in another folder would."""

    def attach() -> dlt.Pipeline:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        forget_providers()
        return dlt.attach("events_assets")

    yield attach
    dlt.pipeline().deactivate()


def kept(project: Path) -> dict[str, bytes]:
    """The files that dlt's tools are left."""
    folder = project / "of_dlt" / "pipelines"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_who_attaches_in_another_folder_reads_the_events_and_the_trace(rows, project, attached):
    load([event(1), event(2)])
    assert set(kept(project)) == {
        "events_assets/schemas/events.schema.json",
        "events_assets/state.json",
        "events_assets/trace.pickle",
    }
    pipeline = attached()
    with pipeline.dataset() as dataset:
        assert sorted(dataset.events.select("id").fetchall()) == [(1,), (2,)]
    assert [step.step for step in pipeline.last_trace.steps] == [
        *("extract", "normalize", "load", "run"),
    ]


@pytest.mark.slow
def test_a_dataset_without_the_name_of_a_schema_has_events_and_counts(run, serve, rows, attached):
    serve([event(1), event(2)])
    assert run().success
    with warehouse.loading() as pipeline:  # as an older version did
        counts = [{"day": None, "status": None, "events": 9}]
        schema = dlt.Schema("daily_events")
        warehouse.load(pipeline, counts, table_name="daily_events", columns=COLUMNS, schema=schema)
    assert run("daily_events_job").success
    destination = attached().destination
    for schema in ({}, {"schema": "events"}):
        with dlt.dataset(destination, "events_data", **schema) as dataset:
            assert len(dataset.events.fetchall()) == 2
            assert dataset.daily_events.select("events").fetchall() == [(2,)]


def test_the_trace_of_a_load_that_failed_shows_no_key(serve, project, attached):
    serve(key=KEY)

    def rows():
        raise ValueError(f"GET /v1/events?api_key={KEY}")
        yield

    with (
        pytest.raises(PipelineStepFailed),
        configured_api(),
        warehouse.loading() as pipeline,
    ):
        warehouse.load(pipeline, rows(), table_name="events")
    files = kept(project)
    assert files and not [name for name, content in files.items() if KEY.encode() in content]
    failed = attached().last_trace.steps[-1]
    assert "api_key=[masked]" in failed.step_exception
    assert "api_key=[masked]" in str(failed.exception_traces[-1])


def test_a_load_is_no_worse_where_dlts_folder_cannot_be_written(project, rows, caplog):
    (project / "of_dlt").write_text("a file")
    assert load([event(1)])[1] == 1
    assert "dlt's own tools do not see this load" in caplog.text


@pytest.mark.slow
def test_what_the_document_shows_works(serve, run, project, request):
    serve([event(1), event(2)])
    assert run().success and run("daily_events_job").success
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def told(*words: str | Path, folder: Path = project.parent) -> str:
        result = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    commands = re.findall(r"(?m)^dlt (pipeline events_assets .*)$", DOCUMENT)
    shown = {words: told(DLT, *words.split()) for words in commands if "show" not in words}
    assert "Resources in schema: events" in shown["pipeline events_assets info"]
    assert "- daily_events: 1 row(s)" in shown["pipeline events_assets trace"]
    assert "event_name:" in shown["pipeline events_assets schema"]
    attached, by_name = re.findall(r"(?s)```python\n(.*?)```", DOCUMENT)
    assert "'Event 1'" in told(sys.executable, "-c", attached, folder=project.parent)
    if request.config.getoption("--destination") == "duckdb":
        assert "event_name: string" in told(sys.executable, "-c", by_name, folder=project)


@pytest.fixture
def dashboard(project):
    """The URL at which `dlt pipeline events_assets show` says that it is."""
    (command,) = re.findall(r"(?m)^dlt (pipeline events_assets show)$", DOCUMENT)
    environment = {**os.environ, "PATH": f"{DLT.parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [DLT, *command.split()],
        cwd=project,
        env=environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told = (re.search(r"URL: (http\S+)", line) for line in process.stdout)
        yield next(found[1] for found in told if found)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(
    not (CHROMIUM and shutil.which("marimo", path=DLT.parent)),
    reason="no Chromium on this machine, or the extra `dashboard` is not installed",
)
def test_dlts_dashboard_shows_the_tables_and_what_they_hold(serve, run, request):
    from playwright.sync_api import expect, sync_playwright

    serve([event(1), event(2)])
    assert run().success
    url = request.getfixturevalue("dashboard")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 1740})
        page.goto(url)
        described = page.get_by_text("What happened to events from load to load").first
        expect(described).to_be_visible(timeout=MINUTE)
        page.get_by_role("button", name="Run Query").click()
        expect(page.get_by_text("arrived").first).to_be_visible(timeout=MINUTE)
        browser.close()
