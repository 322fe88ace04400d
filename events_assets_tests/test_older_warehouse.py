"""A warehouse that an older version wrote can be checked, loaded into and built upon."""

import gzip

import duckdb
import pytest

from events_assets_tests.conftest import ROOT, event, failure
from events_assets_tests.test_checks import evaluate, evaluations

DESCRIBED = "SELECT column_name, column_type FROM (DESCRIBE events)"
WRITTEN = ROOT / "events_assets_tests" / "data" / "warehouse_of_ed6bee2.duckdb.gz"


@pytest.fixture
def older(project, serve):
    """31 events, of which one is renamed and one has no start; one row in quarantine."""
    serve([])
    path = project / "data" / "events.duckdb"
    path.write_bytes(gzip.decompress(WRITTEN.read_bytes()))
    return path


def test_an_older_warehouse_can_be_checked_before_the_next_load(older, instance):
    check = evaluate(instance, "events_scan_is_complete")
    assert check.passed and "32 rows" in check.description


@pytest.mark.slow
def test_the_next_load_goes_on_where_the_older_version_ended(older, serve, run, rows):
    serve([event(number, tags=["c"]) for number in range(10, 40)])
    before = rows(DESCRIBED)
    result = run()
    marks = ["_first_seen_at", "_changed_at", "_removed_at", "_digest"]
    described = rows(DESCRIBED)  # `id` stays where the older version put it
    assert described[:-4] == before and [name for name, _ in described[-4:]] == marks
    assert result.success and all(check.passed for check in evaluations(result).values())
    assert run("daily_events_job").success
    assert rows("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM events") == [
        (40, 40, 0, 39)
    ]
    assert rows("SELECT event_name, price FROM events WHERE id IN (0, 10) ORDER BY id") == [
        ("Renamed", 7),
        ("Event 10", None),
    ]
    assert rows("SELECT verdict, rows_loaded FROM scan_receipts ORDER BY started_at") == [
        ("complete", 31),
        ("complete", 31),
        ("complete", 30),
    ]
    assert rows("SELECT sum(events) FROM daily_events") == [(30,)]
    assert rows("SELECT min(id), count(*) FROM current_events") == [(10, 30)]
    assert rows("SELECT change, count(*) FROM event_changes GROUP BY 1 ORDER BY 1") == [
        ("arrived", 30),
        ("removed", 10),
    ]
    assert rows("SELECT count(*) FROM quarantined_events") == [(2,)]
    serve([*(event(number) for number in range(10, 40)), {"event_name": "No id"}])
    run()
    assert rows("SELECT count(*) FROM quarantined_events") == [(1,)]


def test_checks_read_receipts_that_have_not_all_that_is_noted_today(older, instance):
    with duckdb.connect(str(older)) as connection:
        for column in ("duplicate_ids", "duplicate_ids_sample", "step_backs", "rows_quarantined"):
            connection.execute(f"ALTER TABLE events_data.scan_receipts DROP COLUMN {column}")
    assert evaluate(instance, "event_ids_are_unique").metadata["answered_twice"].value == 0
    assert evaluate(instance, "events_scan_is_complete").metadata["step_backs"].value == 0
    assert evaluate(instance, "no_events_were_quarantined").passed


def test_a_file_of_a_newer_duckdb_is_named_with_the_ways_out(serve, run, project):
    newer = (WRITTEN.parent / "empty_of_duckdb_2.duckdb.gz").read_bytes()
    (project / "data" / "events.duckdb").write_bytes(gzip.decompress(newer))
    serve([event(1)])
    result = run()
    assert "a newer DuckDB wrote the file: set another one" in failure(result)
