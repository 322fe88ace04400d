"""Whatever an API answers as a row is loaded or set aside, whole; nothing ends the run."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from dlt.common.data_types import coerce_value

from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, load


def nested(depth: int):
    value: object = "bottom"
    for _ in range(depth):
        value = {"in": value}
    return value


AWKWARD = {
    "integer beyond 64 bit": event(7, big=2**70),
    "negative integer beyond 64 bit": event(7, big=-(2**63) - 1),
    "integer of a thousand digits": event(7, big=10**1000),
    "unsigned 64 bit integer": event(7, big=2**64 - 1),
    "NaN": event(7, price=float("nan")),
    "Infinity": event(7, price=float("inf")),
    "NUL in text": event(7, event_name="a\0b"),
    "lone surrogate": event(7, event_name="a\ud800b"),
    "lone surrogate in a key": event(7) | {"\udc00": 1},
    "200 levels of nesting": event(7, deep=nested(200)),
    "200 nested lists": event(7, deep=json.loads("[" * 200 + "]" * 200)),
    "colliding keys": event(7) | {"Event Name": "x", "eventName": "y", "EVENT_NAME": "z"},
    "colliding ids": event(7) | {"ID": 8},
    "empty key": event(7) | {"": "x"},
    "blank key": event(7) | {"   ": "x", "!!!": "y", "é": "z"},
    "5000 keys": event(7) | {f"key {n}": n for n in range(5000)},
    "long key": event(7) | {"k" * 5000: 1},
    "megabyte of text": event(7, event_name="x" * 2**20),
    "year 1": event(7, start_time="0001-01-01T00:00:00Z", end_time=None),
    "year 9999": event(7, start_time=None, end_time="9999-12-31T23:59:59Z"),
    "year 10000": event(7, start_time=None, end_time="10000-01-01T00:00:00Z"),
    "offset beyond year 1": event(7, start_time="0001-01-01T00:00:00+14:00"),
    "offset": event(7, start_time="2026-01-01T00:00:00+05:45", end_time=None),
    "time as number": event(7, start_time=1767225600, end_time=None),
    "time as huge number": event(7, start_time=10**18, end_time=None),
    "time as negative number": event(7, start_time=-(10**12), end_time=None),
    "time as float": event(7, start_time=1.5e300, end_time=None),
    "time as object": event(7, start_time={"utc": "2026-01-01T00:00:00Z"}, end_time=None),
    "time as list": event(7, start_time=["2026-01-01T00:00:00Z"], end_time=None),
    "time as boolean": event(7, start_time=True, end_time=None),
    "name as number": event(7, event_name=5),
    "name as object": event(7, event_name={"en": "x"}),
    "name as list": event(7, event_name=["x"]),
    "boolean for a number": event(7, capacity=True),
    "list for an object": event(7, venue=["x"]),
    "list of mixed values": event(7, tags=[1, "a", None, {"x": 1}, [2]]),
    "dlt's own columns": event(7) | {"_dlt_id": "x", "_dlt_load_id": "y"},
    "dlt's variant": event(7) | {"start_time__v_text": "x"},
    "child named like a column": event(7, a__b=1, a={"b": 2}),
    "text id among numbers": event("seven"),
    "number id as text": event("7"),
    "id beyond 64 bit": event(2**64),
    "id as float": event(7.0),
    "id as fraction": event(7.5),
    "id as boolean": event(True),
    "id as NaN": event(float("nan")),
    "id as list": event([7]),
    "id with NUL": event("7\0"),
    "id as lone surrogate": event("\ud800"),
    "a number": 7,
    "a nested list": [[{"id": 7}]],
    "an empty object": {},
}

USUAL = [event(1, capacity=5, venue={"city": "Graz"}, tags=["a"], price=1.5), event(2)]


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_row_is_loaded_or_set_aside_and_the_rest_loads(serve, rows, name):
    row = AWKWARD[name]
    serve()
    _, loaded, _, quarantined = load([USUAL[0], row, USUAL[1]])
    assert loaded + quarantined == 3
    assert rows("SELECT count(*) FROM events WHERE id IN (1, 2)") == [(2,)]
    assert rows("SELECT count(*) FROM events") == [(loaded,)]
    if quarantined:
        ((document,),) = rows("SELECT document FROM quarantined_events")
        assert repr(json.loads(document)) == repr(row)


@pytest.mark.parametrize("places", [(10, 210), (99, 210)])  # 99 comes twice, on pages that touch
@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({"id": 10, "price": 2**70}, "torn"),  # one row of those counted did not come
        ({"price": 1}, "complete"),  # two rows without a key
    ],
)
def test_a_row_set_aside_twice_stands_for_no_other(serve, rows, row, verdict, places):
    serve()
    load([row if n in places else event(n) for n in range(250) if n != 10 or 10 in places])
    assert rows("SELECT verdict FROM scan_receipts") == [(verdict,)]
    assert rows("SELECT count(DISTINCT document) FROM quarantined_events") == [(1,)]


def test_a_row_that_can_be_loaded_by_the_second_scan_is(serve, run, rows):
    api = serve([event(n) for n in range(250)])
    ugly, starts = event(50, price=2**70), []

    def answer(number, path):
        offset = int(parse_qs(urlsplit(path).query)["offset"][0])
        if offset == 0:
            starts.append(number)
        first = len(starts) == 1
        found = [ugly if first and row["id"] == 50 else row for row in api.events]
        return Answer(200, {"data": found[offset:][: 40 if first else 100], "total": 251})

    api.intercept = answer
    run()
    assert len(starts) == 2
    assert rows("SELECT count(*) FROM events WHERE id = 50") == [(1,)]
    assert rows("SELECT rows_quarantined, rows_loaded FROM scan_receipts") == [(1, 250)]


PARTLY_KEPT = [
    (12345, "01234"),
    (12345, "+5"),
    (12345, "1_000"),
    (True, 5),
    (True, "yes"),
    (1.5, 2**53 + 1),
    (1.5, "9007199254740993"),
    (1.5, "007.5"),
    (1.5, "nan"),
    (1.5, "1e999"),
]
"""Values of which a column made for the first would keep a part of the second."""


def test_a_value_of_which_its_column_would_keep_a_part_gets_one_of_its_own(serve, rows):
    serve()
    usual = {f"of_{at}_": first for at, (first, _) in enumerate(PARTLY_KEPT)}
    other = {f"of_{at}_": then for at, (_, then) in enumerate(PARTLY_KEPT)}
    load([event(1, **usual), event(2, **other), *(event(n, **usual) for n in range(3, 9))])
    columns = [
        name
        for (name,) in rows(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = 'events' AND "
            "schema_name = 'events_data' AND starts_with(column_name, 'of_')"
        )
    ]
    for at, (first, then) in enumerate(PARTLY_KEPT):
        name, variant = sorted(one for one in columns if one.startswith(f"of_{at}"))
        assert "__v_" in variant
        found = rows(f"SELECT {name}, {variant} FROM events WHERE id < 3 ORDER BY id")
        assert found == [(first, None), (None, then)], name


CLASHES = [
    ({"a": {"b": 1}, "a__b": 2}, {"a__b": 1, "a__b_2": 2}),
    ({"a__b": 2, "a": {"b": 1}}, {"a__b": 1, "a__b_2": 2}),
    ({"a": {"b": {"c": 1}}, "a__b__c": 2}, {"a__b__c": 1, "a__b__c_2": 2}),
    ({"a": {"b": {"c": 1}}, "a__b": {"c": 2}}, {"a__b__c": 1, "a__b_2__c": 2}),
    ({"a": {"b__c": 1}, "a__b": {"c": 2}}, {"a__b__c": 1, "a__b_2__c": 2}),
    ({"a": {"B": 1, "b": 2}, "a__b_2": 3}, {"a__b_2": 1, "a__b": 2, "a__b_2_2": 3}),
    ({"a": 1, "a__b": 2}, {"a": 1, "a__b": 2}),
    ({"a": "x", "a__v_text": "y"}, {"a": "x", "a__v_text_2": "y"}),
]
"""Objects with keys of which dlt would make one column, and the columns that they get."""


def test_keys_that_become_one_column_by_nesting_keep_all_their_values(serve, rows):
    serve()
    clashing = {f"in{at}": row for at, (row, _) in enumerate(CLASHES)}
    late = {"start_time": "TBA", "start_time__v_text": "x"}
    columns = {"start_time__v_text": "TBA", "start_time__v_text_2": "x"} | {
        f"in{at}__{name}": value
        for at, (_, found) in enumerate(CLASHES)
        for name, value in found.items()
    }
    for _ in range(2):
        load([event(n) | clashing | late for n in (1, 2, 3)])
        found = rows(f"SELECT DISTINCT {', '.join(columns)} FROM events")
        assert found == [tuple(columns.values())]


@pytest.mark.parametrize("field", ["id", "event_name", "other"])
def test_a_text_that_dlt_would_take_for_another_type_is_set_aside_whole(serve, rows, field):
    serve()
    marked = event("12") | {field: "\uf0272026-05-01"}
    load([event("1", other="x"), marked, event("3", other="y")])
    assert rows("SELECT document FROM quarantined_events") == [(json.dumps(marked),)]
    assert rows("SELECT id FROM events ORDER BY id") == [("1",), ("3",)]


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ("2026-01-01T00:00:00Z", 10**18, "BIGINT"),
        (1, 1e19, "DOUBLE"),
        (1, "9" * 30, "VARCHAR"),
    ],
)
def test_a_value_that_does_not_fit_its_column_stays_visible(serve, rows, first, then, told):
    serve()
    assert load([event(1, extra=first), event(2, extra=then)])[1] == 2
    ((name, kind),) = rows(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events' "
        "AND schema_name = 'events_data' AND column_name LIKE 'extra\\__v\\_%' ESCAPE '\\'"
    )
    assert kind == told
    assert rows(f"SELECT {name} FROM events WHERE id = 2") == [(then,)]


@pytest.mark.parametrize(
    ("to", "value", "raised"),
    [
        ("timestamp", 10**18, OSError),
        ("bigint", "9" * 30, None),
    ],
)
def test_dlt_still_lets_unfitting_values_through(to, value, raised):
    """Fails on the day that transport/coercion.py is no longer needed."""
    from_type = "bigint" if isinstance(value, int) else "text"
    if raised:
        with pytest.raises(raised):
            coerce_value(to, from_type, value)
    else:
        assert coerce_value(to, from_type, value)


def test_keys_that_become_one_column_keep_all_their_values(serve, rows):
    serve()
    load([event(1) | {"Event Name": "b", "EVENT_NAME": "c", "ID": 8, "_dlt_id": "d"}])
    assert rows("SELECT id, event_name, id_2, _dlt_id_2 FROM events") == [(1, "Event 1", 8, "d")]
    assert rows("SELECT event_name_2, event_name_3 FROM events") == [("b", "c")]
