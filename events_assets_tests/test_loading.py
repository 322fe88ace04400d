"""What the API holds is what the table holds, after the first load and after the next."""

import gc
from datetime import UTC, datetime
from functools import partial

import duckdb
import pytest

from events_assets import warehouse
from events_assets.sample_api import Answer
from events_assets.source import events_source
from events_assets_tests.conftest import COLUMNS, event, load, load_configured, refused
from events_assets_tests.shapes import Shape, offsets, serving_routes


def test_no_event_is_lost_or_doubled_at_the_edges_of_pages(rows, monkeypatch):
    lists = {"events": 0} | {
        f"list_{count}": count for count in (1, 2, 99, 100, 101, 199, 200, 250)
    }
    events = {name: [event(number) for number in range(count)] for name, count in lists.items()}
    routes = {f"/{name}": partial(Shape(offsets(most=100)).answer, events[name]) for name in lists}
    endpoint = {"data_selector": "data", "paginator": {"type": "offset", "limit": 100}}
    resources = [{"name": name, "endpoint": {"path": name, **endpoint}} for name in lists]
    defaults = {"primary_key": "id", "write_disposition": "merge"}
    with serving_routes(routes) as api:
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
        client = {"base_url": api.base_url}
        config = {"client": client, "resource_defaults": defaults, "resources": resources}
        with warehouse.loading() as pipeline:
            warehouse.load(pipeline, events_source(config))
    for name, count in lists.items():
        assert rows(f"SELECT id FROM {name} ORDER BY id") == [(number,) for number in range(count)]
    assert rows("SELECT rows_loaded FROM scan_receipts ORDER BY 1") == [
        (count,) for count in lists.values()
    ]


def test_a_second_load_changes_and_adds_without_repeats(serve, rows):
    api = serve([event(number, tags=["a", "b"]) for number in range(150)])
    counts = "SELECT count(*), count(DISTINCT id) FROM events"
    load_configured()
    found = rows("SELECT * FROM events ORDER BY id")
    load_configured()
    assert rows("SELECT * FROM events ORDER BY id") == found
    assert rows(counts) == [(150, 150)]
    assert rows("SELECT count(*) FROM events__tags") == [(300,)]
    api.events[3]["event_name"] = "Renamed"
    api.events.append(event(150))
    load_configured()
    assert rows(counts) == [(151, 151)]
    assert rows("SELECT event_name FROM events WHERE id = 3") == [("Renamed",)]
    assert rows("SELECT count(*) FROM scan_receipts") == [(3,)]


def test_canonical_columns_exist_where_every_value_is_null(serve, rows):
    serve()
    load([{"id": 1}, {"id": 2, "event_name": None, "start_time": None, "end_time": None}])
    columns = dict(
        rows(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE table_name = 'events' AND schema_name = 'events_data'"
        )
    )
    assert columns["id"] == "BIGINT"
    assert columns["event_name"] == "VARCHAR"
    assert columns["start_time"] == columns["end_time"] == "TIMESTAMP WITH TIME ZONE"


EVENT_COLUMNS = COLUMNS.format("events")
CANONICAL = [("id",), ("event_name",), ("start_time",), ("end_time",)]


def test_values_of_an_event_land_as_they_are_and_no_canonical_column_hides_behind(serve, rows):
    serve()
    venue = {"city": "Kraków", "geo": {"lat": 50.1}}
    time = {"start_time": "2026-07-01T23:30:00-03:00", "end_time": None}
    load([{"venue": venue} | event(1, tags=["x", "y"], **time)])
    assert rows(EVENT_COLUMNS)[:4] == CANONICAL
    assert rows("SELECT id, typeof(id) FROM events") == [(1, "BIGINT")]
    ((start, end),) = rows("SELECT start_time, end_time FROM events")
    assert start.astimezone(UTC) == datetime(2026, 7, 2, 2, 30, tzinfo=UTC) and end is None
    assert rows("SELECT venue__city, venue__geo__lat FROM events") == [("Kraków", 50.1)]
    assert rows("SELECT value FROM events__tags ORDER BY value") == [("x",), ("y",)]


def test_text_that_looks_like_a_time_stays_an_id(serve, rows):
    serve()
    load([{"venue": "x"} | event(0, id="2026-05-01T10:00:00Z"), event(1, id="b")])
    assert rows(EVENT_COLUMNS)[:4] == CANONICAL
    assert rows("SELECT id, typeof(id) FROM events ORDER BY id") == [
        ("2026-05-01T10:00:00Z", "VARCHAR"),
        ("b", "VARCHAR"),
    ]


def test_canonical_columns_come_first_before_the_first_event(serve, rows):
    serve()
    load([])
    assert rows("SELECT id, event_name, start_time, end_time FROM events") == []
    load([event(1, venue="x")])
    assert rows(EVENT_COLUMNS)[:4] == CANONICAL


