"""The verdict on one pass over a list: whether what came is everything, and why."""

from events_assets.paging.base import Evidence

COMPLETE, TORN, UNPROVEN = "complete", "torn", "unproven"
VERDICTS = (TORN, UNPROVEN, COMPLETE)
"""The worst first."""


def judge(distinct: int, evidence: Evidence) -> tuple[str, str]:
    """The verdict on one walk that brought `distinct` rows, with its reason.

    torn
        Evidence of loss: the API promised rows that it did not give (`torn` says which), fewer
        distinct rows came than it counts at the end, or its count shrank from one page to the next
        while the pages could not be seen to touch, so that rows may have slipped through between.
    complete
        Proof: at least as many distinct rows came as the API counts at the end, and either no
        gap can have opened (each page touches the one before, or the API named each next page)
        or the count never moved. Where the API counts nothing: it named each next page, and said
        at the last that there is none.
    unproven
        Neither: the walk ends early, as configured, the API counts nothing to compare with, its
        count is smaller than what came although no row can have been removed, or it grew while
        the pages could not be seen to touch, and rows may have been removed as well.
    """
    if evidence.cut_short:
        return UNPROVEN, evidence.cut_short
    if evidence.torn:
        return TORN, evidence.torn
    total_first, total_last = evidence.total_first, evidence.total_last
    if total_last is None:
        if evidence.chained:
            return COMPLETE, "the API named each next page, and at the last that there is none"
        return UNPROVEN, evidence.uncertain or "the API tells no total to compare with"
    if distinct < total_last:
        return TORN, f"the API counts {total_last} rows, but gave {distinct}"
    if evidence.fell and not evidence.touching:
        return TORN, (
            f"the total shrank during the scan, from {total_first} on the first page to "
            f"{total_last} on the last one"
        )
    if evidence.rose and not (evidence.touching or evidence.chained):
        return UNPROVEN, (
            f"the total grew from {total_first} to {total_last} during the scan; rows may have "
            f"been removed as well"
        )
    if distinct > total_last and not evidence.fell:
        return UNPROVEN, f"the API counts {total_last} rows, but gave {distinct}"
    return COMPLETE, f"all {total_last} rows that the API counts came" + (
        f", and {distinct - total_last} that it removed during the scan"
        if distinct > total_last
        else ""
    )
