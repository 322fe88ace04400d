"""What a failed request says to people: what was asked, what came, and what to do."""

import os
import ssl
import textwrap
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from requests.utils import get_environ_proxies, select_proxy

from events_assets.errors import BoundError, NotAPageError
from events_assets.http.redaction import Redaction
from events_assets.http.retry import innermost, is_lasting, seconds_asked
from events_assets.settings import HttpSettings

KEYS = ("message", "detail", "error_description", "description", "title", "error", "reason")
"""Keys of error documents that hold words for people (RFC 9457, RFC 6749 5.2, JSON:API), the most
telling first."""
QUOTED = 160
"""Characters of such words that are shown."""

REMEDIES = {
    304: "but nothing was received before; do not send If-None-Match or If-Modified-Since by hand",
    401: "the API does not accept the key; check API_KEY or api_key in .dlt/secrets.toml (the "
    "environment wins), and how it is sent, client.auth in .dlt/config.toml",
    403: "the key is not allowed to read this; set one that may as API_KEY or as api_key in "
    ".dlt/secrets.toml, or check endpoint.path in .dlt/config.toml",
    404: "there is nothing at this address; check client.base_url and endpoint.path in "
    ".dlt/config.toml",
}
OTHER_REMEDY = (
    "the API does not understand the request; check endpoint in .dlt/config.toml, and set "
    "overlap = 0 in [sources.events.scan] if it takes only some offsets"
)

PROXY = "the proxy: "
"""Begins the reason where it is the proxy that failed."""

# X509_V_ERR_... of OpenSSL, which Python does not name
CERT_NOT_YET_VALID, CERT_EXPIRED, HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH = 9, 10, 62, 64


def explanation(
    error: requests.RequestException | NotAPageError,
    request: requests.Request | requests.PreparedRequest,
    settings: HttpSettings,
    redaction: Redaction,
) -> str:
    """Why a request was given up, with its secrets masked."""
    told, attempts = reason(error), f"after {settings.max_retries + 1} attempts"
    match error:
        case requests.HTTPError(response=requests.Response() as response):
            told = f" answers {told}{_why_refused(error, response.status_code, settings, attempts)}"
            # Masked before it is cut: half a key is a secret, too.
            words = textwrap.shorten(redaction.text(message_of(response.content)), QUOTED)
            told += f'; it says: "{words}"' if words else ""
        case NotAPageError():
            told = f" answers with something else than a page {attempts}: {told}"
        case requests.exceptions.ProxyError():
            told = _proxy_fault(told, attempts, request.url or "")
        case requests.exceptions.SSLError() if is_lasting(cause := innermost(error)):
            told = f" was not sent: {_tls_fault(cause)}"
        case requests.ConnectionError() | requests.Timeout():
            told = (
                f" cannot be read {attempts}: {told}; check client.base_url and that the API is "
                f"reachable from here"
            )
        case requests.TooManyRedirects():
            told = (
                f" leads from one redirect to the next, more than {settings.max_redirects} times, "
                f"the most that is followed; if they are meant, raise max_redirects in "
                f"[sources.events.http]"
            )
        case requests.RequestException(args=(BoundError(),)):
            told = f" answers with {told}"
        case requests.RequestException(args=(OSError() as fault,)) if _bundle():
            told = f" was not sent: {fault}; correct {_bundle()}"
        case _:
            told = f": {told}"
    # Where a redirect led to, but for those that lead nowhere; its query may hold the key.
    failed = (not isinstance(error, requests.TooManyRedirects) and error.request) or request
    return redaction.text(f"{failed.method} {(failed.url or '').split('?')[0]}{told}")


def _why_refused(error: Exception, status: int, settings: HttpSettings, attempts: str) -> str:
    if status not in settings.retry_statuses:
        return f", {REMEDIES[304]}" if status == 304 else f": {REMEDIES.get(status, OTHER_REMEDY)}"
    seconds = seconds_asked(error, settings)
    if seconds <= settings.max_retry_after:
        return f" {attempts}"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + seconds))
    return (
        f" and asks to wait {seconds:.0f} s, until {when}, which is longer than max_retry_after "
        f"({settings.max_retry_after:g} s)"
    )


def _proxy_fault(told: str, attempts: str, url: str) -> str:
    parts = urlsplit(url)
    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    names = [f"{parts.scheme}_proxy", "all_proxy"]
    names = [spelled for name in names for spelled in (name, name.upper())]
    name = next((one for one in names if os.environ.get(one) == proxy), "that of this machine")
    return (
        f" was not sent: the proxy {urlsplit(proxy).netloc.rpartition('@')[2]} ({name}) lets "
        f"nothing through {attempts}: {told.removeprefix(PROXY)}; correct {name}, or name "
        f"{parts.hostname} in NO_PROXY where it needs no proxy"
    )


def _tls_fault(cause: BaseException) -> str:
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return "there is no TLS at this address; is client.base_url to begin with http://?"
    remedy = {
        CERT_NOT_YET_VALID: "check the clock of this machine",
        CERT_EXPIRED: "whoever runs the API has to renew it",
        HOSTNAME_MISMATCH: "check client.base_url",
        IP_ADDRESS_MISMATCH: "check client.base_url",
    }.get(
        cause.verify_code,
        "if you know its issuer, put the certificate of that into a PEM file, and set "
        "REQUESTS_CA_BUNDLE to the path of it",
    )
    now = f" ({_bundle()} is {os.environ[_bundle()]!r})" if _bundle() else ""
    return f"its certificate is not accepted{now}: {cause.verify_message.rstrip('.')}; {remedy}"


def _bundle() -> str:
    """The variable that says which certificates are trusted, if there is one."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return next((name for name in names if os.environ.get(name)), "")


def reason(error: BaseException) -> str:
    """What went wrong in a few words: the status line, or the innermost cause."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason or ''}".strip()
    cause = innermost(error)
    if isinstance(cause, NotAPageError | BoundError):
        return str(cause)
    of = PROXY if isinstance(error, requests.exceptions.ProxyError) else ""
    return f"{of}{type(cause).__name__}: {cause}"


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
