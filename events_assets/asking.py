"""Asks an API single questions, for `events-assets init`."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.rest_client.client import RESTClient

from events_assets.transport.pages import NotAPage, document_of
from events_assets.transport.redaction import Redaction
from events_assets.transport.refusals import message_of
from events_assets.transport.session import ApiSession, HttpSettings


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


@dataclass
class Api:
    """An API that is asked: its session keeps to the origin of `base_url` and masks secrets."""

    base_url: str
    settings: HttpSettings
    redaction: Redaction = field(default_factory=Redaction)
    headers: dict[str, str] = field(default_factory=dict)
    auth: Any = None

    def __post_init__(self) -> None:
        log = logging.getLogger("events_assets")
        self.session = ApiSession(self.base_url, self.settings, self.redaction, log)
        self.client = RESTClient(
            self.base_url,
            headers=self.headers,
            auth=self.auth,
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
    except NotAPage:
        answer.is_json = False
    return answer
