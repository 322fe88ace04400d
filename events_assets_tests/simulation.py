"""An API in memory: everything of a scan is real but the wire, so that thousands take a second."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import parse_header_links

from events_assets.errors import ApiError, EmptyPageError, NotAPageError
from events_assets.http.answer import Answer
from events_assets.http.redaction import Redaction
from events_assets.http.transport import Traffic
from events_assets.json_path import value_at
from events_assets.paging.base import Paging, Total
from events_assets.paging.windows import Window
from events_assets.rows.identity import Identity
from events_assets.scan.data_selector import DataSelector
from events_assets.scan.endpoint import Endpoint
from events_assets.scan.intake import Intake
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.paginators import paging_of
from events_assets.scan.receipt import Receipt
from events_assets.scan.table_pass import Table
from events_assets.scan.table_scan import TableScan

URL = "http://127.0.0.1/v1/events"

Document = Any
Api = Callable[[dict[str, str]], Any]
"""Answers the parameters of a request: with a document, with a document and headers, with the
status by which it refuses, or with None where it has nothing (404)."""


class MemorySession:
    """Asks an API in memory as often as a session asks a real one."""

    def __init__(self, api: Api, attempts: int = 4) -> None:
        self.api, self.attempts = api, attempts
        self.traffic, self.log, self.redaction = (
            Traffic(),
            logging.getLogger("simulation"),
            Redaction(),
        )
        self.log.setLevel(logging.CRITICAL)

    def __enter__(self) -> "MemorySession":
        return self

    def close(self) -> None:
        """Nothing is open."""

    def ask(self, request: requests.Request, read: Callable[[Answer], Any]) -> Any:
        for attempt in range(1, self.attempts + 1):
            self.traffic.add(requests=1)
            try:
                return read(self.answer(request))
            except EmptyPageError as error:
                if attempt == self.attempts:
                    return error.found
            except NotAPageError as error:
                if attempt == self.attempts:
                    raise ApiError(str(error)) from error
        raise AssertionError("no attempt was made")

    def answer(self, request: requests.Request) -> Answer:
        query = dict(parse_qsl(urlsplit(request.url).query))
        query |= {name: str(value) for name, value in (request.params or {}).items()}
        found = self.api(query)
        if found is None or isinstance(found, HTTPStatus):
            error = ApiError(f"{found or 404}")
            error.status = found or 404
            raise error
        document, headers = found if isinstance(found, tuple) else (found, {})
        links = {
            link.get("rel", link["url"]): link
            for link in parse_header_links(headers.get("Link", ""))
        }
        return Answer(
            status=200,
            url=f"{request.url.split('?')[0]}?{urlencode(query)}",
            headers=CaseInsensitiveDict(headers),
            links=links,
            body=b"",
            seconds=0.0,
            redirected=False,
            response=_response(document, headers, request.url),
            document=document,
            is_json=True,
            holds_secret=False,
        )


def _response(document: Any, headers: dict[str, str], url: str) -> requests.Response:
    """What dlt's detection of paginators looks at."""
    response = requests.Response()
    response.headers.update(headers)
    response.url, response.raw, response.encoding = url, None, "utf-8"
    response.json = lambda **_: document  # type: ignore[method-assign]
    return response


@dataclass
class Simulation:
    """The endpoint `events` of an API in memory.

    `rows_at` is the selector of its rows, `total` the path of its total, if it tells one. `parts`
    are the parameters of its lists, `window` is the widest one.
    """

    api: Api
    paginator: Any
    overlap: int = 1
    rows_at: str = "data"
    total: str | None = None
    threads: int = 0
    order: str | None = None
    parts: list[dict[str, str]] = field(default_factory=lambda: [{}])
    window: Window | None = None
    identity: Identity = field(default_factory=lambda: Identity(["id"]))

    def endpoint(self, part: Mapping[str, str] = MappingProxyType({})) -> Endpoint:
        paging, total = _paging_of(self.paginator, self.overlap)
        return Endpoint(
            name="events",
            session=MemorySession(self.api),  # type: ignore[arg-type]
            paging=paging,
            request_for=lambda _: ListRequest("GET", URL, params=part),
            rows_of=DataSelector(self.rows_at),
            total=Total(self.total) if self.total or total is None else total,
            identify=self.identity,
            threads=self.threads,
            window=self.window,
            order_of=value_at(self.order) if self.order else None,
            max_pages_factor=100,
        )

    def read(self) -> tuple[list[Any], ListPass]:
        """One pass: the ids received, as they came, and the pass."""
        with self.endpoint() as endpoint:
            one = ListPass(endpoint, endpoint.request_for(None))
            received = [row["id"] for page in one.pages() for row in page.rows]
        return received, one

    def scan(self, passes: int = 3) -> tuple[dict[Any, dict[str, Any]], Receipt]:
        """As many passes as a load makes: the rows to load by their ids, and the receipt."""
        scan = TableScan(
            Table("events", self.identity, [*map(self.endpoint, self.parts)]), passes=passes
        )
        # Rows go nowhere: of several versions of a row the last one comes last.
        scan.intake = Intake(self.identity, scan.receipt, is_loaded=False)
        return {row["id"]: row for rows in scan.rows() for row in rows}, scan.receipt


def _paging_of(paginator: Any, overlap: int) -> tuple[Paging, Total | None]:
    """As `paging_of`, which spends milliseconds on the JSON paths of a table."""
    if not isinstance(paginator, dict):
        return paging_of(paginator, overlap)
    return _paging_of_table(tuple(paginator.items()), overlap)


@cache
def _paging_of_table(
    paginator: tuple[tuple[str, Any], ...], overlap: int
) -> tuple[Paging, Total | None]:
    return paging_of(dict(paginator), overlap)


def ids(numbers: Any) -> list[dict[str, Any]]:
    """Rows that are nothing but ids."""
    return [{"id": number} for number in numbers]