def test_canonical_columns_come_first_where_the_key_is_another_one(serve, rows, project):
    path = project / ".dlt" / "config.toml"
    path.write_text(path.read_text().replace('primary_key = "id"', 'primary_key = ["venue", "id"]'))
    serve()
    load([event(1, venue="x"), event(1, venue="y")])
    assert rows(EVENT_COLUMNS)[:4] == CANONICAL
    assert rows("SELECT venue, id FROM events ORDER BY 1") == [("x", 1), ("y", 1)]


@pytest.mark.slow
def test_sample_events_stay_apart_from_real_ones(serve, rows, monkeypatch):
    serve([event(1)])
    load_configured()
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", "sample")
    monkeypatch.delenv("API_KEY")
    load_configured()
    assert rows("SELECT count(*) FROM events_data.events") == [(1,)]
    assert rows("SELECT count(*) FROM events_sample.events") == [(1200,)]


def test_the_load_is_told_in_numbers_that_add_up_and_with_a_preview(serve, run, rows):
    serve([event(number) for number in range(101)])
    result = run()
    (load,) = result.asset_materializations_for_node("load_events")
    shown = {name: value.value for name, value in load.metadata.items()}
    assert shown["dagster/row_count"] == shown["rows_inserted"] == 101
    assert shown["requests"] == 2 and shown["verdict"].startswith("complete")
    assert "Event 4" in shown["preview"]
    names = [column.name for column in shown["dagster/column_schema"].columns]
    assert {"id", "event_name", "start_time", "end_time"} <= set(names)
    ((received, loaded, repeats, quarantined, distinct, total, verdict),) = rows(
        "SELECT rows_received, rows_loaded, repeats, rows_quarantined, distinct_ids, total_last,"
        " verdict FROM scan_receipts"
    )
    assert received == loaded + repeats + quarantined
    assert (loaded, distinct, total, verdict) == (101, 101, 101, "complete")


def test_a_good_row_after_a_bad_one_with_its_id_is_loaded(serve, rows):
    serve()
    load([event(1, big=2**70), event(1), event(2)])
    assert rows("SELECT id FROM events ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT rows_quarantined FROM scan_receipts") == [(1,)]
    assert rows("SELECT count(*) FROM quarantined_events") == [(0,)]


def test_another_resource_is_loaded_with_a_receipt_of_its_own(serve, python, rows, project):
    api = serve([event(1)])
    venues = [{"id": "a", "city": "Graz"}, {"id": "b", "city": "Kraków"}]
    api.intercept = lambda number, path: (
        Answer(200, {"data": venues, "total": 2}) if path.startswith("/v1/venues") else None
    )
    config = project / ".dlt" / "config.toml"
    more = (
        '[[sources.events.resources]]\nname = "venues"\n'
        'endpoint = { path = "/v1/venues", data_selector = "data", '
        'paginator = { type = "offset", limit = 100 } }\n'
    )
    config.write_text(config.read_text() + more)
    told = python(
        "import dagster as dg\n"
        "from events_assets.definitions import defs\n"
        "with dg.DagsterInstance.ephemeral() as instance:\n"
        "    job = defs.resolve_job_def('events_job')\n"
        "    assert job.execute_in_process(instance=instance).success"
    )
    assert told.returncode == 0, told.stderr
    assert rows("SELECT id, city FROM venues ORDER BY id") == [("a", "Graz"), ("b", "Kraków")]
    assert rows("SELECT resource, verdict FROM scan_receipts ORDER BY 1") == [
        ("events", "complete"),
        ("venues", "complete"),
    ]


@pytest.mark.parametrize(
    ("paginator", "page"),
    [
        ('{"type": "json_link", "next_url_path": "next"}', {"next": "/v1/events?page=2"}),
        ('{"type": "cursor", "cursor_path": "cursor", "cursor_param": "after"}', {"cursor": "x"}),
    ],
)
def test_a_repeated_link_or_cursor_ends_the_run(serve, monkeypatch, paginator, page):
    api = serve([])
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR", paginator)
    api.intercept = lambda number, path: Answer(200, {"data": [event(number)]} | page)
    assert "leads back to a page that was asked for before" in refused()
    assert len(api.paths) < 10


def test_pages_along_a_cursor_are_proven_by_its_end(serve, rows, monkeypatch):
    api = serve([])
    paginator = '{"type": "cursor", "cursor_path": "next", "cursor_param": "after"}'
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR", paginator)
    monkeypatch.setenv("SOURCES__EVENTS__SCAN__ORDER", "id")
    api.intercept = lambda number, path: Answer(
        200, {"data": [event(90 + number)], "next": 90 + number if number < 8 else None}
    )
    load_configured()
    assert rows("SELECT count(*) FROM events") == [(8,)]
    assert rows("SELECT verdict, proof, scans FROM scan_receipts") == [
        ("complete", "named pages", 1)
    ]


