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


def measures(
    usage: Mapping[str, Usage], sizes: Sizes, checks: Sequence[float] = ()
) -> list[Measure]:
    """The measures whose loads were run.

    Args:
        usage: medians by the name of the load.
        sizes: what was run.
        checks: seconds of all checks, and of counting the distinct ids, on the same table.
    """
    latency_alone = sizes.latency_events / MAX_LIMIT / (sizes.read_ahead + 1) * sizes.latency

    def seconds(name: str, to: str) -> float:
        return usage[name].seconds / usage[to].seconds

    def memory(name: str, to: str) -> float:
        return usage[name].peak_bytes / usage[to].peak_bytes

    def loading(name: str) -> float:
        """Seconds without those of an empty job."""
        return usage[name].seconds - usage["empty"].seconds

    wanted: list[tuple[str, Callable[[], float], float | None, float | None]] = [
        (
            "time of a load, without that of an empty job, to plain dlt",
            lambda: loading("project") / usage["plain"].seconds,
            *(1 / 12, None),
        ),
        (
            "time of a load, without that of an empty job, to the floor",
            lambda: loading("project") / usage["floor"].seconds,
            *(None, 2.0),
        ),
        ("peak memory, to plain dlt", lambda: memory("project", "plain"), 1 / 4, None),
        ("peak memory, to an empty job", lambda: memory("project", "empty"), None, 2.0),
        (
            "with latency: read-ahead to one request after another",
            lambda: loading("ahead") / loading("sequential"),
            *(1 / 5, None),
        ),
        (
            "with latency: read-ahead to the latency alone, or to no latency if that takes longer",
            lambda: loading("ahead") / max(latency_alone, loading("swift")),
            *(None, 1.3),
        ),
        (
            f"CPU time to see that {sizes.events:,} events are unchanged, to a load of {sizes.few}",
            lambda: usage["unchanged"].cpu_seconds / usage["few"].cpu_seconds,
            *(1.3, None),
        ),
        ("time of a second identical load", lambda: seconds("again", "project"), 1.1, None),
        (
            "CPU time of a second identical load",
            lambda: usage["again"].cpu_seconds / usage["project"].cpu_seconds,
            *(1.0, None),
        ),
        (
            "size of the database after a second identical load",
            lambda: usage["again"].database_bytes / usage["project"].database_bytes,
            *(1.1, None),
        ),
        (f"time of {sizes.few} events to an empty job", lambda: seconds("few", "empty"), 2.0, 1.4),
        (
            f"time of {sizes.many:,} events to {sizes.events:,}",
            lambda: seconds("many", "project"),
            *(1.05 * sizes.many / sizes.events, sizes.many / sizes.events),
        ),
        (
            f"peak memory of {sizes.many:,} events to {sizes.events:,}",
            lambda: memory("many", "project"),
            *(1.5, 1.0),
        ),
    ]
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
