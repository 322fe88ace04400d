"""Checks fail on the defects they are for, name the offenders, and keep bad data from going on."""

import json

import dagster as dg
import duckdb
import pytest

from events_assets.definitions import defs
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure


def evaluations(result) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_good_events_pass_every_check(serve, run):
    serve([event(1), event(2, end_time=None), event(3, start_time=None, end_time=None)])
    assert {name: check.passed for name, check in evaluations(run()).items()} == {
        "event_ids_are_unique": True,
        "events_end_after_they_start": True,
        "events_scan_is_complete": True,
        "events_did_not_vanish": True,
        "event_fields_are_filled": True,
        "event_columns_are_as_before": True,
        "no_events_were_quarantined": True,
    }


@pytest.mark.parametrize("second", [1, 180], ids=["on one page", "on pages far apart"])
def test_an_id_answered_twice_is_found_though_the_merge_hides_it(serve, run, rows, second):
    events = [event(number) for number in range(200)]
    events.insert(second, event(0, event_name="Another"))
    serve(events)
    result = run()
    check = evaluations(result)["event_ids_are_unique"]
    assert not result.success and not check.passed and check.blocking
    assert check.metadata["ids_answered_twice"].value == ["0"]
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


def test_an_event_that_ends_before_it_starts_blocks_what_builds_on_it(serve, run, instance):
    serve([event(1), event(7, end_time="2026-05-01T09:59:59+02:00")])
    result = run()
    check = evaluations(result)["events_end_after_they_start"]
    assert not result.success and not check.passed
    assert check.metadata["end_before_start"].value == 1
    assert "Event 7" in check.metadata["offenders"].value


def checks(monkeypatch, name, **settings):
    for setting, value in settings.items():
        monkeypatch.setenv(f"SOURCES__EVENTS__CHECKS__{name}__{setting}".upper(), str(value))


@pytest.mark.parametrize(
    ("settings", "success", "severity"),
    [
        ({}, True, dg.AssetCheckSeverity.WARN),  # 1 of 200 is below 1 %
        ({"tolerate": 0}, False, dg.AssetCheckSeverity.ERROR),
        ({"tolerate": 0.001}, False, dg.AssetCheckSeverity.ERROR),
        ({"tolerate": 1}, True, dg.AssetCheckSeverity.WARN),
        ({"severity": "warn", "tolerate": 0}, True, dg.AssetCheckSeverity.WARN),
    ],
)
def test_one_bad_event_stops_the_house_only_where_that_is_wanted(
    serve, run, monkeypatch, settings, success, severity
):
    name = "events_end_after_they_start"
    checks(monkeypatch, name, **settings)
    serve([event(n) for n in range(199)] + [event(200, end_time="2026-05-01T09:59:59+02:00")])
    result = run()
    check = evaluations(result)[name]
    assert (result.success, check.passed, check.severity) == (success, False, severity)
    assert "mend them in the API" in check.description


@pytest.mark.parametrize(("bad", "severity"), [(1, "WARN"), (2, "ERROR"), (3, "ERROR")])
def test_many_rows_set_aside_are_an_error(serve, run, bad, severity):
    serve([event(n) for n in range(198)] + [{"id": None, "n": n} for n in range(bad)])
    check = evaluations(run())["no_events_were_quarantined"]
    assert not check.passed and check.severity is dg.AssetCheckSeverity[severity]


@pytest.mark.parametrize(
    ("unproven", "success", "passed"),
    [("pass", True, True), ("warn", True, False), ("error", False, False)],
)
def test_what_an_unproven_scan_means_is_a_setting(
    serve, run, monkeypatch, unproven, success, passed
):
    checks(monkeypatch, "events_scan_is_complete", unproven=unproven)
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__PASSES", "1")
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: answer_of(api, path, total=None)
    result = run()
    check = evaluations(result)["events_scan_is_complete"]
    assert (result.success, check.passed) == (success, passed)


def test_a_torn_scan_with_few_rows_missing_may_be_tolerated(serve, run, monkeypatch):
    checks(monkeypatch, "events_scan_is_complete", tolerate=10)
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: answer_of(api, path, total=160)
    result = run()
    check = evaluations(result)["events_scan_is_complete"]
    assert result.success and not check.passed and check.description.startswith("torn")


