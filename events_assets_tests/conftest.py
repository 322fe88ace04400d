"""A project folder of its own for each test, with a real API, database and Dagster instance."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import dlt
import duckdb
import pytest
import tomlkit
from click.testing import CliRunner, Result
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext
from dlt.destinations.job_client_impl import SqlJobClientBase
from hypothesis import settings

from events_assets import configuration, sql, warehouse
from events_assets.api import configured_api
from events_assets.commands.cli import main
from events_assets.definitions import defs
from events_assets.defs.failures import explained
from events_assets.sample_api import SampleApi, serving
from events_assets.source import events_source
from events_assets_tests.postgres import into_postgres as into_postgres
from events_assets_tests.postgres import postgres as postgres
from events_assets_tests.shapes import KEY, serving_routes

ROOT = Path(__file__).parent.parent
CONFIG = Path(".dlt/config.toml")
COMMITTED = re.sub(r"(?m)\s*#.*$", "", (ROOT / ".dlt" / "config.toml").read_text(encoding="utf-8"))
"""The committed configuration without its comments, which dlt takes as long to read as the rest."""

gc.unfreeze()  # Hypothesis looks for those who refer to its random numbers, and finds none frozen
settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

# A job in the background of a shell ignores it, and so do all processes that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--destination", choices=("duckdb", "postgres"), default="duckdb", help="where tests load"
    )


def pytest_unconfigure() -> None:
    """Hypothesis keeps a hook in the garbage collector, for which DuckDB reports leaks at exit."""
    gc.callbacks.clear()
    gc.collect()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Marks as slow what starts processes or a browser.

    What needs the image comes first: the process that has it is left to it, and no other one, which
    would build it again, takes it over.
    """
    items.sort(key=lambda item: "image" not in item.fixturenames)
    for item in items:
        if {"python", "spawn", "holder", "ui", "postgres"}.intersection(item.fixturenames):
            item.add_marker("slow")


def forget_providers() -> None:
    """Makes dlt read its configuration when it is needed, which most tests never do."""
    if PluggableRunContext in Container():
        del Container()[PluggableRunContext]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project with the committed configuration, as the working directory."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "DESTINATION__", "API_KEY", "DAGSTER_HOME")):
            monkeypatch.delenv(name)
    for folder in (".dlt", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(COMMITTED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "of_dlt"))
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__BACKOFF_FACTOR", "0.01")
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__READ_AHEAD", "0")  # requests in order
    forget_providers()
    yield tmp_path
    monkeypatch.undo()
    forget_providers()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SampleApi]]:
    """Serves events on loopback, and points the configuration and the key at it."""
    with ExitStack() as stack:

        def start(events: list[Any] | None = None, key: str = "key-of-the-tests") -> SampleApi:
            api = stack.enter_context(serving(events or [], key=key))
            monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
            monkeypatch.setenv("API_KEY", key)
            return api

        yield start


@pytest.fixture
def configure(project: Path) -> Callable[[str], None]:
    """Writes another `.dlt/config.toml`: the given `[sources.events]` tables, and no others."""

    def configure(text: str) -> None:
        runtime = '[runtime]\ndlthub_telemetry = false\nlog_level = "CRITICAL"\n'
        (project / ".dlt" / "config.toml").write_text(f"{text}\n{runtime}", encoding="utf-8")
        forget_providers()

    return configure


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command without a terminal, with the key in the environment; nobody sees the key."""
    monkeypatch.setenv("API_KEY", KEY)

    def command(*words: str, **settings: Any) -> Result:
        result = CliRunner().invoke(main, words, **settings)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert KEY not in result.output and KEY not in CONFIG.read_text()
        return result

    return command


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def run(instance: dg.DagsterInstance) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs a job of the project; a failing one only fails its result."""

    def run(job: str = "events_job") -> dg.ExecuteInProcessResult:
        definition = defs.resolve_job_def(job)
        return definition.execute_in_process(instance=instance, raise_on_error=False)

    return run


@pytest.fixture(autouse=True)
def destination(request: pytest.FixtureRequest, project: Path) -> Callable[[str], Any]:
    """The destination of the tests: runs a query on it, in the dataset of a real API."""
    name = request.config.getoption("--destination")
    return request.getfixturevalue("into_postgres") if name == "postgres" else in_duckdb(project)


@pytest.fixture
def rows(destination: Callable[[str], Any]) -> Callable[[str], list[tuple[Any, ...]]]:
    """The rows of a query on the dataset of a real API, or on another one that it names."""
    return destination


