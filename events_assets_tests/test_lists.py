"""Several lists make one table of events: by kind, by parent, by window of time."""

import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import product
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest

from events_assets.commands.check import try_api
from events_assets.commands.report import Report
from events_assets.paging.windows import Window
from events_assets.sample_api import Answer
from events_assets.settings import WindowSettings
from events_assets_tests.conftest import event, failure
from events_assets_tests.simulation import Simulation

pytestmark = pytest.mark.slow  # each loads several times

CLIENT = """
[sources.events.client.auth]
type = "api_key"
name = "api_key"
location = "query"

[sources.events.resource_defaults]
primary_key = "id"
write_disposition = "merge"
endpoint = { data_selector = "data", paginator = { type = "offset", limit = 10 } }
"""


def query(path):
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def paged(path, found, limit=10):
    """A page of `found` as the offset in `path` asks for it."""
    offset = int(query(path)["offset"])
    return Answer(200, {"data": found[offset : offset + limit], "total": len(found)})


def receipt(rows, *fields):
    return rows(f"SELECT {', '.join(fields)} FROM scan_receipts WHERE resource = 'events'")[-1]


LISTS = (
    CLIENT
    + """
[[sources.events.resources]]
name = "live"
table_name = "events"
endpoint = { path = "/live" }

[[sources.events.resources]]
name = "archived"
table_name = "events"
endpoint = { path = "/archived" }
"""
)


def test_several_lists_become_one_table(serve, run, rows, configure):
    configure(LISTS)
    lists = {"/live": [event(n) for n in range(25)], "/archived": [event(n) for n in range(20, 55)]}
    serve().intercept = lambda number, path: paged(path, lists[urlsplit(path).path])
    for _ in range(2):
        assert run().success
        assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(55, 55)]
    assert receipt(rows, "verdict", "walks", "distinct_ids", "total_last", "rows_loaded") == (
        ("complete", 2, 55, 55, 55)
    )


def test_one_torn_list_makes_the_scan_torn_and_is_named(serve, run, rows, configure):
    configure(LISTS)
    lists = {"/live": [event(n) for n in range(25)], "/archived": [event(n) for n in range(50, 60)]}

    def answer(number, path):
        answer = paged(path, lists[urlsplit(path).path])
        if "/archived" in path:
            answer.document["total"] = 12
        return answer

    serve().intercept = answer
    assert not run().success
    verdict, reason = receipt(rows, "verdict", "reason")
    assert verdict == "torn" and "archived" in reason and "counts 12 rows, but g" in reason
    assert rows("SELECT count(*) FROM events") == [(35,)]


def test_events_of_a_list_of_deleted_ones_are_deleted(serve, run, rows, configure):
    configure(LISTS + '\n[sources.events.fields]\nstatus = { deleted = { resource = "archived" } }')
    lists = {"/live": [event(1, status=None)], "/archived": [event(2)]}
    serve().intercept = lambda number, path: paged(path, lists[urlsplit(path).path])
    assert run().success
    assert rows("SELECT id, status FROM events ORDER BY id") == [(1, None), (2, "deleted")]


PARENTS = (
    CLIENT
    + """
[[sources.events.resources]]
name = "organizers"
endpoint = { path = "/organizers" }
selected = false

[[sources.events.resources]]
name = "events"
include_from_parent = ["slug"]

[sources.events.resources.endpoint]
path = "/organizers/{slug}/events"
params = { slug = { type = "resolve", resource = "organizers", field = "slug" } }
"""
)


def organizers(path):
    """Three organizers with 0, 12 and 24 events."""
    if urlsplit(path).path == "/organizers":
        return paged(path, [{"id": n, "slug": f"org-{n}"} for n in range(3)])
    number = int(urlsplit(path).path.split("/")[2].removeprefix("org-"))
    return paged(path, [event(100 * number + n) for n in range(12 * number)])


def test_events_of_each_parent_are_loaded_with_a_receipt(serve, run, rows, configure):
    configure(PARENTS)
    api = serve()
    api.intercept = lambda number, path: organizers(path)
    for loads in (1, 2):
        assert run().success
        assert rows("SELECT sum(requests) FROM scan_receipts") == [(len(api.paths),)], loads
        assert rows("SELECT _organizers_slug, count(*) FROM events GROUP BY 1 ORDER BY 1") == [
            ("org-1", 12),
            ("org-2", 24),
        ]
    assert receipt(rows, "verdict", "walks", "total_last") == ("complete", 3, 36)


