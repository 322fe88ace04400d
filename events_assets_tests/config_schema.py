"""Prints the JSON schema of `.dlt/config.toml`, by which editors check it."""

import json
from typing import Any

from pydantic import ConfigDict, create_model

from events_assets.vocabulary import TomlSchema, events_model, optional


def schema() -> dict[str, Any]:
    """The JSON schema of `.dlt/config.toml`: strict in `[sources.events]`, loose elsewhere."""
    loose = ConfigDict(extra="allow")
    sources = create_model("Sources", __config__=loose, **optional({"events": events_model()}))
    tables = dict.fromkeys(("load", "runtime", "destination"), dict[str, Any])
    hints = {"destination_type": str, "sources": sources, **tables}
    model = create_model("Configuration", __config__=loose, **optional(hints))
    found: dict[str, Any] = model.model_json_schema(schema_generator=TomlSchema)
    return found


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
