"""Windows on several worker processes, into DuckDB and PostgreSQL: `make bench ARGS=--scale`.

The API answers after some latency, by cursor, where a page can only be asked for when the one
before is there, and by offset, where read-ahead has the next ones under way.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import dagster as dg
import duckdb

from benchmarks.children import Process, Usage, descendants
from benchmarks.loads import JOB, PROJECT, Load, runner
from benchmarks.verification import COLUMNS, DATABASE

BACKFILL = [*JOB, "-m", "events_assets.definitions", "-j", "events_backfill_job"]
SECTION = "SOURCES__EVENTS__"
PAGING = {
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
    "offset": {"type": "offset", "limit": 100},
}
WINDOWS = {
    "WINDOWS__START_PARAM": "from",
    "WINDOWS__END_PARAM": "until",
    "WINDOWS__INITIAL_VALUE": "2025-12-31",
    "WINDOWS__END_VALUE": "2027-01-01",
    "SCAN__TOTAL_PATH": "total",
}
"""All events start in this span; about as many in each of its quarters, and in the warehouse of a
load there are none yet: the plan cuts it from a year before today to a year after."""


@dataclass(frozen=True)
class Backfill:
    """A way to load; without workers it is `events_job`, which knows no windows."""

    paging: str
    workers: int
    destination: str
    events: int

    @property
    def title(self) -> str:
        if not self.workers:
            return f"{self.paging}, events_job"
        return f"{self.paging}, {self.workers} worker{'s' * (self.workers > 1)}"

    def load(self, latency: float, every: str, url: str | None) -> Load:
        """What is run; `url` is that of a PostgreSQL database."""
        settings = {
            "RESOURCES__EVENTS__ENDPOINT__PAGINATOR": json.dumps(PAGING[self.paging]),
            "BACKFILL__EXECUTOR": "multiprocess",
            "BACKFILL__WORKERS": str(self.workers or 1),
            "BACKFILL__EVERY": every,
            **WINDOWS,
        }
        environment = {SECTION + name: value for name, value in settings.items()}
        if url:
            environment |= {"DESTINATION_TYPE": "postgres"}
            environment |= {"DESTINATION__POSTGRES__CREDENTIALS": url}
        command = BACKFILL if self.workers else PROJECT
        return Load(self.title, command, self.events, 1, latency, environment)


@dataclass(frozen=True)
class Cost:
    """What a backfill took; seconds and bytes."""

    seconds: float
    cpu_seconds: float
    reading: float = 0.0
    """Seconds from the first window to the last of the second pass."""
    loading: float = 0.0
    checking: float = 0.0
    worker_cpu: float = 0.0
    """CPU seconds of all workers, in both passes."""
    worker_bytes: int = 0
    """Peak memory of the largest of them."""
    load_cpu: float = 0.0
    load_bytes: int = 0
    kept_bytes: int = 0
    """Size of the answers that were kept."""
    windows: int = 0
    database_bytes: int = 0


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each number by itself."""
    names = Cost.__dataclass_fields__
    return Cost(**{name: statistics.median(getattr(one, name) for one in costs) for name in names})


@dataclass
class Watch:
    """Looks at each process of a run, and at the answers that it keeps."""

    folder: Path = Path()
    processes: dict[int, Process] = field(default_factory=dict)
    kept_bytes: int = 0
    windows: int = 0

    def look(self, folder: Path, pid: int) -> None:
        self.folder = folder
        for one in (pid, *descendants(pid)):
            self.processes.setdefault(one, Process()).look(one)
        with suppress(FileNotFoundError):  # all is loaded, and being deleted
            kept = self.folder.glob("data/backfill/*/*.zip")
            self.kept_bytes = max(self.kept_bytes, sum(path.stat().st_size for path in kept))
            read = [*self.folder.glob("data/backfill/*/until_*.1.zip")]
            self.windows = max(self.windows, len(read))

    def cost(self, usage: Usage, database_bytes: int) -> Cost:
        """What the run took, by the steps that Dagster noted."""
        cpu = sum(one.cpu_seconds for one in self.processes.values())
        cost = Cost(
            *(usage.seconds, cpu),
            database_bytes=database_bytes,
            kept_bytes=self.kept_bytes,
            windows=self.windows,
        )
        pids, times = self._steps()
        workers = [step for step in pids if step.startswith("read_windows_")]
        if not workers:
            return replace(cost, load_cpu=cpu, load_bytes=usage.peak_bytes)
        used = {step: self.processes.get(pid, Process()) for step, pid in pids.items()}
        starts, ends = zip(*(times[step] for step in workers), strict=True)
        seconds = {step: end - start for step, (start, end) in times.items()}
        load = used["load_windows"]
        return replace(
            cost,
            reading=max(ends) - min(starts),
            loading=seconds["load_windows"],
            checking=seconds["check_windows"],
            worker_cpu=sum(used[step].cpu_seconds for step in workers),
            worker_bytes=max(used[step].peak_bytes for step in workers),
            load_cpu=load.cpu_seconds,
            load_bytes=load.peak_bytes,
        )

    def _steps(self) -> tuple[dict[str, int], dict[str, tuple[float, float]]]:
        """The process of each step of the last run, and when it began and ended."""
        with chdir(self.folder), dg.DagsterInstance.from_config(".") as instance:
            (run,) = instance.get_runs(limit=1)
            pids = {}
            for entry in instance.all_logs(run.run_id, dg.DagsterEventType.STEP_WORKER_STARTED):
                event = entry.get_dagster_event()
                pids[str(event.step_key)] = int(str(event.engine_event_data.metadata["pid"].value))
            stats = instance.get_run_step_stats(run.run_id)
            times = {one.step_key: (one.start_time or 0, one.end_time or 0) for one in stats}
        return pids, times


