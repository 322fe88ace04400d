"""What is compared: commands that load events, each in a folder of its own."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.children import Look, Usage, measured
from benchmarks.server import KEY, MAX_LIMIT, ROOT, serving
from benchmarks.verification import DATABASE, scan_seconds, verify

BENCHMARKS = Path(__file__).parent
JOB = [str(Path(sys.executable).parent / "dagster"), "job", "execute"]

PROJECT = [*JOB, "-m", "events_assets.definitions", "-j", "events_job"]
"""What `make load` runs."""
PLAIN = [sys.executable, str(BENCHMARKS / "plain_dlt.py")]
FLOOR = [sys.executable, str(BENCHMARKS / "floor.py")]
EMPTY = [*JOB, "-m", "benchmarks.empty_job", "-j", "empty_job"]

CHECKS = [sys.executable, "-m", "benchmarks.checks"]

BASE_URL = "SOURCES__EVENTS__CLIENT__BASE_URL"
READ_AHEAD = "SOURCES__EVENTS__SCAN__READ_AHEAD"
ENDPOINT = "SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT"
CHANGES_ONLY = {
    f"{ENDPOINT}__INCREMENTAL": json.dumps({"cursor_path": "id", "start_param": "from_id"})
}
LARGE_PAGES = {f"{ENDPOINT}__PAGINATOR__LIMIT": str(MAX_LIMIT)}
SET_ASIDE = ("SOURCES__", "DESTINATION__", "API_KEY", "DAGSTER_", "DLT_", "PYTHON")
"""Variables of the environment that would change what is measured."""


@dataclass(frozen=True)
class Load:
    """A command, and how many events the API has for it, none: it loads nothing.

    `latency` is in seconds for each request. One that `follows` another load runs in its folder.
    """

    title: str
    command: list[str]
    events: int = 0
    rounds: int = 1
    latency: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)
    follows: str | None = None


@dataclass(frozen=True)
class Sizes:
    """What the command line asks for; `latency` in seconds."""

    events: int
    few: int
    many: int
    latency: float
    latency_events: int
    read_ahead: int
    rows: int
    rounds: int
    plain_rounds: int


def every_load(sizes: Sizes) -> dict[str, Load]:
    """All loads by name, in the order in which they run."""
    events, rounds, plain_rounds = sizes.events, sizes.rounds, sizes.plain_rounds
    several = sizes.latency_events
    ahead = {READ_AHEAD: str(sizes.read_ahead)}
    ms = f"{sizes.latency * 1000:g} ms"
    parquet = {"LOADER_FILE_FORMAT": "parquet"}
    return {
        "plain": Load("plain dlt as specified", PLAIN, events, plain_rounds),
        "parquet": Load("plain dlt with Parquet", PLAIN, 2 * events, rounds, 0, parquet),
        "project": Load("this project", PROJECT, events, rounds),
        "again": Load(
            *("the same once more", PROJECT, events, rounds),
            environment=CHANGES_ONLY,  # from the next load on
            follows="project",
        ),
        "unchanged": Load(
            *("asked for changes only, without any", PROJECT, events, rounds),
            environment=CHANGES_ONLY,
            follows="again",
        ),
        "floor": Load("the floor", FLOOR, events, rounds),
        "double": Load("this project", PROJECT, 2 * events, rounds),
        "double_floor": Load("the floor", FLOOR, 2 * events, rounds),
        "large_pages": Load(
            f"this project, in pages of {MAX_LIMIT:,}",
            *(PROJECT, events, rounds),
            environment=LARGE_PAGES,
        ),
        "empty": Load("an empty Dagster job", EMPTY, 0, rounds),
        "few": Load("this project", PROJECT, sizes.few, rounds),
        "ahead": Load(
            f"{ms} a request, read-ahead {sizes.read_ahead}",
            *(PROJECT, several, rounds, sizes.latency, ahead),
        ),
        "swift": Load("the same without latency", PROJECT, several, rounds, 0, ahead),
        "sequential": Load(
            f"{ms} a request, one after another",
            *(PROJECT, several, 1, sizes.latency, {READ_AHEAD: "0"}),
        ),
        "many": Load("this project", PROJECT, sizes.many),
        "many_again": Load(
            "the same once more", PROJECT, sizes.many, environment=CHANGES_ONLY, follows="many"
        ),
        "many_unchanged": Load(
            *("asked for changes only, without any", PROJECT, sizes.many),
            environment=CHANGES_ONLY,
            follows="many_again",
        ),
        "checks": Load(
            f"{sizes.rows:,} rows made, and checked several times",
            [*CHECKS, str(sizes.rows)],
            environment={BASE_URL: "https://api.example.com"},  # which is not asked
            follows="few",
        ),
    }


@contextmanager
def runner() -> Iterator[Callable[..., tuple[Usage, Path]]]:
    """A function that runs a load, compares what is in the table then, and gives back what it
    used and the folder that it ran in.

    Each load starts from the committed configuration, an empty database, and a Dagster instance
    that has run before. `look` is that of `measured`; `fetch` brings what was loaded elsewhere to
    the DuckDB file that is compared.
    """
    servers: dict[tuple[int, float], str] = {}
    folders: dict[str, Path] = {}
    with ExitStack() as stack:
        top = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark_")))
        fresh = _fresh(top)

        def run(
            name: str,
            load: Load,
            look: Look | None = None,
            fetch: Callable[[Path], None] | None = None,
        ) -> tuple[Usage, Path]:
            if load.follows:
                folders[name] = folders[load.follows]
            else:
                shutil.rmtree(top / name, ignore_errors=True)
                folders[name] = shutil.copytree(fresh, top / name)
            folder = folders[name]
            environment = {**_environment(folder), **load.environment}
            if load.events:
                served = load.events, load.latency
                if served not in servers:
                    servers[served] = stack.enter_context(serving(*served))
                environment["BASE_URL"] = servers[served]
                environment[BASE_URL] = servers[served]
            usage = measured(load.command, folder, environment, look)
            if load.events:
                if fetch:
                    fetch(folder)
                verify(folder, load.events)
                size = (folder / DATABASE).stat().st_size
                usage = replace(usage, database_bytes=size, scan_seconds=scan_seconds(folder))
            return usage, folder

        yield run


def _fresh(top: Path) -> Path:
    """A folder with the committed configuration and a Dagster instance."""
    fresh = top / "fresh"
    shutil.copytree(ROOT / ".dlt", fresh / ".dlt", ignore=shutil.ignore_patterns("secrets.toml"))
    shutil.copy(ROOT / "dagster.yaml", fresh)
    (fresh / "data").mkdir()
    measured(EMPTY, fresh, _environment(fresh))
    return fresh


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SET_ASIDE)}
    own = {"API_KEY": KEY, "DAGSTER_HOME": str(folder), "HOME": str(folder)}
    return {**kept, **own, "PYTHONPATH": str(ROOT)}
