"""The warehouse follows the API: what comes, changes, goes and returns, against a model of it."""

import random
import re

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import warehouse
from events_assets.definitions import defs
from events_assets.sample_api import Answer
from events_assets_tests.conftest import COLUMNS, event, load, load_configured, unplugged
from events_assets_tests.model import COUNTS, Model
from events_assets_tests.test_checks import answer_of, evaluations

pytestmark = pytest.mark.slow  # each loads several times

LOADS = "SELECT _dlt_load_id, started_at FROM scan_receipts ORDER BY started_at"


def changed_rows(chance, rows, number):
    """The next answer: rows change, go, come and return."""
    rows = {row["id"]: row for row in rows if chance.random() > 0.1}
    for key in chance.sample(range(12), 4):
        rows[key] = event(
            key,
            event_name=chance.choice(["a", "b", f"c{number}"]),
            start_time=chance.choice([None, "2026-05-01T08:00:00+00:00"]),
            end_time=chance.choice([None, "2026-05-02T08:00:00+00:00"]),
            status=chance.choice([None, "on", "off"]),
            price=chance.choice([1, 2]),
            tags=chance.choice([[], ["x"], ["y", "z"]]),
        )
    return sorted(rows.values(), key=lambda row: row["id"])


@pytest.mark.parametrize("seed", range(3))
def test_marks_and_notes_are_those_of_a_model(serve, rows, monkeypatch, seed):
    chance, model, answer = random.Random(seed), Model(), []
    settle, killed = warehouse.settle, 0
    serve()
    for number in range(10):
        answer = changed_rows(chance, answer, number)
        if number and chance.random() < 0.3:  # killed after the merge, before anything is noted
            killed += 1
            monkeypatch.setattr(warehouse, "settle", lambda dataset: None)
        load(answer)
        monkeypatch.setattr(warehouse, "settle", settle)
        *_, (_, at) = rows(LOADS)
        counts = model.load(answer, at)
        assert rows(f"SELECT {COUNTS} FROM scan_receipts ORDER BY started_at")[-1] == counts
    with warehouse.loading():
        pass  # what is not noted yet is noted before anything else happens
    model.is_held(rows)
    assert killed


def test_a_first_load_that_was_killed_is_gone_on_with(serve, rows):
    serve()
    with unplugged(), pytest.raises(PipelineStepFailed):
        load([event(1), event(2)])
    load([event(1)])
    assert rows(f"SELECT {COUNTS} FROM scan_receipts") == [(0, 0, 1, 1)]
    assert rows("SELECT id FROM current_events") == [(1,)]


def test_unchanged_rows_are_not_written_again(serve, rows):
    serve()
    load([event(1), event(2, tags=["a"])])
    before = rows("SELECT * FROM events ORDER BY id") + rows("SELECT * FROM events__tags")
    assert load([event(2, tags=["a"]), event(1)])[:2] == (3, 2)
    assert rows("SELECT * FROM events ORDER BY id") + rows("SELECT * FROM events__tags") == before


def vanish(serve, run, remaining):
    """The results of a load of 200 events, and of one of fewer."""
    api = serve([event(number) for number in range(200)])
    load_configured()
    api.events[:] = [event(number) for number in range(remaining)]
    return run()


def test_a_row_that_comes_as_it_was_and_changed_on_one_page_stands_there_once(
    serve, rows, monkeypatch
):
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__PASSES", "1")
    serve()
    load([event(1), event(2)])
    assert load([event(1), event(1, event_name="new"), event(2)]) == (4, 2, 2, 0)
    assert rows("SELECT id, event_name FROM events ORDER BY id") == [(1, "new"), (2, "Event 2")]


@pytest.mark.parametrize("remaining", [0, 179])
def test_an_api_that_suddenly_answers_with_little_is_not_believed(
    serve, run, rows, instance, remaining
):
    result = vanish(serve, run, remaining)
    check = evaluations(result)["events_did_not_vanish"]
    assert not result.success and not check.passed and check.blocking
    assert f"any more: {200 - remaining}, more than sync.max_removed" in check.description
    assert "accept_removed: true" in check.description and "make load" in check.description
    assert rows("SELECT count(*) FROM current_events") == [(200,)]
    accepted = {"ops": {"load_events": {"config": {"accept_removed": True}}}}
    job = defs.resolve_job_def("events_job")
    result = job.execute_in_process(instance=instance, run_config=accepted)
    assert result.success
    assert rows("SELECT count(*) FROM current_events") == [(remaining,)]
    (metadata,) = [m.metadata for m in result.asset_materializations_for_node("load_events")]
    assert metadata["dagster/row_count"].value == remaining
    assert metadata["rows_removed"].value == 200 - remaining


def test_a_command_accepts_what_is_gone(serve, run, rows, monkeypatch):
    assert not vanish(serve, run, 0).success
    monkeypatch.setenv("SOURCES__EVENTS__SYNC__MAX_REMOVED", "1")
    assert run().success and rows("SELECT count(*) FROM current_events") == [(0,)]


def test_a_tenth_may_go_unasked(serve, run, rows):
    assert vanish(serve, run, 180).success
    assert rows("SELECT count(*) FROM current_events") == [(180,)]
    assert rows("SELECT count(*) FROM events WHERE _removed_at IS NOT NULL") == [(20,)]


