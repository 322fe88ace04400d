"""Finds out how an unknown API wants to be asked, for `events-assets init`."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from events_assets.commands import detect, fields, findings, order, pages, since, toml_file
from events_assets.commands.event_list import EventList
from events_assets.commands.location import (
    Dialogue,
    KeyPlace,
    challenge,
    has_rows,
    inside,
    key_place,
)
from events_assets.commands.page_size import FEW, SIZES
from events_assets.commands.report import NOTE, OK, Report, Step
from events_assets.commands.time_parts import is_time
from events_assets.commands.toml_file import Description, inline
from events_assets.errors import ApiError, StopError
from events_assets.http.answer import Answer, kind_of
from events_assets.http.explain import message_of
from events_assets.json_path import walk


def discover(api: Dialogue) -> Description:
    """What is found out about an API; its report hears of each step.

    Raises:
        StopError: it is too little to be written.
    """
    taken = _clean_address(api)
    try:
        place = _accepted_place(api, taken)
        events = _event_list(api)
        endpoint = {"path": api.path, "data_selector": events.selector}
        found = Description({"base_url": api.base_url, **place.client}, endpoint)
        found.scan |= events.listed.scan
        pages.find_way(events, found, api.report)
        order.ask_for_order(events, found, api.report)
        pages.find_total(events, found, api.report)
        if inside(api.body):
            finding = "not asked for: say it in the query, and set incremental by hand"
            api.report.add(Step(NOTE, "changes", finding))
        else:
            since.ask_for_changes(events, found, api.report)
        if api.method != "GET":
            toml_file.put_in_body(found, api.method, api.body, inside(api.body))
    except ApiError as error:
        raise StopError("reachable", str(error)) from None
    if events.sample:
        found.fields = _fields(events.sample, api.report)
    return found


def _clean_address(api: Dialogue) -> dict[str, str]:
    """Takes out what asks for one page of the list, which would go along with every request, so
    that a load would begin there; and the key, which is to stand in no file. Other parameters
    stay, those of the base URL in the path. Gives what asked for a page."""
    api.base_url, _, base_query = api.base_url.partition("?")
    api.path, _, query = api.path.partition("?")
    kept: list[str] = []
    paging: dict[str, str] = {}
    for parameter in filter(None, f"{base_query}&{query}".split("&")):
        name, value = next(iter(parse_qsl(parameter)), ("", ""))
        is_number = value.isdecimal() and not is_time(value)
        is_cursor = name in pages.CURSORS and name not in pages.NAMES["span"]
        if api.report.redaction.text(parameter) != parameter:
            api.place = api.place or key_place(f"query:{unquote_plus(parameter.partition('=')[0])}")
        elif name in pages.PAGING and (is_number or is_cursor):
            paging[name] = value
        else:
            kept.append(parameter)
    api.path += f"?{'&'.join(kept)}" if kept else ""
    return paging


def _keep_what_pages(api: Dialogue, taken: Mapping[str, str]) -> None:
    """Keeps what was taken out of the address, from the first page on, where pages come only with
    it: the answer without it holds all rows, or another list."""
    plain = _best(api.first)
    zero = {name for name, value in taken.items() if value == "0" or name in pages.OFFSETS}
    first = {n: "0" if n in zero else "1" for n in taken if n in pages.POSITIONS}
    api.given = {name: value for name, value in taken.items() if name in SIZES} | first
    answer = api.ask(api.few_rows) if api.given and api.method == "GET" else api.first
    found = _best(answer) if has_rows(answer) else None
    is_needed = found and (
        not plain or plain.selector != found.selector or len(plain.rows) > max(FEW, len(found.rows))
    )
    if is_needed:
        kept = ", ".join(f"{name}={value}" for name, value in api.given.items())
        api.first, finding = answer, f"{kept} kept: without that, the API gives another answer"
    else:
        asked = ", ".join(f"{name}={value}" for name, value in taken.items())
        api.given, finding = {}, f"{asked} left out: init finds out how pages are asked for"
    api.report.add(Step(NOTE, "path", finding))


def _best(answer: Answer) -> detect.Listed | None:
    """The list of an answer that looks most like events."""
    lists = detect.listed(answer.document) if answer.is_json else []
    return lists[0] if lists else None


def _accepted_place(api: Dialogue, taken: Mapping[str, str]) -> KeyPlace:
    """Where the key is accepted by an API that answers with JSON; `taken` was in its address."""
    api.few_rows = api.few_rows or dict.fromkeys(SIZES, FEW)
    place, first, has_key = api.accepted_place(), api.first, api.authentication.has_key
    words = message_of(first.body)
    refused = f"the API answers {first.status}" + (f' ("{words}")' if words else "")
    if place is None:
        raise StopError("key", refused + _remedy(api))
    api.report.add(Step(OK, "reachable", f"answered in {first.seconds:.1f} s"))
    if taken:
        _keep_what_pages(api, taken)
        first = api.first
    if not 200 <= first.status < 300:
        hint = ": nothing is at this path; check base URL and path" if first.status == 404 else ""
        hint = _tried(api) if first.status == 400 else hint
        raise StopError("answer", refused + hint)
    if not first.is_json:
        which = f"is {api.base_url} the API, or a page for people?"
        raise StopError("answer", f"the answer is {kind_of(first)}, not JSON; {which}")
    finding, state = "the API answers without a key", OK
    if place.client:
        finding = f"accepted: {place.description}"
    elif has_key and not api.place:
        finding += ", so none is sent; --key-in says where to send it all the same"
    if has_key and not has_rows(first):
        state, finding = (
            NOTE,
            f"no rows came, so that nothing tells whether it is understood{_tried(api)}",
        )
    api.report.add(Step(state, "key", finding))
    return place


def _tried(api: Dialogue) -> str:
    """The places where the key was sent."""
    places = "; ".join(one.description for one in api.tried)
    return f", with {places.replace('; the key ', '; ')}"


def _remedy(api: Dialogue) -> str:
    """What to do where the key is accepted nowhere."""
    where = "API_KEY, or api_key in .dlt/secrets.toml"
    if not api.authentication.has_key:
        return f" and there is no key: set {where}"
    check = f"{_tried(api)}. Check the key ({where}), or say where it goes, like --key-in"
    if challenge(api.first.headers) == "basic":
        return f"{check} basic:USER: it asks for a user and a password"
    return f"{check} header:NAME"


def _event_list(api: Dialogue) -> EventList:
    document = api.first.document
    lists = detect.listed(document)
    key = fields.field_settings(lists[0].rows).get("id") if lists else None
    if not lists or (not key and _has_table(document)):
        words = message_of(api.first.body)
        said = f'; it says: "{words}"' if words else ""
        finding = "there is no list of objects in the answer; check the path"
        if _has_table(document):
            finding = "rows are lists of values, and nothing says what their columns are called: "
            finding += "say columns_path in [sources.events.scan], if something does"
            finding += ", or ask for objects by a parameter of the API, in the path"
        raise StopError("rows", finding + said)
    best = lists[0]
    events = EventList(api.ask, best, key or "id", api.first, asked_few=bool(api.few_rows))
    events.body, events.given = api.body, api.given
    api.report.add(findings.rows(document, best))
    if events.no_objects:
        finding = f"{events.no_objects:,} more are no objects: a load sets them aside"
        api.report.add(Step(NOTE, "rows", finding))
    return events


def _has_table(document: Any) -> bool:
    """Whether there are rows that are lists of values."""
    return any(
        isinstance(value, list) and value and all(isinstance(row, list) for row in value)
        for _, value in walk(document)
    )


def _fields(rows: list[dict[str, Any]], report: Report) -> dict[str, Any]:
    """Settings of the canonical fields that have other names, or are written otherwise."""
    proposed, found = fields.proposals(rows), fields.field_settings(rows)
    there = {*proposed, *(name for row in rows for name in row)}
    known = [name for name in (*fields.ALWAYS_THERE, "status") if name in there]
    elsewhere = [name for name in known if found.get(name, name) != name]
    settings = fields.only(found, elsewhere)
    places = ", ".join(f"{n} ← {inline(settings[n])}" if n in elsewhere else n for n in known)
    missing = ", ".join(name for name in fields.ALWAYS_THERE if name not in known)
    unclear = fields.doubts(rows)
    finding = f"{places or 'none'}; not found: {missing}" if missing else places
    report.add(Step(NOTE if missing or unclear else OK, "fields", "; ".join([finding, *unclear])))
    return settings
