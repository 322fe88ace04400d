"""`init` and `check` against servers with the shapes of real APIs: never ok where nothing was
proven."""

import tomllib
from threading import Event

import pytest

from events_assets.commands.report import patience
from events_assets.sample_api import Answer
from events_assets_tests.conftest import CONFIG, load_configured
from events_assets_tests.imitated_servers import (
    all_rows,
    arranged,
    events,
    graphql,
    in_header,
    is_more,
    keyed,
    linked,
    numbered,
    own_rows,
    page_count,
    paged,
    posted,
    raw,
    token,
    whole,
)
from events_assets_tests.shapes import serving_routes

DAY = "2026-05-01"
SINGLE = {"paginator": "single_page"}
SPAN = {"start": "2026-01-01", "end": "2026-12-31"}
FLAGGED = {"resultOffset": None}


@pytest.mark.parametrize(
    ("server", "paginator"),
    [
        (paged("offset", offset=token), ("cursor", "offset", "offset")),
        (paged("h", "limit", h=token), ("cursor", "h", "h")),
        (paged("bookmark", bookmark=token), ("cursor", "bookmark", "bookmark")),
        (paged("cursor", next_page=token), ("cursor", "next_page", "cursor")),
        (paged("pageKey", nextPageKey=token), ("cursor", "nextPageKey", "pageKey")),
        (
            paged("resultOffset", "resultRecordCount", exceededTransferLimit=is_more),
            ("offset", None, "resultOffset"),
        ),
        (paged("pagetoken", next_page_token=token), ("cursor", "next_page_token", "pagetoken")),
        (paged("$offset", "$limit"), ("offset", None, "$offset")),
        (paged("startIndex", "count", base=1), ("offset", None, "startIndex")),
        (in_header("X-Next-Page-Token", "nextPageToken"), ("header_cursor", None, "nextPageToken")),
    ],
)
def test_a_page_is_not_taken_for_the_whole_list(init, server, paginator):
    found, said, _ = init(server)
    described = found["resources"][0]["endpoint"]["paginator"]
    kind, path, name = paginator
    assert (described["type"], described.get("cursor_path")) == (kind, path), said
    assert described.get("cursor_param", described.get("offset_param")) == name


@pytest.mark.parametrize(
    "server",
    [
        paged("no such name", truncated=is_more),
        paged("no such name", partial=is_more, count=own_rows),
        whole(start=None, end=None, complete=True),
        paged("no such name"),
        whole(),
    ],
)
def test_nothing_that_proves_the_end_is_never_ok(init, check, server):
    _, said, _ = init(server)
    assert "note paging" in said and "ok paging" not in said
    at = "items" if '"items"' in said else "events"
    steps = check(server, {"data_selector": at, **SINGLE})
    assert steps["second page"]["state"] == "note"
    assert "total_path" not in str(steps["total"]["settings"])


def test_nothing_is_posted_to_an_api_that_allows_only_other_methods(command):
    refusal = Answer(405, {}, {"Allow": "PUT, DELETE"})
    methods = []
    with serving_routes({"/events": lambda a: methods.append(a.method) or refusal}) as api:
        told = command("init", "--base-url", api.base_url, "--path", "/events")
    assert told.exit_code == 1 and {*methods} == {"GET"}


def test_a_parameter_for_few_rows_that_filters_them_away_is_left_out(init):
    server = paged("offset", "limit", total=all_rows)
    found, said, _ = init(lambda a: Answer(200, {"items": []}) if "rows" in a.query else server(a))
    assert found["resources"][0]["endpoint"]["paginator"]["type"] == "offset", said


@pytest.mark.parametrize("server", [whole(**SPAN), whole(**SPAN, total=57), whole(cursor="now")])
def test_a_right_configuration_is_not_failed_for_a_word_that_leads_nowhere(check, server):
    steps = check(server, {"data_selector": "events", **SINGLE})
    assert all(step["state"] != "FAILED" for step in steps.values()), steps


