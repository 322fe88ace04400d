"""What someone drops from the warehouse by hand is made again by the next load."""

import pytest

from events_assets.errors import WarehouseError
from events_assets_tests.conftest import event, load

pytestmark = pytest.mark.slow

ROWS = [event(1, tags=[{"name": "a", "in": ["x"]}]), event(2, tags=[{"name": "b"}]), {"id": None}]
TABLES = ("events", "events__tags", "events__tags__in", "scan_receipts", "quarantined_events")


def test_a_dropped_table_is_made_again(rows):
    load(ROWS)
    for loads, table in enumerate((*TABLES, None), start=2):
        if table:
            rows(f"DROP TABLE events_sample.{table}")
        load(ROWS)
        counts = [rows(f"SELECT count(*) FROM events_sample.{one}")[0][0] for one in TABLES]
        assert counts[:3] == [2, 2, 1]  # no item of a list is left over from the dropped table
        since = TABLES.index("scan_receipts") + 1 if loads > 4 else 0
        assert counts[3:] == [loads - since, 1]


def test_dropped_columns_are_made_again(rows):
    load(ROWS)
    before = rows("SELECT table_name, column_name FROM duckdb_columns() ORDER BY ALL")
    for table, name in {
        "events": "event_name",
        "events__tags": "name",
        "scan_receipts": "proof",
        "quarantined_events": "run_id",
    }.items():
        rows(f"ALTER TABLE events_sample.{table} DROP COLUMN {name}")
    load(ROWS)
    assert rows("SELECT table_name, column_name FROM duckdb_columns() ORDER BY ALL") == before
    assert rows("SELECT count(event_name) FROM events_sample.events") == [(2,)]


def test_a_dropped_key_is_told_with_its_table(rows):
    load(ROWS)
    rows("ALTER TABLE events_sample.events DROP COLUMN id")
    with pytest.raises(WarehouseError, match=r"column events\.id was dropped .* drop the table"):
        load(ROWS)


def test_where_nothing_was_dropped_nothing_is_made(caplog, rows):
    load(ROWS)
    versions = rows("SELECT version, inserted_at FROM events_sample._dlt_version ORDER BY 1")
    for _ in range(2):
        load(ROWS)
    assert "made again" not in caplog.text
    assert (
        rows("SELECT version, inserted_at FROM events_sample._dlt_version ORDER BY 1") == versions
    )
