"""The commands that try an API and describe it, against real servers of many shapes."""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import tomllib
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from itertools import count
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from events_assets import __version__, configuration, json_path
from events_assets.commands.cli import main
from events_assets.commands.location import likeliest
from events_assets.commands.report import OK, Report, Step, shown
from events_assets.errors import ConfigurationError, RowError, WarehouseError
from events_assets.http.redaction import Redaction
from events_assets.sample_api import Answer
from events_assets_tests.conftest import CONFIG, ROOT
from events_assets_tests.shapes import (
    KEY,
    Shape,
    cursors,
    last_ids,
    next_urls,
    offsets,
    pages,
    rows,
    serving_routes,
    serving_shape,
    whole,
)


@pytest.fixture
def init(command):
    """Describes a server, and gives what is configured then: client, endpoint, scan, fields."""

    def init(shape: Shape, events=None, *words: str):
        with serving_shape(shape, events) as api:
            result = command("init", "--base-url", api.base_url, "--path", shape.path, *words)
        assert result.exit_code == 0, result.output
        events = tomllib.loads(CONFIG.read_text())["sources"]["events"]
        endpoint = events["resources"][0]["endpoint"]
        return events["client"], endpoint, events["scan"], events.get("fields", {})

    return init


@pytest.fixture
def check(command, monkeypatch):
    """Tries a server with what is configured, and settings replaced by the environment."""

    def check(shape: Shape, events=None, *words: str, **settings: str):
        with serving_shape(shape, events) as api:
            monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
            for path, value in {"endpoint__path": shape.path, **settings}.items():
                name = f"SOURCES__EVENTS__RESOURCES__EVENTS__{path}".upper()
                monkeypatch.setenv(name, value)
            return command("check", *words)

    return check


