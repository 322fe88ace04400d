"""The sample API is what its documentation says, and its events are believable."""

from datetime import UTC, datetime

import pytest
import requests

from events_assets.sample_api import EVENTS, sample_events, serving


@pytest.fixture(scope="module")
def api():
    with serving() as api:
        yield api


def get(api, path="/v1/events", **params):
    return requests.get(api.base_url + path, params={"api_key": api.key, **params}, timeout=5)


def test_it_answers_pages_with_a_total(api):
    page = get(api, offset=1150, limit=70).json()
    assert len(page["data"]) == 50 and page["total"] == EVENTS == 1200


def test_it_caps_the_limit(api):
    assert len(get(api, limit=5000).json()["data"]) == 100


def test_it_wants_its_own_key(api):
    assert get(api, api_key="another").status_code == 401
    assert requests.get(f"{api.base_url}/v1/events", timeout=5).status_code == 401
    with serving() as other:
        assert other.key != api.key


@pytest.mark.parametrize(
    "params", [{"offset": -1}, {"offset": "x"}, {"limit": 0}, {"limit": "1e3"}]
)
def test_it_refuses_nonsense(api, params):
    assert get(api, **params).status_code == 400


def test_it_has_nothing_elsewhere(api):
    assert get(api, "/v2/events").status_code == 404


def test_its_events_are_the_same_all_day_and_lie_around_today():
    today = datetime(2026, 5, 17, 23, 59, tzinfo=UTC)
    events = sample_events(today=today)
    assert events == sample_events(today=today.replace(hour=0, minute=1))
    starts = [datetime.fromisoformat(event["start_time"]) for event in events]
    assert min(starts) < today < max(starts)
    assert len({event["id"] for event in events}) == len(events)
    assert len({start.utcoffset() for start in starts}) > 4
    assert any(event["end_time"] is None for event in events)
    assert {event["status"] for event in events} == {"past", "scheduled", "cancelled"}
    ends = [event["end_time"] and datetime.fromisoformat(event["end_time"]) for event in events]
    assert all(end is None or end > start for start, end in zip(starts, ends, strict=True))