def test_no_parents_have_no_events(serve, run, rows, configure):
    configure(PARENTS)
    serve().intercept = lambda number, path: paged(path, [])
    assert run().success
    assert receipt(rows, "verdict", "reason", "requests") == (
        "complete",
        "two passes brought the same 0 rows",
        3,
    )


def test_a_parent_that_is_missing_makes_the_scan_torn(serve, run, rows, configure):
    configure(PARENTS)

    def answer(number, path):
        answer = organizers(path)
        if urlsplit(path).path == "/organizers":
            answer.document["total"] = 4
        return answer

    serve().intercept = answer
    run()
    verdict, reason = receipt(rows, "verdict", "reason")
    assert verdict == "torn" and "organizers: the API counts 4 rows" in reason


def test_a_list_of_parents_without_end_ends_the_run(serve, run, configure):
    configure(PARENTS)

    def answer(number, path):
        if urlsplit(path).path != "/organizers":
            return organizers(path)
        rows = [{"id": n, "slug": f"org-{n}"} for n in range(3)] * 40
        return Answer(200, {"data": rows[:100]})  # whatever the offset

    serve().intercept = answer
    assert "it seems to ignore the parameter 'offset'" in failure(run())


@pytest.mark.parametrize("placeholder", ["{slug}", "{resources.organizers.slug}"])
def test_an_id_in_a_path_is_one_part_of_it_whatever_its_characters(
    serve, run, rows, configure, placeholder
):
    parents = PARENTS.replace("{slug}", placeholder)
    configure(parents if placeholder == "{slug}" else re.sub("(?m)^params = .*$", "", parents))
    slugs = ["c", "c#", "c/c", "c?", "50%25", "ö ß", 7]

    def answer(number, path):
        if urlsplit(path).path == "/organizers":
            return paged(path, [{"id": n, "slug": slug} for n, slug in enumerate(slugs)])
        (slug,) = re.findall("/organizers/([^/?#]+)/events", path)
        return paged(path, [event(list(map(str, slugs)).index(unquote(slug)))])

    serve().intercept = answer
    assert run().success
    assert rows("SELECT id FROM events ORDER BY id") == [(n,) for n in range(len(slugs))]


@pytest.mark.parametrize(("key", "first"), [("id", "organizers 10"), ("slug", "organizers row 2")])
def test_parents_without_a_usable_id_are_not_asked_for_and_the_others_are_loaded(
    serve, run, rows, configure, key, first
):
    configure(PARENTS.replace("selected = false", f'selected = false\nprimary_key = "{key}"'))
    slugs = ["", ".", "..", None, True, ["c"], "\ud800"]
    unusable = [{"id": 10 + n, "slug": slug} for n, slug in enumerate(slugs)]
    parents = [{"id": 1, "slug": "1"}, *unusable, {"id": 2}, "c", {"id": 3, "slug": "3"}]

    def answer(number, path):
        if urlsplit(path).path == "/organizers":
            return paged(path, parents)
        return paged(path, [event(int(urlsplit(path).path.split("/")[2]))])

    api = serve()
    api.intercept = answer
    assert not run().success
    asked = {urlsplit(path).path for path in api.paths}
    assert asked == {"/organizers", "/organizers/1/events", "/organizers/3/events"}
    assert rows("SELECT id FROM events ORDER BY id") == [(1,), (3,)]
    reason = f"events: {first}: its slug is empty"
    assert receipt(rows, "verdict", "reason") == ("torn", reason)


@pytest.mark.parametrize("slug", ["", None])
def test_a_parent_without_an_id_is_no_parameter_either(serve, run, rows, configure, slug):
    configure(
        PARENTS.replace("/organizers/{slug}/events", "/events").replace(
            '{ slug = { type = "resolve", resource = "organizers", field = "slug" } }',
            '{ organizer = "{resources.organizers.slug}" }',
        )
    )

    def answer(number, path):
        if urlsplit(path).path == "/organizers":
            return paged(path, [{"id": 0, "slug": slug}, {"id": 1, "slug": "../c&d"}])
        assert query(path)["organizer"] == "../c&d"
        return paged(path, [event(1)])

    serve().intercept = answer
    run()
    assert rows("SELECT id FROM events") == [(1,)]
    assert receipt(rows, "verdict") == ("torn",)


