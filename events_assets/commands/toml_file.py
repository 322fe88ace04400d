"""Writes what was found out about an API into `.dlt/config.toml`, leaving all else as it is."""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table, Trivia

REMARKS = {
    "auth": "the key itself goes to the environment (API_KEY) or to .dlt/secrets.toml",
    "headers": "{secrets.api_key} stands for the key: API_KEY, or api_key in .dlt/secrets.toml",
    "data_selector": "where the list of events is in an answer",
    "paginator": "how the next page is asked for",
    "total_path": "where the API counts all rows",
    "total_header": "the header in which the API counts all rows",
    "json": "the body of each request",
    "row_key": "the field that gets the key under which a row is",
    "columns_path": "where the names of columns are",
    "params": "goes into the query of each request",
    "incremental": "where rows tell when they were changed, and what asks for later ones",
    "fields": "where the canonical columns are in a row of the API, as JSON paths",
}

ENDPOINT_KEYS = (
    *("path", "method", "json", "data_selector", "headers", "params", "paginator", "incremental"),
)
"""The keys of the endpoint, in this order."""


@dataclass
class Description:
    """An API, as tables below `sources.events`: its client, the endpoint of `events`, where the
    scan finds totals, where rows have the canonical fields."""

    client: dict[str, Any]
    endpoint: dict[str, Any]
    scan: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


def put_in_body(api: Description, method: str, body: Any, inside: str) -> None:
    """Lets what was found as parameters of the query go into the body, at paths `inside` it."""
    endpoint, body = api.endpoint, deepcopy(body) if isinstance(body, dict) else {}
    target = body.setdefault(inside.rstrip("."), {}) if inside else body
    target.update(endpoint.pop("params", {}))
    if "start_param" in endpoint.get("incremental", {}):
        target[endpoint["incremental"].pop("start_param")] = "{incremental.start_value}"
    if not target and inside:
        del body[inside.rstrip(".")]
    endpoint |= {"method": method} | ({"json": body} if body else {})
    paginator, kind = endpoint["paginator"], endpoint["paginator"]["type"]
    defaults = {"offset": ("offset", "limit"), "page_number": ("page",)}.get(kind, ())
    for name in {*defaults, *(key[:-6] for key in paginator if key.endswith("_param"))}:
        paginator[f"{name}_body_path"] = inside + paginator.pop(f"{name}_param", name)


def describe(document: tomlkit.TOMLDocument, api: Description) -> str:
    """Puts an API into a config.toml; its other sections and comments stay. Returns the text."""
    events = _table(_table(document, "sources"), "events")
    _put(events, "client", api.client)
    if "resource_defaults" not in events:
        defaults = {"primary_key": "id", "write_disposition": "merge"}
        _put(events, "resource_defaults", defaults)
    endpoint = {key: api.endpoint[key] for key in ENDPOINT_KEYS if api.endpoint.get(key)}
    _put(_resource(events), "endpoint", endpoint)
    if api.scan or "scan" in events:
        for name in ("total_path", "total_header", "row_key", "columns_path"):
            _table(events, "scan").pop(name, None)
        _put(events, "scan", api.scan, keep=True)
    if api.fields:
        _put(events, "fields", api.fields)
    elif "fields" in events:
        del events["fields"]
    return tomlkit.dumps(document).rstrip() + "\n"


def write(path: Path, text: str) -> None:
    """Replaces the file at once, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def inline(value: Any) -> str:
    """A value as TOML in one line. (Nested tables of tomlkit's own have no space after a comma.)"""
    if isinstance(value, Mapping):
        pairs = (f"{tomlkit.key(name).as_string()} = {inline(v)}" for name, v in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return str(tomlkit.item(value).as_string())


def _table(parent: Any, name: str) -> Any:
    if name not in parent:
        parent[name] = tomlkit.table(is_super_table=name in ("sources", "events"))
    return parent[name]


def _resource(events: Any) -> Any:
    """The entry `events` of the resources."""
    if not isinstance(events.get("resources"), AoT):
        events.pop("resources", None)
        events["resources"] = tomlkit.aot()
    resources = events["resources"]
    if not any(entry.get("name") == "events" for entry in resources):
        resources.append(tomlkit.item({"name": "events"}))
        resources[-1].add(tomlkit.nl())
    return next(entry for entry in resources if entry.get("name") == "events")


def _put(parent: Any, name: str, values: Mapping[str, Any], keep: bool = False) -> None:
    """Sets a table anew, its tables inline, each value with its remark.

    Blank lines and comments at the end of the old one stay there: they belong to what comes next.
    `keep`: so do its values.
    """
    old = parent.get(name, {})
    is_table = isinstance(old, Table)
    text, trivia = (old.as_string(), old.trivia) if is_table else (_lines(old), Trivia())
    body = re.sub(r"(?m)(^[ \t]*(#.*)?\n)+\Z", "", text)
    after = text.removeprefix(body) or "\n"
    table = Table(tomlkit.parse((body if keep else "") + _lines(values) + after), trivia, False)
    table.add(tomlkit.ws(""))  # else tomlkit adds a blank line of its own
    if name in REMARKS:
        table.comment(REMARKS[name])
        table.trivia.comment_ws = "   "
    parent[name] = table


def _lines(values: Mapping[str, Any]) -> str:
    lines = ""
    for name, value in values.items():
        plain = name == "headers" and "{secrets." not in inline(value)
        remark = "" if plain or name not in REMARKS else f"   # {REMARKS[name]}"
        lines += f"{tomlkit.key(name).as_string()} = {inline(value)}{remark}\n"
    return lines
