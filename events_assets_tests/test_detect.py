"""What is read from the answer of an unknown API."""

import pytest
from dlt.common import jsonpath
from hypothesis import example, given
from hypothesis import strategies as st

from events_assets.commands import detect, fields
from events_assets.commands.order import order_of
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
    assert detect.listed(document)[0].selector == path


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
        ({"pages": 600, "items": 573, "data": []}, {"items": 573}),
        ({"hits": {"total": {"value": 573, "relation": "eq"}}}, {"hits.total.value": 573}),
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
        (rows(1)[0], {name: name for name in fields.ALWAYS_THERE}),
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
    assert fields.field_settings([row]) == settings


def google(number, **more):
    """An event of a calendar: each third one lasts all day."""
    day = f"2026-05-{1 + number % 28:02}"
    start = {"date": day} if number % 3 == 0 else {"dateTime": f"{day}T10:00:00+02:00"}
    return {"id": str(number), "start": start, "created": "2026-01-01T00:00:00Z"} | more


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        ([google(n) for n in range(1, 57)],
         {"id": "id", "start_time": ["start.dateTime", "start.date"]}),
        # in all rows but the first, and beyond the fiftieth
        ([{"id": n, "title": "Fair" if n else None} for n in range(9)],
         {"id": "id", "event_name": "title"}),
        ([{"id": n, "title": "", "name": "Fair"} for n in range(60)] + [{"id": 60, "title": "x"}],
         {"id": "id", "event_name": ["title", "name"]}),
        ([{"id": n, "start_datetime": None if n % 2 else f"2026-05-0{n + 1}T10:00:00Z",
           "start_date": f"2026-05-0{n + 1}"} for n in range(8)],
         {"id": "id", "start_time": ["start_datetime", "start_date"]}),
        # another time, which all rows have, is no end
        ([{"id": n, "end": None if n % 2 else f"2026-05-0{n + 1}T10:00:00Z",
           "visible_until": "2027-01-01T00:00:00Z"} for n in range(8)],
         {"id": "id", "end_time": "end"}),
        # of two forms there is no setting
        ([{"id": n} | ({"start": "2026-05-01T10:00"} if n else {"date": 1777000000})
          for n in range(4)], {"id": "id", "start_time": "start"}),
        ([{"code": None, "uid": "a"}, {"code": "x", "uid": "b"}, {"code": "y", "uid": "b"},
          {"code": "z"}], {"id": "code"}),
    ],
)  # fmt: skip
def test_all_rows_are_looked_at_and_places_that_complete_each_other_are_proposed(rows, settings):
    assert fields.field_settings(rows) == settings


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"status": "open"}, "status"),
        ({"state": "open"}, "state"),
        ({"event_status": "open", "state": "x"}, "event_status"),
        ({"dates": {"status": {"code": "onsale"}}}, "dates.status.code"),
        ({"status": {"id": 3, "name": "open"}}, "status.name"),
        ({"attributes": {"eventState": 2}}, "attributes.eventState"),
        ({"state": "Vermont", "city": "Stowe"}, None),
        ({"venue": {"state": "VT"}, "payment_status": "paid"}, None),
        ({"status": True}, None),
    ],
)
def test_a_status_is_found_elsewhere_and_no_part_of_a_country_is_one(row, status):
    assert fields.field_settings([row]).get("status") == status


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ({"start": "31.12.2026 18:00", "end": "1.1.2027 02:00"},
         {"start_time": [{"path": "start", "format": "%d.%m.%Y %H:%M"}],
          "end_time": [{"path": "end", "format": "%d.%m.%Y %H:%M"}]}),
        ({"start": "03/04/2026", "end": "03/25/2026"},
         {"start_time": [{"path": "start", "format": "%m/%d/%Y"}],
          "end_time": [{"path": "end", "format": "%m/%d/%Y"}]}),
        ({"begin": {"at": "03/04/2026"}},
         {"start_time": [{"path": "begin.at", "format": "%m/%d/%Y"},
                         {"path": "begin.at", "format": "%d/%m/%Y"}]}),
        ({"start": "from 03/04/2026"}, {}),
    ],
)  # fmt: skip
def test_times_in_other_forms_are_proposed_with_their_format_and_doubts_are_kept(row, settings):
    assert fields.proposals([row]) == settings


