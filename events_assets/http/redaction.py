"""Keeps secrets out of logs, exceptions and rows: masked by value, wherever the value stands."""

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Masks one more secret from now on."""
        escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *escaped}
        forms |= {form.replace("/", "\\/") for form in escaped}
        forms |= {repr(secret)[1:-1], repr(secret.encode())[2:-1]}
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
        """Whether a JSON document may contain a secret, also with characters written as escapes.

        Args:
            body: the JSON text.
            document: the same, parsed.
        """
        if b"\\" in body:
            try:
                body = orjson.dumps(document)  # writes each character in one way only
            except TypeError:
                return bool(self.forms)
        return any(orjson.dumps(form)[1:-1] in body for form in self.forms)

    def exception(self, error: BaseException) -> None:
        """Masks `error` in place, with all it was caused by and what those refer to."""
        pending, done = [error], set()
        while pending:
            current = pending.pop()
            if id(current) in done:
                continue
            done.add(id(current))
            current.args = tuple(self._argument(arg) for arg in current.args)
            for name, attribute in list(vars(current).items()):
                if isinstance(attribute, BaseException):
                    pending.append(attribute)
                elif name in ("request", "response") and attribute is not None:
                    setattr(current, name, None)
                elif not name.startswith("__"):
                    masked = self._argument(attribute)
                    if masked is not attribute:
                        setattr(current, name, masked)
            pending += [arg for arg in current.args if isinstance(arg, BaseException)]
            pending += [e for e in (current.__cause__, current.__context__) if e is not None]

    def _argument(self, arg: Any) -> Any:
        if arg is None or isinstance(arg, bool | int | float | BaseException):
            return arg
        text = arg if isinstance(arg, str) else repr(arg)
        masked = self.text(text)
        return arg if masked == text else masked

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Masks all logs of this process, and the exception that leaves the context, if any."""
        with self.in_logs():
            try:
                yield
            except BaseException as error:
                self.exception(error)
                raise

    @contextmanager
    def in_logs(self) -> Iterator[None]:
        """Masks every log record of this process, of all libraries and at all levels.

        Records are masked where they are made, before any handler sees them.
        """
        make_record = logging.getLogRecordFactory()

        def make_masked_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make_record(*args, **kwargs)
            try:
                message = record.getMessage()
            except Exception:  # a broken format string is the handlers' to report
                message = f"{record.msg} {record.args}"
            masked = self.text(message)
            if masked != message:
                record.msg, record.args = masked, ()
            if record.exc_info and record.exc_info[1] is not None:
                text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
                if self.text(text) != text:
                    record.exc_text, record.exc_info = self.text(text), None
            return record

        logging.setLogRecordFactory(make_masked_record)
        try:
            yield
        finally:
            logging.setLogRecordFactory(make_record)
