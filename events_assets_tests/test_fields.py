"""Rows of any API land in the same canonical columns, told by configuration alone."""

from datetime import UTC, datetime

import pytest

from events_assets import configuration

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
def test_every_form_of_time_lands_as_the_same_instant(serve, run, rows, fields, form):
    toml, times = FORMS[form]
    fields(f"id = 'slug'\nevent_name = 'name'\n{toml}")
    serve([{"id": 7, "slug": f"s{n}", "name": {"en": "Fair"}, **times} for n in range(150)])
    assert run().success
    table = "SELECT DISTINCT event_name, start_time, end_time, id_original FROM events"
    assert rows(table) == [("Fair", START, END, 7)]
    assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(150, 150)]
    before = rows("SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM events ORDER BY id")
    assert run().success
    assert rows("SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM events ORDER BY id") == before
    receipts = "SELECT count(DISTINCT fingerprint), sum(rows_quarantined) FROM scan_receipts"
    assert rows(receipts) == [(1, 0)]
