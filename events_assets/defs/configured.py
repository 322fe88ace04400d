"""What definitions take from the configuration; where that is wrong, they load with the defaults.

Assets do not leave the UI for it. A run, which reads the configuration anew, says what is wrong.
"""

from collections.abc import Callable
from typing import TypeVar

from events_assets import configuration, warehouse

T = TypeVar("T")


def configured(read: Callable[[], T], default: T) -> T:
    """What `read` finds in the configuration, `default` where it fails, for whatever reason."""
    try:
        return read()
    except Exception:
        return default


DESTINATION = configured(warehouse.destination_name, "duckdb")
TABLES = configured(configuration.table_names, ["events"])
