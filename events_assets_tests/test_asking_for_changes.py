"""A parameter is taken for one that asks for changes only where the API obeys it, and `check` says
whether it obeys the one that is configured."""

import json
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial

import pytest

from events_assets.commands import fields
from events_assets.commands.changes import LOST, Sample
from events_assets.scan.changes import Changes
from events_assets_tests.conftest import CONFIG
from events_assets_tests.shapes import (
    Shape,
    cursors,
    last_ids,
    moment,
    offsets,
    pages,
    put,
    rows,
    serving_routes,
    serving_shape,
    since,
    whole,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOURS = timedelta(hours=3)
BY_DAY = {"convert": "%Y-%m-%d"}
INCLUDE = {"on_cursor_value_missing": "include"}
NONE_FOUND = "no common parameter asks for what changed, which updated_at tells"


def changed(at="updated_at", write=lambda time: f"{time:%Y-%m-%dT%H:%M:%SZ}", count=23, hours=1):
    """Events that were made one after another, and changed in another order."""
    events = rows(count)
    for n, event in enumerate(events):
        made, late = (NOON + timedelta(hours=hours * one) for one in (n, n + n * 7 % 11))
        event["created_at"] = made.isoformat()
        put(event, at, write(late))
    return events


def unix(time):
    return int(time.timestamp())


def refusing(*known, by=ValueError):
    """Offsets of an API that refuses parameters which it does not know, or hangs up."""

    def page(events, query, url):
        if any(re.search("since|filter", name) and name not in known for name in query):
            raise by("an unknown parameter")
        return offsets()(events, query, url)

    return page


def no_time_ahead(text):
    """Reads a time that is not ahead."""
    if text > "2030":
        raise ValueError("in the future")
    return text


@pytest.fixture
def init(command):
    """Describes a server; gives what is configured for changes, the words, and the requests."""

    def init(paging, events, *more, **of_server):
        with serving_shape(Shape(paging, **of_server), events) as api:
            words = ("--base-url", api.base_url, "--path", "/events", "--yes", *more)
            result = command("init", *words)
        assert result.exit_code == 0, result.output
        endpoint = tomllib.loads(CONFIG.read_text())["sources"]["events"]["resources"][0][
            "endpoint"
        ]
        said = [line for line in result.output.splitlines() if " changes  " in line]
        return endpoint.get("incremental"), *said, api.paths

    return init


def of(path, param, **more):
    return {"cursor_path": path, "start_param": param, **more, **INCLUDE}


@pytest.mark.parametrize(
    "paging", [offsets(), pages(), pages(links="json"), cursors(), last_ids(), whole]
)
def test_what_asks_for_changes_is_found_however_pages_are_asked_for(init, paging):
    found, said, _ = init(since(paging), changed())
    assert found == of("updated_at", "updated_since")
    assert said.startswith("ok ") and "asks by updated_since" in said and "every 24 hours" in said


def test_changes_are_asked_for_in_the_body_of_a_post(init):
    found, said, _ = init(since(offsets()), changed(), "--post", "{}", method="POST")
    assert found == {"cursor_path": "updated_at", **INCLUDE} and "asks by updated_since" in said
    assert 'json = { updated_since = "{incremental.start_value}" }' in CONFIG.read_text()


@pytest.mark.parametrize(
    ("at", "param"),
    [
        ("updated_at", "updated_at[gte]"),
        ("updated_at", "updated_at__gte"),
        ("updated_at", "updated_at_min"),
        ("updated_at", "since"),
        ("updated", "updatedMin"),
        ("modified", "modified_after"),
        ("lastModified", "lastModifiedSince"),
        ("changed", "changed_since"),
        ("meta.updatedAt", "filter[updatedAt][gte]"),
    ],
)
def test_fields_and_parameters_are_known_by_their_usual_names(init, at, param):
    found, _, asked = init(since(offsets(), param, at), changed(at))
    assert found == of(at, param) and len(asked) < 24


def test_a_time_off_which_nothing_can_be_taken_is_not_followed_where_it_would_have_to_be(init):
    events = changed(write=lambda time: format_datetime(time, usegmt=True))
    paging = since(offsets(), read=parsedate_to_datetime, is_inclusive=False)
    found, said, _ = init(paging, events)
    assert found is None and NONE_FOUND in said


def test_of_two_fields_that_one_is_followed_which_the_api_compares(init):
    events = changed("modified_gmt")
    for event in events:
        event["modified"] = (moment(event["modified_gmt"]) + timedelta(hours=2)).isoformat()[:-6]
    found, _, _ = init(since(offsets(), "modified_after", "modified_gmt"), events)
    assert found == of("modified_gmt", "modified_after")


def test_a_parameter_that_names_the_next_page_is_left_to_that(init):
    found, _, _ = init(since(cursors("since"), "updatedMin", "updated"), changed("updated"))
    assert found == of("updated", "updatedMin")


@pytest.mark.parametrize(
    ("write", "read", "of_row", "more"),
    [
        (str, moment, None, {}),
        (unix, int, None, {}),
        (lambda time: unix(time) * 1000, int, None, {}),
        (lambda time: str(unix(time)), int, None, {}),
        (lambda time: format_datetime(time, usegmt=True), parsedate_to_datetime, None, {}),
        (str, int, lambda text: unix(datetime.fromisoformat(text)), {"convert": "seconds"}),
        (str, date.fromisoformat, lambda text: date.fromisoformat(text[:10]), BY_DAY),
        (
            lambda time: str(time.replace(tzinfo=None)),
            lambda text: datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ"),
            datetime.fromisoformat,
            {"convert": "%Y-%m-%dT%H:%M:%SZ"},
        ),
    ],
)
def test_times_are_sent_as_the_api_takes_them(init, write, read, of_row, more):
    events = changed(write=write, hours=5)
    found, _, _ = init(since(offsets(), read=read, of_row=of_row), events)
    assert found == of("updated_at", "updated_since", **more)


@pytest.mark.parametrize("paging", [offsets(), whole])
def test_where_rows_of_just_that_time_do_not_come_a_lag_asks_for_them(init, paging):
    found, _, _ = init(since(paging, is_inclusive=False), changed())
    assert found == of("updated_at", "updated_since", lag=1)


@pytest.mark.parametrize(
    "paging",
    [
        offsets(),
        refusing(),
        refusing("updated_since"),
        refusing(by=ConnectionError),
        since(offsets(), "since", "start_time"),
        since(offsets(), "since", "created_at"),
        since(offsets(), "since", "id", int),
        since(offsets(), "updated_since", read=lambda text: text * (text < "2027")),
    ],
)
@pytest.mark.parametrize("count", [8, 23])
def test_a_parameter_that_is_not_obeyed_is_not_taken(init, paging, count):
    found, said, asked = init(paging, changed(count=count))
    assert found is None and NONE_FOUND in said and said.startswith("note ")
    assert len(asked) < 30


@pytest.mark.parametrize("param", ["updated_since", "filter[updated_at][_gte]", "_since"])
def test_an_api_that_refuses_unknown_parameters_and_times_ahead_is_understood(init, param):
    found, _, _ = init(since(refusing(param), param, read=no_time_ahead), changed())
    assert found == of("updated_at", param)


def test_rows_of_one_time_of_change_prove_nothing(init):
    found, said, asked = init(since(offsets()), changed(hours=0))
    assert found is None and "updated_at is the same in all rows" in said
    assert len(asked) < 10


def test_nothing_is_asked_where_no_field_tells_of_changes(init):
    events = changed("updates_until")
    events[5]["modified"] = "2026-05-01"
    found, said, asked = init(since(offsets(), at="updates_until"), events)
    assert found is None and said.startswith("ok ") and "no field tells" in said
    assert not [path for path in asked if "since" in path]


def test_what_is_not_obeyed_any_more_is_not_left_in_the_file(init):
    assert init(since(offsets()), changed())[0]
    before = CONFIG.read_text()
    assert init(since(offsets()), changed())[0]
    assert re.sub(r":\d+", "", CONFIG.read_text()) == re.sub(r":\d+", "", before)
    assert init(offsets(), changed())[0] is None


@pytest.mark.parametrize(
    ("row", "paths"),
    [
        ({"id": 1, "created_at": "2026-05-01", "start": "2026-05-01"}, []),
        ({"updated_at": None}, []),
        ({"updated_at": "yesterday"}, []),
        ({"updated_at": True, "modified": 5}, []),
        ({"updated_at": "2999-05-01"}, []),
        ({"exchange_date": "2026-05-01", "edition_date": "2026-05-01"}, []),
        (
            {"venue": {"updated_at": "2026-05-01"}, "updated_at": "2026-05-01"},
            ["updated_at", "venue.updated_at"],
        ),
        ({"status_changed_at": 1777586400, "dateModified": 1777586400}, None),
        ({"sys": {"last-modified": "2026-05-01"}}, ["sys.'last-modified'"]),
        ({"modified": "2026-05-01", "modified_gmt": "2026-05-01"}, ["modified", "modified_gmt"]),
    ],
)
def test_the_time_of_a_change_is_known_by_its_name_and_its_values(row, paths):
    wanted = ["dateModified", "status_changed_at"] if paths is None else paths
    assert fields.changed_at([row, row]) == wanted
    assert fields.changed_at([row, {"id": 2}]) == []


BY_PARAM = 'incremental = { cursor_path = "updated_at", start_param = "updated_since"'


@pytest.fixture
def check(command, configure):
    """Tries a server with lines in the table of the endpoint; gives what is said of changes, the
    settings to make, and whether a load would work."""

    def check(paging, events, endpoint=BY_PARAM + " }", **shape):
        with serving_shape(Shape(paging, **shape), events) as api:
            configure(f"""
[sources.events]
client = {{ base_url = "{api.base_url}" }}
resource_defaults = {{ primary_key = "id", write_disposition = "merge" }}
[[sources.events.resources]]
name = "events"
[sources.events.resources.endpoint]
path = "{shape.get("path", "/events")}"
data_selector = "data"
paginator = {{ type = "offset", limit = 10 }}
{endpoint}
""")
            report = json.loads(command("check", "--json").stdout)
        (step,) = [one for one in report["steps"] if one["name"] == "changes"]
        return step["state"], step["finding"], step["settings"], report["works"], api.paths

    return check


INCREMENTAL = "resources.endpoint.incremental."


def test_check_says_that_changes_are_asked_for_with_one_request_more(check):
    state, said, settings, works, asked = check(since(offsets()), changed())
    assert (state, settings, works) == ("ok", {}, True) and "no row that was changed before" in said
    assert len(asked) == 3 and "updated_since=2026-05-01T22%3A00%3A00Z" in asked[-1]


def test_check_asks_in_the_body_where_a_load_does(check):
    endpoint = 'method = "POST"\njson = { filter = { since = "{incremental.start_value}" } }\n'
    endpoint += 'incremental = { cursor_path = "updated_at" }'
    for param, state in (("filter.since", "ok"), ("filter.until", "note")):
        found = check(since(offsets(), param), changed(), endpoint, method="POST")
        assert found[0] == state and found[3]


@pytest.mark.parametrize(
    ("paging", "state", "said"),
    [
        (since(offsets()), "ok", "updated_since=2076-05-01T12:00:00Z, the API gives no row"),
        (offsets(), "note", "ignores updated_since=2076"),
        (since(offsets(), read=no_time_ahead), "note", "too much alike in all rows"),
    ],
)
def test_where_all_rows_have_one_time_of_change_the_api_is_asked_for_later_ones(
    check, paging, state, said
):
    found = check(paging, changed(hours=0))
    assert found[0] == state and said in found[1] and found[3] and len(found[4]) == 3


def test_one_odd_value_does_not_decide_what_is_asked_for():
    for odd, *values in (["soon", "2026-05-01", "2026-05-02"], [0, 1777586400, 1777586401]):
        rows = [{"updated_at": value} for value in (odd, *values)]
        sample, changes = Sample(([1, 2, 3], rows), "updated_at"), Changes("updated_at")
        changes.begin(sample.middle)
        assert sample.middle == values[1] and sample.has_older(changes)


def test_rows_that_may_be_on_further_pages_are_not_missed():
    def dated(ids):
        return ids, [{"updated_at": f"2026-05-{one:02}"} for one in ids]

    sample, changes = Sample(dated([1, 2, 3]), "updated_at"), Changes("updated_at")
    changes.begin(sample.middle)
    assert sample.fault(changes, dated([4, 5, 6])) == ""
    assert sample.fault(changes, dated([4, 5])) == LOST


def test_check_tries_the_list_of_a_parent(command, configure):
    lists = {"/organizers": [{"slug": "north"}], "/organizers/north/events": changed()}
    shape = Shape(since(offsets()))
    with serving_routes({path: partial(shape.answer, of) for path, of in lists.items()}) as api:
        configure(f"""
[sources.events]
client = {{ base_url = "{api.base_url}" }}
resource_defaults = {{ primary_key = "id", write_disposition = "merge", endpoint = {{ \
data_selector = "data", paginator = {{ type = "offset", limit = 10 }} }} }}
[[sources.events.resources]]
name = "organizers"
selected = false
endpoint = {{ path = "/organizers" }}
[[sources.events.resources]]
name = "events"
[sources.events.resources.endpoint]
path = "/organizers/{{organizer}}/events"
params = {{ organizer = {{ type = "resolve", resource = "organizers", field = "slug" }} }}
{BY_PARAM} }}
""")
        result = command("check")
    assert "asked by updated_since=" in result.output and result.exit_code == 0
    assert api.paths[-1].startswith("/organizers/north/events?updated_since=")


@pytest.mark.parametrize(
    ("paging", "endpoint", "state", "said", "settings", "works"),
    [
        (offsets(), BY_PARAM, "note", "the API ignores updated_since", {}, True),
        (
            *(offsets(), BY_PARAM.replace("updated_at", "updated"), "FAILED"),
            *("10 of 10 rows have nothing at updated", {"cursor_path": "updated_at"}, False),
        ),
        (
            *(offsets(), BY_PARAM.replace("updated_at", "label"), "FAILED"),
            *("3 of 10 rows have nothing at label", {"on_cursor_value_missing": "include"}, False),
        ),
        (
            *(since(offsets(), read=int, of_row=lambda text: unix(moment(text))), BY_PARAM),
            *("FAILED", "the API refuses updated_since=2026", {"convert": "seconds"}, False),
        ),
        (refusing(), BY_PARAM, "FAILED", "a parameter is wrong", {}, False),
        (
            *(since(offsets(), is_inclusive=False), BY_PARAM, "note"),
            *("leaves out what was changed at just that time", {"lag": 1}, True),
        ),
        (since(offsets(), is_inclusive=False), BY_PARAM + ", lag = 1", "ok", "no row", {}, True),
        (
            *(since(offsets(), at="created_at"), BY_PARAM, "FAILED"),
            *("leaves out rows that were changed later", {}, False),
        ),
        (
            *(since(offsets(), read=lambda text: moment(text) + HOURS, of_row=moment), BY_PARAM),
            *("FAILED", "leaves out rows that were changed later", {}, False),
        ),
        (
            *(since(offsets(), read=lambda text: moment(text[:10]), of_row=moment), BY_PARAM),
            *("note", "each load reads more than it has to", {}, True),
        ),
        (
            *(offsets(), BY_PARAM.replace("updated_at", "ends_at"), "note"),
            *("ends_at is in the future: 2999", {}, True),
        ),
        (
            *(since(offsets()), BY_PARAM + ', last_value_func = "min"', "ok"),
            *("not tried", {}, True),
        ),
        (
            since(offsets(), is_inclusive=False),
            BY_PARAM + ", lag = 18000",
            "ok",
            "no row",
            {},
            True,
        ),
        (since(offsets()), BY_PARAM + ", lag = 9999999", "ok", "no row", {}, True),
    ],
)
def test_check_says_whether_the_api_obeys(check, paging, endpoint, state, said, settings, works):
    events = [event | {"ends_at": "2999-01-01"} for event in changed(hours=5)]
    for event in events:
        event |= {"label": event["updated_at"]} if event["id"] > 3 else {}
    found = check(paging, events, endpoint + " }")
    assert (found[0], found[3]) == (state, works) and said in found[1]
    assert found[2] == {INCREMENTAL + name: value for name, value in settings.items()}
    assert len(found[4]) <= 7


@pytest.mark.slow
@pytest.mark.parametrize("is_inclusive", [True, False])
@pytest.mark.parametrize(("write", "read"), [(str, moment), (unix, int)])
def test_what_init_writes_loads_everything_and_then_what_changed(
    command, run, rows, write, read, is_inclusive
):
    events = changed(write=write)
    last = max(event["updated_at"] for event in events)
    with serving_shape(
        Shape(since(offsets(), read=read, is_inclusive=is_inclusive)), events
    ) as api:
        words = ("--base-url", api.base_url, "--path", "/events", "--yes")
        assert command("init", *words).exit_code == 0 and run().success
        events[3] |= {"event_name": "Renamed", "updated_at": last}  # as late as the last one
        before = len(api.paths)
        assert run().success and len(api.paths) - before <= 2
    assert rows("SELECT count(*) FROM current_events") == [(23,)]
    assert rows("SELECT id FROM events WHERE event_name = 'Renamed'") == [(4,)]
    kinds = "SELECT scan_kind FROM scan_receipts ORDER BY started_at"
    assert rows(kinds) == [("full",), ("changes",)]
