"""Loads in processes of their own, each forked from one that has imported all, in half the time.

Run as a program it forks a load for each line that it reads, which has its environment and the
moment of its death, as JSON; it prints the exit code.
"""

import json
import os
import signal
import sys
import tempfile
import traceback
from contextlib import contextmanager
from pathlib import Path

from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from events_assets import api, configuration, warehouse
from events_assets.source import events_source

DATABASE = "SOURCES__EVENTS__WAREHOUSE__DATABASE"


class Forks:
    """Runs loads one after another, by a process that runs this module."""

    def __init__(self, spawn):
        self.process = spawn(sys.executable, "-m", __name__)
        assert self.process.stdout.readline() == "ready\n"

    def load(self, dies_at=0, **environment):
        """The exit code of a load; `dies_at` as `die_at` takes it."""
        print(json.dumps([dies_at, environment]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


def die_at(moment):
    """Kills this process at a moment, counted from 1: before each statement that writes by itself,
    and before and after each commit."""
    execute, begin = DuckDbSqlClient.execute_query, DuckDbSqlClient.begin_transaction
    busy, passed = set(), []

    def pass_by():
        passed.append(None)
        if len(passed) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def execute_query(self, sql, *args, **kwargs):
        if self not in busy and not sql.lstrip().startswith("SELECT"):
            pass_by()
        with execute(self, sql, *args, **kwargs) as cursor:
            yield cursor

    @contextmanager
    def begin_transaction(self):
        with begin(self) as transaction:
            busy.add(self)
            yield transaction
            pass_by()
        busy.discard(self)
        pass_by()

    DuckDbSqlClient.execute_query = execute_query
    DuckDbSqlClient.begin_transaction = begin_transaction


def load():
    """As the asset does, but without Dagster."""
    configuration.reload_providers()
    with api.configured_api() as (config, authentication), warehouse.loading() as pipeline:
        warehouse.load(pipeline, events_source(config, authentication=authentication))


def fork(dies_at, environment):
    """The exit code of a load in a process that is forked."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.environ.update(environment)
        die_at(dies_at)
        load()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:  # a first load imports what only a load does
        os.environ[DATABASE] = str(Path(folder) / "events.duckdb")
        load()
        del os.environ[DATABASE]
    print("ready", flush=True)
    for line in sys.stdin:
        print(fork(*json.loads(line)), flush=True)
