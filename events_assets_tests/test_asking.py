"""How `init` and `check` ask APIs that answer only to the right words: over real HTTP."""

import json
import logging
import tomllib

import pytest

from events_assets.sample_api import Answer
from events_assets_tests.conftest import CONFIG, load_configured
from events_assets_tests.imitated_servers import (
    all_rows,
    events,
    graphql,
    paged,
    whole,
)
from events_assets_tests.shapes import serving_routes

SINGLE = {"paginator": "single_page"}


def wrapped(number="_page", size="_per_page", needs="_page", at="data", base=1, **beside):
    """Pages only for those who ask with some parameter, else all rows as a bare list."""

    def answer(asked):
        if needs not in asked.query:
            return Answer(200, events())
        start, most = int(asked.query.get(number, base)) - base, int(asked.query.get(size, 10))
        start *= most if base else 1
        is_last = start + most >= 57
        following = {"prev": None, "next": None if is_last else 2, "pages": -(-57 // most)}
        return Answer(200, {**following, **beside, at: events()[start : start + most]})

    return answer


@pytest.mark.parametrize(
    ("server", "path", "paginator", "params"),
    [
        (wrapped(items=57), "?_page=1&_per_page=50",
         {"type": "page_number", "base_page": 1, "page_param": "_page"}, {"_per_page": 100}),
        (wrapped(items=57), "?_page=3",
         {"type": "page_number", "base_page": 1, "page_param": "_page"}, {"_per_page": 100}),
        (wrapped("page", "none", "page", "results"), "?page=1",
         {"type": "page_number", "base_page": 1}, {}),
        (wrapped("page", "limit", "paginate", "results"), "?paginate=1",
         {"type": "page_number", "base_page": 1}, {"limit": 100}),
        (wrapped("offset", "limit", "limit", "results", 0, count=57), "?limit=50",
         {"type": "offset", "limit": 100, "total_path": "count"}, {}),
    ],
)  # fmt: skip
def test_what_turns_pages_on_is_not_taken_out_of_the_address(
    init,
    server,
    path,
    paginator,
    params,
):
    found, said, _ = init(server, "--path", f"/events{path}")
    endpoint = found["resources"][0]["endpoint"]
    assert (endpoint["paginator"], endpoint.get("params", {})) == (paginator, params), said
    assert endpoint["data_selector"] in ("data", "results")


def test_what_no_page_goes_without_is_sent_along_though_the_paginator_does_not(init):
    def answer(asked):
        if "limit" in asked.query and "page" not in asked.query:
            return Answer(400, {"message": "say page, too"})
        if "page" not in asked.query:
            return Answer(200, events())
        start = int(asked.query.get("cursor", "c0")[1:])
        following = f"c{start + 20}" if start + 20 < 57 else None
        return Answer(200, {"data": events()[start : start + 20], "next_cursor": following})

    found, said, _ = init(answer, "--path", "/events?page=1")
    endpoint = found["resources"][0]["endpoint"]
    assert endpoint["paginator"]["type"] == "cursor", said
    assert endpoint["params"] == {"page": "1"}


@pytest.mark.parametrize("allowed", [(10, 25, 50, 100), (25, 50, 100), (20, 50)])
@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("position", ["offset", "page"])
def test_a_size_that_is_refused_is_no_sign_that_there_are_no_pages(
    init,
    check,
    allowed,
    refuses,
    position,
):
    def answer(asked):
        size = int(asked.query.get("limit", allowed[0]))
        if size not in allowed and refuses:
            return Answer(400, {"message": f"limit must be one of {allowed}"})
        size = next((one for one in allowed if one >= size), allowed[-1])
        number = int(asked.query.get(position, 0 if position == "offset" else 1))
        start = number if position == "offset" else (number - 1) * size
        return Answer(200, {"items": events()[start : start + size], "total": 57})

    found, said, asked = init(answer)
    endpoint = found["resources"][0]["endpoint"]
    kind = {"offset": "offset", "page": "page_number"}[position]
    assert endpoint["paginator"]["type"] == kind, said
    size = endpoint["paginator"].get("limit") or endpoint["params"]["limit"]
    assert size == 100 or size in allowed
    assert len(asked) < 80
    scan = {"total_path": "total"} if kind == "page_number" else {}
    steps = check(answer, endpoint, scan=scan)
    assert not [step for step in steps.values() if step["state"] == "FAILED"], steps


FIXED = """query { events { edges { node { id title start end } }
  pageInfo { hasNextPage endCursor } } }"""


def test_a_query_without_a_variable_for_the_page_is_told_to_declare_one(init, check):
    def fixed(asked):
        return graphql(type(asked)(**{**vars(asked), "body": {"query": asked.body["query"]}}))

    _, said, _ = init(fixed, "--graphql", FIXED)
    assert "note paging" in said and "declare a variable in the query, like query ($after" in said
    found = {
        "method": "POST",
        "json": {"query": FIXED},
        "data_selector": "data.events.edges[*].node",
    }
    finding = check(fixed, {**found, **SINGLE})["second page"]["finding"]
    assert "declare a variable" in finding


def failing_at(server, *numbers):
    """Answers 500 to requests of some numbers."""
    seen = []

    def answer(asked):
        seen.append(asked)
        return Answer(503, {"message": "busy"}) if len(seen) in numbers else server(asked)

    return answer


@pytest.mark.parametrize(
    "words", [("check",), ("init", "--yes", "--path", "/events", "--base-url")]
)
def test_a_trial_that_is_made_again_stands_in_no_report(command, monkeypatch, capfd, words):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__BACKOFF_FACTOR", "0.001")
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PATH", "/events")
    server = failing_at(paged("offset", "limit", at="data", total=all_rows), 1, 3)
    with serving_routes({"/events": server}) as api:
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
        said = command(*words, *([api.base_url] if len(words) > 1 else []))
    assert said.exit_code == 0 and "2 of them once more after a failure" in said.output
    assert "attempt 1 of" not in said.output + capfd.readouterr().err
    assert not logging.getLogger("events_assets.trials").propagate


ROWS = {
    "nulls": [*events(10), None, None],
    "twice": [*events(10), *events(2)],
    "rows": events(10),
}
LINKS = {"paginator": {"type": "json_link", "next_url_path": "next"}}
NUMBERED = {"paginator": {"type": "page_number", "base_page": 1}}


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        (SINGLE, "nulls"),
        (SINGLE, "twice"),
        (NUMBERED, "rows"),
        pytest.param(SINGLE, "rows", marks=pytest.mark.slow),
        pytest.param(NUMBERED, "nulls", marks=pytest.mark.slow),
        *(pytest.param(LINKS, kind, marks=pytest.mark.slow) for kind in ROWS),
    ],
)
def test_the_proof_that_check_foresees_is_that_of_the_load(command, rows, check, kind, endpoint):
    listed = ROWS[kind]

    def answer(asked):
        page = listed if int(asked.query.get("page", 1)) == 1 else []
        return Answer(200, {"results": page, "next": None, "total": len(listed)})

    steps = check(answer, {"data_selector": "results", **endpoint}, scan={"total_path": "total"})
    with serving_routes({"/events": answer}) as api:
        before = tomllib.loads(CONFIG.read_text())["sources"]["events"]["client"]["base_url"]
        CONFIG.write_text(CONFIG.read_text().replace(before, api.base_url))
        load_configured()
    ((verdict, proof, scans),) = rows("SELECT verdict, proof, scans FROM scan_receipts")
    foreseen = f"{proof}: each load reads the list {['once', 'twice'][scans - 1]}"
    foreseen = {"complete": foreseen, "torn": "none, loads end torn"}[verdict]
    assert steps["proof"]["finding"].startswith(foreseen), steps["proof"]
    assert (steps["checks"]["state"] == "FAILED") == (verdict == "torn" or kind != "rows")