@pytest.mark.parametrize(
    ("paging", "paginator"),
    [
        (offsets(), {"type": "offset", "limit": 10}),
        (
            offsets("_start", "_limit"),
            {"type": "offset", "limit": 10, "offset_param": "_start", "limit_param": "_limit"},
        ),
        (pages("page", "per_page"), {"type": "page_number", "base_page": 1}),
        (pages("page", "size", base=0), {"type": "page_number", "base_page": 0}),
        (
            pages("pagination[page]", "pagination[pageSize]"),
            {"type": "page_number", "base_page": 1, "page_param": "pagination[page]"},
        ),
        (pages(size="no such name"), {"type": "page_number", "base_page": 1}),
        (pages(links="json"), {"type": "json_link", "next_url_path": "next"}),
        (pages("_page", "_limit", links="header"), {"type": "header_link"}),
        (next_urls("Next-Page"), {"type": "header_link", "links_next_key": "Next-Page"}),
        (
            cursors(),
            {"type": "cursor", "cursor_path": "meta.next_cursor", "cursor_param": "cursor"},
        ),
        (
            last_ids(),
            {"type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "starting_after"}
            | {"has_more_path": "has_more"},
        ),
    ],
)
def test_init_finds_out_how_pages_are_asked_for(init, paging, paginator):
    _, endpoint, _, _ = init(Shape(paging))
    assert endpoint["paginator"] == paginator
    assert endpoint["data_selector"] == "data"


@dataclass
class Basic(Shape):
    """A server that wants a user and a password."""

    pair: str = f"{KEY}:"

    def _knows(self, asked):
        pair = b64encode(self.pair.encode()).decode()
        return asked.part("header:Authorization") == f"Basic {pair}"


def by_key(name, location):
    return {"auth": {"type": "api_key", "name": name, "location": location}}


def by_pair(username, password):
    return {"auth": {"type": "http_basic", "username": username, "password": password}}


@pytest.mark.parametrize(
    ("shape", "words", "client"),
    [
        (Shape(key_in="query:api_key"), [], by_key("api_key", "query")),
        (Shape(key_in="header:Authorization:Bearer "), [], {"auth": {"type": "bearer"}}),
        (
            Shape(key_in="header:Authorization:Token "),
            [],
            {"headers": {"Authorization": "Token {secrets.api_key}"}},
        ),
        (Shape(key_in="header:X-API-Key:"), [], by_key("X-API-Key", "header")),
        (Basic(), [], by_pair("{secrets.api_key}", "")),
        (
            Basic(pair=f"reader:{KEY}"),
            ["--key-in", "basic:reader"],
            by_pair("reader", "{secrets.api_key}"),
        ),
        (
            Shape(key_in="header:X-Secret:"),
            ["--key-in", "header:X-Secret"],
            by_key("X-Secret", "header"),
        ),
    ],
)
def test_init_finds_the_place_of_the_key_or_is_told(init, shape, words, client):
    found, _, _, _ = init(shape, None, *words)
    assert {name: value for name, value in found.items() if name != "base_url"} == client


def test_init_asks_no_other_address_than_it_is_given(command):
    result = command("init", "http://127.0.0.1:9/events", "--path", "/others")
    assert result.exit_code == 2 and "either URL, or --base-url and --path" in result.output


def test_init_refuses_a_place_that_it_does_not_know(command):
    result = command("init", "--key-in", "cookie")
    assert result.exit_code == 2 and "query:NAME" in result.output


def test_init_says_how_a_password_is_given_where_one_is_asked_for(command):
    challenge = {"WWW-Authenticate": 'Basic realm="events"'}
    with serving_shape(Basic(pair=f"reader:{KEY}", headers=challenge)) as api:
        refused = command("init", "--base-url", api.base_url, "--path", "/events")
    assert refused.exit_code == 1 and "--key-in basic:USER" in refused.output


@pytest.mark.parametrize(
    ("challenge", "place"),
    [
        ("token", "Authorization: Token"),
        ("Bearer realm=x", "Authorization: Bearer"),
        ("Basic", "HTTP basic"),
    ],
)
def test_the_key_goes_first_where_the_refusal_asks_for_it(challenge, place):
    assert place in likeliest({"WWW-Authenticate": challenge})[0].description


@pytest.mark.parametrize(
    ("headers", "body", "place"),
    [
        (
            {"www-authenticate": 'Azure name="Ocp-Apim-Subscription-Key"'},
            b"",
            "Ocp-Apim-Subscription-Key",
        ),
        ({}, b'{"error": "send it in X-Auth-Token"}', "X-Auth-Token"),
        ({}, b'{"error": "the monkey is token"}', "query parameter api_key"),
    ],
)
def test_the_key_goes_first_into_a_header_that_the_refusal_names(headers, body, place):
    assert place in likeliest(headers, body)[0].description


@pytest.mark.parametrize(
    ("paging", "paginator"),
    [
        (lambda events, *_: (events[:10], {}, {}), {"type": "single_page"}),
        (
            cursors("from", "meta.end"),
            {"type": "cursor", "cursor_path": "meta.end", "cursor_param": "from"},
        ),
    ],
)
def test_init_is_not_misled_by_fields_that_change_with_each_answer(init, paging, paginator):
    ages = count()

    def page(*asked):
        events, document, headers = paging(*asked)
        return [{**event, "age": next(ages)} for event in events], document, headers

    _, endpoint, _, _ = init(Shape(page, total=""))
    assert endpoint["paginator"] == paginator


def test_init_asks_an_api_without_pages_a_handful_of_times(command):
    with serving_shape(Shape(whole, list_at="$", total="")) as api:
        command("init", "--base-url", api.base_url, "--path", "/events")
    assert len(api.paths) <= 6


@pytest.mark.parametrize("number", [0, 1])
def test_init_leaves_paging_open_where_there_are_too_few_rows(init, number):
    shape = Shape(lambda events, *_: (events[:number], {"total": number}, {}), total="")
    _, endpoint, scan, _ = init(shape)
    assert endpoint["paginator"] == {"type": "auto"} and scan["total_path"] == "total"


@pytest.mark.parametrize(
    ("paging", "base", "path", "left", "dropped"),
    [
        (offsets(), "", "?offset=20&kind=public&limit=5", "", "offset=20, limit=5"),
        (pages(), "", "?page=3&kind=public&per_page=5", "", "page=3, per_page=5"),
        (cursors(), "", "?kind=public&cursor=c20", "", "cursor=c20"),
        (offsets(), "?kind=public&limit=5", "?offset=20", "", "limit=5, offset=20"),
        (
            pages(),
            "",
            "?kind=public&from=2026-05-01&after=1777000000&start=20260501&count=true&page=2",
            "&from=2026-05-01&after=1777000000&start=20260501&count=true",
            "page=2",
        ),
    ],
)
def test_init_starts_from_the_first_page_whichever_is_pasted(
    command, paging, base, path, left, dropped
):
    shape = Shape(paging, requires={"query:kind": "public"})
    with serving_shape(shape) as api:
        words = ("--base-url", api.base_url + base, "--path", "/events" + path)
        result = command("init", *words)
        assert result.exit_code == 0, result.output
        assert command("check").exit_code == 0
    configured = tomllib.loads(CONFIG.read_text())["sources"]["events"]
    assert configured["client"]["base_url"] == api.base_url
    assert configured["resources"][0]["endpoint"]["path"] == "/events?kind=public" + left
    assert f"note path {dropped}" in " ".join(result.output.split())
    assert "10 rows" in result.output and "23 rows" in result.output


@pytest.mark.parametrize("is_whole", [True, False])
def test_init_takes_the_key_out_of_a_pasted_url_and_sends_it_there(command, is_whole):
    shape = Shape(key_in="query:app[id]", requires={"query:kind": "public"})
    with serving_shape(shape) as api:
        path = f"/events?app%5Bid%5D={KEY}&kind=public"
        parts = ("--base-url", api.base_url, "--path", path)
        result = command("init", *([api.base_url + path] if is_whole else parts))
        assert KEY not in result.output
        assert result.exit_code == 0 and command("check").exit_code == 0
    configured = tomllib.loads(CONFIG.read_text())["sources"]["events"]
    auth = {"type": "api_key", "name": "app[id]", "location": "query"}
    assert configured["client"]["auth"] == auth
    assert configured["resources"][0]["endpoint"]["path"] == "/events?kind=public"


def test_init_writes_the_path_that_the_api_redirects_to_and_check_names_it(command, monkeypatch):
    def moved(asked):
        return Answer(301, {}, {"Location": f"/events/?{urlencode(asked.query)}"})

    listed = Shape(requires={"query:kind": "public"})
    routes = {"/events": moved, "/events/": lambda asked: listed.answer(rows(2), asked)}
    with serving_routes(routes) as api:
        path = "/events?kind=public"
        assert command("init", "--base-url", api.base_url, "--path", path).exit_code == 0
        assert len([asked for asked in api.paths if asked.startswith("/events?")]) == 1
        monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PATH", path)
        checked = command("check")
    assert 'path = "/events/?kind=public"' in CONFIG.read_text()
    assert "redirects to /events/" in checked.output


@pytest.mark.parametrize(
    ("shape", "scan"),
    [
        (Shape(pages(), total="meta.count"), {"total_path": "meta.count"}),
        (Shape(pages(), total="header:X-Total-Count"), {"total_header": "X-Total-Count"}),
        (
            Shape(pages(), total="meta.filter_count", total_if="meta"),
            {"total_path": "meta.filter_count"},
        ),
    ],
)
def test_init_finds_where_rows_are_counted(init, shape, scan):
    _, endpoint, found, _ = init(shape)
    assert {name: found[name] for name in found if name.startswith("total")} == scan
    assert endpoint.get("params", {}).get("meta") == ("*" if shape.total_if else None)


@pytest.mark.parametrize("paging", [offsets(), next_urls("Next-Page")])
def test_init_takes_the_count_of_a_page_for_no_total(init, paging):
    def counted(*asked):
        events, _, headers = paging(*asked)
        return events, {"count": len(events)}, headers

    _, endpoint, scan, _ = init(Shape(counted, total=""))
    assert "total_path" not in endpoint["paginator"] and "total_path" not in scan


def by_name(sorted_by: str = "", paging=None, refuses: bool = False):
    """Pages of rows that come in no order, by id only where `sorted_by` (name=value) is asked."""
    asked_for, _, wanted = sorted_by.partition("=")

    def page(events, query, url):
        if refuses and {*query} - {"offset", "limit", asked_for}:
            raise ValueError("an unknown parameter")
        mixed = [{**event, "event_name": f"{event['id'] * 7 % 23}"} for event in events]
        for event in mixed:
            event["start_time"] = f"2026-05-{1 + event['id'] * 5 % 23:02}T00:00:00Z"
            del event["end_time"]
        is_by_id = bool(asked_for) and query.get(asked_for) == wanted
        mixed.sort(key=lambda event: event["id"] * (1 if is_by_id else 14) % 25)
        return (paging or offsets(most=20))(mixed, query, url)

    return page


@pytest.mark.parametrize(
    ("sorted_by", "refuses", "params"),
    [
        ("sort=id", False, {"sort": "id"}),
        ("ordering=id", False, {"ordering": "id"}),
        ("orderby=id", False, {"orderby": "id"}),
        ("sort=id", True, {"sort": "id"}),
        ("sort_by=id", False, {"sort_by": "id", "order": "id"}),
        ("sort=id:asc", False, {"sort[]": "id", "sort": "id:asc"}),
        ("no such name=id", False, {}),
    ],
)
def test_rows_in_no_fixed_order_are_asked_for_by_id_where_that_is_understood(
    command, sorted_by, refuses, params
):
    with serving_shape(Shape(by_name(sorted_by, refuses=refuses))) as api:
        assert command("init", "--base-url", api.base_url, "--path", "/events").exit_code == 0
        tried = tomllib.loads(CONFIG.read_text())["sources"]["events"]["resources"][0]["endpoint"]
        assert tried.get("params", {}) == params
        described = " ".join(command("check").output.split())
        CONFIG.write_text(re.sub(r"(?m)^params = .*$", "", CONFIG.read_text()))
        plain = command("check")
    once = "strictly by id, upwards ok proof touching pages in a fixed order: each load reads the"
    assert (once in described) == bool(params), described
    words = " ".join(plain.output.split())
    assert plain.exit_code == 0 and "two equal passes: each load reads the list twice" in words
    assert int(re.search(r"(\d+) requests", words)[1]) <= 5 and "none that can be seen" in words
    proposed = re.findall(r"^ {10}params = (.*)", plain.output, re.MULTILINE)
    assert [tomllib.loads(f"params = {text}")["params"] for text in proposed] == (
        [params] if params else []
    )


def test_rows_in_another_order_each_time_are_asked_for_by_id_however_they_are_paged(check):
    answers = count()

    def page(events, query, url):
        if query.get("ordering") != "id":
            turn = next(answers)
            events = sorted(events, key=lambda event: (event["id"] * 14 + turn * 3) % 25)
        return pages()(events, query, url)

    plain = check(Shape(page), endpoint__paginator=PAGES % 1)
    words = " ".join(plain.output.split())
    assert "note order two identical requests give other rows, or another order; by id" in words
    assert 'params = { ordering = "id" }' in words


@pytest.mark.parametrize("paging", [pages(), cursors()])
def test_no_order_is_looked_for_where_it_would_save_no_second_pass(init, paging):
    _, endpoint, _, _ = init(Shape(by_name("sort=id", paging)))
    assert "params" not in endpoint or "sort" not in endpoint["params"]


def test_check_names_the_order_by_creation_and_trusts_it_once_it_is_configured(check, monkeypatch):
    events = [{**row, "id": row["id"] * 7 % 23, "created_at": row["id"]} for row in rows()]
    plain = check(Shape(), events)
    assert 'order = "created_at"' in plain.output and "reads the list twice" in plain.output
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__ORDER", "created_at")
    trusted = " ".join(check(Shape(), events).output.split())
    assert "strictly by created_at, upwards" in trusted and "reads the list once" in trusted


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        (Shape(pages()), {"endpoint__paginator": '{"type": "page_number", "base_page": 1}'},
         "two equal passes: each load reads the list twice"),
        (Shape(offsets(most=50)), {}, "one answer: each load reads the list once"),
        (Shape(total=""), {}, "a fixed order: each load reads the list twice; once, if"),
        (Shape(last_ids(), total=""), {"endpoint__paginator": '{"type": "cursor", "cursor_path":'
         ' "data[-1].id", "cursor_param": "starting_after", "has_more_path": "has_more"}'},
         "named pages: each load reads the list twice; once, if you know"),
        (Shape(whole, total=""), {"endpoint__paginator": '{"type": "single_page"}'},
         "none, loads stay unproven: it is a single page; the API tells no total"),
    ],
)  # fmt: skip
def test_check_tells_how_often_a_load_reads_the_list_and_by_which_proof(
    check, shape, settings, words
):
    result = " ".join(check(shape, **settings).output.split())
    assert words in result, result


