"""What the workers of a backfill have recorded is loaded as what one process would have read."""

import json
import logging
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets import warehouse
from events_assets.api import configured_api
from events_assets.http.redaction import Redaction
from events_assets.recorded import Plan
from events_assets.sample_api import Answer
from events_assets.source import events_source
from events_assets_tests.calendars import WINDOWS, Calendar, dated, moved
from events_assets_tests.conftest import RESOURCE, event, load_configured

LOG = logging.getLogger("tests")
SPAN = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 7, 28, tzinfo=UTC)


def read(meanwhile=lambda part, number: None):
    """Records as many passes as the job does; something may happen after each part."""
    plan = Plan.new("backfill", *SPAN)
    for number in (1, 2):
        for part in plan.parts if number <= plan.passes() else ():
            plan.record(part, number, LOG)
            meanwhile(part, number)
    return plan


def load(plan):
    with (
        plan.playing() as manner,
        configured_api() as (config, authentication),
        warehouse.loading() as pipeline,
    ):
        source = events_source(config, authentication=authentication, manner=manner)
        warehouse.load(pipeline, source.with_resources("events"))


VENUES = """
[[sources.events.resources]]
name = "venues"
[sources.events.resources.endpoint]
path = "/v1/venues"
data_selector = "data"
paginator = { type = "offset", limit = 10 }
[[sources.events.resources]]
name = "events"
[sources.events.resources.endpoint]
path = "/v1/venues/{venue}/events"
params = { venue = { type = "resolve", resource = "venues", field = "id" } }
data_selector = "data"
paginator = { type = "offset", limit = 10 }
"""


def test_a_venue_that_goes_while_windows_are_read_fails_no_backfill(serve, configure, rows):
    before, _, after = WINDOWS.partition("[[sources.events.resources]]")
    configure(before + VENUES + after[after.index("[sources.events.windows]") :])
    venues, asked = {n: Calendar(dated(60)[n::3]) for n in range(3)}, []

    def api(number, path):
        asked.append(path)
        url = urlsplit(path)
        if url.path == "/v1/venues":
            start = int(dict(parse_qsl(url.query))["offset"])
            return Answer(200, {"data": [{"id": n} for n in venues][start:], "total": len(venues)})
        venue = venues.get(int(url.path.split("/")[3]))
        return venue(number, path) if venue else Answer(404, {"error": "no such venue"})

    def go(part, number):
        if (part, number) == ("until_2026_06_01", 1):
            del venues[2]

    serve().intercept = api
    plan = read(go)
    recorded = len(asked) // 2
    load(plan)
    assert rows("SELECT verdict, scans FROM scan_receipts WHERE resource = 'events'") == [
        ("complete", 3)
    ]
    assert rows("SELECT count(*) FROM events WHERE id % 3 < 2") == [(40,)]
    assert len([path for path in asked if path.startswith("/v1/venues/2/events?from")]) < recorded


COUNTS = ("rows_received", "repeats", "rows_loaded", "rows_quarantined", "rows_excluded")


@pytest.mark.parametrize("max_rows", ["0", pytest.param("30", marks=pytest.mark.slow)])
def test_receipts_of_windows_add_up_to_that_of_all(calendar, rows, monkeypatch, max_rows):
    monkeypatch.setenv("SOURCES__EVENTS__WINDOWS__MAX_ROWS", max_rows)
    edge = "2026-06-01T00:00:00Z"
    lost = [moved(600 + n, f"2026-06-{n + 1:02}T00:00:00Z") | {"id": None} for n in range(3)]
    calendar.events += [moved(500, edge), *lost, event(501, start_time=edge, end_time={"a": 1})]
    load(read())
    sums = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in (*COUNTS, "distinct_ids"))
    of_run = "FROM scan_receipts WHERE scans > 1 OR scan_kind = 'window'"
    whole, windows = rows(f"SELECT {sums} {of_run} GROUP BY scan_kind ORDER BY scan_kind")
    assert whole == windows
    received, repeats, *kept, distinct = whole
    assert received - repeats == sum(kept) == distinct == 155
    assert kept[1] >= 3


def without_total(calendar, path):
    found = Calendar.__call__(calendar, 0, path)
    return Answer(found.status, {"data": found.document["data"]})