def test_only_the_zone_is_proposed_where_only_that_is_missing_and_as_a_guess(check):
    local = events(9, start="2026-05-01T10:00:00", end="2026-05-01T12:00:00")
    step = check(whole(rows=local), {"data_selector": "events", **SINGLE})["fields"]
    assert step["settings"] == {"fields.timezone": "UTC"}
    assert "timezone is a guess" in step["finding"]


@pytest.mark.parametrize("key", ["key-of-the-tests", "apikey-7"])
def test_the_name_of_a_place_is_no_secret(command, monkeypatch, key):
    monkeypatch.setenv("API_KEY", key)
    with serving_routes({"/events": lambda _: Answer(401, {"message": "no"})}) as api:
        said = command("init", "--base-url", api.base_url, "--path", "/events").output
    assert "query parameter apikey" in said and "Authorization: apikey" in said
    assert "[masked]" not in said and key not in said


def test_times_of_old_servers_are_read(init, rows):
    def answer(_):
        times = {"start": "/Date(1714557600000+0200)/", "end": "/Date(1714564800000)/"}
        return Answer(200, {"events": events(9, **times), "total": 9})

    found, said, _ = init(answer)
    wanted = {"path": "start", "unit": "milliseconds"}
    assert found["fields"]["start_time"] == wanted, said
    with serving_routes({"/events": answer}) as api:
        text = CONFIG.read_text().replace(found["client"]["base_url"], api.base_url)
        CONFIG.write_text(text)
        load_configured()
    ((start, end),) = rows("SELECT DISTINCT epoch(start_time), epoch(end_time) FROM events")
    assert (start, end) == (1714557600, 1714564800)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ({"utc_offset": 120}, '"utc_offset" is no zone that can be read (like 120)'),
        ({"utc_offset": 7200}, '"utc_offset" is no zone that can be read (like 7200)'),
        ({"utc_offset": "+120"}, '"utc_offset" is no zone that can be read (like +120)'),
        ({"timezone": "W. Europe Standard Time"}, "(like W. Europe Standard Time)"),
        ({"utc_offset": "+02:00"}, ""),
        ({"timezone": "Europe/Vienna"}, ""),
    ],
)
def test_a_zone_that_cannot_be_read_is_named_and_not_taken_for_utc(init, check, zone, said):
    rows = events(9, start="2026-05-01T10:00:00", end="2026-05-01T12:00:00")
    server = whole(rows=[row | zone for row in rows], total=9)
    found, told, _ = init(server)
    step = check(server, {"data_selector": "events", **SINGLE})["fields"]
    if said:
        assert "note fields" in told and said in told and "set timezone to an IANA name" in told
        assert said in step["finding"] and step["state"] == "note"
    else:
        assert found["fields"]["start_time"]["timezone_path"] == next(iter(zone))
    settled = {"event_name": "title", "start_time": "start", "end_time": "end", "timezone": "UTC"}
    told = check(server, {"data_selector": "events", **SINGLE}, fields=settled)
    assert "no zone that can be read" not in told["fields"]["finding"]


