"""What the first page of a list shows of its API: findings for the report of `check`.

Each function gives what `Report.add` takes: a state, the name of the step, the finding in words,
and settings to make, by their path below `sources.events`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from dlt.common.data_types import coerce_value, py_type_to_sc_type
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets.commands import detect, init
from events_assets.commands.report import FAILED, NOTE, OK, counted
from events_assets.paging.base import Evidence, Page

ENDPOINT = "resources.endpoint"
"""The table of the endpoint below `sources.events`, as it stands below its resource."""

FIELDS_SHOWN = 4
"""Of those beside the canonical ones."""

TIMES = ("start_time", "end_time")

Finding = tuple[str, str, str, dict[str, Any]]


def key_place(config: RESTAPIConfig, endpoint: Mapping[str, Any], auth: Any) -> str:
    """Where the key goes, in words."""
    if not auth:
        client: Any = config["client"]
        headers = [*client.get("headers", {}), *endpoint.get("headers", {})]
        named = [name for name in headers if "auth" in name.lower() or "key" in name.lower()]
        return f"the key in the header {named[0]}" if named else "without authentication"
    kind = auth if isinstance(auth, str) else auth.get("type", "bearer")
    if kind != "api_key":
        return f"authenticated by {kind.replace('_', ' ')}"
    table: Mapping[str, Any] = {} if isinstance(auth, str) else auth
    location = str(table.get("location") or "header")
    place = {"query": "query parameter", "param": "query parameter"}.get(location, location)
    return f"the key as {place} {table.get('name', 'Authorization')}"


def redirect(page: Page) -> str:
    path = urlsplit(page.url).path
    return f"the API redirects to {path}, so that each request is sent twice; change path"


def rows(document: Any, found: list[Any], selector: str | None) -> Finding:
    if not selector:
        best = next(iter(detect.lists_of_rows(document)), "")
        settings = {f"{ENDPOINT}.data_selector": best} if best else {}
        finding = f"{counted(len(found), 'row')}, found by guessing: no data_selector is set"
        return NOTE, "rows", finding, settings
    where = "as the whole answer" if selector == "$" else f'at "{selector}"'
    finding = f"{counted(len(found), 'row')} {where}"
    if found:
        return OK, "rows", finding, {}
    return NOTE, "rows", f"{finding}; without one, fields cannot be looked at", {}


def fields(found: list[dict[str, Any]], raw: list[Any]) -> Finding:
    """How the canonical fields come out.

    Args:
        found: rows as they would be loaded.
        raw: the same as the API gave them.
    """
    proposed = detect.field_proposals(raw)
    present = [n for n in detect.CANONICAL if any(row.get(n) is not None for row in found)]
    missing = [name for name in detect.CANONICAL if name not in present]
    unread = [name for name in TIMES if any(_unread(row, name) for row in found)]
    naive = [name for name in TIMES if any(_is_naive(row, name) for row in found)]
    with_unit = [n for n in unread if n in proposed and proposed[n].has_unit]
    settings: dict[str, Any] = {
        f"fields.{name}": setting
        for name, setting in detect.field_settings(proposed, [*missing, *with_unit]).items()
    }
    finding = ", ".join(present)
    if missing:
        finding = f"found {finding or 'none'}; missing, or null in all rows: {', '.join(missing)}"
        unknown = [name for name in missing if name not in proposed]
        finding += f"; nothing looks like {', '.join(unknown)}" if unknown else ""
    if unread:
        finding += f"; cannot be read as a time: {', '.join(unread)}"
    if naive:
        finding += f"; without a time zone, so taken for UTC: {', '.join(naive)}"
        settings |= {f"fields.{name}": name for name in naive if name not in missing}
        settings["fields.timezone"] = "UTC"
    keyless = any(row.get("id") is None for row in found)
    if keyless and "id" in present:
        finding += "; some rows have no id, and will be set aside"
    state = NOTE if missing or unread or naive or keyless else OK
    return FAILED if "id" in missing else state, "fields", finding, settings


def example(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event as it would be loaded: the canonical fields, and a few others."""
    canonical = {name: _loaded(row, name) for name in detect.CANONICAL}
    plain = [
        (name, value)
        for name, value in row.items()
        if name not in canonical and value is not None and not isinstance(value, list | dict)
    ]
    plain.sort(key=lambda field: field[0] != "status")
    return {**canonical, **dict(plain[:FIELDS_SHOWN])}