@pytest.mark.slow
def test_no_pass_is_made_that_can_prove_nothing(calendar, serve, rows, monkeypatch):
    serve().intercept = lambda _number, path: without_total(calendar, path)
    load(read())
    asked = [str(query) for query in calendar.asked]
    assert len({*asked}) == len(asked)
    reason = "SELECT reason FROM scan_receipts WHERE resource = 'events' AND verdict = 'unproven'"
    ((told,),) = rows(reason)
    assert "set undated = false in [sources.events.windows]" in told
    monkeypatch.setenv("SOURCES__EVENTS__WINDOWS__UNDATED", "false")
    calendar.asked.clear()
    load(read())
    assert {*map([*map(str, calendar.asked)].count, map(str, calendar.asked))} == {2}
    assert rows("SELECT verdict FROM scan_receipts WHERE resource = 'events'")[-1] == ("complete",)


def test_a_key_of_another_type_costs_no_recorded_pass(calendar, rows):
    calendar.events.append(moved("a-1", "2026-07-20T00:00:00Z"))
    plan = read()
    calendar.asked.clear()
    load(plan)
    assert not calendar.asked
    assert rows("SELECT count(*) FROM current_events WHERE id IN ('a-1', '7')") == [(2,)]
    assert rows("SELECT verdict FROM scan_receipts WHERE resource = 'events'")[-1] == ("complete",)


@pytest.mark.slow
def test_an_api_that_proves_all_at_once_is_read_once(serve, rows):
    api = serve([event(number) for number in range(250)])
    load(read())
    assert len({*api.paths}) == len(api.paths)
    assert rows("SELECT verdict, scans FROM scan_receipts") == [("complete", 1)]
    load_configured()
    assert rows("SELECT count(*) FROM current_events") == [(250,)]


KEY = 'k/+ey "of" \\the %41 tést'
LINKED = (
    """
[sources.events.client]
base_url = "set by the environment"
[sources.events.client.auth]
type = "api_key"
name = "api_key"
location = "query"
"""
    + RESOURCE
    + 'paginator = {{ type = "{0}" }}\n'
)


@pytest.mark.slow
@pytest.mark.parametrize("paginator", ["json_link", "header_link"])
def test_links_that_repeat_the_key_are_kept_without_it(serve, configure, rows, paginator):
    configure(LINKED.format(paginator))
    api, asked, key = serve(key=KEY), [], KEY

    def answer(_number, path):
        asked.append(path)
        query = dict(parse_qsl(urlsplit(path).query))
        assert query["api_key"] == key
        start = int(query.get("start", 0))
        data = [event(n, note=f"for {key}") for n in range(start, min(start + 10, 25))]
        query = urlencode({"api_key": key, "start": start + 10})
        url = f"{api.base_url}/v1/events?{query}" if start < 20 else None
        links = {"Link": f'<{url}>; rel="next"'} if url else {}
        return Answer(200, {"data": data, "next": url}, links if paginator != "json_link" else {})

    api.intercept = answer
    plan = read()
    files = [ZipFile(path) for path in plan.folder.glob("*.zip")]
    kept = [file.read(name).decode() for file in files for name in file.namelist()]
    assert len(kept) == len(asked) > 3
    for form in (key, quote(key), quote_plus(key), json.dumps(key)[1:-1]):
        assert not [text for text in kept if form in text]
    asked.clear()
    load(plan)
    assert not asked
    assert rows("SELECT count(*), max(note) FROM current_events") == [(25, "for [masked]")]


LETTERS = st.characters(exclude_categories=["Cs", "Cc"])


@given(
    st.text(LETTERS, min_size=6, max_size=12),
    st.lists(st.text(max_size=9), max_size=5),
    st.booleans(),
)
def test_what_is_taken_out_of_a_text_is_put_back_as_it_was(secret, between, is_ascii):
    redaction = Redaction(secret)
    text = json.dumps([secret.join(between), quote(secret)], ensure_ascii=is_ascii).encode()
    taken = redaction.take_out(text)
    if taken is not None:
        assert secret not in json.dumps(json.loads(taken, strict=False), ensure_ascii=False)
        assert redaction.put_back(taken) == text


def test_the_key_of_today_is_put_into_what_was_read_with_that_of_yesterday():
    taken = Redaction("yesterday's key").take_out(b'{"next": "/?key=yesterday%27s%20key"}')
    assert Redaction("today's key").put_back(taken) == b'{"next": "/?key=today%27s%20key"}'


@pytest.mark.parametrize(
    "text",
    [
        b'{"id": 12345678}',
        b'{"next": "MTIzNDU2Nzg="}',
        b'{"a": "\\u0031\\u0032345678"}',
        b'{"a": "%31%32345678"}',
        b"12345678 is no JSON",
        b'"\0" + "12345678"',
        "12345678é".encode("latin-1"),
    ],
)
def test_a_key_that_cannot_be_put_back_is_not_kept(text):
    assert Redaction("12345678").take_out(text) is None