@pytest.mark.slow
def test_a_load_that_needs_more_memory_than_usual_gets_it(serve, run, rows, monkeypatch, capsys):
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__MEMORY_LIMIT", "8MB")
    fields = {f"field_{number}": number for number in range(400)}
    serve([event(number, text=f"{number}" * 3000, **fields) for number in range(300)])
    assert run().success
    assert rows("SELECT count(*), sum(id), sum(field_99) FROM events") == [
        (300, 300 * 299 // 2, 300 * 99)
    ]
    assert rows("SELECT verdict, rows_loaded FROM scan_receipts") == [("complete", 300)]
    assert "DuckDB cannot load this in 8MB" in capsys.readouterr().err


def test_events_with_another_key_need_no_id(serve, rows, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCE_DEFAULTS__PRIMARY_KEY", "slug")
    api = serve([{"slug": f"event-{number}"} for number in range(3)])
    load_configured()
    assert rows("SELECT id, count(*) FROM events GROUP BY id") == [(None, 3)]
    api.events[0] |= {"id": 7}
    load_configured()
    assert rows("SELECT slug FROM events WHERE id = '7'") == [("event-0",)]


def test_a_load_leaves_the_garbage_collector_as_it_was():
    before = gc.get_threshold()
    with warehouse.loading():
        assert gc.get_threshold() > before
    assert gc.get_threshold() == before


def test_rows_are_merged_from_files_in_any_folder_whatever_columns_each_has(
    serve, project, monkeypatch
):
    """Of the files of a load, some lack columns that the table, or another one of them, has."""
    folder = project / "it's {x} [a]"
    folder.mkdir()
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__DATABASE", str(folder / "events.duckdb"))
    first = [event(number, tags=["a", "b"]) for number in range(1, 5)]
    api = serve([*first, event(5, price=1.5)])
    load_configured()
    api.events[:] = [event(1, tags=["c"]), *first[1:], event(6, seats=7), event(7, note="new")]
    load_configured()
    with duckdb.connect(str(folder / "events.duckdb"), read_only=True) as connection:
        query = """SELECT id, price, seats, note, list(value ORDER BY value)
                   FROM events_data.events AS e LEFT JOIN events_data.events__tags AS t
                   ON t._dlt_parent_id = e._dlt_id GROUP BY ALL ORDER BY id"""
        found = connection.execute(query).fetchall()
    ab = ["a", "b"]
    assert found == [
        (1, None, None, None, ["c"]),
        *((number, None, None, None, ab) for number in (2, 3, 4)),
        (5, 1.5, None, None, [None]),
        (6, None, 7, None, [None]),
        (7, None, None, "new", [None]),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "DESTINATION__DUCKDB__CREDENTIALS",
        "DESTINATION__DUCKDB__CREDENTIALS__DATABASE",
        "DESTINATION__CREDENTIALS",
    ],
)
def test_a_database_file_is_configured_as_dlt_documents_it(serve, project, monkeypatch, name):
    serve()
    monkeypatch.setenv(name, "elsewhere.duckdb")
    assert load([event(1)]) == (1, 1, 0, 0)
    with duckdb.connect(str(project / "elsewhere.duckdb")) as connection:
        assert connection.execute("SELECT id FROM events_data.events").fetchall() == [(1,)]
    assert not (project / "data" / "events.duckdb").exists()


PAGE_NUMBERS = '{"type": "page_number", "base_page": 0, "total_path": "pages"}'


def test_of_several_versions_of_a_row_the_last_one_is_loaded(serve, rows, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR", PAGE_NUMBERS)
    api = serve([])

    def answer(number, path):
        events = [
            event(n, name=f"v{number}", tags=[{"t": number}], **({"new": 1} if number > 3 else {}))
            for n in range(200)
        ]
        start = 100 * int(path.split("page=")[1].split("&")[0])
        return Answer(200, {"data": events[start : start + 100], "pages": 2})

    api.intercept = answer
    for last in (6, 12):
        load_configured()
        for first, number in ((0, last - 1), (100, last)):
            of_page = f"WHERE id - {first} BETWEEN 0 AND 99"
            assert rows(f"SELECT DISTINCT name, new FROM events {of_page}") == [(f"v{number}", 1)]
        assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(200, 200)]
        joined = "events__tags JOIN events ON events__tags._dlt_parent_id = events._dlt_id"
        assert rows(f"SELECT count(*), count(DISTINCT id) FROM {joined}") == [(200, 200)]
        assert rows("SELECT count(*) FROM events__tags") == [(200,)]
        assert rows(f"SELECT count(*) FROM {joined} WHERE name <> 'v' || t") == [(0,)]
        assert rows("SELECT max(rows_loaded), max(repeats), max(verdict) FROM scan_receipts") == [
            (200, 400, "unproven")
        ]