class Postgres:
    """A throw-away cluster with a new database for each load."""

    def __init__(self, url: str) -> None:
        self._server = url

    def new(self) -> str:
        """The URL of a new database."""
        name = f"load_{uuid4().hex}"
        _asked(self._server, f"CREATE DATABASE {name}")
        return f"{self._server.rpartition('/')[0]}/{name}"

    @staticmethod
    def size(url: str) -> int:
        return int(_asked(url, "SELECT pg_database_size(current_database())")[0][0])

    @staticmethod
    def copy(url: str, folder: Path) -> None:
        """Brings what was loaded to the DuckDB file that is compared with the API."""
        import psycopg2  # type: ignore[import-untyped]

        made = "CREATE SCHEMA events_data;"
        with closing(psycopg2.connect(url)) as connection:
            for table, columns in (("events", COLUMNS), ("events__tags", "_dlt_id")):
                path = folder / f"{table}.csv"
                with path.open("wb") as file:
                    query = f"SELECT {columns} FROM events_data.{table}"  # noqa: S608
                    connection.cursor().copy_expert(f"COPY ({query}) TO STDOUT CSV HEADER", file)
                source = f"read_csv('{path}', quote='\"', sample_size=-1)"
                made += f"CREATE TABLE events_data.{table} AS FROM {source};"
        (folder / DATABASE).unlink(missing_ok=True)
        with duckdb.connect(str(folder / DATABASE)) as database:
            database.execute(made)


@contextmanager
def postgres() -> Iterator[Postgres | str]:
    """A throw-away cluster, or why there is none."""
    try:
        import psycopg2  # noqa: F401

        found = import_module("events_assets_tests.postgres")
    except ImportError as error:
        yield f"{error.name} is not installed (make setup-dev)"
        return
    programs = found.installed()
    if programs is None:
        yield "no PostgreSQL on this machine: neither in PATH nor in /usr/lib/postgresql"
        return
    with found.cluster(programs) as url:
        yield Postgres(url)


def _asked(url: str, sql: str) -> list[tuple[int, ...]]:
    import psycopg2

    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def backfiller(latency: float, every: str) -> Iterator[Callable[[str, Backfill], Cost | str]]:
    """A function that runs a backfill, compares each row, and gives what it took, or why it was
    not run."""
    with runner() as run, postgres() as server:

        def backfilled(name: str, backfill: Backfill) -> Cost | str:
            watch, url = Watch(), None
            if backfill.destination == "postgres":
                if isinstance(server, str):
                    return server
                url = server.new()
            load = backfill.load(latency, every, url)
            if url:
                usage, _ = run(name, load, watch.look, partial(Postgres.copy, url))
                size = Postgres.size(url)
            else:
                usage, _ = run(name, load, watch.look)
                size = usage.database_bytes
            return watch.cost(usage, size)

        yield backfilled


def every_backfill(events: int, few: int, many: int) -> dict[str, Backfill]:
    """All backfills by name, in the order in which they run."""
    some = [
        Backfill("cursor", 0, "duckdb", events),
        *(Backfill("cursor", workers, "duckdb", events) for workers in (1, 2, 4)),
        *(Backfill("cursor", workers, "postgres", events) for workers in (1, 2, 4)),
        Backfill("offset", 0, "duckdb", events),
        *(Backfill("offset", workers, "duckdb", events) for workers in (1, 2, 4)),
        *(Backfill("cursor", 4, destination, few) for destination in ("duckdb", "postgres")),
    ]
    if many:
        some += [Backfill("cursor", 4, one, many) for one in ("duckdb", "postgres")]
    return {f"{one.title}, {one.destination}, {one.events}": one for one in some}
