"""Reads `[sources.events]`: dlt's RESTAPIConfig vocabulary, and own settings beside it.

dlt resolves single values through its providers, environment before secrets.toml before
config.toml, but takes a table as a whole from the first provider that has it. A REST API is
described by nested tables, so the tables of all providers are merged here, and each environment
variable `SOURCES__EVENTS__<PATH>` replaces one value in the result.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast, get_type_hints
from urllib.parse import urlsplit

import dlt
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import ConfigTomlProvider, VaultDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.configuration.specs import BaseConfiguration, PluggableRunContext
from dlt.common.configuration.utils import auto_cast
from dlt.common.exceptions import DictValidationException
from dlt.common.validation import validate_dict
from dlt.sources.rest_api import typing
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets.errors import ConfigurationError, FieldsError
from events_assets.rows.canonical import Fields
from events_assets.settings import (
    HttpSettings,
    ScanSettings,
    ScheduleSettings,
    WarehouseSettings,
    WindowSettings,
)

SECTION = "sources.events"
SAMPLE = "sample"
"""The `client.base_url` that stands for the built-in sample API."""

SECRET_FIELDS = ("api_key", "token", "password", "client_secret", "access_token")
"""Fields of dlt's authentication types that nobody may see."""

REST_API_KEYS = ("client", "resource_defaults", "resources")

NESTED: dict[str, type] = {
    "client": typing.ClientConfig,
    "resource_defaults": typing.EndpointResourceBase,
    "endpoint": typing.Endpoint,
    "incremental": typing.IncrementalConfig,
}
BY_TYPE: dict[str, dict[str | None, type]] = {
    "auth": {
        None: typing.BearerTokenAuthConfig,
        "api_key": typing.ApiKeyAuthConfig,
        "bearer": typing.BearerTokenAuthConfig,
        "http_basic": typing.HttpBasicAuthConfig,
        "oauth2_client_credentials": typing.OAuth2ClientCredentialsConfig,
    },
    "paginator": {
        "cursor": typing.JSONResponseCursorPaginatorConfig,
        "header_cursor": typing.HeaderCursorPaginatorConfig,
        "header_link": typing.HeaderLinkPaginatorConfig,
        "json_link": typing.JSONLinkPaginatorConfig,
        "offset": typing.OffsetPaginatorConfig,
        "page_number": typing.PageNumberPaginatorConfig,
    },
}
OTHER_TYPES: dict[str, list[str]] = {"auth": [], "paginator": ["auto", "single_page"]}


OWN_SECTIONS: dict[str, type[BaseConfiguration]] = {
    spec.__section__: spec
    for spec in (HttpSettings, ScanSettings, ScheduleSettings, WarehouseSettings, WindowSettings)
}


def reload_providers() -> None:
    """Makes dlt read config.toml, secrets.toml and vaults anew, so that edits count at once.

    Raises:
        ConfigurationError: one of the files is no TOML.
    """
    context = Container()[PluggableRunContext]
    before = context.providers.providers
    try:
        context.reload_providers()
    except TomlProviderReadException as error:
        raise ConfigurationError(" ".join(str(error).split())) from error
    for provider in before:  # dlt forgets those that were registered by code
        if provider.name not in context.providers:
            context.providers.add_provider(provider)


def http_settings() -> HttpSettings:
    return resolve_configuration(HttpSettings(), sections=("sources", "events"))


def scan_settings() -> ScanSettings:
    return resolve_configuration(ScanSettings(), sections=("sources", "events"))


def fields() -> Fields:
    """`[sources.events.fields]`: how rows are mapped onto the canonical columns.

    Raises:
        ConfigurationError: a setting is unknown, has the wrong type, or contradicts another one.
    """
    settings = _merged("fields")
    try:
        return Fields({} if settings is None else settings)
    except FieldsError as error:
        raise ConfigurationError(f"[{SECTION}.fields] in {_config_file()}: {error}") from error


def schedule_settings() -> ScheduleSettings:
    return resolve_configuration(ScheduleSettings(), sections=("sources", "events"))


def warehouse_settings() -> WarehouseSettings:
    return resolve_configuration(WarehouseSettings(), sections=("sources", "events"))


def api_key() -> str | None:
    """The key of the API from dlt's secrets: `sources.events.api_key`, else `api_key`."""
    for name in (f"{SECTION}.api_key", "api_key"):
        value: Any = dlt.secrets.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return None


def is_sample() -> bool:
    """Whether the built-in sample API is configured."""
    return dlt.config.get(f"{SECTION}.client.base_url") == SAMPLE


def window_settings() -> WindowSettings:
    settings = resolve_configuration(WindowSettings(), sections=("sources", "events"))
    if settings.max_rows and not (settings.start_param and settings.end_param):
        raise ConfigurationError(
            f"max_rows in [{SECTION}.windows] needs start_param and end_param: the query "
            f"parameters that ask for the events of a span of time ({_config_file()})"
        )
    return settings


