"""All that `.dlt/config.toml` may hold: dlt's REST vocabulary and our own sections as one model.

dlt describes its vocabulary as typed dictionaries, among whose values are objects and functions of
Python. Here they become models of what TOML can say.
"""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from functools import cache, reduce
from itertools import pairwise
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
from dlt.common.typing import is_typeddict
from dlt.sources.rest_api import typing as rest
from dlt.sources.rest_api.config_setup import AUTH_MAP, PAGINATOR_MAP
from jsonpath_ng import JSONPath
from pydantic import AfterValidator, Field, HttpUrl, PlainValidator, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

from events_assets import settings
from events_assets.settings import SAMPLE, SECTIONS, PathOrNone, TomlTable

AUTHENTICATIONS: dict[str, Any] = {
    "bearer": rest.BearerTokenAuthConfig,
    "api_key": rest.ApiKeyAuthConfig,
    "http_basic": rest.HttpBasicAuthConfig,
    "oauth2_client_credentials": rest.OAuth2ClientCredentialsConfig,
}
PAGINATORS: dict[str, Any] = {
    "auto": rest.PaginatorTypeConfig,
    "single_page": rest.PaginatorTypeConfig,
    "offset": rest.OffsetPaginatorConfig,
    "page_number": rest.PageNumberPaginatorConfig,
    "cursor": rest.JSONResponseCursorPaginatorConfig,
    "json_link": rest.JSONLinkPaginatorConfig,
    "json_response": rest.JSONLinkPaginatorConfig,
    "header_link": rest.HeaderLinkPaginatorConfig,
    "header_cursor": rest.HeaderCursorPaginatorConfig,
}

Hint = Any
"""A type, or what stands for one."""
LIST: Any = list
TABLE: Any = dict
ONE_OF: Any = Literal


@cache
def events_model() -> type[TomlTable]:
    """The model of `[sources.events]`."""
    hints = {
        "client": _in_toml(rest.ClientConfig),
        "resource_defaults": _in_toml(rest.EndpointResourceBase),
        "resources": LIST[_in_toml(rest.EndpointResource) | str],
        **SECTIONS,
        "api_key": str,
    }
    return create_model("Events", __base__=TomlTable, **optional(hints))


def optional(hints: Mapping[str, Hint]) -> dict[str, Any]:
    return {key: (hint | None, None) for key, hint in hints.items()}


def _in_toml(hint: Hint) -> Hint:
    """The part of a hint of dlt that TOML can say; `NoneType` if it is none."""
    origin: Any = get_origin(hint)
    arguments = get_args(hint)
    if is_typeddict(hint):
        return _model(hint)
    if origin in (Union, UnionType):
        if JSONPath in arguments:
            return PathOrNone
        members = [_in_toml(one) for one in arguments]
        return Any if Any in members else reduce(or_, members)
    if origin in (dict, Mapping):
        return TABLE[str, _in_toml(arguments[1])]
    if origin in (list, Sequence):
        return LIST[_in_toml(arguments[0])]
    known = (str, int, float, bool, date, datetime, Any)
    return hint if origin is Literal or hint in known else NoneType


@cache
def _model(spec: Any, kind: str | None = None) -> type[TomlTable]:
    """The model of a typed dictionary of dlt, or of those that have `kind` as their type."""
    required = spec.__required_keys__ | ({"name"} if spec is rest.EndpointResource else set())
    fields: dict[str, Any] = {}
    for key, hint in get_type_hints(spec).items():
        found = BY_KEY[key]() if key in BY_KEY else _in_toml(hint)
        if key == "type" and kind:
            found = ONE_OF[kind]
        if found is not NoneType and found != LIST[NoneType]:
            optional = key not in required or NoneType in get_args(hint)
            default = Field(None if optional else ..., alias=key)
            # Keys may have names that a model needs for itself, like `json`.
            fields[f"key_{key}"] = (found | None if optional else found, default)
    return create_model(kind or spec.__name__, __base__=TomlTable, __doc__=spec.__doc__, **fields)


def _by_type(specs: Mapping[str, Any], registered: Mapping[str, Any], default: str) -> Hint:
    """A name of `registered`, or a table with it as its `type`, that of `specs` if there is one."""
    tables = {kind: _model(spec, kind) for kind, spec in specs.items()}

    def check(value: Any) -> Any:
        is_table = isinstance(value, Mapping)
        kind = value.get("type", default) if is_table else value
        if not isinstance(kind, str):
            raise PydanticCustomError("no_type", "a name, or a table with a type")
        if kind not in registered:
            context = {"key": "type" if is_table else "", "word": kind, "known": list(registered)}
            raise PydanticCustomError("unknown" if is_table else "no_name", "no type", context)
        if is_table and kind in tables:
            tables[kind].model_validate(value)
        return value

    written = reduce(or_, tables.values(), ONE_OF[tuple(specs)])
    return Annotated[Any, PlainValidator(check, json_schema_input_type=written)]


def _base_url(value: str) -> str:
    with suppress(pydantic.ValidationError):
        if value in ("", SAMPLE) or HttpUrl(value).port != 0:
            return value
    raise ValueError(
        f"is {value!r}, which is no URL: write it with its scheme, like "
        f'"https://api.example.com", or "{SAMPLE}" for the built-in sample API'
    )


BY_KEY: dict[str, Callable[[], Hint]] = {
    "auth": cache(lambda: _by_type(AUTHENTICATIONS, AUTH_MAP, "bearer")),
    "paginator": cache(lambda: _by_type(PAGINATORS, PAGINATOR_MAP, "auto")),
    "convert": lambda: str | None,
    "base_url": lambda: Annotated[str, AfterValidator(_base_url)],
}
"""Of values about which more is known than dlt's hints say."""


class TomlSchema(GenerateJsonSchema):
    """Without null, which TOML does not have, and with what stands below our own settings."""

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        found = super().generate(schema, mode)
        for table in ast.parse(inspect.getsource(settings)).body:
            if isinstance(table, ast.ClassDef) and table.name in found.get("$defs", {}):
                _describe(found["$defs"][table.name], table.body)
        return found

    def nullable_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> Any:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def _describe(table: dict[str, Any], lines: list[ast.stmt]) -> None:
    """Gives the fields of a table the texts that stand below them."""
    properties = table.get("properties") or table["anyOf"][1]["properties"]
    for field, text in pairwise(lines):
        match field, text:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(description))):
                properties[name.removesuffix("_")]["description"] = description
