"""Names of parameters by which APIs commonly take what asks for one page of a list."""

from itertools import chain

SIZES = {
    "limit": ("offset", "page", "skip", "start"),
    "_limit": ("_start", "_page"),
    "per_page": ("page", "offset"),
    "page_size": ("page", "offset"),
    "pagination[limit]": ("pagination[start]",),
    "pagination[pageSize]": ("pagination[page]",),
    "size": ("page", "offset", "from"),
    "pageSize": ("page", "pageNumber"),
    "perPage": ("page",),
    "page[size]": ("page[number]",),
    "page[limit]": ("page[offset]",),
    "count": ("offset", "start", "page"),
    "take": ("skip",),
    "top": ("skip",),
    "$top": ("$skip",),
    "rows": ("start", "page"),
    "max_results": ("page", "start"),
    "pagelen": ("page",),
}
"""Names of the page size, and the names of positions that go with them, the likeliest first."""

OFFSETS = (
    *("offset", "skip", "start", "from", "_start", "$skip", "pagination[start]"),
    *("page[offset]", "startAt", "startIndex"),
)
NUMBERS = ("page", "_page", "pageNumber", "page_number", "page[number]", "p")
CURSORS = (
    *("cursor", "after", "page_token", "pageToken", "next_token", "starting_after"),
    *("continuation", "continuation_token", "next_cursor", "page[after]", "since", "from"),
)
LAST_IDS = ("starting_after", "after", "after_id", "since_id", "last_id")
"""Names of cursors that are the id of the last row."""
SPANS = ("after", "since", "from")
"""Names of cursors that may as well ask for a span of time."""

PAGING = {*SIZES, *chain(*SIZES.values()), *OFFSETS, *NUMBERS, *CURSORS}

COUNTS: tuple[dict[str, str], ...] = (
    {"meta": "*"},
    {"include_totals": "true"},
    {"with_count": "true"},
    {"count": "true"},
    {"$count": "true"},
)
COUNT_HEADER = {"Prefer": "count=exact"}
"""Parameters and a header by which some APIs are asked to count."""
