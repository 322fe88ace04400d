"""Where APIs commonly take their key, in words and as settings of `[sources.events.client]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from events_assets.commands.detect import header

SECRET = "{secrets.api_key}"  # noqa: S105, stands for the key


@dataclass(frozen=True)
class KeyPlace:
    """A place for the key: in words, and as settings of `[sources.events.client]`."""

    told: str
    client: Mapping[str, Any] = field(default_factory=dict)


NO_KEY = KeyPlace("no key")


def in_query(name: str = "api_key") -> KeyPlace:
    auth = {"type": "api_key", "name": name, "location": "query"}
    return KeyPlace(f"the key as query parameter {name}", {"auth": auth})


def in_header(name: str = "X-API-Key") -> KeyPlace:
    auth = {"type": "api_key", "name": name, "location": "header"}
    return KeyPlace(f"the key as header {name}", {"auth": auth})


def bearer() -> KeyPlace:
    return KeyPlace("the key as header Authorization: Bearer", {"auth": {"type": "bearer"}})


def authorization(scheme: str = "Token") -> KeyPlace:
    headers = {"Authorization": f"{scheme} {SECRET}"}
    return KeyPlace(f"the key as header Authorization: {scheme}", {"headers": headers})


def basic(user: str = "") -> KeyPlace:
    """The key as password of a user, without one as the name of the user."""
    told = f"the key as password of {user}" if user else "the key as user name"
    names = {"username": user, "password": SECRET} if user else {"username": SECRET, "password": ""}
    return KeyPlace(f"{told} (HTTP basic)", {"auth": {"type": "http_basic", **names}})


PLACES = (
    *(in_query(), bearer(), authorization(), in_header(), in_query("access_token")),
    *(in_query("token"), in_query("key"), in_query("apikey"), authorization("apikey"), basic()),
)


def likeliest(refused: Mapping[str, str]) -> list[KeyPlace]:
    """The common places, first those that the headers of a refusal ask for (RFC 9110 11.6.1)."""
    scheme = header(refused, "www-authenticate").partition(" ")[0].lower()
    return sorted(PLACES, key=lambda place: scheme not in re.findall(r"\w+", place.told.lower()))


def key_place(text: str) -> KeyPlace | None:
    """The place that `--key-in` names: `query[:name]`, `header[:name]`, `basic[:user]`,
    `bearer`, `token` or `none`.

    Raises:
        ValueError: it names none.
    """
    kind, _, name = text.partition(":")
    if kind == "query":
        return in_query(name) if name else in_query()
    if kind == "header":
        return in_header(name) if name else in_header()
    if kind == "basic":
        return basic(name)
    if text in ("bearer", "token", "none"):
        return {"bearer": bearer(), "token": authorization(), "none": NO_KEY}[text]
    raise ValueError(text)