@pytest.mark.parametrize("severity", ["error", "warn"])
def test_a_receipt_that_is_missing_is_as_severe_as_the_check(
    serve, run, project, instance, monkeypatch, severity
):
    checks(monkeypatch, "events_scan_is_complete", severity=severity)
    serve([event(1)])
    assert run().success
    with duckdb.connect(str(project / "data" / "events.duckdb")) as connection:
        connection.execute("DELETE FROM events_data.scan_receipts")
    check = evaluate(instance, "events_scan_is_complete")
    assert not check.passed and check.severity is dg.AssetCheckSeverity[severity.upper()]
    assert "there is no receipt" in check.description


@pytest.mark.parametrize("tolerate", ["inf", "nan", "-1"])
def test_a_tolerance_without_a_bound_is_none(serve, run, monkeypatch, tolerate):
    serve([event(1)])
    checks(monkeypatch, "events_end_after_they_start", tolerate=tolerate)
    assert "events_end_after_they_start.tolerate" in failure(run())


def test_a_failure_names_the_setting_that_says_what_it_means(serve, run):
    serve([event(1), event(7, end_time="2026-05-01T09:59:59+02:00")])
    check = evaluations(run())["events_end_after_they_start"]
    assert "[sources.events.checks.events_end_after_they_start]" in check.description


def test_an_event_that_ends_as_it_starts_is_fine(serve, run):
    serve([event(1, end_time="2026-05-01T08:00:00Z")])
    assert run().success


def test_a_time_that_cannot_be_read_is_told_not_overlooked(serve, run, rows):
    serve([event(1), event(2, start_time="TBA")])
    result = run()
    check = evaluations(result)["events_end_after_they_start"]
    assert result.success and not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.metadata["unreadable_times"].value == 1
    assert "TBA" in check.metadata["offenders"].value
    assert rows("SELECT start_time__v_text FROM events WHERE id = 2") == [("TBA",)]


@pytest.mark.parametrize("field", ["start_time", "end_time", "event_name", "status"])
@pytest.mark.parametrize("value", [{"text": "2026-05-01T10:00:00Z"}, [["x"]], {}])
def test_a_field_that_becomes_an_object_or_a_list_is_told_not_overlooked(
    serve, run, rows, field, value
):
    api = serve([event(1), event(2)])
    assert evaluations(run())["events_end_after_they_start"].passed
    api.events = [event(1, **{field: value}), event(2)]
    check = evaluations(run())["events_end_after_they_start"]
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert "cannot be read: 1" in check.description
    column = f"{field}__v_text" if "time" in field else field
    found = rows(f"SELECT {column} FROM events WHERE id = 1")
    assert found == [(f"unreadable: {json.dumps(value)}",)]


def test_a_scan_that_got_less_than_the_api_counts_fails(serve, run, rows):
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: answer_of(api, path, total=160)
    result = run()
    check = evaluations(result)["events_scan_is_complete"]
    assert not result.success and not check.passed
    assert "counts 160 rows, but gives none from offset 150 on" in check.description
    assert rows("SELECT count(*) FROM events") == [(150,)]


def test_a_scan_without_a_proof_is_unproven_and_says_so(serve, run, monkeypatch):
    api = serve([event(number) for number in range(150)])
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__PASSES", "1")
    api.intercept = lambda number, path: answer_of(api, path, total=None)
    result = run()
    check = evaluations(result)["events_scan_is_complete"]
    assert result.success and check.severity is dg.AssetCheckSeverity.WARN
    assert check.description.startswith("unproven")


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


def evaluate(instance, name: str) -> dg.AssetCheckEvaluation:
    """The result of one check, without a load."""
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("events"), name))
    job = dg.define_asset_job("one_check", selection=selection)
    definitions = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    result = definitions.resolve_job_def("one_check").execute_in_process(
        instance=instance, raise_on_error=False
    )
    return evaluations(result)[name]


def answer_of(api, path: str, total: int | None) -> Answer:
    """What the API answers, with another total."""
    from events_assets.sample_api import _answer

    answer = _answer(api, path)
    document = {"data": answer.document["data"]}
    return Answer(200, document if total is None else document | {"total": total})
