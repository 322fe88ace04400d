"""Events are counted per day and status, as a table and as a chart."""

from datetime import date

from events_assets_tests.conftest import event, failure


def test_events_are_counted_per_utc_day_and_status(serve, run, rows):
    serve(
        [
            event(1),
            event(2),
            event(3, status="cancelled"),
            event(4, start_time="2026-05-01T23:30:00-03:00", end_time=None),
            event(5, start_time=None, status=None),
        ]
    )
    assert run().success and run("daily_events_job").success
    assert rows("SELECT day, status, events FROM daily_events ORDER BY day, status") == [
        (date(2026, 5, 1), "cancelled", 1),
        (date(2026, 5, 1), "scheduled", 2),
        (date(2026, 5, 2), "scheduled", 1),
        (None, None, 1),
    ]


def test_days_are_replaced_not_added(serve, run, rows):
    api = serve([event(1)])
    assert run().success and run("daily_events_job").success
    api.events[0]["start_time"] = "2026-05-02T10:00:00Z"
    api.events[0]["end_time"] = None
    assert run().success and run("daily_events_job").success
    assert rows("SELECT day, events FROM daily_events") == [(date(2026, 5, 2), 1)]


def test_an_api_without_a_status_is_counted_all_the_same(serve, run, rows):
    serve([{"id": 1, "start_time": "2026-05-01T10:00:00Z"}])
    assert run().success and run("daily_events_job").success
    assert rows("SELECT day, status, events FROM daily_events") == [(date(2026, 5, 1), None, 1)]


def test_no_events_give_an_empty_table(serve, run, rows):
    serve([])
    assert run().success and run("daily_events_job").success
    assert rows("SELECT * FROM daily_events") == []


def test_the_chart_is_a_picture_in_the_metadata(serve, run):
    serve([event(1), event(2, status="cancelled")])
    assert run().success
    (load,) = run("daily_events_job").asset_materializations_for_node("daily_events")
    chart = load.metadata["chart"].value
    assert chart.startswith("![Events per day](data:image/png;base64,iVBOR") and len(chart) > 5000
    assert "2026-05-01" in load.metadata["busiest_days"].value


def test_without_events_it_says_what_to_do_first(run):
    told = failure(run("daily_events_job"), "daily_events")
    assert "materialize the asset events first" in told
