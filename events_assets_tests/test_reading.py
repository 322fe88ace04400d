"""An analyst reads what was loaded by dlt's own means, without anything of this project."""

import dlt
import pytest

from events_assets_tests.conftest import load_configured


# DuckDB announces what pyproject.toml keeps away; an announcement is an error in tests.
@pytest.mark.filterwarnings(r"ignore:fetch_arrow_table\(\) is deprecated")
def test_the_events_can_be_filtered_and_read_as_frames_and_as_rows(project):
    load_configured()  # of the sample API; from here on only the file is known
    warehouse = dlt.destinations.duckdb(str(project / "data" / "events.duckdb"))
    events = dlt.dataset(warehouse, "events_sample").events
    frame, table = events.df(), events.arrow()
    assert set(frame.columns[:4]) == {"id", "event_name", "start_time", "end_time"}
    assert table.num_rows == len(frame) == frame["id"].nunique() == 1200
    assert table["id"].to_pylist() == frame["id"].tolist()
    assert str(frame["start_time"].dt.tz) == str(table.schema.field("start_time").type.tz)

    assert [len(rows) for rows in events.iter_fetch(500)] == [500, 500, 200]
    assert [len(part) for part in events.iter_arrow(2048)] == [1200]

    cancelled = events.where("status", "eq", "cancelled").select("id", "status").df()
    assert 0 < len(cancelled) < 1200
    assert set(cancelled["status"]) == {"cancelled"}
    assert events.where("status = 'cancelled'").select("id").fetchall() == [
        (number,) for number in cancelled["id"]
    ]
    assert len(events.order_by("start_time").limit(5).fetchall()) == 5