DAY, LATER = "2026-05-01", "2026-05-03"
NOON = f"{DAY}T12:00:00Z"


@pytest.mark.parametrize(
    ("row", "start", "end"),
    [
        ({"start_date": DAY, "end_date": LATER}, "start_date", "end_date"),
        ({"end_date": LATER, "start_date": DAY}, "start_date", "end_date"),
        ({"date_start": DAY, "date_end": LATER}, "date_start", "date_end"),
        ({"dtstart": NOON, "dtend": NOON}, "dtstart", "dtend"),
        ({"eventStartDate": DAY, "eventEndDate": LATER}, "eventStartDate", "eventEndDate"),
        ({"end": NOON}, None, "end"),
        ({"end_date": LATER, "created_date": DAY}, None, "end_date"),
        ({"creation_date": DAY, "eventDate": LATER}, "eventDate", None),
        ({"publicationDate": NOON, "date": LATER}, "date", None),
        ({"pubDate": NOON, "date_added": DAY, "post_date": DAY}, None, None),
        ({"created": NOON, "publish_start": NOON, "expiration_date": NOON}, None, None),
        ({"registration_start": NOON, "starts_at": NOON}, "starts_at", None),
    ],
)
def test_no_start_is_taken_from_the_end_or_from_the_making_of_a_row(row, start, end):
    found = fields.field_settings([row])
    assert (found.get("start_time"), found.get("end_time")) == (start, end)


def apart(day, clock, form=None):
    return {"path": day, "time_path": clock} | ({"format": form} if form else {})


@pytest.mark.parametrize(
    ("row", "start", "end"),
    [
        (
            {"start_date": DAY, "start_time": "10:00", "end_date": DAY, "end_time": "12:00"},
            apart("start_date", "start_time"),
            apart("end_date", "end_time"),
        ),
        (
            {"date": DAY, "start_time": "10:00:00", "end_time": "12:00:00"},
            apart("date", "start_time"),
            apart("date", "end_time"),
        ),
        ({"date": DAY, "time": "10:00"}, apart("date", "time"), None),
        (
            {"date": "05/31/2026", "start": "9:00 AM", "finish": "12:00 PM"},
            apart("date", "start", "%m/%d/%Y %I:%M %p"),
            apart("date", "finish", "%m/%d/%Y %I:%M %p"),
        ),
        ({"date": DAY, "doors_time": "10:00"}, "date", None),
        ({"date": DAY, "time": "9:30 PM"}, apart("date", "time"), None),
        ({"date": DAY, "time": "0930"}, apart("date", "time"), None),
        ({"date": DAY, "time": 1930}, apart("date", "time"), None),
        ({"date": DAY, "time": 930}, "date", None),  # which may count minutes
        ({"date": DAY, "time": "19h30"}, apart("date", "time"), None),
        (
            {"datum": DAY, "beginn": "19.30 Uhr", "start_date": DAY},
            apart("start_date", "beginn"),
            None,
        ),
        ({"date": "31.12.2026", "time": "19h30"}, apart("date", "time", "%d.%m.%Y"), None),
        ({"date": DAY, "time": "2026-05-01 1715 2026"}, "date", None),
        ({"starts_at": NOON, "start_time": "10:00"}, "starts_at", None),
    ],
)
def test_a_day_and_a_time_of_day_apart_are_put_together(row, start, end):
    found = fields.field_settings([row])
    assert (found.get("start_time"), found.get("end_time")) == (start, end)


BERLIN, NAIVE = "Europe/Berlin", f"{DAY}T10:00:00"


def zoned(path, zone):
    return {"path": path, "timezone_path": zone}


