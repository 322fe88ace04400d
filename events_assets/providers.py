"""What dlt's providers say in `[sources.events]`.

dlt resolves single values through its providers, environment before secrets.toml before
config.toml, but takes a table as a whole from the first provider that has it. A REST API is
described by nested tables, so the tables of all providers are merged here, and each environment
variable `SOURCES__EVENTS__<PATH>` replaces one value in the result.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import EnvironProvider, VaultDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.configuration.specs import PluggableRunContext
from dlt.common.configuration.utils import auto_cast
from dlt.common.runtime.run_context import RunContext
from dlt.common.utils import update_dict_nested

from events_assets import settings
from events_assets.errors import ConfigurationError

FILE = ".dlt/config.toml"
SECTION = "sources.events"
STEPS = SECTION.split(".")
PROVIDED = "events_assets"
"""The name of dlt's provider of what another file than its own says."""
SHORT = {"auth": "type", "paginator": "type"} | dict.fromkeys(
    ("endpoint", "start_time", "end_time", "status", "deleted", "cancelled"), "path"
)
"""What a text, or a list, in place of a table stands for."""


class _EnvironmentOnly(RunContext):
    """dlt's run context while one of its files is no TOML: without them."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [EnvironProvider()]


def load_providers() -> None:
    """Makes sure that dlt can be used, also with a file that is no TOML, of which dlt itself says
    so whatever it is asked. It is left out until `reload_providers` says what is wrong."""
    try:
        Container()[PluggableRunContext]
    except TomlProviderReadException:
        Container()[PluggableRunContext] = PluggableRunContext(_EnvironmentOnly(None))


def reload_providers() -> None:
    """Makes dlt read config.toml, secrets.toml and vaults anew, so that edits count at once. Raises
    ConfigurationError where one of the files is no TOML."""
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


def known() -> list[ConfigProvider]:
    """dlt's providers but vaults, where each look-up is a request; the one that wins first."""
    try:
        providers = Container()[PluggableRunContext].providers.providers
    except TomlProviderReadException as error:
        raise _unreadable(error) from None
    return [one for one in providers if not isinstance(one, VaultDocProvider)]


def section_of(provider: ConfigProvider) -> Mapping[str, Any]:
    """`[sources.events]` as one provider has it."""
    value, _ = provider.get_value("events", Any, "", "sources")
    return value if isinstance(value, Mapping) else {}


def files() -> list[Path]:
    """Where settings stand, the file that wins first."""
    context = dlt.current.run_context()
    files = [Path(context.get_setting(name)) for name in ("secrets.toml", "config.toml")]
    provided = [one.locations for one in known() if one.name == PROVIDED]
    return files + [Path(location) for locations in provided for location in locations]


def described_in() -> str:
    """The file that describes the API: dlt's own, or the defs.yaml of a component."""
    with suppress(ConfigurationError):  # which is told where the file is read
        for provider in known():
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


def value(key: str) -> Any:
    """The value of `sources.events.<key>`, merged over all providers, with the environment's."""
    merged: dict[str, Any] = {}
    for provider in reversed(known()):
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
