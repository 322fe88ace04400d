"""What may go wrong while the answers of a backfill wait to be loaded, and between its runs."""

import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import dagster as dg
import pytest

import events_assets.defs.backfill as b
from events_assets import recorded
from events_assets.definitions import defs
from events_assets.defs.partitions import by_window, partitions
from events_assets.errors import WarehouseError
from events_assets.recorded import COUNT, Plan
from events_assets.sample_api import Answer
from events_assets_tests.calendars import WINDOWS, Calendar, dated, moved
from events_assets_tests.conftest import RESOURCE, event, failure, load_configured
from events_assets_tests.test_backfill import (
    FOLDER,
    JOB,
    RESUME,
    backfill_job,
    receipts,
    run_with,
)

pytestmark = pytest.mark.slow  # each runs backfills, most of them several

START = '[sources.events.client]\nbase_url = "set by the environment"\n'
KEY_IN_QUERY = (
    '[sources.events.client.auth]\ntype = "api_key"\nname = "api_key"\nlocation = "query"\n'
)
WIN = '[sources.events.windows]\nstart_param = "from"\nend_param = "until"\n'
CHANGED = "SELECT event_name, _removed_at IS NULL FROM events WHERE id IN (6, 500) ORDER BY id"
FIRST = ("Renamed", True), ("Event 500", True)


def change(calendar):
    calendar.events[6] = event(6, event_name="Renamed", end_time=None)
    calendar.events.append(moved(500, "2026-06-15T00:00:00Z"))


def failing_load(monkeypatch):
    def load(*_args, **_options):
        raise WarehouseError("in use")

    monkeypatch.setattr(b, "load", load)


def before_load(monkeypatch, act):
    load = b.load

    def later(*args, **options):
        act()
        yield from load(*args, **options)

    monkeypatch.setattr(b, "load", later)


def test_a_run_that_is_executed_again_as_a_whole_reads_anew(calendar, instance, rows, monkeypatch):
    job = dg.reconstructable(backfill_job)
    with monkeypatch.context() as broken:
        failing_load(broken)
        with dg.execute_job(job, instance) as first:
            assert not first.success
    change(calendar)
    load_configured()
    again = dg.ReexecutionOptions(parent_run_id=first.run_id, step_selection=[])
    with dg.execute_job(job, instance, reexecution_options=again) as second:
        assert second.success
    assert rows(CHANGED) == [*FIRST]


def test_a_load_that_began_before_the_plan_is_newer(calendar, run, rows, monkeypatch, request):
    """--destination postgres as it is; in DuckDB the plan waits, unless it is not to look."""
    if request.config.getoption("--destination") != "postgres":
        span = (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 7, 28, tzinfo=UTC))
        monkeypatch.setattr(b, "_span", lambda _: span)
    started, go, held = threading.Event(), threading.Event(), []

    def hold(query):
        if not held:
            held.append(query)
            started.set()
            go.wait(60)
        return False

    calendar.refuses = hold
    hourly = threading.Thread(target=load_configured)
    hourly.start()
    started.wait(60)

    def end_it():
        change(calendar)
        go.set()
        hourly.join()

    before_load(monkeypatch, end_it)
    assert run(JOB).success
    assert rows(CHANGED) == [*FIRST]


def test_what_changes_while_it_is_read_is_asked_for_by_the_next_load_of_changes(
    serve, configure, run, rows
):
    incremental = (
        '[sources.events.resources.endpoint.incremental]\ncursor_path = "updated_at"\n'
        'start_param = "since"\ninitial_value = "2020-01-01T00:00:00Z"\n'
    )
    paginator = 'paginator = { type = "offset", limit = 10 }\n'
    configure(START + KEY_IN_QUERY + RESOURCE + paginator + incremental)
    events, backfill = [event(n, updated_at="2026-01-01T00:00:00Z") for n in range(40)], []

    def api(_number, path):
        query = dict(parse_qsl(urlsplit(path).query))
        start = int(query["offset"])
        if start >= 18 and backfill:
            backfill.clear()
            now = datetime.now(UTC)
            events[3] = event(3, event_name="Renamed", updated_at=now.isoformat())
            later = (now + timedelta(milliseconds=1)).isoformat()
            events[35] = event(35, event_name="Renamed later", updated_at=later)
        found = [one for one in events if one["updated_at"] >= query.get("since", "")]
        return Answer(200, {"data": found[start : start + 10], "total": len(found)})

    serve().intercept = api
    load_configured()
    backfill.append(True)
    assert run(JOB).success
    load_configured()
    assert rows("SELECT event_name FROM events WHERE id = 3") == [("Renamed",)]


LISTS = """
[[sources.events.resources]]
name = "{0}"
table_name = "events"
[sources.events.resources.endpoint]
path = "/v1/events"
data_selector = "data"
headers = {{ X-Tenant = "{0}" }}
paginator = {{ type = "page_number", base_page = 1, total_path = "" }}
"""


