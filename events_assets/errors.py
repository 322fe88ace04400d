"""All errors of this package, as one tree. The message of each is for people: what is wrong, where,
and what to do.

EventsError
├── ConfigurationError        a configured value is missing or wrong
├── ApiError                  the API cannot be used
│   └── OutdatedError         what was recorded of it leads to what is no longer there
├── BoundError                an answer is larger than is read
├── EndlessScanError          the API goes on answering without telling anything new
├── NotAPageError             a successful answer that is no page; asked again like a failed one
│   └── EmptyPageError        a page without rows where the API counts more of them
├── WarehouseError            the warehouse cannot be used
├── ClusterError              workers on other machines do not do their work
├── ContractError             rows would change a table in a way that its schema_contract forbids
├── AlertError                nobody could be told that something is wrong
├── StopError                 a step of a command failed after which the others cannot be tried
├── KeyTypeError              a key column of integers is too narrow for the keys that come
└── RowError                  one row; the others go on
    ├── UnloadableError       it cannot be loaded as an event
    ├── UnreadableTimeError   a value in it is no time of the expected form
    └── UnaddressableError    the list that depends on it cannot be asked for
"""

from collections.abc import Iterator
from typing import Any


class EventsError(Exception):
    """Any error of this package."""


class ConfigurationError(EventsError):
    """Names the key and the remedy."""


class ApiError(EventsError):
    """`status` is that of the answer, if there was one."""

    status: int | None = None


class OutdatedError(ApiError):
    pass


class BoundError(EventsError):
    pass


class EndlessScanError(EventsError):
    pass


class NotAPageError(EventsError):
    """`request` is the one that was answered so."""

    request: Any = None


class EmptyPageError(NotAPageError):
    """`found` is what was read from it, which counts where it is all that the API gives in the
    end."""

    def __init__(self, message: str, found: Any) -> None:
        super().__init__(message)
        self.found = found


class WarehouseError(EventsError):
    pass


class ClusterError(EventsError):
    pass


class ContractError(EventsError):
    """`entity` is the part of the contract (tables, columns, data_type) that forbids it."""

    def __init__(self, table: str, column: str | None, entity: str) -> None:
        came = {
            "tables": f"rows came for a new table {table}",
            "columns": f"the column {column} of {table} is new",
            "data_type": f"a value for the column {column} of {table} is of another type",
        }[entity]
        super().__init__(
            f"{came}, which schema_contract forbids ({entity}), and nothing was loaded: to let it "
            f'in, set schema_contract = {{ {entity} = "evolve" }} for one load, where it is set in '
            f"[[sources.events.resources]] or [sources.events.resource_defaults]"
        )


class KeyTypeError(EventsError):
    """`columns` of `table`, a resource, are to be texts; then all is to be read anew."""

    def __init__(self, table: str, columns: set[str]) -> None:
        self.table, self.columns = table, {*columns}
        super().__init__(
            f"keys of {table} came that are no 64 bit integers like those before: make "
            f"{', '.join(sorted(columns))} a column of texts, as events_assets.warehouse.load does,"
            f" and load again"
        )


class AlertError(EventsError):
    pass


class StopError(EventsError):
    """Its arguments are the name of the step, what was found and, if any, settings to make."""


class RowError(EventsError):
    pass


class UnloadableError(RowError):
    pass


class UnreadableTimeError(RowError, ValueError):
    pass


class UnaddressableError(RowError):
    pass


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those behind it, down to the innermost one."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
