"""Rows that cannot be loaded stand in quarantine once, and leave it when they can."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from events_assets import warehouse
from events_assets.commands.cli import main
from events_assets.sql import select
from events_assets_tests.conftest import event, load
from events_assets_tests.test_checks import evaluations

BIG = 2**70
SET_ASIDE = "SELECT document, reason FROM quarantined_events ORDER BY position"
TIMES = (
    "SELECT q.first_seen_at - min(r.started_at), q.last_seen_at - max(r.started_at)"
    " FROM quarantined_events q, scan_receipts r GROUP BY q.first_seen_at, q.last_seen_at"
)
MAPPED = "SOURCES__EVENTS__FIELDS__"


def without_id(number, **fields):
    row = event(number, **fields)
    return {"uid": row.pop("id"), **row}


def replay():
    result = CliRunner().invoke(main, ["replay"])
    assert not result.exception, result.output
    return result.output


def test_a_bad_row_that_comes_each_hour_stands_there_once_as_it_came_last(serve, rows):
    serve()
    for status in ("draft", "scheduled"):
        load([event(1), event(2, big=BIG, status=status), without_id(3), without_id(3)])
    row, keyless = event(2, big=BIG, status="scheduled"), without_id(3)
    reasons = ("integer beyond 64 bit at big", "no id")
    assert rows(SET_ASIDE) == [*zip(map(json.dumps, (row, keyless)), reasons, strict=True)]
    for since_first, since_last in rows(TIMES):
        assert timedelta() < since_first < timedelta(minutes=1)
        assert timedelta() < since_last < timedelta(minutes=1)
    assert rows("SELECT count(*) FROM quarantined_events WHERE first_seen_at < last_seen_at") == [
        (2,)
    ]


def test_a_row_set_aside_can_be_found_again_in_the_answers_of_the_api(serve, rows):
    serve()
    load([event(1), event(2, big=BIG), event(3), without_id(4)])
    assert rows("SELECT scan, position FROM quarantined_events ORDER BY position") == [
        (1, 1),
        (1, 3),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("then", [event(2), event(2, big=1)])
def test_a_row_leaves_when_it_can_be_loaded(serve, rows, then):
    serve()
    load([event(1), event(2)])
    load([event(1), event(2, big=BIG)])
    assert rows("SELECT count(*) FROM quarantined_events") == [(1,)]
    load([event(1), then])  # once it is what the warehouse held all along
    assert rows("SELECT count(*) FROM quarantined_events") == [(0,)]


@pytest.mark.slow
def test_a_bad_row_that_the_api_does_not_give_any_more_is_not_lost(serve, rows):
    serve()
    load([event(1), event(2, big=BIG)])
    load([event(1)])
    assert rows("SELECT row_key FROM quarantined_events") == [("2",)]


@pytest.mark.slow
def test_a_mended_configuration_is_applied_to_what_was_set_aside(serve, rows, monkeypatch):
    api = serve([event(1), without_id(2), without_id(3), "no event"])
    load(api.events)
    monkeypatch.setenv(f"{MAPPED}ID", "uid")
    assert "2 of 3 rows loaded; the others remain: not an object (1)" in replay()
    assert not api.paths  # nothing was asked
    loaded = "SELECT id, _first_seen_at IS NOT NULL, _removed_at FROM events ORDER BY id"
    assert rows(loaded) == [(n, True, None) for n in (1, 2, 3)]
    assert rows("SELECT id, change FROM event_changes ORDER BY id") == [
        (n, "arrived") for n in (1, 2, 3)
    ]
    assert rows("SELECT document FROM quarantined_events") == [('"no event"',)]
    assert rows("SELECT count(*) FROM scan_receipts") == [(1,)]  # nothing was learned of the API
    assert "0 of 1 row loaded" in replay()


@pytest.mark.slow
def test_a_replay_loads_no_older_version_over_a_newer_one(serve, rows, monkeypatch):
    serve()
    load([event(0), event(1, uid=1, status="draft", big=BIG), without_id(2, status="draft")])
    monkeypatch.setenv(f"{MAPPED}ID", "uid")
    load([event(n, uid=n, status="sold out") for n in range(3)])
    assert "there is no row in it" in replay()
    assert rows("SELECT DISTINCT status FROM events") == [("sold out",)]


@pytest.mark.slow
def test_a_row_nested_to_the_ground_is_looked_at_again_and_stays(serve, rows):
    deep = row = event(1)
    for _ in range(600):
        row["in"] = {}
        row = row["in"]
    serve()
    load([deep, event(2)])
    before = rows(SET_ASIDE)
    assert "0 of 1 row loaded" in replay()
    assert rows(SET_ASIDE) == before and len(before) == 1


def test_there_is_nothing_to_replay_before_the_first_load(serve):
    serve()
    assert "there is no row in it" in replay()


def test_the_job_loads_and_checks_what_was_set_aside(serve, run, rows, monkeypatch):
    api = serve([event(1), event(2), without_id(3)])
    first = run()
    assert not evaluations(first)["no_events_were_quarantined"].passed
    monkeypatch.setenv(f"{MAPPED}ID", "uid")
    api.events[:] = []
    second = run("replay_job")
    assert second.success and all(check.passed for check in evaluations(second).values())
    loads = [result.asset_materializations_for_node("load_events")[0] for result in (first, second)]
    before, after = (load.tags["dagster/data_version"] for load in loads)
    assert before != after  # so that the sensor follows it
    assert loads[1].metadata["rows_replayed"].value == 1
    assert rows("SELECT count(*) FROM current_events") == [(3,)]
    again = run("replay_job").asset_materializations_for_node("load_events")[0]
    assert again.metadata["rows_replayed"].value == 0
    assert again.tags["dagster/data_version"] == after


@pytest.mark.slow
def test_a_row_stays_whatever_was_dropped_from_its_table_by_hand(serve, rows):
    serve()
    load([event(1), event(2, big=BIG), event(3, big=BIG)])
    for name in ("row_key", "endpoint", "first_seen_at", "last_seen_at"):
        rows(f"ALTER TABLE quarantined_events DROP COLUMN {name}")
    load([event(1), event(2, big=1)])
    assert rows("SELECT document FROM quarantined_events") == [(json.dumps(event(3, big=BIG)),)]


@pytest.mark.slow
def test_old_receipts_changes_and_rows_set_aside_are_forgotten(serve, rows, monkeypatch):
    serve()
    for number in range(3):
        load([event(1, status=str(number)), event(2, big=BIG)])
    days = {"RECEIPTS": "2", "CHANGES": "3", "QUARANTINE": "0"}
    for name, value in days.items():
        monkeypatch.setenv(f"SOURCES__EVENTS__RETENTION__{name}", value)
    changed = "SELECT new_value FROM event_changes ORDER BY seen_at DESC LIMIT 1"
    with warehouse.reading() as dataset:
        for table, time, age in (
            ("scan_receipts", "started_at", 2.5),
            ("event_changes", "seen_at", 2.5),
            ("quarantined_events", "last_seen_at", 1000),
        ):
            select(dataset, f"UPDATE {{{table}}} SET {time} = {time} - INTERVAL '{age} days'")
    load([event(1, status="2")])
    assert rows("SELECT count(*) FROM scan_receipts") == [(1,)]
    assert rows(changed) == [("2",)]
    assert rows("SELECT count(*) FROM quarantined_events") == [(1,)]
    monkeypatch.setenv("SOURCES__EVENTS__RETENTION__CHANGES", "2")
    monkeypatch.setenv("SOURCES__EVENTS__RETENTION__QUARANTINE", "900")
    load([event(1, status="2")])
    assert rows(changed) == [] and rows("SELECT count(*) FROM quarantined_events") == [(0,)]
    assert rows("SELECT count(*) FROM current_events") == [(1,)]


@pytest.mark.slow
def test_of_several_versions_that_were_set_aside_the_last_one_is_replayed(serve, rows, monkeypatch):
    serve()
    for version in ("first", "second", "third", "first"):
        load([event(0, uid=0), *(without_id(n, event_name=version) for n in range(1, 4))])
    assert rows("SELECT count(*) FROM quarantined_events") == [(9,)]  # nothing tells them apart
    monkeypatch.setenv(f"{MAPPED}ID", "uid")
    assert "9 of 9 rows loaded" in replay()
    assert rows("SELECT DISTINCT event_name FROM events WHERE id > 0") == [("first",)]