def in_duckdb(project: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            if connection.execute(
                "SELECT 1 FROM duckdb_schemas() WHERE schema_name = 'events_data'"
            ).fetchone():
                connection.execute("USE events_data")
            return connection.execute(sql).fetchall()

    return rows


@pytest.fixture
def python(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python code in another process, in the project folder."""

    def python(
        code: str, cwd: Path = project, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
        )

    return python


@pytest.fixture
def spawn(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process in the project folder, and ends it with the test."""
    processes: list[subprocess.Popen[str]] = []

    def spawn(*words: str | Path, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            words,
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def holder() -> Callable[[Path], AbstractContextManager[subprocess.Popen[str]]]:
    """Another process that has a DuckDB file open."""
    script = (
        "import sys, duckdb; db = duckdb.connect(sys.argv[1]); "
        "print('open', flush=True); sys.stdin.read()"
    )

    @contextmanager
    def hold(path: Path) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout and process.stdout.readline() == "open\n"
            yield process
            process.communicate()

    return hold


RESOURCE = """
[sources.events.resource_defaults]
primary_key = "id"
write_disposition = "merge"

[[sources.events.resources]]
name = "events"
[sources.events.resources.endpoint]
path = "/v1/events"
data_selector = "data"
"""
"""The resource of events, to which a test adds how it is paged, and the client."""


COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'events_data' AND table_name = '{}' ORDER BY ordinal_position
"""


def event(number: int, **fields: Any) -> dict[str, Any]:
    """An event as the API answers it."""
    return {
        "id": number,
        "event_name": f"Event {number}",
        "start_time": "2026-05-01T10:00:00+02:00",
        "end_time": "2026-05-01T12:00:00+02:00",
        "status": "scheduled",
    } | fields


def load(rows: list[Any]) -> tuple[int, ...]:
    """Loads rows as the asset does, but without Dagster.

    Returns the sums of the receipt: received, loaded, repeated, quarantined.
    """
    with serving(rows, key="key-of-the-tests") as api, warehouse.loading() as pipeline:
        config = configuration.rest_api_config()
        config["client"]["base_url"] = api.base_url
        source = events_source(config, api.key)
        warehouse.load(pipeline, source)
        with warehouse.reading() as dataset:
            return sql.select(
                dataset,
                "SELECT rows_received, rows_loaded, repeats, rows_quarantined FROM {scan_receipts} "
                "ORDER BY started_at DESC LIMIT 1",
            )[0]


def load_configured() -> None:
    """Loads from the configured API as the asset does, but without Dagster."""
    with configured_api() as (config, authentication), warehouse.loading() as pipeline:
        warehouse.load(pipeline, events_source(config, authentication=authentication))


def refused() -> str:
    """What a load of the configured API fails with while it reads, found without a warehouse."""
    with (
        pytest.raises(dg.Failure) as raised,
        explained(),
        configured_api() as (config, authentication),
    ):
        source = events_source(config, authentication=authentication)
        dlt.pipeline(pipelines_dir="pipelines", destination="duckdb").extract(source)
    return raised.value.description or ""


@contextmanager
def unplugged() -> Iterator[None]:
    """Loads end when their rows are merged, before dlt notes that they are finished."""

    def complete_load(*_: Any) -> None:
        raise RuntimeError("the plug was pulled")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(SqlJobClientBase, "complete_load", complete_load)
        yield


def failure(result: dg.ExecuteInProcessResult, node: str = "load_events") -> str:
    """What a failed step says first, to people."""
    data = result.failure_data_for_node(node)
    assert data and data.error
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return data.error.message


@pytest.fixture
def init(command: Callable[..., Result]) -> Callable[..., tuple[Any, str, list[str]]]:
    """Describes a server; gives what is configured then, what was said, and what was asked."""

    def init(server: Any, *words: str) -> tuple[Any, str, list[str]]:
        with serving_routes({"/events": server}) as api:
            result = command("init", "--base-url", api.base_url, "--path", "/events", *words)
        assert result.exit_code == 0, result.output
        found = tomllib.loads(CONFIG.read_text())["sources"]["events"]
        return found, " ".join(result.output.split()), api.paths

    return init


@pytest.fixture
def check(command: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """Tries a server with an endpoint, and other sections: the states of the steps by name, what
    they say, and the settings that they propose."""

    def check(server: Any, endpoint: dict[str, Any], **sections: Any) -> dict[str, Any]:
        with serving_routes({"/events": server}) as api:
            configured = {
                "client": {"base_url": api.base_url},
                "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
                "resources": [{"name": "events", "endpoint": {"path": "/events", **endpoint}}],
                "fields": {"event_name": "title", "start_time": "start", "end_time": "end"},
                **sections,
            }
            CONFIG.write_text(tomlkit.dumps({"sources": {"events": configured}}))
            result = command("check", "--json")
        report = json.loads(result.stdout)
        steps = {step["name"]: step for step in report["steps"]}
        assert result.exit_code == (not report["works"])
        return steps

    return check


@pytest.fixture
def calendar(serve, configure, monkeypatch):
    """An API of events of three months, which are there already."""
    from events_assets_tests.calendars import WINDOWS, Calendar, dated  # which need this module

    configure(WINDOWS)
    calendar = Calendar(dated(150))
    serve().intercept = calendar
    load_configured()
    calendar.asked.clear()
    return calendar
