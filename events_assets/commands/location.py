"""Where APIs commonly take their key, in words and as settings of `[sources.events.client]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from requests.structures import CaseInsensitiveDict

SECRET = "{secrets.api_key}"  # noqa: S105, stands for the key


@dataclass(frozen=True)
class KeyPlace:
    """A place for the key: in words, and as settings of `[sources.events.client]`."""

    description: str
    client: Mapping[str, Any] = field(default_factory=dict)


NO_KEY = KeyPlace("no key")
BEARER = KeyPlace("the key as header Authorization: Bearer", {"auth": {"type": "bearer"}})


def in_query(name: str = "api_key") -> KeyPlace:
    auth = {"type": "api_key", "name": name, "location": "query"}
    return KeyPlace(f"the key as query parameter {name}", {"auth": auth})


def in_header(name: str = "X-API-Key") -> KeyPlace:
    auth = {"type": "api_key", "name": name, "location": "header"}
    return KeyPlace(f"the key as header {name}", {"auth": auth})


def authorization(scheme: str) -> KeyPlace:
    headers = {"Authorization": f"{scheme} {SECRET}"}
    return KeyPlace(f"the key as header Authorization: {scheme}", {"headers": headers})


def basic(user: str = "") -> KeyPlace:
    """The key as password of a user, without one as the name of the user."""
    part = f"password of {user}" if user else "user name"
    names = {"username": user, "password": SECRET} if user else {"username": SECRET, "password": ""}
    return KeyPlace(f"the key as {part} (HTTP basic)", {"auth": {"type": "http_basic", **names}})


PLACES = (
    *(in_query(), BEARER, authorization("Token"), in_header(), in_query("access_token")),
    *(in_query("token"), in_query("key"), in_query("apikey"), authorization("apikey"), basic()),
)


def challenge(refused: Mapping[str, str]) -> str:
    """The scheme that the headers of a refusal ask for (RFC 9110 11.6.1), in lower case."""
    asked_for = CaseInsensitiveDict(refused).get("WWW-Authenticate", "")
    return asked_for.partition(" ")[0].lower()


def likeliest(refused: Mapping[str, str]) -> list[KeyPlace]:
    """The common places, first those that the headers of a refusal ask for."""
    scheme = challenge(refused)
    return sorted(PLACES, key=lambda p: scheme not in re.findall(r"\w+", p.description.lower()))


def key_place(text: str) -> KeyPlace:
    """The place that `--key-in` names.

    Raises:
        ValueError: it names none.
    """
    kind, _, name = text.partition(":")
    fixed = {"bearer": BEARER, "token": authorization("Token"), "none": NO_KEY}
    kinds = {"query": in_query, "header": in_header, "basic": basic}
    if text in fixed:
        return fixed[text]
    if kind in kinds:
        return kinds[kind](name) if name else kinds[kind]()
    raise ValueError(
        "write query, query:NAME, header, header:NAME, bearer, token, basic, basic:USER or none"
    )
