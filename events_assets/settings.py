"""The settings of our own in `[sources.events]`: one model for each section, with its defaults.

Units and meaning stand below each field; `docs/config.schema.json` is made from them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

import pydantic
from dlt.common.configuration.utils import auto_cast
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from events_assets.errors import ConfigurationError, UnreadableTimeError
from events_assets.json_path import finder

SAMPLE = "sample"
"""The `client.base_url` that stands for the built-in sample API."""

OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(2[0-3]|[01]?[0-9])(?::?([0-5][0-9]))?")

OWNER = re.compile(r"team:.+|[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")

SIZE = re.compile(r"([1-9][0-9]*) ?([KMG])?B", re.IGNORECASE)
UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}


class EnvironmentText(str):
    """The text of an environment variable, of which the type is still to be found."""


class TomlTable(
    pydantic.BaseModel, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
):
    """A table of settings: no other keys, and values of just these types."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, table: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in table if isinstance(table, Mapping) else ():
            if key not in known:
                raise PydanticCustomError("unknown", "unknown key", {"key": key, "known": known})
        return table


class Settings(TomlTable):
    """A table of settings of our own; they may be texts of the environment."""

    @pydantic.field_validator("*", mode="wrap")
    @classmethod
    def _read_environment(cls, value: Any, handler: Any) -> Any:
        if not isinstance(value, EnvironmentText):
            return handler(value)
        meant = auto_cast(str(value))
        for one in (meant, str(value)):
            with suppress(pydantic.ValidationError):
                return handler(one)
        return handler(meant)

    @pydantic.model_validator(mode="after")
    def _is_sound(self) -> Self:
        for fault in self.faults():
            raise ValueError(fault)
        return self

    def faults(self) -> Iterator[str]:
        """What settings that contradict each other are told."""
        yield from ()


@lru_cache(maxsize=4096)
def zone(name: str) -> tzinfo:
    """The zone of an IANA name, of `UTC` or `Z`, or of an offset like `+02:00`. Raises
    UnreadableTimeError where there is none."""
    if name in ("UTC", "Z", "z"):
        return UTC
    if name in _zones():
        return ZoneInfo(name)
    offset = OFFSET.fullmatch(name)
    if offset is None:
        raise UnreadableTimeError(name)
    sign, hours, minutes = offset.groups(default="0")
    distance = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-distance if sign == "-" else distance)


@cache
def _zones() -> set[str]:
    return available_timezones() - {"localtime", "Factory"}


def _iana_name(name: str) -> str:
    if name != "UTC" and name not in _zones():
        use = 'use an IANA name like "Europe/Lisbon"'
        raise ValueError(f"is {name!r}, which is no time zone: {use}")
    return name


def _zone_name(name: str) -> str:
    with suppress(UnreadableTimeError):
        zone(name)
        return name
    return _iana_name(name)


def in_bytes(size: str) -> int:
    """Bytes of a size like 256MB. Raises ValueError where it is none."""
    found = SIZE.fullmatch(size)
    if found is None:
        raise ValueError(f'is {size!r}, which is no size: use one like "256MB"')
    return int(found[1]) * UNITS[(found[2] or "").upper()]


def _size(size: str) -> str:
    in_bytes(size)
    return size


def _owner(owner: str) -> str:
    if not OWNER.fullmatch(owner):
        raise ValueError(f'is {owner!r}, which is no owner: use an e-mail address, or "team:..."')
    return owner


def _json_path(path: str) -> str:
    with suppress(ConfigurationError):
        if path:
            finder(path)
        return path
    raise ValueError(f"is {path!r}, which is no JSON path")


def listed(paths: str | list[str] | None) -> list[str]:
    """Paths as a list, however they are configured."""
    return [paths] if isinstance(paths, str) else paths or []


def _format_fault(form: str) -> str | None:
    """Why a format for `strptime` cannot be used."""
    probe = datetime(2026, 11, 23, 14, 35, 7, tzinfo=UTC)
    try:
        whole = datetime.strptime(probe.strftime(form), form).date() == probe.date()
    except ValueError as error:
        return str(error)
    return None if whole else "it says no whole date"


