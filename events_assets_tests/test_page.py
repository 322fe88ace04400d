"""What a person sees on the pages of the assets: asked of Dagster as its UI asks."""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import dagster as dg
import pytest

from events_assets.defs.pictures import MOST_BARS, SHOWN_AT_ONCE, of_loads, over_time
from events_assets_tests.conftest import event

ASSETS = """
{
  assetNodes {
    assetKey { path }
    description
    kinds
    isMaterializable
    owners { ... on UserAssetOwner { email } ... on TeamAssetOwner { team } }
    dependencyKeys { path }
    metadataEntries { ...Entry }
    assetMaterializations(limit: 1) { metadataEntries { ...Entry } }
  }
}
fragment Entry on MetadataEntry {
  label
  __typename
  ... on TextMetadataEntry { text }
  ... on MarkdownMetadataEntry { mdStr }
  ... on IntMetadataEntry { intValue }
  ... on TableSchemaMetadataEntry { schema { columns { name type description } } }
  ... on CodeReferencesMetadataEntry {
    codeReferences { ... on LocalFileCodeReference { filePath lineNumber } }
  }
}
"""
AT_ONCE = ["next_events", "events_over_time", "last_loads"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One that processes can share, as the UI does."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def page(instance: dg.DagsterInstance) -> Callable[[], dict[str, Any]]:
    """What the UI is told of each asset, by its name."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
    from dagster_graphql.cli import execute_query

    def page() -> dict[str, Any]:
        target = LoadableTargetOrigin(module_name="events_assets.definitions")
        origin = InProcessCodeLocationOrigin(target, location_name="events_assets.definitions")
        load_target = InProcessWorkspaceLoadTarget([origin])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Dagster's own
            with WorkspaceProcessContext(instance, load_target) as context:
                nodes = execute_query(context, ASSETS)["data"]["assetNodes"]
        return {node["assetKey"]["path"][-1]: node for node in nodes}

    return page


def labels(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["label"]: entry for entry in entries}


def test_the_page_begins_with_what_matters_and_has_no_internals(serve, run, page):
    soon = datetime.now(UTC) + timedelta(days=3)
    times = {"start_time": soon.isoformat(), "end_time": None}
    serve([event(1, event_name="Long ago"), event(2, event_name="Soon |\ner", **times)])
    assert run().success
    events = page()["events"]
    shown = labels(events["assetMaterializations"][0]["metadataEntries"])
    assert [*shown] == [
        "verdict",
        *("rows_inserted", "rows_updated", "rows_removed", "scan_seconds"),
        *("dagster/row_count", "dagster/column_schema"),
        *(*AT_ONCE, "rows_quarantined", "requests", "receipt", "preview"),
    ]
    defined = {name for name in labels(events["metadataEntries"]) if "dagster_dlt/" not in name}
    assert defined - {"dagster/internal_freshness_policy"} == {
        "dagster/table_name",
        "dagster/code_references",
    }
    for name in shown:
        assert (
            name.startswith("dagster/")
            or name in (*AT_ONCE, "preview")
            or (f"`{name}`" in events["description"])
        )
    assert all(len(shown[name]["mdStr"]) < SHOWN_AT_ONCE for name in AT_ONCE)
    assert all(len(shown[name]["mdStr"]) >= SHOWN_AT_ONCE for name in ("receipt", "preview"))
    assert "Soon \\| er, scheduled" in shown["next_events"]["mdStr"]
    assert "Long ago" not in shown["next_events"]["mdStr"] + shown["preview"]["mdStr"]
    assert shown["preview"]["mdStr"].startswith("| id   | event_name   | start_time")
    assert "data:image/svg+xml" in shown["events_over_time"]["mdStr"]
    assert "2 new" in shown["last_loads"]["mdStr"]
    assert "unchanged" in shown["receipt"]["mdStr"] and "dlt" not in json.dumps([*shown.values()])


@pytest.mark.slow
def test_each_column_of_each_table_is_described(serve, run, page):
    serve([event(1, tags=["a"])])
    assert run().success and run("daily_events_job").success
    assets = page()
    tables = {
        name: entry["schema"]["columns"]
        for name, asset in assets.items()
        for loaded in [*asset["assetMaterializations"], asset]
        for entry in loaded["metadataEntries"]
        if entry["label"] == "dagster/column_schema"
    }
    assert {*tables} == {*assets} - {"events_api", "current_events"}
    for table, columns in tables.items():
        assert all(one["description"] and one["type"] for one in columns), table
        assert not [one for one in columns if one["name"].startswith("_dlt")]
    for name, asset in assets.items():
        said = labels(asset["metadataEntries"])
        if name != "events_api":
            assert said["dagster/table_name"]["text"] == f"events_sample.{name}"
        if asset["isMaterializable"]:
            (place,) = said["dagster/code_references"]["codeReferences"]
            assert place["filePath"].endswith(".py") and place["lineNumber"] > 1


@pytest.mark.slow
def test_events_that_are_all_over_are_shown_all_the_same(serve, run, page):
    serve([event(1)])
    assert run().success
    shown = labels(page()["events"]["assetMaterializations"][0]["metadataEntries"])
    assert shown["next_events"]["text"] == "no event starts after now"
    assert "Event 1" in shown["preview"]["mdStr"]


@pytest.mark.slow
@pytest.mark.parametrize("hint", ["", 'columns = { start_time = { data_type = "text" } }'])
def test_no_type_of_a_column_ends_a_load(serve, run, configure, project, hint):
    config = (project / ".dlt" / "config.toml").read_text().split("[runtime]")[0]
    configure(config.replace('name = "events"', f'name = "events"\n{hint}'))
    soon = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    serve([event(1, start_time=soon, end_time=None, status=2), event(2, status=0)])
    assert run().asset_materializations_for_node("load_events")
    assert hint or run("daily_events_job").success


def days(*statuses: str | None) -> Iterator[tuple[date | None, str | None, int]]:
    for number, status in enumerate(statuses):
        for day in range(300):
            yield date(2026, 1, 1) + timedelta(days=7 * day), status, 1 + (day * number) % 97


@pytest.mark.parametrize(
    "rows",
    [
        [*days("scheduled", "cancelled", "past", None, "postponed")],
        [*days("東京" * 99, "<b>&'\"`](x) |\n", "%s %22 \\")],
        [*days("scheduled")],
        [(date(1, 1, 1), None, 10**12), (date(9999, 12, 31), "x", 1)],
        [(None, "scheduled", 5)],
        [],
    ],
    ids=["many", "hostile", "one", "far", "undated", "none"],
)
def test_a_picture_never_needs_a_click_and_never_ends_a_run(rows):
    drawn = over_time(rows)
    assert len(drawn) < SHOWN_AT_ONCE
    assert drawn.startswith("![") or drawn == "no event has a start"
    assert "\n" not in drawn.split("\n\n")[0]


def test_one_event_that_was_removed_among_millions_is_seen_in_the_picture():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    loads = [
        (
            start + timedelta(hours=hour),
            {
                "new": hour**5,
                "changed": hour % 7,
                "removed": {7: 10**6, MOST_BARS + 8: 1}.get(hour, 0),
                "unchanged": 10**7 + hour,
            },
        )
        for hour in range(MOST_BARS + 10)
    ]
    for shown in (loads, loads[-2:]):
        drawn = of_loads(shown)
        assert len(drawn) < SHOWN_AT_ONCE and "\n" not in drawn
        (removed,) = re.findall("fill='crimson' d='([^']*)'", unquote(drawn))
        assert removed.startswith("M0 66V") and removed.endswith("V66h1V66")
        assert "10,000,049 unchanged" in unquote(drawn)
    assert "V64h1V66h" in unquote(of_loads([loads[7], *loads[-3:]]))
    assert "V64h1V66h" not in unquote(of_loads([loads[7], *loads[-1:]]))


@pytest.mark.slow
def test_the_page_draws_what_loads_changed_from_the_second_on(serve, run, page):
    for events in ([event(1)], [event(1, status="cancelled"), event(2)]):
        serve(events)
        assert run().success
        shown = labels(page()["events"]["assetMaterializations"][0]["metadataEntries"])
        assert ("changes_over_time" in shown) == (len(events) > 1)
    drawn = unquote(shown["changes_over_time"]["mdStr"])
    for said in ("1 new", "1 changed", "0 removed", "0 unchanged"):
        assert f">{said}<" in drawn


SECRET = "https://user:pass-word@api.example.com:8443/token-of-the-path/v2?api_key=of-the-query"


@pytest.mark.slow
def test_the_catalog_tells_no_secret_of_the_api_and_who_owns_the_events(python, monkeypatch):
    monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", SECRET)
    monkeypatch.setenv("SOURCES__EVENTS__CATALOG__OWNERS", '["ada@example.com", "team:events"]')
    told = python(
        "from events_assets.definitions import defs\n"
        "graph = defs.resolve_asset_graph()\n"
        "for key in graph.get_all_asset_keys():\n"
        "    node = graph.get(key)\n"
        "    print(key, dict(node.metadata), node.owners, node.description)"
    )
    assert told.stdout.count("['ada@example.com', 'team:events']") == 7
    assert "https://api.example.com:8443'" in told.stdout
    for secret in ("pass-word", "token-of-the-path", "of-the-query"):
        assert secret not in told.stdout + told.stderr
