"""Asks an API single questions, for `events-assets init`."""

import logging
from collections.abc import Mapping
from typing import Any, cast

import requests
from dlt.sources.helpers.rest_client.utils import join_url

from events_assets.authentication import Authentication
from events_assets.commands.report import Report
from events_assets.http.answer import Answer
from events_assets.http.session import ApiSession
from events_assets.settings import HttpSettings


class Api:
    """An API that is asked: its session keeps to the origin of its base URL and masks secrets.

    Args:
        client: `[sources.events.client]`.
        authentication: fills in the key.
        settings: how requests are made.
        report: counts the requests, retries among them.

    Raises:
        ConfigurationError: the client needs a key and there is none.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        authentication: Authentication,
        settings: HttpSettings,
        report: Report,
    ) -> None:
        def new_session(base_url: str, auth: Any = None) -> ApiSession:
            log = logging.getLogger("events_assets")
            return ApiSession(base_url, settings, authentication.redaction, log, auth=auth)

        filled = authentication.fill(cast(Any, {"client": client, "resources": []}))["client"]
        self._headers = filled.get("headers") or {}
        auth = authentication.of(filled.get("auth"), new_session)
        self._session, self._report = new_session(filled["base_url"], auth), report

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
        url = path if is_url else join_url(self._session.base_url, path)
        sent = {**self._headers, **(headers or {})}
        request = requests.Request("GET", url, params=dict(params or {}), headers=sent)
        traffic = self._session.traffic
        before = traffic.requests
        try:
            return self._session.ask(request, lambda answer: answer, any_status=True)
        finally:
            self._report.requests += traffic.requests - before