@pytest.mark.parametrize(
    ("row", "start"),
    [
        ({"start": NAIVE, "timezone": BERLIN}, zoned("start", "timezone")),
        ({"start": {"local": NAIVE, "timeZone": BERLIN}}, zoned("start.local", "start.timeZone")),
        ({"dates": {"start": NAIVE, "tz": "+02:00"}}, zoned("dates.start", "dates.tz")),
        ({"start": NAIVE, "venue": {"timezone": BERLIN}}, zoned("start", "venue.timezone")),
        (
            {"start": NAIVE, "start_tz": BERLIN, "end_tz": "Asia/Tokyo", "tz": "UTC"},
            zoned("start", "start_tz"),
        ),
        (
            {"day": DAY, "time": "10:00", "zone": BERLIN},
            {"path": "day", "time_path": "time", "timezone_path": "zone"},
        ),
        ({"start": NOON, "timezone": BERLIN}, "start"),
        ({"start_utc": NAIVE, "timezone": BERLIN}, "start_utc"),
        ({"start": NAIVE, "timezone": "W. Europe Standard Time"}, "start"),
        ({"start": NAIVE, "zone": "A"}, "start"),
        ({"start": NAIVE, "organizer": {"timezone": BERLIN}}, "start"),
        ({"start": 1777000000, "timezone": BERLIN}, {"path": "start", "unit": "seconds"}),
    ],
)
def test_local_times_get_the_zone_that_is_named_beside_them(row, start):
    assert fields.field_settings([row])["start_time"] == start
    other_row = {"start": NAIVE, "timezone": None}
    assert fields.field_settings([row, other_row]).get("start_time") != zoned("start", "timezone")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"start": NAIVE}, "without a time zone, so taken for UTC: start_time"),
        ({"start": NOON}, ""),
        ({"start_utc": NAIVE}, ""),
        ({"date": f"{DAY}T10:00Z", "time": 930}, ""),
        ({"date": DAY, "time": "10~00", "zone": BERLIN}, '"time" is not read as the time of day'),
        ({"start": NOON, "duration": 90}, 'set end_time = { duration_path = "duration"'),
    ],
)
def test_what_is_taken_for_utc_or_not_read_is_said(row, said):
    told = "; ".join(fields.doubts([row]))
    assert said in told and bool(said) == bool(told), told


@pytest.mark.parametrize(
    ("row", "end"),
    [
        ({"duration": "1:30"}, {"duration_path": "duration"}),
        ({"duration": "PT2H"}, {"duration_path": "duration"}),
        ({"duration_minutes": 90}, {"duration_path": "duration_minutes", "unit": "minutes"}),
        ({"durationInHours": 1.5}, {"duration_path": "durationInHours", "unit": "hours"}),
        ({"duration": 90}, None),
        ({"duration": "long"}, None),
        ({"duration": "1:30", "end": NOON}, "end"),
        ({"recording_end": NOON}, None),
        ({"visible_until": NOON}, None),
        ({"recording_end": NOON, "scheduled_end": NOON}, "scheduled_end"),
    ],
)
def test_an_end_is_how_long_an_event_lasts_and_never_that_of_something_else(row, end):
    assert fields.field_settings([{"start": NOON, **row}]).get("end_time") == end


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"title_s": "Fair"}, "title_s"),
        ({"title_fr": "Foire", "title_en": "Fair"}, "title_en"),
        ({"Titel": "Messe"}, "Titel"),
        ({"title": "Fair", "title_en": "Fair"}, "title"),
        ({"title_no": "7"}, None),
        ({"properties": {"hs_event_name": "Fair"}}, "properties.hs_event_name"),
    ],
)
def test_a_name_is_found_whatever_mark_or_language_it_has(row, name):
    assert fields.field_settings([row]).get("event_name") == name


def test_a_start_is_called_like_its_end_without_the_word_for_it():
    row = {"field_date": {"value": NOON, "end_value": NOON}}
    assert fields.field_settings([row])["start_time"] == "field_date.value"


