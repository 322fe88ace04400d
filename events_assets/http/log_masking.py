"""Keeps secrets out of the logs of this process, and out of the exceptions that leave it.

Records are masked where they are made, before any handler sees them. However many uses overlap,
in whatever order they end, one factory masks for all of them, over the one that was there before.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from events_assets.http.redaction import MASK, Redaction

_lock = threading.Lock()
_in_use: tuple[Redaction, ...] = ()
"""As often as they are used; replaced as a whole, as other threads read it meanwhile."""


@contextmanager
def masked(redaction: Redaction) -> Iterator[None]:
    """Masks every log record of this process, and the exception that leaves the context, if any."""
    _use(lambda uses: (*uses, redaction))
    try:
        yield
    except BaseException as error:
        mask_exception(error, redaction)
        raise
    finally:
        _use(lambda uses: uses[: (at := uses.index(redaction))] + uses[at + 1 :])


def mask_exception(error: BaseException, redaction: Redaction) -> None:
    """Masks `error` in place, with all it was caused by and what those refer to."""
    pending, done = [error], set()
    while pending:
        current = pending.pop()
        if id(current) in done:
            continue
        done.add(id(current))
        current.args = tuple(_masked(arg, redaction) for arg in current.args)
        for name, attribute in list(vars(current).items()):
            if isinstance(attribute, BaseException):
                pending.append(attribute)
            elif name == "__notes__":
                current.__notes__ = [redaction.text(str(note)) for note in attribute]
            elif name in ("request", "response"):
                setattr(current, name, None)
            elif not name.startswith("__"):
                setattr(current, name, _masked(attribute, redaction))
        causes = (*current.args, current.__cause__, current.__context__)
        pending += [cause for cause in causes if isinstance(cause, BaseException)]


def _masked(value: Any, redaction: Redaction) -> Any:
    """`value`, or what it shows of itself, masked, if that shows a secret."""
    if value is None or isinstance(value, bool | int | float | BaseException):
        return value
    text = value if isinstance(value, str) else repr(value)
    masked = redaction.text(text)
    return value if masked == text else masked


class _MaskingFactory:
    """Makes log records as the factory beneath does, masked."""

    def __init__(self, beneath: Callable[..., logging.LogRecord]) -> None:
        self.beneath = beneath

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.beneath(*args, **kwargs)
        try:
            message = record.getMessage()
        except Exception:  # a broken format string is the handlers' to report
            message = f"{record.msg} {record.args}"
        if (masked := masked_text(message)) != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[1] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (masked := masked_text(trace)) != trace:
                record.exc_text, record.exc_info = masked, None
        return record


def masked_text(text: str) -> str:
    """A text with all secrets masked that are in use."""
    forms = {form for redaction in _in_use for form in redaction.forms}
    for form in sorted(forms, key=len, reverse=True):  # of two secrets one may begin the other
        text = text.replace(form, MASK)
    for redaction in _in_use:
        text = redaction.text(text)
    return text


def _use(change: Callable[[tuple[Redaction, ...]], tuple[Redaction, ...]]) -> None:
    """Changes what is in use; the factory is there as long as anything is."""
    global _in_use
    with _lock:
        _in_use = change(_in_use)
        current = logging.getLogRecordFactory()
        if _in_use and not isinstance(current, _MaskingFactory):
            logging.setLogRecordFactory(_MaskingFactory(current))
        # One that was put over ours meanwhile stays there, and masks nothing any more.
        elif not _in_use and isinstance(current, _MaskingFactory):
            logging.setLogRecordFactory(current.beneath)
