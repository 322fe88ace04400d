"""An API in memory whose rows come, go, change and move while they are read, in all the ways of
paging, counting and failing that APIs have. What it is like follows from a seed."""

import base64
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from events_assets.paging.windows import Window
from events_assets.settings import WindowSettings
from events_assets_tests.simulation import URL, Simulation

OFFSETS = ("offset 0", "offset 1", "offset 2")
NUMBERS = ("numbers 0", "numbers 1")
CURSORS = ("keyset", "base64", "opaque", "header", "link", "last id", "flag")
PARTS = ("lists", "windows")
PAGINGS = (*OFFSETS, *NUMBERS, *CURSORS, *PARTS)
TOTALS = ("exact", "absent", "cached", "lagging", "estimated", "of the page", "left", "capped")
ORDERS = ("id", "newest", "start", "update", "ties", "unstable")
CHANGES = ("insert", "delete", "replace", "update", "move", "purge")
DAY = 86_400
WINDOWS = WindowSettings(
    max_rows=40,
    start_param="from",
    end_param="until",
    initial_value="1970-01-01",
    end_value="1970-01-02",
    format="seconds",
)
QUIET, BUSY, WILD = "quiet", "busy", "wild"


@dataclass
class Row:
    """A row: when it starts and was updated last, and how often."""

    start: float
    updated: int
    version: int = 1


