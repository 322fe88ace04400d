"""Events are counted per day and status, as a table and as a chart."""

from datetime import date

import pytest

from events_assets.defs.pictures import over_time
from events_assets_tests.conftest import event, failure, load


@pytest.mark.slow
def test_events_are_counted_per_utc_day_and_status_and_counts_are_replaced(serve, run, rows):
    api = serve(
        [
            event(1),
            event(2),
            event(3, status="cancelled"),
            event(4, start_time="2026-05-01T23:30:00-03:00", end_time=None),
            event(5, start_time=None, status=None),
        ]
    )
    assert run().success
    (daily,) = run("daily_events_job").asset_materializations_for_node("daily_events")
    assert rows("SELECT day, status, events FROM daily_events ORDER BY day, status") == [
        (date(2026, 5, 1), "cancelled", 1),
        (date(2026, 5, 1), "scheduled", 2),
        (date(2026, 5, 2), "scheduled", 1),
        (None, None, 1),
    ]
    for name in ("events_over_time", "chart"):
        assert "scheduled 3" in daily.metadata[name].value
    # The day as a whole, not one of its statuses.
    assert daily.metadata["busiest_days"].value.splitlines()[2].split("|")[1:3] == [
        " 2026-05-01  ",
        " 3        ",
    ]

    times = {"start_time": "2026-05-02T10:00:00Z", "end_time": "2026-05-02T12:00:00Z"}
    api.events = [event(1, **times)]
    assert run().success and run("daily_events_job").success
    assert rows("SELECT day, events FROM daily_events") == [(date(2026, 5, 2), 1)]


def test_an_api_without_a_status_is_counted_all_the_same(serve, run, rows):
    serve()
    load([{"id": 1, "start_time": "2026-05-01T10:00:00Z"}])
    assert run("daily_events_job").success
    assert rows("SELECT day, status, events FROM daily_events") == [(date(2026, 5, 1), None, 1)]


def test_no_events_give_an_empty_table(serve, run, rows):
    serve()
    load([])
    assert run("daily_events_job").success
    assert rows("SELECT * FROM daily_events") == []


def test_without_events_it_says_what_to_do_first(run):
    told = failure(run("daily_events_job"), "daily_events")
    assert "materialize the asset events first" in told


def test_a_wrong_year_hides_no_other_day_and_ends_no_run(serve, run, rows):
    serve()
    load([event(1, start_time="0001-01-01T00:00:00Z"), event(2), event(3), event(4)])
    assert run("daily_events_job").success
    assert rows("SELECT sum(events) FROM daily_events") == [(4,)]
    days = [(date(2026, 5, 1), "scheduled", 3)]
    assert "scheduled 3" in over_time([(date(1, 1, 1), "scheduled", 1), *days])