Text = Annotated[str, Field(pattern=r"\S")]
Path = Annotated[Text, AfterValidator(_json_path)]
Paths = Path | Annotated[list[Path], Field(min_length=1)]
"""A JSON path, or several of which the first with a value counts."""
PathOrNone = Annotated[str, AfterValidator(_json_path)]
"""Empty: none, which TOML cannot say; dlt's paginators look at usual places by themselves."""
Zone = Annotated[Text, AfterValidator(_zone_name)]
IanaZone = Annotated[Text, AfterValidator(_iana_name)]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[str, AfterValidator(_size)]
"""A text like 256MB; kB, MB and GB are powers of 1000."""
Seconds = Annotated[float, Field(ge=0)]
Tolerated = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Moment = Annotated[
    str, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value)
]
"""A time as text; TOML has times of its own."""


class HttpSettings(Settings):
    """How requests are made."""

    retry_statuses: list[Annotated[int, Field(ge=100, le=999)]] = [429, 500, 502, 503, 504]
    """These statuses and no others are asked again."""
    max_retries: Count = 3
    """Attempts after the first one."""
    backoff_factor: Seconds = 2.0
    """Seconds before the first retry, doubled for each further one."""
    max_retry_after: Seconds = 300.0
    """Seconds; a server that asks for a longer pause ends the run."""
    retry_after_headers: list[Text] = ["Retry-After", "X-Retry-After"]
    """Headers that say how long to wait: seconds, a date, or a Unix time."""
    max_requests: Count = 0
    """Requests that a run sends in each `period`, all its lists together; 0: any number."""
    period: Annotated[float, Field(gt=0)] = 60.0
    """Seconds in which `max_requests` are counted."""
    remaining_headers: list[Text] = ["X-RateLimit-Remaining", "RateLimit-Remaining"]
    """Headers that count the requests that are left; at 0 the next one waits."""
    reset_headers: list[Text] = ["X-RateLimit-Reset", "RateLimit-Reset"]
    """Headers that say until when to wait then, like `retry_after_headers`."""
    connect_timeout: Annotated[float, Field(gt=0)] = 10.0
    """Seconds."""
    read_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds without a byte."""
    deadline: Seconds = 21600.0
    """Seconds until all scans of a run must have ended, waiting for the warehouse included."""
    max_body: Size = "256MB"
    """The most that is read of an answer, as it is sent and as what it unpacks to."""
    max_headers: Size = "64kB"
    """The most that is read of the headers of an answer."""
    max_redirects: Count = 30
    """Redirects that are followed one after another."""


class ScanSettings(Settings):
    """How pages are walked, and what tells how many rows there are."""

    overlap: Count = 1
    """Rows by which a page starts before the end of the page before; 0: plain offsets."""
    read_ahead: Count = 4
    """Requests under way besides the one that is waited for; 0: one after another."""
    total_path: PathOrNone | None = None
    """JSON path to where the API counts its rows, for any way of paging."""
    total_header: str | None = None
    """Header in which the API counts its rows."""
    absent_when_empty: bool = False
    """Whether the API leaves the list of rows out where there are none."""
    row_key: Text | None = None
    """The field that gets the key of a row, where `data_selector` leads to an object that holds
    rows by their keys."""
    columns_path: Path | None = None
    """JSON path of the names of columns, where rows are lists of values."""
    passes: Annotated[int, Field(ge=1)] = 3
    """So often a list is read at most, where one pass does not prove that nothing is missing."""
    order: Path | None = None
    """JSON path of a field that never changes, by which the API orders its rows."""
    max_pages_factor: Count = 100
    """Pages that a list may have, as a multiple of those that its total makes; 0: any number."""


class WindowSettings(Settings):
    """How deep one may page, and how to ask for less."""

    max_rows: Count = 0
    """Rows that the API lets one page through; 0: any number, no windows."""
    start_param: str | None = None
    """Query parameter for the start of a window."""
    end_param: str | None = None
    """Query parameter for the end of a window."""
    initial_value: Moment = "1970-01-01T00:00:00Z"
    """ISO 8601; events before it are not asked for."""
    end_value: Moment = "2100-01-01T00:00:00Z"
    """ISO 8601; events after it are not asked for."""
    undated: bool = True
    """Whether events without a start time may exist, which are in no window: then the API is asked
    without windows, too, how many there are."""
    format: Text = "%Y-%m-%dT%H:%M:%SZ"
    """Of the parameters: for `strftime`, or `seconds` or `milliseconds` since 1970."""

    def faults(self) -> Iterator[str]:
        if self.max_rows and not (self.start_param and self.end_param):
            yield (
                "has max_rows, which needs start_param and end_param: the query parameters "
                "that ask for the events of a span of time"
            )


class BackfillSettings(Settings):
    """How `events_backfill_job` reads all events, window by window."""

    every: Literal["day", "week", "month", "quarter", "year"] = "month"
    """The span of start times that a window has."""
    workers: Annotated[int, Field(ge=1)] = 4
    """Windows that are read at once, which share max_requests of [sources.events.http]."""
    folder: Text = "data/backfill"
    """Where what was read is kept until all of it is loaded: a folder, or a URL, that all workers
    can reach."""
    executor: Text = "in_process"
    """Who executes the windows: in_process, multiprocess, dask, celery, k8s, or another executor of
    Dagster, as `package.module:name`."""
    executor_config: dict[str, Any] = Field(
        default={}, description="The configuration of the executor, as Dagster documents it."
    )


class ScheduleSettings(Settings):
    """When `events_schedule` runs `events_job`, once it is switched on."""

    cron: Text = "0 * * * *"
    """A cron expression."""
    timezone: IanaZone = "UTC"
    """An IANA name, like Europe/Lisbon."""


class CheckSettings(Settings):
    """What a failed asset check means."""

    severity: Literal["error", "warn"] = "error"
    """An `error` keeps from being built on, where the check blocks, what a `warn` does not."""
    tolerate: Tolerated = 0
    """Rows that may break the claim with no more than a warning; below 1: the share of rows from
    which on it is more."""


class ShareCheckSettings(CheckSettings):
    """What it means that more than a few rows break a claim."""

    tolerate: Tolerated = 0.01
    """Rows that may break the claim with no more than a warning; below 1: the share of rows from
    which on it is more."""


class ScanCheckSettings(CheckSettings):
    """What it means that a scan is not complete; its rows are those that are known to miss."""

    unproven: Literal["error", "warn", "pass"] = "warn"
    """What it means that nothing is known to miss, and nothing proves it."""


class ColumnsCheckSettings(CheckSettings):
    """What it means that columns are not as before."""

    severity: Literal["error", "warn"] = "warn"
    """An `error` is shown as one; it blocks nothing."""


FieldName = Literal["event_name", "start_time", "end_time", "status"]


class FieldsCheckSettings(CheckSettings):
    """What it means that no event has a field any more."""

    fields: list[FieldName] = [*get_args(FieldName)]
    """Those that are looked at. One that the API has given up is to be taken out."""


class ChecksSettings(Settings):
    """What failed asset checks mean."""

    event_ids_are_unique: CheckSettings = Field(default_factory=CheckSettings)
    """Its rows are ids that occur twice."""
    events_end_after_they_start: ShareCheckSettings = Field(default_factory=ShareCheckSettings)
    """Its rows are events that end before they start."""
    events_scan_is_complete: ScanCheckSettings = Field(default_factory=ScanCheckSettings)
    """Its rows are those that are known to miss."""
    events_did_not_vanish: CheckSettings = Field(default_factory=CheckSettings)
    """Its rows are events that the API does not give any more, too many to be marked."""
    event_fields_are_filled: FieldsCheckSettings = Field(default_factory=FieldsCheckSettings)
    """Its rows are events without a field that none has any more."""
    event_columns_are_as_before: ColumnsCheckSettings = Field(default_factory=ColumnsCheckSettings)
    """Its rows are columns that are new, gone, or of another type."""
    no_events_were_quarantined: ShareCheckSettings = Field(default_factory=ShareCheckSettings)
    """Its rows are those of the last load that were set aside."""


class SyncSettings(Settings):
    """How the warehouse is kept in step with the API."""

    max_removed: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the events that one load may mark as removed. Up to 10 events always may."""
    full_scan_every: Annotated[float, Field(ge=0)] = 24.0
    """Hours after which an API that can be asked for changes only (`incremental`) is read whole."""