def page_size(page: Page, more: bool, limit: int | None, endpoint: Mapping[str, Any]) -> Finding:
    """How many rows came of those asked for.

    Args:
        more: whether a further page brought further rows.
        limit: of the paginator, if it has one.
    """
    setting, asked = (f"{ENDPOINT}.paginator.limit", limit) if limit else _asked_size(endpoint)
    came, name = len(page.rows), "page size"
    if not asked:
        return OK, name, f"none is asked for; {counted(came, 'row')} came", {}
    finding = f"{asked} rows asked for, {came} came"
    if came > asked:
        return NOTE, name, f"{finding}: the API ignores it", {}
    if came < asked and more:
        return NOTE, name, f"{finding}: the API grants less", {setting: came} if came else {}
    return OK, name, finding, {}


def _asked_size(endpoint: Mapping[str, Any]) -> tuple[str, int]:
    """Setting and number of a page size among the parameters, 0 if there is none."""
    for name in init.SIZES:
        value = str((endpoint.get("params") or {}).get(name, ""))
        if value.isdecimal():
            return f"{ENDPOINT}.params.{name}", int(value)
    return "", 0


def total(page: Page, evidence: Evidence) -> Finding:
    """Whether the API counts its rows, and where."""
    if evidence.total_last is not None:
        return OK, "total", f"the API counts {counted(evidence.total_last, 'row')}", {}
    paths, names = _totals(page)
    by_offset = evidence.paging in ("touching", "plain")
    for best, value in paths.items():
        setting = f"{ENDPOINT}.paginator.total_path" if by_offset else "scan.total_path"
        finding = f'no total is read, but the API counts {value:,} rows at "{best}"'
        return NOTE, "total", finding, {setting: best}
    for best, value in names.items():
        finding = f"no total is read, but the API counts {value:,} rows in the header {best}"
        return NOTE, "total", finding, {"scan.total_header": best}
    finding = "the API counts its rows nowhere"
    if evidence.paging in ("cursor", "links"):
        return OK, "total", f"{finding}; the end of its pages has to prove that all came", {}
    return NOTE, "total", f"{finding}: that all came cannot be proven", {}


def counted_rows(page: Page) -> int:
    """How many rows the API counts, also where no setting says so; 0 if it counts none."""
    if page.total is not None:
        return page.total
    paths, names = _totals(page)
    return next(iter((paths | names).values()), 0)


def _totals(page: Page) -> tuple[dict[str, int], dict[str, int]]:
    came = len(page.rows)
    return detect.totals(page.document, came), detect.total_headers(page.headers, came)


def other_way(page: Page, configured: Any) -> dict[str, Any]:
    """The paginator that the answer itself suggests, other than the configured one, as settings."""
    paginator, _ = detect.link_to_next(page.document, page.headers)
    if not paginator and (cursors := detect.cursors(page.document)):
        path = next(iter(cursors))
        paginator = {"type": "cursor", "cursor_path": path, "cursor_param": "cursor"}
    kind = configured.get("type", "auto") if isinstance(configured, Mapping) else configured
    if not paginator or paginator["type"] == (kind or "auto"):
        return {}
    return {f"{ENDPOINT}.paginator": paginator}


def _loaded(row: Mapping[str, Any], name: str) -> Any:
    """A value as its column will hold it."""
    value = row.get(name)
    if value is None or not name.endswith("_time"):
        return value
    time = _time(value)
    return str(value) if time is None else time.isoformat(sep=" ")


def _time(value: Any) -> datetime | None:
    """The instant that dlt makes of a value, None if it makes none."""
    try:
        time = coerce_value("timestamp", py_type_to_sc_type(type(value)), value)
        return datetime.fromisoformat(str(time)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _unread(row: Mapping[str, Any], name: str) -> bool:
    """Whether a time is none, or one that only a number in the wrong unit can mean."""
    value = row.get(name)
    if value is None:
        return False
    time = _time(value)
    return time is None or (isinstance(value, int | float) and time.year > detect.LAST_YEAR)


def _is_naive(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False
