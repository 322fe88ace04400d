"""What definitions take from the configuration; where that is wrong, they load with the defaults.

Assets do not leave the UI for it. A run, which reads the configuration anew, says what is wrong.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from events_assets import configuration
from events_assets.destinations.choice import destination_name
from events_assets.errors import ConfigurationError
from events_assets.providers import SECTION

T = TypeVar("T")


def configured(read: Callable[[], T], default: T) -> T:
    """What `read` finds in the configuration, `default` where it fails, for whatever reason."""
    try:
        return read()
    except Exception:
        return default


def tables() -> list[str]:
    """The tables that are configured, each of them an asset. Raises ConfigurationError where the
    name of one can be none of an asset."""
    names = configuration.table_names()
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ConfigurationError(
                f"the resource {name!r} in [[{SECTION}.resources]] of "
                f".dlt/config.toml can be no asset: its name is to have only letters, digits, _, - "
                f"and ., like '{re.sub('[^A-Za-z0-9_.-]+', '_', name)}'"
            )
    return names


configuration.load_providers()
DESTINATION = configured(destination_name, "duckdb")
TABLES = configured(tables, ["events"])