def test_a_field_that_a_parent_does_not_have_is_null(serve, run, rows, configure):
    configure(PARENTS.replace('["slug"]', '["slug", "city"]'))
    cities = [{"id": 1, "slug": "a"}, {"id": 2, "slug": "b", "city": "Graz"}]

    def answer(number, path):
        if urlsplit(path).path == "/organizers":
            return paged(path, cities)
        return paged(path, [event(1 if "/a/" in path else 2)])

    serve().intercept = answer
    assert run().success
    assert rows("SELECT id, _organizers_city FROM events ORDER BY id") == [(1, None), (2, "Graz")]


def test_check_tries_the_first_parent_that_can_be_asked_for(serve, configure):
    configure(PARENTS)
    parents = [{"id": 5, "slug": None}, {"id": 1, "slug": "org-1"}]

    def answer(number, path):
        return paged(path, parents) if urlsplit(path).path == "/organizers" else organizers(path)

    api = serve()
    api.intercept = answer
    try_api(report := Report())
    assert not report.failed and "/organizers/org-1/events" in api.paths[-1]
    (told,) = (step.finding for step in report.steps if step.name == "parent")
    assert "2 rows of organizers, of which 1 cannot be asked for (organizers 5: its slug " in told
    parents.pop()
    try_api(report := Report())
    assert report.failed.name == "parent" and "organizers 5: its slug " in report.failed.finding


def test_check_tries_the_list_of_a_parent_of_a_parent(serve, configure):
    countries = """
[[sources.events.resources]]
name = "countries"
endpoint = { path = "/countries" }
selected = false

[[sources.events.resources]]
name = "organizers"
endpoint = { path = "/{resources.countries.id}/organizers" }
"""
    organizers_of_all = PARENTS.removeprefix(CLIENT).partition("selected = false")[2]
    configure(CLIENT + countries + "selected = false" + organizers_of_all)
    lists = {
        "/countries": [{"id": "at"}],
        "/at/organizers": [{"id": 1, "slug": "org-1"}],
        "/organizers/org-1/events": [event(1)],
    }
    serve().intercept = lambda number, path: paged(path, lists[urlsplit(path).path])
    try_api(report := Report())
    assert not report.failed
    told = [step.finding for step in report.steps if step.name == "parent"]
    assert told == [f"1 row of {name}; the first is tried" for name in ("countries", "organizers")]


def test_rows_of_two_parents_with_one_id_are_both_kept(serve, run, rows, configure):
    configure(
        PARENTS.replace(
            'name = "events"', 'name = "events"\nprimary_key = ["_organizers_slug", "id"]'
        )
    )

    def answer(number, path):
        if urlsplit(path).path == "/organizers":
            return organizers(path)
        return paged(path, [event(1), event(2)])

    serve().intercept = answer
    assert run().success
    assert rows("SELECT count(*) FROM events") == [(6,)]


WINDOWS = (
    CLIENT
    + """
[[sources.events.resources]]
name = "events"
endpoint = { path = "/events" }

[sources.events.windows]
max_rows = 50
start_param = "from"
end_param = "until"
initial_value = "2026-01-01"
end_value = "2027-01-01"
"""
)


class Shallow:
    """Gives no more than 50 rows of what is asked for; the total may be cut off as well."""

    def __init__(self, events, total=True, capped=False, inclusive=(True, False)):
        self.events, self.total, self.capped, self.inclusive = events, total, capped, inclusive

    def __call__(self, _number, path):
        asked = query(path)
        spans = (
            asked.get("from", "2000-01-01T00:00:00Z"),
            asked.get("until", "2100-01-01T00:00:00Z"),
        )
        first, last = map(datetime.fromisoformat, spans)
        found = [
            one
            for one in self.events
            if ((start := datetime.fromisoformat(one["start_time"])) > first and start < last)
            or (start == first and self.inclusive[0])
            or (start == last and self.inclusive[1])
        ]
        if int(asked["offset"]) + int(asked["limit"]) > 50:
            return Answer(400, {"error": "too deep"})
        answer = paged(path, found)
        if not self.total:
            del answer.document["total"]
        elif self.capped:
            answer.document["total"] = min(len(found), 50)
        return answer


