"""Tries the configured API with a few requests and tells what a load would find; loads nothing.

The pages are those that a load would get: the same lists, sessions and walks.
"""

import logging
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from dlt.common.data_types import coerce_value, py_type_to_sc_type
from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.api import configured_api
from events_assets.authentication import Authentication
from events_assets.commands import detect, init
from events_assets.commands.location import KeyPlace
from events_assets.commands.report import FAILED, NOTE, OK, Report, counted
from events_assets.errors import (
    ApiError,
    ConfigurationError,
    EndlessScanError,
    NotAPageError,
    UnaddressableError,
)
from events_assets.http.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.paging.page_numbers import PageNumberScan
from events_assets.paging.pages import document_of
from events_assets.paging.touching_offsets import OffsetScan
from events_assets.scan.table_scan import Leg, Listing
from events_assets.source import events_lists

ENDPOINT = "resources.endpoint"
"""The table of the endpoint below `sources.events`, as it stands below its resource."""

FIELDS_SHOWN = 4
"""Of those beside the canonical ones."""

FAULTS = (ApiError, EndlessScanError, ValueError)
"""What a walk may raise: the API refuses, its pages go round, dlt's paginator misses something."""


class StoppedError(Exception):
    """A step failed after which the others cannot be tried."""


def try_api(report: Report) -> None:
    """Adds the steps to `report`, up to the first that leaves nothing to try."""
    key = configuration.api_key() or ""
    if len(key) >= MIN_SECRET_LENGTH:  # masked also in what is said of a wrong configuration
        report.redaction = Redaction(key)
    try:
        with configured_api() as (config, authentication):
            report.redaction = authentication.redaction
            lists = events_lists(config, authentication, logging.getLogger("events_assets"))
            for listing in lists:
                _Trial(report, config, authentication, listing, len(lists) > 1).run()
    except ConfigurationError as error:
        report.add(FAILED, "configuration", str(error))
    except StoppedError:
        return