class EmailSettings(Settings):
    """Where alerts go by e-mail."""

    host: Text
    """The SMTP server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Usually 587 for starttls, 465 for tls, 25 for none."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: after it is made, from its first byte, or not at all."""
    from_: Text = Field(alias="from")
    """The address of the sender."""
    to: Text | Annotated[list[Text], Field(min_length=1)]
    """The address of who is told, or several."""
    user: Text | None = None
    """Who sends, if the server wants to know."""
    password: Text | None = None
    """Of the user: to be put into .dlt/secrets.toml, or the environment."""

    def faults(self) -> Iterator[str]:
        if self.password and not self.user:
            yield "has a password, but no user"


class SlackSettings(Settings):
    """Where alerts go in Slack."""

    url: Text | None = None
    """Of an incoming webhook: to be put into .dlt/secrets.toml, or the environment."""


class WebhookSettings(Settings):
    """Where alerts are posted to as JSON."""

    url: Text | None = None
    """Where they are posted to."""
    headers: dict[str, str] = {}
    """Sent along. A secret is to be put into .dlt/secrets.toml, or the environment."""


class AlertSettings(Settings):
    """Who is told when something is wrong, again each day while it lasts, and when it is well."""

    email: EmailSettings | None = None
    """An SMTP server, and who is told."""
    slack: SlackSettings | None = None
    """An incoming webhook of Slack, or of what takes the same."""
    webhook: WebhookSettings | None = None
    """An address that takes JSON."""
    warnings: bool = False
    """Whether checks that only warn are told, too."""
    repeat_after: Annotated[float, Field(gt=0)] = 24.0
    """Hours after which what is still wrong is told again."""
    ui: Text | None = None
    """URL of the Dagster UI, for links to runs."""

    @property
    def channels(self) -> list[str]:
        """The ways of telling that are configured."""
        return [name for name in ("email", "slack", "webhook") if getattr(self, name)]


