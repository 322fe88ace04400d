"""Finds out how an unknown API wants to be asked, for `events-assets init`."""

from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from events_assets.commands import detect, findings, pages, since
from events_assets.commands.location import PLACES, Dialogue, KeyPlace, challenge, key_place
from events_assets.commands.report import NOTE, OK, Report, Step
from events_assets.commands.toml_file import Description, inline
from events_assets.errors import ApiError, StopError
from events_assets.http.explain import message_of


def discover(api: Dialogue) -> Description:
    """What is found out about an API; its report hears of each step.

    Raises:
        StopError: it is too little to be written.
    """
    _clean_address(api)
    try:
        place = _accepted_place(api)
        events = _event_list(api)
        endpoint = {"path": api.path, "data_selector": events.selector}
        found = Description({"base_url": api.base_url, **place.client}, endpoint)
        pages.find_way(events, found, api.report)
        pages.ask_for_order(events, found, api.report)
        pages.find_total(events, found, api.report)
        since.ask_for_changes(events, found, api.report)
    except ApiError as error:
        raise StopError("reachable", str(error)) from None
    if events.first_rows:
        found.fields = _fields(events.first_rows, api.report)
    return found


def _clean_address(api: Dialogue) -> None:
    """Takes out what asks for one page of the list, which would go along with every request, so
    that a load would begin there; and the key, which is to stand in no file. Other parameters
    stay, those of the base URL in the path."""
    api.base_url, _, base_query = api.base_url.partition("?")
    api.path, _, query = api.path.partition("?")
    kept: list[str] = []
    paging: list[str] = []
    for parameter in filter(None, f"{base_query}&{query}".split("&")):
        name, value = next(iter(parse_qsl(parameter)), ("", ""))
        is_number = value.isdecimal() and not detect.is_time(value)
        is_cursor = name in pages.CURSORS and name not in pages.NAMES["span"]
        if api.report.redaction.text(parameter) != parameter:
            api.place = api.place or key_place(f"query:{unquote_plus(parameter.partition('=')[0])}")
        elif name in pages.PAGING and (is_number or is_cursor):
            paging.append(parameter)
        else:
            kept.append(parameter)
    api.path += f"?{'&'.join(kept)}" if kept else ""
    if paging:
        finding = f"{', '.join(paging)} left out: init finds out how pages are asked for"
        api.report.add(Step(NOTE, "path", finding))


def _accepted_place(api: Dialogue) -> KeyPlace:
    """Where the key is accepted by an API that answers with JSON."""
    place, first, has_key = api.accepted_place(), api.first, api.authentication.has_key
    words = message_of(first.body)
    refused = f"the API answers {first.status}" + (f' ("{words}")' if words else "")
    if place is None:
        raise StopError("key", refused + _remedy(api))
    api.report.add(Step(OK, "reachable", f"answered in {first.seconds:.1f} s"))
    if not 200 <= first.status < 300:
        hint = ": nothing is at this path; check base URL and path" if first.status == 404 else ""
        raise StopError("answer", refused + hint)
    if not first.is_json:
        kind = first.headers.get("Content-Type", "").split(";")[0] or "something else"
        which = f"is {api.base_url} the API, or a page for people?"
        raise StopError("answer", f"the answer is {kind}, not JSON; {which}")
    finding = "the API answers without a key"
    if place.client:
        finding = f"accepted: {place.description}"
    elif has_key and not api.place:
        finding += ", so none is sent; --key-in says where to send it all the same"
    api.report.add(Step(OK, "key", finding))
    return place


def _remedy(api: Dialogue) -> str:
    """What to do where the key is accepted nowhere."""
    where = "API_KEY, or api_key in .dlt/secrets.toml"
    if not api.authentication.has_key:
        return f" and there is no key: set {where}"
    places = "; ".join(one.description for one in ([api.place] if api.place else PLACES))
    tried = places.replace("; the key ", "; ")
    check = f", with {tried}. Check the key ({where}), or say where it goes, like --key-in"
    if challenge(api.first.headers) == "basic":
        return f"{check} basic:USER: it asks for a user and a password"
    return f"{check} header:NAME"


def _event_list(api: Dialogue) -> pages.EventList:
    document = api.first.document
    lists = detect.lists_of_rows(document)
    tables = [path for path, rows in detect.lists_of_rows(document, list).items() if rows]
    selector, rows = next(iter(lists.items()), ("", []))
    key = detect.field_settings(rows).get("id")
    if tables and not key:
        finding = f'the rows at "{tables[0]}" are lists of values, not objects; ask for objects'
        raise StopError("rows", f"{finding} by a parameter of the API, in the path")
    if not lists:
        raise StopError("rows", "there is no list of objects in the answer; check the path")
    api.report.add(findings.rows(document, len(rows), selector))
    return pages.EventList(api.ask, selector, (key or "id").strip("'"), api.first)


def _fields(rows: list[dict[str, Any]], report: Report) -> dict[str, Any]:
    """Settings of the canonical fields that have other names, or are written otherwise."""
    proposed, found = detect.proposals(rows), detect.field_settings(rows)
    there = {*proposed, *(name for row in rows for name in row)}
    known = [name for name in (*detect.ALWAYS_THERE, "status") if name in there]
    elsewhere = [name for name in known if found.get(name, name) != name]
    settings = detect.only(found, elsewhere)
    places = ", ".join(f"{n} ← {inline(settings[n])}" if n in elsewhere else n for n in known)
    missing = ", ".join(name for name in detect.ALWAYS_THERE if name not in known)
    unclear = findings.unclear_times(proposed)
    finding = f"{places or 'none'}; not found: {missing}" if missing else places
    report.add(Step(NOTE if missing or unclear else OK, "fields", "; ".join([finding, *unclear])))
    return settings
