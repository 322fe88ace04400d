"""dlt's `schema_contract` says how far tables may change, and is kept; our own columns and tables
are not meant by it."""

import gzip
import re

import pytest

from events_assets import configuration
from events_assets.errors import ContractError
from events_assets_tests.conftest import COLUMNS, event, failure, load, load_configured
from events_assets_tests.test_checks import evaluations
from events_assets_tests.test_older_warehouse import WRITTEN

pytestmark = pytest.mark.slow  # each loads several times

COUNTS = (
    "SELECT rows_loaded, rows_quarantined, rows_inserted, rows_updated, rows_unchanged "
    "FROM scan_receipts ORDER BY started_at"
)
MARKS = ["_first_seen_at", "_changed_at", "_removed_at", "_digest"]
CONTRACTS = [
    f'schema_contract = {{ {entity} = "{mode}" }}'
    for entity in ("tables", "columns", "data_type")
    for mode in ("freeze", "discard_row", "discard_value")
] + [f'schema_contract = "{mode}"' for mode in ("freeze", "discard_row", "discard_value")]


@pytest.fixture
def contract(project):
    """Sets the contract of all resources, none at first; or that of one."""
    path = project / ".dlt" / "config.toml"
    text = path.read_text()

    def contract(line="", section="[sources.events.resource_defaults]"):
        assert section in text
        path.write_text(text.replace(section, f"{section}\n{line}", 1))
        configuration.reload_providers()

    return contract


def columns(rows, table="events"):
    return [name for (name,) in rows(COLUMNS.format(table))]


@pytest.mark.parametrize("line", CONTRACTS)
def test_a_contract_lets_in_what_the_first_load_brings_and_all_that_is_like_it(
    serve, rows, contract, line
):
    contract(line)
    serve()
    first = [event(number, price=5, tags=["a"]) for number in range(5)]
    load(first)
    assert columns(rows)[-4:] == MARKS and "price" in columns(rows)
    load([event(0, price=6, tags=["b"]), *first[1:4], event(9, price=7, tags=["c"])])
    assert rows(COUNTS) == [(5, 0, 5, 0, 0), (5, 0, 1, 1, 3)]
    assert rows("SELECT count(*) FROM current_events") == [(5,)]
    assert rows("SELECT count(*) FROM events__tags") == [(6,)]


@pytest.mark.parametrize(
    ("entity", "change", "told"),
    [
        ("columns", {"cost": 3}, "the column cost of events is new"),
        ("data_type", {"price": "free"}, "a value for the column price of events is of another"),
        ("tables", {"tags": ["a"]}, "rows came for a new table events__tags"),
    ],
)
def test_a_frozen_table_does_not_change_and_the_run_says_what_would_have(
    serve, run, rows, contract, entity, change, told
):
    contract(f'schema_contract = {{ {entity} = "freeze" }}')
    api = serve([event(1, price=5), event(2, price=5)])
    load_configured()
    before = rows("SELECT * FROM events ORDER BY id")
    api.events = [event(1, price=6), event(2, **{"price": 5} | change)]
    for _ in range(2):
        said = failure(run())
        assert told in said and f"schema_contract forbids ({entity})" in said
        assert f'{{ {entity} = "evolve" }} for one load' in said
    assert rows("SELECT * FROM events ORDER BY id") == before
    contract(f'schema_contract = {{ {entity} = "evolve" }}')
    assert run().success
    assert rows("SELECT price FROM events WHERE id = 1") == [(6,)]


@pytest.mark.parametrize(
    ("entity", "change", "kept"),
    [("columns", {"cost": 3}, 7), ("data_type", {"price": "free"}, None)],
)
def test_a_value_that_a_contract_discards_is_not_loaded_but_its_event_is(
    serve, rows, contract, entity, change, kept
):
    contract(f'schema_contract = {{ {entity} = "discard_value" }}')
    serve()
    load([event(1, price=5), event(2, price=5)])
    before = columns(rows)
    load([event(1, **{"price": 7} | change), event(2, price=5), event(3, price=5, cost=None)])
    assert columns(rows) == before
    assert rows("SELECT id, price FROM events ORDER BY id") == [(1, kept), (2, 5), (3, 5)]
    assert rows(COUNTS)[-1] == (3, 0, 1, 1, 1)


@pytest.mark.parametrize(
    ("entity", "change", "column"),
    [("columns", {"cost": 3}, "cost"), ("data_type", {"price": "free"}, "price__v_text")],
)
def test_an_event_that_a_contract_discards_is_set_aside_and_not_counted_as_loaded(
    serve, run, rows, contract, entity, change, column
):
    contract(f'schema_contract = {{ {entity} = "discard_row" }}')
    api = serve([event(1, price=5), event(2, price=5)])
    load_configured()
    before = columns(rows)
    api.events = [event(1, **{"price": 7} | change), event(2, price=6), event(3, **change)]
    for _ in range(2):
        check = evaluations(run())["no_events_were_quarantined"]
        assert not check.passed and check.metadata["rows"].value == 2
    assert columns(rows) == before
    assert rows("SELECT id, price FROM current_events ORDER BY id") == [(1, 5), (2, 6)]
    reason = f"schema_contract discards rows that bring new columns: {column}"
    assert rows("SELECT reason FROM quarantined_events") == [(reason,)] * 2
    assert rows(COUNTS)[-2:] == [(1, 2, 0, 1, 0), (1, 2, 0, 0, 1)]


def test_a_contract_that_is_taken_out_holds_no_longer(serve, rows, contract):
    contract('schema_contract = "freeze"')
    serve()
    load([event(1)])
    load([event(1, event_name="Renamed")])
    contract()
    load([event(1, price=5, tags=["a"])])
    assert rows("SELECT price FROM events") == [(5,)]


def test_a_contract_of_the_resource_alone_holds(serve, run, contract):
    contract('schema_contract = "freeze"', "[[sources.events.resources]]")
    api = serve([event(1)])
    load_configured()
    api.events = [event(1, price=5)]
    assert "the column price of events is new" in failure(run())


def test_an_older_warehouse_that_is_frozen_gets_our_own_columns(
    serve, run, rows, project, contract
):
    contract('schema_contract = "freeze"')
    (project / "data" / "events.duckdb").write_bytes(gzip.decompress(WRITTEN.read_bytes()))
    serve([event(number, tags=["c"]) for number in range(10, 40)])
    result = run()
    assert result.success, failure(result)
    assert columns(rows)[-4:] == MARKS
    assert "event_columns" in columns(rows, "scan_receipts")


@pytest.mark.parametrize("mode", ["freeze", "discard_row", "discard_value"])
def test_keys_of_another_type_do_not_change_a_frozen_column(serve, run, rows, contract, mode):
    contract(f'schema_contract = {{ data_type = "{mode}" }}')
    api = serve([event(1)])
    load_configured()
    api.events.append(event("x"))
    assert "the column id of events is of another type, which schema_contract" in failure(run())
    assert rows("SELECT id FROM events") == [(1,)]


def test_a_frozen_table_is_told_without_dagster_too(serve, contract):
    contract('schema_contract = "freeze"')
    serve()
    load([event(1)])
    with pytest.raises(ContractError, match=re.escape("the column price of events is new")):
        load([event(1, price=5)])
