"""Checks fail on the defects they are for, name the offenders, and keep bad data from going on."""

import json
from functools import cache
from itertools import product

import dagster as dg
import duckdb
import pytest

from events_assets import configuration
from events_assets.definitions import defs
from events_assets.errors import ConfigurationError
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event


def evaluations(result) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_good_events_pass_every_check(serve, run):
    as_it_starts = event(4, end_time="2026-05-01T08:00:00Z")
    serve(
        [event(1), event(2, end_time=None), event(3, start_time=None, end_time=None), as_it_starts]
    )
    assert {name: check.passed for name, check in evaluations(run()).items()} == {
        "event_ids_are_unique": True,
        "events_end_after_they_start": True,
        "events_scan_is_complete": True,
        "events_did_not_vanish": True,
        "event_fields_are_filled": True,
        "event_columns_are_as_before": True,
        "no_events_were_quarantined": True,
    }


def test_an_id_answered_twice_is_found_though_the_merge_hides_it(serve, run, rows):
    events = [event(number) for number in range(200)]
    for number, place in ((0, 1), (5, 180)):  # on one page, and on pages far apart
        events.insert(place, event(number, event_name="Another"))
    serve(events)
    result = run()
    check = evaluations(result)["event_ids_are_unique"]
    assert not result.success and not check.passed and check.blocking
    assert check.metadata["ids_answered_twice"].value == ["0", "5"]
    assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(200, 200)]


def test_an_id_twice_in_the_table_is_found(serve, run, project, instance):
    serve([event(1), event(2)])
    assert run().success
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute("INSERT INTO events_data.events FROM events_data.events WHERE id = 2")
    check = evaluate(instance, "event_ids_are_unique")
    assert not check.passed and "| 2 |" in " ".join(
        check.metadata["ids_twice_in_table"].value.split()
    )


def test_more_events_in_the_table_than_the_api_counts_are_told(serve, run, project, instance):
    serve([event(1), event(2)])
    assert run().success
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        again = "SELECT * REPLACE (99 AS id) FROM events_data.events WHERE id = 2"
        connection.execute(f"INSERT INTO events_data.events {again}")
    check = evaluate(instance, "events_scan_is_complete")
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert "has 3 events that are not removed, and the API counts 2" in check.description


def test_an_event_that_ends_before_it_starts_blocks_what_builds_on_it(serve, run):
    serve([event(1), event(7, end_time="2026-05-01T09:59:59+02:00")])
    result = run()
    check = evaluations(result)["events_end_after_they_start"]
    assert not result.success and not check.passed
    assert check.metadata["end_before_start"].value == 1
    assert "Event 7" in check.metadata["offenders"].value
    assert "[sources.events.checks.events_end_after_they_start]" in check.description


def checks(monkeypatch, name, **settings):
    for setting, value in settings.items():
        monkeypatch.setenv(f"SOURCES__EVENTS__CHECKS__{name}__{setting}".upper(), str(value))


@pytest.mark.slow
def test_one_bad_event_stops_the_house_only_where_that_is_wanted(serve, run, instance, monkeypatch):
    name = "events_end_after_they_start"
    serve([event(n) for n in range(199)] + [event(200, end_time="2026-05-01T09:59:59+02:00")])
    assert run().success  # 1 of 200 is below 1 %
    for settings, success, severity in (
        ({}, True, dg.AssetCheckSeverity.WARN),
        ({"tolerate": 0}, False, dg.AssetCheckSeverity.ERROR),
        ({"tolerate": 0.001}, False, dg.AssetCheckSeverity.ERROR),
        ({"tolerate": 1}, True, dg.AssetCheckSeverity.WARN),
        ({"severity": "warn", "tolerate": 0}, True, dg.AssetCheckSeverity.WARN),
    ):
        with monkeypatch.context() as patch:
            checks(patch, name, **settings)
            result = checked(instance, name)
        check = evaluations(result)[name]
        assert (result.success, check.passed, check.severity) == (success, False, severity)
        assert "mend them in the API" in check.description


@pytest.mark.parametrize(("bad", "severity"), [(1, "WARN"), (2, "ERROR")])
def test_many_rows_set_aside_are_an_error(serve, run, bad, severity):
    serve([event(n) for n in range(198)] + [{"id": None, "n": n} for n in range(bad)])
    check = evaluations(run())["no_events_were_quarantined"]
    assert not check.passed and check.severity is dg.AssetCheckSeverity[severity]


def test_what_an_unproven_scan_means_is_a_setting(serve, run, instance, monkeypatch):
    name = "events_scan_is_complete"
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__PASSES", "1")
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: answer_of(api, path, total=None)
    result = run()
    check = evaluations(result)[name]
    assert result.success and check.severity is dg.AssetCheckSeverity.WARN
    assert check.description.startswith("unproven") and "scan.passes" in check.description
    assert "materialize events again" not in check.description  # which would prove no more
    for unproven, success, passed in (
        ("pass", True, True),
        ("warn", True, False),
        ("error", False, False),
    ):
        checks(monkeypatch, name, unproven=unproven)
        result = checked(instance, name)
        assert (result.success, evaluations(result)[name].passed) == (success, passed)


