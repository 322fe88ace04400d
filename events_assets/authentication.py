"""How requests are authenticated: dlt's `auth`, and secrets wherever the API wants them.

Every text in `client.headers`, `client.auth` and an endpoint's `auth`, `headers`, `params`, `json`
and `data` may hold `{secrets.NAME}`: the value of `NAME` in dlt's secrets, under
`sources.events` or at the top. `{secrets.api_key}` is the key. Secrets are filled in when a run
starts, and all of them are masked from then on.
"""

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.rest_api.config_setup import create_auth
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.errors import ApiError, ConfigurationError
from events_assets.http.answer import Answer
from events_assets.http.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.http.session import ApiSession
from events_assets.providers import STEPS

SECRET = re.compile(r"\{secrets\.([A-Za-z0-9_.]+)\}")

SCHEME = re.compile(r"\A\s*[A-Za-z]+\s+(?=\S)")
"""The word before the secret in a header like `Authorization: Bearer ...` (RFC 9110 11.4)."""

HEADER = re.compile(r"[\x21-\x7e\xa0-\xff](?:[\t\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?|")
"""What a header can hold (RFC 9110 5.5), in the characters that requests can send."""

KEY_FIELDS = {"api_key": "api_key", "bearer": "token"}
"""Where dlt's authentication types take the key, if nothing else stands there."""

TABLES = ("client", "endpoint")
PARTS = ("auth", "headers", "params", "json", "data")
"""The parts of these tables that may hold secrets."""


Auth = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class Authentication:
    """The secrets of one run, the key of the API first: fills them in, and knows how to mask
    them."""

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key
        # A short key that nothing uses is no secret; one that is used is refused below.
        self.redaction = Redaction()
        if api_key and len(api_key) >= MIN_SECRET_LENGTH:
            self.redaction.add(api_key)
        self._tokens: dict[str, AccessToken] = {}
        """By all that they are asked for with."""

    @property
    def has_key(self) -> bool:
        return self._api_key is not None

    def fill(self, config: RESTAPIConfig) -> RESTAPIConfig:
        """A copy of the configuration with all secrets in their places. Raises ConfigurationError
        where one is missing, or too short to be masked."""
        filled = self._filled(dict(config), STEPS)
        for text in configuration.texts_of_secrets_toml():
            self._mask_parts(text)
        return cast(RESTAPIConfig, filled)

    def _filled(self, value: Any, steps: list[str]) -> Any:
        """A value with its secrets, by the steps to it."""
        if isinstance(value, dict):
            return {key: self._filled(inner, [*steps, key]) for key, inner in value.items()}
        if isinstance(value, list):
            named = [isinstance(one, dict) and "name" in one for one in value]
            return [
                self._filled(one, [*steps, str(one["name"])] if has_name else steps)
                for one, has_name in zip(value, named, strict=True)
            ]
        if steps[-1] in ("base_url", "path", "access_token_url"):
            require_no_user(value, ".".join(steps))
        parts = [part for table, part in pairwise(steps) if table in TABLES and part in PARTS]
        if not isinstance(value, str) or not parts:
            return value
        # dlt fills placeholders of its own into all parts of an endpoint but `auth`.
        is_template = "endpoint" in steps and parts[0] != "auth"

        def secret(match: re.Match[str]) -> str:
            text = self._secret(match[1], ".".join(steps))
            return text.replace("{", "{{").replace("}", "}}") if is_template else text

        text = SECRET.sub(secret, value)
        if configuration.is_secret_name(steps[-1]):
            self._mask_parts(text)
        if parts[0] == "headers":
            require_header(text.strip(), ".".join(steps))
        return text

    def _mask_parts(self, text: str) -> None:
        """Masks a text that is a secret, or has some in it, like cookies or `Bearer ...`, whose
        first word is none."""
        for part in (text, *re.split(r"[\s;,=]+", SCHEME.sub("", text))):
            if len(part) >= MIN_SECRET_LENGTH:
                self.redaction.add(part)

    def of(self, auth: Any, new_session: Callable[[str], ApiSession]) -> Any:
        """What authenticates the requests of a session, as in `requests`: `auth` is filled, in
        dlt's vocabulary with the types registered there; `new_session` opens a session for another
        base URL, that of access tokens. Raises ConfigurationError where the key is missing or too
        short."""
        if auth is None:
            return None
        if not isinstance(auth, BaseConfiguration):
            auth = self._completed({"type": auth} if isinstance(auth, str) else dict(auth))
            if auth["type"] == "api_key" and auth.get("location") == "cookie":
                key = self._masked(auth["api_key"], "api_key")
                return cookie(auth.get("name") or "api_key", key)
        built: Any = create_auth(auth)
        in_header = getattr(built, "location", "header") == "header"
        for name, hint in built.get_resolvable_fields().items():
            value = built[name]
            if is_secret_hint(hint) and isinstance(value, str) and value and name != "client_id":
                self._masked(value, name)
                if in_header:
                    require_header(value, name)
        if not isinstance(built, OAuth2ClientCredentials):
            return built
        asked_with = json.dumps(dict(auth), sort_keys=True, default=str)
        if asked_with not in self._tokens:
            self._tokens[asked_with] = AccessToken(built, self.redaction, new_session)
        return self._tokens[asked_with]

    def _completed(self, auth: dict[str, Any]) -> dict[str, Any]:
        """dlt's `auth` with the key, or what else it needs, where nothing stands."""
        kind = auth.setdefault("type", "bearer")
        if kind in KEY_FIELDS and not auth.get(KEY_FIELDS[kind]):
            auth[KEY_FIELDS[kind]] = self._secret("api_key", "the API")
        if kind == "oauth2_client_credentials":
            for name in ("client_id", "client_secret"):
                auth[name] = auth.get(name) or self._secret(name, "the access token")
        if kind == "http_basic":
            if not auth.get("username"):
                auth = {"password": "", **auth, "username": self._secret("api_key", "the API")}
            elif auth.get("password") is None:
                auth["password"] = self._secret("api_key", "the API")
            pair = f"{auth['username']}:{auth['password']}"
            self.redaction.add(b64encode(pair.encode()).decode())
        return auth

    def _secret(self, name: str, place: str) -> str:
        secret = self._api_key if name == "api_key" else configuration.secret(name)
        if secret is None:
            variable = name.upper().replace(".", "__")
            raise ConfigurationError(
                f"{place} needs a key and there is none: set the environment variable {variable}, "
                f"or copy .dlt/example.secrets.toml to .dlt/secrets.toml and put {name} there"
            )
        return self._masked(secret, name)

    def _masked(self, secret: str, name: str) -> str:
        if len(secret) < MIN_SECRET_LENGTH:
            what = "the API key" if name == "api_key" else f"the secret {name}"
            raise ConfigurationError(
                f"{what} is shorter than {MIN_SECRET_LENGTH} characters, too short to be kept out "
                f"of logs and tables; use a longer one ({name.upper()}, or {name} in secrets.toml)"
            )
        self.redaction.add(secret)
        return secret


