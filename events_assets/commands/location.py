"""Where APIs commonly take their key, in words and as settings of `[sources.events.client]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click
from requests.structures import CaseInsensitiveDict

SECRET = "{secrets.api_key}"  # noqa: S105, stands for the key


@dataclass(frozen=True)
class KeyPlace:
    """A place for the key: in words, and as settings of `[sources.events.client]`."""

    description: str
    client: Mapping[str, Any] = field(default_factory=dict)


NO_KEY = KeyPlace("no key")


def key_place(text: str) -> KeyPlace:
    """The place that `--key-in` names.

    Raises:
        BadParameter: it names none.
    """
    auth: dict[str, str]
    kind, _, name = text.partition(":")
    match kind, name:
        case "none", "":
            return NO_KEY
        case "bearer", "":
            words, auth = "header Authorization: Bearer", {"type": "bearer"}
        case "token" | "apikey", "":
            scheme = {"token": "Token"}.get(kind, kind)
            headers = {"Authorization": f"{scheme} {SECRET}"}
            return KeyPlace(f"the key as header Authorization: {scheme}", {"headers": headers})
        case "query" | "header", _:
            name = name or {"query": "api_key", "header": "X-API-Key"}[kind]
            words = f"{'query parameter' if kind == 'query' else kind} {name}"
            auth = {"type": "api_key", "name": name, "location": kind}
        case "basic", _:
            words = f"{f'password of {name}' if name else 'user name'} (HTTP basic)"
            user, password = (name, SECRET) if name else (SECRET, "")
            auth = {"type": "http_basic", "username": user, "password": password}
        case _:
            names = "query, query:NAME, header, header:NAME, bearer, token, basic, basic:USER"
            raise click.BadParameter(f"write {names} or none")
    return KeyPlace(f"the key as {words}", {"auth": auth})


COMMON = (
    *("query", "bearer", "token", "header", "query:access_token", "query:token", "query:key"),
    *("query:apikey", "apikey", "basic"),
)
PLACES = [*map(key_place, COMMON)]


def challenge(refused: Mapping[str, str]) -> str:
    """The scheme that the headers of a refusal ask for (RFC 9110 11.6.1), in lower case."""
    asked_for = CaseInsensitiveDict(refused).get("WWW-Authenticate", "")
    return asked_for.partition(" ")[0].lower()


def likeliest(refused: Mapping[str, str]) -> list[KeyPlace]:
    """The common places, first those that the headers of a refusal ask for."""
    scheme = challenge(refused)
    return sorted(PLACES, key=lambda p: scheme not in re.findall(r"\w+", p.description.lower()))
