"""Reads `[sources.events]`: dlt's RESTAPIConfig vocabulary, and own settings beside it.

dlt resolves single values through its providers, environment before secrets.toml before
config.toml, but takes a table as a whole from the first provider that has it. A REST API is
described by nested tables, so the tables of all providers are merged here, and each environment
variable `SOURCES__EVENTS__<PATH>` replaces one value in the result.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import (
    CustomLoaderDocProvider,
    EnvironProvider,
    VaultDocProvider,
)
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.configuration.specs import PluggableRunContext
from dlt.common.configuration.utils import auto_cast
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.runtime.run_context import RunContext
from dlt.common.utils import update_dict_nested
from dlt.sources.rest_api.typing import RESTAPIConfig
from pydantic import ValidationError

from events_assets import mistakes, settings
from events_assets.errors import ConfigurationError
from events_assets.rows.canonical import Fields
from events_assets.settings import SAMPLE as SAMPLE
from events_assets.vocabulary import events_model

FILE = ".dlt/config.toml"
SECTION = "sources.events"
STEPS = SECTION.split(".")
PROVIDED = "events_assets"
"""The name of dlt's provider of what another file than its own says."""
SECRET_WORDS = frozenset(
    (
        *("token", "secret", "password", "passwd", "pwd", "authorization", "credential"),
        *("credentials", "signature", "cookie", "bearer", "apikey", "accesskey"),
    )
)
OWNERS_OF_KEYS = frozenset(
    ("api", "access", "app", "auth", "private", "secret", "subscription", "license", "client")
)
SECRET_FIELDS = ("api_key", "token", "password", "client_secret", "access_token")
"""Fields of dlt's authentication types that nobody may see."""

SECRETS_OF_ALERTS = (["alerts", "email", "password"], ["alerts", "slack", "url"])

REST_API_KEYS = ("client", "resource_defaults", "resources")

OWN_TABLES = (
    *("scan_receipts", "daily_events"),
    *("event_changes", "event_versions", "current_events"),
)
"""Tables and views that no resource can have, beside the quarantined rows and dlt's own tables."""

_naming = NamingConvention()

SHORT = {"auth": "type", "paginator": "type"} | dict.fromkeys(
    ("endpoint", "start_time", "end_time", "status", "deleted", "cancelled"), "path"
)
"""What a text, or a list, in place of a table stands for."""

S = TypeVar("S", bound=settings.TomlTable)


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


def provide(events: Mapping[str, Any], file: Path) -> None:
    """Reads `[sources.events]` from one more file, which loses to dlt's own.

    Raises:
        ConfigurationError: it is wrong, there is a secret in it, or another file says all that.
    """
    load_providers()
    providers = Container()[PluggableRunContext].providers
    before = providers[PROVIDED].locations if PROVIDED in providers else [str(file)]
    if before != [str(file)]:
        raise ConfigurationError(
            f"{before[0]} describes an API already, and a code location can have one only: move "
            f"{file} to another project"
        )
    # Else each event stands a second time in the database until the next load.
    document = {"sources": {"events": events}, "load": {"truncate_staging_dataset": True}}
    providers[PROVIDED] = CustomLoaderDocProvider(PROVIDED, lambda: document, False, before)
    _validated(events_model(), events, files=[file])
    _reject_secrets_in_the_open()


def section(model: type[S]) -> S:
    """The settings of a section of our own, by their model.

    Raises:
        ConfigurationError: one of them is unknown, has the wrong type, or contradicts another one.
    """
    name = next(name for name, one in settings.SECTIONS.items() if one is model)
    table = _merged(name)
    return _validated(model, {} if table is None else table, name)


http_settings = partial(section, settings.HttpSettings)
scan_settings = partial(section, settings.ScanSettings)
window_settings = partial(section, settings.WindowSettings)
backfill_settings = partial(section, settings.BackfillSettings)
schedule_settings = partial(section, settings.ScheduleSettings)
check_settings = partial(section, settings.ChecksSettings)
sync_settings = partial(section, settings.SyncSettings)
retention_settings = partial(section, settings.RetentionSettings)
field_settings = partial(section, settings.FieldsSettings)
catalog_settings = partial(section, settings.CatalogSettings)
warehouse_settings = partial(section, settings.WarehouseSettings)
alert_settings = partial(section, settings.AlertSettings)


def fields() -> Fields:
    """`[sources.events.fields]`: how rows are mapped onto the canonical columns."""
    return Fields(field_settings())


def api_key() -> str | None:
    """The key of the API from dlt's secrets."""
    return secret("api_key")


def is_secret_name(name: str) -> bool:
    """Whether a header or parameter of that name holds a secret."""
    words = [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]
    if words[-1:] == ["key"]:
        return len(words) == 1 or words[-2] in OWNERS_OF_KEYS
    return not SECRET_WORDS.isdisjoint(words) and not {"page", "next"} & {*words}


