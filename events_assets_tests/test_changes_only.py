"""An API that can be asked for what changed is asked for no more, and nothing is missed."""

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets import configuration, warehouse
from events_assets.definitions import defs
from events_assets.errors import ConfigurationError
from events_assets.sample_api import Answer
from events_assets.scan import table_scan
from events_assets.scan.changes import Changes
from events_assets.source import events_source
from events_assets_tests.conftest import RESOURCE, event, failure, load_configured, unplugged

pytestmark = pytest.mark.slow  # each loads several times

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CLIENT = f"""
[sources.events.client]
base_url = "http://replaced"
auth = {{ type = "api_key", name = "api_key", location = "query" }}
{RESOURCE}
paginator = {{ type = "offset", limit = 100 }}
"""
INITIAL = "2020-01-01T00:00:00Z"
BY_PARAM = (
    f'incremental = {{ cursor_path = "updated_at", initial_value = "{INITIAL}", '
    f'start_param = "updated_since" }}'
)


def at(minutes):
    """A time of change, that many minutes after noon."""
    return (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


class ChangingEvents:
    """Events behind offsets; `updated_since` asks for those that changed then or later, and is
    noted in `asked`."""

    def __init__(self, api):
        self.api, self.rows, self.asked, self.is_inclusive = api, {}, [], True
        api.intercept = self.answer

    def change(self, number, minutes, **fields):
        self.rows[number] = event(number, updated_at=at(minutes), **fields)

    def answer(self, _number, path):
        query = parse_qs(urlsplit(path).query)
        (since,), (start,) = query.get("updated_since", [""]), query.get("offset", ["0"])
        self.asked.append(since)
        changed = [
            row
            for _, row in sorted(self.rows.items())
            if not row["updated_at"]
            or row["updated_at"] > since
            or (self.is_inclusive and row["updated_at"] == since)
        ]
        return Answer(200, {"data": changed[int(start) :][:100], "total": len(changed)})


@pytest.fixture
def api(serve, configure):
    configure(CLIENT + BY_PARAM)
    changing = ChangingEvents(serve())
    for number in range(20):
        changing.change(number, number)
    return changing


@pytest.fixture
def asked_by_next_load(api):
    """From when on the next load, which succeeds, asks for changes."""

    def asked():
        api.asked.clear()
        load_configured()
        (since,) = set(api.asked)
        return since

    return asked


def receipts(rows, columns):
    return rows(f"SELECT {columns} FROM scan_receipts ORDER BY started_at")


def test_an_unchanged_api_is_asked_twice_at_most(api, rows, asked_by_next_load):
    assert asked_by_next_load() == INITIAL
    assert asked_by_next_load() == at(19) and len(api.asked) <= 2
    assert receipts(rows, "scan_kind") == [("full",), ("changes",)]
    unchanged, reason, cursor = receipts(rows, "rows_unchanged, reason, cursor")[-1]
    assert unchanged == 1 and reason.startswith(f"of what changed since {at(19)}: ")
    assert json.loads(cursor) == {"events updated_at": at(19)}


def test_what_changed_and_came_is_loaded_and_the_rest_stays(api, run, rows):
    load_configured()
    api.change(3, 30, event_name="Renamed")
    api.change(50, 31)
    load_configured()
    assert rows("SELECT count(*) FROM current_events") == [(21,)]
    assert rows("SELECT event_name FROM events WHERE id = 3") == [("Renamed",)]
    assert receipts(rows, "rows_inserted, rows_updated, rows_removed")[-1] == (1, 1, 0)
    assert rows("SELECT id, change, field FROM event_changes WHERE change <> 'arrived'") == [
        (3, "changed", "event_name")
    ]
    same = "SELECT count(DISTINCT fingerprint) FROM scan_receipts"
    assert rows(same) == [(2,)] and run().success and rows(same) == [(2,)]


def test_what_a_killed_load_changed_is_a_change_of_the_next_one(api, run, rows):
    load_configured()
    api.change(3, 30, event_name="Renamed")
    with unplugged():
        assert not run().success
    assert run().success and run().success
    assert rows("SELECT event_name FROM events WHERE id = 3") == [("Renamed",)]
    first, *others = receipts(rows, "fingerprint")
    assert len({*others}) == 1 and first not in others


def test_where_all_rows_were_changed_at_once_all_are_asked_for_and_none_is_missed(api, run, rows):
    for number in range(250):
        api.change(number, 0)
    load_configured()
    api.change(7, 0, event_name="Renamed")
    assert run().success
    counts = "scan_kind, verdict, rows_updated, rows_unchanged"
    assert receipts(rows, counts)[-1] == ("changes", "complete", 1, 249)
    assert rows("SELECT id FROM current_events WHERE event_name = 'Renamed'") == [(7,)]


def test_an_empty_answer_is_no_surprise(api, run, rows):
    api.is_inclusive = False
    load_configured()
    api.asked.clear()
    assert run().success
    assert len(api.asked) <= 2 and rows("SELECT count(*) FROM current_events") == [(20,)]
    assert receipts(rows, "verdict")[-1] == ("complete",)


def test_a_row_written_late_with_the_time_of_the_last_one_is_not_missed(api, run, rows):
    load_configured()
    api.change(50, 19)
    assert run().success
    assert rows("SELECT count(*) FROM current_events") == [(21,)]


@pytest.mark.parametrize(("lag", "found"), [(0, 20), (600, 21)])
def test_rows_written_later_still_are_found_by_a_lag_or_by_a_full_scan(
    api, run, rows, configure, monkeypatch, lag, found
):
    configure(CLIENT + BY_PARAM.replace(" }", f", lag = {lag} }}"))
    load_configured()
    api.change(50, 12)
    load_configured()
    assert rows("SELECT count(*) FROM current_events") == [(found,)]
    monkeypatch.setenv("SOURCES__EVENTS__SYNC__FULL_SCAN_EVERY", "0")
    assert run().success
    assert rows("SELECT count(*) FROM current_events") == [(21,)]


def test_what_is_gone_is_found_by_a_full_scan_which_the_launchpad_can_ask_for(
    api, run, rows, instance
):
    load_configured()
    del api.rows[5]
    assert run().success
    assert rows("SELECT count(*) FROM current_events") == [(20,)]
    whole = {"ops": {"load_events": {"config": {"full_scan": True}}}}
    job = defs.resolve_job_def("events_job")
    assert job.execute_in_process(instance=instance, run_config=whole).success
    assert rows("SELECT count(*) FROM current_events") == [(19,)]
    assert receipts(rows, "scan_kind") == [("full",), ("changes",), ("full",)]


def test_a_load_that_fails_moves_no_cursor(api, run, rows, monkeypatch, asked_by_next_load):
    assert run().success
    api.change(50, 40)

    def load(self, *args, **kwargs):
        raise RuntimeError("the plug was pulled")

    with monkeypatch.context() as broken, warehouse.loading() as pipeline:
        broken.setattr(type(pipeline), "load", load)
        config = configuration.rest_api_config()
        config["client"]["base_url"] = api.api.base_url
        with pytest.raises((RuntimeError, PipelineStepFailed)):
            warehouse.load(pipeline, events_source(config, api.api.key))
    assert asked_by_next_load() == at(19)
    assert rows("SELECT count(*) FROM events") == [(21,)]


@pytest.mark.parametrize("value", ["2999-01-01T00:00:00Z", 5, "soon", True])
def test_a_cursor_that_would_lead_astray_is_not_followed(api, run, rows, asked_by_next_load, value):
    load_configured()
    api.change(50, 40)
    answer = api.answer

    def lying(number, path):
        found = answer(number, path)
        found.document["data"].append(event(51, updated_at=value))
        found.document["total"] += 1
        return found

    api.api.intercept = lying
    assert run().success
    assert rows("SELECT count(*) FROM events WHERE id IN (50, 51)") == [(2,)]
    api.api.intercept = answer
    assert asked_by_next_load() == at(40)


def test_a_scan_that_is_not_complete_moves_no_cursor(api, run, asked_by_next_load):
    load_configured()
    api.change(50, 40)
    answer = api.answer

    def torn(number, path):
        found = answer(number, path)
        found.document["total"] += 3
        return found

    api.api.intercept = torn
    run()
    api.api.intercept = answer
    assert asked_by_next_load() == at(19)


@pytest.mark.parametrize(("missing", "loaded"), [("raise", 0), ("include", 20), ("exclude", 19)])
def test_rows_without_a_cursor_are_treated_as_configured(
    api, run, rows, configure, missing, loaded
):
    told = BY_PARAM.replace(" }", f', on_cursor_value_missing = "{missing}" }}')
    configure(CLIENT + (BY_PARAM if missing == "raise" else told))
    api.rows[7]["updated_at"] = None
    result = run()
    if missing == "raise":
        assert "set on_cursor_value_missing there" in failure(result)
    else:
        assert result.success and rows("SELECT count(*) FROM events") == [(loaded,)]
        assert receipts(rows, "rows_excluded, rows_loaded") == [(20 - loaded, loaded)]


@pytest.mark.parametrize("missing", ["raise", "exclude"])
def test_a_row_that_is_no_object_is_set_aside_and_stops_nothing(api, run, rows, configure, missing):
    configure(CLIENT + BY_PARAM.replace(" }", f', on_cursor_value_missing = "{missing}" }}'))
    listed = [*api.rows.values(), "garbage"]
    api.api.intercept = lambda number, path: Answer(
        200, {"data": listed[int(re.findall(r"offset=(\d+)", path)[0]) :], "total": 21}
    )
    run()
    assert rows("SELECT count(*) FROM events") == [(20,)]
    assert rows("SELECT document, reason FROM quarantined_events") == [
        ('"garbage"', "not an object")
    ]


@pytest.mark.parametrize(
    "endpoint",
    [
        'params = { updated_since = { type = "incremental", cursor_path = "updated_at" } }',
        'params = { updated_since = "{incremental.start_value}" }\n'
        'incremental = { cursor_path = "updated_at" }',
    ],
)
def test_a_first_load_without_initial_value_asks_for_everything(
    api, configure, asked_by_next_load, endpoint
):
    configure(CLIENT + endpoint)
    assert (asked_by_next_load(), asked_by_next_load()) == ("", at(19))


@pytest.mark.parametrize(
    ("convert", "sent"),
    [
        ("seconds", str(int((NOON + timedelta(minutes=19)).timestamp()))),
        ("milliseconds", str(int((NOON + timedelta(minutes=19)).timestamp()) * 1000)),
        ("%d.%m.%Y %H:%M", "01.05.2026 12:19"),
    ],
)
def test_the_parameter_is_written_as_the_api_wants_it(api, run, configure, convert, sent):
    configure(CLIENT + BY_PARAM.replace(" }", f', convert = "{convert}" }}'))
    asked, answer = [], api.answer

    def everything(number, path):
        asked.extend(parse_qs(urlsplit(path).query)["updated_since"])
        return answer(number, re.sub("updated_since=[^&]*", "", path))

    api.api.intercept = everything
    load_configured()
    asked.clear()
    assert run().success and set(asked) == {sent}


@pytest.mark.parametrize(
    ("last", "how", "asked"),
    [
        ("2026-05-01T12:00:00Z", {"lag": 1}, "2026-05-01T11:59:59Z"),
        ("2026-05-01 12:00:00", {"lag": 1}, "2026-05-01 11:59:59"),
        ("20260501", {"lag": 1}, "20260430"),
        (1777586400, {"lag": 1}, 1777586399),
        ("1777586400", {"lag": 1}, 1777586399),
        (1777586400, {"convert": "%Y-%m-%d"}, "2026-04-30"),
        (7, {"convert": "%Y-%m-%d"}, 7),
    ],
)
def test_what_is_asked_for_is_written_like_the_last_time_or_as_configured(last, how, asked):
    changes = Changes("updated_at", start_param="since", **how)
    changes.begin(last)
    assert changes.parameters() == {"since": asked}


def test_a_lag_that_can_be_taken_off_nothing_is_told():
    changes = Changes("updated_at", lag=1)
    with pytest.raises(ConfigurationError, match="not off 'Fri, 01 May 2026 12:00:00 GMT'"):
        changes.begin("Fri, 01 May 2026 12:00:00 GMT")


@pytest.mark.parametrize("place", ["path", "json"])
def test_changes_are_asked_for_in_path_and_body_as_well(api, configure, asked_by_next_load, place):
    body = 'method = "POST"\njson = { filter = { since = "{incremental.start_value}" } }\n'
    path = CLIENT.replace("/v1/events", "/v1/since/{incremental.start_value}/events")
    where = path if place == "path" else CLIENT + body
    configure(where + BY_PARAM.replace(', start_param = "updated_since"', ""))
    answer = api.answer

    def asked(number, path):
        in_path = re.findall("/since/([^/]+)/", path)
        sent = json.loads(api.api.bodies[-1] or b"{}")
        since = unquote(in_path[0]) if in_path else sent["filter"]["since"]
        return answer(number, f"{path}&updated_since={since}")

    api.api.intercept = asked
    assert (asked_by_next_load(), asked_by_next_load()) == (INITIAL, at(19))


def test_a_clock_that_was_set_back_hides_nothing_that_is_gone(api, run, rows, monkeypatch):
    class Fast(datetime):
        now = classmethod(lambda cls, tz: datetime.now(tz) + timedelta(days=9))

    with monkeypatch.context() as ahead:
        ahead.setattr(table_scan, "datetime", Fast)
        load_configured()
    del api.rows[5]
    assert run().success
    assert rows("SELECT count(*) FROM current_events") == [(19,)]


def test_a_table_that_was_dropped_is_read_whole(run, rows, api):
    load_configured()
    rows("DROP VIEW current_events")
    rows("DROP TABLE events")
    assert run().success
    assert receipts(rows, "scan_kind") == [("full",), ("full",)]
    assert rows("SELECT count(*) FROM events") == [(20,)]


def test_a_guard_that_stopped_a_full_scan_is_not_forgotten_by_the_next_load(api, run, monkeypatch):
    load_configured()
    for number in range(15):
        del api.rows[number]
    with monkeypatch.context() as often:
        often.setenv("SOURCES__EVENTS__SYNC__FULL_SCAN_EVERY", "0")
        assert not run().success
    assert not run().success


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("incremental = { start_param = 'since' }", "needs cursor_path"),
        (
            'params = { a = { type = "incremental", cursor_path = "b" } }\n'
            'incremental = { cursor_path = "b" }',
            "in two ways",
        ),
    ],
)
def test_a_wrong_incremental_is_told_before_the_first_request(api, run, configure, endpoint, told):
    configure(CLIENT + endpoint)
    assert told in failure(run()) and not api.asked


@pytest.mark.parametrize("kind", ["full", "changes"])
def test_a_change_behind_the_back_of_a_scan_is_asked_for_by_the_next_one(api, run, rows, kind):
    answer = api.answer
    if kind == "changes":
        load_configured()
        for number in range(20):
            api.change(number, 60, event_name="Changed")
    asked = len(api.api.paths)

    def in_fives(number, path):
        if number - asked in (3, 5):  # first a row that was read, then one that is still to come
            row = 1 if number - asked == 3 else 19
            now = datetime.now(UTC).isoformat()
            api.rows[row] = event(row, event_name="Renamed", updated_at=now)
        found = answer(number, path)
        found.document["data"] = found.document["data"][:5]
        return found

    api.api.intercept = in_fives
    load_configured()
    renamed = "SELECT id FROM events WHERE event_name = 'Renamed' ORDER BY id"
    assert rows(renamed) == [(19,)] and receipts(rows, "scan_kind")[-1] == (kind,)
    api.api.intercept = answer
    assert run().success
    assert rows(renamed) == [(1,), (19,)] and receipts(rows, "scan_kind")[-1] == ("changes",)
