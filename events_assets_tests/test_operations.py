"""docs/operations.md: whoever follows it at night gets what it promises."""

import ast
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import requests
from dagster._daemon.types import DaemonHeartbeat
from tenacity import Retrying, stop_after_delay, wait_fixed

from events_assets_tests.conftest import ROOT, event, load, load_configured
from events_assets_tests.postgres import installed

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
SAID = "SELECT _first_seen_at, id FROM {} ORDER BY id"


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    """That of a real API, which the page speaks of."""
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__DATASET", "events_data")


def blocks(heading: str, language: str = "sh") -> list[str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", section)


@pytest.fixture
def shell(project):
    """Runs commands of the page as they stand there; their exit code and what they print."""
    (project / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())

    def shell(commands: str, *before: Path, **env: str) -> tuple[int, str]:
        path = os.pathsep.join(map(str, (*before, BIN, os.environ["PATH"])))
        own = {"PYTHONPATH": str(ROOT), "PATH": path, "DAGSTER_HOME": str(project)}
        result = subprocess.run(
            ["sh", "-ec", commands],
            cwd=project,
            env=os.environ | own | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return result.returncode, result.stdout

    return shell


def test_each_message_that_has_a_remedy_is_still_said():
    said = ""
    for path in sorted((ROOT / "events_assets").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
                said += "\n" + "…".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said += f"\n{node.value}"
            elif isinstance(node, ast.FunctionDef):
                said += f"\n{node.name}"
    section = PAGE.split("remedy\n")[1].split("\n## ")[0]
    messages = re.findall(r"`([^`]+)`", "".join(re.findall(r"(?m)^\| (`[^|]*) \|", section)))
    assert len(messages) > 15 and [text for text in messages if text not in said] == []


@pytest.fixture
def webserver(project, spawn):
    """The UI without its daemon."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (project / "workspace.yaml").write_text((ROOT / "workspace.yaml").read_text())
    words = ["-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml"]
    spawn(BIN / "dagster-webserver", *words, DAGSTER_HOME=str(project))
    return f"http://127.0.0.1:{port}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_a_watch_from_outside_hears_that_the_daemon_or_the_ui_is_dead(shell, webserver, project):
    watch, of_the_machine = blocks("When Dagster itself is down")
    watch = watch.replace("http://127.0.0.1:3000", webserver)
    assert webserver in watch
    code, told = shell(watch)
    assert code == 1 and f"Dagster at {webserver} is down: events are neither" in told
    answers = Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True)
    answers(lambda: requests.get(f"{webserver}/server_info", timeout=5).raise_for_status())
    for age, codes in ((2000, (1, 1)), (400, (0, 1)), (0, (0, 0))):
        with dg.DagsterInstance.from_config(str(project)) as instance:
            for kind in instance.get_required_daemon_types():
                at = time.time() - age
                instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, None, []))
        found = [shell(commands) for commands in (watch, of_the_machine)]
        assert tuple(code for code, _ in found) == codes, found


@pytest.mark.slow  # a process of Dagster each
@pytest.mark.parametrize(
    ("events", "job", "key", "code"),
    [
        ([event(1), {"event_name": "No id"}], "events_job", "key-of-the-tests", 0),
        ([event(1), event(1)], "events_job", "key-of-the-tests", 1),
        ([event(1)], "check_api_job", "another-key", 1),
        ([event(1)], "check_api_job", "key-of-the-tests", 0),
        ([event(1)], "no_such_job", "key-of-the-tests", 2),
    ],
)
def test_a_script_can_tell_by_the_exit_code_whether_a_job_did_its_work(
    serve, shell, events, job, key, code
):
    serve(events)
    command = f"dagster job execute -m events_assets.definitions -j {job}"
    found, told = shell(command, API_KEY=key)
    assert found == code, told


def test_a_script_can_tell_by_the_exit_code_what_came_of_a_command(serve, command, monkeypatch):
    api = serve([*map(event, range(1, 201)), {"event_name": "No id"}], key="key-key-key")
    monkeypatch.setenv("API_KEY", "key-key-key")
    load_configured()
    where = ["--base-url", api.base_url, "--path", "/v1/events"]
    assert command("check").exit_code == 0
    assert command("check", "--wrong").exit_code == 2
    assert command("replay").exit_code == 0
    assert command("init").exit_code == 2
    assert command("init", *where).exit_code == 0
    assert command("init", *where).exit_code == 1  # without --yes
    monkeypatch.setenv("API_KEY", "another-key")
    assert command("check").exit_code == 1
    Path(".dlt/config.toml").write_text("[")
    assert command("replay").exit_code == command("check").exit_code == 1


@pytest.mark.slow
def test_the_levels_and_the_full_scan_of_one_run_are_taken(serve, shell, rows):
    serve([event(1)])
    code, told = shell(blocks("Log levels")[0])
    assert code == 0 and "INFO" not in told and "DEBUG" not in told, told
    code, told = shell(blocks("Read everything again")[0])
    assert code == 0 and rows("SELECT count(*) FROM scan_receipts") == [(2,)], told


@pytest.mark.slow
def test_a_backup_of_duckdb_is_refused_during_a_load_and_holds_all_that_was_there(
    shell, rows, project, holder
):
    backup, restore = blocks("Backup and restore")[:2]
    load([event(1), event(2)])
    with holder(project / "data" / "events.duckdb"):
        assert shell(backup)[0] == 1
    before = rows(SAID.format("events"))
    assert shell(backup) == (0, "")
    load([event(2), event(3)])
    assert rows(SAID.format("current_events")) != before
    assert shell(restore) == (0, "")
    assert rows(SAID.format("current_events")) == before
    load([event(2), event(3)])
    assert rows("SELECT change, count(*) FROM event_changes GROUP BY 1 ORDER BY 1") == [
        ("arrived", 3),
        ("removed", 1),
    ]


@pytest.mark.slow
def test_a_dump_of_postgresql_can_be_restored_and_loaded_into(into_postgres, shell, monkeypatch):
    dump, restore = blocks("Backup and restore")[2:]
    url, programs = os.environ["DESTINATION__POSTGRES__CREDENTIALS"], installed()
    load([event(1), event(2)])
    assert shell(dump, programs, URL=url) == (0, "")
    into_postgres("DROP SCHEMA events_data CASCADE; DROP SCHEMA events_data_staging CASCADE")
    assert shell(restore, programs, URL=url) == (0, "")
    load([event(2), event(3)])
    assert into_postgres("SELECT id FROM current_events ORDER BY id") == [(2,), (3,)]
    assert into_postgres("SELECT count(*) FROM event_changes") == [(4,)]


@pytest.mark.slow
def test_tables_that_are_dropped_to_be_read_anew_come_back(rows):
    rows_anew, empty = blocks("Read everything again", "sql")
    load([event(1, tags=["a"]), event(2)])
    before = rows(SAID.format("events"))
    rows(rows_anew)
    load([event(1, tags=["a"]), event(2)])
    assert rows(SAID.format("current_events")) == before
    assert rows("SELECT count(*) FROM event_changes") == [(2,)]
    assert rows("SELECT value FROM events__tags") == [("a",)]
    for statement in empty.split(";\n")[:-1]:
        rows(statement)
    load([event(2)])
    assert rows("SELECT id FROM events") == [(2,)]
    assert rows("SELECT count(*) FROM scan_receipts") == [(1,)]


@pytest.mark.slow
def test_the_files_of_dagster_and_duckdb_become_smaller(serve, shell, project):
    serve([event(1)])
    job = "dagster job execute -m events_assets.definitions -j events_job; dagster instance migrate"
    assert shell(job)[0] == 0
    files = [
        file for file in (project / ".dagster" / "storage").rglob("*.db") if len(file.stem) < 30
    ]
    assert {file.stem for file in files} == {"runs", "index", "schedules"}
    for file in files:
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE large AS SELECT zeroblob(1000000) AS bytes")
        database.execute("DROP TABLE large")
        database.close()
    before = {file: file.stat().st_size for file in files}
    code, told = shell(blocks("Retention")[0])
    assert code == 0, told
    assert [file for file in files if file.stat().st_size + 900_000 > before[file]] == []

    file = project / "data" / "events.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE large AS SELECT md5(i::text) FROM range(500000) AS t(i)")
        connection.execute("CREATE TABLE last AS SELECT md5(i::text) FROM range(9000) AS t(i)")
        connection.execute("CHECKPOINT; DROP TABLE large")
    before_copy = file.stat().st_size
    assert shell("".join(blocks("Backup and restore")[:2])) == (0, "")
    assert file.stat().st_size < before_copy / 2