def entries(resources: Iterable[Any]) -> list[dict[str, Any]]:
    """The configured resources, each as a table."""
    return [{"name": one} if isinstance(one, str) else dict(one) for one in resources]


def endpoint_of(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint of a resource as a table, with what the defaults say of paging and rows."""
    endpoint = entry.get("endpoint", entry["name"])
    endpoint = {"path": endpoint} if isinstance(endpoint, str) else dict(endpoint)
    shared = defaults.get("endpoint")
    if isinstance(shared, Mapping):
        for option in ("paginator", "data_selector"):
            if option in shared:
                endpoint.setdefault(option, shared[option])
    return endpoint


def table_of(entry: Mapping[str, Any]) -> str:
    """The table that a resource goes to; several resources may share one."""
    return str(entry.get("table_name") or entry["name"])


def table_names() -> list[str]:
    """The tables that are loaded, each of them an asset; `events` where none can be read.

    Used where assets are defined, before any run: it raises nothing. What is wrong with the
    configuration is said by `rest_api_config`, in the run.
    """
    try:
        resources = _merged("resources")
        configured = entries(resources if isinstance(resources, list) else [])
        names = [table_of(entry) for entry in configured if entry.get("selected", True)]
    except (ConfigurationError, KeyError, TypeError, AttributeError, ValueError):
        names = []
    return list(dict.fromkeys(["events", *names]))


def rest_api_config() -> RESTAPIConfig:
    """The configured REST API, without its key.

    Raises:
        ConfigurationError: a key is unknown, missing, or has a value of the wrong type.
    """
    _reject_unknown_sections()
    _reject_secrets_in_config_toml()
    config = {key: value for key in REST_API_KEYS if (value := _merged(key)) is not None}
    _require_base_url(config.get("client"))
    _reject_unknown_keys(config, RESTAPIConfig, SECTION)
    try:
        validate_dict(RESTAPIConfig, config, path=SECTION)
    except DictValidationException as error:
        raise ConfigurationError(_say(error)) from error
    if "events" not in map(table_of, entries(config.get("resources") or [])):
        raise ConfigurationError(
            f"[[{SECTION}.resources]] describes no resource named 'events', or with that as its "
            f"table_name: add one to {_config_file()}, with its endpoint's path"
        )
    return cast(RESTAPIConfig, config)


def _merged(key: str) -> Any:
    """The value of `sources.events.<key>`, merged over all providers but vaults."""
    merged: Any = None
    for provider in reversed(dlt.config.config_providers):
        if isinstance(provider, VaultDocProvider):  # a look-up in a vault is a network request
            continue
        value, _ = provider.get_value(key, Any, "", *SECTION.split("."))
        if isinstance(value, str):
            value = auto_cast(value)
        if isinstance(merged, dict) and isinstance(value, Mapping):
            _update(merged, value)
        elif value is not None:
            merged = deepcopy(value)
    for path, text in _environment(key):
        merged = _replaced(merged, path, text, SECTION + "." + key)
    return merged


def _update(target: MutableMapping[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), MutableMapping):
            _update(target[key], value)
        else:
            target[key] = deepcopy(value)


def _environment(key: str) -> Iterator[tuple[list[str], str]]:
    prefix = "__".join([*SECTION.split("."), key, ""]).upper()
    for name, text in sorted(os.environ.items()):
        if name.startswith(prefix):
            yield name.removeprefix(prefix).lower().split("__"), text


def _replaced(value: Any, path: list[str], text: str, place: str) -> Any:
    """`value` with the part at `path` set from `text`; resources are found by name or index."""
    if not path:
        return text if isinstance(value, str) else auto_cast(text)
    head, *rest = path
    if isinstance(value, list):
        for index, item in enumerate(value):
            if head in (str(index), str(_name(item)).lower()):
                item = {"name": item} if isinstance(item, str) else item
                value[index] = _replaced(item, rest, text, f"{place}.{head}")
                return value
        raise ConfigurationError(
            f"the environment sets {place}.{'.'.join(path)}, but no entry of {place} is named "
            f"'{head}': {', '.join(str(_name(item)) for item in value)}"
        )
    table = value if isinstance(value, MutableMapping) else {}
    if isinstance(value, str) and place.startswith(f"{SECTION}.fields."):
        table = {"path": value}  # what a text in place of a table stands for
    key = next((key for key in table if key.lower().replace("-", "_") == head), head)
    table[key] = _replaced(table.get(key), rest, text, f"{place}.{key}")
    return table


def _name(resource: Any) -> Any:
    return resource.get("name") if isinstance(resource, Mapping) else resource


def _section_of(provider: ConfigProvider) -> Mapping[str, Any]:
    """`[sources.events]` as one provider has it."""
    *outer, name = SECTION.split(".")
    value, _ = provider.get_value(name, Any, "", *outer)
    return value if isinstance(value, Mapping) else {}


def _reject_unknown_sections() -> None:
    section: dict[str, Any] = {}
    for provider in dlt.config.config_providers:
        if not isinstance(provider, VaultDocProvider):
            _update(section, _section_of(provider))
    _require_known(section, [*REST_API_KEYS, *OWN_SECTIONS, "fields", "api_key"], SECTION)
    for name in OWN_SECTIONS.keys() & section.keys():
        fields = list(OWN_SECTIONS[name].get_resolvable_fields())
        _require_known(section[name], fields, f"{SECTION}.{name}")


def _reject_unknown_keys(table: Any, spec: type, place: str) -> None:
    """Compares the keys of nested tables with dlt's typed dictionaries, deepest place named."""
    if not isinstance(table, Mapping):
        return
    _require_known(table, list(get_type_hints(spec)), place)
    for key, value in table.items():
        inner = f"{place}.{key}"
        if key in NESTED:
            _reject_unknown_keys(value, NESTED[key], inner)
        elif key == "resources" and isinstance(value, list):
            for item in value:
                _reject_unknown_keys(item, typing.EndpointResource, f"{inner}.{_name(item)}")
        elif key in BY_TYPE:
            kind = value.get("type") if isinstance(value, Mapping) else value
            if isinstance(kind, str):
                _require_known(
                    [kind], [*filter(None, BY_TYPE[key]), *OTHER_TYPES[key]], f"{inner}.type"
                )
            kind_spec = BY_TYPE[key].get(kind, dict)
            _reject_unknown_keys(value, kind_spec, inner)
            required: frozenset[str] = getattr(kind_spec, "__required_keys__", frozenset())
            missing = sorted(required - value.keys()) if isinstance(value, Mapping) else []
            if missing:
                raise ConfigurationError(
                    f"'{missing[0]}' is missing in {inner} ({_config_file(key)}), which {kind} "
                    f"needs"
                )


def _require_known(keys: Iterable[str], known: Sequence[str], place: str) -> None:
    for key in keys:
        if known and key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            remedy = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"
            raise ConfigurationError(f"unknown '{key}' in {place} ({_config_file(key)}); {remedy}")


def _say(error: DictValidationException) -> str:
    """dlt's finding in one line, without the value, which may be a secret."""
    while error.nested_exceptions:
        error = error.nested_exceptions[0]
    place = ".".join(filter(None, [error.path.replace("/", "."), error.field]))
    expected = getattr(error.expected_type, "__name__", None)
    finding = f"a value of type {expected} is expected" if expected else error.msg
    return f"wrong configuration at {place} ({_config_file(error.field)}): {finding}"


def _require_base_url(client: Any) -> None:
    base_url = client.get("base_url") if isinstance(client, Mapping) else None
    if base_url is None or base_url == "":
        raise ConfigurationError(
            f"no API is configured: set base_url in [{SECTION}.client] in {_config_file()}, or "
            f'SOURCES__EVENTS__CLIENT__BASE_URL; "{SAMPLE}" is the built-in sample API'
        )
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError):
        valid = False
    if base_url != SAMPLE and not valid:
        raise ConfigurationError(
            f"{SECTION}.client.base_url is {base_url!r}, which is no URL: write it with its "
            f'scheme, like "https://api.example.com", or "{SAMPLE}" for the built-in sample API'
        )


