"""Whether an API obeys who asks for what changed since some time.

It is asked from the middle of what a page shows on: no row may come that was changed before, and
none may be missing that was changed later. Asked from a time decades ahead on, it gives fewer rows,
or refuses.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any

from events_assets.commands import fields
from events_assets.commands.report import FAILED, NOTE, OK, Step, counted
from events_assets.errors import EventsError, UnreadableTimeError
from events_assets.json_path import value_at
from events_assets.paging.base import BY_CHANCE, Order
from events_assets.rows.times import UNIX_UNITS, from_format, from_number, unix_unit
from events_assets.scan.changes import Changes, Cursor, comparable, instant

FORMS = ("%Y-%m-%dT%H:%M:%SZ", "seconds", "%Y-%m-%d")
"""How an API may want a time that it writes otherwise itself."""
YEARS_AHEAD = 50

OLDER, LOST, EDGE = "older", "lost", "edge"
"""Faults: rows came that were changed before, not all that were changed later, none that was
changed at just that time."""
OBEYED = ("", EDGE)
REFUSALS = (EventsError, ValueError)

Came = tuple[Sequence[Hashable], Sequence[Any]]
"""Identities of rows, and the rows."""


class Sample:
    """The rows of a page by the time of their last change, at `path`.

    `middle` is the one in the middle of all different times, as the API writes it.
    """

    def __init__(self, rows: Came, path: str) -> None:
        self._find, self._ids = value_at(path), [*rows[0]]
        values = [value for value in map(self._find, rows[1]) if comparable(value) is not None]
        self._measure = instant if any(map(instant, values)) else comparable
        written = {self._measure(value): value for value in values}
        kinds = [type(time) for time in map(self._measure, values) if time is not None]
        self._kind = max({*kinds}, key=kinds.count)
        self._times = self._times_of(rows)
        times = sorted({*self._times.values()})
        self.middle: Cursor = written[times[len(times) // 2]]

    def has_older(self, changes: Changes) -> bool:
        """Whether rows were changed before the time that is asked for."""
        return any(time < self._asked(changes) for time in self._times.values())

    def has_middle(self, came: Came) -> bool:
        """Whether a row came that was changed at just the time in the middle."""
        return self._measure(self.middle) in self._times_of(came).values()

    def fault(self, changes: Changes, came: Came) -> str:
        """What is wrong with the rows that came when changes were asked for."""
        asked = self._asked(changes)
        if any(time < asked for time in self._times_of(came).values()):
            return OLDER
        missing = [self._times[one] for one in self._due(came[0]) if one in self._times]
        if any(time > asked for time in missing):
            return LOST
        return EDGE if asked in missing else ""

    def _due(self, came: Sequence[Hashable]) -> Iterator[Hashable]:
        """Rows of the page that did not come, and are on no further page: there is none, or rows
        are ordered by their ids."""
        is_all, order = len(came) < len(self._ids), frozenset[str]()
        if not is_all and len(came) >= BY_CHANCE:
            order = Order().then(self._ids).directions & Order().then(came).directions
        for one in {*self._ids} - {*came}:
            if is_all or order & Order().then([one, came[-1]]).directions:
                yield one

    def _times_of(self, rows: Came) -> dict[Hashable, Any]:
        times = zip(rows[0], map(self._measure, map(self._find, rows[1])), strict=True)
        return {one: time for one, time in times if isinstance(time, self._kind)}

    def _asked(self, changes: Changes) -> Any:
        """The time from which on rows are asked for, as it is written in the request."""
        sent, form = asked_since(changes), changes.convert
        if form in UNIX_UNITS:
            return from_number(sent, form)
        with suppress(UnreadableTimeError):
            return from_format(sent, form, UTC) if form else self._measure(sent)
        return self._measure(changes.since)


def asked_since(changes: Changes) -> Any:
    """What is sent."""
    return changes.placeholders()["incremental.start_value"]


def ahead(value: Cursor) -> Cursor:
    """A time decades after another one, written alike."""
    unit = unix_unit(value)
    if isinstance(value, str) and not unit:
        return re.sub(r"\d{4}", lambda year: str(int(year[0]) + YEARS_AHEAD), value, count=1)
    number = int(value) if isinstance(value, str) else value
    return number + YEARS_AHEAD * 31_557_600 * (1000 if unit == "milliseconds" else 1)


def obedience(changes: Changes, rows: Came, ask: Callable[[], Came], where: str) -> Step:
    """How the API obeys what is configured.

    Args:
        changes: what asks for changes.
        rows: the first page without it.
        ask: gives the first page with it.
        where: the table of its settings.
    """
    name, path = "changes", changes.path
    if unfit := _unfit(changes, rows[1], where):
        return unfit
    sample = Sample(rows, path)
    changes.begin(sample.middle)
    is_between, is_exact = sample.has_older(changes), not changes.lag
    if not is_between:
        changes.begin(ahead(sample.middle))
    asked = f"{changes.start_param or path}={asked_since(changes)}"
    try:
        fault = sample.fault(changes, came := ask())
        if fault == EDGE and is_exact:
            changes.lag = 1
            changes.begin(sample.middle)
            fault = sample.fault(changes, ask()) or EDGE
    except REFUSALS as error:
        if is_between:
            settings = {f"{where}.convert": form for form in _accepted(changes, sample, ask)}
            return Step(FAILED, name, f"the API refuses {asked}: {error}", settings)
        finding = f"{path} is too much alike in all rows to show whether the API obeys"
        return Step(NOTE, name, finding)
    told = f"asked by {asked}, the API"
    if fault == OLDER:
        return _too_much(asked, is_between and _is_less_ahead(changes, sample, came, ask))
    if fault == LOST:
        finding = f"{told} leaves out rows that were changed later"
        return Step(FAILED, name, f"{finding}: is {path} what it compares?")
    if fault == EDGE and is_exact:
        finding = f"{told} leaves out what was changed at just that time"
        return Step(NOTE, name, finding, {f"{where}.lag": 1})
    return Step(OK, name, f"{told} gives no row that was changed before")


def _too_much(asked: str, is_less: bool) -> Step:
    """Rows come that were changed before, though perhaps not all of them."""
    finding, reads = f"the API ignores {asked}", "all rows"
    if is_less:
        finding = f"asked by {asked}, the API gives rows that were changed before"
        reads = "more than it has to"
    told = f"{finding}: each load reads {reads}; is it the right parameter?"
    return Step(NOTE, "changes", told)


def _unfit(changes: Changes, rows: Sequence[Any], where: str) -> Step | None:
    """Why no time of change can be followed, if it is so."""
    name, path, find = "changes", changes.path, value_at(changes.path)
    values = [find(row) for row in rows if isinstance(row, dict)]
    ends = changes.on_missing == "raise"
    if lacking := values.count(None):
        finding = f"{lacking} of {counted(len(values), 'row')} have nothing at {path} (cursor_path)"
        if lacking == len(values):
            found = {f"{where}.cursor_path": one for one in fields.changed_at(rows)[:1]}
            return Step(FAILED if ends else NOTE, name, finding, found)
        if ends:
            found = {f"{where}.on_cursor_value_missing": "include"}
            return Step(FAILED, name, f"{finding}, which ends a load", found)
    changes.begin(None)
    changes.see([*rows])
    if changes.newest is None:
        why, value = next(iter(changes.ignored.items()))
        return Step(NOTE, name, f"each load reads all rows, as {path} {why}: {value}")
    if changes.is_falling:
        return Step(OK, name, f"not tried, as {path} falls with each change")
    return None


def _accepted(changes: Changes, sample: Sample, ask: Callable[[], Came]) -> Iterator[str]:
    """The first form of the time that the API obeys, if any."""
    for changes.convert in FORMS:
        with suppress(*REFUSALS):
            if sample.has_older(changes) and sample.fault(changes, ask()) in OBEYED:
                yield changes.convert
                return


def _is_less_ahead(changes: Changes, sample: Sample, before: Came, ask: Callable[[], Came]) -> bool:
    changes.begin(ahead(sample.middle))
    with suppress(*REFUSALS):
        return len(ask()[1]) < len(before[1])
    return True