@pytest.mark.parametrize("lost", [1, 0])
def test_check_fails_where_the_api_leaves_out_rows_between_pages(check, lost):
    def skipping(events, query, _url):
        start, count = int(query.get("cursor", "c0")[1:]), min(int(query.get("limit", 10)), 10)
        page = events[start : start + count]
        return page, {"next": f"c{start + count + lost}" if page else None}, {}

    paginator = '{"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}'
    settings = {"endpoint__paginator": paginator, "endpoint__params": '{"limit": 10}'}
    result = check(Shape(skipping, total=""), **settings)
    words = " ".join(result.output.split())
    said = "between two pages of 5 rows the API leaves out 1 row (id 6) that a page of 10 rows"
    assert (said in words) == bool(lost) == bool(result.exit_code), words


def test_init_takes_no_other_list_for_a_table_of_values(command):
    def table(*_):
        return [{"name": "city"}], {"rows": [[1, "Fair"], [2, "Concert"]]}, {}

    with serving_shape(Shape(table, list_at="facets")) as api:
        result = command("init", "--base-url", api.base_url, "--path", "/events")
    assert result.exit_code == 1 and "rows are lists of values" in result.output


def test_init_describes_fields_and_bare_lists(init):
    events = [
        {"slug": f"fair-{n}", "name": {"en": f"Fair {n}", "de": "Messe"}, "start": 1777000000 + n}
        for n in range(23)
    ]
    _, endpoint, _, fields = init(Shape(list_at="$", total="header:X-Total-Count"), events)
    assert endpoint["data_selector"] == "$"
    assert fields == {
        "id": "slug",
        "event_name": "name",
        "language": "en",
        "start_time": {"path": "start", "unit": "seconds"},
    }


