"""A rule about rows that cannot be loaded holds for rows of all forms, wherever it is added."""

from dataclasses import replace
from typing import Any

import pyarrow.compute as pc
import pytest

from events_assets.rows.rules import RULES, Key, Rule, objection
from events_assets_tests.tables import Tables, for_duckdb

USUAL = {
    "event_name": "x",
    "start_time": "2026-05-01T10:00:00+02:00",
    "capacity": 5,
    "price": 1.5,
    "free": False,
    "venue": {"city": "Graz", "capacity": 7},
    "tags": ["a"],
    "performers": [{"name": "x", "roles": ["y"], "capacity": 1}],
}


def usual(**fields: Any) -> dict[str, Any]:
    return USUAL | fields


FORBIDDEN = {
    "text": (usual(event_name="forbidden"), "event_name"),
    "text for a time": (usual(start_time="forbidden"), "start_time"),
    "text for a number": (usual(capacity="forbidden"), "capacity"),
    "new column": (usual(new="forbidden"), "new"),
    "in an object": (usual(venue={"city": "forbidden"}), "venue.city"),
    "new column in an object": (usual(venue={"new": "forbidden"}), "venue.new"),
    "text for an object": (usual(venue="forbidden"), "venue"),
    "object for a text": (usual(event_name={"en": "forbidden"}), "event_name.en"),
    "in a list": (usual(tags=["a", "forbidden"]), "tags.list"),
    "in an object in a list": (usual(performers=[{"name": "forbidden"}]), "performers.list.name"),
    "in a list in a list": (usual(tags=[["a"], ["forbidden"]]), "tags.list.list"),
    "in a list below a list": (
        usual(performers=[{}, {"roles": ["forbidden"]}]),
        "performers.list.roles.list",
    ),
    "among others in a list": (usual(tags=[1, None, {"value": "forbidden"}]), "tags.list.value"),
    "in a list of other things": (usual(performers=["forbidden"]), "performers.list"),
    "beside another key of its column": (usual(**{"Event Name": "forbidden"}), "Event Name"),
    "key": (usual(forbidden=1), "its keys"),
    "key in an object": (usual(venue={"forbidden": None}), "venue"),
    "key in a list": (usual(performers=[{"forbidden": 1}]), "performers.list"),
}
NEGATIVE = {
    "whole": (usual(capacity=-1), "capacity"),
    "fraction for a whole number": (usual(capacity=-1.5), "capacity"),
    "in an object": (usual(venue={"capacity": -1}), "venue.capacity"),
    "in a list": (usual(performers=[{"capacity": -3}]), "performers.list.capacity"),
    "another key of its column": (usual(Capacity=-1), "Capacity"),
    "item of a list": (usual(scores=[1, -1]), "scores.list"),
    "item among objects": (usual(scores=[{"of": "x"}, -1]), "scores.list"),
    "value of an object among items": (usual(marks=[{"value": -1}, -5]), "marks.list.value"),
}
LONG = {
    "list": (usual(tags=[1, 2, 3]), "tags"),
    "list in a list": (usual(tags=[[1, 2, 3]]), "tags.list"),
    "list in an object": (usual(venue={"halls": ["a", "b", "c"]}), "venue.halls"),
    "list below a list": (usual(performers=[{"roles": ["a"] * 3}]), "performers.list.roles"),
}
HOMELESS = {
    "row": ({"event_name": "x", "city": {"venue": 1}}, ""),
    "empty row": ({}, ""),
    "row with something new": ({"venues": [1]}, ""),
}


def counts(path: tuple[str, ...]) -> bool:
    places = (("scores", "list"), ("marks", "list", "value"))
    return path[-1] in ("capacity", "Capacity") or path in places


def right(value: Any) -> Any:
    """A value of the same form to which no rule objects."""
    if isinstance(value, dict):
        return {right(key): right(item) for key, item in value.items()}
    if isinstance(value, list):
        return [right(item) for item in value[:2]]
    if isinstance(value, int | float):
        return abs(value)
    return "fine" if value == "forbidden" else value


