"""What a failed request says to people: what was asked, what came, and what to do."""

import textwrap
import time
from collections.abc import Iterator
from typing import Any

import orjson
import requests

from events_assets.errors import NotAPageError
from events_assets.http.redaction import Redaction
from events_assets.http.retry import CONNECTION_FAILURES, seconds_asked
from events_assets.settings import HttpSettings

KEYS = ("message", "detail", "error_description", "description", "title", "error", "reason")
"""Keys of error documents that hold words for people (RFC 9457, RFC 6749 5.2, JSON:API), the most
telling first."""
QUOTED = 160
"""Characters of such words that are shown."""

REMEDIES = {
    401: "the API does not accept the key; check API_KEY or api_key in .dlt/secrets.toml, "
    "and how it is sent, client.auth in .dlt/config.toml",
    403: "the key is not allowed to read this; ask for a key that may, or check the path",
    404: "there is nothing at this address; check client.base_url and endpoint.path in "
    ".dlt/config.toml",
}
OTHER_REMEDY = (
    "the API does not understand the request; check endpoint in .dlt/config.toml, and set "
    "overlap = 0 in [sources.events.scan] if it takes only some offsets"
)


def explanation(
    error: Exception,
    request: requests.Request | requests.PreparedRequest,
    settings: HttpSettings,
    redaction: Redaction,
) -> str:
    """Why a request was given up, with its secrets masked."""
    if isinstance(error, requests.RequestException) and error.request is not None:
        request = error.request  # after a redirect another one than was asked
    name = f"{request.method} {(request.url or '').split('?')[0]}"  # the query may hold the key
    attempts = f"after {settings.max_retries + 1} attempts"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        why = _why_refused(error, error.response.status_code, settings, attempts)
        # Masked before it is cut: half a key is a secret, too.
        words = textwrap.shorten(redaction.text(message_of(error.response.content)), QUOTED)
        text = f"{name} answers {reason(error)}{why}" + (f'; it says: "{words}"' if words else "")
    elif isinstance(error, NotAPageError):
        text = f"{name} answers with something else than a page {attempts}: {error}"
    elif isinstance(error, CONNECTION_FAILURES):
        text = (
            f"{name} cannot be read {attempts}: {reason(error)}; check client.base_url and that "
            f"the API is reachable from here"
        )
    else:
        text = f"{name}: {reason(error)}"
    return redaction.text(text)


def _why_refused(error: Exception, status: int, settings: HttpSettings, attempts: str) -> str:
    if status not in settings.retry_statuses:
        return f": {REMEDIES.get(status, OTHER_REMEDY)}"
    seconds = seconds_asked(error, settings)
    if seconds <= settings.max_retry_after:
        return f" {attempts}"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + seconds))
    return (
        f" and asks to wait {seconds:.0f} s, until {when}, which is longer than max_retry_after "
        f"({settings.max_retry_after:g} s)"
    )


def reason(error: BaseException) -> str:
    """What went wrong in a few words: the status line, or the innermost cause."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason or ''}".strip()
    if isinstance(error, NotAPageError):
        return str(error)
    while True:
        inner = [getattr(error, "reason", None), *error.args[:1], error.__cause__]
        causes = [
            cause for cause in (*inner, error.__context__) if isinstance(cause, BaseException)
        ]
        if not causes:
            return f"{type(error).__name__}: {error}"
        error = causes[0]


def message_of(body: bytes) -> str:
    """What an error document says to people, in one line; empty where it says nothing."""
    try:
        document = orjson.loads(body)
    except ValueError:
        return ""
    texts = [(KEYS.index(key), text) for key, text in _texts(document) if key in KEYS]
    if not texts:
        return document.strip() if isinstance(document, str) else ""
    return " ".join(min(texts, key=lambda ranked: ranked[0])[1].split())


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """All texts below objects and lists, with their keys; outer ones first."""
    level = [document] if isinstance(document, dict | list) else []
    while level:
        below = []
        for value in level:
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(inner, str) and inner.strip():
                    yield str(key), inner
                elif isinstance(inner, dict | list):
                    below.append(inner)
        level = below