@pytest.mark.parametrize(
    "server",
    [
        numbered(count=own_rows),
        numbered(total=own_rows),
        paged("offset", "limit", total=own_rows),
        paged("no such name", count=own_rows),
        paged("no such name", "limit", total=own_rows),
    ],
)
def test_rows_of_the_page_are_no_total(init, check, server):
    found, said, _ = init(server)
    assert "total_path" not in found["scan"] and "ok total the API counts its rows nowhere" in said
    endpoint = found["resources"][0]["endpoint"]
    steps = check(server, {"data_selector": endpoint["data_selector"], **SINGLE})
    assert not steps["total"]["settings"], steps["total"]


def test_nulls_among_rows_are_counted_and_said_and_no_reason_to_look_for_more(init):
    _, said, _ = init(whole(rows=[*events(), None, None], total=59))
    assert "note rows 2 more are no objects: a load sets them aside" in said
    assert 'ok paging all 59 rows at once: "total" counts as many' in said


def test_all_rows_are_counted_wherever_that_is(init):
    found, _, _ = init(numbered(count=all_rows))
    assert found["scan"]["total_path"] == "count"


EMPTY, BAD = Answer(200, {"items": []}), Answer(400, {"message": "bad request"})


@pytest.mark.parametrize("refusal", [EMPTY, BAD, Answer(404, {}), Answer(200, {"error": "key?"})])
def test_a_key_that_was_not_understood_is_tried_elsewhere(init, check, refusal):
    server = keyed(paged("offset", "limit", total=all_rows), refusal, "header:X-API-Key")
    found, said, _ = init(server)
    assert found["client"]["auth"]["name"] == "X-API-Key", said
    auth = {"type": "api_key", "name": "api_key", "location": "query"}
    steps = check(server, {"data_selector": "items", "auth": auth})
    assert steps["key"]["state"] == "FAILED" and "X-API-Key" in steps["key"]["finding"], steps


def test_no_key_is_ok_where_the_answer_is_empty(init, check):
    server = keyed(whole(), EMPTY, "header:X-No-Such")
    _, said, _ = init(server)
    assert "note key" in said and "Authorization: Bearer" in said and "X-API-Key" in said
    steps = check(server, {"data_selector": "items", **SINGLE})
    assert steps["key"]["state"] == "note"


def test_the_first_request_asks_for_a_small_page(init):
    _, _, paths = init(paged("offset", "limit", most=100, total=all_rows))
    assert "limit=" in paths[0]
    assert not any(path == "/events" for path in paths)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "POST", "json": {"query": "query { events(first: 100) { id title } }"}},
        {"method": "POST", "json": {"query": "{events{id}}", "variables": {"a": "{}"}}},
        {"params": {"filter": '{"kind": {"eq": "public"}}'}},
        {"params": {"where": "{city}"}},
        {"headers": {"X-Filter": "{a} or {b}"}},
    ],
)
def test_braces_are_sent_as_they_are_written(check, settings):
    asked_for = []

    def answer(asked):
        asked_for.append((asked.body, asked.query, asked.headers.get("X-Filter")))
        return whole()(asked)

    steps = check(answer, {"data_selector": "events", **SINGLE, **settings})
    assert steps["rows"]["state"] == "ok", steps
    body, query, header = asked_for[0]
    assert body == settings.get("json", {}) or not body
    assert not settings.get("params") or query.items() >= settings["params"].items()
    assert not settings.get("headers") or header == settings["headers"]["X-Filter"]


@pytest.fixture
def arrive(command, rows):
    """Describes a server and loads it: what is configured, and the events as they are loaded."""

    def arrive(server, *words, code=0):
        with serving_routes({"/events": server}) as api:
            result = command("init", "--base-url", api.base_url, "--path", "/events", *words)
            assert result.exit_code == 0, result.output
            checked = command("check")
            assert "FAILED" not in checked.output, checked.output
            load_configured()
        found = tomllib.loads(CONFIG.read_text())["sources"]["events"]
        return found, rows("SELECT id, event_name, start_time, end_time FROM events ORDER BY id")

    return arrive


QUERY = """query ($first: Int, $after: String) {
  events(first: $first, after: $after) {
    edges { node { id title start end } } pageInfo { hasNextPage endCursor } } }"""


