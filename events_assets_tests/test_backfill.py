"""All events are read window by window, side by side, and loaded as one scan."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from events_assets.sample_api import Answer
from events_assets_tests.conftest import RESOURCE, event, load_configured

JOB = "events_backfill_job"
WINDOWS = (
    '[sources.events.client]\nbase_url = "set by the environment"\n'
    '[sources.events.client.auth]\ntype = "api_key"\nname = "api_key"\nlocation = "query"\n'
    + RESOURCE
    + """
paginator = { type = "offset", limit = 10 }
[sources.events.windows]
start_param = "from"
end_param = "until"
"""
)
FOLDER = Path("data/backfill")


class Calendar:
    """Answers for windows of start times; both ends belong to them. `asked` are the queries."""

    def __init__(self, events):
        self.events, self.asked, self.refuses = events, [], lambda query: False

    def __call__(self, _number, path):
        query = dict(parse_qsl(urlsplit(path).query))
        self.asked.append(query)
        if self.refuses(query):
            return Answer(500, {"error": "down"})
        found = self.events
        if "from" in query:
            ends = [datetime.fromisoformat(query[name]) for name in ("from", "until")]
            found = [one for one in found if self.is_within(one, *ends)]
        start, size = int(query["offset"]), int(query["limit"])
        return Answer(200, {"data": found[start : start + size], "total": len(found)})

    @staticmethod
    def is_within(one, first, last):
        start = one["start_time"]
        return start is not None and first <= datetime.fromisoformat(start) <= last


def dated(count):
    """Events of three months, some of them at the very moment at which a month begins."""
    times = [
        datetime(2026, 5 + n % 3, 1 + n // 3 % 28, 12 * (n % 2), tzinfo=UTC) for n in range(count)
    ]
    return [event(n, start_time=time.isoformat(), end_time=None) for n, time in enumerate(times)]


def moved(number, start):
    return event(number, start_time=start, end_time=None)


@pytest.fixture
def calendar(serve, configure, monkeypatch):
    """An API of events of three months, which are there already."""
    configure(WINDOWS)
    calendar = Calendar(dated(150))
    serve().intercept = calendar
    load_configured()
    calendar.asked.clear()
    return calendar


def receipts(rows, *columns):
    return rows(f"SELECT {', '.join(columns)} FROM scan_receipts ORDER BY started_at, resource")


def test_all_windows_make_one_scan_with_a_receipt_for_each(calendar, run, rows):
    calendar.events[:2] = [moved(1, "2026-06-01T00:00:00Z"), moved(500, "2026-07-31T00:00:00Z")]
    assert run(JOB).success
    assert rows("SELECT count(*) FROM current_events") == [(150,)]
    names = ("resource", "verdict", "proof", "rows_inserted", "rows_updated", "rows_removed")
    whole = ("events", "complete", "two equal passes", 1, 1, 1)
    assert receipts(rows, *names)[1] == whole
    windows = receipts(rows, "resource", "scan_kind", "verdict", "rows_loaded")[2:]
    assert {(kind, verdict) for _, kind, verdict, _ in windows} == {("window", "complete")}
    assert [name for name, *_ in windows] == [
        "events from 1970-01-01T00:00:00Z to 2026-05-01T00:00:00Z",
        "events from 2026-04-30T23:59:59Z to 2026-06-01T00:00:00Z",
        "events from 2026-05-31T23:59:59Z to 2026-07-01T00:00:00Z",
        "events from 2026-06-30T23:59:59Z to 2100-01-01T00:00:00Z",
    ]
    assert sum(loaded for *_, loaded in windows) == 150
    assert not [*FOLDER.iterdir()]


def test_the_load_asks_for_nothing_that_was_read(calendar, run, rows):
    assert run(JOB).success
    pages = [json.dumps(query) for query in calendar.asked]
    assert {*map(pages.count, pages)} == {2}
    assert receipts(rows, "requests")[1] == (len(pages),)
