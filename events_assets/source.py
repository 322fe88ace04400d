"""Builds the dlt source from a REST API configuration: dlt's own, over the lossless transport."""

import json
import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import dlt
from dlt.extract import DltResource, DltSource
from dlt.sources.rest_api import rest_api_resources
from dlt.sources.rest_api.typing import RESTAPIConfig

from events_assets import configuration
from events_assets.configuration import ConfigurationError
from events_assets.transport.pages import rows_of
from events_assets.transport.paging import OffsetScan
from events_assets.transport.redaction import MIN_SECRET_LENGTH, Redaction
from events_assets.transport.rows import Identity
from events_assets.transport.scan import Scan, only_rows
from events_assets.transport.session import ApiSession

EVENT_COLUMNS: dict[str, Any] = {
    "id": {"nullable": False},
    "event_name": {"data_type": "text"},
    "start_time": {"data_type": "timestamp", "timezone": True},
    "end_time": {"data_type": "timestamp", "timezone": True},
}
"""Canonical columns: they exist also where every value is null. `id` is typed by its data."""

KEY_FIELDS = {"api_key": "api_key", "bearer": "token", None: "token"}
"""Where dlt's authentication types take the key."""

SECRET_FIELDS = ("api_key", "token", "password", "client_secret", "access_token")
"""Fields of dlt's authentication types that nobody may see."""


def events_source(
    config: RESTAPIConfig,
    api_key: str | None = None,
    *,
    run_id: str | None = None,
    log: logging.Logger | None = None,
) -> DltSource:
    """A dlt source named `events` with one resource for each one configured.

    Each scan of a resource ends with a row in `scan_receipts`.

    Args:
        config: the API in dlt's vocabulary, without its key.
        api_key: the key, put where `auth` says.
        run_id: identifies the run in the receipts.
        log: told about retries and repeated scans.

    Raises:
        ConfigurationError: `auth` needs a key and there is none, or it is too short to be masked.
    """
    log = log or logging.getLogger("events_assets")
    config = deepcopy(config)
    _authenticate(config, api_key)
    redaction = redaction_of(config, api_key)
    defaults = cast(dict[str, Any], config.get("resource_defaults") or {})
    resources: list[Any] = []
    dependent: list[Any] = []
    for entry in config["resources"]:
        resource = {"name": entry} if isinstance(entry, str) else cast(dict[str, Any], entry)
        if "{resources." in json.dumps(resource) or '"resolve"' in json.dumps(resource):
            dependent.append(resource)
            continue
        session = _session(config, redaction, log)
        resources.append(_scanned(config, defaults, resource, session, run_id))
    if dependent:
        client = {**config["client"], "session": _session(config, redaction, log)}
        names = {resource["name"] for resource in dependent}
        resources = rest_api_resources(
            cast(RESTAPIConfig, {**config, "client": client, "resources": resources + dependent})
        )
        for built in resources:
            if built.name in names:
                only_rows(built)

    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return resources

    return events()


def events_outline() -> DltSource:
    """The resources that `events_source` will have, by name: for definitions, which need no key."""

    @dlt.source(name="events", section="events")
    def events() -> list[DltResource]:
        return [dlt.resource([], name=name) for name in configuration.resource_names()]

    return events()


def _session(config: RESTAPIConfig, redaction: Redaction, log: logging.Logger) -> ApiSession:
    settings = configuration.http_settings()
    return ApiSession(config["client"]["base_url"], settings, redaction, log)


def _scanned(
    config: RESTAPIConfig,
    defaults: Mapping[str, Any],
    resource: dict[str, Any],
    session: ApiSession,
    run_id: str | None,
) -> DltResource:
    """One resource of dlt's REST API source, on a session of its own, wrapped in a scan."""
    name = resource["name"]
    if name == "events":
        resource["columns"] = {**EVENT_COLUMNS, **resource.get("columns", {})}
    key = resource.get("primary_key", defaults.get("primary_key"))
    identity = Identity([key] if isinstance(key, str) else list(key or []))

    fields = configuration.fields() if name == "events" else None

    endpoint = _endpoint(defaults, resource)
    resource["endpoint"] = endpoint
    paginator = endpoint.get("paginator", config["client"].get("paginator"))
    page_size = None
    selector = endpoint.get("data_selector")
    if isinstance(paginator, dict) and paginator.get("type") == "offset":
        options = {option: value for option, value in paginator.items() if option != "type"}
        overlap = configuration.scan_settings().overlap
        identities = (lambda rows: identity(fields.map(rows, name))) if fields else identity
        walk = OffsetScan(identities, overlap, **options)
        endpoint["paginator"] = walk
        page_size = walk.limit
        if selector:
            session.check = lambda response: walk.require_promised(
                response, rows_of(response, selector)
            )
    elif selector and paginator != "single_page":
        session.check = lambda response: rows_of(response, selector)

    client = {**config["client"], "session": session}
    (built,) = rest_api_resources(
        cast(RESTAPIConfig, {**config, "client": client, "resources": [resource]})
    )
    return Scan(name, identity, session, page_size, run_id, fields).wrap(built)


def _endpoint(defaults: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint of a resource as a table, with what the defaults say of paging and rows."""
    endpoint = resource.get("endpoint", resource["name"])
    endpoint = {"path": endpoint} if isinstance(endpoint, str) else dict(endpoint)
    shared = defaults.get("endpoint")
    if isinstance(shared, Mapping):
        for option in ("paginator", "data_selector"):
            if option in shared:
                endpoint.setdefault(option, shared[option])
    return endpoint


def redaction_of(config: RESTAPIConfig, api_key: str | None) -> Redaction:
    """What masks the key, and any other secret that `auth` holds.

    Raises:
        ConfigurationError: a secret in `auth` is too short to be masked.
    """
    auths: list[Any] = [config["client"].get("auth")]
    for resource in config["resources"]:
        endpoint = resource.get("endpoint") if isinstance(resource, dict) else None
        auths.append(endpoint.get("auth") if isinstance(endpoint, dict) else None)
    # A short key that `auth` does not use is no secret; one that it uses is refused below.
    secrets = [api_key] if api_key and len(api_key) >= MIN_SECRET_LENGTH else []
    for auth in auths:
        for field in SECRET_FIELDS:
            secret = auth.get(field) if isinstance(auth, dict) else None
            if isinstance(secret, str) and secret:
                secrets.append(_long_enough(secret))
    return Redaction(*secrets)


def _authenticate(config: RESTAPIConfig, api_key: str | None) -> None:
    """Puts the key where `client.auth` says."""
    auth: Any = config["client"].get("auth")
    auth = {"type": auth} if isinstance(auth, str) else auth
    field = KEY_FIELDS.get(auth.get("type")) if isinstance(auth, dict) else None
    if field is None or auth.get(field):
        return
    if api_key is None:
        raise ConfigurationError(
            "the API needs a key and there is none: set the environment variable API_KEY, or "
            "copy .dlt/example.secrets.toml to .dlt/secrets.toml and put it there"
        )
    config["client"]["auth"] = cast(Any, {**auth, field: _long_enough(api_key)})


def _long_enough(secret: str) -> str:
    if len(secret) < MIN_SECRET_LENGTH:
        raise ConfigurationError(
            f"the API key is shorter than {MIN_SECRET_LENGTH} characters, too short to be kept "
            f"out of logs and tables; use a longer one (API_KEY, or api_key in secrets.toml)"
        )
    return secret