def calendar(count: int = 57) -> list[dict]:
    """Events of which ten last all day, the first of them without a title; `state` is a status."""
    return [
        {"id": n, "state": "confirmed", "title": f"Fair {n}" if n else None}
        | {"start": {"date": "2026-05-01"} if n < 10 else {"dateTime": "2026-05-01T10:00:00Z"}}
        | {"end": {"date": "2026-05-02"} if n < 10 else {"dateTime": "2026-05-01T12:00:00Z"}}
        for n in range(count)
    ]


def test_init_finds_fields_that_the_first_row_lacks_and_whose_places_differ(init):
    _, _, _, fields = init(Shape(offsets(most=100)), calendar())
    assert fields == {
        "event_name": "title",
        "start_time": ["start.dateTime", "start.date"],
        "end_time": ["end.dateTime", "end.date"],
        "status": "state",
    }


def test_init_misses_no_field_that_is_there_by_its_name_in_a_later_row(command):
    events = [{"id": 1, "event_name": "Fair"}, {"id": 2, "start_time": "soon", "end_time": None}]
    with serving_shape(Shape(), events) as api:
        result = command("init", "--base-url", api.base_url, "--path", "/events")
    assert "id, event_name, start_time, end_time" in result.output
    assert "not found:" not in result.output


WRITTEN = [{"id": n, "event_name": f"Fair {n}"} for n in range(23)]
EITHER = 'start_time = { path = "start", format = "%m/%d/%Y" }'
OTHER = 'start_time = { path = "start", format = "%d/%m/%Y" }'


