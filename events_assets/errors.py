"""All errors of this package, as one tree. The message of each is for people: what is wrong, where,
and what to do.

EventsError
├── ConfigurationError        a configured value is missing or wrong
├── ApiError                  the API cannot be used
├── EndlessScanError          the API goes on answering without telling anything new
├── NotAPageError             a successful answer that is no page; asked again like a failed one
│   └── EmptyPageError        a page without rows where the API counts more of them
├── WarehouseError            the warehouse cannot be used
└── RowError                  one row; the others go on
    ├── UnloadableError       it cannot be loaded as an event
    ├── UnreadableTimeError   a value in it is no time of the expected form
    └── UnaddressableError    the list that depends on it cannot be asked for
"""

from typing import Any


class EventsError(Exception):
    """Any error of this package."""


class ConfigurationError(EventsError):
    """A configured value is missing or wrong; the message names the key and the remedy."""


class ApiError(EventsError):
    """The API could not be used; the message says what it answered and what to do.

    `status` is that of the answer, if there was one.
    """

    status: int | None = None


class EndlessScanError(EventsError):
    """The API goes on answering without telling anything new."""


class NotAPageError(EventsError):
    """The API answered with success, but not with a page. Treated like a transient failure."""


class EmptyPageError(NotAPageError):
    """The API gave an empty page although it counts rows beyond it.

    `answer` is that page, which counts where it is all that the API gives in the end.
    """

    def __init__(self, message: str, answer: Any) -> None:
        super().__init__(message)
        self.answer = answer


class WarehouseError(EventsError):
    """The warehouse cannot be used; the message says why and what to do."""


class RowError(EventsError):
    """Something is wrong with one row."""


class UnloadableError(RowError):
    """A row that cannot be an event; the message says why."""


class UnreadableTimeError(RowError, ValueError):
    """A value is no time of the form that was expected."""


class UnaddressableError(RowError):
    """A parent has nothing by which its list can be asked for; the message says why."""
