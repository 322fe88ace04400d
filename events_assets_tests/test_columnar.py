"""Property: rows that go to dlt as Arrow tables become what dlt makes of them one by one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from events_assets import configuration, warehouse
from events_assets.arrow.coercion import fitting
from events_assets.arrow.convert import Columnar
from events_assets.errors import UnloadableError
from events_assets.rows.identity import Loadable
from events_assets.rows.names import Names
from events_assets.sample_api import SampleApi, sample_events
from events_assets.source import events_source
from events_assets_tests.tables import Rows, Tables, columns, content, for_duckdb

SOME_KEYS = [
    "event_name",
    "Event Name",
    "start_time",
    "a",
    "b",
    "a__b",
    "value",
    "list",
    "x",
    "x__v_text",
]
KEYS = st.one_of(
    st.sampled_from(SOME_KEYS),
    st.sampled_from(["", " ", "_dlt_id", "_dlt_parent_id", "é", "_", "a_", "1", "\ud800", "empty"]),
    st.text(max_size=4),
)
TIMES = st.one_of(
    st.datetimes().map(lambda time: time.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()),
    st.datetimes().map(lambda time: time.isoformat(" ", "milliseconds") + "Z"),
    st.sampled_from(
        [
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "0000-05-01T10:00:00Z",
            "0001-05-01T10:00:00Z",
            "2026-05-01",
            "2026-05-01T10",
            "2026-05-01T10:00+0200",
            "2026-05-01T10:00:00.1234567Z",
            "2026-05-01T10:00:00+25:00",
            "2026-02-30T10:00:00Z",
            "2026-05-01T24:00:00Z",
            "10:00:00",
            "TBA",
            "2026",
            "",
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**65), 2**65),
    st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, -(2**63), 1.0, 2.5, -0.0, 1e300]),
    st.floats(),
    TIMES,
    st.sampled_from(["1", "1.5", "true", "abc", '{"a": 1}', "\uf0272026-05-01", "\ud800", "\x00"]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def mostly(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(*[plain] * 12, SCALARS, VALUES)


TIDY = st.fixed_dictionaries(
    {"event_name": st.text("abc", max_size=3)},
    optional={
        "start_time": mostly(TIMES),
        "price": mostly(st.sampled_from([1.0, 2.5, None, 0.0])),
        "capacity": mostly(st.sampled_from([1, 20, None])),
        "free": mostly(st.booleans()),
        "venue": mostly(
            st.fixed_dictionaries(
                {},
                optional={"name": st.sampled_from("xy"), "Name": SCALARS, "_dlt_id": SCALARS},
            )
        ),
        "tags": mostly(st.lists(mostly(st.sampled_from(["free", "food", None])), max_size=3)),
        "performers": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": mostly(st.sampled_from("xy")),
                    "roles": mostly(st.lists(st.sampled_from("abc"), max_size=2)),
                    "_dlt_list_idx": mostly(st.just(7)),
                },
            ),
            max_size=2,
        ),
    },
)
AWKWARD = st.dictionaries(KEYS, VALUES, max_size=4)
LOADS = st.lists(
    st.lists(st.one_of(*[TIDY] * 6, AWKWARD, st.builds(dict.__or__, TIDY, AWKWARD)), max_size=30),
    min_size=1,
    max_size=3,
)


LATE = [
    [{"a__b": 1}, {"a": {"b": {"c": 1}}}, *[{"a": {"b": {"c": 1}}, "a__b": 2}] * 4],
    [{"a__b": 1}, {"a": {"b__c": 1}}, *[{"a": {"b__c": 1}, "a__b": 2}] * 4],
    [{"x": 1}, {"x": "y"}, *[{"x": 2, "x__v_text": "z"}] * 4],
    [
        {"tags": [1]},
        {"tags": [{"value__v_text": 5}]},
        {"new": 2, "tags": ["fits no column"]},
        *[{"new": 3}] * 4,
    ],
    [{"tags": [1, {"value": 2}]}, *[{"tags": [{"value": 3}, 4, None, [5]]}] * 4],
    [{"start_time": f"{year}-05-01T10:00:00Z"} for year in ("2026", "0000", "0001", "9999")] * 2,
]
"""Rows of which the last meet tables that the first have made."""


@pytest.mark.slow
@example(loads=LATE, disposition="merge")
@settings(
    max_examples=int(os.environ.get("EXAMPLES", 80)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(loads=LOADS, disposition=st.sampled_from(["merge", "merge", "append", "replace"]))
def test_tables_are_those_of_the_row_path(loads: list[Rows], disposition: Any) -> None:
    require_equal_tables(loads, disposition)


def test_columns_of_configured_types_are_those_of_the_row_path() -> None:
    types = {"price": "decimal", "day": "date", "venue": "json", "open": "time", "big": "wei"}
    values = {
        "price": [1.5, "2.50", 3, "free", None],
        "day": ["2026-05-01", "2026-05-01T10:00:00Z", "TBA"],
        "venue": [{"name": "x"}, ["y"], "z", None],
        "open": ["10:00", "late", None],
        "big": [2**60, "5", 1.5],
    }
    rows = [{name: value} for name, found in values.items() for value in found]
    require_equal_tables([[*rows, {"event_name": "x"}]] * 2, "merge", **types)


def require_equal_tables(loads: list[Rows], disposition: Any, **types: str) -> None:
    """Takes rows along both paths, and compares what comes of them."""
    with for_duckdb():
        columnar, plain = Tables(disposition, **types), Tables(disposition, **types)
        for load, rows in enumerate(loads):
            events = [row | {"id": number} for number, row in enumerate(rows)]
            loadable = columnar.loadable()
            refused = columnar.convert(f"load {load}", events, loadable, size=5)
            plain.write(f"load {load}", accepted(events, loadable, refused))
            assert content(columnar.written) == content(plain.written)
            assert columnar.columns() == plain.columns()


def accepted(events: Rows, loadable: Loadable, refused: dict[int, str]) -> Rows:
    """The rows that are loaded: those to which no rule objects, but for what dlt cannot do."""
    rows: Rows = []
    for place, row in enumerate(events):
        try:
            fit = loadable(row)
        except UnloadableError as unloadable:
            assert refused[place] == str(unloadable)
        else:
            assert refused.get(place, "no column").startswith("no column")
            if place not in refused:
                rows.append(fit)
    return rows


@pytest.mark.slow
def test_a_warehouse_gets_the_same_tables_along_both_paths(tmp_path: Path) -> None:
    """With floats after integers, fewer items in lists that were longer, and texts for times."""
    prices: list[Any] = [1, 2, 2.5, 3.0, 2**53 + 1]
    loads = [
        [
            {
                "price": price,
                "tags": ["a"] * size,
                "performers": [{"roles": ["b"]}] * size,
                "start_time": start,
                "venue": {"name": "x", "seats": size},
            }
            for price in prices
            for start in ("2026-05-01T10:00:00+02:00", "TBA", 1777629600, "2026-05-01")
        ]
        for size in (3, 1)
    ]
    with fitting():
        columnar, plain = Loading(tmp_path / "columnar"), Loading(tmp_path / "plain")
        for rows in loads:
            events = [row | {"id": number} for number, row in enumerate(rows)]
            columnar.run(converted(events))
            plain.run(iter([events]))
    found, expected = columnar.tables(), plain.tables()
    assert found == expected
    assert {row["price__v_double"] for row in columnar.records["events"]} == {None, 2.5}
    children = ("events__tags", "events__performers", "events__performers__roles")
    assert [len(columnar.records[table]) for table in children] == [20, 20, 20]


def test_rows_become_arrow_tables(serve: Callable[..., Any]) -> None:
    items = extracted(serve(sample_events(700)))
    assert items["events.parquet"] > 690
    assert items["events__tags.parquet"] > 900


@pytest.mark.parametrize(
    "values",
    [[1, 2.5, 3.0], ["5", 6, True], ["2026-05-01T10:00:00.1234567Z", 1777629600, "TBA"]],
    ids=str,
)
def test_values_of_other_forms_do_not_send_their_rows_the_slow_way(
    serve: Callable[..., Any], values: list[Any]
) -> None:
    events = sample_events(700)
    for number, event in enumerate(events):
        event["start_time"] = event["price"] = values[number % len(values)]
    assert extracted(serve(events))["events.parquet"] > 650


def extracted(api: SampleApi) -> dict[str, int]:
    """How many rows are in the files that dlt normalizes, by table and format."""
    config = configuration.rest_api_config()
    with warehouse.loading() as pipeline:
        config["client"]["base_url"] = api.base_url
        info = pipeline.extract(events_source(config, api.key), loader_file_format="parquet")
    rows: dict[str, int] = {}
    for metrics in info.metrics.values():
        for job, metric in metrics[0]["job_metrics"].items():
            rows[job.split(".")[0] + job[-8:]] = metric.items_count
    return rows


def converted(events: Rows) -> Iterator[Any]:
    """The items for dlt."""
    loadable = Loadable(Names(dlt.current.source_schema().naming.normalize_path, {}))
    conversion = Columnar({"id": "bigint"}, loadable)
    for start in range(0, len(events), 5):
        some = events[start : start + 5]
        assert not conversion.take(some, [0] * len(some))
        yield from conversion.items()


class Loading:
    """A pipeline with a database of its own; `records` are what is in there, by table."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.database = str(folder / "events.duckdb")
        self.records: dict[str, Rows] = {}
        self.pipeline = dlt.pipeline(
            f"events_{folder.name}",
            pipelines_dir=str(folder),
            destination=dlt.destinations.duckdb(self.database),
            dataset_name="data",
        )

    def run(self, rows: Iterator[Any]) -> None:

        @dlt.source(name="events")
        def source() -> Any:
            return dlt.resource(
                lambda: rows,
                name="events",
                primary_key="id",
                write_disposition="merge",
                columns=columns(),
            )

        self.pipeline.run(source(), loader_file_format="parquet").raise_on_failed_jobs()

    def tables(self) -> Any:
        """Columns and rows of all tables."""
        with duckdb.connect(self.database) as connection:
            found_columns = connection.sql(
                "SELECT table_name, column_name, data_type, is_nullable "
                "FROM information_schema.columns "
                "WHERE table_schema = 'data' AND table_name NOT LIKE '\\_dlt%' ESCAPE '\\' "
                "ORDER BY table_name, ordinal_position"
            ).fetchall()
            for table in {table for table, *_ in found_columns}:
                found = connection.execute(f'SELECT * FROM data."{table}"')
                names = [name for name, *_ in found.description or []]
                self.records[table] = [
                    dict(zip(names, row, strict=True)) for row in found.fetchall()
                ]
            loads = connection.sql("SELECT load_id FROM data._dlt_loads").fetchall()
        for row in self.records["events"]:
            assert (row.pop("_dlt_load_id"),) in loads
        return found_columns, content(self.records)