@pytest.mark.parametrize(
    ("start", "configured", "said"),
    [
        ("31.12.2026 18:00", {"path": "start", "format": "%d.%m.%Y %H:%M"}, "start_time ← {"),
        ("Dec 31, 2026 6 PM", {"path": "start", "format": "%b %d, %Y %I %p"}, "start_time ← {"),
        ("03/04/2026", None, f"cannot be told apart: set {EITHER}, or {OTHER}"),
    ],
)
def test_init_names_the_format_of_times_and_guesses_no_month(command, start, configured, said):
    with serving_shape(Shape(), [{**row, "start": start} for row in WRITTEN]) as api:
        result = command("init", "--base-url", api.base_url, "--path", "/events")
    assert said in " ".join(result.output.split())
    fields = tomllib.loads(CONFIG.read_text())["sources"]["events"].get("fields", {})
    assert fields.get("start_time") == configured


def test_init_keeps_all_else_of_the_file(init):
    before = CONFIG.read_text()
    init(Shape())
    after = CONFIG.read_text()
    for line in before.splitlines():
        if line.startswith(("#", "overlap", "cron", "max_retries", "[runtime", "database")):
            assert line in after.splitlines()
    old, new = tomllib.loads(before), tomllib.loads(after)
    for name in ("http", "schedule", "warehouse", "resource_defaults"):
        assert new["sources"]["events"][name] == old["sources"]["events"][name]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ((), "Base URL of the API is missing, and there is no terminal: give --base-url"),
        (("--base-url", "http://127.0.0.1"), "is missing, and there is no terminal: give --path"),
    ],
)
def test_init_asks_nobody_where_there_is_no_terminal(command, words, missing):
    result = command("init", *words)
    assert result.exit_code == 2 and missing in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("--base-url", "http://user:pa55word-1@127.0.0.1:9", "--path", "/events"),
        ("--base-url", "user:pa55word-1@127.0.0.1", "--path", "/events"),
        ("--base-url", "http://127.0.0.1:9", "--path", "http://user:pa55word-1@127.0.0.1:9/events"),
    ],
)
def test_init_quotes_no_password(command, words):
    before = CONFIG.read_text()
    result = command("init", *words)
    assert result.exit_code and "pa55word" not in result.output and CONFIG.read_text() == before


def test_init_shows_no_password_of_the_api_before(command):
    text = CONFIG.read_text()
    CONFIG.write_text(text.replace('"sample"', '"https://user:pa55word-1@example.org"'))
    result = command("init", "--base-url", "http://127.0.0.1:9", "--path", "/events")
    assert "describes the API at https://example.org already" in result.output


def test_init_overwrites_no_configured_api_unasked(init, command):
    init(Shape())
    before = CONFIG.read_text()
    with serving_shape(Shape()) as api:
        words = ("init", "--base-url", api.base_url, "--path", "/events")
        refused = command(*words)
        assert refused.exit_code == 1 and "give --yes" in refused.output
        assert CONFIG.read_text() == before and not api.paths
        accepted = command(*words, "--yes")
    assert accepted.exit_code == 0 and "in place of http://127.0.0.1" in accepted.output
    assert api.base_url in CONFIG.read_text()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(key_in="header:X-Secret:"), "--key-in header:NAME"),
        (Shape(path="/v2/events"), "nothing is at this path"),
        (Shape(list_at="$"), "no list of objects"),
    ],
)
def test_init_leaves_the_file_where_it_understands_nothing(command, shape, words):
    before = CONFIG.read_text()
    events = ["a", "b"] if shape.list_at == "$" else None
    with serving_shape(shape, events) as api:
        result = command("init", "--base-url", api.base_url, "--path", "/events")
    assert result.exit_code == 1 and words in " ".join(result.output.split())
    assert CONFIG.read_text() == before


@pytest.mark.parametrize(
    "shape",
    [
        Shape(pages(), total="meta.filter_count", total_if="meta"),
        Shape(offsets("_start", "_limit"), "results.items", "meta.count"),
        Shape(key_in="header:Authorization:Token ", total="header:X-Total-Count"),
        Shape(cursors(), arrange=lambda page: [{"slug": row["id"]} for row in page]),
    ],
)
def test_init_writes_the_same_bytes_each_time(command, shape):
    written = []
    with serving_shape(shape) as api:
        for _ in range(3):
            words = ("--base-url", api.base_url, "--path", shape.path, "--yes")
            assert command("init", *words).exit_code == 0
            written.append(CONFIG.read_bytes())
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("words", [["check"], ["init", "--path", "/events"], ["check", "--json"]])
def test_a_syntax_error_is_told_in_one_sentence(command, words):
    CONFIG.write_text("[sources.events.client]\nbase_url = = 3\n")
    result = command(*words)
    assert result.exit_code == 1
    (sentence,) = [line for line in result.output.splitlines() if "line 2" in line]
    assert "config.toml" in sentence and re.search(r"col(umn)? 1[12]\b", sentence)


