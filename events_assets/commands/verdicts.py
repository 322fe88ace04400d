"""What the checks of a load will say, as far as the rows tell that came so far."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from contextlib import suppress
from datetime import UTC
from itertools import chain
from typing import Any

from events_assets import configuration
from events_assets.commands.findings import ENDS
from events_assets.commands.report import FAILED, NOTE, OK, Report, Step, counted
from events_assets.errors import UnreadableTimeError
from events_assets.paging.base import Page
from events_assets.rows.identity import Identity
from events_assets.rows.times import from_text
from events_assets.scan.intake import overlap
from events_assets.scan.verdict import TORN, UNPROVEN
from events_assets.settings import CheckSettings


def foreseen(pages: Sequence[Page], identity: Identity, report: Report) -> Step:
    """Whether `events_job` would end with 1 by its checks, if all rows are like these; and which
    others would do so."""
    rows = {key: row for page in pages for key, row in zip(page.identities, page.rows, strict=True)}
    keys = (filter(lambda one: not identity.is_keyless(one), page.identities) for page in pages)
    twice = sum(times - 1 for found in map(Counter, keys) for times in found.values())
    refused = sum(bool(identity.objection(row)) for row in rows.values())
    backwards = sum(map(_ends_before_it_starts, rows.values()))
    checks, found = configuration.check_settings(), list[str]()
    state, policy = OK, list[str]()
    for settings, count, what in (
        (checks.event_ids_are_unique, twice, "come twice"),
        (checks.events_end_after_they_start, backwards, "end before they start"),
        (checks.no_events_were_quarantined, refused, "cannot be loaded"),
    ):
        is_error = settings.severity == "error"
        if count:
            found.append(f"{count:,} {what}")
            state = FAILED if is_error and not _is_tolerated(settings, count, len(rows)) else state
            state = NOTE if state == OK else state
        if is_error:
            policy.append(f"{_from(settings)} {what}")
    scan = checks.events_scan_is_complete
    policy += ["some are known to be missing"] if scan.severity == "error" else []
    policy += ["nothing proves that all came"] if scan.unproven == "error" else []
    proof = next((step for step in report.steps if step.name == "proof"), None)
    if proof and ENDS[UNPROVEN] in proof.finding and scan.unproven == "error":
        found, state = [*found, "and nothing proves that all came"], FAILED
    if proof and ENDS[TORN] in proof.finding and scan.severity == "error" and not scan.tolerate:
        found, state = [*found, "and some are known to be missing"], FAILED
    finding = f"of {counted(len(rows), 'row')} seen {', '.join(found) or 'none breaks a claim'}"
    told = f"; events_job ends with 1 if {', or '.join(policy)}" if policy else ""
    return Step(state, "checks", finding + told)


def distinct(came: Collection[Hashable], pages: Sequence[Page], identity: Identity) -> int:
    """How many rows a load counts: one of each key, and each of those without a key."""
    ids = [page.identities for page in pages]
    new = (page[overlap(before, page) :] for before, page in zip(((), *ids), ids, strict=False))
    keyless = [*filter(identity.is_keyless, chain(*new))]
    return len(came) + len(keyless) - len({*keyless})


def _ends_before_it_starts(row: Any) -> bool:
    times = [row.get(name) for name in ("start_time", "end_time")] if isinstance(row, dict) else []
    with suppress(UnreadableTimeError):
        found = [from_text(one, UTC) for one in times if isinstance(one, str)]
        return len(found) > 1 and found[1] < found[0]
    return False


def _is_tolerated(settings: CheckSettings, count: int, rows: int) -> bool:
    tolerate = settings.tolerate
    return count < tolerate * rows if 0 < tolerate < 1 else count <= tolerate


def _from(settings: CheckSettings) -> str:
    """From how many rows on they are too many."""
    if 0 < settings.tolerate < 1:
        return f"{settings.tolerate:.0%} of the rows"
    return f"{int(settings.tolerate) + 1} or more rows"
