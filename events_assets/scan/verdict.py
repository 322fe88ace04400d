"""The verdict on a scan: whether what came is everything, and which proof says so.

A list is read page by page while it changes. Four arguments can show afterwards that no row is
missing which was there all along; each is a function here, with what it takes for granted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from events_assets.paging.base import Evidence

COMPLETE, TORN, UNPROVEN = "complete", "torn", "unproven"
ONE_ANSWER, TOUCHING = "one answer", "touching pages in a fixed order"
NAMED, EQUAL = "named pages", "two equal passes"

CHAINS = ("cursor", "links")
"""Ways of paging by which an answer names the next one."""


@dataclass(frozen=True)
class Seen:
    """What one pass over one list saw: the name of the list, the evidence of its pages, its rows,
    each counted once, the digest of all that came, in this order, whether a row came from two
    places, how many came in a list before, too, how many were received, each as often as it came,
    and whether all lists together have other rows than the API counts without windows."""

    name: str
    evidence: Evidence
    rows: int = 0
    digest: bytes = b""
    is_doubled: bool = False
    shared: int = 0
    received: int = 0
    is_miscounted: bool = False

    @property
    def is_impossible(self) -> bool:
        """Whether no list looks so at any moment: a row has two places, and so may hide another."""
        return self.is_doubled and self.evidence.total != self.rows

    @property
    def missing(self) -> str:
        """Which rows the API promised and did not give, empty if none are known."""
        evidence = self.evidence
        if evidence.torn or evidence.total is None or evidence.total <= self.rows:
            return evidence.torn
        return f"the API counts {evidence.total} rows, but gave {self.rows}"


@dataclass(frozen=True)
class Reading:
    """One pass over all lists of a table."""

    lists: Sequence[Seen]

    @property
    def only(self) -> Seen:
        """The only list; of several, one that tells nothing."""
        return self.lists[0] if len(self.lists) == 1 else Seen("", Evidence())

    def first(self, fault: str) -> str:
        """The first fault of a list, with the name of the list if it is one of several."""
        found = ((one.name, getattr(one.evidence, fault, "")) for one in self.lists)
        return next((self._said(name, words) for name, words in found if words), "")

    @property
    def totals(self) -> list[int | None]:
        """The rows that the API counts in each list."""
        return [one.evidence.total for one in self.lists]

    @property
    def missing(self) -> str:
        """As that of the lists."""
        return next((self._said(one.name, one.missing) for one in self.lists if one.missing), "")

    def _said(self, name: str, words: str) -> str:
        return f"{name}: {words}" if len(self.lists) > 1 else words


@dataclass(frozen=True)
class Verdict:
    """`complete` with its proof; `torn` where rows are known to be missing; else `unproven`."""

    word: str
    reason: str
    proof: str = ""


def judge(
    readings: Sequence[Reading], passes: int, is_order_fixed: bool, may_be_empty: bool = False
) -> Verdict | None:
    """The verdict on all passes so far; None where another one may tell more.

    Args:
        readings: the passes, one at least.
        passes: so many may be made.
        is_order_fixed: the field by which rows are ordered was named by those who know it.
        may_be_empty: it is usual that there are no rows.
    """
    last = readings[-1]
    if ends := last.first("cut_short"):
        return Verdict(UNPROVEN, ends)
    is_empty = not may_be_empty and not any(one.rows for one in last.lists)
    for name, proves in (
        (ONE_ANSWER, one_answer(last)),
        (TOUCHING, touching_in_a_fixed_order(readings, is_order_fixed)),
        (NAMED, named_pages(readings, is_order_fixed)),
    ):
        if proves and not is_empty:
            return Verdict(COMPLETE, proves, name)
    is_equal, missing = two_equal_passes(readings), last.missing
    if missing and (is_equal or (passes == 1 and last.first("torn"))):
        is_promised_twice = passes == 1 or last.totals == readings[-2].totals
        return Verdict(TORN if is_promised_twice else UNPROVEN, missing)
    may_count_right = any(one.is_miscounted for one in last.lists) and not is_equal
    if not missing and (why := last.first("unprovable")):
        if (may_count_right or last.first("expired")) and len(readings) < passes:
            return None  # an event may have come between the count and its window
        return Verdict(UNPROVEN, why + _compared(last))
    is_proof = is_equal and not any(one.is_impossible for one in last.lists)
    if len(readings) < passes and (is_empty or not is_proof):
        return None  # an empty list is what an API gives whose database is away
    came = any(one.rows for reading in readings for one in reading.lists)
    if is_proof and not last.first("expired") and not (is_empty and came):
        return Verdict(COMPLETE, f"two passes brought the same {_rows(last)}", EQUAL)
    return Verdict(UNPROVEN, f"{doubt(last)}; {_advice(readings, last)}")


def one_answer(last: Reading) -> str:
    """One answer held the whole list, and said so: it named no next page where such answers do, or
    it counted just its rows, and all later answers had the same total and no other row.

    Takes for granted that the API makes one answer of one state of its list.
    """
    seen, evidence = last.only, last.only.evidence
    if evidence.first != evidence.came or evidence.torn or not evidence.pages:
        return ""
    is_counted = evidence.total == seen.rows and evidence.totals == evidence.pages
    is_followed = evidence.pages > 1 and evidence.ended and evidence.paging not in CHAINS
    is_alone = evidence.pages == 1 and (is_counted or (evidence.ended and not evidence.totals))
    if is_alone or (is_counted and is_followed):
        return f"the first answer held all {_rows(last)}"
    return ""


def touching_in_a_fixed_order(readings: Sequence[Reading], is_order_fixed: bool) -> str:
    """Each page shared a row with those before it, so that no gap can have opened.

    Takes for granted that rows which stay keep their order among themselves. That is seen, not
    believed: rows came strictly ordered by their id. But rows may be ordered by something else
    that happens to grow with the id. So an order that is not named by those who know it is trusted
    at once only if nothing came, went or moved in sight, and as many rows came as the API counts;
    else a second pass has to show the same order. A row that had been moved would stand out in it.
    """
    seen, evidence = readings[-1].only, readings[-1].only.evidence
    if not (evidence.touching and evidence.ordered) or evidence.torn or evidence.expired:
        return ""
    is_moved = evidence.shifted or evidence.repeated or evidence.step_backs
    is_calm = evidence.total == seen.rows and not is_moved
    if evidence.ended and (is_order_fixed or is_calm):
        return f"all {_rows(readings[-1])} came"
    before = _same_order_before(readings)
    is_same_end = evidence.total_last == seen.rows or before.order.last == evidence.order.last
    if before.touching and is_same_end and not seen.missing:
        return f"all {_rows(readings[-1])} came, in the same order as before"
    return ""


def named_pages(readings: Sequence[Reading], is_order_fixed: bool) -> str:
    """Each next page was named by the key of the last row of the page before, and the last page
    said that there is none where the others said that there is one, or two passes ended alike.

    Takes for granted that rows are ordered by that key (they came so), which does not change, and
    that no answer leaves rows out: pages are equally long, and where the API counts rows, as many
    came. But rows may be ordered by something else that happens to grow with the key. So where
    neither the order is named by those who know it nor the rows are counted, a second pass has to
    end alike.
    """
    seen, evidence = readings[-1].only, readings[-1].only.evidence
    is_even = evidence.total == seen.rows or (evidence.uniform and not evidence.totals)
    if not (evidence.named and evidence.ordered and is_even) or evidence.torn or evidence.expired:
        return ""
    if evidence.ended and (is_order_fixed or evidence.counted):
        return f"all {_rows(readings[-1])} came"
    before = _same_order_before(readings)
    if before.named and before.order.last == evidence.order.last:
        return f"all {_rows(readings[-1])} came, as before"
    return ""


def _same_order_before(readings: Sequence[Reading]) -> Evidence:
    """What the pass before saw if it is whole, and in the same order as the last; else nothing."""
    if len(readings) < 2:
        return Evidence()
    last, before = readings[-1].only.evidence, readings[-2].only.evidence
    is_same = before.order.directions & last.order.directions
    return before if is_same and not before.torn and not before.expired else Evidence()


def two_equal_passes(readings: Sequence[Reading]) -> bool:
    """Whether the last two passes brought the same rows in the same order, each with its content.

    Then the API held exactly these rows at the moment between the two; unless a row had two places,
    as where equal rows are ordered otherwise on each page. Takes for granted that no place of a
    list changes and changes back. The double collect of Afek, Attiya, Dolev, Gafni,
    Merritt, Shavit: Atomic snapshots of shared memory, Journal of the ACM 40 (1993).
    """
    if len(readings) < 2:
        return False
    before, last = ([(one.name, one.digest) for one in each.lists] for each in readings[-2:])
    return before == last and not readings[-2].first("expired")


def doubt(last: Reading) -> str:
    """Why a pass proves nothing."""
    if found := last.first("expired") or last.missing:
        return found
    evidence = last.only.evidence
    if any(one.is_impossible for one in last.lists):
        return "rows came twice, so that others may have been hidden"
    if len(last.lists) != 1:
        return "rows may go from one list to another while they are read"
    if evidence.rose or evidence.fell or evidence.shifted or evidence.step_backs:
        return "the list changed while it was read"
    if evidence.touching and not evidence.ordered:
        return "pages touch, but rows are in no order that is known to be fixed"
    if evidence.touching:
        return "pages touch, but nothing confirms their order and their end"
    if evidence.paging in CHAINS:
        if not evidence.named or not evidence.ordered:
            return "the next page is named by something that may be a position"
        return "the last page does not say that there is no next one"
    return "pages that do not touch may lose rows between them"


def _advice(readings: Sequence[Reading], last: Reading) -> str:
    if len(readings) == 1:
        return "two equal passes would prove it (scan.passes)"
    if any(one.is_impossible for one in last.lists):
        return "ask the API for its rows by id (endpoint.params): equal ones change places"
    if last.only.evidence.touching and not last.only.evidence.ordered:
        return "ask the API for its rows by id (endpoint.params), or for larger pages"
    return f"{len(readings)} passes differ; ask for larger pages, or at a quieter time"


def _compared(last: Reading) -> str:
    if len(last.lists) > 1:
        return ""
    total = last.only.evidence.total_last
    if total is None:
        return (
            "; the API tells no total to compare with: say where it does "
            "(scan.total_path, scan.total_header), or how its pages are asked for and end "
            "(endpoint.paginator, has_more_path)"
        )
    return f"; the API counts {total} rows, but gave {last.only.rows}"


def _rows(last: Reading) -> str:
    rows = sum(one.rows - one.shared for one in last.lists)
    return f"{rows:,} row{'' if rows == 1 else 's'}"
