"""An API that answers for windows of start times, for the tests of backfills."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from events_assets.sample_api import Answer
from events_assets_tests.conftest import RESOURCE, event

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
