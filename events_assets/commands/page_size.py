"""By which parameter an unknown API is asked for so many rows a page, and how many it grants.

One counts as understood where as many rows come as it asks for. All raise `ApiError` where the API
cannot be reached.
"""

from collections.abc import Sequence
from contextlib import suppress

from events_assets.commands.event_list import EventList
from events_assets.commands.paths import NAMES
from events_assets.errors import ApiError

PAGE = 100
"""Rows a page that are asked for; written as granted where it is less."""
LARGE = 1_000
"""The same where the API gives so many: fewer requests take less time."""
QUICKLY = 5.0
"""Seconds in which such a page has to come."""
FEW = 10
"""Rows that the first request asks for, by all common parameters at once."""
ALLOWED = (25, 50)
"""Sizes that APIs know which know only a few."""
ROUND = 10
"""A page of another number of rows is the end of the list, rather than as large as it may be."""
LIKELIEST = 12
"""So many names are tried by themselves with such a size."""

SIZES: dict[str, list[str]] = NAMES["params"]["size"]


def find_size(events: EventList) -> None:
    """Finds the parameter, and a page of few rows; without one, the list stays as it is."""
    names, came = [n for n in events.linked if n in SIZES], len(events.first_rows)
    names, refused = [*dict.fromkeys([*names, *SIZES])], list[int]()
    is_ignored = events.asked_few and came > FEW
    if came < 2 or (is_ignored and came > PAGE):
        return
    tries = [] if is_ignored else [2 if came > 4 else 1]
    for wanted in (*tries, *(ALLOWED if came >= FEW or not events.asked_few else ())):
        rows = len(events.page(dict.fromkeys(names, wanted))) if wanted != came else came
        if rows == wanted != came or came < rows < wanted:
            _find(events, names, wanted)
            return
        refused += [wanted] if rows != came else []
    for wanted in refused[:1]:  # all names at once may be too much
        _find(events, names, wanted)
    for wanted in refused[1:2] if not events.size else ():
        _find(events, names[:LIKELIEST], wanted)


def _find(events: EventList, names: Sequence[str], wanted: int) -> None:
    """Finds the one of some names that brings so many rows, or all that there are."""
    came = len(events.first_rows)
    for name in names:
        answer = events.get({name: wanted})
        rows = events.rows(answer)
        is_all = came < len(rows) < wanted
        if is_all:
            answer = events.get({name: came})
            rows = events.rows(answer)
        if len(rows) == (came if is_all else wanted):
            events.size, events.small, events.few, events.counted = name, answer, rows, answer
            return


def large(events: EventList) -> dict[str, int]:
    """The page size to write: what is asked for, or what is granted of it."""
    if not events.size:
        return {}
    answer, came = events.get(events.sized(PAGE)), len(events.first_rows)
    rows = events.rows(answer)
    came_now, events.sample = len(rows), max(events.sample, rows, key=len)
    if not came_now:  # refused: as many as come by themselves are fine, or as came so far
        return events.sized(min(PAGE, max(came, len(events.few))))
    is_full = came > came_now or events.has_more_than(came_now, answer)
    is_long = max(events.totals(answer).values(), default=LARGE + 1) > LARGE
    if is_long and came_now == PAGE and (larger := granted(events, events.size)) > PAGE:
        return events.sized(larger)
    return events.sized(min(PAGE, came_now) if is_full else PAGE)


def granted(events: EventList, size: str) -> int:
    """How many rows a page may have where a parameter asks for `LARGE`; 0 where that takes long, or
    the list has no more."""
    with suppress(ApiError):
        answer = events.get({size: LARGE})
        rows = events.rows(answer)
        if rows and answer.seconds < QUICKLY:
            events.sample = max(events.sample, rows, key=len)
            is_limit = len(rows) % ROUND == 0 or events.has_more_than(len(rows), answer)
            return min(len(rows), LARGE) if is_limit else 0
    return 0
