"""What the first pages of a list show of its API: findings for the report of `check`.

Each function gives a step, or raises `StopError`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from dlt.common.data_types import coerce_value, py_type_to_sc_type

from events_assets import configuration, json_path
from events_assets.commands import detect, fields
from events_assets.commands.event_list import EventList
from events_assets.commands.page_size import LARGE
from events_assets.commands.report import FAILED, NOTE, OK, Step, counted, shown
from events_assets.commands.time_parts import TIMES
from events_assets.commands.toml_file import inline
from events_assets.errors import StopError
from events_assets.paging.base import Page
from events_assets.paging.page_numbers import PageNumbers
from events_assets.paging.touching_offsets import TouchingOffsets
from events_assets.rows.canonical import Fields
from events_assets.rows.times import LIKELY_YEARS, UNREADABLE
from events_assets.scan.data_selector import DataSelector
from events_assets.scan.list_pass import ListPass
from events_assets.scan.verdict import (
    COMPLETE,
    NAMED,
    TORN,
    TOUCHING,
    UNPROVEN,
    Reading,
    Seen,
    Verdict,
    judge,
)
from events_assets.settings import FieldsSettings, RuleSettings, listed

ABSENT = (None, "")
"""Values that are none."""

ENDPOINT = "resources.endpoint"
"""The table of the endpoint below `sources.events`, as it stands below its resource."""

ALL_FIELDS = " (some APIs give all fields only when asked to, by endpoint.params)"

RATE_LIMITS = re.compile(r"(x-)?rate-?limit|retry-after", re.IGNORECASE)
"""Headers that tell how many requests are allowed, and when to come again."""

ENDS = {UNPROVEN: "stay unproven", TORN: "end torn"}
"""What is said of loads without a proof."""

COLUMNS_SHOWN = 8
"""Of an example event."""

Values = Mapping[str, Any]


def where_key_goes(headers: Values, auth: Any) -> str:
    """Where the key goes, in words."""
    if not auth:
        named = [name for name in headers if "auth" in name.lower() or "key" in name.lower()]
        return f"the key in the header {named[0]}" if named else "without authentication"
    table = {"type": auth} if isinstance(auth, str) else auth
    kind = table.get("type", "bearer")
    if kind != "api_key":
        return f"authenticated by {kind.replace('_', ' ')}"
    location = table.get("location") or "header"
    place = "query parameter" if location in ("query", "param") else location
    return f"the key as {place} {table.get('name', 'Authorization')}"


def rows(document: Any, found: detect.Listed) -> Step:
    """Where `init` found the rows."""
    finding, selector = counted(len(found.rows), "row"), found.selector
    finding += " as the whole answer" if selector == "$" else f' at "{selector}"'
    outer, below, inner = selector.partition("[*].")
    if "columns_path" in found.scan:
        finding += f', lists of values, of columns named at "{found.scan["columns_path"]}"'
    elif "row_key" in found.scan:
        finding += f', by their keys, which become "{found.scan["row_key"]}"'
    elif below:
        beside = {key for row in DataSelector(outer)(document) for key in row}
        beside -= {re.split(r"[.\[]", inner)[0]}
        finding += f"; what is beside it is left out: {', '.join(sorted(beside))}" if beside else ""
    if found.rows:
        return Step(OK, "rows", finding)
    return Step(NOTE, "rows", f"{finding}; without one, fields cannot be looked at")


def rows_of(page: Page, selector: str | None) -> Step:
    """How many rows came by the configured `data_selector`."""
    best = detect.listed(page.document)[:1] if not selector else []
    if selector or not best:
        return rows(page.document, detect.Listed(selector or "$", [*page.rows]))
    finding = f"{counted(len(page.rows), 'row')}, found by guessing: no data_selector is set"
    return Step(NOTE, "rows", finding, {f"{ENDPOINT}.data_selector": best[0].selector})


def columns(page: Page) -> Step:
    """How the canonical fields come out, from the rows as they would be loaded, and from the same
    as the API gave them."""
    found, raw = [row for row in page.rows if isinstance(row, dict)], page.originals
    if not found:
        raise StopError("fields", "the rows are no objects; check data_selector")
    configured = configuration.field_settings()
    has_status = configured.status and configured.status.path
    names = [*fields.ALWAYS_THERE, "status"] if has_status else fields.ALWAYS_THERE
    values = {name: [row[name] for row in found if row.get(name) not in ABSENT] for name in names}
    missing = [name for name in names if not values[name]]
    proposed = fields.proposals(raw)
    unread = [name for name in TIMES if any(map(_is_unread, values[name]))]
    settled = {name: _setting(name, configured) for name in TIMES if values[name]}
    local = [] if configured.timezone else fields.local(raw, settled)
    finding = ", ".join(name for name in names if values[name])
    if missing:
        finding = f"found {finding or 'none'}; missing, or null in all rows: {', '.join(missing)}"
        unknown = [name for name in missing if name not in proposed]
        finding += f"; nothing looks like {', '.join(unknown)}" if unknown else ""
        finding += ALL_FIELDS if {*TIMES} <= {*unknown} else ""
    nowhere, unseen = _not_in(raw, configured)
    said = [*_told_missing(values, len(found)), *nowhere, *unseen]
    said += [_unread(name, configured, values[name]) for name in unread]
    said += fields.unclear_times({name: proposed.get(name, []) for name in (*missing, *unread)})
    said += [*fields.unread_parts(raw, settled), *fields.taken_for_utc(local, raw, settled)]
    set_anew = _set_anew(values, settled, [*unread, *local], raw)
    if any("timezone_path" not in set_anew.get(name, "") for name in local):
        set_anew["timezone"] = "UTC"
        said.append("timezone is a guess: set the zone in which the API means its times")
    settings = {f"fields.{name}": setting for name, setting in set_anew.items()}
    state = FAILED if "id" in missing or nowhere else NOTE if missing or said else OK
    return Step(state, "fields", "; ".join([finding, *said]), settings)


def _unread(name: str, configured: FieldsSettings, values: Sequence[Any]) -> str:
    """That times cannot be read, by the setting that says where they are."""
    value = next(filter(_is_unread, values))
    text, written = shown(str(value).removeprefix(UNREADABLE)), inline(_setting(name, configured))
    return f"cannot be read as a time: {name} = {written} (like {text})"


def _setting(name: str, configured: FieldsSettings) -> Any:
    """How a time is configured."""
    table = getattr(configured, name)
    setting = table.model_dump(exclude_unset=True) if table else {"path": name}
    return setting["path"] if [*setting] == ["path"] else setting


def _told_missing(values: Mapping[str, Sequence[Any]], count: int) -> list[str]:
    """How many rows lack a field that others have."""
    return [
        f"{count - len(held):,} of {counted(count, 'row')} have no {name}"
        + (", and will be set aside" if name == "id" else "")
        for name, held in values.items()
        if 0 < len(held) < count
    ]


def _set_anew(
    values: Values, settled: Values, doubtful: Sequence[str], raw: Sequence[Any]
) -> dict[str, Any]:
    """The proposed settings of fields that are missing, of times that are doubtful as they are
    settled or of which a part is not read, and of fields that more rows would have by them."""
    proposed = fields.field_settings(raw)
    rows = [row for row in raw if isinstance(row, dict)]
    would = Fields(proposed).map(rows)
    chosen = []
    for name, held in values.items():
        filled = sum(row.get(name) not in ABSENT for row in would)
        table = proposed.get(name)
        is_better = isinstance(table, dict) and (
            name in doubtful or ("time_path" in table and table["path"] == settled.get(name))
        )
        if is_better or filled > len(held):
            chosen.append(name)
    return {n: v for n, v in fields.only(proposed, chosen).items() if v != settled.get(n)}


def _not_in(raw: Sequence[Any], configured: FieldsSettings) -> tuple[list[str], list[str]]:
    """Configured paths that are in none of the rows: those without which there is no value, and
    those beside which there are others, or that tell something rare."""
    nowhere, unseen = list[str](), list[str]()
    for name, paths, is_needed in _configured_paths(configured):
        lost = [path for path in paths if not any(map(json_path.finder(path), raw))]
        told = [f'"{path}" of {name} is in no row of the sample' for path in lost]
        (nowhere if is_needed and lost == paths else unseen).extend(told)
    return nowhere, unseen


def _configured_paths(configured: FieldsSettings) -> Iterator[tuple[str, list[str], bool]]:
    """Paths that stand for each other, with the name of their field, and whether each row should
    have one of them."""
    for path in listed(configured.id):  # each is a part
        yield "id", [path], True
    yield "event_name", listed(configured.event_name), True
    for name in (*TIMES, "status"):
        table = getattr(configured, name) or {}
        for key, value in table:
            if key.endswith("path"):
                yield name, listed(value), True
            elif isinstance(value, RuleSettings):
                yield name, listed(value.path), False


def example(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event as its columns will hold it: the canonical fields, and a few others."""
    plain = [n for n, v in row.items() if v is not None and not isinstance(v, list | dict)]
    plain.sort(key=lambda name: name not in ("status", "all_day"))
    names = [*dict.fromkeys([*fields.ALWAYS_THERE, *plain])][:COLUMNS_SHOWN]
    times = {n: time.isoformat(sep=" ") for n in TIMES if (time := _time(row.get(n)))}
    return {name: row.get(name) for name in names} | times


