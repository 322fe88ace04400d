"""What the API holds is what the table holds, after the first load and after the next."""

from datetime import UTC, datetime

import pytest

from events_assets_tests.conftest import event


@pytest.mark.parametrize("count", [0, 1, 2, 99, 100, 101, 199, 200, 250])
def test_no_event_is_lost_or_doubled_at_the_edges_of_pages(serve, run, rows, count):
    serve([event(number) for number in range(1, count + 1)])
    assert run().success
    assert rows("SELECT id FROM events ORDER BY id") == [(n,) for n in range(1, count + 1)]


def test_a_second_load_changes_and_adds_without_repeats(serve, run, rows):
    api = serve([event(number) for number in range(150)])
    assert run().success
    api.events[3]["event_name"] = "Renamed"
    api.events.append(event(150))
    assert run().success
    assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(151, 151)]
    assert rows("SELECT event_name FROM events WHERE id = 3") == [("Renamed",)]
    assert rows("SELECT count(*) FROM scan_receipts") == [(2,)]


def test_an_identical_load_leaves_the_same_rows(serve, run, rows):
    serve([event(number, tags=["a", "b"]) for number in range(5)])
    assert run().success and run().success
    assert rows("SELECT count(*) FROM events") == [(5,)]
    assert rows("SELECT count(*) FROM events__tags") == [(10,)]


def test_canonical_columns_exist_where_every_value_is_null(serve, run, rows):
    serve([{"id": 1}, {"id": 2, "event_name": None, "start_time": None, "end_time": None}])
    assert run().success
    columns = dict(
        rows(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE table_name = 'events' AND schema_name = 'events_data'"
        )
    )
    assert columns["id"] == "BIGINT"
    assert columns["event_name"] == "VARCHAR"
    assert columns["start_time"] == columns["end_time"] == "TIMESTAMP WITH TIME ZONE"


def test_canonical_columns_exist_before_the_first_event(serve, run, rows):
    serve([])
    assert run().success
    assert rows("SELECT id, event_name, start_time, end_time FROM events") == []


def test_times_keep_their_instant(serve, run, rows):
    serve([event(1, start_time="2026-07-01T23:30:00-03:00", end_time=None)])
    assert run().success
    ((start, end),) = rows("SELECT start_time, end_time FROM events")
    assert start.astimezone(UTC) == datetime(2026, 7, 2, 2, 30, tzinfo=UTC) and end is None


def test_text_that_looks_like_a_time_stays_an_id(serve, run, rows):
    serve([event(0, id="2026-05-01T10:00:00Z"), event(1, id="b")])
    assert run().success
    assert rows("SELECT id FROM events ORDER BY id") == [("2026-05-01T10:00:00Z",), ("b",)]


def test_nested_values_become_columns_and_child_rows(serve, run, rows):
    serve([event(1, venue={"city": "Kraków", "geo": {"lat": 50.1}}, tags=["x", "y"])])
    assert run().success
    assert rows("SELECT venue__city, venue__geo__lat FROM events") == [("Kraków", 50.1)]
    assert rows("SELECT value FROM events__tags ORDER BY value") == [("x",), ("y",)]


def test_sample_events_stay_apart_from_real_ones(serve, run, rows, monkeypatch):
    serve([event(1)])
    assert run().success
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", "sample")
    monkeypatch.delenv("API_KEY")
    assert run().success
    assert rows("SELECT count(*) FROM events_data.events") == [(1,)]
    assert rows("SELECT count(*) FROM events_sample.events") == [(1200,)]


def test_the_load_is_told_in_numbers_and_with_a_preview(serve, run):
    serve([event(number) for number in range(101)])
    result = run()
    (load,) = result.asset_materializations_for_node("load_events")
    shown = {name: value.value for name, value in load.metadata.items()}
    assert shown["dagster/row_count"] == shown["rows_loaded"] == 101
    assert shown["requests"] == 2 and shown["verdict"].startswith("complete")
    assert "Event 4" in shown["preview"]
    names = [column.name for column in shown["dagster/column_schema"].columns]
    assert {"id", "event_name", "start_time", "end_time"} <= set(names)


def test_the_receipt_adds_up(serve, run, rows):
    serve([event(number) for number in range(250)])
    assert run().success
    ((received, loaded, repeats, quarantined, distinct, total, verdict),) = rows(
        "SELECT rows_received, rows_loaded, repeats, rows_quarantined, distinct_ids, total_last,"
        " verdict FROM scan_receipts"
    )
    assert received == loaded + repeats + quarantined
    assert (loaded, distinct, total, verdict) == (250, 250, 250, "complete")
