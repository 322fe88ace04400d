"""The recipes of docs/recipes.md, and for each of them a server that needs it."""

import re
import tomllib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from events_assets.sample_api import Answer
from events_assets_tests.conftest import ROOT
from events_assets_tests.shapes import (
    KEY,
    Asked,
    Paging,
    Quota,
    Shape,
    Tokens,
    cursors,
    last_ids,
    next_urls,
    offsets,
    pages,
    put,
    rows,
    shallow,
    since,
    whole,
)

Row = dict[str, Any]

SECRETS = {
    "api_key": KEY,
    "app_id": "app-of-the-tests",
    "client_id": Tokens.client[0],
    "client_secret": Tokens.client[1],
}
GRAPHQL = "query ($after: String) { events(first: 10, after: $after) { edges { node { id } } } }"
BASIC = b64encode(f"{KEY}:".encode()).decode()


@dataclass
class Recipe:
    section: str
    prose: str
    settings: dict[str, Any]
    """What stands in `[sources.events]`."""

    @property
    def endpoint(self) -> dict[str, Any]:
        resources = self.settings.get("resources", {})
        return dict(resources.get("endpoint", {})) if isinstance(resources, dict) else {}


@cache
def recipes() -> dict[str, Recipe]:
    """The recipes by their titles."""
    found = {}
    text = (ROOT / "docs" / "recipes.md").read_text()
    for section, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.MULTILINE):
        for title, prose, toml in re.findall(
            r"^\*\*(.+)\.\*\* ((?:.+\n)+)```toml\n((?:.*\n)+?)```$", body, re.MULTILINE
        ):
            settings = tomllib.loads(toml)["sources"]["events"]
            found[title] = Recipe(section, prose, settings)
    assert len(found) == text.count("```toml")
    return found


