"""The address of a list of events, as people paste it and as it is written."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from events_assets.commands.detect import is_time
from events_assets.commands.parameters import CURSORS, PAGING, SPANS
from events_assets.http.redaction import Redaction


@dataclass(frozen=True)
class Address:
    """Base URL and path; and of what was taken out of them, the name of the parameter that was the
    key, and the parameters that asked for one page."""

    base_url: str
    path: str
    key_name: str
    paging: list[str]


def cleaned(base_url: str, path: str, redaction: Redaction) -> Address:
    """Takes out what asks for one page of the list, which would go along with every request, so
    that a load would begin there; and the key, which is to stand in no file. Other parameters
    stay, those of the base URL in the path."""
    base_url, _, base_query = base_url.partition("?")
    path, _, query = path.partition("?")
    parameters = [*filter(None, f"{base_query}&{query}".split("&"))]
    keys = [p for p in parameters if redaction.text(p) != p]
    paging = [p for p in parameters if p not in keys and _asks_for_a_page(p)]
    kept = "&".join(p for p in parameters if p not in [*keys, *paging])
    key_name = unquote_plus(keys[0].partition("=")[0]) if keys else ""
    return Address(base_url, f"{path}?{kept}" if kept else path, key_name, paging)


def _asks_for_a_page(parameter: str) -> bool:
    """Whether a parameter, as it is written in a query, is one of paging; a date is none."""
    name, value = next(iter(parse_qsl(parameter)), ("", ""))
    number = value.isdecimal() and not is_time(value)
    return name in PAGING and (number or (name in CURSORS and name not in SPANS))


def path_after(redirect: str, base_url: str, path: str) -> str:
    """The path that a redirect leads to, so that no further request is sent twice; the old one
    where another path would be another list."""
    base, (plain, mark, query) = urlsplit(base_url).path, path.partition("?")
    moved = "/" + urlsplit(redirect).path.removeprefix(base).lstrip("/")
    same = urlsplit(redirect).path.startswith(base) and moved.strip("/") == plain.strip("/")
    return moved + mark + query if redirect and same else path