def total(page: Page, one: ListPass, events: EventList) -> Step:
    """Whether the API counts its rows, and where."""
    evidence = one.evidence
    if evidence.total_last is not None:
        return Step(OK, "total", f"the API counts {counted(evidence.total_last, 'row')}")
    by_offset = isinstance(one.endpoint.paging, TouchingOffsets)
    for place, count in events.totals(events.first).items():
        if count <= len(page.rows):
            continue  # it may be that of the page
        setting, where = "scan.total_header", f"in the header {place}"
        if place not in page.headers:
            setting = f"{ENDPOINT}.paginator.total_path" if by_offset else "scan.total_path"
            where = f'at "{place}"'
        finding = f"no total is read, but the API counts {count:,} rows {where}"
        return Step(NOTE, "total", finding, {setting: place})
    return Step(OK, "total", "no count of all rows is read, or seen")


def numbering(paging: PageNumbers, before: Page | None, first: Page) -> Step:
    """Whether numbers start where they are asked for; `before` is the page before the first."""
    name, number = paging.number_at.name, paging.first - 1
    if before and before.identities and not {*before.identities} & {*first.identities}:
        finding = f"there are rows at {name}={number}, before the first page asked for"
        return Step(FAILED, "numbering", finding, {f"{ENDPOINT}.paginator.base_page": number})
    return Step(OK, "numbering", f"{name} starts at {paging.first}")