def test_lists_that_only_a_header_tells_apart_are_told_apart(
    serve, configure, run, rows, monkeypatch
):
    monkeypatch.delenv("SOURCES__EVENTS__SCAN__READ_AHEAD")
    defaults = RESOURCE.split("[[")[0]
    configure(START + KEY_IN_QUERY + defaults + LISTS.format("events") + LISTS.format("others"))
    api = serve()
    tenants = {"events": range(15), "others": range(100, 138)}

    def answer(number, path):
        numbers = tenants[api.headers[number - 1]["X-Tenant"]]
        page = int(dict(parse_qsl(urlsplit(path).query))["page"])
        return Answer(200, {"data": [event(n) for n in numbers[10 * page - 10 : 10 * page]]})

    api.intercept = answer
    load_configured()
    assert run(JOB).success
    assert rows("SELECT count(*) FROM current_events") == [(53,)]


def job_of(readers):
    @dg.job(name=JOB, resource_defs=defs.resources, executor_def=dg.in_process_executor)
    def job():
        plan = b.plan_windows()
        read = [b.reading(number, 1)(after=plan) for number in range(readers)]
        read_again = [b.reading(number, 2)(after=read) for number in range(readers)]
        b.check_windows(after=b.load_windows(after=read_again))

    return job


def job_of_2():
    return job_of(2)


def job_of_4():
    return job_of(4)


def test_no_second_pass_is_made_before_the_first(calendar, instance, rows, monkeypatch):
    """After a failure, `workers` are 4 instead of 2: a share of the first pass is in no step."""
    calendar.events.append(moved(500, "2026-06-15T00:00:00Z"))
    load_configured()
    calendar.refuses = lambda query: query.get("until", "").startswith("2026-07")
    monkeypatch.setattr(b, "READERS", 2)
    with dg.execute_job(dg.reconstructable(job_of_2), instance) as first:
        assert not first.success
    calendar.refuses = lambda query: False
    monkeypatch.setattr(b, "READERS", 4)
    again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
    with monkeypatch.context() as broken:
        failing_load(broken)
        job = dg.reconstructable(job_of_4)
        with dg.execute_job(job, instance, reexecution_options=again) as second:
            assert not second.success
    calendar.events[-1] = moved(500, "2026-07-15T00:00:00Z")
    calendar.events.append(moved(501, "2026-06-16T00:00:00Z"))
    monkeypatch.setattr(b, "READERS", 1)
    assert run_with(instance, RESUME).success
    assert rows("SELECT id FROM current_events WHERE id = 500") == [(500,)]


def test_answers_of_another_api_are_not_loaded(calendar, serve, run, rows, instance, monkeypatch):
    with monkeypatch.context() as broken:
        failing_load(broken)
        run(JOB)
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__DATASET", "of_another_api")
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PATH", "/v2/events")
    serve().intercept = Calendar([moved(1000 + n, "2026-06-15T00:00:00Z") for n in range(20)])
    told = failure(run_with(instance, RESUME), "load_windows")
    assert told.startswith("what was read of http://") and "launch events_backfill_job anew" in told
    next(FOLDER.glob("*/until_2100_01_01.2.zip")).unlink()
    assert (
        failure(run_with(instance, RESUME), "read_windows_1_again") == told
    )  # nor mixed with them


def test_a_month_does_not_replace_all_others(configure, calendar, instance, rows):
    configure(WINDOWS.replace('"merge"', '"replace"'))
    load_configured()
    month(instance)
    assert rows("SELECT count(*) FROM events") == [(150,)]


def month(instance):
    months = by_window(partitions(), "month")
    return dg.materialize(
        [months, *defs.assets],
        selection=[months],
        partition_key="2026-06-01",
        instance=instance,
        resources=defs.resources,
        raise_on_error=False,
    )


def test_an_event_that_arrives_while_windows_are_read_is_proven_by_further_passes(
    calendar, run, rows
):
    arriving = [moved(500, "2026-06-15T00:00:00Z")]

    def arrive(query):
        if query.get("until", "").startswith("2026-06") and arriving:
            calendar.events.append(arriving.pop())
        return False

    calendar.refuses = arrive
    assert run(JOB).success
    assert receipts(rows, "verdict")[1] == ("complete",)


