"""The settings of our own in `[sources.events]`: one model for each section, with its defaults.

Units and meaning stand below each field; `docs/config.schema.json` is made from them. A value that
an environment variable sets is an `EnvironmentText`, and read as its field asks for.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dlt.common.configuration.utils import auto_cast
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class EnvironmentText(str):
    """The text of an environment variable, of which the type is still to be found."""


class Settings(BaseModel):
    """A table of settings: no other keys, and values of just these types."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_keys(cls, table: Any) -> Any:
        """Refuses keys that are unknown, and gives texts of the environment their type."""
        if not isinstance(table, Mapping):
            return table
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        for key in table:
            if key not in known:
                context = {"key": str(key), "word": str(key), "known": list(known)}
                raise PydanticCustomError("unknown", "unknown key", context)
        return {
            key: _typed(value, known[key].annotation)
            if isinstance(value, EnvironmentText)
            else value
            for key, value in table.items()
        }


def _typed(text: str, annotation: Any) -> Any:
    members = get_args(annotation) or (annotation,)
    plain = [get_args(one)[0] if get_origin(one) is Annotated else one for one in members]
    if set(plain) <= {str, type(None)} or get_origin(annotation) is Literal:
        return str(text)
    value = auto_cast(str(text))
    return value if str not in plain or isinstance(value, list | dict) else str(text)


def _require_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f'is {name!r}, which is no time zone: use an IANA name like "Europe/Lisbon"'
        ) from None
    return name


Text = Annotated[str, Field(pattern=r"\S")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Moment = Annotated[str, BeforeValidator(lambda value: getattr(value, "isoformat", lambda: value)())]
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


class ScanSettings(Settings):
    """How pages are walked, and what tells how many rows there are."""

    overlap: Count = 1
    """Rows by which a page starts before the end of the page before; 0: plain offsets."""
    read_ahead: Count = 4
    """Requests under way besides the one that is waited for; 0: one after another."""
    total_path: str | None = None
    """JSON path to where the API counts its rows, for any way of paging."""
    total_header: str | None = None
    """Header in which the API counts its rows."""
    absent_when_empty: bool = False
    """Whether the API leaves the list of rows out where there are none."""


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
    format: Text = "%Y-%m-%dT%H:%M:%SZ"
    """Of the parameters: for `strftime`, or `seconds` or `milliseconds` since 1970."""

    @model_validator(mode="after")
    def _can_be_asked_for(self) -> Self:
        if self.max_rows and not (self.start_param and self.end_param):
            raise ValueError(
                "has max_rows, which needs start_param and end_param: the query parameters "
                "that ask for the events of a span of time"
            )
        return self


class ScheduleSettings(Settings):
    """When `events_schedule` runs `events_job`, once it is switched on."""

    cron: Text = "0 * * * *"
    """A cron expression."""
    timezone: Annotated[Text, AfterValidator(_require_zone)] = "UTC"
    """An IANA name, like Europe/Lisbon."""


class WarehouseSettings(Settings):
    """Where events go by default."""

    database: Text = "data/events.duckdb"
    """Path of the DuckDB file."""
    lock_timeout: Seconds = 300.0
    """Seconds to wait while another process has the file open."""
    memory_limit: Text = "256MB"
    """What DuckDB may use during a load before it goes on in a temporary file."""


class PathSettings(Settings):
    """A table of which the path may stand alone."""

    path: Text | None = None
    """JSON path to it in a row."""

    @model_validator(mode="before")
    @classmethod
    def _read_path(cls, value: Any) -> Any:
        if not isinstance(value, str | Mapping | Settings):
            raise PydanticCustomError("no_path", "neither path nor table")
        return {"path": str(value)} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}

    @property
    def only_path(self) -> str | None:
        """The path, where nothing else is said."""
        return self.path if self.model_fields_set == {"path"} else None


class TimeSettings(PathSettings):
    """Where a time is in a row, and how it is written."""

    unit: Literal["seconds", "milliseconds", "minutes", "hours"] | None = None
    """Of a Unix time (seconds or milliseconds), or of a duration, that is a number."""
    format: Text | None = None
    """For `strptime`, where the time is neither ISO 8601 nor RFC 2822."""
    time_path: Text | None = None
    """JSON path of the time of day, where it stands apart from the date at `path`."""
    timezone_path: Text | None = None
    """JSON path of the zone of a local time."""
    duration_path: Text | None = None
    """Of an end, in place of `path`: JSON path of the time from the start to it."""

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        others = [key for key in type(self).model_fields if key in self.model_fields_set]
        if self.duration_path and set(others) - {"duration_path", "unit"}:
            raise ValueError(f"has both duration_path and {others[0]}; remove one")
        if not self.path and not self.duration_path:
            raise ValueError("has no path: say where in a row it is")
        for key in others:
            if self.unit and key in ("format", "time_path", "timezone_path"):
                raise ValueError(f"has both unit, for a number, and {key}, for a text; remove one")
        if self.unit in ("minutes", "hours") and not self.duration_path:
            raise ValueError(
                f"has the unit {self.unit}, which is none of a Unix time: seconds, milliseconds"
            )
        return self


class RuleSettings(PathSettings):
    """What tells that an event is deleted, or cancelled: a flag at `path`, or one of `values`."""

    values: Annotated[list[Any], Field(min_length=1)] | None = None
    """What is found at `path` then."""
    resource: Text | None = None
    """Name of the resource that lists just such events."""

    @model_validator(mode="after")
    def _tells(self) -> Self:
        if not self.path and not self.resource:
            raise ValueError("has neither path nor resource: one of them must tell it")
        if self.values is not None and not self.path:
            raise ValueError("has values but no path: say where in a row they are")
        return self


class StatusSettings(PathSettings):
    """`deleted`, else `cancelled`, where a rule tells so, else the value at `path`."""

    deleted: RuleSettings | None = None
    """What tells that an event is deleted."""
    cancelled: RuleSettings | None = None
    """What tells that an event is cancelled."""

    @model_validator(mode="after")
    def _is_told(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("is empty: it needs one of path, deleted, cancelled")
        return self


class FieldsSettings(Settings):
    """Where the canonical fields are in a row, and how they are written."""

    id: Text | Annotated[list[Text], Field(min_length=1)] | None = None
    """JSON path, or several whose values are the id together."""
    event_name: Text | None = None
    """JSON path of a text, or of names by language."""
    language: Text | None = None
    """The language of the name, like pt-BR."""
    timezone: Text | None = None
    """IANA name of the zone of times without offset."""
    start_time: TimeSettings | None = None
    """A path, or a table that says how the start is written."""
    end_time: TimeSettings | None = None
    """A path, or a table that says how the end is written."""
    status: StatusSettings | None = None
    """A path, or a table with rules."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        start, end = self.start_time, self.end_time
        if start and start.duration_path:
            raise ValueError("has a duration_path in start_time, which only end_time may have")
        if end and end.duration_path and not start:
            raise ValueError(
                "has a duration_path in end_time, but start_time is not set: say where the start is"
            )
        if self.language and not self.event_name:
            raise ValueError("has a language, but event_name is not set: say where the name is")
        if self.timezone and not start and not end:
            raise ValueError(
                "has a timezone, but neither start_time nor end_time: say where they are"
            )
        return self
