"""Read-ahead: what comes next is being fetched before it is asked for."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ReadAhead(Generic[K, V]):
    """Fetches values in the order of their keys, as far as that can be foreseen.

    Args:
        fetch: the value of a key; called by several threads at once.
        threads: so many values are being fetched besides the one that is waited for; 0: none.
    """

    def __init__(self, fetch: Callable[[K], V], threads: int) -> None:
        self._fetch = fetch
        self._threads = threads
        # One more, for the value that is waited for while the upcoming ones are being fetched.
        self._pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="read-ahead")
        self._under_way: dict[K, Future[V]] = {}

    def get(self, wanted: K, upcoming: Sequence[K]) -> V:
        """The value of `wanted`, fetched earlier or now, while the upcoming ones are being fetched.

        Whatever else was fetched is dropped, and fetched anew if it is wanted after all.

        Raises:
            Exception: what fetching this very value raised, at whatever time.
        """
        upcoming = upcoming[: self._threads]
        value = self._under_way.pop(wanted, None)
        for key in self._under_way.keys() - set(upcoming):
            self._under_way.pop(key).cancel()
        for key in upcoming:
            if key not in self._under_way:
                self._under_way[key] = self._pool.submit(self._fetch, key)
        return value.result() if value else self._fetch(wanted)

    def close(self) -> None:
        """Waits for what is being fetched, and fetches nothing else."""
        self._pool.shutdown(cancel_futures=True)