def test_a_scan_that_got_less_than_the_api_counts_fails_where_it_is_not_tolerated(
    serve, run, rows, instance, monkeypatch
):
    name = "events_scan_is_complete"
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: answer_of(api, path, total=160)
    result = run()
    check = evaluations(result)[name]
    assert not result.success and not check.passed
    assert "counts 160 rows, but gives none from offset 150 on" in check.description
    assert "materialize events again" in check.description
    assert rows("SELECT count(*) FROM events") == [(150,)]
    checks(monkeypatch, name, tolerate=10)
    result = checked(instance, name)
    check = evaluations(result)[name]
    assert result.success and not check.passed and check.description.startswith("torn")


def test_a_receipt_that_is_missing_is_as_severe_as_the_check(
    serve, run, project, instance, monkeypatch
):
    serve([event(1)])
    assert run().success
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute("DELETE FROM events_data.scan_receipts")
    for severity in ("error", "warn"):
        checks(monkeypatch, "events_scan_is_complete", severity=severity)
        check = evaluate(instance, "events_scan_is_complete")
        assert not check.passed and check.severity is dg.AssetCheckSeverity[severity.upper()]
        assert "there is no receipt" in check.description


@pytest.mark.parametrize("tolerate", ["inf", "nan", "-1"])
def test_a_tolerance_without_a_bound_is_none(monkeypatch, tolerate):
    checks(monkeypatch, "events_end_after_they_start", tolerate=tolerate)
    with pytest.raises(ConfigurationError, match=r"events_end_after_they_start\.tolerate"):
        configuration.rest_api_config()


@pytest.mark.slow
def test_a_field_that_cannot_be_read_any_more_is_told_not_overlooked(serve, run, rows):
    fields = ["start_time", "end_time", "event_name", "status"]
    values = [{"text": "2026-05-01T10:00:00Z"}, [["x"]], {}]
    changed = dict(enumerate(product(fields, values), start=1))
    api = serve([event(number) for number in range(100)])
    assert evaluations(run())["events_end_after_they_start"].passed
    api.events[0]["start_time"] = "TBA"
    for number, (field, value) in changed.items():
        api.events[number][field] = value
    result = run()
    check = evaluations(result)["events_end_after_they_start"]
    assert result.success and not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    told = "a time that cannot be read: 7, with a name or status that cannot be read: 6"
    assert told in check.description
    assert check.metadata["unreadable_times"].value == 7
    assert "TBA" in check.metadata["offenders"].value
    assert rows("SELECT start_time__v_text FROM events WHERE id = 0") == [("TBA",)]
    for number, (field, value) in changed.items():
        column = f"{field}__v_text" if "time" in field else field
        found = rows(f"SELECT {column} FROM events WHERE id = {number}")
        assert found == [(f"unreadable: {json.dumps(value)}",)]


def test_rows_that_are_no_events_are_set_aside_whole(serve, run, rows):
    bad = [{"event_name": "No id"}, {"id": None}, {"id": ""}, "text", None, ["x"], {"id": {"a": 1}}]
    serve([event(1), *bad, event(2)])
    result = run()
    assert result.success
    check = evaluations(result)["no_events_were_quarantined"]
    assert not check.passed and check.metadata["rows"].value == 7
    assert check.metadata["reason: no id"].value == 3
    assert [
        json.loads(row)
        for (row,) in rows("SELECT document FROM quarantined_events ORDER BY position")
    ] == bad
    assert rows("SELECT id FROM events ORDER BY id") == [(1,), (2,)]


def test_checks_without_events_say_what_to_do_first(project, instance):
    job = dg.define_asset_job("c", selection=dg.AssetSelection.checks_for_assets("events"))
    definitions = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    result = definitions.resolve_job_def("c").execute_in_process(
        instance=instance, raise_on_error=False
    )
    assert not result.success
    data = result.failure_data_for_node("check_events")
    assert "materialize the asset events first" in data.user_failure_data.description


@cache
def one_check(name: str) -> dg.JobDefinition:
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("events"), name))
    job = dg.define_asset_job("one_check", selection=selection)
    return dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("one_check")


def checked(instance, name: str) -> dg.ExecuteInProcessResult:
    """The result of one check, without a load."""
    return one_check(name).execute_in_process(instance=instance, raise_on_error=False)


def evaluate(instance, name: str) -> dg.AssetCheckEvaluation:
    return evaluations(checked(instance, name))[name]


def answer_of(api, path: str, total: int | None) -> Answer:
    """What the API answers, with another total."""
    from events_assets.sample_api import _answer

    answer = _answer(api, path)
    document = {"data": answer.document["data"]}
    return Answer(200, document if total is None else document | {"total": total})
