"""An answer of an API, read and parsed once, for all who look at it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from events_assets.errors import NotAPageError
from events_assets.http.redaction import Redaction

DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
LONG_NUMBER = b"0" * 19
"""May be an integer that the fast parser would round. (A regular expression takes 20 times as
long to find one as the parser needs for all.)"""


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer of an API, its body read and parsed once."""

    status: int
    url: str
    """Where it came from in the end, after redirects."""
    headers: Mapping[str, str]
    """Their names in any case."""
    links: Mapping[str, Mapping[str, str]]
    """The header `Link` (RFC 8288), by relation."""
    body: bytes
    seconds: float
    """From sending the request to the last byte, without the attempts before."""
    redirected: bool
    response: requests.Response
    """For paginators and hooks that are dlt's own; nothing of ours reads it."""
    document: Any
    """The parsed JSON, None where it is none."""
    is_json: bool
    holds_secret: bool
    """Whether a secret may be in it, so that it has to be masked."""

    @classmethod
    def of(cls, response: requests.Response, seconds: float, redaction: Redaction) -> "Answer":
        body = response.content
        try:
            document, is_json = _parsed(body), True
        except (ValueError, RecursionError):
            document, is_json = None, False
        return cls(
            status=response.status_code,
            url=response.url,
            headers=response.headers,
            links=response.links,
            body=body,
            seconds=seconds,
            redirected=bool(response.history),
            response=response,
            document=document,
            is_json=is_json,
            holds_secret=not is_json or redaction.may_occur_in(body, document),
        )

    def require_json(self) -> Any:
        """The document.

        Raises:
            NotAPageError: the body is no JSON.
        """
        if self.is_json:
            return self.document
        kind = self.headers.get("Content-Type", "an unnamed type").split(";")[0]
        raise NotAPageError(
            f"JSON was expected, but the body is {kind}, {len(self.body)} bytes that cannot be "
            f"parsed"
        )


def _parsed(body: bytes) -> Any:
    if LONG_NUMBER not in body.translate(DIGITS_AS_ZEROS):
        try:
            return orjson.loads(body)
        except ValueError:
            pass  # the standard parser takes more: other encodings, NaN, half surrogates
    return json.loads(body)