def require_header(text: str, setting: str) -> None:
    """Raises ConfigurationError where no header can hold a text, which is not quoted."""
    if not HEADER.fullmatch(text):
        raise ConfigurationError(f"{setting} has characters that no header can hold")


def require_no_user(url: Any, setting: str) -> None:
    """Raises ConfigurationError where a URL holds a user or a password, which it would show."""
    with suppress(ValueError):  # what is no URL is told where it is asked
        parts = urlsplit(str(url))
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                f"{setting} holds a user name or password: take it out, set client.auth to "
                f'{{ type = "http_basic", username = "..." }}, and put api_key, the password, into '
                f".dlt/secrets.toml or the environment"
            )


def cookie(name: str, key: str) -> Auth:
    """Sends the key in a cookie, for which dlt 1.31 has a word, but no code."""

    def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
        others = request.headers.get("Cookie")
        request.headers["Cookie"] = "; ".join(filter(None, (others, f"{name}={key}")))
        return request

    return authenticate


@dataclass(eq=False)
class AccessToken(requests.auth.AuthBase):
    """An OAuth 2 access token by client credentials (RFC 6749 4.4), fetched when it is needed: when
    it expires, and when the API refuses it before that. `redaction` learns each token.
    `new_session` opens a session for another base URL, which is closed when the token came."""

    credentials: OAuth2ClientCredentials
    redaction: Redaction
    new_session: Callable[[str], ApiSession]
    _header: str = ""
    _expires: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        with self._lock:
            if time.monotonic() >= self._expires:
                self._fetch()
            request.headers["Authorization"] = self._header
        return request

    def renew(self, request: requests.PreparedRequest) -> None:
        """Puts another token into a request that was refused."""
        with self._lock:
            if request.headers.get("Authorization") == self._header:
                self._fetch()
            request.headers["Authorization"] = self._header

    def _fetch(self) -> None:
        credentials = self.credentials
        url = credentials.access_token_url
        request = requests.Request("POST", url, **credentials.build_access_token_request())
        try:
            with self.new_session(url) as session:
                document = session.ask(request, Answer.require_json)
            token = credentials.parse_access_token(document)
            seconds = credentials.parse_expiration_in_seconds(document)
        except ApiError as error:
            raise ApiError(f"there is no access token: {error}") from None
        except (ValueError, AttributeError, TypeError):
            token, seconds = "", 0
        if token in ("", "None"):  # dlt's text for a missing one
            raise ApiError(f"there is no access token: POST {url} answers without access_token")
        self.redaction.add(token)
        self._header, self._expires = f"Bearer {token}", time.monotonic() + seconds
