"""An answer of an API, read and parsed once, for all who look at it."""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import requests

from events_assets.errors import NotAPageError
from events_assets.http.redaction import Redaction

DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
LONG_NUMBER = b"0" * 19
"""May be an integer that the fast parser would round. (A regular expression takes 20 times as
long to find one as the parser needs for all.)"""
ALL_BYTES = bytes(range(256))


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
    """As paginators and hooks that are dlt's own take it."""
    document: Any
    """The parsed JSON, None where it is none."""
    is_json: bool
    holds_secret: bool
    """Whether a secret may be in it, so that it has to be masked."""

    @classmethod
    def of(cls, response: requests.Response, seconds: float, redaction: Redaction) -> "Answer":
        body = response.content
        is_json = True
        try:
            document, text = _read(body, _charset(response))
        except (ValueError, RecursionError):
            document, text, is_json = None, body, False
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
            holds_secret=not is_json or redaction.may_occur_in(text, document),
        )

    def require_json(self) -> Any:
        """The document.

        Raises:
            NotAPageError: the body is no JSON.
        """
        if self.is_json:
            return self.document
        charset, how = _charset(self.response), ""
        try:
            self.body.decode()
        except UnicodeDecodeError:
            how = " as UTF-8"
            if charset and _looks_like_utf8(charset) is None:
                how += f", and the charset {charset!r} is unknown"
            elif charset and charset.upper() != "UTF-8":
                how += f" or {charset}"
        raise NotAPageError(
            f"JSON was expected, but the body is {kind_of(self)}, {len(self.body)} bytes that "
            f"cannot be parsed{how}"
        )


KINDS = {
    rb"BEGIN:VCALENDAR": "a calendar (iCalendar)",
    rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(rss|feed|rdf:RDF)\b": "a feed (RSS or Atom)",
    rb"(<\?xml[^>]*>\s*)?<!doctype html|(<\?xml[^>]*>\s*)?<html\b": "a page for people (HTML)",
    rb"<\?xml|<[a-z][\w:.-]*[\s>]": "XML",
    rb"[\w$.]+\(\s*[\[{]": "a script (JSONP)",
    rb"\{[^\n]*\}\s*\n\s*\{": "JSON in lines (NDJSON)",
    rb"[^\n<>{}\[\]]*[^\s,;][,;\t][^\n<>{}\[\]]*\n([^\n]*[,;\t])": "a table (CSV)",
    rb"\s*\Z": "empty",
}
"""What a body is that begins so, where it is no JSON."""


def kind_of(answer: Answer) -> str:
    """What a body is that is no JSON, in words, with its declared type."""
    head = answer.body[:2_000].removeprefix(codecs.BOM_UTF8).lstrip()
    found = [kind for begins, kind in KINDS.items() if re.match(begins, head, re.IGNORECASE)]
    declared = answer.headers.get("Content-Type", "an unnamed type").split(";")[0]
    return f"{found[0]}, sent as {declared}" if found else declared


def _charset(response: requests.Response) -> str:
    """The charset that an answer declares, empty where it declares none."""
    declares = "charset" in response.headers.get("Content-Type", "").lower()
    return (response.encoding or "") if declares else ""


@lru_cache(64)
def _looks_like_utf8(charset: str) -> bool | None:
    """Whether text in a charset may be taken for UTF-8 though it is none: where several bytes are
    one character. None: there is no such charset."""
    try:
        return len(ALL_BYTES.decode(charset, "replace")) < len(ALL_BYTES)
    except (LookupError, ValueError):
        return None


def _read(body: bytes, charset: str) -> tuple[Any, bytes]:
    """The document in a body, and the body in UTF-8 where it was read by its charset.

    A page that is valid UTF-8 is no text of a charset with one byte for a character but by chance:
    then its charset is wrong.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is too deep.
    """

    def as_it_is() -> tuple[Any, bytes]:
        return _parsed(body), body

    def by_charset() -> tuple[Any, bytes]:
        text = body.decode(charset).encode()
        return _parsed(text), text

    looks_like_utf8 = _looks_like_utf8(charset) if charset else None
    if looks_like_utf8 is None:
        return as_it_is()
    first, second = (by_charset, as_it_is) if looks_like_utf8 else (as_it_is, by_charset)
    try:
        return first()
    except ValueError:
        return second()


def _parsed(body: bytes) -> Any:
    if LONG_NUMBER not in body.translate(DIGITS_AS_ZEROS):
        try:
            return orjson.loads(body)
        except ValueError:
            pass  # the standard parser takes more: other encodings, NaN, half surrogates
    return json.loads(body)
