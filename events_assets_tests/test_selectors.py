"""Rows are found where the selector says, in any shape of answer, and none is overlooked."""

import json

import pytest

from events_assets.errors import NotAPageError
from events_assets.paging.base import Total
from events_assets.sample_api import Answer
from events_assets.scan.data_selector import DataSelector
from events_assets_tests.conftest import event, load_configured

A, B = {"id": 1}, {"id": 2}


@pytest.mark.parametrize(
    ("selector", "document", "found"),
    [
        ("data", {"data": [A, B]}, [A, B]),
        ("data", {"data": []}, []),
        ("data", {"data": [None]}, [None]),
        ("result.events.items", {"result": {"events": {"items": [A]}}}, [A]),
        ("$", [A, B], [A, B]),
        ("$", [], []),
        ("entries[*].event", {"entries": [{"event": A}, {"event": B}]}, [A, B]),
        ("entries[*].event", {"entries": [{"event": A}]}, [A]),
        ("entries[*].event", {"entries": []}, []),
        ("[*].event", [{"event": A}], [A]),
        ("$[*].event.data", [{"event": {"data": A}}], [A]),
        ("events.*", {"events": {"1": A, "2": B}}, [A, B]),
        ("days[*].events[*]", {"days": [{"events": [A]}, {"events": [B]}]}, [A, B]),
        ("'@graph'", {"@graph": [A]}, [A]),
        (None, {"meta": {}, "results": [A]}, [A]),
        (None, [A], [A]),
    ],
)
def test_rows_are_found(selector, document, found):
    assert DataSelector(selector)(document) == found


@pytest.mark.parametrize(
    ("selector", "document"),
    [
        ("data", {"items": [A]}),
        ("result.items", {"result": {}}),
        ("$", {"data": [A]}),
        ("entries[*].event", {"data": [A]}),
        ("events.*", {"data": {"1": A}}),
        ("days[*].events[*]", {"data": []}),
        ("data", [A]),
    ],
)
def test_a_selector_that_finds_nothing_is_not_an_empty_page(selector, document):
    with pytest.raises(NotAPageError, match="expected at"):
        DataSelector(selector)(document)


def test_an_entry_without_its_envelope_is_handed_on_to_be_set_aside():
    document = {"entries": [{"event": A}, {"promotion": B}]}
    assert DataSelector("entries[*].event")(document) == [A, [{"promotion": B}]]


@pytest.mark.parametrize("document", [{"total": 0}, {"data": None}, {}])
def test_a_list_that_is_left_out_may_be_an_empty_one(document):
    rows_of = DataSelector("data", absent_when_empty=True)
    assert rows_of(document) == []
    with pytest.raises(NotAPageError):
        rows_of([])


@pytest.mark.parametrize(
    ("headers", "total"),
    [
        ({"X-Total-Count": "573"}, 573),
        ({"X-Total-Count": "items 0-24/573"}, 573),
        ({"X-Total-Count": "0-24/*"}, None),
        ({"X-Total-Count": "many"}, None),
        ({}, None),
    ],
)
def test_a_total_in_a_header_is_read(headers, total):
    assert Total(header="X-Total-Count")([], headers) == total


CONFIG = """
[sources.events.client]
auth = {{ type = "api_key", name = "api_key", location = "query" }}

[sources.events.resource_defaults]
primary_key = "id"
write_disposition = "merge"

[[sources.events.resources]]
name = "events"
endpoint = {endpoint}

[sources.events.scan]
{scan}
"""


def test_bare_lists_with_the_total_in_a_header_are_complete(serve, rows, configure):
    paginator = '{ type = "offset", limit = 10, offset_param = "_start", limit_param = "_limit" }'
    configure(
        CONFIG.format(
            endpoint=f'{{ path = "/v1/events", data_selector = "$", paginator = {paginator} }}',
            scan='total_header = "X-Total-Count"',
        )
    )
    events = [event(number) for number in range(25)]

    def page(number, path):
        start = int(path.split("_start=")[1].split("&")[0])
        return Answer(200, events[start : start + 10], {"X-Total-Count": "25"})

    serve().intercept = page
    load_configured()
    assert rows("SELECT count(*) FROM events") == [(25,)]
    assert rows("SELECT verdict, total_last FROM scan_receipts") == [("complete", 25)]


def test_envelopes_are_opened_and_what_is_none_is_set_aside(serve, rows, configure):
    configure(
        CONFIG.format(
            endpoint='{ path = "/v1/events", data_selector = "entries[*].event", '
            'paginator = "single_page" }',
            scan='total_path = "count"',
        )
    )
    entries = [{"event": event(1)}, {"event": event(2)}, {"advertisement": 7}]
    serve().intercept = lambda number, path: Answer(200, {"entries": entries, "count": 3})
    load_configured()
    assert rows("SELECT id FROM events ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT document FROM quarantined_events") == [('[{"advertisement": 7}]',)]
    assert rows("SELECT verdict FROM scan_receipts") == [("complete",)]


def test_offsets_in_the_body_of_a_post_are_walked(serve, rows, configure):
    events = [event(number) for number in range(25)]
    paginator = (
        '{ type = "offset", limit = 10, offset_body_path = "page.from", '
        'limit_body_path = "page.size" }'
    )
    configure(
        CONFIG.format(
            endpoint='{ path = "/v1/events", method = "POST", data_selector = "data", '
            f'json = {{ query = "all" }}, paginator = {paginator} }}',
            scan="overlap = 1",
        )
    )
    api = serve()

    def page(number, path):
        start = json.loads(api.bodies[-1])["page"]["from"]
        return Answer(200, {"data": events[start : start + 10], "total": 25})

    api.intercept = page
    load_configured()
    assert rows("SELECT count(*) FROM events") == [(25,)]
    assert json.loads(api.bodies[0]) == {"query": "all", "page": {"from": 0, "size": 10}}
    assert rows("SELECT verdict, paging FROM scan_receipts") == [("complete", "touching")]
