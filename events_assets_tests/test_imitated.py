"""`init` and `check` against servers with the shapes of real APIs: never ok where nothing was
proven."""

import json
import tomllib

import pytest

from events_assets.sample_api import Answer
from events_assets_tests.conftest import CONFIG
from events_assets_tests.imitated_servers import (
    all_rows,
    events,
    is_more,
    keyed,
    numbered,
    own_rows,
    page_count,
    paged,
    token,
    whole,
)
from events_assets_tests.shapes import serving_routes


@pytest.fixture
def init(command):
    """Describes a server; gives what is configured then, what was said, and what was asked."""

    def init(server, *words):
        with serving_routes({"/events": server}) as api:
            result = command("init", "--base-url", api.base_url, "--path", "/events", *words)
        assert result.exit_code == 0, result.output
        found = tomllib.loads(CONFIG.read_text())["sources"]["events"]
        return found, " ".join(result.output.split()), api.paths

    return init


@pytest.fixture
def check(command, monkeypatch):
    """Tries a server with an endpoint, and other sections: the states of the steps by name, what
    they say, and the settings that they propose."""

    def check(server, endpoint, **sections):
        with serving_routes({"/events": server}) as api:
            configured = {
                "client": {"base_url": api.base_url},
                "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
                "resources": [{"name": "events", "endpoint": {"path": "/events", **endpoint}}],
                "fields": {"event_name": "title", "start_time": "start", "end_time": "end"},
                **sections,
            }
            CONFIG.write_text(toml(configured))
            result = command("check", "--json")
        report = json.loads(result.stdout)
        steps = {step["name"]: step for step in report["steps"]}
        assert result.exit_code == (not report["works"])
        return steps

    return check


def toml(configured):
    import tomlkit

    return tomlkit.dumps({"sources": {"events": configured}})


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