Days = Annotated[float, Field(ge=0)]


class RetentionSettings(Settings):
    """How many days things are kept; 0: for ever."""

    receipts: Days = 90.0
    """Receipts of scans; the last one of each table stays."""
    changes: Days = 400.0
    """Rows of `event_changes`."""
    quarantine: Days = 90.0
    """Rows that could not be loaded, since the API gave them the last time."""
    runs: Days = 90.0
    """Runs of Dagster, and what backfills read and never loaded, which `retention_job` deletes; the
    last run of each job stays."""


class WarehouseSettings(Settings):
    """Where events go by default."""

    database: Text = "data/events.duckdb"
    """Path of the DuckDB file."""
    lock_timeout: Seconds = 300.0
    """Seconds to wait while another process has the file open."""
    memory_limit: Text = "256MB"
    """What DuckDB may use during a load before it goes on in a temporary file."""
    dataset: Text | None = None
    """Where tables are in it: `events_data` by default, `events_sample` for the sample API."""
    origin: Text | None = None
    """What the API is called that a dataset holds the events of: its lists, by default. An API that
    moved goes on under its old name."""


class CatalogSettings(Settings):
    """What Dagster's catalog says of the assets."""

    owners: list[Annotated[str, AfterValidator(_owner)]] = []
    """Who is asked about the events: e-mail addresses, or teams, like "team:programme"."""


class PathSettings(Settings):
    """A table of which the path, or several, may stand alone."""

    path: Paths | None = Field(
        None, description="JSON path to it in a row, or several: the first with a value counts."
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _read_path(cls, value: Any) -> Any:
        if not isinstance(value, str | list | Mapping | Settings):
            raise PydanticCustomError("no_path", "neither path nor table")
        value = str(value) if isinstance(value, str) else value
        return {"path": value} if isinstance(value, str | list) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        several = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [{"type": "string"}, handler(schema), several]}

    @property
    def only_path(self) -> str | None:
        """The path, where it is the only one, and nothing else is said."""
        is_only = self.model_fields_set == {"path"} and isinstance(self.path, str)
        return str(self.path) if is_only else None


