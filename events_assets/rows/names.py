"""Keys of the API as dlt is to see them, so that each one gets a column of its own.

dlt writes names in ASCII letters, digits and underscores: of most other characters nothing is left,
and keys in Greek, Cyrillic or Japanese would all share the column `x`, in each row another one.
Such a key gets a mark that depends on nothing but the key, the same in all rows and loads.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, count

EMPTY_KEY = "empty"
"""Stands for a key without a visible character; dlt mixes up the tables below such keys."""

PLAIN = re.compile(r"@?\w+(?:[-.:/ ]\w+)*", re.ASCII)
"""Keys whose words are all in their name; these have no mark."""


@lru_cache(maxsize=100_000)
def distinct(key: str) -> str:
    """A plain key, or one without a visible character, as it is; any other with a mark of its own:
    `café` as `cafe 2d03c5d6`, of which dlt makes the column `cafe_2d03c5d6`."""
    if PLAIN.fullmatch(key) or not key.strip():
        return key
    legible = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    mark = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{legible if re.search('[a-zA-Z0-9]', legible) else 'x'} {mark}"


class Names:
    """Gives each key of an object the name of its column, once and for all.

    Plain keys may still share a name (`Name`, `name`): the first one has it, each further one gets
    a number (`name_2`). `owners` says which key has a name, by the keys above it and the name; who
    keeps it from load to load keeps the columns. `normalize` gives the column that dlt makes of a
    key.
    """

    def __init__(self, normalize: Callable[[str], str], owners: dict[str, str]) -> None:
        self.column = lru_cache(maxsize=100_000)(normalize)
        self._owners = owners

    def __call__(self, keys: Iterable[str], above: tuple[str, ...]) -> dict[str, str]:
        """Names of keys of the objects below others; keys that are names themselves come first."""
        columns = {key: self.column(distinct(key)) if key.strip() else EMPTY_KEY for key in keys}
        in_turn = sorted(columns, key=lambda key: key != columns[key])
        return {key: self._owned(key, columns[key], above) for key in in_turn}

    def _owned(self, key: str, column: str, above: tuple[str, ...]) -> str:
        numbered = (f"{column}_{number}" for number in count(2))
        places = ((name, "\n".join((*above, name))) for name in chain([column], numbered))
        return next(name for name, at in places if self._owners.setdefault(at, key) == key)