def year(count):
    """Events spread over 2026, three of them at any one time."""
    day = datetime(2026, 1, 2, tzinfo=UTC)
    return [
        event(n, start_time=(day + timedelta(hours=n // 3 * 20)).isoformat()) for n in range(count)
    ]


EARLY_ENDS = [
    (total, capped, inclusive)
    for total, capped in ((True, False), (True, True), (False, False))
    for inclusive in product((True, False), repeat=2)
]


@pytest.mark.parametrize(("total", "capped", "inclusive"), EARLY_ENDS)
def test_an_api_that_ends_its_pages_early_is_walked_in_windows(total, capped, inclusive):
    shallow = Shallow(year(400), total, capped, inclusive)

    def api(query):
        answer = shallow(0, f"?{urlencode(query)}")
        return answer.document if answer.status == 200 else HTTPStatus(answer.status)

    window = Window.whole(WindowSettings(**tomllib.loads(WINDOWS)["sources"]["events"]["windows"]))
    paginator = {"type": "offset", "limit": 10}
    found, receipt = Simulation(api, paginator, total="total", window=window).scan()
    assert found.keys() == {*range(400)} and receipt.distinct_ids == 400
    verdict, reason = receipt.verdict, receipt.reason
    if total and not capped:
        assert (verdict, reason) == ("complete", "two passes brought the same 400 rows")
    else:
        assert verdict == "unproven" and "events without a start time are in no window" in reason


def test_what_comes_in_windows_is_loaded(serve, run, rows, configure):
    configure(WINDOWS)
    serve().intercept = Shallow(year(400))
    assert run().success
    assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(400, 400)]
    assert receipt(rows, "verdict", "distinct_ids") == ("complete", 400)


@pytest.mark.parametrize("undated", [0, 5])
def test_events_without_a_date_are_missed_in_windows(serve, run, rows, configure, undated):
    configure(WINDOWS)
    api, windows = serve(), Shallow(year(100))
    lost = [event(1000 + n, start_time=None) for n in range(undated)]

    def answer(number, path):
        if "from=" in path:
            return windows(number, path)
        return paged(path, windows.events + lost)

    api.intercept = answer
    assert run().success
    verdict, reason = receipt(rows, "verdict", "reason")
    assert verdict == ("unproven" if undated else "complete")
    assert not undated or "without windows the API counts 105 rows, windows hold 100" in reason


def test_more_events_at_one_moment_than_may_be_paged_through_is_torn(serve, run, rows, configure):
    configure(WINDOWS)
    serve().intercept = Shallow([event(n, start_time="2026-05-01T00:00:00Z") for n in range(60)])
    assert not run().success
    verdict, reason = receipt(rows, "verdict", "reason")
    assert verdict == "torn" and "more than 50 rows" in reason and "2026-05-01" in reason


def test_windows_without_their_parameters_are_refused(serve, run, configure):
    configure(WINDOWS.replace('start_param = "from"', ""))
    serve()
    assert "needs start_param and end_param" in failure(run())


def test_pages_larger_than_one_may_page_through_are_refused(serve, run, configure):
    configure(WINDOWS.replace("max_rows = 50", "max_rows = 9"))
    api = serve()
    assert "asks for pages of 10 rows, but max_rows" in failure(run())
    assert not api.paths


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("%Y-%m-%d", {"a": "2026-01-01", "b": "2026-07-02"}),
        ("seconds", {"a": "1767225600", "b": "1782993600"}),
        ("milliseconds", {"a": "1767225600000", "b": "1782993600000"}),
    ],
)
def test_windows_are_written_as_the_api_wants_them(form, written):
    settings = WindowSettings(
        max_rows=10,
        start_param="a",
        end_param="b",
        initial_value="2026-01-01",
        end_value="2027-01-01",
        format=form,
    )
    first, second = Window.whole(settings).halves()
    assert json.dumps(first.parameters()) == json.dumps(written)
    assert second.end == datetime(2027, 1, 1, tzinfo=UTC) and second.start < first.end


@pytest.mark.parametrize(
    ("form", "is_fine"), [("%Y-%m-%dT%T", True), ("%FT%R", True), ("%s", True), ("%Y-%m-%d", False)]
)
def test_a_busy_day_is_split_where_the_format_tells_a_time_of_day(form, is_fine):
    day = {"initial_value": "2026-01-01", "end_value": "2026-01-02"}
    settings = WindowSettings(start_param="a", end_param="b", format=form, **day)
    assert bool(Window.whole(settings).halves()) is is_fine
