"""Whatever an API answers as a row is loaded or set aside, whole; nothing ends the run."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest

from events_assets.rows.marks import MARKS
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, load, load_configured
from events_assets_tests.tables import Tables, for_duckdb


def nested(depth: int):
    value: object = "bottom"
    for _ in range(depth):
        value = {"in": value}
    return value


BEYOND = "integer beyond 64 bit at big"
HALF = "half a surrogate pair in the text at"
NO_KEY = "id is neither text nor integer"
IN = ".".join(["deep", *["in"] * 19])[:57] + "..."
LISTS = ".".join(["deep", *["list"] * 11])[:57] + "..."

AWKWARD: dict[str, tuple[Any, Any]] = {
    "integer beyond 64 bit": ({"big": 2**70}, BEYOND),
    "negative integer beyond 64 bit": ({"big": -(2**63) - 1}, BEYOND),
    "integer of a thousand digits": ({"big": 10**1000}, BEYOND),
    "unsigned 64 bit integer": ({"big": 2**64 - 1}, BEYOND),
    "NaN": ({"price": float("nan")}, "NaN or Infinity at price"),
    "Infinity": ({"price": float("inf")}, "NaN or Infinity at price"),
    "NUL in text": ({"event_name": "a\0b"}, {"event_name": "a\0b"}),
    "lone surrogate": ({"event_name": "a\ud800b"}, f"{HALF} event_name"),
    "lone surrogate in a key": ({"\udc00": 1}, f"{HALF} its keys"),
    "a mark of dlt's": (
        {"event_name": "\uf0272026-05-01"},
        "a text that begins with U+F027, a mark of dlt's, at event_name",
    ),
    "a mark of dlt's in a new column": (
        {"other": "\uf0272026-05-01"},
        "a text that begins with U+F027, a mark of dlt's, at other",
    ),
    "200 levels of nesting": ({"deep": nested(200)}, f"nested deeper than 50 levels at {IN}"),
    "200 nested lists": (
        {"deep": json.loads("[" * 200 + "]" * 200)},
        f"a list nested too deep at {LISTS}",
    ),
    "colliding keys": (
        {"Event Name": "x", "eventName": "y", "EVENT_NAME": "z"},
        {"event_name_2": "x", "event_name_3": "y", "event_name_4": "z"},
    ),
    "colliding ids": ({"ID": 8}, {"id_2": 8}),
    "empty key": ({"": "x"}, {"empty": "x"}),
    "blank key": (
        {"   ": "x", "!!!": "y", "é": "z"},
        {"empty_2": "x", "x_3894b0d5": "y", "e_954544c2": "z"},
    ),
    "200 keys": ({f"key {n}": n for n in range(200)}, {f"key_{n}": n for n in range(200)}),
    "long key": ({"k" * 60: 1}, {"k" * 60: 1}),
    "megabyte of text": ({"event_name": "x" * 2**20}, {"event_name": "x" * 2**20}),
    "year 1": ({"start_time": "0001-01-01T00:00:00Z"}, {"start_time": "0001-01-01T00:00:00+00:00"}),
    "year 9999": ({"end_time": "9999-12-31T23:59:59Z"}, {"end_time": "9999-12-31T23:59:59+00:00"}),
    "year 1 without offset": (
        {"start_time": "0001-01-01"},
        {"start_time": "0001-01-01T00:00:00+00:00"},
    ),
    "number that begins like year 1": ({"code": "0001"}, {"code": "0001"}),
    "year 10000": (
        {"end_time": "10000-01-01T00:00:00Z"},
        {"end_time": None, "end_time__v_text": "10000-01-01T00:00:00Z"},
    ),
    "offset beyond year 1": (
        {"start_time": "0001-01-01T00:00:00+14:00"},
        "a time outside the years 1 to 9999 (UTC) at start_time",
    ),
    "offset": (
        {"start_time": "2026-01-01T00:00:00+05:45"},
        {"start_time": "2025-12-31T18:15:00+00:00"},
    ),
    "time as number": ({"start_time": 1767225600}, {"start_time": "2026-01-01T00:00:00+00:00"}),
    "time as huge number": (
        {"start_time": 10**18},
        {"start_time": None, "start_time__v_bigint": 10**18},
    ),
    "time as negative number": (
        {"start_time": -(10**12)},
        {"start_time": None, "start_time__v_bigint": -(10**12)},
    ),
    "time as float": (
        {"start_time": 1.5e300},
        {"start_time": None, "start_time__v_double": 1.5e300},
    ),
    "time as object": (
        {"start_time": {"utc": "2026-01-01T00:00:00Z"}},
        {"start_time": None, "start_time__v_text": 'unreadable: {"utc": "2026-01-01T00:00:00Z"}'},
    ),
    "time as list": (
        {"start_time": ["2026-01-01T00:00:00Z"]},
        {"start_time": None, "start_time__v_text": 'unreadable: ["2026-01-01T00:00:00Z"]'},
    ),
    "time as boolean": ({"start_time": True}, {"start_time": None, "start_time__v_bool": True}),
    "name as number": ({"event_name": 5}, {"event_name": "5"}),
    "name as object": (
        {"event_name": {"en": {"a": "x"}}},
        {"event_name": 'unreadable: {"en": {"a": "x"}}'},
    ),
    "name as list": ({"event_name": ["x"]}, {"event_name": 'unreadable: ["x"]'}),
    "status as object": ({"status": {}}, {"status": "unreadable: {}"}),
    "end under a name of another case": (
        {"endTime": ["x"], "end_time": [[]]},
        {"end_time": None, "end_time__v_text": "unreadable: [[]]", "end_time_2[]": ["x"]},
    ),
    "boolean for a number": ({"capacity": True}, {"capacity__v_bool": True}),
    "list for an object": ({"venue": ["x"]}, {"venue[]": ["x"]}),
    "list of mixed values": (
        {"tags": [1, "a", None, {"x": 1}, [2]]},
        {"tags[]": ["1", "a", None, None, None], "tags__list[]": [2]},
    ),
    "dlt's own columns": (
        {"_dlt_id": "x", "_dlt_load_id": "y"},
        {"_dlt_id_2": "x", "_dlt_load_id_2": "y"},
    ),
    "dlt's variant": ({"start_time__v_text": "x"}, {"start_time__v_text_2": "x"}),
    "child named like a column": ({"a__b": 1, "a": {"b": 2}}, {"a__b_2": 1, "a__b": 2}),
    "number id as text": ({"id": "8"}, {}),
    "id as float": ({"id": 9.0}, {}),
    "id as fraction": ({"id": 7.5}, NO_KEY),
    "id as boolean": ({"id": True}, NO_KEY),
    "id as NaN": ({"id": float("nan")}, NO_KEY),
    "id as list": ({"id": [7]}, NO_KEY),
    "a number": (7, "not an object"),
    "a nested list": ([[{"id": 7}]], "not an object"),
    "an empty object": ({}, "no id"),
}
"""What is answered beside the fields of an event; the columns that differ from those of an event,
with items of lists by `[]`; or the reason why it is set aside."""

USUAL = [event(1, capacity=5, venue={"city": "Graz"}, tags=["a"], price=1.5), event(2)]
TIMES = {"start_time": "2026-05-01T08:00:00+00:00", "end_time": "2026-05-01T10:00:00+00:00"}


def test_each_awkward_row_is_loaded_or_set_aside_whole_and_the_rest_loads(project, serve, rows):
    serve()
    answered = {}
    for number, (name, (fields, _)) in enumerate(AWKWARD.items(), start=100):
        is_event = isinstance(fields, dict) and fields
        answered[name] = {**event(number), "event_name": name, **fields} if is_event else fields
    database = project / "data" / "events.duckdb"
    for _ in range(2):  # the second load meets all columns
        _, loaded, _, quarantined = load([USUAL[0], *answered.values(), USUAL[1]])
        assert loaded + quarantined == len(AWKWARD) + 2
        events = found_events(database)
        reasons = dict(rows("SELECT document, reason FROM quarantined_events"))
        assert len(events) == loaded
        assert events[1]["venue__city"] == "Graz"
        assert events[2]["event_name"] == "Event 2"
        for name, (_, expected) in AWKWARD.items():
            row = answered[name]
            if isinstance(expected, str):
                assert reasons.get(json.dumps(row)) == expected, name
            else:
                found = {"event_name": name, "status": "scheduled", **TIMES, **expected}
                wanted = {key: value for key, value in found.items() if value is not None}
                assert events[int(row["id"])] == wanted, name
        with duckdb.connect(str(database)) as connection:  # so that all rows are loaded again
            connection.execute("UPDATE events_data.events SET _digest = NULL")


def found_events(database):
    """The columns of each event that have a value, and the items of its lists, by its id."""
    events, ids = {}, {}
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.sql(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'events_data' "
            "AND table_name LIKE 'events%' ORDER BY table_name"
        )
        for (table,) in found.fetchall():
            result = connection.sql(f"SELECT * FROM events_data.{table}")
            for row in result.fetchall():
                record = dict(zip(result.columns, map(plain, row), strict=True))
                own = record.pop("_dlt_id")
                if table == "events":
                    ids[own] = events[record["id"]] = {
                        name: value
                        for name, value in record.items()
                        if value is not None and name not in ("id", "_dlt_load_id", *MARKS)
                    }
                else:
                    items = ids[record["_dlt_root_id"]].setdefault(f"{table[8:]}[]", {})
                    items[record["_dlt_list_idx"]] = record.get("value")
    for event_ in events.values():
        for name in [name for name in event_ if name.endswith("[]")]:
            event_[name] = [event_[name][at] for at in sorted(event_[name])]
    return events


def plain(value):
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


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


def test_a_row_that_can_be_loaded_by_the_second_scan_is(serve, rows):
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
    load_configured()
    assert len(starts) == 3
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
    (1, 1e19),
    (1, "9" * 30),
]
"""Values of which a column made for the first would keep a part of the second."""


def test_a_value_of_which_its_column_would_keep_a_part_gets_one_of_its_own():
    usual = {f"of_{at}_": first for at, (first, _) in enumerate(PARTLY_KEPT)}
    other = {f"of_{at}_": then for at, (_, then) in enumerate(PARTLY_KEPT)}
    rows = [{"id": 1} | usual, {"id": 2} | other, *({"id": n} | usual for n in range(3, 9))]
    with for_duckdb():
        tables = Tables()
        for _ in range(2):
            tables.convert("load", rows, tables.loadable(), size=10)
            names = [name for name, *_ in tables.columns()["events"] if name.startswith("of_")]
            for at, (first, then) in enumerate(PARTLY_KEPT):
                name, variant = sorted(
                    one for one in names if one.startswith(f"of_{at}_"[:-1] + "x")
                )
                assert "__v_" in variant
                assert tables.values(name) == {n: first if n != 2 else None for n in range(1, 9)}
                assert tables.values(variant) == {n: then if n == 2 else None for n in range(1, 9)}


def test_a_row_of_a_thousand_keys_keeps_them_all():
    rows = [{"id": number} | {f"key {n}": n for n in range(1000)} for number in range(3)]
    with for_duckdb():
        tables = Tables()
        for _ in range(2):
            assert not tables.convert("load", rows, tables.loadable(), size=10)
            assert tables.values("key_0") == {0: 0, 1: 0, 2: 0}
            for row in tables.written["events"]:
                assert [row[f"key_{n}"] for n in range(1000)] == [*range(1000)]


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


def test_keys_that_become_one_column_by_nesting_keep_all_their_values():
    clashing = {f"in{at}": row for at, (row, _) in enumerate(CLASHES)}
    late = {"start_time": "TBA", "start_time__v_text": "x"}
    columns = {"start_time__v_text": "TBA", "start_time__v_text_2": "x"} | {
        f"in{at}__{name}": value
        for at, (_, found) in enumerate(CLASHES)
        for name, value in found.items()
    }
    with for_duckdb():
        tables = Tables()
        for _ in range(2):
            rows = [{"id": n} | clashing | late for n in (1, 2, 3)]
            tables.convert("load", rows, tables.loadable(), size=10)
            for row in tables.written["events"]:
                assert {name: row.get(name) for name in columns} == columns