@pytest.mark.parametrize("setting", ["overlap = true", "overlapp = 1"])
def test_init_asks_no_api_for_a_file_that_would_be_refused(command, setting):
    before = CONFIG.read_text().replace("overlap = 1", setting)
    CONFIG.write_text(before)
    with serving_shape(Shape()) as api:
        refused = command("init", "--base-url", api.base_url, "--path", "/events")
    assert refused.exit_code == 1 and not api.paths and CONFIG.read_text() == before
    (sentence,) = refused.output.removeprefix("Error: ").splitlines()
    assert setting.split()[0] in sentence and "config.toml, line " in sentence
    assert sentence in command("check").output


@pytest.mark.parametrize("error", [ConfigurationError, WarehouseError, RowError])
@pytest.mark.parametrize(
    "words", [["check"], ["init", "--base-url", "http://127.0.0.1:9", "--path", "/events"]]
)
def test_an_error_that_speaks_to_people_is_no_traceback(command, monkeypatch, words, error):
    def refuse() -> None:
        raise error("this is wrong; do that")

    monkeypatch.setattr(configuration, "api_key", refuse)
    told = command(*words)
    assert told.exit_code == 1 and told.output.count("this is wrong; do that\n") == 1


@pytest.mark.parametrize("error", [ConfigurationError, RowError])
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('data_selector = "data"', 'data_selector = "["'),
        ("overlap = 1", 'total_path = "["'),
    ],
)
def test_a_broken_json_path_is_told_by_check(command, monkeypatch, right, wrong, error):
    """Wherever it is found, and whatever error it is then."""

    def refuse(path: str) -> None:
        raise error(f"{path} is no JSON path; correct it")

    monkeypatch.setattr(json_path, "parse", refuse)
    CONFIG.write_text(CONFIG.read_text().replace(right, wrong))
    told = command("check")
    (failed,) = [line for line in told.output.splitlines() if line.startswith("FAILED")]
    assert told.exit_code == 1 and failed.startswith("FAILED  configuration  ")
    assert "no JSON path" in failed


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_report_fits_the_terminal_and_cuts_no_word(columns):
    finding = "see https://api.example.com/a/path, " + "or else " * 30
    lines = Step(OK, "rows", finding).text(columns).splitlines()
    assert max(map(len, lines)) <= columns + len("\x1b[32m\x1b[0m")
    assert finding.split() == " ".join(lines).split()[2:]
    assert len(shown("word " * 50, columns)) == columns


def test_a_pipe_gets_each_step_in_one_line(check):
    result = check(Shape(list_at="results.items"))
    (failed,) = [line for line in result.output.splitlines() if line.startswith("FAILED")]
    assert failed.endswith("but 10 rows at results.items") and "\x1b" not in result.output


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_left_out_where_nobody_wants_them(command, monkeypatch, no_color):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", "http://127.0.0.1:9")
    result = command("check", color=True)  # as in a terminal
    assert ("\x1b[31mFAILED" in result.output) == (not no_color)
    assert ("\x1b" in result.output) == (not no_color)


def test_the_version_is_that_of_the_package(command):
    assert command("--version").output == f"events-assets {__version__}\n"


@pytest.mark.parametrize(
    ("shape", "failed"),
    [(Shape(), None), (Shape(list_at="results.items"), "rows"), (Shape(path="/v2"), None)],
)
def test_check_tells_programs_the_same_and_nothing_else(check, shape, failed):
    events = [{**row, "note": f"your key is {KEY}"} for row in rows()]
    told = check(shape, events)
    result = check(shape, events, "--json")
    assert result.exit_code == told.exit_code == (1 if failed else 0)
    report = json.loads(result.stdout)
    assert list(report) == ["works", "requests", "steps", "example"]
    assert report["works"] == (failed is None) and f"{report['requests']} requests" in told.output
    for step in report["steps"]:
        assert list(step) == ["state", "name", "finding", "settings"]
        if step["name"] != "reachable":
            assert step["finding"].replace(":", "")[-30:] in told.output.replace(":", "")
    assert [step["name"] for step in report["steps"] if step["state"] == "FAILED"] == (
        [failed] if failed else []
    )
    if failed:
        assert report["steps"][-1]["settings"] == {
            "resources.endpoint.data_selector": "results.items"
        }
    else:
        assert report["example"]["id"] == 1
        assert report["example"]["note"] == "your key is [masked]"


