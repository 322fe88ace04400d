"""What is read from the answer of an unknown API."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets.commands import detect
from events_assets_tests.shapes import rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (rows(3), "$"),
        ({"data": rows(3)}, "data"),
        ({"links": [{"rel": "self"}] * 9, "data": {"items": rows(3)}}, "data.items"),
        ({"event-list": rows(3)}, "'event-list'"),
    ],
)
def test_the_list_of_events_is_told_from_other_lists(document, path):
    assert next(iter(detect.lists_of_rows(document))) == path


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"total": 573}, {"total": 573}),
        ({"meta": {"total_count": 900, "filter_count": 573}}, {"meta.filter_count": 573}),
        ({"total_pages": 30, "page": 1}, {}),
        ({"count": 3}, {}),  # of this page only
        ({"total": "573"}, {"total": 573}),
        ({"total": True, "count": None}, {}),
        ({"filtered_table_rows_count": 573, "truncated": 900}, {"filtered_table_rows_count": 573}),
        ({"totalItems": 573, "size": 600, "items": 600}, {"totalItems": 573}),
    ],
)
def test_a_total_is_no_number_of_pages_and_no_count_of_one_page(document, found):
    assert dict(list(detect.totals(document, received=25).items())[:1]) == found


def test_a_total_is_found_in_headers():
    headers = {"content-range": "0-24/573", "X-Total-Count": "573", "X-Total": "many"}
    assert detect.total_headers(headers, 25) == {"content-range": 573, "X-Total-Count": 573}
    assert detect.total_headers({"Content-Range": "0-24/*"}, 25) == {}


def test_links_cursors_and_marks_are_told_apart():
    linked = {"previous": None, "next": "https://api.example.com/events?page=2"}
    assert detect.next_links(linked) == {"next": linked["next"]}
    assert detect.cursors(linked) == {}
    assert detect.cursors({"meta": {"next_cursor": "abc"}}) == {"meta.next_cursor": "abc"}
    assert detect.has_more_paths({"paging": {"hasMore": True, "more": "yes"}}) == ["paging.hasMore"]
    assert detect.header_link({"link": '<https://x/e?page=2>; rel="next"'}) == "https://x/e?page=2"
    assert not detect.header_link({"Link": '<https://x/e?page=1>; rel="prev"'})


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        (rows(1)[0], {name: name for name in detect.CANONICAL}),
        (
            {
                "slug": "fair",
                "name": {"de": "Messe", "en": "Fair"},
                "presale_start": "2026-01-01T00:00:00Z",
                "date_from": "2026-05-01T10:00:00Z",
                "date_to": None,
            },
            {"id": "slug", "event_name": "name", "start_time": "date_from"},
        ),
        (
            {"id": 1, "title": "Fair", "start": 1777000000, "end": 1777000000000},
            {
                "id": "id",
                "event_name": "title",
                "start_time": {"path": "start", "unit": "seconds"},
                "end_time": {"path": "end", "unit": "milliseconds"},
            },
        ),
        (
            {
                "ID": "x",
                "title": {"rendered": "Fair"},
                "start_date": "2026-05-01 10:00:00",
                "utc_start_date": "2026-05-01 08:00:00",
                "modified": "2026-01-01 08:00:00",
            },
            {"id": "ID", "event_name": "title.rendered", "start_time": "utc_start_date"},
        ),
        (
            {"id": 1, "attributes": {"title": "Fair", "startsAt": "2026-05-01T08:00:00Z"}},
            {"id": "id", "event_name": "attributes.title", "start_time": "attributes.startsAt"},
        ),
        (
            {"id": 1, "submission": {"title": "Talk"}, "room": {"title": "Hall"}},
            {"id": "id", "event_name": "submission.title"},
        ),
        ({"start": "1777000000"}, {"start_time": {"path": "start", "unit": "seconds"}}),
        ({"weekend": "2026-05-01", "restarted": 1777000000, "total": 7}, {}),
    ],
)
def test_fields_are_proposed_by_name_and_by_what_they_hold(row, settings):
    found = detect.field_proposals([row])
    assert {name: proposal.setting for name, proposal in found.items()} == settings


def test_a_repeated_value_is_proposed_as_no_id():
    assert "id" not in detect.field_proposals([{"code": "a"}, {"code": "a"}])


def test_a_header_that_is_a_url_leads_to_the_next_page():
    url = "https://api.example.com/events?token=abc"
    found = {"type": "header_link", "links_next_key": "Next-Page"}, url
    assert detect.link_to_next([], {"Next-Page": url}) == found
    assert detect.link_to_next([], {"Next-Page": "2"}) == ({}, "")


@given(JSON)
def test_no_answer_breaks_the_probe(document):
    lists = detect.lists_of_rows(document)
    for found in lists.values():
        detect.field_proposals(found)
    detect.totals(document, 1), detect.next_links(document), detect.cursors(document)
    detect.has_more_paths(document)
    json.dumps(list(lists))
