"""The documents say what is so."""

import re
import tomllib
from typing import Any

import duckdb
import pytest
import tomlkit

from events_assets.configuration import (
    http_settings,
    rest_api_config,
    schedule_settings,
    warehouse_settings,
)
from events_assets.destinations.choice import BROKEN, destination, destination_name
from events_assets.settings import SECTIONS
from events_assets_tests.conftest import COMMITTED, ROOT, event, forget_providers
from events_assets_tests.recipes import put_into


def documents(*names: str) -> str:
    return "".join((ROOT / "docs" / name).read_text() for name in names)


def test_each_test_named_in_the_documents_exists():
    named = set(re.findall(r"`(test_\w+)`", documents("faults.md", "destinations.md")))
    tests = "\n".join(path.read_text() for path in (ROOT / "events_assets_tests").glob("test_*.py"))
    assert named and not {name for name in named if f"def {name}(" not in tests}


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "deploy" / "README.md"])
HEADING = re.compile(r"(?m)^#+ (.+)$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_sends_people_where_nothing_is(page):
    text = page.read_text()
    targets = (ROOT / "Makefile").read_text().split("\n")
    for target in re.findall(r"`make ([\w-]+)", text):
        assert any(line.startswith(f"{target}:") for line in targets), target
    for path, _, anchor in re.findall(r"\]\((?!http)([^)#]*)(#?)([^)]*)\)", text):
        found = (page.parent / path) if path else page
        assert found.is_file(), path
        if anchor:
            assert anchor in map(anchor_of, HEADING.findall(found.read_text())), anchor
    for section in re.findall(r"\[(sources\.events\.\w+)", text):
        assert section in (ROOT / ".dlt" / "config.toml").read_text(), section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nobody_scrolls_sideways_to_read_a_page_in_a_terminal(page):
    written = re.sub("(?s)<!-- results -->.*?<!-- end of results -->", "", page.read_text())
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", written)
    assert [line for line in prose.split("\n") if len(line) > 100 and line[0] != "|"] == []


def anchor_of(heading: str) -> str:
    """What a link to a heading is on GitHub."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_readme_leads_to_each_page():
    text = (ROOT / "README.md").read_text()
    pages = [page.relative_to(ROOT) for page in PAGES if page.name != "README.md"]
    assert [str(page) for page in pages if f"]({page})" not in text] == []
    assert len(text.splitlines()) <= 150


def test_each_section_and_each_variable_of_the_settings_is_read(monkeypatch):
    text = documents("settings.md")
    assert {f"[sources.events.{name}" for name in SECTIONS} <= {
        *re.findall(r"\[sources\.events\.\w+", text)
    }
    variables = re.findall(r"`((?:SOURCES__|DESTINATION_)\w+)` \|", text)
    texts = ["http://127.0.0.1", "7", "5 4 * * *", "/elsewhere", "postgres"]
    for name, value in zip(variables, texts, strict=True):
        monkeypatch.setenv(name, value)
    forget_providers()
    found: Any = rest_api_config()
    read = [
        found["client"]["base_url"],
        str(http_settings().max_retries),
        schedule_settings().cron,
        found["resources"][0]["endpoint"]["path"],
        destination_name(),
    ]
    assert read == texts


def test_the_source_runs_in_a_pipeline_of_anyone(serve, monkeypatch, project):
    serve([event(1), event(2)])
    (code,) = re.findall(r"(?s)```python\n(.*?)```", documents("development.md"))
    monkeypatch.setenv("DLT_DATA_DIR", str(project / "dlt"))
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    with duckdb.connect("my_pipeline.duckdb") as connection:
        told = connection.execute("SELECT verdict, rows_loaded FROM my_events.scan_receipts")
        assert told.fetchall() == [("complete", 2)]


@pytest.mark.parametrize(
    ("title", "blocks", "kind"),
    [("DuckDB", 1, "DuckDB"), ("PostgreSQL", 2, "Postgres"), ("PostgreSQL", 3, "Postgres")],
)
def test_the_lines_that_configure_a_destination_are_accepted(title, blocks, kind, project):
    section = documents("destinations.md").split(f"\n## {title}\n")[1].split("\n## ")[0]
    told = [tomllib.loads(text) for text in re.findall(r"(?s)```toml\n(.*?)```", section)]
    config, secrets = tomllib.loads(COMMITTED), dict[str, Any]()
    for block in told[:blocks]:
        put_into(secrets if "credentials" in str(block) else config, block)
    name = config.get("destination_type", "duckdb")
    assert name == ("team" if blocks == 3 else title.removesuffix("QL").lower())
    if name == "team":
        secrets["destination"] = {name: secrets["destination"]["postgres"]}
    for file, document in (("config", config), ("secrets", secrets)):
        (project / ".dlt" / f"{file}.toml").write_text(tomlkit.dumps(document))
    forget_providers()
    chosen = destination()
    assert type(chosen).__name__ == kind and chosen.for_loads().destination_name == name
    assert warehouse_settings().database == "data/events.duckdb"


def test_each_destination_that_is_refused_for_a_reason_is_in_the_documents():
    refused = documents("destinations.md").split("## What is refused")[1]
    assert set(re.findall(r"\(`(\w+)`\)", refused)) == BROKEN.keys()
