"""Writes what was found out about an API into `.dlt/config.toml`, leaving all else as it is."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Comment, Null, Table, Whitespace

from events_assets.commands.report import WIDTH, line_of

REMARKS = {
    "auth": "the key itself goes to the environment (API_KEY) or to .dlt/secrets.toml",
    "headers": "{secrets.api_key} stands for the key: API_KEY, or api_key in .dlt/secrets.toml",
    "data_selector": "where the list of events is in an answer",
    "paginator": "how the next page is asked for",
    "total_path": "where the API counts all rows; the scan is complete when so many came",
    "total_header": "the header in which the API counts all rows",
    "params": "goes into the query of each request",
    "fields": "where the canonical columns are in a row of the API, as JSON paths",
}


def configured(text: str) -> str:
    """The `base_url` that a config.toml names, empty if it names none."""
    document: Any = tomlkit.parse(text)
    for name in ("sources", "events", "client"):
        document = document.get(name) or {}
    return str(document.get("base_url") or "")


def rewritten(
    text: str,
    client: Mapping[str, Any],
    endpoint: Mapping[str, Any],
    scan: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> str:
    """The text of a config.toml with the API described anew: its client, the endpoint, fields
    and totals of `events`; other sections and comments stay."""
    document = tomlkit.parse(text)
    events = _table(_table(document, "sources"), "events")
    _put(events, "client", client)
    if "resource_defaults" not in events:
        defaults = {"primary_key": "id", "write_disposition": "merge"}
        _put(events, "resource_defaults", defaults)
    _put(_resource(events), "endpoint", endpoint)
    if scan or "scan" in events:
        _add(_table(events, "scan"), scan, without=("total_path", "total_header"))
    if fields:
        _put(events, "fields", fields)
    elif "fields" in events:
        del events["fields"]
    return tomlkit.dumps(document).rstrip() + "\n"


def section(
    client: Mapping[str, Any],
    endpoint: Mapping[str, Any],
    scan: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> str:
    """What `rewritten` puts in place, by itself."""
    return rewritten("", client, endpoint, scan, fields)


def _table(parent: Any, name: str) -> Any:
    if name not in parent:
        parent[name] = tomlkit.table(is_super_table=name in ("sources", "events"))
    return parent[name]


def _put(parent: Any, name: str, values: Mapping[str, Any]) -> None:
    """Sets a table anew; what stands between the old one and the next stays there."""
    after = _trailing(parent[name]) if name in parent else []
    table = tomlkit.table()
    if name in REMARKS:
        table.comment(REMARKS[name])
        table.trivia.comment_ws = "   "
    _fill(table, values)
    for item in after or [tomlkit.nl()]:
        table.add(item)
    parent[name] = table


def _add(table: Any, values: Mapping[str, Any], without: Iterable[str]) -> None:
    """Sets values of a table that keeps its others, before what stands after them."""
    after = _trailing(table)
    for name in without:
        table.pop(name, None)
    _fill(table, values)
    for item in after or [tomlkit.nl()]:
        table.add(item)


def _trailing(table: Any) -> list[Any]:
    """Takes out blank lines and comments at the end of a table: they belong to the next one."""
    if isinstance(table, AoT):
        return _trailing(table[-1]) if len(table) else []
    body = table.value.body if isinstance(table, Table) else []
    taken: list[Any] = []
    while body and isinstance(body[-1][1], Whitespace | Comment | Null):
        taken.insert(0, body.pop()[1])
    if not taken and body:
        return _trailing(body[-1][1])
    return [item for item in taken if not isinstance(item, Null)]


def _resource(events: Any) -> Any:
    """The entry `events` of the resources."""
    if not isinstance(events.get("resources"), AoT):
        events.pop("resources", None)
        events["resources"] = tomlkit.aot()
    for entry in events["resources"]:
        if entry.get("name") == "events":
            return entry
    entry = tomlkit.table()
    entry.add("name", "events")
    entry.add(tomlkit.nl())
    events["resources"].append(entry)
    return events["resources"][-1]


def _fill(table: Any, values: Mapping[str, Any]) -> None:
    """Sets values, tables inline, each with its remark: beside it where there is room."""
    for name, value in values.items():
        text = line_of(value)
        item: Any = tomlkit.parse(f"x = {text}\n")["x"]
        remark = REMARKS.get(name, "")
        if name == "headers" and "{secrets." not in text:
            remark = ""
        if remark and len(f"{name} = {text}   # {remark}") > WIDTH:
            table.add(tomlkit.comment(remark))
        elif remark:
            item.comment(remark)
            item.trivia.comment_ws = "   "
        table.add(name, item)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write(path: Path, text: str) -> None:
    """Replaces the file at once, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