def test_changes_are_not_asked_for_in_a_query_of_graphql_and_that_is_said(init):
    found, said, _ = init(graphql, "--graphql", QUERY)
    assert "note changes not asked for: say it in the query" in said
    assert "incremental" not in found["resources"][0]["endpoint"]


def by_key(page):
    return {f"e{row['id']}": {n: v for n, v in row.items() if n != "id"} for row in page}


HEADER = ["id", "title", "start", "end"]


def listed(row):
    return [row[name] for name in HEADER]


def table(page):
    return {"columns": HEADER, "rows": [*map(listed, page)]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "words"),
    [
        (graphql, ("--graphql", QUERY)),
        (posted(paged("from", "size", total=all_rows)), ()),
        (posted(paged("cursor", next_cursor=token)), ("--post", '{"kind": "public"}')),
        (linked(**{"hydra:view": lambda url, _: {"hydra:next": url}}), ()),
        (linked(**{"hydra:totalItems": lambda _, total: total}, next=lambda url, _: url), ()),
        (linked(link=lambda url, _: [{"relation": "next", "url": url}] if url else []), ()),
        (linked(links=lambda url, _: [{"rel": "next", "href": url}] if url else []), ()),
        (linked(**{"@odata.nextLink": lambda url, _: url}), ()),
        (paged("cursor", next_page=token), ()),
        (arranged(lambda page: {"entry": [{"resource": row} for row in page]}), ()),
        (arranged(lambda page: {"entries": [{"event": row, "n": 1} for row in page]}), ()),
        (arranged(lambda page: {"list": [{"content": {"event": row}} for row in page]}), ()),
        (arranged(lambda page: {"days": [{"day": row["id"], "list": [row]} for row in page]}), ()),
        (in_header("X-Next-Cursor"), ()),
        (arranged(lambda page: {"features": [{"attributes": row} for row in page]}), ()),
        (
            arranged(
                lambda page: {
                    "data": [
                        {"id": str(row.pop("id")), "type": "event", "attributes": row}
                        for row in map(dict, page)
                    ]
                }
            ),
            (),
        ),
        (arranged(lambda page: {"events": by_key(page)}), ()),
        (arranged(by_key), ()),
        (arranged(table), ()),
        (arranged(lambda page: [HEADER, *map(listed, page)]), ()),
        (
            arranged(
                lambda page: {
                    "meta": {"columns": [{"name": name} for name in HEADER]},
                    "data": [*map(listed, page)],
                }
            ),
            (),
        ),
    ],
)  # fmt: skip
def test_all_events_come_whatever_stands_around_them(arrive, server, words):
    found, events = arrive(server, *words)
    assert len(events) == 57, found
    assert all(value is not None for event in events for value in event)


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "text/plain", "iCalendar"),
        (b'<?xml version="1.0"?><rss version="2.0"><channel/></rss>', "text/xml", "RSS"),
        (b'<feed xmlns="http://www.w3.org/2005/Atom"/>', "application/atom+xml", "RSS or Atom"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "text/html", "HTML"),
        (b"<events><event/></events>", "application/xml", "XML"),
        (b"id,title\n1,Fair\n", "text/csv", "CSV"),
        (b"id;title\n1;Fair\n", "application/octet-stream", "CSV"),
        (b'{"id": 1}\n{"id": 2}\n', "application/json", "NDJSON"),
        (b'callback({"id": 1})', "application/javascript", "JSONP"),
        (b"", "application/json", "empty"),
    ],
)
def test_what_is_no_json_is_named_as_what_it_is(command, check, body, sent, kind):
    with serving_routes({"/events": raw(body, sent)}) as api:
        told = command("init", "--base-url", api.base_url, "--path", "/events")
    assert told.exit_code == 1 and kind in told.output, told.output
    steps = check(raw(body, sent), {"data_selector": "events", **SINGLE})
    assert kind in [*steps.values()][-1]["finding"]