RULES_AND_ROWS: list[tuple[Rule, Any, dict[str, tuple[dict[str, Any], str]]]] = [
    (
        Rule(frozenset({str, Key}), lambda text, _: "wrong" if text == "forbidden" else None),
        lambda texts, _: pc.equal(texts, "forbidden"),
        FORBIDDEN,
    ),
    (
        Rule(
            frozenset({int, float}),
            lambda number, path: "wrong" if number < 0 and counts(path) else None,
        ),
        lambda numbers, path: counts(path) and pc.less(numbers, 0),
        NEGATIVE,
    ),
    (
        Rule(frozenset({list}), lambda items, _: "wrong" if len(items) > 2 else None),
        lambda lists, _: any(isinstance(one, list) and len(one) > 2 for one in lists),
        LONG,
    ),
    (
        Rule(
            frozenset({dict}),
            lambda value, path: None if path or "venue" in value else "wrong",
        ),
        lambda _, path: not path,
        HOMELESS,
    ),
]


@pytest.mark.parametrize("order", [1, -1], ids=["last", "first"])
@pytest.mark.parametrize("how", ["asked for each", "screened", "all suspected"])
@pytest.mark.parametrize(
    ("rule", "screen", "wrong"), RULES_AND_ROWS, ids=["text", "number", "list", "row"]
)
def test_an_added_rule_holds_for_rows_of_all_forms(rule, screen, wrong, how, order):
    screens = {"screened": screen, "all suspected": lambda *_: True}
    rule = replace(rule, screen=screens.get(how))
    places = [f" at {place}" if place else "" for _, place in wrong.values()]
    fine = [usual()] * 50 + [{"venue": None} | right(row) for row, _ in wrong.values()]
    rows = fine + [row for row, _ in wrong.values()]
    rows = [row | {"id": number} for number, row in enumerate(rows)][::order]
    expected = {len(fine) + number: f"wrong{place}" for number, place in enumerate(places)}
    with for_duckdb():
        tables = Tables()
        for load in ("first", "second"):  # which meets all columns
            refused = tables.convert(load, rows, tables.loadable([*RULES, rule]), size=100)
            assert {rows[place]["id"]: reason for place, reason in refused.items()} == expected
            assert sorted(row["id"] for row in tables.written["events"]) == [*range(len(fine))]
        assert tables.arrow["events"] >= 50


def test_the_rows_above_are_refused_for_nothing_else():
    """Otherwise the test above could not fail."""
    rows = [row | {"id": number} for number, (row, _) in enumerate(FORBIDDEN.values())]
    with for_duckdb():
        tables = Tables()
        assert not tables.convert("load", rows, tables.loadable(RULES), size=100)


@pytest.mark.slow
def test_a_rule_without_screen_finds_the_same():
    """The screens of the rules that there are suspect all that have a reason."""
    values = [
        "\ud800", "\uf0272026-05-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        2**63, -(2**63) - 1, 2**70, float("nan"), float("-inf"), "x", 1, 1.5, None, True,
    ]  # fmt: skip
    deep: Any = "bottom"
    for _ in range(60):
        deep = {"in": deep}
    wide: Any = "bottom"
    for _ in range(25):
        wide = [wide]
    forms = [usual(**{name: value}) for value in values for name in USUAL]
    forms += [usual(tags=[value]) for value in values]
    forms += [usual(performers=[{"name": value}]) for value in values]
    forms += [usual(deep=deep), usual(performers=[deep]), usual(tags=wide), {"\ud800": 1}]
    rows = [row | {"id": number} for number, row in enumerate([usual()] * 20 + forms)]
    unscreened = [
        [replace(one, screen=None) if at == rule else one for at, one in enumerate(RULES)]
        for rule in range(len(RULES))
    ]
    with for_duckdb():
        found = []
        for rules in (RULES, *unscreened):
            tables = Tables()
            found.append(
                [tables.convert(load, rows, tables.loadable(rules), size=50) for load in "ab"]
            )
    assert found == [found[0]] * len(found)
    assert len(found[0][0]) > 50


def test_a_number_beyond_all_years_is_no_time():
    assert not objection(RULES, "999999999999999999", ("slug",))