def test_windows_are_not_lost_where_two_end_on_one_day(calendar, run, rows, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__WINDOWS__END_VALUE", "2026-07-28T23:59:59Z")
    monkeypatch.setenv("SOURCES__EVENTS__BACKFILL__EVERY", "day")
    calendar.events.append(moved(501, "2026-07-28T05:00:00Z"))
    load_configured()
    calendar.events.append(moved(502, "2026-07-27T06:00:00Z"))
    assert run(JOB).success
    assert rows("SELECT id FROM events WHERE id = 502") == [(502,)]


def test_a_check_does_not_take_a_month_for_all(calendar, instance, rows, monkeypatch):
    from events_assets import warehouse
    from events_assets.defs.checks import events_scan_is_complete
    from events_assets.defs.metadata import last_receipt

    answer = Calendar.__call__

    def lying(self, number, path):
        found = answer(self, number, path)
        if "from" not in path:
            found.document["total"] += 7
        return found

    monkeypatch.setattr(Calendar, "__call__", lying)
    load_configured()
    assert receipts(rows, "verdict")[-1] == ("torn",)
    assert month(instance).success
    with warehouse.reading() as dataset:
        found = events_scan_is_complete(dataset, last_receipt(dataset, "events", "another run"))
    assert not found.description.startswith("complete")


def test_the_farthest_time_can_be_planned(calendar, run):
    calendar.events.append(moved(500, "9999-12-31T00:00:00Z"))
    load_configured()
    assert run(JOB).success


def test_the_key_in_the_base_url_is_not_sent_masked(serve, configure, run, monkeypatch):
    configure(START + RESOURCE + 'paginator = { type = "json_link", next_url_path = "next" }\n')
    api, key, asked = serve(), "key-of-the-tests", []
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", f"{api.base_url}/{key}")

    def answer(_number, path):
        asked.append(path)
        start = int(dict(parse_qsl(urlsplit(path).query)).get("start", 0))
        data = [event(n, note=key if n == 15 else None) for n in range(start, start + 10)]
        return Answer(
            200, {"data": data, "next": f"events?start={start + 10}" if start < 20 else None}
        )

    api.intercept = answer
    assert run(JOB).success
    assert not [path for path in asked if "masked" in path]


@pytest.mark.parametrize("status", [204, 404])
def test_the_load_asks_for_nothing_that_was_empty(serve, configure, run, monkeypatch, status):
    ignored = 'response_actions = [{ status_code = 404, action = "ignore" }]\npaginator'
    configure(WINDOWS.replace("paginator", ignored))
    calendar = Calendar([one for one in dated(150) if "05-01T" not in one["start_time"]])

    def api(number, path):
        found = calendar(number, path)
        return found if found.document["data"] else Answer(status, b"")

    serve().intercept = api
    load_configured()
    asked = []
    before_load(monkeypatch, lambda: asked.append(len(calendar.asked)))
    assert run(JOB).success
    assert asked == [len(calendar.asked)] or len(calendar.asked) == asked[0]


def test_an_event_that_a_later_load_saw_is_not_removed(calendar, run, rows, monkeypatch):
    gone = calendar.events.pop(6)

    def return_it():
        calendar.events.insert(6, gone)
        load_configured()  # unchanged, so it is not written

    before_load(monkeypatch, return_it)
    assert run(JOB).success
    assert rows("SELECT id FROM current_events WHERE id = 6") == [(6,)]


def test_a_plan_that_was_cut_off_keeps_no_other_from_being_resumed(
    calendar, run, instance, monkeypatch
):
    with monkeypatch.context() as broken:
        failing_load(broken)
        run(JOB)
    (FOLDER / "killed").mkdir()
    (FOLDER / "killed" / "plan.json").write_text("")
    result = run_with(instance, RESUME)
    assert result.success, failure(result, "plan_windows")


def test_resuming_takes_nothing_from_a_backfill_that_runs(calendar, run, instance):
    resumed = []

    def resume(query):
        if query.get("until", "").startswith("2026-07") and not resumed:
            resumed.append(run_with(instance, RESUME).success)
        return False

    calendar.refuses = resume
    assert run(JOB).success


def test_a_folder_that_is_gone_is_named_with_what_to_do(calendar, instance):
    job = dg.reconstructable(backfill_job)
    calendar.refuses = lambda query: query.get("until", "").startswith("2026-07")
    with dg.execute_job(job, instance) as broken:
        pass
    calendar.refuses = lambda query: False
    assert run_with(instance, RESUME).success
    again = dg.ReexecutionOptions.from_failure(broken.run_id, instance)
    with dg.execute_job(job, instance, reexecution_options=again) as result:
        errors = [
            one.event_specific_data.user_failure_data.description
            for one in result.all_events
            if one.event_type_value == "STEP_FAILURE"
        ]
    assert not [one for one in errors if "Errno" in one]


def test_two_that_read_the_same_window_do_not_write_into_one_file(calendar, run, monkeypatch):
    """A worker that was taken for lost goes on while another one does its work."""
    copy, other = recorded.shutil.copyfileobj, []

    def meanwhile(source, there):
        if not other:
            (plan,) = Plan.every()
            other.append(plan)
            plan.record(COUNT, 1, dg.get_dagster_logger())
        copy(source, there)

    monkeypatch.setattr(recorded.shutil, "copyfileobj", meanwhile)
    result = run(JOB)
    assert result.success and other
    assert not [one for one in result.all_events if one.is_step_up_for_retry]
