"""Every recipe of docs/recipes.md loads all events of a server that needs it."""

import logging
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from events_assets_tests.conftest import load_configured
from events_assets_tests.recipes import SECRETS, SERVERS, put_into, recipes, status
from events_assets_tests.shapes import rows as canonical_rows
from events_assets_tests.shapes import serving_routes

pytestmark = pytest.mark.slow


def test_every_recipe_has_a_server_and_every_server_a_recipe():
    assert list(recipes()) == list(SERVERS)


def write_settings(project: Path, settings: dict[str, Any], base_url: str) -> None:
    """Puts a recipe into the committed configuration, and secrets beside it."""
    file = project / ".dlt" / "config.toml"
    config = tomllib.loads(file.read_text())
    put_into(config["sources"]["events"], settings)
    file.write_text(tomlkit.dumps(config).replace("https://example.com", base_url))
    (project / ".dlt" / "secrets.toml").write_text(tomlkit.dumps(SECRETS))


@pytest.mark.parametrize("title", recipes())
def test_a_recipe_loads_every_event(title, project, rows, monkeypatch, caplog):
    recipe, server = recipes()[title], SERVERS[title]
    monkeypatch.delenv("SOURCES__EVENTS__SCAN__READ_AHEAD")
    with serving_routes(server.routes()) as api, caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
        write_settings(project, recipe.settings, api.base_url)
        load_configured()
        if recipe.section == "Changes only":
            before = len(api.paths)
            load_configured()
            assert before > 2 >= len(api.paths) - before
    loaded = rows("SELECT id, event_name, start_time, end_time FROM events")
    assert sorted(loaded) == sorted(map(server.canonical, canonical_rows(server.events)))
    if recipe.section == "Status":
        assert sorted(rows("SELECT id, status FROM events")) == [
            (row["id"], status(row)) for row in canonical_rows()
        ]
    verdict = "unproven" if "`unproven`" in recipe.prose else "complete"
    assert {*rows("SELECT verdict, rows_quarantined FROM scan_receipts")} == {(verdict, 0)}
    if title == "So many requests in a period":
        assert rows("SELECT retries FROM scan_receipts") == [(0,)]
    shown = set(re.findall(r'"(\w+)":', recipe.prose))
    assert shown <= set(re.findall(r'"(\w+)":', " ".join(api.bodies)))
    assert leaks(project, caplog.text) == []


def leaks(project: Path, text: str) -> list[str]:
    """Where secrets stand besides the file that they come from."""
    files = {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}
    del files[str(project / ".dlt" / "secrets.toml")]
    places = {**files, "the log": text.encode()}
    return [
        place
        for place, content in places.items()
        if any(secret.encode() in content for secret in SECRETS.values())
    ]
