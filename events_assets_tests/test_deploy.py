"""What stands in deploy/ works: the image's steps in an empty folder, the services as processes."""

import os
import re
import signal
import tempfile
from pathlib import Path
from threading import Event

import pytest

from events_assets.sample_api import sample_events, serving
from events_assets_tests.conftest import ROOT
from events_assets_tests.containers import Image, Services, workspace
from events_assets_tests.postgres import installed
from events_assets_tests.test_ui import Buttons

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
PASSWORD = "p@ss:w%rd/#?"
LOGS = """query Logs($run: ID!) { logsForRun(runId: $run) {
  ... on EventConnection { events { ... on MessageEvent { message } } } } }"""


@pytest.fixture(scope="module")
def image():
    """The image, built in an empty folder by the steps of its Dockerfile."""
    with tempfile.TemporaryDirectory(prefix="events_assets_image_") as folder:
        Path(folder).chmod(0o755)
        yield Image(Path(folder) / "root", ROOT).build(DEPLOY / "Dockerfile")


@pytest.fixture(scope="module")
def api():
    with serving(sample_events()) as api:
        yield api


@pytest.fixture(scope="module")
def services(image, api):
    """All services, and an API that is configured in the image."""
    programs = installed()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    config = image.at(".dlt/config.toml")
    config.write_text(
        config.read_text().replace('base_url = "sample"', f'base_url = "{api.base_url}"')
    )
    services = Services(COMPOSE, image, {"POSTGRES_PASSWORD": PASSWORD, "API_KEY": api.key})
    workspace(services, image.at("workspace.yaml"))
    with services.up(programs):
        yield services


@pytest.fixture
def buttons(services):
    return Buttons(f"http://127.0.0.1:{services.port(3000)}")


@pytest.mark.slow
def test_services_load_into_postgres_and_keep_their_history_there(services, buttons, api):
    run = buttons.launch()
    buttons.until("SUCCESS", within=180)
    assert services.sql("dagster", "SELECT run_id, status FROM runs") == f"{run}|SUCCESS"
    count = "SELECT count(*), count(DISTINCT id) FROM events_data.events"
    assert services.sql("warehouse", count) == "1200|1200"
    verdict = "SELECT verdict, run_id FROM events_data.scan_receipts"
    assert services.sql("warehouse", verdict) == f"complete|{run}"
    files = services.image.at("/var/lib/dagster")
    assert [*files.rglob(f"*{run}*")]  # what steps wrote, where the webserver finds it


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_started_again(services, buttons, api):
    before = buttons.statuses()
    asked, go_on = Event(), Event()
    api.intercept = lambda number, path: asked.set() or (go_on.wait(120) and None)
    run = buttons.launch()
    assert asked.wait(120)
    events = buttons.ask(LOGS, run=run)["logsForRun"]["events"]
    started = "Started process for run .pid: ([0-9]+)"
    pid = re.search(started, " ".join(event.get("message", "") for event in events))
    os.kill(int(pid[1]), signal.SIGKILL)
    go_on.set()
    buttons.until(*before, "FAILURE", "SUCCESS", within=240)
    retried = f"SELECT count(*) FROM runs WHERE run_body LIKE '%{run}%' AND status = 'SUCCESS'"
    assert services.sql("dagster", retried) == "1"
