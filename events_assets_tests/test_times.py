"""Every form of time means one instant, and what is none is never taken for one."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from dlt.common.data_types import coerce_value
from hypothesis import example, given
from hypothesis import strategies as st

from events_assets import settings
from events_assets.errors import UnreadableTimeError
from events_assets.rows import times

ZONES = st.sampled_from(
    ["UTC", "Europe/Lisbon", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe",
     "Pacific/Apia", "Africa/Casablanca", "America/New_York", "Europe/Dublin"]
).map(ZoneInfo)  # fmt: skip

INSTANTS = st.datetimes(
    datetime(1900, 1, 3), datetime(9999, 12, 28), timezones=st.just(UTC)
)  # fmt: skip

ISO_FORMS = [
    lambda time: time.isoformat(),
    lambda time: time.isoformat(" "),
    lambda time: time.isoformat().lower(),
    lambda time: time.isoformat(timespec="microseconds").replace("+", "999+"),
    lambda time: time.strftime("%Y%m%dT%H%M%S.%f%z"),
    lambda time: time.strftime("%Y-%m-%d %H:%M:%S.%f %z"),
    lambda time: time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    lambda time: time.astimezone(UTC).isoformat().replace("+00:00", "z"),
    lambda time: time.astimezone(UTC).isoformat(" ").replace("+00:00", " UTC"),
]


def minutes(time):
    """Whether the offset is of whole minutes; that of local mean time is not."""
    return not time.utcoffset() % timedelta(minutes=1)


@given(INSTANTS, ZONES, st.sampled_from(ISO_FORMS), ZONES)
def test_a_time_with_offset_is_the_same_instant_in_every_form(instant, zone, form, other):
    time = instant.astimezone(zone)
    if not minutes(time):
        time = instant
    read = times.from_text(form(time), other)
    assert read == instant
    assert read.tzinfo is UTC


@given(INSTANTS, ZONES, ZONES)
@example(datetime(1999, 10, 31, tzinfo=UTC), ZoneInfo("Europe/Lisbon"), ZoneInfo("UTC"))
def test_a_time_of_mail_and_http_is_the_same_instant(instant, zone, other):
    second = instant.replace(microsecond=0)  # Python never calls the hour that comes twice equal
    time = second.astimezone(zone)
    if not minutes(time):
        time = second
    assert times.from_text(format_datetime(time), other) == second
    http = format_datetime(second, usegmt=True)
    assert times.from_text(http, other) == second


@given(INSTANTS, ZONES)
def test_a_local_time_is_the_instant_that_its_zone_says(instant, zone):
    local = instant.astimezone(zone)
    text = local.replace(tzinfo=None).isoformat()
    read = times.from_text(text, settings.zone(zone.key))
    # The second of two equal local times is read as the first.
    assert read == (instant if not local.fold else local.replace(fold=0).astimezone(UTC))
    form = "%Y-%m-%dT%H:%M:%S.%f" if "." in text else "%Y-%m-%dT%H:%M:%S"
    assert times.from_format(text, form, zone) == read


def next_change(zone, start):
    """The first second after a change of the clock, None if there is none in 20 years."""
    for week in range(20 * 52):
        first, last = (start + timedelta(weeks=number) for number in (week, week + 1))
        offset = first.astimezone(zone).utcoffset()
        if offset == last.astimezone(zone).utcoffset():
            continue
        while last - first > timedelta(seconds=1):
            middle = first + timedelta(seconds=(last - first).total_seconds() // 2)
            same = middle.astimezone(zone).utcoffset() == offset
            first, last = (middle, last) if same else (first, middle)
        return last
    return None


@given(
    st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})),
    st.integers(1970, 2037),
    st.integers(-180, 180),
)
@example("Africa/Monrovia", 1971, 10)
@example("Pacific/Apia", 2011, 60)
@example("Australia/Lord_Howe", 2026, -15)
def test_local_times_around_a_change_of_the_clock_are_told_by_what_the_clock_showed(
    name, year, minutes
):
    zone = ZoneInfo(name)
    change = next_change(zone, datetime(year, 1, 1, tzinfo=UTC))
    if change is None:
        return
    before, after = (
        instant.astimezone(zone).utcoffset() for instant in (change - timedelta(hours=1), change)
    )
    local = (change + min(before, after)).replace(tzinfo=None) + timedelta(minutes=minutes)
    instants = [(local - offset).replace(tzinfo=UTC) for offset in (before, after)]
    showed = [one for one in instants if one.astimezone(zone).replace(tzinfo=None) == local]
    # The first of two; one that the clock skipped has the offset before the change.
    meant = min(showed, default=instants[0])
    assert times.from_text(local.isoformat(), settings.zone(name)) == meant


@given(INSTANTS)
def test_a_unix_time_is_the_same_instant_as_number_and_as_text(instant):
    microseconds = (instant - times.EPOCH) // timedelta(microseconds=1)
    seconds, milliseconds = microseconds // 1_000_000, microseconds // 1_000
    for value in (seconds, str(seconds), f" {seconds} ", f"{seconds}.0", float(seconds)):
        read = times.from_number(value, "seconds")
        assert read == instant.replace(microsecond=0)
    for value in (milliseconds, str(milliseconds), float(milliseconds)):
        read = times.from_number(value, "milliseconds")
        assert read == instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    sign, rest = "-" * (microseconds < 0), abs(microseconds)
    text = f"{sign}{rest // 1_000_000}.{rest % 1_000_000:06}"
    assert times.from_number(text, "seconds") == instant


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        # The clock goes from 2:00 to 3:00 (RFC 5545 has New York's of 2007 as its example).
        ("America/New_York", "2007-03-11T02:30", "2007-03-11T07:30"),
        ("Europe/Vienna", "2026-03-29T02:30", "2026-03-29T01:30"),
        # ... and from 3:00 to 2:00.
        ("America/New_York", "2007-11-04T01:30", "2007-11-04T05:30"),
        ("Europe/Vienna", "2026-10-25T02:30", "2026-10-25T00:30"),
        # Half an hour, a whole day, and midnight.
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T22:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"),
    ],
)
def test_a_local_time_that_the_clock_skips_or_repeats_is_read_as_rfc_5545_says(zone, local, utc):
    assert times.from_text(local, settings.zone(zone)) == datetime.fromisoformat(f"{utc}+00:00")


@pytest.mark.parametrize(
    ("name", "hours"),
    [("UTC", 0), ("Z", 0), ("+02:00", 2), ("-0330", -3.5), ("+9", 9), ("UTC+2", 2), ("GMT", 0)],
)
def test_a_zone_may_be_a_name_or_an_offset(name, hours):
    assert settings.zone(name).utcoffset(datetime(2026, 5, 1)) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Phobos", "+25:00", "+02:60", "America", "../etc/passwd", "/etc/localtime",
     "localtime", "CEST", "2", "a\0b"],
)  # fmt: skip
def test_a_zone_that_does_not_exist_is_not_utc(name):
    with pytest.raises(UnreadableTimeError):
        settings.zone(name)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "1777622400", "1777622400000", "1712011212345", "171201121234", "2026-02-30",
     "2026-05", "2026", "10:00", "2026-05-01T25:00", "2026-05-01_10:00", "2026-05-01T10:00 CEST",
     "2026-05-01T10:00+24:00", "2026-05-01T10:00Zulu", "01.05.2026", "05/01/2026", "10000-01-01",
     "0001-01-01T00:00+14:00", "9999-12-31T23:59-01:00", "-2026-05-01", "\uff12026-05-01",
     "Fri, 01 May 2026 10:00:00 CEST", "Fri, 01 May 2026 10:00:00", "Fri, 31 Feb 2026 10:00:00 GMT",
     "2026-05-01/2026-05-02", "2026-05-01T10:00:00\n2026-05-01", "a\0b", "\ud800"],
)  # fmt: skip
def test_a_text_that_is_no_time_is_refused(text):
    with pytest.raises(UnreadableTimeError):
        times.from_text(text, UTC)


@pytest.mark.parametrize(
    "value",
    [True, None, "", "soon", "1e9", "0x10", "1_000", "٣", float("nan"), float("inf"), 10**400,
     "9" * 30, 253402300800, -62135596801, [1], {}],
)  # fmt: skip
def test_a_number_that_is_no_time_is_refused(value):
    with pytest.raises(UnreadableTimeError):
        times.from_number(value, "seconds")


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        (90, "minutes", 5400), ("90", "minutes", 5400), (1.5, "hours", 5400), (9, "seconds", 9),
        (5_400_000, "milliseconds", 5400), (0, "hours", 0), (-5, "seconds", -5),
        ("PT1H30M", None, 5400), ("pt90m", None, 5400), ("PT1.5H", None, 5400),
        ("P1D", None, 86400),
        ("P1DT2H", None, 93600), ("P1W", None, 604800), ("PT0.5S", None, 0.5),
        ("1:30", None, 5400), ("01:30:15", None, 5415), ("36:00", None, 129600),
    ],
)  # fmt: skip
def test_a_duration_has_its_length(value, unit, seconds):
    assert times.duration(value, unit) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "unit"),
    [(90, None), ("90", None), ("P", None), ("PT", None), ("P1DT", None), ("P1M", None),
     ("P1Y", None), ("1:60", None), ("long", None), ("PT1H", "hours"), (True, "hours"),
     ("P99999999999D", None), (10**30, "hours"), ("P" + "9" * 5000 + "D", None)],
)  # fmt: skip
def test_a_duration_without_a_length_is_refused(value, unit):
    with pytest.raises(UnreadableTimeError):
        times.duration(value, unit)


@given(st.text() | st.integers() | st.booleans() | st.lists(st.text()))
@example("2026-05-01T10:00:00Z")
@example("1777622400")
@example(1777622400)
def test_dlt_takes_nothing_unreadable_for_a_time(value):
    text = times.unreadable(value)
    assert text.removeprefix("unreadable: ") in (value, json.dumps(value))
    with pytest.raises(ValueError):
        coerce_value("timestamp", "text", text)


@given(INSTANTS)
def test_dlt_takes_what_is_handed_on_for_the_same_instant(instant):
    assert coerce_value("timestamp", "text", instant.isoformat()) == instant


@given(st.text(alphabet="0123456789-:TWZ+. ", max_size=30) | st.text())
def test_any_text_is_read_or_refused(text):
    for read in (
        lambda: times.from_text(text, UTC),
        lambda: times.from_number(text, "seconds"),
        lambda: times.duration(text),
        lambda: settings.zone(text),
        lambda: times.from_format(text, "%d.%m.%Y", UTC),
    ):
        with suppress(UnreadableTimeError):
            read()


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1777622400, "seconds"), ("1777622400", "seconds"), (1777622400000, "milliseconds"),
        (1777622400.5, "seconds"), (7, None), ("7", None), (20260501, None), (True, None),
        ("2026-05-01", None), (1777622400000000, None), (None, None), ([1777622400], None),
    ],
)  # fmt: skip
def test_only_numbers_of_likely_years_look_like_unix_times(value, unit):
    assert times.unix_unit(value) == unit


@pytest.mark.parametrize(
    ("text", "told"),
    [("2026-05-01T10:00", False), ("2026-05-01", False), ("2026-05-01T10:00Z", True),
     ("2026-05-01T10:00:00+01:00", True), ("Fri, 01 May 2026 10:00:00 GMT", True)],
)  # fmt: skip
def test_a_local_time_is_told_from_one_with_an_offset(text, told):
    assert times.has_offset(text) is told


@pytest.mark.parametrize(
    ("written", "clock"),
    [
        ("10:00", "10:00"),
        ("9:30:05.5", "09:30:05.5"),
        ("9:30 PM", "21:30"),
        ("12:05 a.m.", "00:05"),
        ("12 pm", "12:00"),
        ("0930", "09:30"),
        ("930", "09:30"),
        (930, "09:30"),
        (0, "00:00"),
        ("9.30", "09:30"),
        ("19h30", "19:30"),
        ("19h", "19:00"),
        ("19 Uhr", "19:00"),
        ("19:30 Uhr", "19:30"),
        ("10:00:00+02:00", "10:00:00+02:00"),
        ("19", "19"),
        ("25:00", "25:00"),
    ],
)
def test_a_time_of_day_is_read_however_it_is_written(written, clock):
    assert times.clock(written) == clock


@pytest.mark.parametrize("value", [2430, 990, -1, True, 9.5, None, ["10:00"]])
def test_what_is_no_time_of_day_is_not_guessed(value):
    with pytest.raises(UnreadableTimeError):
        times.clock(value)
