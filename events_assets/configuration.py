"""Reads `[sources.events]`: dlt's RESTAPIConfig vocabulary, and own settings beside it.

dlt resolves single values through its providers, environment before secrets.toml before
config.toml, but takes a table as a whole from the first provider that has it. A REST API is
described by nested tables, so the tables of all providers are merged here, and each environment
variable `SOURCES__EVENTS__<PATH>` replaces one value in the result.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import dlt
import tomlkit
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import (
    ConfigTomlProvider,
    EnvironProvider,
    VaultDocProvider,
)
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.configuration.specs import PluggableRunContext
from dlt.common.configuration.utils import auto_cast
from dlt.common.runtime.run_context import RunContext
from dlt.sources.rest_api.typing import RESTAPIConfig
from pydantic import ValidationError
from tomlkit.exceptions import ParseError

from events_assets import mistakes
from events_assets.errors import ConfigurationError, FieldsError
from events_assets.rows.canonical import Fields
from events_assets.settings import (
    EnvironmentText,
    FieldsSettings,
    HttpSettings,
    ScanSettings,
    ScheduleSettings,
    Settings,
    WarehouseSettings,
    WindowSettings,
)
from events_assets.vocabulary import OWN_SECTIONS, events_model

SECTION = "sources.events"
SAMPLE = "sample"
"""The `client.base_url` that stands for the built-in sample API."""

SECRET_FIELDS = ("api_key", "token", "password", "client_secret", "access_token")
"""Fields of dlt's authentication types that nobody may see."""

REST_API_KEYS = ("client", "resource_defaults", "resources")

S = TypeVar("S", bound=Settings)


class _EnvironmentOnly(RunContext):
    """dlt's run context while one of its files is no TOML: without them."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [EnvironProvider()]


def load_providers() -> None:
    """Makes sure that dlt can be used, also with a file that is no TOML, of which dlt itself says
    so whatever it is asked. It is left out then, until `reload_providers` says what is wrong.
    """
    try:
        Container()[PluggableRunContext]
    except TomlProviderReadException:
        Container()[PluggableRunContext] = PluggableRunContext(_EnvironmentOnly(None))


def reload_providers() -> None:
    """Makes dlt read config.toml, secrets.toml and vaults anew, so that edits count at once.

    Raises:
        ConfigurationError: one of the files is no TOML.
    """
    try:
        context = Container()[PluggableRunContext]
        before = context.providers.providers
        if isinstance(context.context, _EnvironmentOnly):
            context = Container()[PluggableRunContext] = PluggableRunContext()
        context.reload_providers()
    except TomlProviderReadException as error:
        raise _unreadable(error) from None  # its text has parts of the file
    for provider in before:  # dlt forgets those that were registered by code
        if provider.name not in context.providers:
            context.providers.add_provider(provider)


def http_settings() -> HttpSettings:
    return _section("http", HttpSettings)


def scan_settings() -> ScanSettings:
    return _section("scan", ScanSettings)


def window_settings() -> WindowSettings:
    return _section("windows", WindowSettings)


def schedule_settings() -> ScheduleSettings:
    return _section("schedule", ScheduleSettings)


def warehouse_settings() -> WarehouseSettings:
    return _section("warehouse", WarehouseSettings)


def fields() -> Fields:
    """`[sources.events.fields]`: how rows are mapped onto the canonical columns.

    Raises:
        ConfigurationError: a setting is unknown, has the wrong type, or contradicts another one.
    """
    try:
        return Fields(_section("fields", FieldsSettings))
    except FieldsError as error:
        told = f"{SECTION}.fields.{error}"
        steps = told.split()[0].split(".")
        place = mistakes.place([*steps], steps, _files())
        raise ConfigurationError(f"{told} ({place})") from error


def api_key() -> str | None:
    """The key of the API from dlt's secrets: `sources.events.api_key`, else `api_key`."""
    for name in (f"{SECTION}.api_key", "api_key"):
        value: Any = dlt.secrets.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return None


def is_sample() -> bool:
    """Whether the built-in sample API is configured; not where no configuration can be read."""
    try:
        client = _merged("client")
    except ConfigurationError:
        return False
    return isinstance(client, Mapping) and client.get("base_url") == SAMPLE


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

    All of `[sources.events]` is looked at, our own sections included.

    Raises:
        ConfigurationError: a key is unknown, missing, or has a value of the wrong type.
    """
    _reject_secrets_in_config_toml()
    section = {key: value for key in _keys() if (value := _merged(key)) is not None}
    _validated(events_model(), section)
    _require_base_url(section.get("client"))
    if "events" not in map(table_of, entries(section.get("resources") or [])):
        raise ConfigurationError(
            f"[[{SECTION}.resources]] describes no resource named 'events', or with that as its "
            f"table_name: add one to {_files()[-1]}, with its endpoint's path"
        )
    return cast(RESTAPIConfig, {key: section[key] for key in REST_API_KEYS if key in section})


def _providers() -> list[ConfigProvider]:
    """dlt's providers but vaults, where each look-up is a request; the one that wins first."""
    try:
        providers = Container()[PluggableRunContext].providers.providers
    except TomlProviderReadException as error:
        raise _unreadable(error) from None
    return [one for one in providers if not isinstance(one, VaultDocProvider)]


