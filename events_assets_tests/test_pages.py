"""An answer that is no page is asked for again, then ends the run with what came instead."""

import pytest

from events_assets.errors import ApiError
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure, load_configured
from events_assets_tests.simulation import Simulation, ids

NO_PAGES = {
    "error body": ({"error": "private words"}, "the document has the keys: error"),
    "other list": ({"items": [], "total": 0}, "lists are at: items"),
    "data is null": ({"data": None}, "at 'data' (data_selector), but there is null"),
    "data is an object": ({"data": {"id": 1}}, "there is an object"),
    "data is a text": ({"data": "private words"}, "there is a text"),
    "data is a number": ({"data": 0}, "there is a number"),
    "a bare list": ([{"id": 1}], "the document is a list"),
    "a bare number": (0, "the document is a number"),
}
PAGE = {"data": ids([1]), "total": 1}


@pytest.mark.parametrize("name", NO_PAGES)
def test_an_answer_that_is_no_page_is_never_an_empty_page(name):
    document, found = NO_PAGES[name]
    asked = []
    api = Simulation(lambda query: asked.append(query) or document, "single_page")
    with pytest.raises(ApiError) as raised:
        api.read()
    assert found in str(raised.value) and "private words" not in str(raised.value)
    assert len(asked) == 4


@pytest.mark.parametrize("name", NO_PAGES)
def test_an_answer_that_is_a_page_the_next_time_is_one(name):
    answers = iter([NO_PAGES[name][0], NO_PAGES[name][0], PAGE])
    rows, receipt = Simulation(lambda query: next(answers), "single_page", total="total").scan()
    assert [*rows] == [1] and receipt.proof == "one answer"


CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
PAGINGS = (
    {"type": "offset", "limit": 10},
    {"type": "page_number", "base_page": 0},
    CURSOR,
    {"type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "after"},
    {"type": "json_link", "next_url_path": "next"},
)


@pytest.mark.parametrize("paginator", PAGINGS)
@pytest.mark.parametrize("told", [{"errors": [{"code": 1}]}, {"error": "limit"}, {"Error": True}])
def test_an_error_beside_an_empty_list_is_no_end(paginator, told):
    full = {"data": ids(range(50, 60)), "next": "http://127.0.0.1/v1/events?after=59"}
    answers = iter([full])
    api = Simulation(lambda query: next(answers, {"data": [], **told}), paginator)
    with pytest.raises(ApiError, match="tells of an error at"):
        api.scan()


@pytest.mark.parametrize("told", [{"errors": []}, {"error": None}, {"error": False}, {"error": ""}])
def test_a_field_for_errors_that_is_empty_is_none(told):
    rows, receipt = Simulation(lambda query: {"data": [], **told}, PAGINGS[0]).scan()
    assert not rows and receipt.verdict == "complete"


def test_an_error_body_in_the_middle_of_a_scan_leaves_the_tables_alone(serve, run, rows):
    api = serve([event(number) for number in range(150)])
    api.intercept = lambda number, path: (
        Answer(200, {"error": "x"}) if "offset=99" in path else None
    )
    assert "expected at 'data'" in failure(run())
    assert rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'events'") == []


def test_a_scan_ends_at_its_deadline(serve, run, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__HTTP__DEADLINE", "0")
    serve([event(1)])
    assert "http.deadline" in failure(run())


def test_a_torn_scan_is_healed_by_a_second_one(serve, rows):
    api = serve([event(number) for number in range(150)])
    lost = {"number": 0}

    def lose_some(number, path):
        if "offset=99" in path and lost["number"] < 4:
            lost["number"] += 1
            return Answer(200, {"data": [], "total": 150})
        return None

    api.intercept = lose_some
    load_configured()
    assert rows("SELECT count(*) FROM events") == [(150,)]
    ((scans, verdict, received, kept),) = rows(
        "SELECT scans, verdict, rows_received, rows_loaded + repeats + rows_quarantined"
        " FROM scan_receipts"
    )
    assert (scans, verdict, received) == (2, "complete", kept)
