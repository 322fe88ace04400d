"""Each destination holds what DuckDB holds, row by row, load after load; others are refused."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg2
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from benchmarks.loads import PROJECT
from events_assets.errors import WarehouseError
from events_assets_tests.conftest import (
    COLUMNS,
    event,
    forget_providers,
    in_duckdb,
    load,
    load_configured,
)
from events_assets_tests.test_rows import AWKWARD
from events_assets_tests.test_two_at_once import OVERLAPPING, RECEIPTS

TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'events_data' AND table_name NOT LIKE '%dlt%'
"""
BREAK_LOCKS = """
SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OF_A_RUN = re.compile(
    "_at$|^(run_id|cursor|event_columns|http_seconds|rate_limit_seconds|seconds)$"
)
"""Columns that differ from run to run."""


def answered() -> list[dict]:
    """What the API answers at first: everything that is hard to hold."""
    rows = [
        {**event(number), "event_name": name, **fields}
        for number, (name, (fields, _)) in enumerate(AWKWARD.items(), start=100)
        if isinstance(fields, dict) and name != "NUL in text"
    ]
    usual = [
        event(1, capacity=5, venue={"city": "Graz", "at": [1.5, 2]}, tags=["a", "ä", "日本", "😀"]),
        event(2, price=0.1, tickets=[{"kind": "early", "prices": [1, 2]}, {"kind": None}]),
        event(
            3, event_name="", status=None, organizer={"name": 'quo"te\\d, \t\r\n', "since": None}
        ),
        event(4, start_time="2026-10-25T02:30:00+02:00", price=12345678.901234567),
        event(5, start_time=None, end_time=None, sold_out=False, opened="2026-05-01"),
    ]
    return [*rows, *usual, *(event(number) for number in range(1000, 1300))]


def changed(rows: list[dict]) -> list[dict]:
    """A later state: a change of each kind of column, arrivals, removals, rows that become fit."""
    rows = [row for row in rows if row["id"] not in (5, 1003, 1004)]
    for row in rows:
        if row["id"] in (1, 2, 1000):
            row |= {"event_name": "Renamed", "venue": {"city": "Linz"}, "price": 3, "tags": []}
            row |= {"start_time": "2027-01-01T23:30:00-05:00", "status": "cancelled"}
        if row["event_name"] == "NaN":
            row["price"] = 7.5
    return [*rows, event(2000, new_field={"of": [True, None]}), event(2001, capacity="many")]


def held(rows) -> dict[str, list[str]]:
    """All rows of all tables, as far as they are not of this run."""
    found = {}
    for (table,) in rows(TABLES):
        columns = [name for (name,) in rows(COLUMNS.format(table))]
        kept = [name for name in sorted(columns) if not is_of_a_run(name)]
        quoted = ", ".join(f'"{name}"' for name in kept)
        told = [
            str({name: told_as_json(value) for name, value in zip(kept, row, strict=True)})
            for row in rows(f'SELECT {quoted} FROM "{table}"')
        ]
        found[table] = sorted(told)
    return found


def is_of_a_run(column: str) -> bool:
    return bool(OF_A_RUN.search(column)) or column in (
        "_dlt_id",
        "_dlt_load_id",
        "_dlt_parent_id",
        "_dlt_root_id",
    )


def told_as_json(value):
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date | Decimal):
        return str(value)
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.dumps(json.loads(value))
    return json.dumps(value) if isinstance(value, dict | list) else value


pytestmark = pytest.mark.slow  # starts PostgreSQL


@pytest.fixture
def loaded(serve, run, project, request, monkeypatch):
    """What is held after each of some loads into one destination."""
    api = serve()

    def loaded(name: str) -> list[dict[str, list[str]]]:
        rows = request.getfixturevalue("into_postgres") if name == "postgres" else None
        forget_providers()
        states = []
        first = answered()
        for answers in (first, first, changed(answered()), first[:-5]):
            api.events[:] = answers
            assert run("events_job").asset_materializations_for_node("load_events")
            assert run("daily_events_job").success
            states.append(held(rows or in_duckdb(project)))
        return states

    return loaded


def test_postgresql_holds_what_duckdb_holds(loaded):
    for number, (ours, theirs) in enumerate(
        zip(loaded("duckdb"), loaded("postgres"), strict=True), start=1
    ):
        assert ours.keys() == theirs.keys()
        assert len(ours["events"]) > 300 and ours["daily_events"] and ours["quarantined_events"]
        for table in ours:
            assert theirs[table] == ours[table], (number, table)


def test_text_that_postgresql_cannot_hold_is_set_aside_and_the_rest_loads(serve, into_postgres):
    serve()
    bad = [event(1, event_name="a\0b"), event(2, tags=["c", "\0"]), event(3, **{"a\0": 1})]
    for _ in range(2):
        assert load([*bad, event(4)])[1] + 2 in (4, 2)  # the second load finds nothing new
    why = "a NUL character, which PostgreSQL cannot hold, in the text at"
    assert into_postgres("SELECT row_key, reason FROM quarantined_events ORDER BY 1") == [
        ("1", f"{why} event_name"),
        ("2", f"{why} tags.list"),
    ]
    assert into_postgres("SELECT id FROM events ORDER BY id") == [(3,), (4,)]


def test_the_database_itself_refuses_an_event_twice(serve, into_postgres):
    serve()
    load([event(1)])
    with pytest.raises(psycopg2.errors.UniqueViolation):
        into_postgres("INSERT INTO events SELECT * FROM events")


def test_events_that_are_there_twice_are_named_with_the_remedy(serve, into_postgres):
    serve()
    load([event(1)])
    into_postgres("DROP INDEX events_key")
    into_postgres(
        "INSERT INTO events (id, _digest, _dlt_load_id, _dlt_id) "
        "SELECT id, _digest, _dlt_load_id, 'b' FROM events"
    )
    with pytest.raises(WarehouseError, match=r'rows of "events_data.*events" have the same "id": '):
        load([event(1)])


def test_a_load_that_lost_its_lock_writes_nothing(serve, into_postgres):
    api = serve([event(1)])
    load_configured()
    api.events.append(event(2))
    api.intercept = lambda number, path: into_postgres(BREAK_LOCKS) and None
    with pytest.raises(PipelineStepFailed, match="kept other loads out of the warehouse broke"):
        load_configured()
    assert into_postgres("SELECT id FROM events") == [(1,)]
    api.intercept = lambda number, path: None
    load_configured()
    assert into_postgres("SELECT id FROM events ORDER BY id") == [(1,), (2,)]


def test_four_loads_at_once_lose_nothing(serve, spawn, into_postgres, project):
    serve([event(number, tags=["a"]) for number in range(300)])
    homes = [project / f"home {number}" for number in range(4)]
    for home in homes:
        home.mkdir()
        (home / "dagster.yaml").touch()  # that of the project keeps its history in the project
    runs = [spawn(*PROJECT, DAGSTER_HOME=str(home)) for home in homes]
    with ThreadPoolExecutor(4) as threads:
        told = [*threads.map(lambda one: one.communicate()[1], runs)]
    assert [one.returncode for one in runs] == [0] * 4
    assert any("loads into events_data" in one for one in told)
    assert into_postgres(RECEIPTS) == [(300, 0, 0, 0), *[(0, 0, 300, 0)] * 3]
    assert into_postgres(OVERLAPPING) == []
    for table in ("current_events", "events__tags", "event_changes"):
        assert into_postgres(f"SELECT count(*) FROM {table}") == [(300,)]
