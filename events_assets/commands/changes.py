"""Whether an API obeys who asks for what changed since some time: `init` looks for a parameter that
it obeys, `check` tries the one that is configured.

The API is asked from the middle of what a page shows on: no row may come that was changed before,
and none may be missing that was changed later. Asked from a time decades ahead on, it gives fewer
rows, or refuses.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from itertools import islice
from typing import Any

from events_assets import configuration
from events_assets.commands import detect
from events_assets.commands.findings import Finding
from events_assets.commands.pages import NAMES, PAGE, EventList, Params
from events_assets.commands.report import FAILED, NOTE, OK, Report, counted
from events_assets.commands.toml_file import Description
from events_assets.errors import ApiError, EventsError
from events_assets.json_path import value_at
from events_assets.paging.base import BY_CHANCE, Order
from events_assets.rows.times import UNIX_UNITS, from_format, from_number, unix_unit
from events_assets.scan.changes import Changes, Cursor, instant, place

FORMS = ("%Y-%m-%dT%H:%M:%SZ", "seconds", "%Y-%m-%d")
"""How an API may want a time that it writes otherwise itself."""
FIELDS, SINGLY = 2, 6
"""So many fields are tried, and so many parameters one by one if all at once are too much."""
AHEAD = 50
"""Years."""

OLDER, LOST, EDGE, REFUSED = "older", "lost", "edge", "refused"
"""Faults: rows came that were changed before, not all that were changed later, none that was
changed at just that time; or an error."""
OBEYED = ("", EDGE)
REFUSALS = (EventsError, ValueError)

Rows = tuple[Sequence[Hashable], Sequence[Any]]
"""Identities of rows, and the rows."""


class Sample:
    """The rows of a page by the time of their last change, at `path`.

    `middle` is the one in the middle of all different times, as the API writes it.
    """

    def __init__(self, rows: Rows, path: str) -> None:
        self._find, self._ids = value_at(path), [*rows[0]]
        values = [value for value in map(self._find, rows[1]) if place(value) is not None]
        self._measure = instant if all(map(instant, values)) else place
        kinds = [type(self._measure(value)) for value in values]
        self._kind = max({*kinds}, key=kinds.count)
        self._times = self._times_of(rows)
        written = {self._measure(value): value for value in values}
        times = sorted({*self._times.values()})
        self.middle: Cursor = written[times[len(times) // 2]]

    def has_older(self, changes: Changes) -> bool:
        """Whether rows were changed before the time that is asked for."""
        return any(time < self._asked(changes) for time in self._times.values())

    def has_middle(self, came: Rows) -> bool:
        """Whether a row came that was changed at just the time in the middle."""
        return self._measure(self.middle) in self._times_of(came).values()

    def fault(self, changes: Changes, came: Rows) -> str:
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

    def _times_of(self, rows: Rows) -> dict[Hashable, Any]:
        times = zip(rows[0], map(self._measure, map(self._find, rows[1])), strict=True)
        return {one: time for one, time in times if isinstance(time, self._kind)}

    def _asked(self, changes: Changes) -> Any:
        """The time from which on rows are asked for, as it is written in the request."""
        sent, form = since(changes), changes.convert
        if form is None:
            return self._measure(sent)
        return from_number(sent, form) if form in UNIX_UNITS else from_format(sent, form, UTC)


def since(changes: Changes) -> Any:
    """What is sent."""
    return changes.placeholders()["incremental.start_value"]


def ahead(value: Cursor) -> Cursor:
    """A time decades after another one, written alike."""
    if isinstance(value, str):
        return re.sub(r"\d{4}", lambda year: str(int(year[0]) + AHEAD), value, count=1)
    return value + AHEAD * 31_557_600 * (1000 if unix_unit(value) == "milliseconds" else 1)


class _Way:
    """Asks a list for the rows that were changed since the middle of a page.

    Args:
        events: the list.
        params: go along.
        taken: names of other parameters.
        page: the rows of the page.
        path: where their time of change is.
        form: how it is sent, as `convert` of dlt's incremental.
    """

    def __init__(
        self,
        events: EventList,
        params: Params,
        taken: Collection[Any],
        page: list[Any],
        path: str,
        form: str | None,
    ) -> None:
        self._events, self._params = events, params
        self.sample = Sample(self._with_ids(page), path)
        self.changes = Changes(path, convert=form)
        self.changes.begin(self.sample.middle)
        field = path.rpartition(".")[2].strip("'")
        names = dict.fromkeys(name.replace("{}", field) for name in NAMES["changed"])
        self.names = [name for name in names if name not in taken]
        self._came: dict[tuple[str, ...], Rows | None] = {}

    def fault(self, names: Sequence[str]) -> str:
        """What is wrong with the answer to some parameters."""
        if tuple(names) not in self._came:
            self._came[tuple(names)] = self._ask(names, self.changes)
        came = self._came[tuple(names)]
        return REFUSED if came is None else self.sample.fault(self.changes, came)

    def obeyed(self, names: Sequence[str]) -> str:
        """The parameter among some that is obeyed, empty if none is."""
        is_obeyed = self.fault(names) in OBEYED
        while is_obeyed and len(names) > 1:
            first, second = names[: len(names) // 2], names[len(names) // 2 :]
            names = first if self.fault(first) in OBEYED else second
        return names[0] if is_obeyed and self.fault(names) in OBEYED else ""

    def proven(self, name: str) -> dict[str, Any]:
        """The settings for a parameter that is obeyed, in dlt's words; empty if the API gives no
        fewer rows where it is asked for a time ahead, and does not refuse either.

        Where just the time asked for does not come, it has to come with a lag. Rows that have no
        time of change are loaded as well.
        """
        asking, came = replace(self.changes), self._came[(name,)]
        if came and not self.sample.has_middle(came):
            asking.lag = 1
            asking.begin(self.sample.middle)
            came = self._ask([name], asking)
        if came is None or self.sample.fault(asking, came) not in OBEYED:
            return {}
        later = replace(asking)
        later.begin(ahead(self.sample.middle))
        then = self._ask([name], later)
        if then and len(then[1]) >= len(came[1]):
            return {}
        found: dict[str, Any] = {"cursor_path": asking.path, "start_param": name}
        found |= {"convert": asking.convert} if asking.convert else {}
        found |= {"lag": asking.lag} if asking.lag else {}
        return {**found, "on_cursor_value_missing": "include"}

    def _ask(self, names: Sequence[str], changes: Changes) -> Rows | None:
        """The rows that come, None where the API refuses."""
        with suppress(ApiError):
            answer = self._events.get(self._params | dict.fromkeys(names, since(changes)))
            return self._with_ids(self._events.rows(answer)) if answer.status < 300 else None
        return None

    def _with_ids(self, rows: list[Any]) -> Rows:
        ids = [row.get(self._events.id) for row in rows]
        return [one if isinstance(one, str | int) else repr(one) for one in ids], rows


def ask_for_changes(events: EventList, api: Description, report: Report) -> None:
    """Describes how the API is asked for what changed since the last load, where it obeys."""
    paginator, page, name = api.endpoint["paginator"], events.first_rows, "changes"
    params = events.sized(paginator.get("limit", PAGE)) | api.endpoint.get("params", {})
    if detect.changed_at(page):
        page = events.rows(events.get(params)) or page
    paths = detect.changed_at(page)[:FIELDS]
    if not paths:
        return report.add(OK, name, "no field tells when a row was changed last")
    ways: dict[tuple[str, str], _Way] = {}
    for path, form in [*((path, None) for path in paths), *((paths[0], form) for form in FORMS)]:
        way = _Way(events, params, paginator.values(), page, path, form)
        if way.sample.has_older(way.changes):
            ways.setdefault((path, str(since(way.changes))), way)
    if not ways:
        finding = f"{paths[0]} is the same in all rows; run init once more when it is not"
        return report.add(NOTE, name, finding)
    for way, param in islice(_understood([*ways.values()]), FIELDS):
        if found := way.proven(param):
            api.endpoint["incremental"] = found
            hours = configuration.sync_settings().full_scan_every
            finding = f"each load asks by {param} for what changed since the last one, which "
            finding += f"{way.changes.path} tells; all rows are read every {hours:g} hours"
            return report.add(OK, name, finding)
    finding = f"no common parameter asks for what changed, which {paths[0]} tells"
    return report.add(NOTE, name, f"{finding}: each load reads all rows")


def _understood(ways: Sequence[_Way]) -> Iterator[tuple[_Way, str]]:
    """Parameters that are obeyed: all are tried at once, then halves of them; where they are too
    much at once, the likeliest by themselves."""
    for way in ways:
        if name := way.obeyed(way.names):
            yield way, name
    first = ways[0]
    for name in first.names[:SINGLY] if first.fault(first.names) != OLDER else ():
        if first.obeyed([name]):
            yield first, name


def obedience(changes: Changes, rows: Rows, ask: Callable[[], Rows], where: str) -> Finding:
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
    asked = f"{changes.start_param or path}={since(changes)}"
    try:
        came = ask()
        fault = sample.fault(changes, came)
        if fault == EDGE and is_exact:
            changes.lag = 1
            changes.begin(sample.middle)
            fault = sample.fault(changes, ask()) or EDGE
    except REFUSALS as error:
        if is_between:
            settings = {f"{where}.convert": form for form in _accepted(changes, sample, ask)}
            return FAILED, name, f"the API refuses {asked}: {error}", settings
        finding = f"{path} is too much alike in all rows to show whether the API obeys"
        return NOTE, name, finding, {}
    if fault == OLDER:
        finding, remedy = f"the API ignores {asked}", "all rows"
        if is_between and _is_less_ahead(changes, sample, came, ask):
            finding = f"asked by {asked}, the API gives rows that were changed before"
            remedy = "more than it has to"
        return NOTE, name, f"{finding}: each load reads {remedy}; is it the right parameter?", {}
    if fault == LOST:
        finding = f"asked by {asked}, the API leaves out rows that were changed later"
        return FAILED, name, f"{finding}: is {path} what it compares?", {}
    if fault == EDGE and is_exact:
        finding = f"asked by {asked}, the API leaves out what was changed at just that time"
        return NOTE, name, finding, {f"{where}.lag": 1}
    return OK, name, f"asked by {asked}, the API gives no row that was changed before", {}


def _unfit(changes: Changes, rows: Sequence[Any], where: str) -> Finding | None:
    """Why no time of change can be followed, if it is so."""
    name, path, find = "changes", changes.path, value_at(changes.path)
    values = [find(row) for row in rows if isinstance(row, dict)]
    ends = changes.on_missing == "raise"
    if lacking := values.count(None):
        finding = f"{lacking} of {counted(len(values), 'row')} have nothing at {path} (cursor_path)"
        if lacking == len(values):
            found = {f"{where}.cursor_path": one for one in detect.changed_at(rows)[:1]}
            return FAILED if ends else NOTE, name, finding, found
        if ends:
            found = {f"{where}.on_cursor_value_missing": "include"}
            return FAILED, name, f"{finding}, which ends a load", found
    changes.begin(None)
    changes.see([*rows])
    if changes.newest is None:
        why, value = next(iter(changes.ignored.items()))
        return NOTE, name, f"each load reads all rows, as {path} {why}: {value}", {}
    if changes.is_falling:
        return OK, name, f"not tried, as {path} falls with each change", {}
    return None


def _accepted(changes: Changes, sample: Sample, ask: Callable[[], Rows]) -> Iterator[str]:
    """The first form of the time that the API obeys, if any."""
    for changes.convert in FORMS:
        with suppress(*REFUSALS):
            if sample.has_older(changes) and sample.fault(changes, ask()) in OBEYED:
                yield changes.convert
                return


def _is_less_ahead(changes: Changes, sample: Sample, before: Rows, ask: Callable[[], Rows]) -> bool:
    changes.begin(ahead(sample.middle))
    with suppress(*REFUSALS):
        return len(ask()[1]) < len(before[1])
    return True