@dataclass
class ChangingApi:
    """An API that answers `Simulation`, and remembers what it gave.

    `always` are the ids of rows that were there all along, `given` the last version of each row
    that it gave.
    """

    seed: int
    mood: str = BUSY
    rows: dict[int, Row] = field(default_factory=dict)
    given: dict[int, int] = field(default_factory=dict)
    requests: int = 0

    def __post_init__(self) -> None:
        r = self.random = Random(self.seed)
        self.paging = r.choice(PAGINGS)
        self.total = r.choice(TOTALS)
        self.order = r.choice(ORDERS[:-1] if self.mood == QUIET else ORDERS)
        self.limit = r.choice([5, 10, 25])
        if self.paging == "windows":
            self.order = r.choice(["id", "newest", "start"])
        self.cap = r.choice([self.limit, self.limit, max(3, self.limit - 2), 0])
        if self.paging in NUMBERS and not self.cap:
            self.cap = self.limit
        self.kinds = r.choice([CHANGES, *((kind,) for kind in CHANGES), ("delete", "move")])
        self.rate = {QUIET: 0.0, BUSY: 0.1, WILD: 0.4}[self.mood] * r.choice([0.3, 1, 1])
        self.fault_rate = 0.03 if self.mood == WILD and r.random() < 0.5 else 0.0
        self.is_refusing = r.random() < 0.3
        first = r.choice([0, 1, 1000])
        for number in range(r.choice([0, 1, self.limit, 7, 60, 150])):
            start = r.random()
            self.rows[first + number] = Row(start, r.randrange(10_000))
        self.next = first + 1_000
        self.clock = 10_000
        self.always = {*self.rows}
        self.counted = len(self.rows)
        self.counts = [len(self.rows)] * 4

    def __call__(self, query: dict[str, str]) -> Any:
        self.requests += 1
        assert self.requests < 3_000, "the scan does not end"
        self.change()
        ids = self.sorted()
        if self.paging in PARTS:
            ids = [one for one in ids if self.is_asked_for(self.rows[one], query)]
        limit = self.cap or self.random.randint(2, self.limit)
        if self.fault_rate and self.random.random() < self.fault_rate:
            return {"data": []} if self.random.random() < 0.5 else {"data": [], "total": 0}
        kind, _, number = self.paging.partition(" ")
        if kind in ("offset", *PARTS):
            start = int(query["offset"])
        elif kind == "numbers":
            start = limit * (int(query["page"]) - int(number))
        else:
            start = self.place(query.get("cursor"), ids)
        if start < 0:
            return None
        if self.is_refusing and start >= len(ids) > 0 and start:
            return None
        page = ids[start : start + limit]
        self.given |= {one: self.rows[one].version for one in page}
        document: dict[str, Any] = {"data": [self.row(one) for one in page]}
        total = self.count(len(ids), start, len(page))
        if total is not None:
            document["total"] = total
        return naming(self.paging, document, page, start, start + len(page) < len(ids))

    def is_asked_for(self, row: Row, query: dict[str, str]) -> bool:
        """Whether a row is in the list or window asked for."""
        if "list" in query:
            return query["list"] == ("past" if row.start < 0.5 else "live")
        first, last = float(query.get("from", "-inf")), float(query.get("until", "inf"))
        return first <= DAY * row.start < last

    def row(self, one: int) -> dict[str, Any]:
        row = self.rows[one]
        return {"id": one, "start": row.start, "version": row.version}

    def place(self, cursor: str | None, ids: list[int]) -> int:
        """Where in the list a cursor leads; below 0 if its row is gone."""
        if cursor is None:
            return 0
        if self.paging == "opaque":
            return int(cursor[1:], 16) // 7919
        if self.paging == "base64":
            cursor = str(json.loads(base64.b64decode(cursor))["id"])
        last = int(cursor)
        if self.order == "id":
            return sum(one <= last for one in ids)
        if self.order == "newest":
            return sum(one >= last for one in ids)
        return ids.index(last) + 1 if last in ids else -1

    def sorted(self) -> list[int]:
        rows = self.rows
        if self.order == "unstable":
            ids = [*rows]
            self.random.shuffle(ids)
            return ids
        key = {
            "id": lambda one: one,
            "newest": lambda one: -one,
            "start": lambda one: (rows[one].start, one),
            "update": lambda one: (-rows[one].updated, one),
            "ties": lambda one: (int(rows[one].start * 4), -one),
        }[self.order]
        return sorted(rows, key=key)

    def count(self, rows: int, start: int, on_page: int) -> int | None:
        self.counts.append(rows)
        if self.requests % 7 == 0 or self.paging in PARTS:
            self.counted = rows
        return {
            "exact": rows,
            "absent": None,
            "cached": self.counted,
            "lagging": rows if self.paging in PARTS else self.counts[-4],
            "estimated": max(0, rows + self.random.randint(-2, 2)),
            "of the page": on_page,
            "left": max(0, rows - start - on_page),
            "capped": min(rows, 40),
        }[self.total]

    def change(self) -> None:
        r = self.random
        while r.random() < self.rate:
            kind, ids = r.choice(self.kinds), [*self.rows]
            self.clock += 1
            if kind in ("insert", "replace"):
                self.rows[self.next] = Row(r.random(), self.clock)
                self.next += 1
            if kind in ("delete", "replace") and ids:
                self.remove(r.choice(ids))
            if kind == "purge" and ids and r.random() < 0.2:
                for one in self.sorted()[: len(ids) // 3]:
                    self.remove(one)
            if kind in ("update", "move") and ids:
                row = self.rows[r.choice(ids)]
                row.version, row.updated = row.version + 1, self.clock
                if kind == "move":
                    row.start = r.random()

    def remove(self, one: int) -> None:
        del self.rows[one]
        self.always.discard(one)


def naming(kind: str, document: dict[str, Any], page: list[int], start: int, more: bool) -> Any:
    """The answer with the name of the next page."""
    if kind == "flag":
        return document | {"has_more": more}
    if kind not in CURSORS or kind == "last id":
        return document
    cursor: str | None = None
    if more and page:
        cursor = str(page[-1])
        if kind == "base64":
            cursor = base64.b64encode(json.dumps({"id": page[-1]}).encode()).decode()
        if kind == "opaque":
            cursor = f"t{(start + len(page)) * 7919:x}"
    if kind == "header":
        return document, ({"Next": cursor} if cursor else {})
    if kind == "link":
        return document | {"next": cursor and f"{URL}?cursor={cursor}"}
    return document | {"next": cursor}


def simulation(api: ChangingApi) -> Simulation:
    """What reads it."""
    kind, _, number = api.paging.partition(" ")
    paginator: Any = {
        **{key: {"type": "offset", "limit": api.limit} for key in ("offset", *PARTS)},
        "numbers": {
            "type": "page_number",
            "base_page": int(number or 0) if kind == "numbers" else 0,
        },
        "keyset": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
        "base64": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
        "opaque": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
        "header": {"type": "header_cursor", "cursor_key": "Next", "cursor_param": "cursor"},
        "link": {"type": "json_link", "next_url_path": "next"},
        "last": {"type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "cursor"},
        "flag": {
            "type": "cursor",
            "cursor_path": "data[-1].id",
            "cursor_param": "cursor",
            "has_more_path": "has_more",
        },
    }[kind if kind != "last" else "last"]
    overlap = int(number) if kind == "offset" else 1
    total = "total" if api.total != "absent" else None
    parts = [{"list": name} for name in ("past", "live")] if kind == "lists" else [{}]
    window = Window.whole(WINDOWS) if kind == "windows" else None
    return Simulation(api, paginator, overlap, total=total, parts=parts, window=window)