class TimeSettings(PathSettings):
    """Where a time is in a row, and how it is written."""

    format: Text | None = None
    """For `strptime`, where the time is neither ISO 8601 nor RFC 2822."""
    time_path: Paths | None = None
    """JSON path of the time of day, where it stands apart from the date at `path`."""
    timezone_path: Paths | None = None
    """JSON path of the zone of a local time."""
    duration_path: Paths | None = None
    """Of an end, in place of `path`: JSON path of the time from the start to it."""
    unit: Literal["seconds", "milliseconds", "minutes", "hours"] | None = None
    """Of a Unix time (seconds or milliseconds), or of a duration, that is a number."""

    @pydantic.field_validator("unit", mode="before")
    @classmethod
    def _suits(cls, unit: Any, info: ValidationInfo) -> Any:
        """A Unix time has fewer units than a duration."""
        expected = "'seconds' or 'milliseconds'"
        if (
            isinstance(unit, str)
            and f"'{unit}'" not in expected
            and not info.data.get("duration_path")
        ):
            raise PydanticCustomError("literal_error", "no unit", {"expected": expected})
        return unit

    def faults(self) -> Iterator[str]:
        of_texts = [key for key in ("format", "time_path", "timezone_path") if getattr(self, key)]
        of_times = ["path", *of_texts] if self.path else of_texts
        if self.duration_path and of_times:
            yield f"has both duration_path and {of_times[0]}; remove one"
        if not self.path and not self.duration_path:
            yield "has no path: say where in a row it is"
        if self.unit and of_texts:
            yield f"has both unit, for a number, and {of_texts[0]}, for a text; remove one"
        if self.format and "%Z" in self.format:
            yield "has a format with %Z, which does not tell zones apart; use %z, or timezone_path"
        if self.format and (why := _format_fault(self.format)):
            yield f"has the format {self.format!r}, which cannot be used: {why}"


class RuleSettings(PathSettings):
    """What tells that an event is deleted, or cancelled: a flag at `path`, at any of several, or
    one of `values` there."""

    values: Annotated[list[Any], Field(min_length=1)] | None = None
    """What is found at `path` then."""
    resource: Text | None = None
    """Name of the resource that lists just such events."""

    def faults(self) -> Iterator[str]:
        if not self.path and not self.resource:
            yield "has neither path nor resource: one of them must tell it"
        if self.values and not self.path:
            yield "has values but no path: say where in a row they are"


class StatusSettings(PathSettings):
    """`deleted`, else `cancelled`, where a rule tells so, else the value at `path`."""

    deleted: RuleSettings | None = None
    """What tells that an event is deleted."""
    cancelled: RuleSettings | None = None
    """What tells that an event is cancelled."""

    def faults(self) -> Iterator[str]:
        if not self.model_fields_set:
            yield "is empty: it needs one of path, deleted, cancelled"


class FieldsSettings(Settings):
    """Where the canonical fields are in a row, and how they are written."""

    id: Path | Annotated[list[Path], Field(min_length=1)] | None = None
    """JSON path, or several whose values are the id together."""
    event_name: Paths | None = None
    """JSON path of a text, or of names by language; or several: the first with a value counts."""
    language: Text | None = None
    """The language of the name, like pt-BR."""
    timezone: Zone | None = None
    """IANA name of the zone of times without offset."""
    start_time: TimeSettings | None = None
    """A path, several, or a table that says how the start is written."""
    end_time: TimeSettings | None = None
    """A path, several, or a table that says how the end is written."""
    all_day: bool = False
    """Whether there is a column `all_day`: true where the start is a date without a time of day."""
    status: StatusSettings | None = None
    """A path, several, or a table with rules."""

    def faults(self) -> Iterator[str]:
        start, end = self.start_time, self.end_time
        if start and start.duration_path:
            yield "has a duration_path in start_time, which only end_time may have"
        if end and end.duration_path and not start:
            yield "has a duration_path in end_time, but start_time is not set: say where it is"
        if self.language and not self.event_name:
            yield "has a language, but event_name is not set: say where the name is"
        if self.timezone and not start and not end:
            yield "has a timezone, but neither start_time nor end_time: say where they are"
        if self.all_day and not start:
            yield "has all_day, but start_time is not set: say where it is"


SECTIONS: dict[str, type[Settings]] = {
    "http": HttpSettings,
    "scan": ScanSettings,
    "windows": WindowSettings,
    "backfill": BackfillSettings,
    "fields": FieldsSettings,
    "schedule": ScheduleSettings,
    "sync": SyncSettings,
    "retention": RetentionSettings,
    "warehouse": WarehouseSettings,
    "catalog": CatalogSettings,
    "checks": ChecksSettings,
    "alerts": AlertSettings,
}