def proof(one: ListPass, is_only: bool, rows: int) -> Step:
    """What will prove that a list came whole, if its other pages are like those so far, and the
    last one says that it is. `is_only`: there are no other lists, and no windows; `rows` came."""
    evidence, is_fixed = one.evidence, one.endpoint.order_of is not None
    if evidence.pages > 1 and one.goes_on:
        total = None if evidence.total is None else rows
        said = evidence.ended or "the last page says so"
        evidence = replace(evidence, ended=said, total_first=total, total_last=total)
    seen = Seen(one.endpoint.name, evidence, rows)
    reading = Reading([seen] if is_only else [seen, seen])
    passes = configuration.scan_settings().passes
    once, twice = judge([reading], 1, is_fixed), judge([reading] * 2, 2, is_fixed)
    if once and once.word == COMPLETE:
        return Step(OK, "proof", f"{once.proof}: each load reads the list once")
    if passes == 1 or not twice or twice.word != COMPLETE:
        verdict = (once if passes == 1 else twice) or Verdict(UNPROVEN, "")
        return Step(NOTE, "proof", f"none, loads {ENDS[verdict.word]}: {verdict.reason}")
    finding = f"{twice.proof}: each load reads the list twice"
    if twice.proof in (TOUCHING, NAMED):
        finding += "; once, if you know that the API orders its rows by id, and say so"
        return Step(NOTE, "proof", finding, {"scan.order": "id"})
    return Step(OK, "proof", finding)


def page_size(
    page: Page, more: bool, sizes: Mapping[str, tuple[str, int]], granted: Callable[[str], int]
) -> Step:
    """How many rows came of those asked for, and whether `more` came with a further page.

    `sizes` are the parameters that ask, each with its number, by their settings; `granted` tells
    how many rows may be asked for by one.
    """
    came, name = len(page.rows), "page size"
    for setting, (parameter, size) in sizes.items():
        finding = f"{size} rows asked for, {came} came"
        if came > size:
            return Step(NOTE, name, f"{finding}: the API ignores it")
        if came < size and more:
            settings = {f"{ENDPOINT}.{setting}": came} if came else {}
            return Step(NOTE, name, f"{finding}: the API grants less", settings)
        is_long = more and (page.total is None or page.total > LARGE)
        if is_long and came == size < LARGE and (larger := granted(parameter)) > size:
            finding += f"; pages of {larger} rows are granted, which take fewer requests"
            return Step(OK, name, finding, {f"{ENDPOINT}.{setting}": larger})
        return Step(OK, name, finding)
    return Step(OK, name, f"none is asked for; {counted(came, 'row')} came")


def redirect(url: str) -> Step:
    """That each request is sent on to another path."""
    finding = f"the API redirects to {urlsplit(url).path}, so that each request is sent twice"
    return Step(NOTE, "redirect", f"{finding}; change path")


def rate_limit(headers: Mapping[str, str]) -> Step:
    """What the headers say of it."""
    limits = [f"{name}: {v}" for name, v in headers.items() if RATE_LIMITS.match(name)]
    return Step(OK, "rate limit", ", ".join(limits) or "no header tells one")


def same(page: Page | None, other: Page) -> bool:
    return page is not None and [*page.identities] == [*other.identities]


def _time(value: Any) -> datetime | None:
    """The instant that dlt makes of a value, None if it makes none."""
    try:
        time = coerce_value("timestamp", py_type_to_sc_type(type(value)), value)
        return datetime.fromisoformat(str(time)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _is_unread(value: Any) -> bool:
    """Whether a value is no time, or one that only a number in the wrong unit can mean."""
    time = _time(value)
    return time is None or (isinstance(value, int | float) and time.year >= LIKELY_YEARS.stop)
