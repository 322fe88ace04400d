"""Finds out how an unknown API wants to be asked, for `events-assets init`."""

import copy
from typing import Any

from events_assets.authentication import Authentication
from events_assets.commands import address, detect
from events_assets.commands.ask import Answer, Api
from events_assets.commands.location import NO_KEY, PLACES, KeyPlace, challenge, in_query, likeliest
from events_assets.commands.pages import EventList, Total, Way, find_total, way_through
from events_assets.commands.parameters import SIZES as SIZES
from events_assets.commands.report import FAILED, NOTE, OK, Report, counted
from events_assets.commands.toml_file import Description
from events_assets.errors import ApiError
from events_assets.settings import HttpSettings


class Discovery:
    """The dialogue with an API; `report` hears each step of it.

    Args:
        place: where the key goes; None: the common places are tried.
    """

    def __init__(
        self,
        base_url: str,
        path: str,
        settings: HttpSettings,
        authentication: Authentication,
        report: Report,
        place: KeyPlace | None = None,
    ) -> None:
        self.base_url, self.path, self.place = base_url, path, place
        self.authentication, self.report = authentication, report
        # A server error may be what the API thinks of a parameter; only these pass by waiting.
        self.settings = copy.copy(settings)
        self.settings.retry_statuses = [429, 503]
        self._apis: list[Api] = []

    @property
    def asked(self) -> int:
        """Requests sent so far."""
        return sum(api.asked for api in self._apis)

    def run(self) -> Description | None:
        """What was found out, None where it is too little to be written."""
        try:
            return self._run()
        except ApiError as error:
            self.report.add(FAILED, "reachable", str(error))
            return None
        finally:
            self.report.requests = self.asked

    def _run(self) -> Description | None:
        self._clean_address()
        place = self.accepted_place()
        events = self._find_rows() if self._is_let_in(place) else None
        if place is None or events is None:
            return None
        way = way_through(events)
        self.report.add(OK if way.is_understood else NOTE, "paging", way.finding)
        total = find_total(events, way.params)
        self._report_total(total)
        client = {"base_url": self.base_url, **place.client}
        return Description(client, *_described(events, way, total), self._find_fields(events))

    def accepted_place(self) -> KeyPlace | None:
        """The first place of the key that is accepted, None if none is.

        Raises:
            ApiError: the API cannot be reached.
        """
        places = [self.place or NO_KEY]
        for place in places:
            sent = place.client if self.authentication.has_key else {}
            api = Api({"base_url": self.base_url, **sent}, self.authentication, self.settings)
            self._apis.append(api)
            self.first = api.get(self.path)
            self.path = address.path_after(self.first.redirected_to, self.base_url, self.path)
            if self.first.status not in (401, 403):
                return place
            if place is NO_KEY and self.authentication.has_key and not self.place:
                places += likeliest(self.first.headers)
        return None

    def _clean_address(self) -> None:
        clean = address.cleaned(self.base_url, self.path, self.authentication.redaction)
        self.base_url, self.path = clean.base_url, clean.path
        if clean.key_name:
            self.place = self.place or in_query(clean.key_name)
        if clean.paging:
            dropped = ", ".join(clean.paging)
            finding = f"{dropped} left out: init finds out how pages are asked for"
            self.report.add(NOTE, "path", finding)

    def _is_let_in(self, place: KeyPlace | None) -> bool:
        if place is None:
            tried = [self.place] if self.place else [*PLACES]
            finding = _refusal(self.first, tried if self.authentication.has_key else [])
            self.report.add(FAILED, "key", finding)
            return False
        self.report.add(OK, "reachable", f"answered in {self.first.seconds:.1f} s")
        if not self.first.succeeded:
            self.report.add(FAILED, "answer", _why_unusable(self.first, self.base_url))
            return False
        finding = "the API answers without a key"
        if place.client:
            finding = f"accepted: {place.description}"
        elif self.authentication.has_key and not self.place:
            finding += ", so none is sent; --key-in says where to send it all the same"
        self.report.add(OK, "key", finding)
        return True

    def _find_rows(self) -> EventList | None:
        lists = detect.lists_of_rows(self.first.document)
        tables = detect.lists_of_lists(self.first.document)
        selector, rows = next(iter(lists.items()), ("", []))
        fields = detect.field_proposals(rows)
        if not lists or (tables and "id" not in fields):
            finding = "there is no list of objects in the answer; check the path"
            if tables:
                finding = (
                    f'the rows at "{tables[0]}" are lists of values, not objects; ask for objects '
                    f"by a parameter of the API, in the path"
                )
            self.report.add(FAILED, "rows", finding)
            return None
        where = "the answer is the list" if selector == "$" else f'the list at "{selector}"'
        others = [path for path in lists if path != selector and lists[path]]
        finding = f"{counted(len(rows), 'row')}: {where}"
        finding += f"; other lists are at: {', '.join(others[:5])}" if others else ""
        self.report.add(OK if rows else NOTE, "rows", finding)
        key = str(fields["id"].setting).strip("'") if "id" in fields else "id"
        return EventList(self._apis[-1], self.path, selector, key, self.first)

    def _report_total(self, total: Total | None) -> None:
        if total is None:
            finding = (
                "the API counts its rows nowhere; whether all came cannot be proven by a total"
            )
            return self.report.add(NOTE, "total", finding)
        place = f"in the header {total.place}" if total.in_header else f'at "{total.place}"'
        finding = f"the API counts {counted(total.rows, 'row')} {place}"
        for name, value in [*(total.params or total.headers).items()][:1]:
            finding += f", asked for by {name}={value}"
        return self.report.add(OK, "total", finding)

    def _find_fields(self, events: EventList) -> dict[str, Any]:
        rows = events.first_rows
        if not rows:
            return {}
        found = detect.field_proposals(rows)
        named = [name for name in detect.CANONICAL if name in rows[0]]
        renamed = [name for name in found if name not in named or found[name].has_unit]
        missing = [n for n in detect.CANONICAL if n not in named and n not in found]
        settings = detect.field_settings(found, renamed)
        texts = [
            f"{name} ← {_path(settings[name])}" if name in settings else name
            for name in detect.CANONICAL
            if name not in missing
        ]
        parts = [", ".join(texts), f"not found: {', '.join(missing)}" if missing else ""]
        self.report.add(NOTE if missing else OK, "fields", "; ".join(filter(None, parts)))
        return settings


