"""Whoever opens the database, dlt's schema or the catalog reads what tables and columns hold."""

from dataclasses import fields

import pytest

from events_assets.descriptions import CHANGES, RECEIPT
from events_assets.scan.receipt import Receipt
from events_assets.scan.tables import CHANGE_COLUMNS
from events_assets_tests.conftest import event, load, load_configured

COMMENTS = """
SELECT c.relname, a.attname, d.description FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'events_data'
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = a.attnum
WHERE c.relkind IN ('r', 'v') AND c.relname NOT LIKE '\\_dlt%' ESCAPE '\\'
"""
OF_TABLES = """
SELECT c.relname, d.description FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'events_data'
LEFT JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = 0
WHERE c.relkind IN ('r', 'v')
"""
SCHEMAS = "SELECT count(*) FROM _dlt_version"


def comments(rows):
    return {(table, column): text for table, column, text in rows(COMMENTS)}


def test_no_table_and_no_column_is_left_without_a_word(serve, run, rows):
    serve([event(1, tags=["a"], venue={"city": "Lisboa"}, price=1), event(2, price="free")])
    assert run().success and run("daily_events_job").success
    found = comments(rows)
    assert [place for place, text in found.items() if not text] == []
    assert [table for table, text in rows(OF_TABLES) if not text] == []
    assert "`venue.city`" in found["events", "venue__city"]
    assert "do not fit" in found["events", "price__v_text"]
    for column in ("start_time", "venue__city", "_removed_at"):
        assert found["current_events", column] == found["events", column]
    assert "torn" in found["scan_receipts", "verdict"]
    assert "list `tags`" in dict(rows(OF_TABLES))["events__tags"]


@pytest.mark.slow
def test_the_second_load_writes_no_description_again(serve, rows):
    serve()
    load([event(1)])
    load([event(1), event(2)])  # dlt notes more of the columns then
    before = rows(SCHEMAS)
    assert load([event(1), event(2), event(3)]) and rows(SCHEMAS) == before
    load([event(1, price=1)])
    assert ("events", "price") in comments(rows)


def test_what_the_user_says_of_a_column_wins(serve, rows, configure, project):
    config = (project / ".dlt" / "config.toml").read_text()
    hint = 'columns = { price = { description = "100 %, don\'t ask \\"why\\": {}" } }'
    configure(config.split("[runtime]")[0].replace('name = "events"', f'name = "events"\n{hint}'))
    serve([event(1, price=5)])
    for _ in range(2):
        load_configured()
        assert comments(rows)["events", "price"] == '100 %, don\'t ask "why": {}'
    assert rows(SCHEMAS)[0][0] < 4


@pytest.mark.slow
def test_a_table_that_was_dropped_by_hand_is_described_again(serve, rows):
    serve()
    load([event(1)])
    rows("DROP TABLE event_changes")
    rows("COMMENT ON COLUMN events.start_time IS 'wrong'")
    load([event(1)])
    found = comments(rows)
    assert found["event_changes", "field"] and found["events", "start_time"] != "wrong"


def test_no_number_of_the_receipt_is_a_riddle():
    assert [*RECEIPT] == [field.name for field in fields(Receipt)]
    assert {*CHANGE_COLUMNS} <= {*CHANGES}
