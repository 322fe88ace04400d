"""Events over time, and what loads changed, as pictures: SVG in Markdown, small enough to be shown
without a click."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from html import escape
from itertools import accumulate, groupby
from urllib.parse import quote

SHOWN_AT_ONCE = 1000
"""Markdown shorter than this is shown by the Dagster UI at once, any other at a click."""
WIDTH, TOP, BASE = 280, 20, 110
"""Pixels: what there is room for on a screen of 1,280, and the heights between which bars are."""
MOST_BARS = 40
COLOURS = ("steelblue", "darkgoldenrod", "crimson")  # to be read on white and on black
FENCE = 3
"""Days are not drawn that are so many times the distance of the quartiles beyond them (Tukey's
fences), such as those of a wrong year: all others would be one line."""

LINE, OF_LOADS = 22, 112
"""Pixels: how high a line of the picture of loads is, and where its bars begin."""
CHANGES = {
    "new": "seagreen",
    "changed": "steelblue",
    "removed": "crimson",
    "unchanged": "gray",
}

Row = tuple[date | None, str | None, int]
"""A day, a status, and the number of events."""


def over_time(
    rows: Sequence[Row],
    most_bars: int = MOST_BARS,
    width: int = WIDTH,
    most_characters: int = SHOWN_AT_ONCE,
) -> str:
    """Stacked bars of events by status, each of as many days as needed, as Markdown."""
    days = sorted((day.toordinal(), status or "none", n) for day, status, n in rows if day)
    shown = _within_fences(days)
    if not shown:
        return "no event has a start"
    hidden = sum(row[2] for row in days) - sum(row[2] for row in shown)
    note = f"\n\n{hidden:,} events on far-off days are not drawn" if hidden else ""
    while True:
        drawn = _image("Events over time", _svg(shown, most_bars, width)) + note
        if len(drawn) < most_characters or most_bars < 2:
            return drawn
        most_bars = min(most_bars - 1, most_bars * most_characters // len(drawn))


def of_loads(loads: Sequence[tuple[datetime, Mapping[str, int]]]) -> str:
    """What the last of some loads changed, in bars as Markdown: a line for each kind of change, as
    high as it needs, with the number of the last load.

    Args:
        loads: two or more, oldest first: when each was, and how many rows were `new`, and so on.
    """
    shown = list(loads[-MOST_BARS:])
    while len(drawn := _image("What loads changed", _svg_of_loads(shown))) >= SHOWN_AT_ONCE:
        shown = shown[1:]
    return drawn


def _image(title: str, svg: str) -> str:
    quoted = quote(svg, safe="/:=' ,;.()-")
    return f"![{title}](<data:image/svg+xml,{quoted}>)"


def _svg_of_loads(loads: Sequence[tuple[datetime, Mapping[str, int]]]) -> str:
    wide = (WIDTH - OF_LOADS) / len(loads)
    shapes, words = "", ""
    for line, (name, colour) in enumerate(CHANGES.items(), 1):
        numbers = [counts[name] for _, counts in loads]
        # However few among many: there to be seen.
        heights = [n and max(2, n * (LINE - 4) // max(numbers)) for n in numbers]
        if any(heights):
            shapes += f"<path fill='{colour}' d='{_steps(heights, LINE * line)}'/>"
        text = f"{numbers[-1]:,} {name}"
        words += f"<text y='{LINE * line - 4}' fill='{colour}'>{text}</text>"
    first, last = (f"{time.astimezone(UTC):%d %b %H:%M}" for time, _ in (loads[0], loads[-1]))
    below = LINE * len(CHANGES) + 14
    words += f"<text x='{OF_LOADS}' y='{below}'>{first}</text>"
    words += f"<text x='{WIDTH}' y='{below}' text-anchor='end'>{last}</text>"
    bars = f"<g transform='translate({OF_LOADS}) scale({wide:.2f} 1)'>{shapes}</g>"
    return _document(bars + words, WIDTH, below + 4)


def _document(content: str, width: int, height: int) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' fill='gray' "
        f"style='font:11px sans-serif'>{content}</svg>"
    )


def _within_fences(days: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    so_far = [*accumulate(number for _, _, number in days)]
    if not so_far:
        return []
    low, high = (
        next(row[0] for row, n in zip(days, so_far, strict=True) if n > so_far[-1] * share)
        for share in (0.25, 0.75)
    )
    margin = FENCE * (high - low) + 30
    return [row for row in days if low - margin <= row[0] <= high + margin]


def _svg(days: list[tuple[int, str, int]], most: int, width: int) -> str:
    first, last = days[0][0], days[-1][0]
    span = -(-(last - first + 1) // most)  # days of a bar
    bars = range((last - first) // span + 1)
    wide = max(1, width // len(bars))
    counts = Counter[str]()
    for _, status, number in days:
        counts[status] += number
    names = [name for name, _ in counts.most_common(len(COLOURS))]
    if len(counts) > len(names):
        names[-1] = "others"
    layers = {name: Counter[int]() for name in names}
    for day, status, number in days:
        layers[status if status in layers else "others"][(day - first) // span] += number
    highest = max(sum(layer[bar] for layer in layers.values()) for bar in bars)
    tops, shapes, legend, x = Counter[int](), "", "", 0
    for (name, layer), colour in zip(layers.items(), COLOURS, strict=False):
        tops += layer
        heights = (-(-tops[bar] * (BASE - TOP) // highest) for bar in bars)
        shapes = f"<path fill='{colour}' d='{_steps(heights)}'/>{shapes}"
        label = f"{name[:12]} {layer.total():,}"
        legend += f"<text x='{x}' y='11' fill='{colour}'>{escape(label)}</text>"
        x += 6 * len(label) + 12
    now = datetime.now(UTC).toordinal()
    if first < now <= last:
        at = (now - first) * wide // span
        legend += f"<path d='M{at} {TOP}v105' stroke='gray'/>"
        legend += _label(at + 3, "today") if 70 < at < width - 110 else ""
    begin = _label(0, str(date.fromordinal(first)))
    end = _label(wide * len(bars), str(date.fromordinal(last)), " text-anchor='end'")
    drawn = f"<g transform='scale({wide} 1)'>{shapes}</g>"
    return _document(f"{drawn}{legend}{begin}{end}", width, BASE + 18)


def _label(x: int, text: str, more: str = "") -> str:
    return f"<text x='{x}' y='{BASE + 14}'{more}>{text}</text>"


def _steps(heights: Iterable[int], base: int = BASE) -> str:
    """The outline of bars beside each other, each as wide as 1."""
    steps = (f"V{base - height}h{len([*same])}" for height, same in groupby(heights))
    return f"M0 {base}{''.join(steps)}V{base}"
