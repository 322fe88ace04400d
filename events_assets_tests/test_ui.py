"""A person opens the Dagster UI, clicks Materialize, and sees the checks pass; runs queue."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from events_assets_tests.conftest import ROOT, event

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip
MINUTE = 60_000


@pytest.fixture
def ui(project: Path) -> Iterator[str]:
    """`dagster dev` on a free port, for an empty project with the sample API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, project)
    process = subprocess.Popen(
        [
            Path(sys.executable).parent / "dagster",
            "dev",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-w",
            "workspace.yaml",
        ],
        cwd=project,
        env={**os.environ, "DAGSTER_HOME": str(project), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        answers = Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True)
        answers(lambda: requests.get(f"{url}/server_info", timeout=5).raise_for_status())
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_materialize_in_the_browser_loads_events_and_passes_checks(ui: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 1740})
        page.goto(f"{ui}/assets/events")
        materialize = page.get_by_role("button", name="Materialize").first
        expect(materialize).to_be_enabled(timeout=MINUTE)
        expect(page.get_by_text("one row for each, kept in step with it").first).to_be_visible()
        with page.expect_response(lambda r: "mutation Launch" in (r.request.post_data or "")):
            materialize.click()

        page.goto(f"{ui}/runs")
        expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=2 * MINUTE)
        page.goto(f"{ui}/assets/events?view=checks")
        expect(page.get_by_text("Succeeded")).to_have_count(7, timeout=MINUTE)
        page.goto(f"{ui}/assets/events")
        expect(page.get_by_text("1,200").first).to_be_visible(timeout=MINUTE)
        expect(page.get_by_text("event_name").first).to_be_visible()
        page.get_by_text("Columns", exact=True).click()  # folds them
        picture = page.get_by_alt_text("Events over time")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") > 200
        assert picture.bounding_box()["x"] + picture.bounding_box()["width"] < 950  # not cut off
        expect(page.get_by_text("1,200 new")).to_be_visible()
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/ui.png")
        browser.close()


LAUNCH = """
mutation Launch {
  launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {jobName: "events_job",
    repositoryName: "__repository__", repositoryLocationName: "events_assets.definitions"}}) {
    ... on LaunchRunSuccess { run { runId } }
  }
}
"""
TERMINATE = "mutation Stop($run: String!) { terminateRun(runId: $run) { __typename } }"
STATUSES = "{ runsOrError { ... on Runs { results { status } } } }"


@dataclass
class Buttons:
    """What the buttons of the UI ask of its server."""

    ui: str

    def ask(self, query: str, **variables: str) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        return requests.post(f"{self.ui}/graphql", json=body, timeout=30).json()["data"]

    def launch(self) -> str:
        return self.ask(LAUNCH)["launchRun"]["run"]["runId"]

    def statuses(self) -> list[str]:
        return [run["status"] for run in self.ask(STATUSES)["runsOrError"]["results"]]

    def until(self, *expected: str, within: float = 60) -> None:
        """Waits until the runs have these statuses."""

        stop = stop_after_delay(within)
        differ = retry_if_result(lambda statuses: sorted(statuses) != sorted(expected))
        Retrying(stop=stop, wait=wait_fixed(0.2), retry=differ)(self.statuses)


@pytest.fixture
def busy_api(serve):
    """An API that answers the first request, and the others only after `go_on`."""
    api = serve([event(number) for number in range(500)])
    asked, go_on = Event(), Event()
    api.intercept = lambda number, path: (
        None if number == 1 else asked.set() or (go_on.wait(60) and None)
    )
    yield api, asked, go_on
    go_on.set()


def test_runs_queue_for_the_warehouse_and_one_that_is_cancelled_makes_way(busy_api, ui):
    api, asked, go_on = busy_api
    buttons = Buttons(ui)
    first = buttons.launch()
    assert asked.wait(60)
    buttons.launch()
    buttons.until("QUEUED", "STARTED")
    buttons.ask(TERMINATE, run=first)
    buttons.until("CANCELED", "STARTED")
    go_on.set()
    buttons.until("CANCELED", "SUCCESS")
    assert len(api.paths) == 2 + 6  # the one that was cancelled asked no more
