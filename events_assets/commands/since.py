"""Which parameter of an unknown API asks for what changed since some time, and in which form.

Common names are tried; one counts as understood where the API obeys it. What is found is written as
dlt's `incremental`.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from events_assets import configuration
from events_assets.commands import fields
from events_assets.commands.changes import (
    FORMS,
    OBEYED,
    OLDER,
    Came,
    Sample,
    ahead,
    asked_since,
)
from events_assets.commands.event_list import EventList, Params
from events_assets.commands.page_size import PAGE
from events_assets.commands.pages import NAMES
from events_assets.commands.report import NOTE, OK, Report, Step
from events_assets.commands.toml_file import Description
from events_assets.errors import ApiError, ConfigurationError
from events_assets.scan.changes import Changes

FIELDS_TRIED, SINGLY = 2, 10
"""So many fields are tried, and so many parameters one by one if all at once are too much."""
REFUSED = "refused"


@dataclass
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

    events: EventList
    params: Params
    taken: Collection[Any]
    page: list[Any]
    path: str
    form: str | None

    def __post_init__(self) -> None:
        self.sample = Sample(self._with_ids(self.page), self.path)
        self.changes = Changes(self.path, convert=self.form)
        self.changes.begin(self.sample.middle)
        field = self.path.rpartition(".")[2].strip("'")
        names = dict.fromkeys(name.replace("{}", field) for name in NAMES["changed"])
        self.names = [name for name in names if name not in self.taken]
        self._came: dict[tuple[str, ...], Came | None] = {}

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
            asking.lag, came = 1, None
            with suppress(ConfigurationError):  # of a time off which nothing can be taken
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

    def _ask(self, names: Sequence[str], changes: Changes) -> Came | None:
        """The rows that come, None where the API refuses."""
        with suppress(ApiError):
            answer = self.events.get(self.params | dict.fromkeys(names, asked_since(changes)))
            return self._with_ids(self.events.rows(answer)) if answer.status < 300 else None
        return None

    def _with_ids(self, rows: list[Any]) -> Came:
        ids = [self.events.id_of(row) for row in rows]
        return [one if isinstance(one, str | int) else repr(one) for one in ids], rows


def ask_for_changes(events: EventList, api: Description, report: Report) -> None:
    """Describes how the API is asked for what changed since the last load, where it obeys."""
    paginator, page, name = api.endpoint["paginator"], events.sample, "changes"
    params = events.sized(paginator.get("limit", PAGE)) | api.endpoint.get("params", {})
    if fields.changed_at(page):
        page = events.rows(events.get(params)) or page
    paths = fields.changed_at(page)[:FIELDS_TRIED]
    if not paths:
        return report.add(Step(OK, name, "no field tells when a row was changed last"))
    ways: dict[tuple[str, str], _Way] = {}
    for path, form in [*((path, None) for path in paths), *((paths[0], form) for form in FORMS)]:
        way = _Way(events, params, paginator.values(), page, path, form)
        if way.sample.has_older(way.changes):
            ways.setdefault((path, str(asked_since(way.changes))), way)
    if not ways:
        finding = f"{paths[0]} is the same in all rows; run init once more when it is not"
        return report.add(Step(NOTE, name, finding))
    for way, param in islice(_understood([*ways.values()]), FIELDS_TRIED):
        if found := way.proven(param):
            api.endpoint["incremental"] = found
            hours = configuration.sync_settings().full_scan_every
            finding = f"each load asks by {param} for what changed since the last one, which "
            finding += f"{way.changes.path} tells; all rows are read every {hours:g} hours"
            return report.add(Step(OK, name, finding))
    finding = f"no common parameter asks for what changed, which {paths[0]} tells"
    return report.add(Step(NOTE, name, f"{finding}: each load reads all rows"))


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
