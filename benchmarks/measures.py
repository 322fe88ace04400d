"""What the runs say: ratios, and what they should be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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


Wanted = tuple[str, Callable[[], float], float | None, float | None]


@dataclass(frozen=True)
class Ratios:
    """What loads used, of which a ratio is made when it is asked for."""

    usage: Mapping[str, Usage]

    def seconds(self, name: str, to: str) -> float:
        return self.usage[name].seconds / self.usage[to].seconds

    def memory(self, name: str, to: str) -> float:
        return self.usage[name].peak_bytes / self.usage[to].peak_bytes

    def loading(self, name: str) -> float:
        """Seconds without those of an empty job."""
        return self.usage[name].seconds - self.usage["empty"].seconds


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
    wanted = [*_of_a_load(ratios, sizes), *_with_latency(ratios, sizes), *_once_more(ratios, sizes)]
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
    return [
        (
            "time of a load, without that of an empty job, to plain dlt",
            lambda: ratios.loading("project") / ratios.usage["plain"].seconds,
            *(1 / 12, None),
        ),
        (
            "time of a load, without that of an empty job, to the floor",
            lambda: ratios.loading("project") / ratios.usage["floor"].seconds,
            *(None, 2.0),
        ),
        ("peak memory, to plain dlt", lambda: ratios.memory("project", "plain"), 1 / 4, None),
        ("peak memory, to an empty job", lambda: ratios.memory("project", "empty"), None, 2.0),
        (
            f"time of {sizes.few} events to an empty job",
            lambda: ratios.seconds("few", "empty"),
            2.0,
            1.4,
        ),
        (
            f"time of {sizes.many:,} events to {sizes.events:,}",
            lambda: ratios.seconds("many", "project"),
            *(1.05 * sizes.many / sizes.events, sizes.many / sizes.events),
        ),
        (
            f"peak memory of {sizes.many:,} events to {sizes.events:,}",
            lambda: ratios.memory("many", "project"),
            *(1.5, 1.0),
        ),
    ]


def _with_latency(ratios: Ratios, sizes: Sizes) -> list[Wanted]:
    """Of loads where each request takes a while."""
    latency_alone = sizes.latency_events / MAX_LIMIT / (sizes.read_ahead + 1) * sizes.latency
    return [
        (
            "with latency: read-ahead to one request after another",
            lambda: ratios.loading("ahead") / ratios.loading("sequential"),
            *(1 / 5, None),
        ),
        (
            "with latency: read-ahead to the latency alone, or to no latency if that takes longer",
            lambda: ratios.loading("ahead") / max(latency_alone, ratios.loading("swift")),
            *(None, 1.3),
        ),
    ]


def _once_more(ratios: Ratios, sizes: Sizes) -> list[Wanted]:
    """Of loads of what is there already."""
    return [
        (
            f"CPU time to see that {sizes.events:,} events are unchanged, to a load of {sizes.few}",
            lambda: ratios.usage["unchanged"].cpu_seconds / ratios.usage["few"].cpu_seconds,
            *(1.3, None),
        ),
        ("time of a second identical load", lambda: ratios.seconds("again", "project"), 1.1, None),
        (
            "CPU time of a second identical load",
            lambda: ratios.usage["again"].cpu_seconds / ratios.usage["project"].cpu_seconds,
            *(1.0, None),
        ),
        (
            "size of the database after a second identical load",
            lambda: ratios.usage["again"].database_bytes / ratios.usage["project"].database_bytes,
            *(1.1, None),
        ),
    ]