class _Trial:
    """One list of the API, asked for its first pages."""

    def __init__(
        self,
        report: Report,
        config: RESTAPIConfig,
        authentication: Authentication,
        listing: Listing,
        one_of_several: bool,
    ) -> None:
        self.report = report
        self.config = config
        self.authentication = authentication
        self.listing = listing
        self.walk = listing.walk
        self.one_of_several = one_of_several
        entries = {e["name"]: e for e in configuration.entries(config["resources"])}
        defaults: Any = config.get("resource_defaults") or {}
        self.endpoint = configuration.endpoint_of(entries[listing.name], defaults)
        # dlt's own default, by the name that the resource has there
        self.endpoint.setdefault("path", listing.name if listing.parents else "events")
        client: Any = config["client"]
        self.auth = self.endpoint.get("auth", client.get("auth"))
        self.paginator = self.endpoint.get("paginator", client.get("paginator"))
        self.selector = self.endpoint.get("data_selector")
        self.answers: list[requests.Response] = []
        read = listing.session.check

        def note(response: requests.Response) -> None:
            self.answers.append(response)
            read(response)

        listing.session.check = note

    def run(self) -> None:
        base_url = str(self.config["client"]["base_url"]).rstrip("/")
        path = str(self.endpoint["path"])
        url = path if "://" in path else f"{base_url}/{path.lstrip('/')}"
        name = f"{self.listing.name} at " if self.one_of_several else ""
        url = "the built-in sample API" if configuration.is_sample() else url.split("?")[0]
        self.report.add(OK, "configuration", f"{name}{url}, {self._key_told()}")
        with self.listing.session as session:
            try:
                self._try()
            finally:
                self.report.requests += session.traffic.requests

    def _try(self) -> None:
        leg = Leg(self.listing, self.listing.window, self._parent_of(self.listing))
        pages = leg.pages()
        try:
            next(pages, None)
        except FAULTS as error:
            raise self._refused(error) from None
        if not self.answers:
            raise self._fail("answer", "the API has no first page; check the path")
        self.first = self.answers[0]
        self.rows, self.page = self.walk.rows, self.walk.page
        self.continues = self.walk.has_next_page
        self.report.add(OK, "reachable", f"answered in {self.first.elapsed.total_seconds():.1f} s")
        self._tell_redirect()
        self.report.add(OK, "key", "the API lets us in")
        self._tell_rows()
        self._tell_fields()
        self._tell_total()
        more = self._try_second_page(pages)
        self._tell_page_size(more)
        self._try_order(leg)
        limits = detect.rate_limits(self.first.headers)
        told = ", ".join(f"{name}: {value}" for name, value in limits.items())
        self.report.add(OK, "rate limit", told or "no header tells one")

    def _tell_redirect(self) -> None:
        if self.first.history:
            path = urlsplit(self.first.url).path
            told = f"the API redirects to {path}, so that each request is sent twice; change path"
            self.report.add(NOTE, "redirect", told)

    def _key_told(self) -> str:
        auth = self.auth
        if not auth:
            client: Any = self.config["client"]
            headers = [*client.get("headers", {}), *self.endpoint.get("headers", {})]
            named = [name for name in headers if "auth" in name.lower() or "key" in name.lower()]
            return f"the key in the header {named[0]}" if named else "without authentication"
        kind = auth if isinstance(auth, str) else auth.get("type", "bearer")
        if kind != "api_key":
            return f"authenticated by {kind.replace('_', ' ')}"
        table: Mapping[str, Any] = {} if isinstance(auth, str) else auth
        name = table.get("name", "Authorization")
        place = {"query": "query parameter", "param": "query parameter"}
        return f"the key as {place.get(table.get('location', ''), table.get('location'))} {name}"

    def _parent_of(self, child: Listing) -> dict[str, Any] | None:
        """The first row that `child` can be asked for, of the list that it depends on."""
        scan = child.parents
        if scan is None:
            return None
        listing = scan.listings[0]
        leg = Leg(listing, listing.window, self._parent_of(listing))
        with listing.session as session:
            try:
                next(leg.pages(), None)
            except FAULTS as error:
                raise self._fail("parent", f"{listing.name}: {error}") from None
            finally:
                self.report.requests += session.traffic.requests
        usable, unusable = [], []
        for number, row in enumerate(listing.walk.rows, start=1):
            try:
                usable.append(child.addressed(row))
            except UnaddressableError as error:
                unusable.append(f"{scan.name_of(row, number)}: {error}")
        told = counted(len(listing.walk.rows), "row") + f" of {listing.name}"
        if not usable:
            why = unusable[0] if unusable else "so there is none to ask for"
            raise self._fail("parent", f"{told}, {why}")
        if unusable:
            told += f", of which {len(unusable)} cannot be asked for ({unusable[0]})"
        state = NOTE if unusable else OK
        self.report.add(state, "parent", f"{told}; the first is tried")
        return usable[0]

    def _fail(
        self, name: str, told: str, settings: Mapping[str, Any] | None = None
    ) -> StoppedError:
        self.report.add(FAILED, name, told, settings)
        return StoppedError(told)

    def _refused(self, error: Exception) -> StoppedError:
        """There is no first page: says at which step that shows."""
        told = str(error)
        status = error.status if isinstance(error, ApiError) else None
        if status in (401, 403):
            place = self._accepted_place()
            if place is not None:
                told = f"{told}. The API accepts {place.description}"
            settings = {f"client.{k}": v for k, v in place.client.items()} if place else {}
            return self._fail("key", told, settings)
        if not self.answers:
            return self._fail("reachable" if status is None else "answer", told)
        lists = detect.lists_of_rows(_document(self.answers[-1]))
        lists = {path: rows for path, rows in lists.items() if path != self.selector}
        if not isinstance(error, ApiError):
            return self._fail("paging", f"the paginator does not fit the answer: {told}"[:300])
        if self.selector and lists:
            found = ", ".join(
                f"{counted(len(rows), 'row')} at {path}" for path, rows in lists.items()
            )
            told = f'there is no list of rows at "{self.selector}", but {found}'
            return self._fail("rows", told, {f"{ENDPOINT}.data_selector": next(iter(lists))})
        return self._fail("rows", told)

    def _accepted_place(self) -> KeyPlace | None:
        """Where the key is accepted, of the common places, for an API that refuses it."""
        if not self.authentication.has_key or self.listing.session.traffic.requests > 1:
            return None
        found = init.Discovery(
            self.config["client"]["base_url"],
            str(self.endpoint["path"]),
            self.listing.session.settings,
            self.authentication,
            Report(),
        )
        try:
            place = found.accepted_place()
        except ApiError:
            return None
        finally:
            self.report.requests += found.asked
        return place

    def _tell_rows(self) -> None:
        rows, lists = self._raw_rows(), detect.lists_of_rows(_document(self.first))
        if not self.selector:
            best = next(iter(lists), "")
            settings = {f"{ENDPOINT}.data_selector": best} if best else None
            told = f"{counted(len(rows), 'row')}, found by guessing: no data_selector is set"
            self.report.add(NOTE, "rows", told, settings)
            return
        where = "as the whole answer" if self.selector == "$" else f'at "{self.selector}"'
        told = f"{counted(len(rows), 'row')} {where}"
        if rows:
            self.report.add(OK, "rows", told)
        else:
            self.report.add(NOTE, "rows", f"{told}; without one, fields cannot be looked at")

    def _raw_rows(self) -> list[Any]:
        return list(getattr(self.first, "rows", []))

    def _tell_fields(self) -> None:
        rows = [row for row in self.rows if isinstance(row, dict)]
        if not rows:
            if self.rows:
                raise self._fail("fields", "the rows are no objects; check data_selector")
            return
        proposed = detect.field_proposals(self._raw_rows())
        present = [n for n in detect.CANONICAL if any(row.get(n) is not None for row in rows)]
        missing = [name for name in detect.CANONICAL if name not in present]
        unread = [n for n in ("start_time", "end_time") if any(_unread(row, n) for row in rows)]
        with_unit = [n for n in unread if n in proposed and proposed[n].has_unit]
        found = detect.field_settings(proposed, [*missing, *with_unit])
        settings: dict[str, Any] = {f"fields.{name}": setting for name, setting in found.items()}
        told = ", ".join(present) if not missing else f"found {', '.join(present) or 'none'}"
        if missing:
            told += f"; missing, or null in all rows: {', '.join(missing)}"
            unknown = [name for name in missing if name not in proposed]
            told += f"; nothing looks like {', '.join(unknown)}" if unknown else ""
        if unread:
            told += f"; cannot be read as a time: {', '.join(unread)}"
        naive = [n for n in ("start_time", "end_time") if any(_is_naive(row, n) for row in rows)]
        if naive:
            told += f"; without a time zone, so taken for UTC: {', '.join(naive)}"
            settings |= {f"fields.{name}": name for name in naive if name not in missing}
            settings["fields.timezone"] = "UTC"
        keyless = any(row.get("id") is None for row in rows)
        if keyless and "id" in present:
            told += "; some rows have no id, and will be set aside"
        state = FAILED if "id" in missing else NOTE if missing or unread or naive else OK
        self.report.add(NOTE if keyless and state == OK else state, "fields", told, settings)
        canonical = {name: _loaded(rows[0], name) for name in detect.CANONICAL}
        others = {n: v for n, v in rows[0].items() if n not in canonical and v is not None}
        plain = [(n, v) for n, v in others.items() if not isinstance(v, list | dict)]
        if "status" in others:
            plain.sort(key=lambda one: one[0] != "status")
        self.report.show({**canonical, **dict(plain[:FIELDS_SHOWN])})

    @property
    def _asked(self) -> tuple[str, int]:
        """Setting and number of the page size that is asked for, 0 if none is."""
        if isinstance(self.walk, OffsetScan):
            return f"{ENDPOINT}.paginator.limit", self.walk.limit
        for name in init.SIZES:
            value = str((self.endpoint.get("params") or {}).get(name, ""))
            if value.isdecimal():
                return f"{ENDPOINT}.params.{name}", int(value)
        return "", 0

    def _tell_page_size(self, more: bool) -> None:
        setting, asked = self._asked
        came = len(self.page)
        if not asked:
            self.report.add(OK, "page size", f"none is asked for; {counted(came, 'row')} came")
        elif came > asked:
            told = f"{asked} rows asked for, {came} came: the API ignores it"
            self.report.add(NOTE, "page size", told)
        elif came < asked and more:
            told = f"{asked} rows asked for, {came} came: the API grants less"
            self.report.add(NOTE, "page size", told, {setting: came} if came else None)
        else:
            self.report.add(OK, "page size", f"{asked} rows asked for, {came} came")

    def _tell_total(self) -> None:
        came = len(self.page)
        document, total = _document(self.first), self.walk.evidence.total_last
        paths = detect.totals(document, came)
        names = detect.total_headers(self.first.headers, came)
        self.counted = total if total is not None else next(iter((paths | names).values()), 0)
        if total is not None:
            self.report.add(OK, "total", f"the API counts {counted(total, 'row')}")
        elif paths:
            best, value = next(iter(paths.items()))
            offset = isinstance(self.walk, OffsetScan)
            setting = f"{ENDPOINT}.paginator.total_path" if offset else "scan.total_path"
            told = f'no total is read, but the API counts {value:,} rows at "{best}"'
            self.report.add(NOTE, "total", told, {setting: best})
        elif names:
            best, value = next(iter(names.items()))
            told = f"no total is read, but the API counts {value:,} rows in the header {best}"
            self.report.add(NOTE, "total", told, {"scan.total_header": best})
        else:
            told = "the API counts its rows nowhere"
            chained = "cursor" in self._kind or "link" in self._kind
            told += (
                "; the end of its pages has to prove that all came"
                if chained
                else ": that all came cannot be proven"
            )
            self.report.add(OK if chained else NOTE, "total", told)

    @property
    def _kind(self) -> str:
        return self.walk.evidence.paging.replace("touching", "offsets").replace("plain", "offsets")

    def _try_second_page(self, pages: Iterator[Any]) -> bool:
        """Whether it brings further rows."""
        way = self._way()
        if not self.continues:
            if self.counted > len(self.page):
                came = len(self.page)
                told = f"the API counts {self.counted:,} rows and gave {came}, as the only page"
                if not way:
                    told += "; events-assets init tries the common ways to the next one"
                raise self._fail("second page", told, way)
            if way and self.page:
                told = "the API has a next page, but the paginator ends here"
                raise self._fail("second page", told, way)
            self.report.add(OK, "second page", f"{self._kind}: all rows are on one page")
            return False
        try:
            next(pages, None)
            second, touches = self.walk.page, self.walk.evidence.touching
            if second == self.page and isinstance(self.walk, OffsetScan) and second:
                next(pages, None)  # perhaps it takes only multiples of the limit
                second, touches = self.walk.page, False
        except FAULTS as error:
            raise self._fail("second page", f"the second page fails: {error}", way) from None
        if isinstance(self.walk, PageNumberScan):
            self._judge_numbers(second, way)
        else:
            self._judge(second, touches, way)
        return not set(second) <= set(self.page)

    def _judge(self, second: list[Hashable], touches: bool, way: dict[str, Any]) -> None:
        shared = len(set(self.page) & set(second))
        if len(self.answers) < 2 or not second:
            told = f"{self._kind}: empty, all rows are on the first page"
            self.report.add(OK, "second page", told)
        elif second == self.page and len(second) > 1:
            told = (
                f"{self._kind}: the same as the first, the API ignores the paging parameter; "
                f"events-assets init tries the common ones"
            )
            raise self._fail("second page", told, way)
        elif isinstance(self.walk, OffsetScan) and touches and shared:
            told = f"{len(second)} rows, {shared} shared with the first page, so the two touch"
            self.report.add(OK, "second page", f"{self._kind}: {told}")
        elif isinstance(self.walk, OffsetScan):
            told = (
                f"{self._kind}: the API takes only multiples of the limit, so that pages cannot "
                f"touch; its total has to prove that all came"
            )
            self.report.add(NOTE, "second page", told, {"scan.overlap": 0})
        else:
            told = f"{len(second)} rows, {shared or 'none'} of them on the first page too"
            self.report.add(NOTE if shared else OK, "second page", f"{self._kind}: {told}")

    def _judge_numbers(self, second: list[Hashable], way: dict[str, Any]) -> None:
        """Also whether numbers start at 0 or at 1."""
        walk = self.walk
        assert isinstance(walk, PageNumberScan)  # noqa: S101, asked before
        first, name = walk.initial_value, walk.param_name or walk.param_body_path
        base = f"{ENDPOINT}.paginator.base_page"
        if second == self.page and len(second) > 1 and not first:
            if set(self._page_at(2)) & set(self.page):
                told = f"the same as the first, the API ignores {name}"
                raise self._fail("second page", f"{self._kind}: {told}", way)
            told = f"{self._kind}: the pages 0 and 1 are the same, so numbers start at 1"
            self.report.add(NOTE, "second page", told, {base: 1})
            return
        self._judge(second, False, way)
        if first and (before := self._page_at(first - 1)) and not set(before) & set(self.page):
            told = f"there are rows at {name}={first - 1}, before the first page asked for"
            self.report.add(FAILED, "numbering", told, {base: first - 1})
        else:
            self.report.add(OK, "numbering", f"{name} starts at {first}")

    def _page_at(self, number: int) -> list[Hashable]:
        """Identities of the rows of a page, none if there is no such page."""
        walk, session = self.walk, self.listing.session
        assert isinstance(walk, PageNumberScan)  # noqa: S101, asked before
        request = walk.position.moved(self.first.request, number)
        try:
            environment = session.merge_environment_settings(request.url, {}, True, None, None)
            response = session.send(request, **environment)
        except (ApiError, IgnoreResponseException):
            return []
        return walk.identities(walk.map_rows(getattr(response, "rows", [])))

    def _try_order(self, leg: Leg) -> None:
        if len(self.page) < 2:
            return
        try:
            next(leg.pages(), None)
        except FAULTS as error:
            raise self._fail("order", f"the same request once more fails: {error}") from None
        if self.walk.page == self.page:
            self.report.add(OK, "order", "two identical requests give the same rows in one order")
        else:
            told = (
                "two identical requests give other rows, or another order; ask for a fixed order "
                "by a parameter of the API, often named like this"
            )
            self.report.add(NOTE, "order", told, {f"{ENDPOINT}.params": {"sort": "id"}})

    def _way(self) -> dict[str, Any]:
        """The paginator that the answer itself suggests, other than the configured one."""
        document = _document(self.first)
        paginator, _ = detect.link_to_next(document, self.first.headers)
        if not paginator and (cursors := detect.cursors(document)):
            path = next(iter(cursors))
            paginator = {"type": "cursor", "cursor_path": path, "cursor_param": "cursor"}
        if not paginator:
            return {}
        kind = self.paginator if isinstance(self.paginator, str) else (self.paginator or {})
        kind = kind.get("type", "auto") if isinstance(kind, Mapping) else kind
        return {} if paginator["type"] == kind else {f"{ENDPOINT}.paginator": paginator}


def _document(response: requests.Response) -> Any:
    try:
        return document_of(response)
    except NotAPageError:
        return None


def _loaded(row: Mapping[str, Any], name: str) -> Any:
    """A value as its column will hold it."""
    value = row.get(name)
    if value is None or not name.endswith("_time"):
        return value
    time = _time(value)
    return str(value) if time is None else time.isoformat(sep=" ")


def _time(value: Any) -> datetime | None:
    """The instant that dlt makes of a value, None if it makes none."""
    try:
        time = coerce_value("timestamp", py_type_to_sc_type(type(value)), value)
        return datetime.fromisoformat(str(time)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _unread(row: Mapping[str, Any], name: str) -> bool:
    """Whether a time is none, or one that only a number in the wrong unit can mean."""
    value = row.get(name)
    if value is None:
        return False
    time = _time(value)
    return time is None or (isinstance(value, int | float) and time.year > detect.LAST_YEAR)


def _is_naive(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False