def _unreadable(error: TomlProviderReadException) -> ConfigurationError:
    """Which file is no TOML, and where in it, without a word of it: it may be a secret."""
    for path in map(Path, error.full_paths):
        try:
            if path.is_file():
                tomlkit.parse(path.read_text(encoding="utf-8"))
            continue
        except ParseError as wrong:
            found = f"is no TOML at line {wrong.line}, column {wrong.col}: correct it there"
        except UnicodeDecodeError as wrong:
            line = wrong.object[: wrong.start].count(b"\n") + 1
            found = f"is no UTF-8 at line {line}: save it as such"
        except OSError as wrong:
            found = f"cannot be read: {wrong.strerror}"
        return ConfigurationError(f"{path} {found}")
    return ConfigurationError(f"{error.file_name} cannot be read: it is no TOML")


def _section(name: str, model: type[S]) -> S:
    """The settings of a section of our own.

    Raises:
        ConfigurationError: one of them is unknown or wrong.
    """
    table = _merged(name)
    return _validated(model, {} if table is None else table, name)


def _merged(key: str) -> Any:
    """The value of `sources.events.<key>`, merged over all providers, with the environment's."""
    merged: Any = None
    for provider in reversed(_providers()):
        value, _ = provider.get_value(key, Any, "", *SECTION.split("."))
        if isinstance(value, str):
            value = auto_cast(value)
        if isinstance(merged, dict) and isinstance(value, Mapping):
            _update(merged, value)
        elif value is not None:
            merged = deepcopy(value)
    for path, text in _environment(key):
        merged = _replaced(merged, path, text, f"{SECTION}.{key}")
    return merged


def _update(target: MutableMapping[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), MutableMapping):
            _update(target[key], value)
        else:
            target[key] = deepcopy(value)


def _environment(key: str) -> Iterator[tuple[list[str], str]]:
    prefix = "__".join([*SECTION.split("."), key, ""]).upper()
    kind = EnvironmentText if key in OWN_SECTIONS else str
    for name, text in sorted(os.environ.items()):
        if name.startswith(prefix):
            yield name.removeprefix(prefix).lower().split("__"), kind(text)


def _replaced(value: Any, path: list[str], text: str, place: str) -> Any:
    """`value` with the part at `path` set from `text`; resources are found by name or index."""
    if not path:
        as_it_is = isinstance(value, str) or isinstance(text, EnvironmentText)
        return text if as_it_is else auto_cast(text)
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


def _keys() -> list[str]:
    """The keys of `[sources.events]`, those of all providers included."""
    found = [key for provider in _providers() for key in _section_of(provider)]
    return [*REST_API_KEYS, *OWN_SECTIONS, *(key for key in found if key != "api_key")]


def _validated(model: type[S], value: Any, *path: str) -> S:
    """What a model makes of the value at a path below `sources.events`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        told = mistakes.sentence(error, value, [*SECTION.split("."), *path], _files())
    raise ConfigurationError(told)


def _require_base_url(client: Any) -> None:
    base_url = client.get("base_url") if isinstance(client, Mapping) else None
    if base_url is None or base_url == "":
        raise ConfigurationError(
            f"no API is configured: set base_url in [{SECTION}.client] in {_files()[-1]}, or "
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
    for provider in _providers():
        if not isinstance(provider, ConfigTomlProvider):
            continue
        top, _ = provider.get_value("api_key", Any, "")
        section, path = _section_of(provider), SECTION.split(".")
        tables = list(_auth_tables(section, path))
        tables += [([], {"api_key": top}), (path, {"api_key": section.get("api_key")})]
        for steps, table in tables:
            for name in SECRET_FIELDS:
                value = table.get(name)
                if isinstance(value, str) and value and "{secrets." not in value:
                    place = mistakes.place([*steps, name], (), _files()[1:])
                    raise ConfigurationError(
                        f"there is a secret, {name}, in {place}, which is no place for one: move "
                        f"it to .dlt/secrets.toml, or to the environment"
                    )


def _auth_tables(
    value: Any, path: Sequence[str | int]
) -> Iterator[tuple[Sequence[str | int], Mapping[str, Any]]]:
    """All `auth` in a table and in those below it, each with the steps to it."""
    parts: Any = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, part in parts:
        if isinstance(part, Mapping | list):
            if key == "auth" and isinstance(part, Mapping):
                yield [*path, key], part
            yield from _auth_tables(part, [*path, key])


def _files() -> list[Path]:
    """Where settings stand, the file that wins first."""
    context = dlt.current.run_context()
    return [Path(context.get_setting(name)) for name in ("secrets.toml", "config.toml")]
