"""Recipes combine: every way to authenticate, to page and to tell times with every other one."""

from dataclasses import replace

import pytest

from events_assets_tests.conftest import load_configured
from events_assets_tests.recipes import SERVERS, recipes
from events_assets_tests.shapes import rows as canonical_rows
from events_assets_tests.shapes import serving_routes
from events_assets_tests.test_recipes import write_settings

pytestmark = pytest.mark.slow

AUTHENTICATION, PAGES, TIMES = (
    [title for title, recipe in recipes().items() if recipe.section == section]
    for section in ("Authentication", "Pages", "Times")
)


def cells(time: str) -> list[tuple[str, str]]:
    """Authentication and paging for the lists of an API that tells times in some way."""
    shift = TIMES.index(time)
    return [
        (AUTHENTICATION[(number + shift) % len(AUTHENTICATION)], paging)
        for number, paging in enumerate(PAGES)
    ]


def test_every_two_recipes_meet():
    met = [(auth, paging, time) for time in TIMES for auth, paging in cells(time)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        axes = (AUTHENTICATION, PAGES, TIMES)
        pairs = {(cell[one], cell[other]) for cell in met}
        assert len(pairs) == len(axes[one]) * len(axes[other])


@pytest.mark.parametrize("time", TIMES)
def test_every_way_to_authenticate_and_page_gives_the_same_rows(time, project, rows, monkeypatch):
    routes, resources, expected, scan = {}, [], [], {}
    for number, (auth, paging) in enumerate(cells(time)):
        path = f"/{auth} {paging}".replace(" ", "-")
        events = [row | {"id": 100 * number + row["id"]} for row in canonical_rows()]
        expected += map(SERVERS[time].canonical, events)
        shape = SERVERS[auth].shape | SERVERS[paging].shape
        server = replace(SERVERS[paging], shape=shape, write=SERVERS[time].write)
        routes |= server.routes({path: events})
        scan |= recipes()[paging].settings.get("scan", {})
        endpoint = recipes()[paging].endpoint | recipes()[auth].settings["client"]
        endpoint |= {"path": path, "data_selector": "data"}
        resources.append({"name": path, "table_name": "events", "endpoint": endpoint})
    with serving_routes(routes) as api:
        monkeypatch.setenv("SOURCES__EVENTS__CLIENT__BASE_URL", api.base_url)
        fields = recipes()[time].settings["fields"]
        settings = {"resources": resources, "fields": fields, "scan": scan}
        write_settings(project, settings, api.base_url)
        load_configured()
    assert sorted(rows("SELECT id, event_name, start_time, end_time FROM events")) == expected
    verdict, walks = rows("SELECT verdict, walks FROM scan_receipts")[0]
    assert verdict != "torn" and walks == len(PAGES)
