"""Rows of any API land in the same canonical columns, told by configuration alone."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets import configuration
from events_assets.errors import ConfigurationError
from events_assets.rows.canonical import Fields, legible
from events_assets_tests.conftest import event, failure, load, load_configured

START = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
END = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
SECONDS = int(START.timestamp())

FORMS = {
    "other names": ("start_time = 'from'\nend_time = 'to'",
        {"from": "2026-05-01T10:00:00+02:00", "to": "2026-05-01T09:30:00Z"}),
    "camel case": ("start_time = 'startTime'\nend_time = 'endTime'",
        {"startTime": "2026-05-01T10:00:00+02:00", "endTime": "2026-05-01T09:30:00Z"}),
    "nested": ("start_time = 'start.utc'\nend_time = 'end.utc'",
        {"start": {"utc": "2026-05-01 08:00Z"}, "end": {"utc": "2026-05-01t09:30:00z"}}),
    "path with a filter": (
        "start_time = \"dates[?(@.kind=='from')].at\"\nend_time = 'dates[1].at'",
        {"dates": [{"kind": "from", "at": "20260501T080000Z"},
                   {"kind": "to", "at": "2026-05-01T09:30Z"}]}),
    "Unix seconds": ("start_time = {path = 'ts', unit = 'seconds'}\n"
        "end_time = {path = 'te', unit = 'seconds'}", {"ts": SECONDS, "te": f"{SECONDS + 5400}"}),
    "Unix milliseconds": ("start_time = {path = 'ts', unit = 'milliseconds'}\n"
        "end_time = {path = 'te', unit = 'milliseconds'}",
        {"ts": SECONDS * 1000.0, "te": str(SECONDS * 1000 + 5_400_000)}),
    "zone of the settings": ("timezone = 'Europe/Vienna'\nstart_time = 'a'\nend_time = 'b'",
        {"a": "2026-05-01 10:00", "b": "2026-05-01T11:30:00"}),
    "zone in a field": ("timezone = 'Asia/Tokyo'\n"
        "start_time = {path = 'a.local', timezone_path = 'a.zone'}\n"
        "end_time = {path = 'b.local', timezone_path = 'b.zone'}",
        {"a": {"local": "2026-05-01T10:00:00", "zone": "Europe/Vienna"},
         "b": {"local": "2026-05-01T05:30:00", "zone": "-04:00"}}),
    "date, time and zone apart": (
        "start_time = {path = 'day', time_path = 'from', timezone_path = 'tz'}\n"
        "end_time = {path = 'day', time_path = 'to', timezone_path = 'tz'}",
        {"day": "2026-05-01", "from": "10:00", "to": "11:30:00", "tz": "Europe/Vienna"}),
    "a time of day in another form": ("timezone = 'Europe/Vienna'\n"
        "start_time = {path = 'day', time_path = 'from', format = '%d.%m.%Y'}\n"
        "end_time = {path = 'date', time_path = 'to'}",
        {"day": "01.05.2026", "date": "2026-05-01", "from": 1000, "to": "11h30"}),
    "a format": ("timezone = 'Europe/Vienna'\n"
        "start_time = {path = 'a', format = '%d.%m.%Y %H:%M'}\n"
        "end_time = {path = 'day', time_path = 'to', format = '%m/%d/%Y %I:%M %p'}",
        {"a": "01.05.2026 10:00", "day": "05/01/2026", "to": "11:30 AM"}),
    "RFC 2822": ("start_time = 'a'\nend_time = 'b'",
        {"a": "Fri, 01 May 2026 10:00:00 +0200", "b": "Fri, 01 May 2026 09:30:00 GMT"}),
    "minutes after the start": ("start_time = 'a'\n"
        "end_time = {duration_path = 'm', unit = 'minutes'}",
        {"a": "2026-05-01T08:00Z", "m": 90}),
    "ISO duration": ("start_time = 'a'\nend_time = {duration_path = 'd'}",
        {"a": "2026-05-01T08:00Z", "d": "PT1H30M"}),
    "in one of several places": ("timezone = 'Europe/Vienna'\n"
        "start_time = ['start.dateTime', 'start.local']\nend_time = ['end.date', 'end.dateTime']",
        {"start": {"dateTime": "", "local": "2026-05-01T10:00"},
         "end": {"date": None, "dateTime": "2026-05-01T09:30:00Z"}}),
    "one of several numbers": ("start_time = {path = ['a', 'b'], unit = 'seconds'}\n"
        "end_time = {duration_path = ['m', 'n'], unit = 'minutes'}",
        {"b": SECONDS, "m": None, "n": 90}),
    "duration after the field as it is": ("start_time = 'start_time'\n"
        "end_time = {duration_path = 'd'}",
        {"start_time": "2026-05-01T08:00Z", "d": "1:30"}),
}  # fmt: skip


@pytest.fixture
def fields(project):
    """Configures `[sources.events.fields]`."""

    def configure(toml: str) -> None:
        with (project / ".dlt" / "config.toml").open("a") as file:
            file.write(f"\n[sources.events.fields]\n{toml}\n")
        configuration.reload_providers()

    return configure


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_time_is_mapped_to_the_same_instant(fields, form):
    toml, times = FORMS[form]
    fields(f"id = 'slug'\nevent_name = 'name'\n{toml}")
    row = {"id": 7, "slug": "s", "name": {"en": "Fair"}, **times}
    (mapped,) = Fields(configuration.field_settings()).map([row])
    found = [datetime.fromisoformat(mapped[name]) for name in ("start_time", "end_time")]
    assert found == [START, END] and all(time.tzinfo for time in found)
    assert (mapped["id"], mapped["event_name"], mapped["id_original"]) == ("s", "Fair", 7)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zone in a field", "one of several numbers"])
def test_mapped_times_land_as_instants_and_stay_as_they_are(serve, rows, fields, form):
    toml, times = FORMS[form]
    fields(f"id = 'slug'\nevent_name = 'name'\n{toml}")
    serve()
    events = [{"id": 7, "slug": f"s{n}", "name": {"en": "Fair"}, **times} for n in range(150)]
    load(events)
    table = "SELECT DISTINCT event_name, start_time, end_time, id_original FROM events"
    assert rows(table) == [("Fair", START, END, 7)]
    assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(150, 150)]
    before = rows("SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM events ORDER BY id")
    load(events)
    assert rows("SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM events ORDER BY id") == before
    receipts = "SELECT count(DISTINCT fingerprint), sum(rows_quarantined) FROM scan_receipts"
    assert rows(receipts) == [(1, 0)]


UNREADABLE = {
    "start_time = 'start_time'\nend_time = {path = 'end_time', timezone_path = 'tz'}": {
        "a word": {"start_time": "soon"},
        "a number without unit": {"start_time": SECONDS},
        "digits without unit": {"start_time": str(SECONDS)},
        "milliseconds without unit": {"start_time": "1712011212345"},
        "an object": {"start_time": {"at": "2026-05-01"}},
        "a list": {"start_time": ["2026-05-01"]},
        "true": {"start_time": True},
        "a date that is none": {"start_time": "2026-02-30"},
        "year 10000": {"start_time": "10000-01-01"},
        "before year 1": {"start_time": "0001-01-01T00:00+14:00"},
        "an unknown zone": {"end_time": "2026-05-01T10:00", "tz": "Mars/Phobos"},
    },
    "start_time = {path = 'start_time', unit = 'seconds'}\n"
    "end_time = {path = 'end_time', format = '%d.%m.%Y'}": {
        "a text where a number is told": {"start_time": "2026-05-01T10:00:00Z"},
        "seconds beyond year 9999": {"start_time": SECONDS * 1000},
        "ISO where another format is told": {"end_time": "2026-05-01"},
    },
}


@pytest.mark.parametrize("toml", UNREADABLE, ids=["as they are", "as they are told"])
def test_times_that_cannot_be_read_are_kept_whole_and_counted(serve, run, rows, fields, toml):
    fields(toml)
    events = UNREADABLE[toml]
    serve(
        [{"id": name, **row} for name, row in events.items()] + [{"id": "none", "start_time": None}]
    )
    result = run()
    assert result.success
    found = rows("SELECT id, start_time, end_time FROM events")
    assert sorted(found) == sorted((name, None, None) for name in (*events, "none"))
    for name, row in events.items():
        field, value = next(iter(row.items()))
        text = value if isinstance(value, str) else json.dumps(value)
        kept = "unreadable: " + " ".join(filter(None, [text, row.get("tz")]))
        query = f"SELECT {field}__v_text FROM events WHERE id = '{name}'"
        assert rows(query) == [(kept,)], name
    (check,) = (
        found
        for found in result.get_asset_check_evaluations()
        if found.check_name == "events_end_after_they_start"
    )
    assert not check.passed
    assert check.metadata["unreadable_times"].value == len(events)


def test_a_duration_without_a_start_that_can_be_read_is_kept():
    fields = Fields({"start_time": "at", "end_time": {"duration_path": "for"}})
    (soon, never) = fields.map([{"at": "soon", "for": "PT1H"}, {"at": None, "for": "PT1H"}])
    assert soon["end_time"] == "unreadable: PT1H"
    assert never["end_time"] is None


CALENDAR = [
    {"id": 1, "start": {"dateTime": "2026-05-01T10:00:00+02:00"}, "end": {"date": None}},
    {"id": 2, "start": {"date": "2026-05-01"}, "end": {"date": "2026-05-02"}, "allDay": "yes"},
    {"id": 3, "start": {"dateTime": None, "date": "2026-05-01", "zone": "Asia/Tokyo"}},
    {"id": 4, "start": {"dateTime": "", "date": ""}, "end": None},
    {"id": 5, "start": {"date": "some day"}},
]
CALENDAR_FIELDS = """timezone = 'Europe/Vienna'
start_time = {path = ['start.dateTime', 'start.date'], timezone_path = 'start.zone'}
end_time = ['end.dateTime', 'end.date']
"""


def test_whole_days_among_times_do_not_land_without_a_start(serve, rows, fields):
    fields(CALENDAR_FIELDS + "all_day = true")
    serve(CALENDAR)
    load_configured()
    vienna, tokyo = datetime(2026, 4, 30, 22, tzinfo=UTC), datetime(2026, 4, 30, 15, tzinfo=UTC)
    assert rows("SELECT id, start_time, end_time, all_day FROM events ORDER BY id") == [
        (1, START, None, False),
        (2, vienna, vienna + timedelta(days=1), True),
        (3, tokyo, None, True),
        (4, None, None, False),
        (5, None, None, False),
    ]
    assert rows("SELECT id, all_day_original FROM events WHERE all_day_original <> ''") == [
        (2, "yes")
    ]
    unread = "SELECT id, start_time__v_text FROM events WHERE start_time__v_text IS NOT NULL"
    assert rows(unread) == [(5, "unreadable: some day")]


def test_no_column_is_made_that_nobody_asked_for(fields):
    fields(CALENDAR_FIELDS)
    mapped = Fields(configuration.field_settings()).map(
        [row for row in CALENDAR if "allDay" not in row]
    )
    assert all("start_time" in row and "all_day" not in row for row in mapped)


def test_a_flag_of_the_api_keeps_its_column_where_none_is_asked_for():
    for settings in ({"id": "id"}, {"id": "id", "all_day": False}):
        assert Fields(settings).map([{"id": 1, "allDay": 1}]) == [{"id": 1, "allDay": 1}]


@pytest.mark.parametrize(
    ("setting", "row", "is_date"),
    [
        ("at", {"at": " 2026-05-01 "}, True),
        ("at", {"at": "20260501"}, True),
        ("at", {"at": "2026-W18-5"}, True),
        ("at", {"at": "2026-05-01T00:00"}, False),
        ("at", {"at": "Fri, 01 May 2026 10:00:00 GMT"}, False),
        ({"path": "at", "unit": "seconds"}, {"at": str(SECONDS)}, False),
        ({"path": "at", "format": "%d.%m.%Y"}, {"at": "01.05.2026"}, True),
        ({"path": "at", "format": "%d.%m.%Y %H:%M"}, {"at": "01.05.2026 00:00"}, False),
        ({"path": "at", "time_path": "clock"}, {"at": "2026-05-01", "clock": "00:00"}, False),
        ({"path": "at", "time_path": "clock"}, {"at": "2026-05-01", "clock": None}, True),
    ],
)
def test_a_day_is_told_from_its_first_moment(setting, row, is_date):
    (mapped,) = Fields({"start_time": setting, "all_day": True}).map([row])
    assert mapped["all_day"] is is_date
    assert datetime.fromisoformat(mapped["start_time"]).year == 2026


def test_the_first_of_several_places_with_a_value_wins_whatever_comes_later():
    fields = Fields({"event_name": ["title", "info.name", "slug"], "status": ["status", "state"]})
    rows = [
        {"title": "Fair", "slug": "fair", "status": "open", "state": "x"},
        {"title": "", "info": {"name": {"en": "Fair"}}, "slug": "fair", "status": ""},
        {"title": None, "info": [], "slug": "Fair", "state": 0},
        {"title": ""},
    ]
    mapped = [(row["event_name"], row["status"]) for row in fields.map(rows)]
    assert mapped == [("Fair", "open"), ("Fair", None), ("Fair", "0"), (None, None)]


def test_any_of_several_flags_tells_a_status():
    fields = Fields({"status": {"deleted": ["is_deleted", "deleted_at"]}})
    rows = [{"is_deleted": False, "deleted_at": "2026-05-01"}, {"is_deleted": True}, {}]
    assert [row["status"] for row in fields.map(rows)] == ["deleted", "deleted", None]


def test_originals_stay_beside_the_canonical_fields(serve, rows, fields):
    fields(
        "id = 'slug'\nevent_name = 'title.text'\n"
        "start_time = {path = 'startTime', unit = 'seconds'}\n"
        "end_time = 'end_time'\nstatus = {path = 'status', cancelled = 'gone'}"
    )
    row = {"id": 7, "slug": "fair", "event_name": "FAIR-7", "title": {"text": "Fair"}}
    times = {"startTime": SECONDS, "end_time": "2026-05-01T09:30:00Z"}
    serve([row | times | {"status": "CANCELED", "gone": 1}])
    load_configured()
    assert rows("SELECT id, event_name, start_time, end_time, status FROM events") == [
        ("fair", "Fair", START, END, "cancelled")
    ]
    assert rows(
        "SELECT id_original, slug, event_name_original, title__text, start_time_original, "
        "status_original FROM events"
    ) == [(7, "fair", "FAIR-7", "Fair", SECONDS, "CANCELED")]
    columns = rows(
        "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'events' "
        "AND schema_name = 'events_data'"
    )
    assert columns == [(18,)]  # and gone, four marks, _dlt_id, _dlt_load_id: nothing twice


def test_nothing_is_moved_over_a_field_of_the_api():
    (row,) = Fields({"id": "slug"}).map([{"slug": "a", "id": 1, "ID": 2, "id_original": 3}])
    assert row == {"slug": "a", "id": "a", "id_original": 3} | {
        "id_original_2": 1,
        "id_original_3": 2,
    }


def test_a_local_time_keeps_its_original_text():
    settings = {"start_time": "start_time", "timezone": "Europe/Vienna"}
    (row,) = Fields(settings).map([{"start_time": "2026-05-01T10:00"}])
    assert row == {
        "start_time": "2026-05-01T08:00:00+00:00",
        "start_time_original": "2026-05-01T10:00",
    }


@pytest.mark.parametrize(
    ("language", "names", "name"),
    [
        ("de", {"en": "Fair", "de": "Messe"}, "Messe"),
        ("de", {"en": "Fair", "de_AT": "Messe"}, "Messe"),
        ("pt-BR", {"en": "Fair", "PT_br": "Feira", "pt": "Feira!"}, "Feira"),
        ("pt-BR", {"en": "Fair", "pt": "Feira!"}, "Feira!"),
        ("fr", {"en": "", "it": None, "de": "Messe", "es": "Feria"}, "Messe"),
        (None, {"en": "Fair", "de": "Messe"}, "Fair"),
        ("de", {}, None),
        ("de", "Fair", "Fair"),
        ("de", None, None),
    ],
)
def test_a_name_in_several_languages_is_one_text(language, names, name):
    settings = {"event_name": "event_name"} | ({"language": language} if language else {})
    (row,) = Fields(settings).map([{"event_name": names}])
    assert row["event_name"] == name
    assert row.get("event_name_original", names) == names
    assert ("event_name_original" in row) == (isinstance(names, dict) or language is not None)


def test_rows_with_parts_of_an_id_missing_are_quarantined(serve, rows, fields):
    fields("id = ['organizer.slug', 'slug']")
    whole = [{"organizer": {"slug": "a/b"}, "slug": "c"}, {"organizer": {"slug": "a"}, "slug": 5}]
    serve([*whole, {"organizer": {"slug": "a"}}, {"organizer": "a", "slug": "d"}, 7, None])
    load_configured()
    assert rows("SELECT id FROM events ORDER BY id") == [("a%2Fb/c",), ("a/5",)]
    assert rows("SELECT reason FROM quarantined_events ORDER BY reason") == [
        ("no id",), ("no id",), ("not an object",), ("not an object",),
    ]  # fmt: skip


STATUSES = [
    ({"state": "open"}, "events", "open"),
    ({"state": 3}, "events", "3"),
    ({}, "events", None),
    ({"state": "CANCELED"}, "events", "cancelled"),
    ({"state": "open", "labels": ["x", "cancelled"]}, "events", "open"),
    ({"state": "CANCELED", "gone": True}, "events", "deleted"),
    ({"state": "open", "gone": "2026-05-01T10:00:00Z"}, "events", "deleted"),
    ({"state": "open", "gone": 1}, "events", "deleted"),
    ({"state": "open", "gone": "false"}, "events", "open"),
    ({"state": "open", "gone": 0}, "events", "open"),
    ({"state": "open", "gone": ""}, "events", "open"),
    ({"state": "open"}, "removed_events", "deleted"),
]


@pytest.mark.parametrize(("row", "resource", "status"), STATUSES)
def test_what_is_deleted_or_cancelled_is_told_so(row, resource, status):
    rules = {
        "path": "state",
        "cancelled": {"path": "state", "values": ["CANCELED", "called off"]},
        "deleted": {"path": "gone", "resource": "removed_events"},
    }
    (mapped,) = Fields({"status": rules}).map([row], resource)
    assert mapped == row | {"status": status}


@pytest.mark.parametrize(
    ("values", "found", "told"),
    [
        (["x"], ["a", "x"], True),
        (["x"], ["a"], False),
        ([1], True, False),
        ([True], 1, False),
        ([True], True, True),
        ([None], [None], True),
    ],
)
def test_a_status_is_told_by_a_value_in_a_list(values, found, told):
    fields = Fields({"status": {"cancelled": {"path": "labels", "values": values}}})
    (row,) = fields.map([{"labels": found}])
    assert row["status"] == ("cancelled" if told else None)


def test_a_translation_that_is_no_text_is_kept():
    fields = Fields({"event_name": "title"})
    for title, name in [
        ({"en": {"text": "x"}}, 'unreadable: {"en": {"text": "x"}}'),
        ({"en": None, "de": " "}, None),
        (["x"], 'unreadable: ["x"]'),
    ]:
        (row,) = map(legible, fields.map([{"title": title}]))
        assert row == {"title": title, "event_name": name}


def test_without_settings_rows_are_given_on_untouched():
    rows = [{"id": 1}, 2]
    assert Fields({}).map(rows) == rows


KEYS = st.sampled_from(
    [
        "id",
        "ID",
        "slug",
        "event_name",
        "eventName",
        "name",
        "start_time",
        "startTime",
        "end_time",
        "day",
        "time",
        "tz",
        "status",
        "gone",
        "id_original",
        "start_time_original",
        "",
        " ",
        "a b",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["2026-05-01", "10:00", "Europe/Vienna", str(SECONDS)])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(KEYS, SCALARS, max_size=2)


@given(st.dictionaries(KEYS, VALUES))
def test_whatever_a_row_holds_is_still_there_when_it_is_mapped(row):
    fields = Fields(
        {
            "id": ["slug", "id"],
            "event_name": "name",
            "start_time": {"path": "start_time", "unit": "seconds"},
            "end_time": {"path": "day", "time_path": "time", "timezone_path": "tz"},
            "status": {"path": "status", "deleted": "gone", "cancelled": {"path": "$..status"}},
        }
    )
    (mapped,) = fields.map([row])
    canonical = {"id", "event_name", "start_time", "end_time", "status"}
    kept = [json.dumps(value) for key, value in mapped.items() if key not in canonical]
    assert sorted(kept) == sorted(map(json.dumps, row.values()))
    assert canonical <= mapped.keys()
    assert fields.map([json.loads(json.dumps(row))])[0].keys() == mapped.keys()


def test_rows_are_not_changed_in_place():
    rows = [{"id": 1, "slug": "a"}, None]
    fields = Fields({"id": "slug"})
    assert (
        fields.map(rows) == fields.map(rows) == [{"id": "a", "slug": "a", "id_original": 1}, None]
    )
    assert rows == [{"id": 1, "slug": "a"}, None]
    assert fields.map([{"slug": "b"}]) == [{"slug": "b", "id": "b"}]


def test_the_environment_replaces_single_settings(fields, monkeypatch):
    fields("start_time = 'ts'\nstatus = {path = 'state'}")
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__START_TIME__UNIT", "milliseconds")
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__STATUS__CANCELLED__PATH", "off")
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__STATUS__CANCELLED__VALUES", '["yes"]')
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__ID", '["a", "b"]')
    (row,) = Fields(configuration.field_settings()).map(
        [{"ts": SECONDS * 1000, "off": "yes", "a": 1, "b": 2}]
    )
    assert row["start_time"] == START.isoformat()
    assert (row["status"], row["id"]) == ("cancelled", "1/2")


def test_the_environment_replaces_and_adds_to_several_paths(fields, monkeypatch):
    fields("start_time = ['from', 'ts']\nend_time = 'to'")
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__START_TIME__UNIT", "seconds")
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__END_TIME", '["until", "to"]')
    monkeypatch.setenv("SOURCES__EVENTS__FIELDS__ALL_DAY", "true")
    (row,) = Fields(configuration.field_settings()).map([{"ts": SECONDS, "to": START.isoformat()}])
    assert row["start_time"] == row["end_time"] == START.isoformat() and not row["all_day"]


WRONG = {
    "strat_time = 'a'": "unknown 'strat_time' in sources.events.fields (",
    "start_time = {paht = 'a'}": "did you mean 'path'?",
    "start_time = 5": "start_time must be a path, several, or a table",
    "start_time = []": "start_time must be a text or a list that is not empty",
    "start_time = ['a', 5]": "start_time.1 must be a text",
    "start_time = ['a', 'a[?']": "start_time.1 is 'a[?', which is no JSON path",
    "all_day = true": "has all_day, but start_time is not set",
    "start_time = 'a'\nall_day = 'b'": "all_day must be true or false",
    "start_time = {path = 5}": "start_time.path must be a text",
    "start_time = ''": "start_time must be a text that is not empty",
    "start_time = {}": "start_time has no path",
    "start_time = {unit = 'seconds'}": "start_time has no path",
    "start_time = {path = 'a', unit = 'seconds', format = '%Y'}": "both unit",
    "start_time = {path = 'a', unit = 'second'}": "unit must be 'seconds' or 'milliseconds' (",
    "start_time = {path = 'a', unit = 'hours'}": "unit must be 'seconds' or 'milliseconds' (",
    "start_time = 'a'\nend_time = {duration_path = 'b', unit = 'weeks'}": "'minutes' or 'hours' (",
    "start_time = {path = 'a', format = '%Q'}": "'Q' is a bad directive",
    "start_time = {path = 'a', format = '%d.%m.'}": "it says no whole date",
    "start_time = {path = 'a', format = '%Y-%m-%d %Z'}": "use %z, or timezone_path",
    "start_time = {duration_path = 'a'}": "has a duration_path in start_time",
    "end_time = {duration_path = 'a'}": "start_time is not set",
    "start_time = 'a'\nend_time = {duration_path = 'a', path = 'b'}": "both duration_path and path",
    "start_time = 'a[?'": "start_time is 'a[?', which is no JSON path",
    "timezone = 'Europe/Lisboa'\nend_time = 'a'": "'Europe/Lisboa', which is no time zone",
    "timezone = 1": "timezone must be a text",
    "timezone = 'Europe/Lisbon'": "has a timezone, but neither start_time nor end_time",
    "language = 'en'": "has a language, but event_name is not set",
    "id = []": "id must be a text or a list that is not empty",
    "id = 7": "id must be a text or a list",
    "event_name = []": "event_name must be a text or a list that is not empty",
    "status = {}": "status is empty",
    "status = {deleted = {}}": "status.deleted has neither path nor resource",
    "status = {deleted = {values = ['x']}}": "status.deleted has neither path nor resource",
    "status = {deleted = {path = 'a', values = 'x'}}": "status.deleted.values must be a list",
    "status = {deleted = {path = 'a', value = 'x'}}": "did you mean 'values'?",
    "status = {canceled = {path = 'a'}}": "did you mean 'cancelled'?",
}


@pytest.mark.parametrize("toml", WRONG)
def test_a_wrong_setting_is_named_with_its_remedy(fields, toml):
    fields(toml)
    with pytest.raises(ConfigurationError) as raised:
        Fields(configuration.field_settings())
    assert WRONG[toml] in str(raised.value)
    assert "sources.events.fields" in str(raised.value) and "config.toml, line" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_setting_ends_the_run_before_it_asks(serve, run, fields):
    fields("start_time = {path = 'a', unit = 'years'}")
    api = serve([event(1)])
    assert "start_time.unit must be 'seconds'" in failure(run())
    assert not api.paths
