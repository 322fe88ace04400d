"""The request for a list, without paging: as it is configured, or for one parent of its rows."""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import requests
from dlt.common.jsonpath import set_value_at_path
from dlt.sources.helpers.rest_client.utils import join_url
from dlt.sources.rest_api.config_setup import (
    create_response_hooks,
    expand_placeholders,
    make_parent_key_name,
)
from dlt.sources.rest_api.typing import ResolvedParam

from events_assets.errors import UnaddressableError
from events_assets.json_path import value_at
from events_assets.paging.base import Ask
from events_assets.paging.windows import Window
from events_assets.scan.changes import Changes


@dataclass(frozen=True, eq=False)
class ListRequest:
    """The request for a list, or for the part of it that depends on one parent.

    `inherited` are fields that its rows get from that parent.
    """

    method: str
    url: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    data: Any = None
    hooks: Mapping[str, Any] = field(default_factory=dict)
    inherited: dict[str, Any] = field(default_factory=dict)

    def within(self, window: Window | None) -> "ListRequest":
        """The same of one window."""
        if window is None:
            return self
        return replace(self, params={**self.params, **window.parameters()})

    def asking(self, ask: Ask) -> requests.Request:
        """The request for one page."""
        json = deepcopy(self.json or {}) if ask.body else self.json
        for path, value in ask.body:
            set_value_at_path(json, path, value)
        request = requests.Request(
            method=self.method,
            url=ask.url or self.url,
            headers=dict(self.headers),
            params=None if ask.url else {**self.params, **dict(ask.params)},
            json=json,
            data=self.data,
            hooks=dict(self.hooks),
        )
        return ask.change(request) if ask.change else request


class ListRequests:
    """Gives the request for the list of a parent, or for a list that depends on none.

    Args:
        client: `client` in dlt's vocabulary, its secrets filled in.
        endpoint: the endpoint, likewise, with what dlt's defaults say.
        parameters: what dlt fills in from a parent.
        inherited: fields of a parent that its rows get (`include_from_parent`).
        changes: what asks for those since the last load.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        endpoint: Mapping[str, Any],
        parameters: Sequence[ResolvedParam] = (),
        inherited: Sequence[str] = (),
        changes: Changes | None = None,
    ) -> None:
        bound = {one.param_name for one in parameters}
        if changes and changes.start_param:
            bound.add(changes.start_param)
        self._changes = changes
        params = endpoint.get("params") or {}
        self._base_url, self._path = client["base_url"], endpoint["path"]
        self._method = str(endpoint.get("method", "GET")).upper()
        self._headers = client.get("headers") or {}
        self._own_headers = endpoint.get("headers") or {}
        self._params = {name: value for name, value in params.items() if name not in bound}
        self._json, self._data = endpoint.get("json"), endpoint.get("data")
        self._hooks = create_response_hooks(endpoint.get("response_actions")) or {}
        self._parameters = [
            (one.param_name, one.resolve_config["field"], value_at(one.resolve_config["field"]))
            for one in parameters
        ]
        self._in_path = {name for _, name, _, _ in string.Formatter().parse(self._path) if name}
        self._inherited = {
            make_parent_key_name(parameters[0].resolve_config["resource"], name): name
            for name in inherited
        }

    def __call__(self, parent: Any = None) -> ListRequest:
        """The request.

        Raises:
            UnaddressableError: the parent has nothing by which its list can be asked for.
        """
        values: dict[str, Any] = {}
        quoted: dict[str, str] = {}
        for name, path, find in self._parameters:
            values[name] = _addressing(parent, path, find)
            if name in self._in_path:
                quoted[name] = _part_of_path(values[name], path)
        asked: dict[str, Any] = {}
        if self._changes:
            known = self._changes.placeholders()
            asked, values = self._changes.parameters(), {**values, **known}
            quoted |= {name: _part_of_path(one, name) for name, one in known.items() if one}
        path = expand_placeholders(self._path, quoted)
        return ListRequest(
            method=self._method,
            url=url_of(self._base_url, path),
            headers={**self._headers, **expand_placeholders(self._own_headers, values)},
            params=_filled(self._params, values) | asked,
            json=_filled(self._json, values, preserve_value_type=True),
            data=_filled(self._data, values),
            hooks=self._hooks,
            inherited={own: parent.get(name) for own, name in self._inherited.items()},
        )


def url_of(base_url: str, path: str) -> str:
    """Where a list is: its path below the base URL, or all of the URL in its place."""
    return path if re.match(r"[a-z]+://", path, re.IGNORECASE) else join_url(base_url, path)


def _filled(value: Any, values: Mapping[str, Any], **how: bool) -> Any:
    """A part of the request with values in their places, as far as there are any."""
    return expand_placeholders(_sayable(value, values), dict(values), **how)


def _sayable(value: Any, values: Mapping[str, Any]) -> Any:
    """A table without the entries for which there is no value yet."""
    unknown = [f"{{{name}}}" for name, one in values.items() if one is None]
    if not isinstance(value, Mapping) or not unknown:
        return value
    return {
        key: _sayable(one, values)
        for key, one in value.items()
        if not (isinstance(one, str) and any(name in one for name in unknown))
    }


def _addressing(parent: Any, path: str, find: Callable[[Any], Any]) -> Any:
    """The value at a path of a parent, by which its list is asked for.

    Raises:
        UnaddressableError: there is none.
    """
    if not isinstance(parent, dict):
        raise UnaddressableError("not an object")
    value = find(parent)
    if value is None:
        keys = ", ".join([*parent][:10]) or "nothing"
        raise UnaddressableError(f"its {path} is null or missing; it has {keys}")
    if value == "":
        raise UnaddressableError(f"its {path} is empty")
    return value


def _part_of_path(value: Any, path: str) -> str:
    """A value percent-encoded: an id with a slash would lead to another path, and one with a hash
    to the rows of another id.

    Raises:
        UnaddressableError: it can be no part of a path.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnaddressableError(f"its {path} is neither text nor number")
    if value in (".", ".."):  # encoded or not, it would be resolved (RFC 3986 5.2.4)
        raise UnaddressableError(f'its {path} is "{value}", which leads to another path')
    try:
        return quote(str(value), safe="")
    except UnicodeEncodeError:
        raise UnaddressableError(f"its {path} has half a surrogate pair") from None