def put_into(config: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Puts a recipe into a configuration as the text says: some values whole, others by key."""
    for key, value in settings.items():
        here = config.get(key)
        if key == "resources" and isinstance(value, dict):
            put_into(config[key][0], value)
        elif (
            key not in ("auth", "paginator") and isinstance(value, dict) and isinstance(here, dict)
        ):
            put_into(here, value)
        else:
            config[key] = value
    return config


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def local(text: str) -> datetime:
    """The time in Vienna, without offset."""
    return instant(text).astimezone(ZoneInfo("Europe/Vienna")).replace(tzinfo=None)


def timed(write: Callable[[str, str], Row], row: Row) -> Row:
    """An event whose start and end are written otherwise."""
    rest = {key: value for key, value in row.items() if not key.endswith("_time")}
    return rest | write(row["start_time"], row["end_time"])


def both(start: str, end: str, write: Callable[[str], Any]) -> Callable[[str, str], Row]:
    """Writes start and end in the same way, in two fields."""
    return lambda first, last: {start: write(first), end: write(last)}


def in_parts(start: str, end: str) -> Row:
    times = {"from": local(start), "to": local(end)}
    parts = {f"{name}_date": time.date().isoformat() for name, time in times.items()}
    parts |= {f"{name}_time": time.strftime("%H:%M") for name, time in times.items()}
    return parts | {"zone": "Europe/Vienna"}


def with_offset_or_z(text: str) -> Row:
    even = instant(text).day % 2 == 0
    return {"at": instant(text).astimezone(ZoneInfo("UTC")).strftime("%FT%TZ") if even else text}


def on_a_day_or_at_a_time(text: str) -> Row:
    even = instant(text).day % 2 == 0
    return {"date": local(text).date().isoformat()} if even else {"dateTime": text}


TIMES: dict[str, Callable[[str, str], Row]] = {
    "With an offset": both("start", "end", with_offset_or_z),
    "Local, with the zone beside them": both(
        "start",
        "end",
        lambda text: {"local": local(text).isoformat(), "timezone": "Europe/Vienna"},
    ),
    "Local, all in one zone": both(
        "start_time", "end_time", lambda text: local(text).isoformat(" ", "minutes")
    ),
    "Date, time and zone apart": in_parts,
    "Dates": both("from", "to", lambda text: local(text).date().isoformat()),
    "Days among times": both("start", "end", on_a_day_or_at_a_time),
    "Another way to write": both(
        "begin", "end", lambda text: local(text).strftime("%d.%m.%Y %I:%M %p")
    ),
    "Unix seconds": both("start", "end", lambda text: int(instant(text).timestamp())),
    "Unix milliseconds": both("start", "end", lambda text: int(instant(text).timestamp()) * 1000),
    "A duration instead of an end": lambda start, end: {
        "start": start,
        "minutes": (instant(end) - instant(start)).seconds // 60 + 24 * 60,
    },
}


def changed_at(path: str) -> Callable[[Row], Row]:
    """Adds the time of the last change: a day for each event."""

    def write(row: Row) -> Row:
        row = {**row}
        put(row, path, f"2025-05-{row['id']:02}T12:00:00Z")
        return row

    return write


def counting_pages(events: list[Any], query: dict[str, str], url: str) -> Any:
    page, _, _ = pages("p", base=0)(events, query, url)
    return page, {"pages": -(-len(events) // 10)}, {}


def link_in_a_list(events: list[Any], query: dict[str, str], url: str) -> Any:
    page, document, _ = pages(links="json")(events, query, url)
    following = document["next"]
    return page, {"link": [{"relation": "next", "url": following}] if following else []}, {}


def link_of_hydra(events: list[Any], query: dict[str, str], url: str) -> Any:
    page, document, _ = pages(links="json")(events, query, url)
    return page, {"hydra:view": {"hydra:next": document["next"]}}, {}


def values_in_lists(events: list[Any], query: dict[str, str], url: str) -> Any:
    page, _, _ = offsets()(events, query, url)
    return page, {"columns": [*events[0]]}, {}


def by_day(page: list[Row]) -> list[Row]:
    days = dict.fromkeys(row["start_time"][:10] for row in page)
    return [
        {"date": day, "events": [row for row in page if row["start_time"][:10] == day]}
        for day in days
    ]


def at_one_path(events: list[Row]) -> dict[str, list[Row]]:
    return {"/v1/events": events}


def of_organizers(events: list[Row]) -> dict[str, list[Row]]:
    return {
        "/organizers": [{"slug": "north"}, {"slug": "south"}, {"slug": "nobody"}],
        "/organizers/north/events": events[:12],
        "/organizers/south/events": events[12:],
        "/organizers/nobody/events": [],
    }


def status(row: Row) -> str:
    """Events 2 and 3 are cancelled and deleted."""
    return {2: "cancelled", 3: "deleted"}.get(row["id"], "scheduled")


@dataclass
class Server:
    """A server that needs a recipe: how it differs from one that needs none."""

    paging: Paging = field(default_factory=offsets)
    shape: dict[str, Any] = field(default_factory=dict)
    write: Callable[[Row], Row] = dict
    """How it writes an event."""
    id: Callable[[int], Any] = int
    """The id that an event gets."""
    lists: Callable[[list[Row]], dict[str, list[Row]]] = at_one_path
    events: int = 23

    def canonical(self, row: Row) -> tuple[Any, ...]:
        """What is loaded of an event."""
        times = (instant(row["start_time"]), instant(row["end_time"]))
        return self.id(row["id"]), row["event_name"], *times

    def routes(
        self, lists: dict[str, list[Row]] | None = None
    ) -> dict[str, Callable[[Asked], Answer]]:
        """What is at its paths: lists of events, and where tokens are issued."""
        shape = Shape(self.paging, **({"key_in": "query:api_key"} | self.shape))
        routes: dict[str, Callable[[Asked], Answer]] = {
            path: partial(shape.answer, [self.write(row) for row in found])
            for path, found in (lists or self.lists(rows(self.events))).items()
        }
        if shape.tokens:
            routes["/token"] = shape.tokens.answer
        return routes


def keyed(place: str, **more: Any) -> Server:
    return Server(shape={"key_in": place, **more})


SERVERS: dict[str, Server] = {
    "Key in the query": keyed("query:token"),
    "Key in a header": keyed("header:X-Api-Key"),
    "Key in a cookie": keyed("cookie:session"),
    "Key after a prefix": keyed("header:Authorization:Token "),
    "Bearer token": keyed("header:Authorization:Bearer "),
    "HTTP basic": keyed("", requires={"header:Authorization": f"Basic {BASIC}"}),
    "OAuth 2 client credentials": keyed("", tokens=Tokens()),
    "Several secrets": keyed("header:X-App-Key", requires={"header:X-App-Id": SECRETS["app_id"]}),
    "POST with a JSON body": Server(
        shape={"method": "POST", "requires": {"body:filter.kind": "public"}}
    ),
    "GraphQL": Server(
        cursors("variables.after", "data.events.pageInfo.endCursor"),
        {
            "total": "",
            "method": "POST",
            "list_at": "data.events.edges",
            "arrange": lambda page: [{"node": row} for row in page],
            "requires": {"body:query": GRAPHQL},
        },
    ),
    "A filter with braces": Server(shape={"requires": {"query:filter": '{"kind": "public"}'}}),
    "Times in UTC": Server(shape={"requires": {"query:timezone": "UTC"}}),
    "Fixed parameters and headers": Server(
        shape={
            "requires": {
                "query:sort": "start",
                "query:language": "en",
                "header:Accept-Version": "2",
            }
        }
    ),
    "Parameters in the path": Server(
        lists=lambda events: {"/main/calendars/public/events": events}
    ),
    "Events of each organizer": Server(lists=of_organizers),
    "Offset": Server(offsets("start", "count"), {"total": "found"}),
    "Offset from 1": Server(offsets(base=1)),
    "Offset in the body": Server(offsets("page.from", "page.size"), {"method": "POST"}),
    "Page numbers": Server(pages()),
    "Page numbers from 0": Server(counting_pages, {"total": ""}),
    "Page numbers with a flag": Server(pages(has_more="has_more"), {"total": ""}),
    "Cursor": Server(cursors(), {"total": ""}),
    "Cursor under another name": Server(cursors(path="next_page"), {"total": ""}),
    "Cursor in the body": Server(cursors("page.after"), {"total": "", "method": "POST"}),
    "Cursor in a header": Server(cursors(header="X-Next-Cursor"), {"total": ""}),
    "Last id": Server(last_ids(), {"total": ""}),
    "Link in the answer": Server(pages(links="json")),
    "Link in a list": Server(link_in_a_list),
    "Link under a name with a colon": Server(link_of_hydra, {"total": "hydra:totalItems"}),
    "Link in a header": Server(pages(links="header"), {"total": "header:X-Total-Count"}),
    "Link in a header of its own": Server(next_urls("Next-Page"), {"total": ""}),
    "A single page": Server(whole),
    "Whatever dlt finds": Server(pages(links="json")),
    "So many requests in a period": Server(offsets(most=2), {"quota": Quota(12, 0.5)}),
    "Headers that tell how many requests are left": Server(shape={"quota": Quota(2, 0.2)}),
    "No pages beyond some depth": Server(shallow(500), events=1200),
    "Since the last load": Server(since(offsets()), write=changed_at("updated_at")),
    "Times of change in another form": Server(
        since(
            *(offsets(), "modified_after", "meta.modified", int),
            lambda text: int(instant(text).timestamp()),
        ),
        write=changed_at("meta.modified"),
    ),
    "Changes by a filter": Server(
        since(offsets(), "filter", read=lambda text: instant(text.removeprefix("updated_at ge "))),
        write=changed_at("updated_at"),
    ),
    "Nested": Server(shape={"list_at": "result.events"}),
    "Grouped": Server(whole, {"list_at": "days", "arrange": by_day}),
    "In envelopes": Server(
        shape={"list_at": "entries", "arrange": lambda page: [{"event": row} for row in page]}
    ),
    "By their keys": Server(
        shape={"arrange": lambda page: {str(row["id"]): row for row in page}},
    ),
    "Lists of values": Server(
        values_in_lists, {"arrange": lambda page: [[*row.values()] for row in page]}
    ),
    "A bare list": Server(shape={"list_at": "$", "total": "header:X-Total-Count"}),
    "A list that is left out when it is empty": Server(shape={"absent_when_empty": True}, events=0),
    "Several lists": Server(
        lists=lambda events: {
            "/events/live": events[:12],
            "/events/past": events[10:],
            "/archive": events[20:],
        }
    ),
    "Columns that may not change": Server(),
    "Nested fields, names by language": Server(
        write=lambda row: {
            "info": {"id": row["id"], "title": {"de": "Messe", "en": row["event_name"]}}
            if row["id"] % 2
            else {"id": row["id"], "title": {"de": row["event_name"], "en": None}},
            "start_time": row["start_time"],
            "end_time": row["end_time"],
        }
    ),
    "Attributes": Server(
        write=lambda row: {
            "id": row["id"],
            "attributes": {
                "title": row["event_name"],
                "start": row["start_time"],
                "end": row["end_time"],
            },
        }
    ),
    "Ids that last": Server(
        write=lambda row: row | {"documentId": f"d{row['id']}"}, id="d{}".format
    ),
    "Slugs": Server(
        write=lambda row: row | {"slug": f"fair-{row['id']}", "id": -row["id"]},
        id="fair-{}".format,
    ),
    "Ids of two fields": Server(
        write=lambda row: row | {"slug": "fair", "edition": row["id"], "id": 0},
        id="fair/{}".format,
    ),
    "In one of several places": Server(
        write=lambda row: (
            {name: value for name, value in row.items() if name != "event_name"}
            | {"title": row["event_name"] if row["id"] % 2 else None, "slug": row["event_name"]}
        )
    ),
    **{title: Server(write=partial(timed, write)) for title, write in TIMES.items()},
    "By a value": Server(
        write=lambda row: (
            row
            | {
                "state": {"cancelled": "called off", "deleted": "purged"}.get(
                    status(row), "scheduled"
                )
            }
        )
    ),
    "By a flag": Server(
        write=lambda row: (
            row
            | {
                "state": "scheduled",
                "is_cancelled": status(row) == "cancelled",
                "deleted_at": "2026-05-01T00:00:00Z" if status(row) == "deleted" else None,
            }
        )
    ),
    "By labels, or a list of its own": Server(
        write=lambda row: (
            row | {"state": "scheduled", "labels": ["new", "cancelled"] if row["id"] == 2 else []}
        ),
        lists=lambda events: {
            "/v1/events": [row for row in events if row["id"] != 3],
            "/v1/events/deleted": [row for row in events if row["id"] == 3],
        },
    ),
}
