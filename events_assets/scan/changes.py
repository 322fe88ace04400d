"""Asks a list for what changed since the last load, in dlt's words for it: `incremental`."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from dlt.extract.incremental.lag import apply_lag

from events_assets.errors import ConfigurationError, RowError, UnreadableTimeError
from events_assets.json_path import value_at
from events_assets.rows.times import from_number, from_text, to_text, unix_unit

AHEAD = timedelta(minutes=5)
"""So far the clock of an API may be ahead of ours."""

OTHER_TYPE = "is of another type than before"

Cursor = str | int | float
"""A value that grows with each change, like the time of it."""


@dataclass
class Changes:
    """What changed in a list since some cursor, none for all that it holds.

    The rows at the cursor itself are asked for again, those up to `lag` before it, too (in seconds,
    of dates in days). `start_param` and `end_param` are parameters of the query; what is sent is
    what `convert` makes of a value: a format for `strftime`, or `seconds` or `milliseconds`.
    `newest` is the greatest cursor that came, in a row that may move it: of the type of the others,
    and not after the scan `begun`, as a row that was read already may have changed before that one.
    `ignored` are those that never should, each with the reason.
    """

    path: str
    initial_value: Cursor | None = None
    end_value: Cursor | None = None
    start_param: str | None = None
    end_param: str | None = None
    lag: float = 0
    convert: str | None = None
    on_missing: str = "raise"
    is_falling: bool = False
    since: Cursor | None = None
    newest: Cursor | None = None
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    ignored: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._find = value_at(self.path)
        self._reached: Any = None
        """What the newest cursor, or before the first one the initial one, is compared by."""

    def begin(self, last: Cursor | None, begun: datetime | None = None) -> None:
        """A scan begins: of what changed since the last value that is known, None for all.

        Raises:
            ConfigurationError: there is a lag, and the value is none of which it can be taken off.
        """
        self.since, self.newest, self.ignored = last, last, {}
        self.begun = begun or datetime.now(UTC)
        self._reached = comparable(self.initial_value if last is None else last)
        if last is not None and self.lag:
            order: Callable[..., Any] = min if self.is_falling else max
            number = int(last) if isinstance(last, str) and unix_unit(last) else last
            try:
                lagged = apply_lag(self.lag, self.initial_value, number, order)
            except ValueError as error:
                told = f"lag can be taken off numbers and ISO 8601 times only, not off {last!r}"
                raise ConfigurationError(f"{told} at {self.path}: remove it") from error
            # dlt makes a time of a text in a form that it has no name for.
            self.since = str(lagged) if isinstance(lagged, datetime) else lagged

    def placeholders(self) -> dict[str, Any]:
        """The values of `{incremental.start_value}` and the like, None for what there is not."""
        start = self.initial_value if self.since is None else self.since
        ends = {"start_value": start, "last_value": start, "initial_value": self.initial_value}
        ends |= {"end_value": self.end_value}
        return {f"incremental.{name}": self._sent(value) for name, value in ends.items()}

    def parameters(self) -> dict[str, Any]:
        """The query parameters that ask for the changes."""
        values = self.placeholders()
        ends = {self.start_param: "start_value", self.end_param: "end_value"}
        found = {name: values[f"incremental.{end}"] for name, end in ends.items() if name}
        return {name: value for name, value in found.items() if value is not None}

    def see(self, rows: list[Any]) -> None:
        """Moves the cursor on by the rows of a page.

        Raises:
            RowError: a row has no cursor, and `on_cursor_value_missing` is "raise".
        """
        came = [self._find(row) for row in rows]
        if self.on_missing == "raise" and None in came:
            missing = (row for row, value in zip(rows, came, strict=True) if value is None)
            if any(isinstance(row, dict) for row in missing):
                raise RowError(
                    f"a row has nothing at {self.path}, the cursor_path of incremental: set "
                    f'on_cursor_value_missing there to "include" or "exclude" such rows'
                )
        latest = datetime.now(UTC) + AHEAD
        kinds: dict[type, list[tuple[Any, Any]]] = {}
        for value in came:
            if (now := comparable(value)) is not None:
                kinds.setdefault(type(now), []).append((now, value))
            elif value is not None:
                self.ignored[OTHER_TYPE] = str(value)
        for found in kinds.values():
            # From the newest on, as what none before it has reached need not be looked at.
            for now, value in sorted(found, key=itemgetter(0), reverse=not self.is_falling):
                self._move(now, value, latest)

    def excludes(self, row: Any) -> bool:
        """Whether a row is left out, as it has no cursor; one that is no object is set aside."""
        is_missing = self.on_missing == "exclude" and isinstance(row, dict)
        return is_missing and self._find(row) is None

    def _move(self, now: Any, value: Any, latest: datetime) -> None:
        known = self._reached
        if known is not None and type(known) is not type(now):
            self.ignored[OTHER_TYPE] = str(value)
        elif self.newest is None or self._is_beyond(now, known):
            time = now if isinstance(now, datetime) else instant(value)
            if time and time > latest:
                self.ignored["is in the future"] = str(value)
            elif not time or time <= self.begun:
                self.newest, self._reached = value, now

    def _is_beyond(self, one: Any, other: Any) -> bool:
        return bool(one < other if self.is_falling else one > other)

    def _sent(self, value: Cursor | None) -> Any:
        if self.convert is None:
            return value
        time = instant(value)
        return value if time is None else to_text(time, self.convert)


def instant(value: Any) -> datetime | None:
    """The time that a cursor most likely stands for, if any."""
    with suppress(UnreadableTimeError, OverflowError):
        unit = unix_unit(value)
        return from_number(value, unit) if unit else from_text(str(value), UTC)
    return None


def comparable(value: Any) -> Any:
    """What cursors are compared by: instants, numbers, else texts; None for what is no cursor."""
    if isinstance(value, str):
        with suppress(UnreadableTimeError, OverflowError):
            return from_text(value.strip(), UTC)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def changes_of(endpoint: Mapping[str, Any], resource: str) -> Changes | None:
    """What an endpoint says of changes: its `incremental`, or a parameter of that type.

    Raises:
        ConfigurationError: it is wrong, or both are there.
    """
    params = endpoint.get("params") or {}
    bound = {
        name: param
        for name, param in params.items()
        if isinstance(param, Mapping) and param.get("type") == "incremental"
    }
    told = [*bound.values(), *filter(None, [endpoint.get("incremental")])]
    if not told:
        return None
    if len(told) > 1:
        raise ConfigurationError(f"the resource '{resource}' is incremental in two ways: keep one")
    config = dict(told[0])
    if not config.get("cursor_path"):
        raise ConfigurationError(
            f"incremental of the resource '{resource}' needs cursor_path: where in a row the time "
            f"of its last change is"
        )
    start = next(iter(bound), config.get("start_param"))
    return Changes(
        path=config["cursor_path"],
        initial_value=_plain(config.get("initial_value")),
        end_value=_plain(config.get("end_value")),
        start_param=start,
        end_param=config.get("end_param"),
        lag=config.get("lag") or 0,
        convert=config.get("convert"),
        on_missing=config.get("on_cursor_value_missing") or "raise",
        is_falling=config.get("last_value_func") == "min",
    )


def _plain(value: Any) -> Any:
    """A time of TOML as text."""
    return value.isoformat() if hasattr(value, "isoformat") else value