def secret(name: str) -> str | None:
    """A secret from dlt's providers: that of `sources.events`, else the one at the top."""
    for place in (f"{SECTION}.{name}", name):
        value: Any = dlt.secrets.get(place)
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


def _resources() -> list[dict[str, Any]]:
    resources = _merged("resources")
    return entries(resources if isinstance(resources, list) else [])


def require_own_tables() -> None:
    """Raises ConfigurationError where two resources, or one and this package, share a table."""
    configured = _resources()
    owners: dict[str, tuple[str, str]] = {}
    names = [entry["name"] for entry in configured]
    for number, entry in enumerate(configured):
        name, table = entry["name"], table_of(entry)
        key = "table_name" if entry.get("table_name") else "name"
        own = _naming.normalize_tables_path(table)
        fault = "stands there twice" if name in names[:number] else ""
        if own in OWN_TABLES or own.startswith(("quarantined_", "_dlt")):
            fault = f"would go to the table {own}, which is one of events_assets itself"
        if entry.get("selected", True):
            for other, (its_name, its_table) in owners.items():
                is_nested = f"{own}__".startswith(f"{other}__") or other.startswith(f"{own}__")
                if is_nested and its_table != table:
                    fault = fault or (
                        f"would share the table {max(own, other)} with the resource '{its_name}', "
                        f"or with lists in its rows"
                    )
            owners.setdefault(own, (name, table))
        if fault:
            steps: mistakes.Steps = [*STEPS, "resources", number, key]
            where = mistakes.place(steps, [*STEPS, "resources", str(name), key], _files())
            raise ConfigurationError(
                f"the resource '{name}' in [[{SECTION}.resources]] {fault}: give it another "
                f"{key} ({where})"
            )


def table_names() -> list[str]:
    """The tables that are loaded, each of them an asset; `events` where none can be read.

    Used where assets are defined, before any run: it raises nothing. What is wrong with the
    configuration is said by `rest_api_config`, in the run.
    """
    try:
        require_own_tables()
        names = [table_of(entry) for entry in _resources() if entry.get("selected", True)]
    except (ConfigurationError, KeyError, TypeError, AttributeError, ValueError):
        names = []
    return list(dict.fromkeys(["events", *names]))


def rest_api_config() -> RESTAPIConfig:
    """The configured REST API, without its key.

    All of `[sources.events]` is looked at, our own sections included.

    Raises:
        ConfigurationError: a key is unknown, missing, or has a value of the wrong type.
    """
    _reject_secrets_in_the_open()
    others = [key for provider in _providers() for key in _section_of(provider) if key != "api_key"]
    keys = [*REST_API_KEYS, *settings.SECTIONS, *others]
    found = {key: value for key in keys if (value := _merged(key)) is not None}
    _validated(events_model(), found)
    if not (found.get("client") or {}).get("base_url"):
        raise ConfigurationError(
            f"no API is configured: set base_url in [{SECTION}.client] in {_files()[-1]}, or "
            f'SOURCES__EVENTS__CLIENT__BASE_URL; "{SAMPLE}" is the built-in sample API'
        )
    if "events" not in map(table_of, entries(found.get("resources") or [])):
        raise ConfigurationError(
            f"[[{SECTION}.resources]] describes no resource named 'events', or with that as its "
            f"table_name: add one to {_files()[-1]}, with its endpoint's path"
        )
    require_own_tables()
    return cast(RESTAPIConfig, {key: found[key] for key in REST_API_KEYS if key in found})


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
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as wrong:
            *_, last = lines = text.split("\n")
            place = re.search(r"line \d+, column \d+(?=\)$)", str(wrong))
            at = place[0] if place else f"line {len(lines)}, column {len(last) + 1}"  # the end
            return ConfigurationError(f"{path} is no TOML at {at}: correct it there")
        except UnicodeDecodeError as wrong:
            line = wrong.object[: wrong.start].count(b"\n") + 1
            return ConfigurationError(f"{path} is no UTF-8 at line {line}: save it as such")
        except OSError as wrong:
            return ConfigurationError(f"{path} cannot be read: {wrong.strerror}")
    return ConfigurationError(f"{error.file_name} cannot be read: it is no TOML")


def _merged(key: str) -> Any:
    """The value of `sources.events.<key>`, merged over all providers, with the environment's."""
    merged: dict[str, Any] = {}
    for provider in reversed(_providers()):
        value, _ = provider.get_value(key, Any, "", *STEPS)
        if value is not None:
            value = auto_cast(value) if isinstance(value, str) else deepcopy(value)
            update_dict_nested(merged, {key: value})
    prefix = "__".join([*STEPS, key, ""]).upper()
    for name, text in sorted(os.environ.items()):
        if name.startswith(prefix):
            path = name.removeprefix(prefix).lower().split("__")
            kind = settings.EnvironmentText if key in settings.SECTIONS else str
            merged[key] = _replaced(merged.get(key), path, kind(text), f"{SECTION}.{key}")
    return merged.get(key)


