"""Keys of the API as dlt is to see them, so that each one gets a column of its own.

dlt writes names in ASCII letters, digits and underscores: of most other characters nothing is left,
and keys in Greek, Cyrillic or Japanese would all share the column `x`, in each row another one.
Such a key gets a mark that depends on nothing but the key, the same in all rows and loads.
"""

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

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
