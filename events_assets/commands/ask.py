"""Asks an API single questions, for `events-assets init`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import requests
from dlt.sources.helpers.rest_client.utils import join_url

from events_assets.authentication import Authentication
from events_assets.http.answer import Answer as HttpAnswer
from events_assets.http.explain import message_of
from events_assets.http.session import ApiSession
from events_assets.settings import HttpSettings


@dataclass
class Answer:
    """One answer: its status, its parsed body (None where it is no JSON), headers, and what it
    says to people if it is a refusal."""

    status: int
    document: Any
    headers: Mapping[str, str]
    said: str
    is_json: bool
    seconds: float
    redirected_to: str

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300 and self.is_json


class Api:
    """An API that is asked: its session keeps to the origin of its base URL and masks secrets.

    Args:
        client: `[sources.events.client]`.
        authentication: fills in the key.
        settings: how requests are made.

    Raises:
        ConfigurationError: the client needs a key and there is none.
    """

    def __init__(
        self, client: Mapping[str, Any], authentication: Authentication, settings: HttpSettings
    ) -> None:
        def new_session(base_url: str, auth: Any = None) -> ApiSession:
            log = logging.getLogger("events_assets")
            return ApiSession(base_url, settings, authentication.redaction, log, auth=auth)

        filled = authentication.fill(cast(Any, {"client": client, "resources": []}))["client"]
        self._headers = filled.get("headers") or {}
        auth = authentication.of(filled.get("auth"), new_session)
        self.session = new_session(filled["base_url"], auth)

    @property
    def asked(self) -> int:
        """Requests sent so far, retries among them."""
        return self.session.traffic.requests

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status; what is worth a retry is asked again.

        Raises:
            ApiError: there is none, or it leads to another origin.
        """
        is_url = path.startswith(("http://", "https://"))
        url = path if is_url else join_url(self.session.base_url, path)
        sent = {**self._headers, **(headers or {})}
        request = requests.Request("GET", url, params=dict(params or {}), headers=sent)
        return self.session.ask(request, _read, any_status=True)


def _read(answer: HttpAnswer) -> Answer:
    return Answer(
        status=answer.status,
        document=answer.document,
        headers=answer.headers,
        said="" if 200 <= answer.status < 300 else message_of(answer.body),
        is_json=answer.is_json,
        seconds=answer.seconds,
        redirected_to=answer.url if answer.redirected else "",
    )
