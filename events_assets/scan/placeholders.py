"""Which braces in an endpoint stand for a value, and which are sent as they are written, like those
of GraphQL and of filters in JSON. dlt takes all of them for the first."""

import re
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any

PARTS = ("headers", "params", "json", "data")
CONTEXTS = ("secrets", "resources", "incremental")
"""Of what has a value: `{incremental.start_value}`."""


def as_written(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint in which dlt leaves braces alone that stand for nothing."""
    params = endpoint.get("params") or {}
    names = {name for name, value in params.items() if isinstance(value, Mapping)}
    return {key: _escaped(v, names) if key in PARTS else v for key, v in endpoint.items()}


def _escaped(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return {_escaped(key, names): _escaped(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner, names) for inner in value]
    if not isinstance(value, str) or _is_template(value, names):
        return value
    known = "|".join([*(rf"{one}\.[^{{}}]+" for one in CONTEXTS), *map(re.escape, names)])
    return re.sub(
        rf"\{{(?:{known})\}}|[{{}}]", lambda m: m[0] * 2 if len(m[0]) == 1 else m[0], value
    )


def _is_template(text: str, names: Collection[str]) -> bool:
    """Whether all braces of a text stand for values that are known, or are doubled."""
    try:
        fields = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError:
        return False
    return all(name in names or name.partition(".")[0] in CONTEXTS for name in fields)
