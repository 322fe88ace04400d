"""In which order an API gives its rows, and how it is asked for them in the order of their id."""

from collections.abc import Callable, Sequence
from datetime import UTC
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from events_assets import configuration
from events_assets.commands.event_list import EventList, Params
from events_assets.commands.fields import FIELDS, values_by_path
from events_assets.commands.findings import ENDPOINT, Values
from events_assets.commands.paths import NAMES, is_text_or_number, join, words_of
from events_assets.commands.report import NOTE, OK, Report, Step
from events_assets.commands.time_parts import is_time
from events_assets.commands.toml_file import Description
from events_assets.json_path import Keys
from events_assets.paging.base import BY_CHANCE, Order, Page
from events_assets.rows.times import from_text
from events_assets.scan.list_pass import ListPass
from events_assets.settings import listed

NUMBER = "id"
"""A number by which an API may order its rows though something else names them for good."""

LONGEST = 100
"""Characters of a value by which rows may be ordered."""

ORDERS: list[list[str]] = NAMES["params"]["order"]
TRIES = 3
"""So many requests are made at most to find out how rows are asked for in an order."""


def order_of(rows: Sequence[Any]) -> tuple[str, bool]:
    """The field that explains the order of rows, and whether it does so strictly, as one that tells
    when they were created; empty where none does. Fields of times come first."""
    values, count = values_by_path(rows)
    if count < BY_CHANCE:
        return "", False
    complete = {
        path: [*held.values()]
        for path, held in values.items()
        if len(held) == count
        and all(is_text_or_number(v) and len(str(v)) < LONGEST for v in held.values())
    }
    ordered = ((_rank(path), path) for path, found in complete.items() if _is_ordered(found))
    rank, path = min(ordered, default=(0, ()))
    is_strict = bool(path) and rank == 0 and bool(Order().then(complete[path]).directions)
    return join(path) if path else "", is_strict


def _rank(path: Keys) -> int:
    """How little it would surprise if an API ordered its rows by a field; 0: by their creation."""
    kinds = ({"created", "inserted"}, {*FIELDS["start_time"]["words"]}, {"updated", "modified"})
    words = {*words_of(path)}
    return next((rank for rank, kind in enumerate(kinds) if kind & words), len(kinds))


def _is_ordered(values: Sequence[Any]) -> bool:
    """Whether values go up or down, as they are, as times or as days; equal ones follow each other,
    of which there are some."""
    forms = [values]
    if all(isinstance(value, str) and is_time(value) for value in values):
        forms += [[from_text(value, UTC) for value in values], [value[:10] for value in values]]
    distinct = ([value for value, _ in groupby(form)] for form in forms)
    return any(len(form) > 2 and Order().then(form).directions for form in distinct)


def find_order(by_id: Callable[[Params], bool | None], key: str) -> Params:
    """What asks for rows in the order of their id; empty where nothing was found.

    `by_id` tells whether rows come so when they are asked for with parameters, None where they are
    refused. Of several parameters that do so together, half are left out while tries are left.
    """
    tries = 0

    def tried(params: Sequence[str]) -> bool | None:
        nonlocal tries
        tries += 1
        return by_id(_order(params, key)) if tries <= TRIES else False

    for params in ORDERS:
        is_understood = tried(params)
        if is_understood is None:  # perhaps as the others are unknown
            params = params[:1]
            is_understood = tried(params)
        while is_understood and len(params) > 1 and tries < TRIES:
            half = len(params) // 2
            params = params[:half] if tried(params[:half]) else params[half:]
        if is_understood:
            return _order(params, key)
    return {}


def _order(params: Sequence[str], key: str) -> Params:
    return {name: value.replace("{}", key) for name, _, value in (p.partition("=") for p in params)}


def ask_for_order(events: EventList, api: Description, report: Report) -> None:
    """Describes how rows are asked for in the order of their id, if pages can touch and rows do not
    come so anyway."""
    came = len(events.first_rows)
    if api.endpoint["paginator"]["type"] != "offset" or came < BY_CHANCE:
        return

    def by_key(key: Callable[[Any], Any], params: Params) -> bool | None:
        rows = events.page_of(came, params) if params else events.first_rows
        is_ordered = bool(Order().then([*map(key, rows)]).directions)
        return is_ordered and len(rows) == came if rows else None

    keys = {events.id: events.id_of}
    if events.id != NUMBER and all(type(row.get(NUMBER)) is int for row in events.first_rows):
        keys[NUMBER] = itemgetter(NUMBER)  # which may be what the API can order by
    for name, key in keys.items():
        is_usual = by_key(key, {})
        params = {} if is_usual else find_order(partial(by_key, key), name)
        if is_usual or params:
            asked = ", ".join(f"{name}={value}" for name, value in params.items())
            api.endpoint["params"] = api.endpoint.get("params", {}) | params
            api.scan |= {} if name == events.id else {"order": name}
            asked_for = f", asked for by {asked}" if asked else ""
            report.add(Step(OK, "order", f"strictly by {name}{asked_for}"))
            return
    field, _ = order_of(events.sample)
    seen = f"by {field}" if field else "none that can be seen"
    finding = f"{seen}; no common parameter asks for one by {' or '.join(keys)}"
    report.add(Step(NOTE, "order", finding))


def strictly(page: Page | None, count: int) -> bool | None:
    """Whether a page has so many rows, strictly in the order of their id; None if it has none."""
    if page is None or not page.rows:
        return None
    return len(page.rows) == count and bool(Order().then(page.identities).directions)


def seen(
    one: ListPass, raw: Sequence[Any], is_repeated: bool, found: Values | None, sent: Values
) -> Step:
    """In which order rows come, as seen on the pages so far, or in the `raw` rows of the first.

    `is_repeated`: that page came once more as it was. `found` asks for rows by id, beside the
    parameters `sent`; empty if nothing does, None if nothing was tried.
    """
    name, finding, evidence = "order", "none that can be seen", one.evidence
    own_id = " and ".join(listed(configuration.field_settings().id)) or "id"
    if evidence.ordered:
        field = configuration.scan_settings().order or "id"
        way = "upwards" if "up" in " ".join(evidence.order.directions) else "downwards"
        return Step(OK, name, f"strictly by {field}, {way}")
    field, is_strict = order_of(raw)
    if not is_repeated:
        finding = "two identical requests give other rows, or another order"
    elif is_strict:
        finding = f"strictly by {field}; name it, if it never changes"
        return Step(NOTE, name, finding, {"scan.order": field})
    elif field:
        finding = f"by {field}, not by {own_id}"
    if found:
        finding += f"; by {own_id} if asked with {', '.join(f'{n}={v}' for n, v in found.items())}"
        return Step(NOTE, name, finding, {f"{ENDPOINT}.params": {**sent, **found}})
    finding += f"; no common parameter asks for one by {own_id}" if found is not None else ""
    return Step(OK if is_repeated else NOTE, name, finding)
