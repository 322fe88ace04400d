"""What the API changes in its rows is told to a person; a field that is lost stops the house."""

import json

import dagster as dg
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import drift
from events_assets_tests.conftest import event, load, unplugged
from events_assets_tests.test_checks import checks, evaluations

pytestmark = pytest.mark.slow  # each loads several times

NOTED = "SELECT event_columns FROM scan_receipts ORDER BY started_at"


def noted(rows):
    return [json.loads(text) for (text,) in rows(NOTED)]


def columns(result):
    return evaluations(result)["event_columns_are_as_before"]


def fields(result):
    return evaluations(result)["event_fields_are_filled"]


def events(count, **given):
    return [event(number, **given) for number in range(count)]


def test_columns_are_noted_with_their_types_and_how_many_events_fill_them(serve, run, rows):
    serve([event(1, price=5), event(2, end_time=None), {**event(3), "Größe & co": "x"}])
    assert run().success
    (found,) = noted(rows)
    named = {name: found["columns"].pop(name) for name in [*found["columns"]] if "co" in name}
    assert found["rows"] == 3 and [*named.values()] == [["text", 1]]
    assert found["columns"] == {
        "id": ["bigint", 3],
        "event_name": ["text", 3],
        "start_time": ["timestamp", 3],
        "end_time": ["timestamp", 2],
        "status": ["text", 3],
        "price": ["bigint", 1],
    }


def test_removed_events_fill_nothing(serve, rows):
    serve()
    load([event(1, price=5), event(2)])
    load([event(2)])
    assert noted(rows)[-1]["columns"]["price"] == ["bigint", 0]


def test_a_load_that_changes_nothing_does_not_count_columns_again(serve, rows, monkeypatch):
    serve()
    load(events(3))
    monkeypatch.setattr(drift, "_counted", lambda *_: pytest.fail("counted"))
    load(events(3))
    first, second = noted(rows)
    assert first["columns"] == second["columns"] and second["rows"] == 3


def test_what_a_killed_load_did_not_note_is_noted_before_the_next_one(serve, rows, monkeypatch):
    from events_assets import warehouse

    serve()
    with monkeypatch.context() as killed:
        killed.setattr(warehouse, "settle", lambda dataset: None)
        load([event(1, price=5)])
    load([event(1)])
    assert [one["columns"]["price"][1] for one in noted(rows)] == [1, 0]


def test_what_a_killed_load_wrote_is_counted_by_the_next_one_that_writes_nothing(serve, rows):
    serve()
    load(events(3, price=5))
    with unplugged(), pytest.raises(PipelineStepFailed):
        load(events(3, price=None))
    load(events(3, price=None))
    assert noted(rows)[-1]["columns"]["price"] == ["bigint", 0]


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_columns_of_a_table_that_is_not_merged_are_noted_too(serve, rows, monkeypatch, disposition):
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCE_DEFAULTS__WRITE_DISPOSITION", disposition)
    serve()
    load(events(2))
    load(events(2))
    assert [one["rows"] for one in noted(rows)] == ([2, 4] if disposition == "append" else [2, 2])
    load([])
    assert rows(NOTED)[-1][0] is None or disposition == "append"


def test_the_ui_does_not_show_what_is_noted_for_programs(serve, run):
    serve(events(1))
    (load,) = run().asset_materializations_for_node("load_events")
    assert "event_columns" not in load.metadata["receipt"].value


def test_a_field_that_the_api_renames_is_told_once_with_when_it_was_seen_last(serve, run, rows):
    api = serve(events(3, price=5))
    assert columns(run()).passed
    api.events = events(3, cost=5)
    result = run()
    check = columns(result)
    assert result.success and not check.passed and not check.blocking
    assert check.severity is dg.AssetCheckSeverity.WARN
    ((at,),) = rows("SELECT strftime(min(started_at), '%Y-%m-%d %H:%M UTC') FROM scan_receipts")
    assert "new: cost (bigint)" in check.description
    assert f"gone: price (last seen at {at})" in check.description
    assert columns(run()).passed


def test_a_value_of_another_type_is_told_with_the_column_that_has_it(serve, run):
    api = serve([event(1, price=5), event(2, price=6)])
    load(api.events)
    api.events = [event(1, price=5), event(2, price="free")]
    assert "of another type: price (in price__v_text, too)" in columns(run()).description
    assert columns(run()).passed


