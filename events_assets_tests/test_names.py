"""Property: one key of the API is one column, in all rows, pages and loads."""

import os
from typing import Any

import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from events_assets.rows.names import distinct
from events_assets.rows.rules import RULES, Key, objection
from events_assets_tests.conftest import event, load
from events_assets_tests.tables import Rows, Tables, for_duckdb

column_of = NamingConvention().normalize_path

OTHER_SCRIPTS = ["Название", "Цена", "цена", "名前", "価格", "Όνομα", "Τιμή", "🎟", "🎟️", "🎪"]
PUNCTUATION = [
    "!!!",
    "???",
    "price$",
    "price%",
    "a+b",
    "a*b",
    "#1",
    "$1",
    " a!",
    "a!",
    "é",
    "e\u0301",
]
KEYS = st.one_of(
    st.sampled_from([*OTHER_SCRIPTS, *PUNCTUATION, "x", "e", "price", "a", "list", "value"]),
    st.text(min_size=1, max_size=5).filter(
        lambda key: distinct(key) != key and not objection(RULES, key, (), Key)
    ),
)
OBJECTS = st.lists(KEYS, max_size=4)
ROWS = st.lists(st.tuples(OBJECTS, OBJECTS, OBJECTS), min_size=1, max_size=12)


@pytest.mark.slow
@example(rows=[([key], [key], [key]) for key in OTHER_SCRIPTS + PUNCTUATION], size=3)
@settings(
    max_examples=int(os.environ.get("EXAMPLES", 60)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(rows=ROWS, size=st.sampled_from([1, 3, 20]))
def test_keys_of_any_script_swap_no_values_in_any_order_along_either_path(
    rows: list[Any], size: int
) -> None:
    events: Rows = [
        {"id": number, "tags": [1]}
        | {key: f"event {key}" for key in own}
        | {"venue": {key: f"venue {key}" for key in venue}}
        | {"halls": [{key: f"hall {key}" for key in hall}]}
        for number, (own, venue, hall) in enumerate(rows)
    ]
    with for_duckdb():
        found = []
        for load_order in (events, events[::-1]):
            columnar, plain = Tables(), Tables()
            loadable = columnar.loadable()
            for load_id, some in (("1", load_order), ("2", load_order[::-1])):
                assert not columnar.convert(load_id, some, loadable, size)
                plain.write(load_id, [loadable(row) for row in some])
                found += [homes(columnar.written), homes(plain.written)]
    assert all(one == found[0] for one in found)


def homes(written: dict[str, Rows]) -> dict[str, tuple[str, str]]:
    """Table and column of each key, by what it holds."""
    places: dict[str, set[tuple[str, str]]] = {}
    for table, rows in written.items():
        for row in rows:
            for column, value in row.items():
                if isinstance(value, str) and value.startswith(("event ", "venue ", "hall ")):
                    places.setdefault(value, set()).add((table, column))
    columns = [*places.values()]
    assert all(len(one) == 1 for one in columns), places
    assert len(set().union(*columns)) == len(columns), places
    return {value: next(iter(one)) for value, one in places.items()}


PLAIN = [
    "id",
    "eventName",
    "event-name",
    "geo.lat",
    "dc:title",
    "@type",
    "_links",
    "1st",
    "start/end",
    "a__b",
    "URL2",
    "x_",
]


@pytest.mark.parametrize("key", ["Event Name", *PLAIN])
def test_plain_keys_keep_the_columns_that_they_have_always_had(key: str) -> None:
    assert distinct(key) == key


def test_a_marked_key_is_told_from_the_plain_one_that_looks_like_it() -> None:
    marked = distinct("é")
    with for_duckdb():
        tables = Tables()
        loadable = tables.loadable()
        rows = [{"id": 1, "é": "x", marked: "y"}, {"id": 2, "é": "x"}]
        for row in [loadable(row) for row in rows]:
            assert row[column_of(marked)] == "x"
        assert [*loadable(rows[0]).values()] == [1, "x", "y"]


def test_a_primary_key_in_another_script_tells_events_apart(configure: Any, rows: Any) -> None:
    configure("""
        [sources.events.client]
        base_url = "https://api.example.com"
        auth = { type = "api_key", name = "api_key", location = "query" }
        [[sources.events.resources]]
        name = "events"
        primary_key = ["код", "день"]
        write_disposition = "merge"
        columns = { "цена" = { data_type = "double" } }
        [sources.events.resources.endpoint]
        path = "/v1/events"
        data_selector = "data"
        paginator = { type = "offset", limit = 100 }
    """)
    events = [{"код": n, "день": day, "цена": 1} for n in range(3) for day in ("пн", "вт")]
    for _ in range(2):
        assert load(events)[1] == 6
    code, day, price = (column_of(distinct(key)) for key in ("код", "день", "цена"))
    found = f"SELECT count(*), count(DISTINCT ({code}, {day})), any_value({price}) FROM events"
    assert rows(found) == [(6, 6, 1.0)]
    types = "SELECT data_type FROM duckdb_columns() WHERE schema_name = 'events_data'"
    assert rows(f"{types} AND table_name = 'events' AND column_name = '{price}'") == [("DOUBLE",)]


@pytest.mark.slow
def test_keys_that_differ_in_case_or_punctuation_keep_their_columns_from_load_to_load(
    serve: Any, rows: Any
) -> None:
    serve()
    both = {"Price": "P", "price": "p", "venue": {"Name": "N", "name": "n"}}
    first = [event(1, **both), event(2, Price="P"), event(3, venue={"Name": "N"})]
    second = [event(4, Price="P", venue={"Name": "N"}), event(5, price="p", PRICE="3")]
    load([*first, *(event(n, Price="P") for n in range(10, 30))])
    load([*reversed(second), *(event(n, Price="P") for n in range(30, 50))])
    held = "SELECT list_sort(list_distinct(list({}))) FROM events"
    expected = {"price": "p", "price_2": "P", "price_3": "3", "venue__name": "n"}
    for column, value in {**expected, "venue__name_2": "N"}.items():
        assert rows(held.format(column)) == [([value],)]
    assert rows("SELECT count(price_2), count(venue__name_2) FROM events") == [(43, 3)]
