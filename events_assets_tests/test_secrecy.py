"""The key is sent to its API and written nowhere."""

import io
import json
import logging
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets.http.redaction import MASK, Redaction
from events_assets.sample_api import Answer, serving
from events_assets_tests.conftest import event, failure

KEY = 'kéy/of+the&tests="1" %7'
FORMS = {
    KEY,
    quote(KEY),
    quote(KEY, safe=""),
    quote_plus(KEY),
    json.dumps(KEY)[1:-1],
    json.dumps(KEY, ensure_ascii=False)[1:-1],
    json.dumps(KEY)[1:-1].replace("/", "\\/"),
}

FAULTS = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("urllib3").setLevel(logging.DEBUG)
import dagster as dg
from events_assets.definitions import defs
from events_assets.commands.report import Report
from events_assets.sample_api import Answer, serving
from events_assets.commands.check import try_api
import json, os, urllib.parse

KEY = os.environ["API_KEY"]
link = "http://127.0.0.1:1/next?" + urllib.parse.urlencode({"api_key": KEY})
row = {"id": 1, "self": link, KEY: KEY, "nested": [{"key": KEY}]}
page = lambda *rows: Answer(200, {"data": list(rows), "total": len(rows), "next": link})
faults = {
    "echo": page(row, {"id": None, "key": KEY}, KEY, {"id": KEY}, {"id": KEY}),
    "escaped echo": Answer(200, json.dumps(page(row).document).replace("/", "\\\\/").encode()),
    "unauthorized": Answer(401, {"error": f"bad key {KEY}"}),
    "not found": Answer(404, {"error": link}),
    "gone": Answer(410, KEY.encode()),
    "server error": Answer(500, {"error": KEY}),
    "reason": Answer(503, {}, {"Retry-After": "100000"}),
    "no page": Answer(200, {KEY: [], "error": KEY}),
    "HTML": Answer(200, f"<a href='{link}'>".encode(), {"Content-Type": "text/html"}),
    "truncated": Answer(200, json.dumps({"data": [row]}).encode()[:-9]),
    "redirect": Answer(302, {}, {"Location": link}),
    "redirect elsewhere": Answer(302, {}, {"Location": link.replace("127.0.0.1", "localhost")}),
    "promise": Answer(200, {"data": [], "total": 9, "key": KEY}),
}
with dg.DagsterInstance.get() as instance:
    job = defs.resolve_job_def("events_job")
    for name, answer in faults.items():
        with serving([], key=KEY) as api:
            api.intercept = lambda number, path: answer
            os.environ["SOURCES__EVENTS__CLIENT__BASE_URL"] = api.base_url
            job.execute_in_process(instance=instance, raise_on_error=False)
            try_api(Report(print))
    os.environ["SOURCES__EVENTS__CLIENT__BASE_URL"] = "http://127.0.0.1:1"
    job.execute_in_process(instance=instance, raise_on_error=False)
    os.environ["SOURCES__EVENTS__CLIENT__BASE_URL"] = "http://127.0.0.1:1/" + KEY
    job.execute_in_process(instance=instance, raise_on_error=False)