@pytest.mark.parametrize(
    ("server", "endpoint", "sections", "said"),
    [
        (paged("offset", "limit", total=all_rows, pages=page_count),
         {"paginator": {"type": "offset", "limit": 20, "total_path": "pages"}}, {},
         'total_path = "pages" counts 3'),
        (numbered(pages=page_count), {"paginator": {"type": "page_number", "base_page": 1}},
         {"scan": {"total_path": "pages"}}, 'total_path = "pages" counts 3'),
        (numbered(count=all_rows),
         {"paginator": {"type": "page_number", "base_page": 1, "total_path": "count"}}, {},
         'total_path = "count" counts 57'),
        (numbered(count=own_rows), SINGLE, {"scan": {"total_path": "count"}}, "single_page"),
        (paged("offset", "limit", total=all_rows),
         {"paginator": {"type": "offset", "limit": 20, "total_path": "count"}}, {},
         'total_path = "count" leads to nothing'),
        (numbered(), {"paginator": {"type": "page_number", "base_page": 1,
                                    "has_more_path": "more"}}, {}, 'has_more_path = "more" leads'),
        (paged("cursor", next=token),
         {"paginator": {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "cursor"}},
         {}, 'cursor_path = "meta.next" leads to nothing'),
        (paged("cursor", next=token), {"paginator": {"type": "offset", "limit": 20}}, {},
         'paginator = { type = "offset", limit = 20 }'),
        (linked(next=lambda url, _: url),
         {"paginator": {"type": "json_link", "next_url_path": "links.next"}}, {},
         'next_url_path = "links.next" leads to nothing'),
        (numbered(), {"paginator": {"type": "page_number", "base_page": 1}},
         {"scan": {"order": "made_at"}}, 'scan.order = "made_at" leads to nothing in the rows'),
        (numbered(), {"paginator": {"type": "page_number", "base_page": 1}},
         {"scan": {"total_header": "X-All"}}, 'scan.total_header = "X-All" is no header'),
        (paged("cursor", next=token),
         {"paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}}, {},
         'cursor_param = "after"'),
        (numbered(), {"paginator": {"type": "page_number", "base_page": 1, "page_param": "seite"}},
         {}, 'page_param = "seite"'),
        (numbered(), {"data_selector": "data"}, {}, 'no list of rows at "data"'),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_failed_by_its_name_and_value(check, server, endpoint, sections, said):
    at = "results" if "numbered" in server.__qualname__ else "items"
    steps = check(server, {"data_selector": at, **endpoint}, **sections)
    failed = [step["finding"] for step in steps.values() if step["state"] == "FAILED"]
    assert any(said in finding for finding in failed), steps


@pytest.mark.parametrize(
    ("rows", "state", "said"),
    [
        ([{"id": 1}, {"id": 1}], "FAILED", "1 come twice"),
        ([{"id": n, "start": "2026-05-02T10:00:00Z", "end": "2026-05-01T10:00:00Z"}
          for n in range(3)], "FAILED", "3 end before they start"),
        ([{"id": None}, *({"id": n} for n in range(150))], "note", "1 cannot be loaded"),
        ([{"id": None}, {"id": 2}], "FAILED", "1 cannot be loaded"),
        ([{"id": n} for n in range(3)], "ok", "none breaks a claim"),
    ],
)  # fmt: skip
def test_check_says_with_what_events_job_will_end(check, rows, state, said):
    whole_rows = [{"title": "Fair", "start": DAY, "end": DAY, **row} for row in rows]
    steps = check(whole(rows=whole_rows, total=len(rows)), {"data_selector": "events", **SINGLE})
    assert steps["checks"]["state"] == state and said in steps["checks"]["finding"], steps
    assert "events_job ends with 1 if 1 or more rows come twice" in steps["checks"]["finding"]


def test_nulls_among_rows_are_no_ids_that_come_twice(check):
    steps = check(whole(rows=[*events(300), None, None]), {"data_selector": "events", **SINGLE})
    assert "come twice" not in steps["checks"]["finding"].partition(";")[0], steps["checks"]
    assert "1 cannot be loaded" in steps["checks"]["finding"]


def test_a_single_page_that_speaks_of_a_next_one_is_said_to_do_so(check):
    steps = check(paged("no such name", next_token=token), {"data_selector": "items", **SINGLE})
    assert steps["second page"]["state"] == "note"
    assert "the API speaks of a next one" in steps["second page"]["finding"]


def test_check_says_that_local_times_are_taken_for_utc_and_which_zone_there_is(check):
    local = {"start": f"{DAY}T10:00:00", "end": f"{DAY}T12:00:00"}
    endpoint = {"data_selector": "events", **SINGLE}
    fields = check(whole(rows=events(9, **local)), endpoint)["fields"]
    assert "taken for UTC: start_time, end_time" in fields["finding"]
    assert fields["settings"]["fields.timezone"] == "UTC"
    local = {"start": "1.5.2026 10:00", "end": "1.5.2026 12:00"}
    form = {"path": "start", "format": "%d.%m.%Y %H:%M"}
    told = {"event_name": "title", "start_time": form}
    found = check(whole(rows=events(9, **local)), endpoint, fields=told)["fields"]["settings"]
    assert found["fields.timezone"] == "UTC" and "fields.start_time" not in found
    local = {"start": f"{DAY}T10:00:00", "end": f"{DAY}T12:00:00"}
    server = whole(rows=events(9, **local, tz="Europe/Berlin"))
    fields = check(server, endpoint)["fields"]
    wanted = {"path": "start", "timezone_path": "tz"}
    assert fields["state"] == "note" and fields["settings"]["fields.start_time"] == wanted
    told = {"event_name": "title", "timezone": "UTC", "start_time": "start", "end_time": "end"}
    fields = check(server, endpoint, fields=told)["fields"]
    assert (fields["state"], fields["settings"]) == ("ok", {})


def test_check_says_that_an_unproven_load_will_fail_where_that_is_configured(check):
    checks = {"events_scan_is_complete": {"unproven": "error"}}
    endpoint = {"data_selector": "events", **SINGLE}
    steps = check(whole(), endpoint, checks=checks, scan={"passes": 1})
    assert steps["checks"]["state"] == "FAILED" and "nothing proves" in steps["checks"]["finding"]


def test_every_request_asks_for_json(arrive):
    accepted = []

    def plone(asked):
        accepted.append(asked.headers["Accept"])
        is_json = asked.headers["Accept"] == "application/json"
        return whole(total=57)(asked) if is_json else Answer(404, {})

    assert len(arrive(plone)[1]) == 57
    assert {*accepted} == {"application/json"}


def test_an_api_that_knows_json_only_by_a_type_of_its_own_is_read(arrive):
    accepted = []

    def strict(asked):
        accepted.append(asked.headers["Accept"])
        is_own = "application/vnd.api+json" in asked.headers["Accept"]
        return whole(total=57)(asked) if is_own else Answer(406, {"errors": [{"status": "406"}]})

    assert len(arrive(strict)[1]) == 57
    assert accepted.count("application/json") == 3  # once by each session: two of init, the load's
    assert len(accepted) > 9


def test_a_local_time_that_exists_twice_is_counted(command, rows, monkeypatch):
    days = {"2026-10-25": ("T02:30:00", "T02:30:00Z", "T03:30:00"), "2026-03-29": ("T02:30",)}
    times = [f"{day}{time}" for day in days for time in days[day]]
    local = [{"id": n, "title": "Fair", "start": time} for n, time in enumerate(times)]
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__TIMEZONE", "Europe/Vienna")
    with serving_routes({"/events": whole(rows=local, total=4)}) as api:
        command("init", "--base-url", api.base_url, "--path", "/events")
        load_configured()
    assert rows("SELECT ambiguous_times FROM scan_receipts") == [(1,)]


def test_a_slow_server_does_not_leave_one_in_the_dark(capsys):
    told = Event()

    def hear(line, err):
        assert err
        print(line)
        told.set()

    with patience(0.01, hear):
        assert told.wait(10)
    assert "still at it after" in capsys.readouterr().out


def test_help_tells_how_words_are_completed(command):
    assert "_EVENTS_ASSETS_COMPLETE=bash_source" in command("--help").output


@pytest.mark.parametrize("word", ["soon", "10h", 7])
def test_a_time_that_cannot_be_read_is_said_with_its_setting(command, check, word):
    server = whole(rows=events(9, end=word), total=9)
    with serving_routes({"/events": server}) as api:
        told = command("init", "--base-url", api.base_url, "--path", "/events").output
    assert f'"end" cannot be read as end_time (like {word})' in " ".join(told.split()), told
    steps = check(server, {"data_selector": "events", **SINGLE})
    assert f'end_time = "end" (like {word})' in steps["fields"]["finding"], steps["fields"]


@pytest.mark.parametrize(
    ("most", "rows", "written"), [(5_000, 1_500, 1_000), (250, 1_500, 250), (5_000, 900, 100)]
)
def test_a_long_list_is_not_asked_for_in_more_requests_than_it_takes(
    init, check, most, rows, written
):
    server = paged("offset", "limit", most, rows=events(rows), total=all_rows)
    found, _, asked = init(server)
    assert found["resources"][0]["endpoint"]["paginator"]["limit"] == written
    assert (rows > 1_000) == any("limit=1000" in path for path in asked)
    offset = {"data_selector": "items", "paginator": {"type": "offset", "limit": 100}}
    step = check(server, offset)["page size"]
    proposed = {"resources.endpoint.paginator.limit": written} if written > 100 else {}
    assert (step["state"], step["settings"]) == ("ok", proposed)


def test_a_short_list_with_a_place_for_a_link_is_read_to_its_end_when_it_grows(init, check):
    def server(count):
        def answer(asked):
            start = int(asked.query.get("cursor", "c0")[1:])
            link = f"{asked.base_url}/events?cursor=c{start + 100}"
            following = link if start + 100 < count else None
            return Answer(200, {"results": events(count)[start : start + 100], "next": following})

        return answer

    found, _, _ = init(server(40))
    paginator = found["resources"][0]["endpoint"]["paginator"]
    assert paginator == {"type": "json_link", "next_url_path": "next"}
    endpoint = {"data_selector": "results", "paginator": paginator}
    assert check(server(40), endpoint)["proof"]["finding"].startswith("one answer")
    assert check(server(140), endpoint)["second page"]["state"] == "ok"


def test_check_promises_no_single_reading_where_links_may_count_rows(check):
    def answer(asked):
        last = int(asked.query.get("_next", "0"))
        rows = events(500)[last : last + 100]
        link = f"{asked.base_url}/events?_next={rows[-1]['id']}" if rows[-1]["id"] < 500 else None
        return Answer(200, {"results": rows, "next": link, "count": 500})

    endpoint = {"data_selector": "results", "paginator": {"type": "json_link"}}
    step = check(answer, endpoint, scan={"total_path": "count"})["proof"]
    assert step["finding"] == "two equal passes: each load reads the list twice"


def test_rows_are_ordered_by_a_number_where_they_cannot_be_by_what_names_them_for_good(init, check):
    rows = [row | {"uid": f"{row['id'] * 7 % 100:03}-u"} for row in events(99)]

    def answer(asked):
        by_id = asked.query.get("ordering") == "id"
        listed = sorted(rows, key=lambda row: row["id"] if by_id else (row["start"], row["title"]))
        start, limit = int(asked.query.get("offset", 0)), int(asked.query.get("limit", 20))
        return Answer(200, {"results": listed[start : start + limit], "count": 99})

    found, said, _ = init(answer)
    assert "strictly by id, asked for by ordering=id" in said
    assert (found["fields"]["id"], found["scan"]["order"]) == ("uid", "id")
    endpoint = {**found["resources"][0]["endpoint"], "paginator": {"type": "offset", "limit": 20}}
    steps = check(answer, endpoint, fields=found["fields"], scan={"order": "id"})
    assert steps["proof"]["finding"].startswith("touching pages in a fixed order: each load reads")
    steps = check(answer, endpoint | {"params": {}}, fields=found["fields"])
    assert "no common parameter asks for one by uid" in steps["order"]["finding"]


@pytest.mark.parametrize("name", ["rowid", "pk", "objectid"])
def test_the_key_of_a_table_without_an_id_is_found(init, name):
    rows = [{name: row.pop("id"), **row} for row in events()]
    assert init(whole(rows=rows, next=None))[0]["fields"]["id"] == name
