"""The documents say what is so."""

import re
import tomllib
from typing import Any

import pytest
import tomlkit

from events_assets.configuration import warehouse_settings
from events_assets.destinations.choice import BROKEN, destination
from events_assets_tests.conftest import COMMITTED, ROOT, forget_providers
from events_assets_tests.recipes import put_into


def documents(*names: str) -> str:
    return "".join((ROOT / "docs" / name).read_text() for name in names)


def test_each_test_named_in_the_documents_exists():
    named = set(re.findall(r"`(test_\w+)`", documents("faults.md", "destinations.md")))
    tests = "\n".join(path.read_text() for path in (ROOT / "events_assets_tests").glob("test_*.py"))
    assert named and not {name for name in named if f"def {name}(" not in tests}


def test_the_readme_names_only_what_exists():
    text = (ROOT / "README.md").read_text()
    targets = set((ROOT / "Makefile").read_text().split("\n"))
    for target in re.findall(r"make ([\w-]+)", text):
        assert any(line.startswith(f"{target}:") for line in targets), target
    for path in re.findall(r"\]\((docs/[^)]+)\)", text):
        assert (ROOT / path).is_file(), path
    for section in re.findall(r"\[(sources\.events\.\w+)\]", text):
        assert section in (ROOT / ".dlt" / "config.toml").read_text(), section


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