"""


def test_no_half_of_a_key_is_left_where_a_refusal_is_cut(serve, run):
    api = serve([], key="a-long-key-without-spaces")
    api.intercept = lambda number, path: Answer(400, {"error": "x" * 140 + " " + api.key})
    told = failure(run())
    assert "it says" in told and "a-long" not in told


def test_no_fault_writes_the_key_anywhere(python, project):
    home = project / "home"
    home.mkdir()
    temporary = project / "tmp"
    temporary.mkdir()
    told = python(
        FAULTS,
        env={
            "API_KEY": KEY,
            "DAGSTER_HOME": str(home),
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "RUNTIME__LOG_LEVEL": "DEBUG",
            "SOURCES__EVENTS__HTTP__BACKOFF_FACTOR": "0.001",
        },
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert "DEBUG" in told.stderr and "urllib3" in told.stderr
    assert MASK in told.stderr
    written = {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert any(path.endswith("events.duckdb") for path in written)
    assert any("history" in path or path.endswith(".db") for path in written)
    written |= {"stdout": told.stdout.encode(), "stderr": told.stderr.encode()}
    for form in FORMS:
        assert not [path for path, content in written.items() if form.encode() in content]


def test_rows_that_echo_the_key_are_loaded_masked(serve, run, rows):
    api = serve([], key="key-of-the-tests")
    link = "https://api.example.com/v1/events/1?api_key=key-of-the-tests&x=1"
    api.intercept = lambda number, path: Answer(
        200, {"data": [event(1, link=link), {"self": link}], "total": 2}
    )
    assert run().success
    masked = link.replace("key-of-the-tests", MASK)
    assert rows("SELECT link FROM events") == [(masked,)]
    assert rows("SELECT document FROM quarantined_events") == [(json.dumps({"self": masked}),)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_never_takes_the_key_along(serve, run, status):
    with serving([event(1)], key="key-of-the-tests") as other:
        api = serve([event(1)])
        api.intercept = lambda number, path: Answer(
            status, {}, {"Location": f"{other.base_url}{path}"}
        )
        told = failure(run())
    assert other.paths == []
    assert api.base_url in told and other.base_url in told and "was not sent" in told


def test_a_link_to_another_origin_never_takes_the_key_along(serve, run, monkeypatch):
    with serving([event(1)], key="key-of-the-tests") as other:
        api = serve([event(1)])
        monkeypatch.setenv(
            "SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR",
            '{"type": "json_link", "next_url_path": "next"}',
        )
        link = f"{other.base_url}/v1/events"
        api.intercept = lambda number, path: Answer(200, {"data": [event(1)], "next": link})
        told = failure(run())
    assert other.paths == []
    assert "leads to another origin" in told


def test_a_redirect_within_the_origin_is_followed(serve, run, rows):
    api = serve([event(1)])
    api.intercept = lambda number, path: (
        Answer(307, {}, {"Location": path + "&again=1"}) if "again" not in path else None
    )
    assert run().success
    assert rows("SELECT id FROM events") == [(1,)]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30),
    st.text(max_size=10),
)
def test_every_spelling_is_masked(secret, around):
    redaction = Redaction(secret)
    for form in (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ):
        assert form not in redaction.text(f"{around}{form}{around}").replace(around, "")
    assert redaction.value({secret: [secret]}) == {MASK: [MASK]}


def test_exceptions_are_masked_along_the_whole_chain():
    redaction = Redaction(KEY)
    try:
        try:
            raise ValueError(f"url: {KEY}", KEY.encode())
        except ValueError as cause:
            error = RuntimeError({"key": KEY})
            error.url = f"http://x/?k={quote(KEY)}"
            error.request = object()
            raise error from cause
    except RuntimeError as error:
        redaction.exception(error)
        text = "".join(traceback.format_exception(error)) + repr(vars(error))
    assert not any(form in text for form in FORMS)


def test_logs_of_all_levels_are_masked_and_restored_afterwards():
    stream = io.StringIO()
    logger = logging.getLogger("some.library")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler := logging.StreamHandler(stream))
    factory = logging.getLogRecordFactory()
    try:
        with Redaction(KEY).in_logs():
            logger.debug("GET %s", f"/v1/events?api_key={quote_plus(KEY)}")
            try:
                raise ValueError(KEY)
            except ValueError:
                logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    assert MASK in stream.getvalue() and not any(form in stream.getvalue() for form in FORMS)
    assert logging.getLogRecordFactory() is factory


def test_a_short_key_that_is_not_used_masks_no_data(serve, run, rows, monkeypatch):
    api = serve([])
    monkeypatch.setenv("API_KEY", "E")
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", '{"type": "bearer", "token": "a-token"}')
    api.intercept = lambda number, path: Answer(200, {"data": [event(1)], "total": 1})
    assert run().success
    assert rows("SELECT event_name FROM events") == [("Event 1",)]
