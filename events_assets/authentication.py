"""How requests are authenticated: dlt's `auth`, and secrets wherever the API wants them.

Every text in `client.headers`, `client.auth` and an endpoint's `auth`, `headers`, `params`, `json`
and `data` may hold `{secrets.NAME}`: the value of `NAME` in dlt's secrets, under
`sources.events` or at the top. `{secrets.api_key}` is the key. Secrets are filled in when a run
starts, and all of them are masked from then on.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, cast

import dlt
import requests
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.rest_api.config_setup import create_auth
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.configuration import SECRET_FIELDS
from events_assets.errors import ApiError, ConfigurationError
from events_assets.http.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.http.session import ApiSession

SECRET = re.compile(r"\{secrets\.([A-Za-z0-9_.]+)\}")

KEY_FIELDS = {"api_key": "api_key", "bearer": "token"}
"""Where dlt's authentication types take the key, if nothing else stands there."""

FORMATTED = ("headers", "params", "json", "data")
"""Parts of an endpoint in which dlt fills in placeholders of its own."""


class Authentication:
    """The secrets of one run: fills them in, and knows how to mask them.

    Args:
        api_key: the key of the API.
    """

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key
        # A short key that nothing uses is no secret; one that is used is refused below.
        known = [api_key] if api_key and len(api_key) >= MIN_SECRET_LENGTH else []
        self.redaction = Redaction(*known)
        self._tokens: dict[str, AccessToken] = {}
        """By all that they are asked for with."""

    @property
    def has_key(self) -> bool:
        return self._api_key is not None

    def fill(self, config: RESTAPIConfig) -> RESTAPIConfig:
        """A copy of the configuration with all secrets in their places.

        Raises:
            ConfigurationError: a secret is missing, or too short to be masked.
        """
        place = configuration.SECTION
        client: dict[str, Any] = dict(config["client"])
        for part in ("headers", "auth"):
            if part in client:
                client[part] = self._filled(client[part], f"{place}.client.{part}")
        filled = {**config, "client": client}
        if "resource_defaults" in config:
            filled["resource_defaults"] = self._with_endpoint(
                config["resource_defaults"], f"{place}.resource_defaults"
            )
        filled["resources"] = [
            self._with_endpoint(entry, f"{place}.resources.{entry['name']}")
            for entry in configuration.entries(config["resources"])
        ]
        return cast(RESTAPIConfig, filled)

    def _with_endpoint(self, entry: Any, place: str) -> Any:
        endpoint = (entry or {}).get("endpoint")
        if not isinstance(endpoint, Mapping):
            return entry
        filled = {
            part: self._filled(value, f"{place}.endpoint.{part}", braces=part in FORMATTED)
            for part, value in endpoint.items()
            if part in ("auth", *FORMATTED)
        }
        return {**entry, "endpoint": {**endpoint, **filled}}

    def of(self, auth: Any, new_session: Callable[[str], ApiSession]) -> Any:
        """What authenticates the requests of a session, for `requests.Session.auth`.

        Args:
            auth: in dlt's vocabulary, filled.
            new_session: opens a session for another base URL, that of access tokens.

        Raises:
            ConfigurationError: the key is needed and there is none, or it is too short.
        """
        if auth is None:
            return None
        auth = {"type": auth} if isinstance(auth, str) else dict(auth)
        kind = auth.setdefault("type", "bearer")
        if kind in KEY_FIELDS and not auth.get(KEY_FIELDS[kind]):
            auth[KEY_FIELDS[kind]] = self._secret("api_key", "the API")
        if kind == "http_basic":
            if not auth.get("username"):
                auth = {"password": "", **auth, "username": self._secret("api_key", "the API")}
            elif auth.get("password") is None:
                auth["password"] = self._secret("api_key", "the API")
            pair = f"{auth['username']}:{auth['password']}"
            self.redaction.add(b64encode(pair.encode()).decode())
        if kind == "oauth2_client_credentials":
            for name in ("client_id", "client_secret"):
                auth[name] = auth.get(name) or self._secret(name, "the access token")
        for name in SECRET_FIELDS:
            if auth.get(name):
                self._masked(auth[name], name)
        if kind == "oauth2_client_credentials":
            asked_with = json.dumps(auth, sort_keys=True)
            if asked_with not in self._tokens:
                session = new_session(auth["access_token_url"])
                self._tokens[asked_with] = AccessToken(auth, self.redaction, session)
            return self._tokens[asked_with]
        if kind == "api_key" and auth.get("location") == "cookie":
            return Cookie(auth.get("name") or "api_key", auth["api_key"])
        return create_auth(cast(Any, auth))

    def _filled(self, value: Any, place: str, *, braces: bool = False) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self._filled(item, f"{place}.{key}", braces=braces)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._filled(item, place, braces=braces) for item in value]
        if not isinstance(value, str):
            return value

        def secret(match: re.Match[str]) -> str:
            text = self._secret(match[1], place)
            return text.replace("{", "{{").replace("}", "}}") if braces else text

        return SECRET.sub(secret, value)

    def _secret(self, name: str, place: str) -> str:
        secret = self._api_key if name == "api_key" else _configured(name)
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


class Cookie(requests.auth.AuthBase):
    """Sends the key in a cookie, for which dlt 1.31 has a word, but no code."""

    def __init__(self, name: str, key: str) -> None:
        self._cookie = f"{name}={key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        others = request.headers.get("Cookie")
        request.headers["Cookie"] = f"{others}; {self._cookie}" if others else self._cookie
        return request


class AccessToken(requests.auth.AuthBase):
    """An OAuth 2 access token by client credentials (RFC 6749 4.4), fetched when it is needed.

    Fetched anew when it expires, and once more when the API refuses it before that.

    Args:
        auth: dlt's `oauth2_client_credentials`.
        redaction: learns each token.
        session: asks for tokens, and nothing else.
    """

    def __init__(self, auth: Mapping[str, Any], redaction: Redaction, session: ApiSession) -> None:
        session.hooks["response"].append(lambda response, **_: response.raise_for_status())
        settings = {key: value for key, value in auth.items() if key != "type"}
        self._credentials = OAuth2ClientCredentials(**settings, session=session)
        self._redaction = redaction
        self._lock = Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        with self._lock:
            if self._credentials.access_token is None or self._credentials.is_token_expired():
                self._fetch()
            request.headers["Authorization"] = f"Bearer {self._credentials.access_token}"
        return request

    def renew(self, request: requests.PreparedRequest) -> None:
        """Puts another token into a request that was refused."""
        refused = request.headers.get("Authorization")
        with self._lock:
            if refused == f"Bearer {self._credentials.access_token}":
                self._fetch()
            request.headers["Authorization"] = f"Bearer {self._credentials.access_token}"

    def _fetch(self) -> None:
        url = self._credentials.access_token_url
        try:
            self._credentials.obtain_token()
        except ApiError as error:
            raise ApiError(f"there is no access token: {error}") from None
        except (ValueError, AttributeError, TypeError):
            self._credentials.access_token = None
        token = self._credentials.access_token
        if not token or token == "None":  # noqa: S105, dlt's text for a missing one
            raise ApiError(f"there is no access token: POST {url} answers without access_token")
        self._redaction.add(token)


def _configured(name: str) -> str | None:
    """A secret from dlt's providers, the more specific place first."""
    for place in (f"{configuration.SECTION}.{name}", name):
        value: Any = dlt.secrets.get(place)
        if value is not None and str(value).strip():
            return str(value).strip()
    return None
