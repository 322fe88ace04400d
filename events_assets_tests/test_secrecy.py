"""The key is sent to its API and written nowhere."""

import io
import itertools
import json
import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_assets.http.log_masking import masked
from events_assets.http.redaction import MASK, Redaction
from events_assets.sample_api import Answer, serving
from events_assets_tests.conftest import event, failure, load_configured, refused

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


def test_rows_that_echo_the_key_are_loaded_masked(serve, rows):
    api = serve([], key="key-of-the-tests")
    link = "https://api.example.com/v1/events/1?api_key=key-of-the-tests&x=1"
    api.intercept = lambda number, path: Answer(
        200, {"data": [event(1, link=link), {"self": link}], "total": 2}
    )
    load_configured()
    masked = link.replace("key-of-the-tests", MASK)
    assert rows("SELECT link FROM events") == [(masked,)]
    assert rows("SELECT document FROM quarantined_events") == [(json.dumps({"self": masked}),)]


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


@pytest.mark.parametrize("by", ["link", "redirect"])
@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher"])
def test_no_other_scheme_than_that_of_the_api_is_spoken(serve, monkeypatch, by, scheme):
    api = serve([event(1)])
    monkeypatch.setenv(
        "SOURCES__EVENTS__RESOURCES__EVENTS__ENDPOINT__PAGINATOR",
        '{"type": "json_link", "next_url_path": "next"}',
    )
    link = f"{api.base_url.replace('http', scheme)}/v1/events"
    page = {"data": [event(1)], "next": link}
    api.intercept = lambda number, path: (
        Answer(200, page) if by == "link" else Answer(307, {}, {"Location": link})
    )
    told = refused()
    asked = link.removesuffix("/v1/events")
    assert f"the API at {api.base_url} leads to another origin, {asked} (by a redirect" in told
    assert len(api.paths) == 1


def test_an_origin_without_a_port_is_named_without_one(serve):
    api = serve([event(1)])
    api.intercept = lambda number, path: Answer(307, {}, {"Location": "ftp://files.example/a"})
    assert "leads to another origin, ftp://files.example (by a redirect" in refused()


def test_a_redirect_within_the_origin_is_followed(serve, rows):
    api = serve([event(1)])
    api.intercept = lambda number, path: (
        Answer(307, {}, {"Location": path + "&again=1"}) if "again" not in path else None
    )
    load_configured()
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
    with pytest.raises(RuntimeError) as raised, masked(redaction):
        try:
            raise ValueError(f"url: {KEY}", KEY.encode())
        except ValueError as cause:
            error = RuntimeError({"key": KEY})
            error.url = f"http://x/?k={quote(KEY)}"
            error.request = object()
            error.add_note(f"while asking with {KEY}")
            raise error from cause
    text = "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value))
    assert "while asking with" in text and not any(form in text for form in FORMS)


@pytest.fixture
def logged():
    """What a library logs, at all levels."""
    stream = io.StringIO()
    logger = logging.getLogger("some.library")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler := logging.StreamHandler(stream))

    def logged(*args):
        start = stream.tell()
        logger.debug(*args)
        return stream.getvalue()[start:].rstrip()

    logged.logger = logger
    yield logged
    logger.removeHandler(handler)


def test_logs_are_masked_where_a_message_is_put_together_and_in_tracebacks(logged):
    with masked(Redaction(KEY)):
        told = logged("GET %s", f"/v1/events?api_key={quote_plus(KEY)}")
        try:
            raise ValueError(KEY)
        except ValueError:
            logged.logger.exception("failed")
    assert told == f"GET /v1/events?api_key={MASK}"
    text = logged.logger.handlers[0].stream.getvalue()
    assert "ValueError" in text and not any(form in text for form in FORMS)


@pytest.mark.parametrize("ends", list(itertools.permutations(range(3))))
def test_no_key_is_logged_while_it_is_in_use_whichever_use_ends_first(logged, ends):
    before = logging.getLogRecordFactory()
    keys = ["the-first-key", "the-second-key", "the-first-key"]
    redactions = {key: Redaction(key) for key in keys}
    uses = [masked(redactions[key]) for key in keys]
    for use in uses:
        use.__enter__()
    in_use = list(keys)
    for number in ends:
        for key in keys:
            assert logged("a %s", key) == f"a {MASK if key in in_use else key}"
        uses[number].__exit__(None, None, None)
        in_use.remove(keys[number])
    assert logging.getLogRecordFactory() is before


def test_no_rest_is_logged_of_a_key_that_begins_with_another_one(logged):
    with masked(Redaction("a-long-key")), masked(Redaction("a-long-key-and-its-rest")):
        assert logged("%s", "a-long-key-and-its-rest") == MASK


def test_threads_that_load_at_once_log_no_key(logged):
    before = logging.getLogRecordFactory()

    def load(number):
        key = f"the-key-of-load-{number}"
        with masked(Redaction(key)):
            logged.logger.debug("with %s", key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load, range(200)))
    text = logged.logger.handlers[0].stream.getvalue()
    assert text == f"with {MASK}\n" * 200
    assert logging.getLogRecordFactory() is before


def test_the_record_factories_of_others_go_on_beneath_and_above(logged):
    def marking(mark, beneath):
        def make(*args, **kwargs):
            record = beneath(*args, **kwargs)
            record.msg = f"{mark} {record.msg}"
            return record

        return make

    plain = logging.getLogRecordFactory()
    try:
        logging.setLogRecordFactory(beneath := marking("beneath", plain))
        with masked(Redaction(KEY)):
            logging.setLogRecordFactory(
                above := marking("above", logging.getLogRecordFactory()),
            )
            assert logged("a %s", KEY) == f"above beneath a {MASK}"
        assert logging.getLogRecordFactory() is above
        with masked(Redaction(KEY)):
            assert logged("a %s", KEY) == f"above beneath a {MASK}"
        assert logging.getLogRecordFactory() is above
        logging.setLogRecordFactory(beneath)
        with masked(Redaction(KEY)):
            assert logged("a %s", KEY) == f"beneath a {MASK}"
        assert logging.getLogRecordFactory() is beneath
    finally:
        logging.setLogRecordFactory(plain)


def test_a_short_key_that_is_not_used_masks_no_data(serve, rows, monkeypatch):
    api = serve([])
    monkeypatch.setenv("API_KEY", "E")
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__AUTH", '{"type": "bearer", "token": "a-token"}')
    api.intercept = lambda number, path: Answer(200, {"data": [event(1)], "total": 1})
    load_configured()
    assert rows("SELECT event_name FROM events") == [("Event 1",)]
