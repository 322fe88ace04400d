"""What people type: the commands of the README, in processes of their own."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from events_assets_tests.conftest import ROOT, event

BIN = Path(sys.executable).parent


@pytest.fixture
def command(spawn, tmp_path):
    """Starts a command in the project folder, on an instance of its own."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())

    def command(name: str, *words: str, **env: str) -> subprocess.Popen[str]:
        return spawn(BIN / name, *words, **{"DAGSTER_HOME": str(home), "HOME": str(home)} | env)

    return command


def table(project: Path) -> list[tuple[int]]:
    with duckdb.connect(str(project / "data" / "events.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT id FROM events_data.events ORDER BY id").fetchall()


@pytest.mark.parametrize(
    "words",
    [
        "dagster job execute -m events_assets.definitions -j events_job",
        "dagster asset materialize -m events_assets.definitions --select events",
        "dg launch --job events_job -m events_assets.definitions",
    ],
)
def test_each_command_loads_the_events(serve, command, project, words):
    if not (BIN / words.split()[0]).exists():
        pytest.skip(f"{words.split()[0]} is not installed here")
    serve([event(1), event(2)])
    process = command(*words.split())
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert "complete: the first answer held all 2 rows (one answer)" in told
    assert table(project) == [(1,), (2,)]


def test_a_failing_job_exits_with_an_error_that_leads_with_a_sentence(serve, command):
    serve([event(1)])
    process = command(
        *["dagster", "job", "execute", "-m", "events_assets.definitions", "-j", "events_job"],
        API_KEY="wrong-key",
    )
    _, told = process.communicate()
    assert process.returncode == 1 and "wrong-key" not in told
    said, trace = told.index("the API does not accept the key"), told.index("Stack Trace")
    assert said < trace


def test_the_demo_shows_what_the_readme_shows(command):
    process = command("python", "-m", "events_assets.demo")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    assert normal(out) in normal((ROOT / "README.md").read_text())


def normal(text: str) -> str:
    """Text without what changes from day to day: seconds, and the events that come next."""
    text = re.sub(r"and [0-9.]+ s:", "and N s:", text)
    text = re.sub(r"(The next events .+\n)(.+\n)+", r"\1", text)
    return re.sub(r"Database  .*data/", "Database  data/", text)


def test_a_demo_that_fails_says_so(command, project, holder):
    with holder(project / "data" / "events.duckdb"):
        process = command(
            "python", "-m", "events_assets.demo", SOURCES__EVENTS__WAREHOUSE__LOCK_TIMEOUT="0.2"
        )
        _, err = process.communicate()
    assert process.returncode == 1
    assert "the warehouse cannot be opened" in err


def test_make_dev_on_a_taken_port_says_where_it_went(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").symlink_to(sys.executable)
    (bin_ / "dagster").write_text('#!/bin/sh\necho "$@"\n')
    (bin_ / "dagster").chmod(0o755)
    (tmp_path / ".venv" / ".complete").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["make", "--no-print-directory", "dev", f"PORT={port}"]
        told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    first, second = told.stdout.splitlines()
    assert first.startswith(f"Port {port} is taken: the Dagster UI will be on http://127.0.0.1:")
    assert f"--port {first.rpartition(':')[2]} " in second and f"--port {port} " not in second
