"""Whether the pages of a list join.

Some APIs leave out rows between two pages, such as those with the very time that names the next
one. To read the list once more shows nothing, as the same rows are missing again, but pages of
another size do.
"""

from collections.abc import Callable, Hashable, Sequence

from events_assets.commands.report import FAILED, Step, counted
from events_assets.paging.base import Page


def torn(first: Page, halves: Sequence[Page], again: Callable[[], Page | None]) -> Step | None:
    """What is wrong where a first page holds rows that two pages of half its size leave out, though
    one asked for `again` is as before; None where all join, or nothing can be told."""
    whole = [*first.identities]
    if len(halves) < 2 or [*halves[0].identities] != whole[: len(halves[0].identities)]:
        return None
    lost = _left_out(whole, [one for half in halves for one in half.identities])
    if not lost or (page := again()) is None or [*page.identities] != whole:
        return None
    finding = (
        f"between two pages of {len(halves[0].rows)} rows the API leaves out "
        f"{counted(len(lost), 'row')} (id {lost[0]}) that a page of {len(whole)} rows holds: loads "
        "would miss such rows each time without knowing it; page another way, or have the API "
        "mended"
    )
    return Step(FAILED, "pages join", finding)


def _left_out(whole: Sequence[Hashable], came: Sequence[Hashable]) -> list[Hashable]:
    """What did not come of that which stands before the last that came."""
    there = {*came}
    end = max((place for place, one in enumerate(whole) if one in there), default=0)
    return [one for one in whole[:end] if one not in there]
