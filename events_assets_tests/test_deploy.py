"""What stands in deploy/ works: the image's steps in an empty folder, the services as processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import dagster as dg
import psycopg2
import pytest
import yaml
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from events_assets.sample_api import Answer, sample_events, serving
from events_assets_tests.conftest import ROOT
from events_assets_tests.containers import VARIABLE, Image, Services, read, workspace
from events_assets_tests.postgres import installed
from events_assets_tests.test_ui import Buttons

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
INSTANCE = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
VALUES = yaml.safe_load((DEPLOY / "values.yaml").read_text())
PASSWORD = "p@ss:w%rd/#?"
FORCE = """mutation Stop($run: String!) {
  terminateRun(runId: $run, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename } }"""
LOGS = """query Logs($run: ID!) { logsForRun(runId: $run) {
  ... on EventConnection { events { ... on MessageEvent { message } } } } }"""
POD = """
import json, sys
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_k8s.job import UserDefinedDagsterK8sConfig
instance, pod = json.load(sys.stdin)
assert not (errors := process_config(dagster_instance_config_schema(), instance).errors), errors
print(UserDefinedDagsterK8sConfig.from_dict(pod).pod_spec_config)
"""


def services_of(name):
    return read(COMPOSE, {"POSTGRES_PASSWORD": PASSWORD})["services"][name]


def pins(path):
    return dict(re.findall(r"(?m)^([\w-]+)==([\w.]+)", path.read_text()))


def test_services_wait_for_nothing_that_never_gets_healthy():
    compose = read(COMPOSE, {"POSTGRES_PASSWORD": PASSWORD})
    for service in compose["services"].values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert compose["services"][name]["healthcheck"]["test"]
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).is_file()


def test_the_example_has_all_secrets_that_are_asked_for_and_git_takes_none():
    asked = {name for name, _, _ in VARIABLE.findall(COMPOSE.read_text())}
    assert asked == set(re.findall(r"(?m)^(\w+)=$", (DEPLOY / "example.env").read_text()))
    with pytest.raises(KeyError, match=r"deploy/\.env"):
        read(COMPOSE, {})
    ignored = ["git", "check-ignore", "--quiet", "deploy/.env"]
    assert subprocess.run(ignored, cwd=ROOT).returncode == 0


def test_only_the_code_location_has_the_key_of_the_api():
    compose = read(COMPOSE, {"POSTGRES_PASSWORD": PASSWORD, "API_KEY": "key"})
    having = [name for name, it in compose["services"].items() if "key" in str(it["environment"])]
    assert having == ["code"]


def test_the_image_pins_nothing_twice_and_all_of_the_extra_postgres():
    project, image = pins(ROOT / "requirements.lock"), pins(DEPLOY / "requirements.lock")
    assert not project.keys() & image.keys()
    extra = re.search(r"(?ms)^postgres = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text())[1]
    assert {*re.findall(r'"([\w-]+)', extra), "dagster-k8s"} <= image.keys()
    assert image["dagster-postgres"].split(".")[2] == project["dagster"].split(".")[2]


def test_kubernetes_runs_what_compose_runs():
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    compose = services_of("code")
    assert compose["command"][-2:] == code["dagsterApiGrpcArgs"]
    assert compose["command"][-3] == str(code["port"])
    for key in ("concurrency", "run_retries", "local_artifact_storage"):
        assert VALUES["additionalInstanceConfig"][key] == INSTANCE[key]
    for ticks in ("schedule", "sensor"):
        days = VALUES["retention"][ticks]["purgeAfterDays"]
        assert days == INSTANCE["retention"][ticks]["purge_after_days"]
    given = {one["name"]: one["value"] for one in code["env"]}
    assert {*given, "API_KEY", "DESTINATION__POSTGRES__CREDENTIALS__PASSWORD"} == {
        name for name in compose["environment"] if not name.startswith("DAGSTER_PG")
    }
    assert VALUES["postgresql"]["postgresqlScheme"] == scheme()
    readme = (DEPLOY / "README.md").read_text()
    secrets = [
        VALUES["global"]["postgresqlSecretName"],
        *(one["name"] for one in code["envSecrets"]),
    ]
    assert secrets == re.findall(r"create secret generic (\S+)", readme)


def scheme():
    return INSTANCE["storage"]["postgres"]["postgres_db"]["scheme"]


@dg.op
def say() -> None:
    pass


@dg.job(executor_def=dg.in_process_executor)
def hello() -> None:
    say()


def test_the_instance_of_a_team_keeps_its_history_in_postgres(postgres, tmp_path, monkeypatch):
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    url, database = urlsplit(postgres), "history_of_a_team"
    with closing(psycopg2.connect(postgres)) as server:
        server.autocommit = True
        server.cursor().execute(f"CREATE DATABASE {database}")
    for name, value in {
        "PG_HOST": url.hostname,
        "PG_PORT": str(url.port),
        "PG_DB": database,
        "PG_USERNAME": url.username,
        "PG_PASSWORD": url.password,
        "FILES": str(tmp_path / "files"),
    }.items():
        monkeypatch.setenv(f"DAGSTER_{name}", value)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run = hello.execute_in_process(instance=instance)
        assert (instance.run_retries_max_retries, instance.run_retries_enabled) == (2, True)
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
    with closing(psycopg2.connect(postgres.replace("/postgres", f"/{database}"))) as server:
        cursor = server.cursor()
        cursor.execute("SELECT run_id, status FROM runs")
        assert cursor.fetchall() == [(run.run_id, "SUCCESS")]
        cursor.execute("SELECT count(*) FROM event_logs WHERE run_id = %s", [run.run_id])
        assert cursor.fetchone() > (5,)


@pytest.fixture(scope="module")
def image():
    """The image, built in an empty folder by the steps of its Dockerfile, with secrets about."""
    with tempfile.TemporaryDirectory(prefix="events_assets_image_") as folder:
        Path(folder).chmod(0o755)
        context = Path(folder) / "context"
        ignored = shutil.ignore_patterns(".git", ".venv*", ".dagster", "data", "__pycache__")
        shutil.copytree(ROOT, context, ignore=ignored)
        for secret in ("deploy/.env", ".dlt/secrets.toml"):
            (context / secret).write_text("a secret")
        yield Image(Path(folder) / "root", context).build(DEPLOY / "Dockerfile")


@pytest.mark.slow
def test_the_image_has_no_secret_and_nothing_that_its_user_could_change(image):
    assert not [*image.root.rglob("secrets.toml"), *image.root.rglob(".env")]
    assert not image.at("/src").exists()
    find = ["find", ".", "-writable", "!", "-type", "l"]
    found = subprocess.run(
        find, cwd=image.root, capture_output=True, text=True, check=True, **image.as_user()
    )
    if os.geteuid() == 0:
        assert found.stdout.split() == ["./tmp", "./var/lib/dagster"]


@pytest.mark.slow
def test_the_settings_of_pods_are_known_to_kubernetes(image):
    pod = VALUES["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    words = {re.sub("([A-Z0-9]+[a-z]+)", r"_\1", name).lower(): it for name, it in pod.items()}
    settings = json.dumps([VALUES["additionalInstanceConfig"], words])
    command = [image.at("/opt/venv/bin/python"), "-c", POD]
    ran = subprocess.run(
        command, env=image.environment(), input=settings, capture_output=True, text=True
    )
    assert "10001" in ran.stdout, ran.stderr


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


@pytest.fixture
def waiting(buttons, api):
    """A run that waits for the answer to its first request, and what lets it go on."""
    asked, go_on = Event(), Event()
    api.intercept = lambda number, path: asked.set() or (go_on.wait(120) and None)
    run = buttons.launch()
    assert asked.wait(120)
    yield run, go_on
    go_on.set()
    api.intercept = lambda number, path: None


def will_retry(services, run):
    tag = f"SELECT value FROM run_tags WHERE run_id = '{run}' AND key = 'dagster/will_retry'"
    return services.sql("dagster", tag)


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_started_again(services, buttons, waiting):
    (run, go_on), (_, *before) = waiting, buttons.statuses()
    events = buttons.ask(LOGS, run=run)["logsForRun"]["events"]
    started = "Started process for run .pid: ([0-9]+)"
    pid = re.search(started, " ".join(event.get("message", "") for event in events))
    os.kill(int(pid[1]), signal.SIGKILL)
    go_on.set()
    buttons.until(*before, "FAILURE", "SUCCESS", within=240)
    assert will_retry(services, run) == "true"


@pytest.mark.slow
def test_a_load_that_fails_is_not_repeated(services, buttons, api):
    before = buttons.statuses()
    api.intercept = lambda number, path: Answer(403, {})
    run = buttons.launch()
    buttons.until(*before, "FAILURE", within=120)
    api.intercept = lambda number, path: None
    # Dagster says so a moment after it has said that the run failed.
    told = Retrying(
        stop=stop_after_delay(30), wait=wait_fixed(0.2), retry=retry_if_result(lambda tag: not tag)
    )
    assert told(will_retry, services, run) == "false"


@pytest.mark.slow
def test_a_new_version_of_the_code_lets_runs_end(services, buttons, waiting):
    (_, go_on), (_, *before) = waiting, buttons.statuses()
    services.processes["code"].terminate()
    go_on.set()
    buttons.until(*before, "SUCCESS", within=120)
    services.processes["code"].wait(60)
    services.start("code")
    services.wait_for("code")
    buttons.launch()
    buttons.until(*before, "SUCCESS", "SUCCESS", within=120)


@pytest.mark.slow
def test_a_run_that_died_with_the_code_location_can_be_ended_by_force(services, buttons, waiting):
    (run, _), (_, *before) = waiting, buttons.statuses()
    services.kill("code")
    services.start("code")
    services.wait_for("code")
    buttons.until(*before, "STARTED")
    buttons.ask(FORCE, run=run)
    buttons.until(*before, "CANCELED")
