"""Writes what was found out about an API into `.dlt/config.toml`, leaving all else as it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError
from tomlkit.items import AoT, Comment, Null, Table, Whitespace

from events_assets.commands.report import inline
from events_assets.errors import ConfigurationError

REMARKS = {
    "auth": "the key itself goes to the environment (API_KEY) or to .dlt/secrets.toml",
    "headers": "{secrets.api_key} stands for the key: API_KEY, or api_key in .dlt/secrets.toml",
    "data_selector": "where the list of events is in an answer",
    "paginator": "how the next page is asked for",
    "total_path": "where the API counts all rows",
    "total_header": "the header in which the API counts all rows",
    "params": "goes into the query of each request",
    "fields": "where the canonical columns are in a row of the API, as JSON paths",
}


@dataclass(frozen=True)
class Description:
    """An API, as tables below `sources.events`: its client, the endpoint of `events`, where the
    scan finds totals, where rows have the canonical fields."""

    client: Mapping[str, Any]
    endpoint: Mapping[str, Any]
    scan: Mapping[str, Any]
    fields: Mapping[str, Any]


def read(path: Path) -> tomlkit.TOMLDocument:
    """The file, empty if there is none.

    Raises:
        ConfigurationError: it is no TOML; names the line and column.
    """
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    except (TOMLKitError, UnicodeDecodeError) as error:
        place = f"{os.path.relpath(path)} is no TOML"
        if isinstance(error, ParseError):  # which counts columns from 0
            place += f" at line {error.line}, column {error.col + 1}"
        reason = str(error).rpartition(" at line ")[0] or str(error)
        raise ConfigurationError(f"{place}: {reason}") from error


def base_url(document: Mapping[str, Any]) -> str:
    """The `base_url` that a config.toml names, empty if it names none."""
    table: Any = document
    for name in ("sources", "events", "client"):
        table = table.get(name) or {}
    return str(table.get("base_url") or "")


def describe(
    document: tomlkit.TOMLDocument, api: Description, remarks: Mapping[str, str] = REMARKS
) -> str:
    """Puts an API into a config.toml; its other sections and comments stay. Returns the text."""
    events = _table(_table(document, "sources"), "events")
    _put(events, "client", api.client, remarks)
    if "resource_defaults" not in events:
        defaults = {"primary_key": "id", "write_disposition": "merge"}
        _put(events, "resource_defaults", defaults, remarks)
    _put(_resource(events), "endpoint", api.endpoint, remarks)
    if api.scan or "scan" in events:
        scan = _table(events, "scan")
        after = _trailing(scan)
        for name in ("total_path", "total_header"):
            scan.pop(name, None)
        _fill(scan, api.scan, after, remarks)
    if api.fields:
        _put(events, "fields", api.fields, remarks)
    elif "fields" in events:
        del events["fields"]
    return tomlkit.dumps(document).rstrip() + "\n"


def section(api: Description) -> str:
    """What `describe` puts into a file, without remarks."""
    return describe(tomlkit.document(), api, remarks={})


def write(path: Path, text: str) -> None:
    """Replaces the file at once, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def _table(parent: Any, name: str) -> Any:
    if name not in parent:
        parent[name] = tomlkit.table(is_super_table=name in ("sources", "events"))
    return parent[name]


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


def _put(parent: Any, name: str, values: Mapping[str, Any], remarks: Mapping[str, str]) -> None:
    """Sets a table anew; what stands between the old one and the next stays there."""
    after = _trailing(parent[name]) if name in parent else []
    table = tomlkit.table()
    _fill(table, values, after, remarks)
    parent[name] = _remarked(table, remarks.get(name, ""))


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


def _fill(
    table: Any, values: Mapping[str, Any], after: list[Any], remarks: Mapping[str, str]
) -> None:
    """Sets values, tables inline, each with its remark; then what comes after them."""
    for name, value in values.items():
        text = inline(value)
        plain = name == "headers" and "{secrets." not in text
        table.add(name, _remarked(tomlkit.value(text), "" if plain else remarks.get(name, "")))
    for item in after or [tomlkit.nl()]:
        table.add(item)


def _remarked(item: Any, remark: str) -> Any:
    if remark:
        item.comment(remark)
        item.trivia.comment_ws = "   "
    return item
