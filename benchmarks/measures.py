"""What the runs say: ratios, and what they should be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.children import Usage
from benchmarks.loads import Sizes
from benchmarks.server import MAX_LIMIT


@dataclass(frozen=True)
class Measure:
    """A ratio with its limits: what it must not exceed, and what it aims at."""

    title: str
    ratio: float
    must: float | None
    aim: float | None


NO = (None, None)
"""No limits."""

Wanted = tuple[str, Callable[[], float], float | None, float | None]


@dataclass(frozen=True)
class Ratios:
    """What loads used, of which a ratio is made when it is asked for."""

    usage: Mapping[str, Usage]

    def seconds(self, name: str, to: str) -> float:
        return self.usage[name].seconds / self.usage[to].seconds

    def cpu(self, name: str, to: str) -> float:
        return self.usage[name].cpu_seconds / self.usage[to].cpu_seconds

    def memory(self, name: str, to: str) -> float:
        return self.usage[name].peak_bytes / self.usage[to].peak_bytes

    def scanning(self, name: str, to: str) -> float:
        return self.usage[name].scan_seconds / self.usage[to].scan_seconds

    def more_cpu(self, name: str, than: str) -> float:
        """CPU seconds of a load beyond those of another one."""
        return self.usage[name].cpu_seconds - self.usage[than].cpu_seconds


def measures(
    usage: Mapping[str, Usage], sizes: Sizes, checks: Sequence[float] = ()
) -> list[Measure]:
    """The measures whose loads were run.

    Args:
        usage: medians by the name of the load.
        sizes: what was run.
        checks: seconds of all checks, and of counting the distinct ids, on the same table.
    """
    ratios = Ratios(usage)
    wanted = [*_of_a_load(ratios, sizes), *_with_latency(ratios), *_once_more(ratios, sizes)]
    found = []
    for title, ratio, must, aim in wanted:
        try:
            found.append(Measure(title, ratio(), must, aim))
        except KeyError:  # a load that was not run
            continue
    if checks:
        title = "time of all checks, to counting the distinct ids"
        found.append(Measure(title, checks[0] / checks[1], None, 2.0))
    return found


def _of_a_load(ratios: Ratios, sizes: Sizes) -> list[Wanted]:
    """Of a single load."""
    few, events, many = f"{sizes.few:,}", f"{sizes.events:,}", f"{sizes.many:,}"
    double = f"{2 * sizes.events:,}"
    return [
        (
            f"CPU time of each event from {events} to {double}, to the floor's",
            lambda: ratios.more_cpu("double", "project") / ratios.more_cpu("double_floor", "floor"),
            *(1.5, 1.2),
        ),
        (
            f"time of {double} events, to plain dlt with Parquet",
            lambda: ratios.seconds("double", "parquet"),
            *(1 / 3, 1 / 4),
        ),
        (f"CPU time of {events} events, to plain dlt", lambda: ratios.cpu("project", "plain"), *NO),
        (
            f"peak memory of {events} events, to plain dlt",
            lambda: ratios.memory("project", "plain"),
            *NO,
        ),
        (
            f"time of {few} events, to an empty job",
            lambda: ratios.seconds("few", "empty"),
            1.4,
            1.2,
        ),
        (
            f"CPU time in pages of {MAX_LIMIT:,}, to pages of 100, without that of {few} events",
            lambda: ratios.more_cpu("large_pages", "few") / ratios.more_cpu("project", "few"),
            *(0.6, None),
        ),
        (
            f"peak memory of {many} events, to {events}",
            lambda: ratios.memory("many", "project"),
            *(1.3, 1.0),
        ),
    ]


def _with_latency(ratios: Ratios) -> list[Wanted]:
    """Of loads where each request takes a while."""
    return [
        (
            "with latency: time of the scan with read-ahead, to one request after another",
            lambda: ratios.scanning("ahead", "sequential"),
            *(1 / 6, 1 / 8),
        ),
        (
            "with latency: time of the scan with read-ahead, to no latency",
            lambda: ratios.scanning("ahead", "swift"),
            *NO,
        ),
    ]


def _once_more(ratios: Ratios, sizes: Sizes) -> list[Wanted]:
    """Of loads of what is there already."""
    found: list[Wanted] = []
    for name, prefix, events in ("project", "", sizes.events), ("many", "many_", sizes.many):
        again, unchanged = f"{prefix}again", f"{prefix}unchanged"
        found += [
            (
                f"time to read {events:,} unchanged events once more, to the first time",
                partial(ratios.seconds, again, name),
                *(0.9, 0.75),
            ),
            (
                f"CPU time to ask for changes of {events:,} events, to a load of {sizes.few}",
                partial(ratios.cpu, unchanged, "few"),
                *(1.3, 1.1),
            ),
        ]
    return found
