"""Masks secrets by value, wherever the value stands, in any spelling."""

import html
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from html.entities import codepoint2name
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import orjson

MASK = "[masked]"
MIN_SECRET_LENGTH = 6
"""Shorter values occur in ordinary text; masking them would garble it."""


PLACE = "\0{}\0"
"""Of a secret that was taken out: no JSON holds such a character."""
ENCODED = re.compile(r"%[0-9A-Fa-f]{2}|&(?:#[0-9xX]|[A-Za-z]+;)|\\[ux][0-9A-Fa-f]{2}")
ESCAPED = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
ROUNDS = 4
"""So often a text may have been encoded over and over."""


class Redaction:
    """Masks the given secrets: plain, in Base64, as numbers, and escaped as in URLs, HTML or JSON,
    each character for itself and repeatedly."""

    def __init__(self, *secrets: str) -> None:
        self._patterns: dict[str, re.Pattern[str]] = {}
        """What finds a secret with any of its characters escaped."""
        self.forms: list[str] = []
        """All spellings, the longest first, so that no masked part leaves a rest behind."""
        self._lock = threading.Lock()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Masks one more secret from now on."""
        plain = _plain(secret)
        forms = {*plain, *(form.replace("/", "\\/") for form in plain[-2:])}
        forms |= {repr(secret)[1:-1], repr(secret.encode())[2:-1], *_in_base64(secret)}
        with self._lock:
            self._patterns[secret] = re.compile("".join(map(_spelled, secret)), re.IGNORECASE)
            self.forms = sorted({*self.forms, *forms}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """A text with the secrets masked."""
        for form in self.forms:
            if form in text:
                text = text.replace(form, MASK)
        if not ENCODED.search(text):
            return text
        for pattern in self._patterns.values():
            text = pattern.sub(MASK, text)
        return MASK if self._is_encoded_in(text) else text  # spelled in a mixture of ways

    def value(self, value: Any) -> Any:
        """A copy of a JSON value with the secrets masked in all keys, strings and numbers."""
        if isinstance(value, str):
            return type(value)(self.text(value))
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return MASK if str(value) in self._patterns else value

    def take_out(self, text: bytes) -> bytes | None:
        """A JSON text without the first of the secrets, which can be put back; None where there is
        still a secret in it, or may be."""
        try:
            taken = text.decode()
            if "\0" in taken:
                return None
            for number, form in enumerate(self._first()):
                taken = taken.replace(form, PLACE.format(number))
            left = re.sub(PLACE.format(r"\d"), MASK, taken)
            is_left = self.text(left) != left or self.may_occur_in(left.encode(), json.loads(left))
        except (ValueError, RecursionError):
            return None
        return None if is_left else taken.encode()

    def put_back(self, data: bytes) -> bytes:
        """What something was taken out of as it was, with the secret of today."""
        for number, form in enumerate(self._first()):
            data = data.replace(PLACE.format(number).encode(), form.encode())
        return data

    def _first(self) -> list[str]:
        return _plain(next(iter(self._patterns), "")) if self._patterns else []

    def _is_encoded_in(self, text: str) -> bool:
        return any(secret in decoded for decoded in _decoded(text) for secret in self._patterns)

    def may_occur_in(self, body: bytes, document: Any) -> bool:
        """Whether a JSON document may contain a secret, also with characters written as escapes
        or in another encoding.

        Args:
            body: the JSON text.
            document: the same, parsed.
        """
        if b"\\" in body or b"\0" in body:  # no JSON in UTF-8 holds a zero byte
            try:
                body = orjson.dumps(document)  # writes each character in one way only
            except TypeError:
                return bool(self.forms)
        if any(orjson.dumps(form)[1:-1] in body for form in self.forms):
            return True
        is_plain = b"%" not in body and b"&" not in body and b"\\" not in body
        text = "" if is_plain else body.decode("utf-8", "replace")
        text = text.replace('\\"', '"').replace("\\\\", "\\")
        return bool(ENCODED.search(text)) and (
            self._is_encoded_in(text)
            or any(  # what looks like an escape itself is decoded too far
                pattern.search(text)
                for secret, pattern in self._patterns.items()
                if set(secret) & set("%&\\")
            )
        )


def _plain(secret: str) -> list[str]:
    """A secret as it is, in URLs and, as the last two, in JSON."""
    escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    return [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *escaped]


def _decoded(text: str) -> Iterator[str]:
    """A text with ever fewer escapes, as far as it goes."""
    for _ in range(ROUNDS):
        if not ENCODED.search(text):
            break
        text = ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
        yield text
        text = html.unescape(text) if "&" in text else text
        yield text
        text = unquote(text)
        yield text


def _spelled(character: str) -> str:
    """A pattern of all escapes of a character."""
    number = ord(character)
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    ways = [
        re.escape(character),
        percent,
        f"&(?:amp;)*#0*{number};?",
        f"&(?:amp;)*#x0*{number:x};?",
    ]
    if name := codepoint2name.get(number):
        ways.append(f"&(?:amp;)*{name};")
    ways += [f"\\\\+u{number:04x}", f"\\\\+x{number:02x}"] if number < 1 << 16 else []
    return f"(?:{'|'.join(ways)})"


def _in_base64(secret: str) -> Iterator[str]:
    """What stands in Base64 for a secret in a longer text, wherever it begins in there."""
    for shift in range(3):
        text = b64encode(bytes(shift) + secret.encode("utf-8", "surrogatepass")).decode()
        length = 8 * (shift + len(secret.encode("utf-8", "surrogatepass"))) // 6
        part = text[-(-8 * shift // 6) : length]
        yield from {part, part.replace("+", "-").replace("/", "_")}