def test_check_passes_what_works_and_writes_nothing(check, project):
    result = check(Shape(offsets(), key_in="query:api_key"), endpoint__paginator__limit="10")
    assert result.exit_code == 0, result.output
    assert "the API counts 23 rows" in result.output and "2 requests were made" in result.output
    assert "FAILED" not in result.output and "note" not in result.output
    assert sorted(path.name for path in project.iterdir()) == [".dlt", "data"]
    assert not list((project / "data").iterdir())


LINK = '{"type": "json_link", "next_url_path": "next"}'
OWN_HEADER = '{"type": "header_link", "links_next_key": "Next-Page"}'
PAGES = '{"type": "page_number", "base_page": %d}'
SINGLE = '{"type": "single_page"}'


@pytest.mark.parametrize(
    ("shape", "settings", "code", "words"),
    [
        (Shape(key_in="query:token"), {}, 1, "FAILED key"),
        (Shape(list_at="results.items"), {}, 1, 'data_selector = "results.items"'),
        (Shape(), {"endpoint__paginator": SINGLE}, 1, "as the only page"),
        (Shape(pages(links="json")), {}, 1, 'next_url_path = "next"'),
        (Shape(pages(base=0)), {"endpoint__paginator": PAGES % 1}, 1, "base_page = 0"),
        (Shape(pages(base=1)), {"endpoint__paginator": PAGES % 0}, 0, "base_page = 1"),
        (Shape(pages(links="json")), {"endpoint__paginator": LINK}, 0, "10 rows, none of them"),
        (Shape(next_urls("Next-Page")), {"endpoint__paginator": OWN_HEADER}, 0, "10 rows, none"),
        (Shape(offsets()), {}, 0, "limit = 10"),
        (Shape(offsets(), total="count"), {}, 0, 'total_path = "count"'),
        (Shape(headers={"X-RateLimit-Remaining": "59"}), {}, 0, "X-RateLimit-Remaining: 59"),
    ],
)
def test_check_names_what_is_wrong_and_the_line_to_write(check, shape, settings, code, words):
    result = check(shape, **settings)
    assert words in " ".join(result.output.split()), result.output
    assert result.exit_code == code


def test_check_shows_which_fields_are_missing_and_where_they_may_be(check):
    events = [{"id": n, "title": f"Fair {n}", "start": 1777000000} for n in range(3)]
    result = check(Shape(), events)
    assert result.exit_code == 0  # such rows load, with empty columns
    assert 'event_name = "title"' in result.output
    assert 'start_time = { path = "start", unit = "seconds" }' in result.output
    keyless = [{"slug": f"fair-{n}"} for n in range(3)]
    result = check(Shape(), keyless)
    assert result.exit_code == 1 and 'id = "slug"' in result.output
    assert "all fields only when asked to" in result.output


FIELDS = "\n[sources.events.fields]\n"


def test_check_counts_the_events_that_would_land_without_a_field(check):
    CONFIG.write_text(
        CONFIG.read_text()
        + FIELDS
        + """event_name = "title"
start_time = "start.dateTime"
end_time = ["end.dateTime", "end.date"]
status = "state"
"""
    )
    result = check(Shape(offsets(most=100)), calendar())
    words = " ".join(result.output.split())
    assert result.exit_code == 0 and "note fields id, event_name, start_time, end_time" in words
    assert (
        "10 of 57 rows have no start_time" in words and "1 of 57 rows have no event_name" in words
    )
    assert 'start_time = ["start.dateTime", "start.date"]' in words
    assert "no end_time" not in words and "no status" not in words and "end_time =" not in words
    CONFIG.write_text(
        CONFIG.read_text().replace('"start.dateTime"', '["start.dateTime","start.date"]')
    )
    words = " ".join(check(Shape(offsets(most=100)), calendar()).output.split())
    assert "no start_time" not in words and "start_time =" not in words


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ('event_name = "titel"', 1, '"titel" of event_name is in no row of the sample'),
        ('id = ["id", "edition"]', 1, '"edition" of id is in no row'),
        ('start_time = ["start.at", "start.on"]', 1, '"start.on" of start_time is in no row'),
        ('start_time = {path = "start.date", timezone_path = "zone"}', 1, '"zone" of start_time'),
        ('status = "status"', 1, '"status" of status is in no row'),
        ('event_name = ["title", "label"]', 0, '"label" of event_name is in no row'),
        ('status = {path = "state", deleted = "gone"}', 0, '"gone" of status is in no row'),
        ('event_name = "note"', 0, "missing, or null in all rows: event_name"),
    ],
)
def test_check_fails_where_a_path_leads_nowhere_and_not_where_it_rarely_leads(
    check, fields, code, said
):
    CONFIG.write_text(CONFIG.read_text() + FIELDS + fields)
    result = check(Shape(), [{**row, "note": None} for row in calendar(23)])
    words = " ".join(result.output.split())
    assert said in words and result.exit_code == code
    assert ("FAILED fields" in words) == bool(code)