def _replaced(value: Any, path: list[str], text: str, place: str) -> Any:
    """`value` with the part at `path` set from `text`; resources are found by name or index."""
    if not path:
        is_text = isinstance(value, str) or isinstance(text, settings.EnvironmentText)
        return text if is_text else auto_cast(text)
    head, *rest = path
    short = SHORT.get(place.rpartition(".")[2])
    if isinstance(value, str | list) and short:
        value = {short: value}
    if isinstance(value, list):
        names = [str(one.get("name") if isinstance(one, dict) else one) for one in value]
        for index, name in enumerate(names):
            if head in (str(index), name.lower()):
                entry = {"name": name} if isinstance(value[index], str) else value[index]
                value[index] = _replaced(entry, rest, text, f"{place}.{head}")
                return value
        raise ConfigurationError(
            f"the environment sets {place}.{'.'.join(path)}, but no entry of {place} is named "
            f"'{head}': {', '.join(names)}"
        )
    table = {} if value is None else value
    if not isinstance(table, dict):
        return value  # which is refused, as it is no table
    key = next((key for key in table if key.lower().replace("-", "_") == head), head)
    return {**table, key: _replaced(table.get(key), rest, text, f"{place}.{key}")}


def _section_of(provider: ConfigProvider) -> Mapping[str, Any]:
    """`[sources.events]` as one provider has it."""
    value, _ = provider.get_value("events", Any, "", "sources")
    return value if isinstance(value, Mapping) else {}


def _validated(model: type[S], value: Any, *path: str, files: Sequence[Path] | None = None) -> S:
    """What a model makes of the value at a path below `sources.events`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        told = mistakes.sentence(error, value, [*STEPS, *path], [*(files or _files())])
    raise ConfigurationError(told)


def mistake(key: str, fault: str) -> ConfigurationError:
    """What is wrong with a value below `sources.events`, and where that is set."""
    steps = [*STEPS, *key.split(".")]
    where = mistakes.place(steps, steps, _files())
    return ConfigurationError(f"{SECTION}.{key} {fault} ({where})")


def described_in() -> str:
    """The file that describes the API: dlt's own, or the defs.yaml of a component."""
    with suppress(ConfigurationError):  # which is told where the file is read
        for provider in _providers():
            if provider.name == PROVIDED:
                return os.path.relpath(next(iter(provider.locations)))
    return FILE


def at_its_place(text: str) -> str:
    """What is said of settings, with the file and the tables in which one can change them in place
    of those of `.dlt/config.toml`."""
    if (file := described_in()) == FILE:
        return text
    table = rf"\[{{1,2}}{SECTION}(\.[\w.]+)?\]{{1,2}}(?: of {FILE})?"
    return re.sub(table, rf"attributes\1 of {file}", text).replace(FILE, file)


def _reject_secrets_in_the_open() -> None:
    """Secrets belong into secrets.toml, which git ignores, or the environment."""
    for provider in _providers():
        if not provider.supports_secrets:
            top, _ = provider.get_value("api_key", Any, "")
            for steps, text in _texts(
                {"api_key": top, "sources": {"events": _section_of(provider)}}
            ):
                if text and "{secrets." not in text and _is_secret(steps):
                    files = [*map(Path, provider.locations)] or _files()[1:2]
                    where = mistakes.place(steps, (), files)
                    raise ConfigurationError(
                        f"there is a secret, {steps[-1]}, in {where}, which is no place for one: "
                        f"move it to .dlt/secrets.toml, or to the environment"
                    )


def _is_secret(steps: mistakes.Steps) -> bool:
    """Whether nobody may see what stands there."""
    *above, key = steps
    if above[-1:] in (["headers"], ["params"]):
        return is_secret_name(str(key))
    return (
        (key == "api_key" and above in ([], STEPS))
        or (above[-1:] == ["auth"] and key in SECRET_FIELDS)
        or steps[len(STEPS) :] in SECRETS_OF_ALERTS
    )


def texts_of_secrets_toml() -> Iterator[str]:
    """All texts that requests are made of and that stand in secrets.toml."""
    for provider in _providers():
        if provider.supports_secrets and not isinstance(provider, EnvironProvider):
            for steps, text in _texts(_section_of(provider)):
                if {"headers", "params", "json", "data"} & {*steps[:-1]}:
                    yield text


def _texts(value: Any, *path: str | int) -> Iterator[tuple[list[str | int], str]]:
    """The texts in a table and in those below it, with the steps to each."""
    for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
        if isinstance(part, Mapping | list):
            yield from _texts(part, *path, key)
        elif isinstance(part, str):
            yield [*path, key], part


def _files() -> list[Path]:
    """Where settings stand, the file that wins first."""
    context = dlt.current.run_context()
    files = [Path(context.get_setting(name)) for name in ("secrets.toml", "config.toml")]
    provided = [one.locations for one in _providers() if one.name == PROVIDED]
    return files + [Path(location) for locations in provided for location in locations]