def test_a_key_that_becomes_one_of_texts_is_told(serve, run):
    api = serve([event(1)])
    load(api.events)
    api.events.append(event("x"))
    assert "of another type: id (text, was bigint)" in columns(run()).description


def test_an_answer_without_events_says_nothing_of_columns(serve, run, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__SYNC__MAX_REMOVED", "1")
    api = serve(events(3, price=5))
    load(api.events)
    api.events = []
    result = run()
    assert result.success and columns(result).passed and fields(result).passed
    api.events = events(3)
    assert "gone: price" in columns(run()).description


def test_columns_that_change_can_be_an_error(serve, run, monkeypatch):
    checks(monkeypatch, "event_columns_are_as_before", severity="error")
    api = serve(events(1))
    load(api.events)
    api.events = events(1, price=5)
    result = run()
    assert columns(result).severity is dg.AssetCheckSeverity.ERROR


def test_fields_that_no_event_has_any_more_stop_the_house_until_they_are_back(serve, run):
    names = ["event_name", "start_time", "end_time", "status"]
    api = serve(events(3))
    assert fields(run()).passed
    for gone in (names[1:2], names, names):
        api.events = events(3, **dict.fromkeys(gone))
        result = run()
        check = fields(result)
        assert not result.success and not check.passed and check.blocking
        for name in gone:
            assert f"{name} is in 0 of 3 events, and was in 3 of 3 at 20" in check.description
        assert f"fields that events lost: {len(gone)};" in check.description
        assert "out of fields in [sources.events.checks.event_fields" in check.description
    api.events = events(3)
    result = run()
    assert result.success and fields(result).passed


def test_a_field_that_was_never_filled_is_not_missed(serve, run):
    api = serve(events(3, end_time=None))
    assert fields(run()).passed
    api.events = events(4, end_time=None)
    assert fields(run()).passed


def test_times_that_suddenly_cannot_be_read_stop_the_house(serve, run):
    api = serve(events(3))
    load(api.events)
    api.events = events(3, start_time="1st of May")
    assert not run().success


def test_a_field_that_far_fewer_events_have_is_a_warning_in_each_load(serve, run):
    api = serve(events(100))
    assert run().success
    without = {"event_name": 20, "start_time": 21, "end_time": 99}
    for number, row in enumerate(api.events):
        row.update({name: None for name, count in without.items() if number < count})
    for _ in range(2):
        result = run()
        check = fields(result)
        assert result.success and check.severity is dg.AssetCheckSeverity.WARN
        assert "fields that events lost: 2;" in check.description
        assert "start_time is in 79 of 100" in check.description
        assert "end_time is in 1 of 100" in check.description


def test_a_field_may_be_filled_less_and_less_but_not_suddenly(serve, run):
    api = serve(events(100))
    for without in (0, 15, 30):
        api.events = [*events(without, end_time=None), *events(100)[without:]]
        check = fields(run())
    assert check.passed
    api.events = [*events(60, end_time=None), *events(100)[60:]]
    assert not fields(run()).passed


@pytest.mark.parametrize(("filled", "count"), [(2, 50), (1, 1)])
def test_a_few_events_that_lose_a_field_are_told_once_and_stop_nothing(serve, run, filled, count):
    without = events(count, end_time=None)
    api = serve([*events(filled), *without[filled:]])
    load(api.events)
    api.events = without
    result = run()
    assert result.success and fields(result).passed
    assert "gone: end_time" in columns(result).description


@pytest.mark.parametrize("setting", ["severity", "fields"])
def test_a_field_that_the_api_gave_up_can_be_accepted(serve, run, monkeypatch, setting):
    api = serve(events(3))
    load(api.events)
    api.events = events(3, end_time=None)
    assert not run().success
    with monkeypatch.context() as accepted:
        value = {"severity": "warn", "fields": '["event_name", "start_time"]'}[setting]
        checks(accepted, "event_fields_are_filled", **{setting: value})
        assert run().success
    result = run()  # what was left out is missed from then on only if it comes and goes again
    assert result.success is (setting == "fields")
    api.events = events(3, status=None, end_time=None)
    assert not run().success
