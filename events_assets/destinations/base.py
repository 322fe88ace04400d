"""What a load needs of a database, so that it can keep its promises there."""

import logging
from contextlib import AbstractContextManager
from typing import Any, Protocol

import dlt

from events_assets.errors import WarehouseError


class InUseError(WarehouseError):
    """Another load has the warehouse."""


class Destination(Protocol):
    """A database that events go to."""

    cannot_be_opened: tuple[type[Exception], ...]
    """What is raised where it cannot."""
    comments: str
    """A query for what TABLE, VIEW or COLUMN a dataset has: that word, the table, the column if it
    is one, and its comment."""

    def for_loads(self) -> Any:
        """dlt's destination to load into."""

    def for_reading(self) -> Any:
        """dlt's destination to read from."""

    def is_in_use(self, error: BaseException) -> bool:
        """Whether an error ends as soon as another process lets go of it."""

    def explained(self, error: BaseException) -> str:
        """Why it cannot be opened, and what to do."""

    def hold(self, dataset: dlt.Dataset) -> None:
        """Keeps others from loading into a dataset as long as that is open. Raises InUseError where
        another one does."""

    def require_unique(self, dataset: dlt.Dataset, table: str, columns: list[str]) -> None:
        """Lets the database refuse a second row with the same values in some columns. Raises
        WarehouseError where there are such rows."""

    def working_folder(self, dataset: dlt.Dataset, /) -> AbstractContextManager[str]:
        """An empty folder for dlt, of which nothing stays."""

    def gave_memory(
        self, pipeline: dlt.Pipeline, error: BaseException, log: logging.Logger
    ) -> bool:
        """Gives it as much memory as it would take by itself, where an error was for want of it."""


def cause(error: BaseException) -> str:
    """What a database said, in one line: DuckDB names the process that holds a lock."""
    text = str(getattr(error, "inner_exc", error))
    return " ".join(text.split(". See also")[0].split())
