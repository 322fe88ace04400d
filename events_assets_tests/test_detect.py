"""What is read from the answer of an unknown API."""

import pytest
from dlt.common import jsonpath
from hypothesis import given
from hypothesis import strategies as st

from events_assets.commands import detect
from events_assets_tests.shapes import rows

KEYS = st.text() | st.sampled_from(
    ["id", "ID", "title", "startsAt", "date", "data", "next-cursor", "has.more", "total", "it's"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
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
    assert dict(list(detect.totals(document, {}, received=25).items())[:1]) == found


def test_a_total_is_found_in_headers():
    headers = {"content-range": "0-24/573", "X-Total-Count": "573", "X-Total": "many"}
    assert detect.totals({}, headers, 25) == {"content-range": 573, "X-Total-Count": 573}
    assert detect.totals({}, {"Content-Range": "0-24/*"}, 25) == {}


URL = "https://api.example.com/events?page=2"


@pytest.mark.parametrize(
    ("document", "headers", "found"),
    [
        ({"previous": None, "next": URL}, {}, {"type": "json_link", "next_url_path": "next"}),
        ({"next": {"prev": URL}, "links": {"next_page": "c20"}}, {}, {}),
        ([], {"link": f'<{URL}>; rel="next"'}, {"type": "header_link"}),
        (
            [],
            {"Link": f'<{URL}&of=a,b>; rel="prev", <{URL}>; rel=next'},
            {"type": "header_link"},
        ),
        ([], {"Link": f'<{URL}>; rel="prev"'}, {}),
        ([], {"Next-Page": URL}, {"type": "header_link", "links_next_key": "Next-Page"}),
        ([], {"Next-Page": "2"}, {}),
    ],
)
def test_a_link_to_the_next_page_is_no_other_link(document, headers, found):
    assert detect.link_to_next(document, headers) == (found, URL if found else "")


def test_links_cursors_and_marks_are_told_apart():
    assert detect.cursors({"previous": None, "next": URL}) == {}
    assert detect.cursors({"meta": {"next_cursor": "abc"}}) == {"meta.next_cursor": "abc"}
    assert detect.has_more({"paging": {"hasMore": True, "more": "yes"}}) == {"paging.hasMore": True}
    assert detect.continues({"has_more": True}, {}) and not detect.continues(
        {"has_more": False}, {}
    )


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
            {"id": "slug", "event_name": "name", "language": "en", "start_time": "date_from"},
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
    assert detect.field_settings([row]) == settings


def test_a_repeated_value_is_proposed_as_no_id():
    assert "id" not in detect.field_settings([{"code": "a"}, {"code": "a"}])


@pytest.mark.parametrize(
    ("fields", "order"),
    [
        ([{"id": str(n), "name": "x"} for n in range(8, 30)], ("id", False)),
        ([{"start": f"2026-05-0{9 - n // 3}T0{n % 3 * 4 % 5}:00:00Z"} for n in range(9)],
         ("start", False)),
        ([{"n": n, "at": {"start": n // 2}} for n in range(9)], ("at.start", False)),
        ([{"a": n, "createdAt": 2 * n} for n in range(9, 0, -1)], ("createdAt", True)),
        ([{"a": n * 3 % 10, "createdAt": n // 2} for n in range(9)], ("createdAt", False)),
        ([{"a": n * 3 % 10, "b": 1, "c": "1" * 5000, "d": [n]} for n in range(9)], ("", False)),
        ([{"a": n} for n in range(6)], ("", False)),
        ([{"a": n} for n in range(9)] + [{}], ("", False)),
    ],
)  # fmt: skip
def test_the_field_that_explains_the_order_of_rows_is_named(fields, order):
    assert detect.order_of(fields) == order


@given(JSON)
def test_what_is_found_is_at_the_path_that_is_told(document):
    """By dlt's own JSON paths, as a load will look for it."""
    found = {
        **detect.lists_of_rows(document),
        **detect.totals(document, {}, 1),
        **detect.cursors(document),
        **detect.has_more(document),
    }
    for path, value in found.items():
        (there,) = jsonpath.find_values(path, document)
        assert there == value or str(there) == str(value)
    for rows_of_one in detect.lists_of_rows(document).values():
        settings = detect.field_settings(rows_of_one)
        settings.pop("language", None)
        for setting in settings.values():
            path = setting["path"] if isinstance(setting, dict) else setting
            assert any(jsonpath.find_values(path, row) for row in rows_of_one)