def test_check_finds_a_path_to_what_a_row_has_from_its_parent(command, configure):
    lists = {"/organizers": [{"slug": "north"}], "/organizers/north/events": rows()}
    shape = Shape(offsets())
    routes = {path: partial(shape.answer, found) for path, found in lists.items()}
    with serving_routes(routes) as api:
        configure(f"""
[sources.events]
client = {{ base_url = "{api.base_url}" }}
resource_defaults = {{ primary_key = "id", endpoint = {{ data_selector = "data", \
paginator = {{ type = "offset", limit = 10 }} }} }}
fields = {{ id = ["_organizers_slug", "id"] }}
[[sources.events.resources]]
name = "organizers"
selected = false
endpoint = {{ path = "/organizers" }}
[[sources.events.resources]]
name = "events"
include_from_parent = ["slug"]
[sources.events.resources.endpoint]
path = "/organizers/{{organizer}}/events"
params = {{ organizer = {{ type = "resolve", resource = "organizers", field = "slug" }} }}
""")
        result = command("check")
    assert result.exit_code == 0 and "north/1" in result.output, result.output


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("31.12.2026 18:00", 'start_time = { path = "start_time", format = "%d.%m.%Y %H:%M" }'),
        ("12/31/2026", 'start_time = { path = "start_time", format = "%m/%d/%Y" }'),
        ("Dec 31, 2026 6 PM", 'start_time = { path = "start_time", format = "%b %d, %Y %I %p" }'),
        ("03/04/2026", f"cannot be told apart: set {EITHER}, or {OTHER}"),
    ],
)
def test_check_names_the_format_that_a_time_needs(check, start, said):
    result = check(Shape(), [{**row, "start_time": start} for row in WRITTEN])
    words = " ".join(result.output.split())
    assert "cannot be read as a time: start_time" in words and result.exit_code == 0
    assert said.replace('"start"', '"start_time"') in words


def test_check_asks_where_a_load_asks_that_has_no_path(command, configure, monkeypatch):
    configure("""
[sources.events]
resource_defaults = { primary_key = "id", write_disposition = "merge" }
client = { base_url = "http://127.0.0.1:9" }
resources = [{ name = "events", endpoint = { data_selector = "data" } }]
""")
    with serving_shape(Shape(offsets(most=50))) as api:
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
        result = command("check")
    assert result.exit_code == 0 and f"{api.base_url}/events" in result.output


def test_no_form_of_a_report_shows_the_key():
    report = Report(redaction=Redaction(KEY))
    report.add(Step(OK, "rows", f"what came with {KEY}", {"client.auth": {"api_key": KEY}}))
    report.show({"note": "x" * 60 + KEY})  # where it would be cut in the middle
    forms = report.json() + report.markdown() + report.steps[0].text(80)
    assert KEY not in forms and KEY[:9] not in forms and "[masked]" in forms


def test_check_masks_a_key_that_the_api_answers(check):
    result = check(Shape(), [{**rows(1)[0], "note": f"your key is {KEY}"}])
    assert "[masked]" in result.output


def test_check_says_that_nobody_answers(command, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", "http://127.0.0.1:9")
    result = command("check")
    assert result.exit_code == 1 and "FAILED  reachable" in result.output


def test_check_without_a_key_says_so(monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", "http://127.0.0.1:9")
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1 and "API_KEY" in result.output


@pytest.mark.slow
def test_the_command_tries_the_sample_api(spawn):
    process = spawn(sys.executable, "-m", "events_assets.commands.cli", "check")
    output, errors = process.communicate()
    assert process.returncode == 0 and not errors, errors
    assert "the API counts 1,200 rows" in output


def in_terminal(module: str, *words: str, **env: str) -> str:
    """What a program prints in a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"} | env
    env.pop("COLUMNS", None)
    done = subprocess.run(
        (sys.executable, "-m", module, *words), env=env, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0, output
    assert max(map(len, re.sub(r"\x1b\[\d+m", "", output).splitlines())) <= 80
    return output


@pytest.mark.slow
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_report_keeps_to_a_terminal_of_80_columns(no_color):
    output = in_terminal("events_assets.commands.cli", "check", NO_COLOR=no_color)
    assert "1,200 rows" in output and ("\x1b[32mok\x1b[0m" in output) == (not no_color)


@pytest.mark.slow
def test_the_demo_keeps_to_a_terminal_of_80_columns(tmp_path):
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    output = in_terminal("events_assets.demo", DAGSTER_HOME=str(tmp_path))
    told = " ".join(output.split())
    assert "complete: all 1,200 rows came (touching pages in a fixed order)" in told


def test_the_job_tells_the_same(run, serve, monkeypatch):
    serve(rows(3))
    result = run("check_api_job")
    assert result.success
    monkeypatch.setenv("API_KEY", "wrong-key")
    result = run("check_api_job")
    failure = result.failure_data_for_node("try_api").user_failure_data
    assert "answers 401 Unauthorized" in failure.description
    assert "wrong-key" not in str(failure)
