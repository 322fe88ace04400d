"""Asks an API single questions, for `events-assets init`."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import requests
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.rest_client.client import RESTClient

from events_assets.authentication import Authentication
from events_assets.errors import NotAPageError
from events_assets.http.explain import message_of
from events_assets.http.session import ApiSession
from events_assets.paging.pages import document_of
from events_assets.settings import HttpSettings


@dataclass
class Answer:
    """One answer: its status, its parsed body (None where it is no JSON), headers, and what it
    says to people if it is a refusal."""

    status: int
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    is_json: bool = True
    seconds: float = 0.0
    redirected_to: str = ""

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
        def new_session(base_url: str) -> ApiSession:
            return ApiSession(base_url, settings, authentication.redaction, log)

        log = logging.getLogger("events_assets")
        filled = authentication.fill(cast(Any, {"client": client, "resources": []}))["client"]
        self.settings = settings
        self.session = new_session(filled["base_url"])
        self.session.auth = authentication.of(filled.get("auth"), new_session)
        self.client = RESTClient(
            filled["base_url"],
            headers=filled.get("headers"),
            session=self.session,
            config=RuntimeConfiguration(),
        )

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
        started = time.monotonic()
        response = self.client.get(
            path,
            params=dict(params or {}),
            headers=dict(headers or {}),
            hooks={"response": [self._require_answer]},
        )
        answer = _answer_of(response)
        answer.seconds = time.monotonic() - started
        return answer

    def _require_answer(self, response: requests.Response, **_: Any) -> None:
        """Raises for what is asked again; all else is an answer."""
        if response.status_code in self.settings.retry_statuses:
            response.raise_for_status()


def _answer_of(response: requests.Response) -> Answer:
    answer = Answer(response.status_code, headers=response.headers)
    if response.history:
        answer.redirected_to = response.url
    if not 200 <= answer.status < 300:
        answer.said = message_of(response.content)
    try:
        answer.document = document_of(response)
    except NotAPageError:
        answer.is_json = False
    return answer
