"""Windows of a date parameter, for APIs that end their pages after so many rows.

A list that is longer than the API lets one page through is walked in parts: the window is halved
until the rows of each part can be reached. Neighbours share a moment, so that no event falls
between them, whether the API includes the ends of a window or not.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from events_assets.settings import WindowSettings

UNIX = {"seconds": 1, "milliseconds": 1000}
TIME_OF_DAY = ("%H", "%I", "%c", "%X", "%s")


@dataclass(frozen=True)
class Window:
    """A span of time; `halves` are None where it cannot be split any further."""

    start: datetime
    end: datetime
    settings: WindowSettings

    @classmethod
    def whole(cls, settings: WindowSettings) -> "Window":
        """The configured window.

        Raises:
            ValueError: an end of it is no ISO 8601 time.
        """
        start, end = (
            datetime.fromisoformat(value) for value in (settings.initial_value, settings.end_value)
        )
        start, end = (
            time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
            for time in (start, end)
        )
        if start >= end:
            raise ValueError("initial_value is not before end_value")
        return cls(start, end, settings)

    @property
    def _unit(self) -> timedelta:
        form = self.settings.format
        fine = form in UNIX or any(part in form for part in TIME_OF_DAY)
        return timedelta(seconds=1) if fine else timedelta(days=1)

    def parameters(self) -> dict[str, str]:
        """The query parameters that ask for this window."""
        values = (self._written(self.start), self._written(self.end))
        names = (self.settings.start_param, self.settings.end_param)
        return {name: value for name, value in zip(names, values, strict=True) if name}

    def halves(self) -> tuple["Window", "Window"] | None:
        unit = self._unit
        units = (self.end - self.start) // unit
        if units < 4:
            return None
        middle = self.start + (units // 2) * unit
        return (
            Window(self.start, middle, self.settings),
            Window(middle - unit, self.end, self.settings),
        )

    def _written(self, time: datetime) -> str:
        form = self.settings.format
        if form in UNIX:
            return str(int(time.timestamp() * UNIX[form]))
        return time.strftime(form)

    def __str__(self) -> str:
        return f"from {self._written(self.start)} to {self._written(self.end)}"