def _reject_secrets_in_config_toml() -> None:
    """Secrets belong into secrets.toml, which git ignores, or the environment."""
    for provider in dlt.config.config_providers:
        if not isinstance(provider, ConfigTomlProvider):
            continue
        top, _ = provider.get_value("api_key", Any, "")
        section = _section_of(provider)
        tables = [{"api_key": top}, {"api_key": section.get("api_key")}, *_auth_tables(section)]
        for name, value in ((name, table.get(name)) for table in tables for name in SECRET_FIELDS):
            if isinstance(value, str) and value and "{secrets." not in value:
                raise ConfigurationError(
                    f"there is a secret, {name}, in {_config_file(name)}, which is no place for "
                    f"one: move it to .dlt/secrets.toml, or to the environment"
                )


def _auth_tables(section: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All `auth` in a table and in those below it."""
    for key, value in section.items():
        for table in value if isinstance(value, list) else [value]:
            if isinstance(table, Mapping):
                if key == "auth":
                    yield table
                yield from _auth_tables(table)


def _config_file(key: str | None = None) -> str:
    """The path of config.toml, with the line of a key that occurs only once."""
    path = dlt.current.run_context().get_setting("config.toml")
    if key is None or not Path(path).is_file():
        return path
    at_key = re.compile(rf"""(^|[\s{{,.\["']){re.escape(str(key))}["']?\s*[=.\]]""")
    with Path(path).open(encoding="utf-8") as lines:
        found = [
            number
            for number, line in enumerate(lines, 1)
            if at_key.search(line) and not line.lstrip().startswith("#")
        ]
    return f"{path}, line {found[0]}" if len(found) == 1 else path
