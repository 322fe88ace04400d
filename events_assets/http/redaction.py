"""Masks secrets by value, wherever the value stands."""

import json
import threading
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

MASK = "[masked]"
MIN_SECRET_LENGTH = 6
"""Shorter values occur in ordinary text; masking them would garble it."""


class Redaction:
    """Masks the given secrets, plain, URL-encoded or JSON-escaped."""

    def __init__(self, *secrets: str) -> None:
        self.forms: list[str] = []
        """All spellings, the longest first, so that no masked part leaves a rest behind."""
        self._lock = threading.Lock()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Masks one more secret from now on."""
        escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *escaped}
        forms |= {form.replace("/", "\\/") for form in escaped}
        forms |= {repr(secret)[1:-1], repr(secret.encode())[2:-1]}
        with self._lock:
            self.forms = sorted({*self.forms, *forms}, key=len, reverse=True)

    def text(self, text: str) -> str:
        for form in self.forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def value(self, value: Any) -> Any:
        """A copy of a JSON value with the secrets masked in all of its keys and strings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return value

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
        return any(orjson.dumps(form)[1:-1] in body for form in self.forms)