def test_what_would_prove_a_single_page_is_named(check):
    finding = check(whole(), {"data_selector": "events", **SINGLE})["proof"]["finding"]
    for setting in ("scan.total_path", "scan.total_header", "endpoint.paginator", "has_more_path"):
        assert setting in finding


def table_of_keys(asked):
    """As of a key-value store: an object names the next page."""
    body = asked.body if asked.method == "POST" else asked.query
    key = (body or {}).get("ExclusiveStartKey")
    start = int((json.loads(key) if isinstance(key, str) else key or {"id": 0})["id"])
    page = events()[start : start + 20]
    following = {"LastEvaluatedKey": {"id": str(start + 20)}} if start + 20 < 57 else {}
    return Answer(200, {"Items": page, "Count": len(page), "ScannedCount": len(page), **following})


def search(asked):
    """As of a search engine: the last row of a page names the next one, by a list."""
    start = ((asked.body or {}).get("search_after") or [0])[0]
    page = events()[start : start + min(int((asked.body or {}).get("size", 10)), 20)]
    hits = [{"_id": f"e{row['id']}", "_source": row, "sort": [row["id"]]} for row in page]
    return Answer(200, {"hits": {"total": {"value": 57}, "hits": hits}})


@pytest.mark.parametrize(
    ("server", "words", "at", "name"),
    [
        (table_of_keys, (), "LastEvaluatedKey", "ExclusiveStartKey"),
        (table_of_keys, ("--post", "{}"), "LastEvaluatedKey", "ExclusiveStartKey"),
        (search, ("--post", "{}"), "hits.hits[-1].sort", "search_after"),
    ],
)
def test_an_object_that_names_the_next_page_is_sent_back_whole(
    init, check, server, words, at, name
):
    found, said, _ = init(server, *words)
    endpoint = found["resources"][0]["endpoint"]
    kind = "body_path" if words else "param"
    wanted = {"type": "cursor", "cursor_path": at, f"cursor_{kind}": name}
    assert endpoint["paginator"] == wanted, said
    steps = check(server, endpoint)
    assert "none of them on the first page too" in steps["second page"]["finding"]


@pytest.mark.parametrize(("status", "state"), [(400, "FAILED"), (404, "note")])
def test_a_second_page_that_is_refused_is_not_called_empty(check, status, state):
    def answer(asked):
        if asked.query.get("cursor") or asked.query.get("page", "1") != "1":
            return Answer(status, {"message": "no"})
        return Answer(200, {"items": events(20), "next": "c20"})

    paginator = {"type": "page_number", "base_page": 1}
    if status == 400:
        paginator = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}
    step = check(answer, {"data_selector": "items", "paginator": paginator})["second page"]
    assert (step["state"], str(status) in step["finding"]) == (state, True), step


def test_a_last_page_that_comes_again_is_no_parameter_that_is_ignored(check):
    def clamped(asked):
        size = int(asked.query.get("_per_page", 10))
        number = min(int(asked.query.get("_page", 1)), -(-57 // size))
        following = number + 1 if number * size < 57 else None
        return Answer(200, {"next": following, "data": events()[(number - 1) * size :][:size]})

    paginator = {"type": "page_number", "base_page": 1, "page_param": "_page"}
    endpoint = {"data_selector": "data", "paginator": paginator}
    steps = check(clamped, {**endpoint, "params": {"_per_page": 100}})
    assert steps["second page"]["state"] == "ok", steps["second page"]
    ignored = {**paginator, "page_param": "seite"}
    steps = check(clamped, {**endpoint, "paginator": ignored, "params": {"_per_page": 20}})
    assert steps["second page"]["state"] == "FAILED"