SESSION = rows(1)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"days": [{"date": DAY, "rooms": [{"name": "A", "talks": [one]}]} for one in rows(2)]},
         "days[*].rooms[*].talks[*]"),
        ({"days": [{"date": DAY, "rooms": {"A": SESSION, "B": rows(2)[1:]}}]},
         "days[*].rooms.*[*]"),
        ({"days": [{"id": n, "date": DAY, "sessions": [one]} for n, one in enumerate(rows(3))]},
         "days[*].sessions[*]"),
        ({"days": [{"date": DAY, "list": SESSION}, {"date": DAY}]}, "days[*].list[*]"),
        ({"events": [{**SESSION[0], "performances": rows(3)}]}, "events"),
        ({"events": [{**SESSION[0], "events": rows(3)}]}, "events"),
        ({"entry": [{"event": SESSION[0]}, {}]}, "entry"),
    ],
)  # fmt: skip
def test_sessions_are_found_in_rooms_of_days_and_all_of_them(document, path):
    assert detect.listed(document)[0].selector == path


def test_a_list_with_nulls_is_found_and_what_is_included_is_none():
    (found,) = detect.listed({"data": [rows(1)[0], None], "included": rows(3)})
    assert (found.selector, len(found.rows)) == ("data", 1)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"id": int, "documentId": "d{}"}, "documentId"),
        ({"@id": "https://example.org/{}", "UID": "u{}"}, "UID"),
        ({"id": int, "uid": "u{}"}, "uid"),
        ({"nid": int, "vid": int, "uuid": "u-{}"}, "uuid"),
        ({"id": "https://example.org/{}", "guid": "g{}"}, "guid"),
        ({"id": "e{}", "uuid": "u-{}"}, "id"),
        ({"id": int, "slug": "fair-{}"}, "id"),
        ({"OBJECTID": int, "GlobalID": "g-{}"}, "GlobalID"),
        ({"eventId": int, "title": "Fair {}"}, "eventId"),
        ({"url": "https://example.org/{}", "title": "Fair"}, "url"),
        ({"sys": {"id": "s{}"}, "fields": {"title": "Fair"}}, "sys.id"),
    ],
)
def test_an_id_names_the_event_and_not_its_version_or_its_place(row, found):
    def made(value, n):
        if isinstance(value, dict):
            return {name: made(inner, n) for name, inner in value.items()}
        return n if value is int else value.format(n)

    assert fields.field_settings([made(row, n) for n in range(3)])["id"] == found


def test_a_repeated_value_is_proposed_as_no_id():
    assert "id" not in fields.field_settings([{"code": "a"}, {"code": "a"}])


@pytest.mark.parametrize(
    ("rows", "order"),
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
def test_the_field_that_explains_the_order_of_rows_is_named(rows, order):
    assert order_of(rows) == order


@example([{"": "0"}])  # no word at all
@example([{"event": {"ID": 0, "TITLE": "0"}}])
@given(JSON)
def test_what_is_found_is_at_the_path_that_is_told(document):
    """By dlt's own JSON paths, as a load will look for it."""
    lists = {one.selector: one.rows for one in detect.listed(document) if not one.scan}
    found = {
        **lists,
        **detect.totals(document, {}, 1),
        **detect.cursors(document),
        **detect.has_more(document),
    }
    for path, value in found.items():
        there = jsonpath.find_values(path, document)
        for one in (there, *there):  # the rows are many values, or one list
            one = [row for row in one if row is not None] if isinstance(one, list) else one
            if one == value or str(one) == str(value):
                break
        else:
            pytest.fail(f"{path} leads to {there}, not to {value}")
    for rows_of_one in lists.values():
        settings = fields.field_settings(rows_of_one)
        settings.pop("language", None)
        for setting in settings.values():
            path = setting["path"] if isinstance(setting, dict) else setting
            assert any(jsonpath.find_values(path, row) for row in rows_of_one)