@pytest.mark.parametrize(("passes", "total"), [("1", None), ("3", 30)])
def test_a_scan_that_is_not_complete_removes_nothing(serve, run, rows, monkeypatch, passes, total):
    api = serve([event(number) for number in range(20)])
    load_configured()
    del api.events[5]
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__PASSES", passes)
    api.intercept = lambda number, path: answer_of(api, path, total=total)
    run()
    assert rows("SELECT verdict <> 'complete' FROM scan_receipts ORDER BY started_at")[-1][0]
    assert rows("SELECT count(*) FROM current_events") == [(20,)]


def test_removed_events_are_counted_nowhere(serve, run, rows):
    api = serve([event(1), event(2, end_time="2026-05-01T09:59:59+02:00")])
    assert not run().success
    del api.events[1]
    assert run().success  # no check stumbles over what is gone
    assert run("daily_events_job").success
    assert rows("SELECT sum(events) FROM daily_events") == [(1,)]


def test_a_status_that_the_api_tells_stays_what_it_is(serve, run, rows):
    api = serve([event(1, status="deleted"), event(2)])
    load_configured()
    del api.events[1]
    assert run().success
    assert rows("SELECT id, status, _removed_at IS NULL FROM events ORDER BY id") == [
        (1, "deleted", True),
        (2, "scheduled", False),
    ]


def test_a_row_that_changes_between_two_passes_is_loaded_in_its_last_version(serve, run, rows):
    api = serve([event(number) for number in range(3)])
    load_configured()
    asked = len(api.paths)

    def answer(number, path):  # without a total; from the second request on, one is renamed
        name = "Event 1" if number == asked + 1 else "Renamed"
        listed = [event(0), event(1, event_name=name), event(2)]
        (start,) = re.findall(r"offset=(\d+)", path)
        return Answer(200, {"data": listed[int(start) :]})

    api.intercept = answer
    run()
    assert rows("SELECT event_name FROM events WHERE id = 1") == [("Renamed",)]
    assert rows(
        "SELECT rows_received = rows_loaded + repeats + rows_quarantined, rows_inserted, "
        "rows_updated, rows_unchanged FROM scan_receipts ORDER BY started_at"
    )[-1] == (True, 0, 1, 2)


@pytest.mark.parametrize("keys", ['["id", "start_time"]', '["id", "slug"]'])
def test_keys_of_several_columns_are_known_again(serve, run, rows, project, keys):
    config = project / ".dlt" / "config.toml"
    config.write_text(config.read_text().replace('primary_key = "id"', f"primary_key = {keys}"))
    api = serve([event(1, slug="a"), event(2, slug="b")])
    assert run().success and run().success
    del api.events[0]
    assert run().success
    assert rows(f"SELECT {COUNTS} FROM scan_receipts ORDER BY started_at") == [
        (2, 0, 0, 0),
        (0, 0, 2, 0),
        (0, 0, 1, 1),
    ]
    assert rows("SELECT id FROM current_events") == [(2,)]


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_tables_that_are_not_merged_are_left_alone(serve, run, rows, monkeypatch, disposition):
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCE_DEFAULTS__WRITE_DISPOSITION", disposition)
    serve([event(1)])
    run()
    columns = {name for (name,) in rows(COLUMNS.format("events"))}
    assert not columns & {"_first_seen_at", "_removed_at", "_digest"}


def test_the_view_has_the_columns_that_come_later(serve, run, rows):
    api = serve([event(1)])
    load_configured()
    api.events[0]["price"] = 5
    assert run().success
    assert rows("SELECT price FROM current_events") == [(5,)]


def test_keys_that_become_texts_stay_the_same_events(serve, run, rows):
    api = serve([event(1), event(2)])
    load_configured()
    api.events.append(event("x"))
    assert run().success
    assert rows("SELECT id, change FROM event_changes ORDER BY id, seen_at") == [
        ("1", "arrived"),
        ("2", "arrived"),
        ("x", "arrived"),
    ]
    assert rows("SELECT count(*) FROM current_events") == [(3,)]


def test_keys_that_a_killed_load_was_making_texts_are_known_again(serve, rows, monkeypatch):
    serve()
    load([event(1), event(2)])
    with monkeypatch.context() as killed, pytest.raises(AttributeError):
        killed.delattr(dlt.Pipeline, "sync_schema")  # dlt still takes them for integers
        load([event(1), event("x")])
    load([event(1)])
    assert rows(f"SELECT {COUNTS} FROM scan_receipts ORDER BY started_at")[-1] == (0, 0, 1, 1)
    assert rows("SELECT id FROM current_events") == [("1",)]


def test_a_setting_that_reads_rows_otherwise_loads_all_of_them_anew(serve, run, rows, monkeypatch):
    serve([event(1, venue={"city": "Graz"})])
    load_configured()
    before = rows("SELECT _changed_at FROM events")
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCE_DEFAULTS__MAX_TABLE_NESTING", "0")
    assert run().success
    assert rows("SELECT venue IS NOT NULL FROM events") == [(True,)]
    assert rows("SELECT _changed_at FROM events") == before  # its content is the same
