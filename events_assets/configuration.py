"""What `[sources.events]` says, once it is known to be right: dlt's RESTAPIConfig vocabulary, and
own settings beside it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider, EnvironProvider
from dlt.common.configuration.specs import PluggableRunContext
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.sources.rest_api.typing import RESTAPIConfig
from pydantic import ValidationError

from events_assets import mistakes, providers, settings
from events_assets.errors import ConfigurationError
from events_assets.providers import PROVIDED, SECTION, STEPS
from events_assets.providers import load_providers as load_providers
from events_assets.providers import reload_providers as reload_providers
from events_assets.settings import SAMPLE as SAMPLE
from events_assets.vocabulary import events_model

SECRET_WORD = re.compile(
    "token|secret|password|passwd|pwd|authorization|credentials?|signature|cookie|bearer|apikey|"
    "accesskey"
)
OWNER_OF_A_KEY = re.compile("api|access|app|auth|private|secret|subscription|license|client")
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

S = TypeVar("S", bound=settings.TomlTable)


def provide(events: Mapping[str, Any], file: Path) -> None:
    """Reads `[sources.events]` from one more file, which loses to dlt's own. Raises
    ConfigurationError where it is wrong, holds a secret, or another file says all that."""
    load_providers()
    known = Container()[PluggableRunContext].providers
    before = known[PROVIDED].locations if PROVIDED in known else [str(file)]
    if before != [str(file)]:
        raise ConfigurationError(
            f"{before[0]} describes an API already, and a code location can have one only: move "
            f"{file} to another project"
        )
    # Else each event stands a second time in the database until the next load.
    document = {"sources": {"events": events}, "load": {"truncate_staging_dataset": True}}
    known[PROVIDED] = CustomLoaderDocProvider(PROVIDED, lambda: document, False, before)
    _validated(events_model(), events, files=[file])
    _reject_secrets_in_the_open()


def section(model: type[S]) -> S:
    """The settings of a section of our own, by their model. Raises ConfigurationError where one of
    them is unknown, has the wrong type, or contradicts another one."""
    name = next(name for name, one in settings.SECTIONS.items() if one is model)
    table = providers.value(name)
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


def api_key() -> str | None:
    """The key of the API from dlt's secrets."""
    return secret("api_key")


def is_secret_name(name: str) -> bool:
    """Whether a header or parameter of that name holds a secret."""
    words = [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]
    if words[-1:] == ["key"]:
        return len(words) == 1 or bool(OWNER_OF_A_KEY.fullmatch(words[-2]))
    return any(map(SECRET_WORD.fullmatch, words)) and not {"page", "next"} & {*words}


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
        client = providers.value("client")
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
    resources = providers.value("resources")
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
            where = mistakes.place(steps, [*STEPS, "resources", str(name), key], providers.files())
            raise ConfigurationError(
                f"the resource '{name}' in [[{SECTION}.resources]] {fault}: give it another "
                f"{key} ({where})"
            )


def table_names() -> list[str]:
    """The tables that are loaded, each of them an asset; only `events` where the configuration is
    wrong: assets are defined before any run, and `rest_api_config` says in the run what is
    wrong."""
    try:
        require_own_tables()
        names = [table_of(entry) for entry in _resources() if entry.get("selected", True)]
    except (ConfigurationError, KeyError, TypeError, AttributeError, ValueError):
        names = []
    return list(dict.fromkeys(["events", *names]))


def rest_api_config() -> RESTAPIConfig:
    """The configured REST API, without its key. Raises ConfigurationError where a key is unknown,
    missing, or has a value of the wrong type, in our own sections, too."""
    _reject_secrets_in_the_open()
    others = [
        key
        for provider in providers.known()
        for key in providers.section_of(provider)
        if key != "api_key"
    ]
    keys = [*REST_API_KEYS, *settings.SECTIONS, *others]
    found = {key: value for key in keys if (value := providers.value(key)) is not None}
    _validated(events_model(), found)
    file = providers.files()[-1]
    if not (found.get("client") or {}).get("base_url"):
        raise ConfigurationError(
            f"no API is configured: set base_url in [{SECTION}.client] in {file}, or "
            f'SOURCES__EVENTS__CLIENT__BASE_URL; "{SAMPLE}" is the built-in sample API'
        )
    if "events" not in map(table_of, entries(found.get("resources") or [])):
        raise ConfigurationError(
            f"[[{SECTION}.resources]] describes no resource named 'events', or with that as its "
            f"table_name: add one to {file}, with its endpoint's path"
        )
    require_own_tables()
    return cast(RESTAPIConfig, {key: found[key] for key in REST_API_KEYS if key in found})


def _validated(model: type[S], value: Any, *path: str, files: Sequence[Path] | None = None) -> S:
    """What a model makes of the value at a path below `sources.events`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        told = mistakes.sentence(error, value, [*STEPS, *path], [*(files or providers.files())])
    raise ConfigurationError(told)


def mistake(key: str, fault: str) -> ConfigurationError:
    """What is wrong with a value below `sources.events`, and where that is set."""
    steps = [*STEPS, *key.split(".")]
    where = mistakes.place(steps, steps, providers.files())
    return ConfigurationError(f"{SECTION}.{key} {fault} ({where})")


def _reject_secrets_in_the_open() -> None:
    """Secrets belong into secrets.toml, which git ignores, or the environment."""
    for provider in providers.known():
        if not provider.supports_secrets:
            top, _ = provider.get_value("api_key", Any, "")
            for steps, text in _texts(
                {"api_key": top, "sources": {"events": providers.section_of(provider)}}
            ):
                if text and "{secrets." not in text and _is_secret(steps):
                    files = [*map(Path, provider.locations)] or providers.files()[1:2]
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
    for provider in providers.known():
        if provider.supports_secrets and not isinstance(provider, EnvironProvider):
            for steps, text in _texts(providers.section_of(provider)):
                if {"headers", "params", "json", "data"} & {*steps[:-1]}:
                    yield text


def _texts(value: Any, *path: str | int) -> Iterator[tuple[list[str | int], str]]:
    """The texts in a table and in those below it, with the steps to each."""
    for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
        if isinstance(part, Mapping | list):
            yield from _texts(part, *path, key)
        elif isinstance(part, str):
            yield [*path, key], part
