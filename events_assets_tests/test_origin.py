"""One dataset holds the events of one API."""

import pytest

from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure, load_configured


def test_another_api_is_refused_before_the_first_request(serve, run, rows, monkeypatch):
    one = serve([event(1, event_name="A")])
    load_configured()
    ((origin,),) = rows("SELECT origin FROM scan_receipts")
    assert origin == f"{one.base_url}/v1/events"
    other = serve([event(1, event_name="B")])
    other.intercept = lambda number, path: Answer(200, {"data": other.events, "total": 1})
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PATH", "/other")
    told = failure(run())
    assert f"rows of {origin}, not of {other.base_url}/other: set another dataset" in told
    assert not other.paths
    assert rows("SELECT event_name FROM events") == [("A",)]

    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__DATASET", "others")
    load_configured()
    assert rows("SELECT event_name FROM others.events") == [("B",)]
    monkeypatch.delenv("SOURCES__EVENTS__WAREHOUSE__DATASET")
    monkeypatch.setenv("SOURCES__EVENTS__WAREHOUSE__ORIGIN", origin)
    load_configured()
    assert rows("SELECT event_name FROM events") == [("B",)]


@pytest.mark.slow
def test_another_port_of_this_machine_is_told_and_no_secret_and_no_query_is_in_an_origin(
    serve, run, rows, monkeypatch, capsys
):
    path = "/v1/events?kind=key-of-the-tests"
    monkeypatch.setenv("SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PATH", path)
    one = serve([event(1, event_name="A")])
    assert run().success
    assert rows("SELECT origin FROM scan_receipts") == [(f"{one.base_url}/v1/events",)]
    serve([event(1, event_name="B")])
    assert run().success
    assert "if that is another API, set another dataset" in capsys.readouterr().err