def _described(
    events: EventList, way: Way, total: Total | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Endpoint and scan; a total stands where the paginator reads it, that of offsets, else in the
    scan's settings."""
    paginator, params, headers, scan = way.paginator, way.params, {}, {}
    if total:
        params, headers = params | total.params, total.headers
        if total.in_header:
            scan = {"total_header": total.place}
        elif paginator["type"] != "offset":
            scan = {"total_path": total.place}
        elif total.place != "total":  # where offset paging looks by itself
            paginator = paginator | {"total_path": total.place}
    optional = {"headers": headers, "params": params}
    endpoint = {
        "path": events.path,
        "data_selector": events.selector,
        **{name: table for name, table in optional.items() if table},
        "paginator": paginator,
    }
    return endpoint, scan


def _refusal(answer: Answer, tried: list[KeyPlace]) -> str:
    finding = f"the API answers {answer.status}{_quoted(answer)}"
    where = "(API_KEY, or api_key in .dlt/secrets.toml)"
    if not tried:
        return f"{finding} and there is no key: set API_KEY, or api_key in .dlt/secrets.toml"
    descriptions = "; ".join(place.description for place in tried).replace("; the key ", "; ")
    if challenge(answer.headers) == "basic":
        return (
            f"{finding}, with {descriptions}. It asks for a user and a password: give "
            f"--key-in basic:USER, and the password as the key {where}"
        )
    return (
        f"{finding}, with {descriptions}. Check the key {where}, or say where it goes, like "
        f"--key-in header:NAME"
    )


def _why_unusable(answer: Answer, base_url: str) -> str:
    if 200 <= answer.status < 300:
        kind = answer.headers.get("Content-Type", "").split(";")[0] or "something else"
        return f"the answer is {kind}, not JSON; is {base_url} the API, or a page for people?"
    hint = ": nothing is at this path; check base URL and path" if answer.status == 404 else ""
    return f"the API answers {answer.status}{_quoted(answer)}{hint}"


def _quoted(answer: Answer) -> str:
    return f' ("{answer.said}")' if answer.said else ""


def _path(setting: str | dict[str, str]) -> str:
    return setting if isinstance(setting, str) else f"{setting['path']} (Unix {setting['unit']})"
