"""Windows of a date parameter, for APIs that end their pages after so many rows.

A list that is longer than the API lets one page through is walked in parts: the window is halved
until the rows of each part can be reached. Neighbours share a moment, so that no event falls
between them, whether the API includes the ends of a window or not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from events_assets.rows.times import UNIX_UNITS, from_text, is_date, to_text
from events_assets.settings import WindowSettings


@dataclass(frozen=True)
class Window:
    """A span of time."""

    start: datetime
    end: datetime
    settings: WindowSettings

    @classmethod
    def whole(cls, settings: WindowSettings) -> "Window":
        """The configured window.

        Raises:
            ValueError: an end of it is no ISO 8601 time.
        """
        start, end = from_text(settings.initial_value, UTC), from_text(settings.end_value, UTC)
        if start >= end:
            raise ValueError("initial_value is not before end_value")
        return cls(start, end, settings)

    def parameters(self) -> dict[str, str]:
        """The query parameters that ask for this window."""
        ends = {self.settings.start_param: self.start, self.settings.end_param: self.end}
        return {name: to_text(end, self.settings.format) for name, end in ends.items() if name}

    def halves(self) -> tuple["Window", "Window"] | None:
        """The two halves, None where it cannot be split any further."""
        unit = self._unit()
        units = (self.end - self.start) // unit
        if units < 4:
            return None
        middle = self.start + (units // 2) * unit
        return (
            Window(self.start, middle, self.settings),
            Window(middle - unit, self.end, self.settings),
        )

    def parts(self, every: str, first: datetime, last: datetime) -> "list[Window]":
        """Windows of a calendar's day, week, month, quarter or year each, for start times from the
        first to the last; the outermost ones reach to the ends of this window."""
        within = cuts(every, max(first, self.start), min(last, self.end))
        found = [cut for cut in within if self.start < cut < self.end]
        starts = [self.start, *(cut - self._unit() for cut in found)]
        ends = [*found, self.end]
        return [Window(*pair, self.settings) for pair in zip(starts, ends, strict=True)]

    def _unit(self) -> timedelta:
        """The least that the parameters can tell apart."""
        form = self.settings.format
        is_coarse = form not in UNIX_UNITS and is_date("", form)
        return timedelta(days=1) if is_coarse else timedelta(seconds=1)

    def __str__(self) -> str:
        form = self.settings.format
        return f"from {to_text(self.start, form)} to {to_text(self.end, form)}"


def cuts(every: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """The moments, in UTC, at which spans of a calendar begin, from that of the first on."""
    cut = first.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "week":
        cut -= timedelta(days=cut.weekday())
    months = {"month": 1, "quarter": 3, "year": 12}.get(every, 0)
    if months:
        cut = cut.replace(month=(cut.month - 1) // months * months + 1, day=1)
    while cut <= last:
        yield cut
        if months:
            years, month = divmod(cut.month - 1 + months, 12)
            cut = cut.replace(year=cut.year + years, month=month + 1)
        else:
            cut += timedelta(days=7 if every == "week" else 1)
