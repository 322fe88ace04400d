"""The settings of our own in `[sources.events]`: one model for each section, with its defaults."""

from dataclasses import field
from typing import ClassVar

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration


@configspec
class HttpSettings(BaseConfiguration):
    """`[sources.events.http]`: how requests are made. Times in seconds."""

    retry_statuses: list[int] = field(default_factory=lambda: [429, 500, 502, 503, 504])
    max_retries: int = 3
    backoff_factor: float = 2.0
    max_retry_after: float = 300.0
    retry_after_headers: list[str] = field(default_factory=lambda: ["Retry-After", "X-Retry-After"])
    max_requests: int = 0
    period: float = 60.0
    remaining_headers: list[str] = field(
        default_factory=lambda: ["X-RateLimit-Remaining", "RateLimit-Remaining"]
    )
    reset_headers: list[str] = field(
        default_factory=lambda: ["X-RateLimit-Reset", "RateLimit-Reset"]
    )
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    deadline: float = 21600.0

    __section__: ClassVar[str] = "http"


@configspec
class ScanSettings(BaseConfiguration):
    """`[sources.events.scan]`: how pages are walked, and what tells how many rows there are.

    `overlap`: rows by which a page starts before the end of the page before; 0: plain offsets.
    `read_ahead`: requests under way besides the one that is waited for; 0: one after another.
    `total_path`, `total_header`: where the API counts its rows, for any way of paging.
    `absent_when_empty`: the API leaves the list of rows out where there are none.
    """

    overlap: int = 1
    read_ahead: int = 4
    total_path: str | None = None
    total_header: str | None = None
    absent_when_empty: bool = False

    __section__: ClassVar[str] = "scan"


@configspec
class WindowSettings(BaseConfiguration):
    """`[sources.events.windows]`: how deep one may page, and how to ask for less.

    `max_rows`: rows that the API lets one page through (0: any number, no windows).
    `start_param`, `end_param`: query parameters for the start and end of a window.
    `initial_value`, `end_value`: ISO 8601, the window that holds all events.
    `format`: of the parameters, for `strftime`, or `seconds` or `milliseconds` since 1970.
    """

    max_rows: int = 0
    start_param: str | None = None
    end_param: str | None = None
    initial_value: str = "1970-01-01T00:00:00Z"
    end_value: str = "2100-01-01T00:00:00Z"
    format: str = "%Y-%m-%dT%H:%M:%SZ"

    __section__: ClassVar[str] = "windows"


@configspec
class ScheduleSettings(BaseConfiguration):
    """`[sources.events.schedule]`: when `events_schedule` runs, as cron and IANA time zone."""

    cron: str = "0 * * * *"
    timezone: str = "UTC"

    __section__: ClassVar[str] = "schedule"


@configspec
class WarehouseSettings(BaseConfiguration):
    """`[sources.events.warehouse]`: the default DuckDB file, seconds to wait for its lock, and
    the memory that DuckDB may use during a load before it goes on in a temporary file.
    """

    database: str = "data/events.duckdb"
    lock_timeout: float = 300.0
    memory_limit: str = "256MB"

    __section__: ClassVar[str] = "warehouse"
