"""Where events cannot be kept as they have to be, nothing is asked for and nothing written."""

import json
import logging
import re
import sys
import traceback
from contextlib import ExitStack, closing

import psycopg2
import pytest
from dagster._core.events.log import EventLogEntry

from events_assets.destinations.base import Destination
from events_assets.destinations.choice import BROKEN, REMEDY, UNKNOWN, UNTRIED, destination
from events_assets.destinations.duckdb import DuckDB
from events_assets.errors import ConfigurationError
from events_assets_tests.conftest import event, failure, forget_providers
from events_assets_tests.postgres import cluster, free_port, installed

PASSWORD = "pa55-word"
CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"
REFUSED = {
    "sqlalchemy": f"sqlalchemy: {BROKEN['sqlalchemy']}",
    "filesystem": f"filesystem: {BROKEN['filesystem']}",
    "ducklake": f"ducklake: {BROKEN['ducklake']}",
    "dlt.destinations.filesystem": f"filesystem: {BROKEN['filesystem']}",
    "motherduck": f"motherduck: {UNTRIED}",
    "my_own.module.destination": f"my_own.module.destination: {UNTRIED}",
    "postgresql": f"postgresql: {UNKNOWN}",
}
NO_URL = {
    "another database": f"mysql://events:{PASSWORD}@127.0.0.1:1/events",
    "a slip of the pen": f"postgresql//events:{PASSWORD}@127.0.0.1:1/events",
    "only the password": PASSWORD,
    "a port that is none": f"postgresql://events:{PASSWORD}@127.0.0.1:port/events",
    "an @ in the password": f"postgresql://events:first@{PASSWORD}@127.0.0.1:1/events",
}


@pytest.fixture
def configured(monkeypatch):
    """The destination of a configuration in the environment."""

    def configured(**settings: str) -> Destination:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        forget_providers()
        return destination()

    return configured


def told_by_job_and_check(run, command) -> str:
    """The sentence that both say."""
    told = failure(run("events_job"))
    assert failure(run("daily_events_job"), "daily_events") == told
    key = {"API_KEY": "key-of-the-tests"}
    steps = json.loads(command("check", "--json", env=key).stdout)["steps"]
    assert (steps[-1]["state"], steps[-1]["name"]) == ("FAILED", "destination")
    assert steps[-1]["finding"] == told
    assert "events_job would not work: see destination above." in command("check", env=key).stdout
    return told


@pytest.mark.parametrize("name", REFUSED)
def test_a_destination_that_breaks_a_promise_is_refused(name, configured):
    with pytest.raises(ConfigurationError) as refused:
        configured(DESTINATION_TYPE=name)
    assert str(refused.value) == f"events cannot go to {REFUSED[name]}; {REMEDY}"


def test_a_destination_that_is_refused_gets_no_request_and_no_row(
    serve, run, command, project, monkeypatch
):
    api = serve([event(1)])
    monkeypatch.setenv("DESTINATION_TYPE", "filesystem")
    before = set(project.rglob("*"))
    told = told_by_job_and_check(run, command)
    assert told == f"events cannot go to {REFUSED['filesystem']}; {REMEDY}"
    assert api.paths == [] and set(project.rglob("*")) == before


def test_a_name_of_its_own_hides_no_refused_type(project):
    config = project / ".dlt" / "config.toml"
    own = '[destination.lake]\ndestination_type = "dlt.destinations.filesystem"\n'
    config.write_text(f'destination_type = "lake"\n{config.read_text()}\n{own}')
    forget_providers()
    with pytest.raises(ConfigurationError) as refused:
        destination()
    of = "lake, which is of the type filesystem"
    assert str(refused.value) == f"events cannot go to {of}: {BROKEN['filesystem']}; {REMEDY}"


def test_a_name_of_its_own_for_what_is_offered_is_taken(configured):
    chosen = configured(DESTINATION_TYPE="house", DESTINATION__HOUSE__DESTINATION_TYPE="duckdb")
    assert isinstance(chosen, DuckDB) and chosen.name == "house"
    assert configured(DESTINATION_TYPE="dlt.destinations.duckdb").name == "duckdb"


def test_a_url_in_the_wrong_place_is_not_told(configured):
    with pytest.raises(ConfigurationError) as refused:
        configured(DESTINATION_TYPE=f"postgresql://events:{PASSWORD}@127.0.0.1/events")
    assert str(refused.value) == f"destination_type is no name of a destination: {REMEDY}"


