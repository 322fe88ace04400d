"""Prints the JSON schema of `.dlt/config.toml`, by which editors check it."""

import ast
import inspect
import json
from itertools import pairwise
from typing import Any

from pydantic import ConfigDict, create_model

from events_assets import settings
from events_assets.vocabulary import TomlSchema, events_model, optional


def schema() -> dict[str, Any]:
    """The JSON schema of `.dlt/config.toml`: strict in `[sources.events]`, loose elsewhere."""
    loose = ConfigDict(extra="allow")
    sources = create_model("Sources", __config__=loose, **optional({"events": events_model()}))
    tables = dict.fromkeys(("load", "runtime", "destination"), dict[str, Any])
    hints = {"destination_type": str, "sources": sources, **tables}
    model = create_model("Configuration", __config__=loose, **optional(hints))
    found: dict[str, Any] = model.model_json_schema(schema_generator=TomlSchema)
    for table in ast.parse(inspect.getsource(settings)).body:
        if isinstance(table, ast.ClassDef) and table.name in found["$defs"]:
            _describe(found["$defs"][table.name], table.body)
    return found


def _describe(table: dict[str, Any], lines: list[ast.stmt]) -> None:
    """Gives the fields of a table the texts that stand below them."""
    properties = table.get("properties") or table["anyOf"][1]["properties"]
    for field, text in pairwise(lines):
        match field, text:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(description))):
                properties[name.removesuffix("_")]["description"] = description


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