@pytest.mark.parametrize("module", ["psycopg2", "adbc_driver_postgresql"])
def test_what_is_not_installed_is_told(module, configured, monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("events_assets.destinations.postgres", "dlt.destinations.impl.postg")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'events-assets\[postgres\]'"):
        configured(DESTINATION_TYPE="postgres")


def test_missing_credentials_are_named_with_the_variable_that_gives_them(
    serve, run, command, monkeypatch
):
    api = serve([event(1)])
    monkeypatch.setenv("DESTINATION_TYPE", "team")
    monkeypatch.setenv("DESTINATION__TEAM__DESTINATION_TYPE", "postgres")
    assert told_by_job_and_check(run, command) == (
        "the warehouse has no database, password, username, host: set DESTINATION__TEAM"
        "__CREDENTIALS=postgresql://user:password@host:5432/database in the environment, or the "
        "same as destination.team.credentials in .dlt/secrets.toml"
    )
    assert api.paths == []


@pytest.fixture
def everything_said(instance, caplog, capfd):
    """All that a run of `events_job` says: its failure first, then events, logs and output."""
    caplog.set_level(logging.DEBUG)

    def everything_said(run) -> tuple[str, str]:
        result = run("events_job")
        entries: list[EventLogEntry] = instance.all_logs(result.run_id)
        assert entries
        printed = "".join(capfd.readouterr())
        return failure(result), "\n".join([*map(str, entries), caplog.text, printed])

    return everything_said


@pytest.mark.parametrize("case", NO_URL)
def test_credentials_that_cannot_be_read_are_refused_without_them(case, configured):
    chosen = configured(DESTINATION_TYPE="postgres", **{CREDENTIALS: NO_URL[case]})
    with pytest.raises(ConfigurationError) as refused:
        chosen.for_loads()
    told = "destination.postgres.credentials is no URL of PostgreSQL.*: set DESTINATION__"
    assert re.match(told, str(refused.value))
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))


def test_credentials_that_cannot_be_read_are_not_told(
    serve, run, command, monkeypatch, everything_said
):
    api = serve([event(1)])
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv(CREDENTIALS, NO_URL["another database"])
    _, said = everything_said(run)
    assert PASSWORD not in said + told_by_job_and_check(run, command)
    assert api.paths == []


def test_a_server_that_is_not_there_is_told_without_the_password(
    serve, run, monkeypatch, everything_said
):
    api, port = serve([event(1)]), free_port()
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv(CREDENTIALS, f"postgresql://events:{PASSWORD}@127.0.0.1:{port}/events")
    told, said = everything_said(run)
    assert told.startswith(
        f'the warehouse cannot be opened: connection to server at "127.0.0.1", port {port} failed'
    )
    assert told.endswith("; check [destination.postgres.credentials], and that it runs")
    assert PASSWORD not in said and api.paths == []


@pytest.mark.slow
def test_a_wrong_password_is_told_nowhere(serve, run, monkeypatch, everything_said):
    api = serve([event(1)])
    if not (programs := installed()):
        pytest.skip("no PostgreSQL on this machine: neither in PATH nor in /usr/lib/postgresql")
    with ExitStack() as stack:
        url = stack.enter_context(cluster(programs, password="events"))
        monkeypatch.setenv("DESTINATION_TYPE", "postgres")
        monkeypatch.setenv(CREDENTIALS, url.replace("events:events@", f"events:{PASSWORD}@"))
        told, said = everything_said(run)
        assert 'password authentication failed for user "events"' in told
        assert PASSWORD not in said and api.paths == []
        monkeypatch.setenv(CREDENTIALS, url)  # the server asks for a password, and takes the right
        assert run("events_job").success


@pytest.fixture
def server(postgres):
    """Runs statements on the server of the tests."""

    def server(*statements: str) -> None:
        with closing(psycopg2.connect(postgres)) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    return server


def test_a_database_that_would_turn_texts_into_others_gets_none(
    serve, run, postgres, server, monkeypatch
):
    api = serve([event(1, event_name="東京")])
    server("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv(CREDENTIALS, postgres.replace("/postgres", "/latin"))
    told = failure(run("events_job"))
    server("DROP DATABASE latin WITH (FORCE)")
    assert told.startswith("the database latin has the encoding LATIN1, in which not every text")
    assert api.paths == []


def test_a_role_that_may_make_no_schemas_is_told_what_to_grant_before_the_first_request(
    serve, run, postgres, server, monkeypatch
):
    api = serve([event(1)])
    server("CREATE ROLE loader LOGIN", "CREATE DATABASE house")
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    url = postgres.replace("/postgres", "/house").replace("events:events@", "loader:any@")
    monkeypatch.setenv(CREDENTIALS, url)
    told = failure(run("events_job"))
    assert "where events_data and events_data_staging have to be: " in told and api.paths == []
    server(told.rpartition(": ")[2])
    loaded = run("events_job").success
    server('REVOKE CREATE ON DATABASE house FROM "loader"')
    loaded = loaded and run("events_job").success  # it has them now
    server("DROP DATABASE house WITH (FORCE)", "DROP ROLE loader")
    assert loaded
