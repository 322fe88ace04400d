"""What an API has answered to several workers, one for each window of the events, kept in a folder
until all of it is loaded.

    <folder>/<id>/plan.json         the windows
    <folder>/<id>/<window>.1.zip    the first pass over each window
    <folder>/<id>/<window>.2.zip    the second one, made when all of the first were there
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, time, timedelta
from functools import partial
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

from upath import UPath

from events_assets import configuration
from events_assets.api import configured_api
from events_assets.errors import ConfigurationError
from events_assets.http.recording import (
    Open,
    PlayingSession,
    Recorder,
    Recordings,
    RecordingSession,
    facts,
)
from events_assets.http.transport import Traffic
from events_assets.lists import Lists, Manner, whole_window
from events_assets.paging.windows import Window
from events_assets.scan.intake import Intake
from events_assets.scan.progress import Progress
from events_assets.scan.receipt import Receipt
from events_assets.scan.recorded_scan import RecordedScan
from events_assets.scan.table_pass import TablePass
from events_assets.scan.verdict import COMPLETE, UNPROVEN, judge

PLAN = "plan.json"
WHOLE, COUNT = "all", "count"
"""Parts that are no windows: all events at once; how many there are without windows."""
COST = ("requests", "retries", "seconds_waited", "bytes")
EXACT = "%Y_%m_%d_%H%M%S"
AROUND = timedelta(days=366)
"""Where it is not known when events start, they are expected so long before and after today."""


class Plan:
    """A folder with what is recorded, and the parts that it consists of: each is a window of the
    events, or none (`WHOLE`, `COUNT`), and asked for by one worker."""

    def __init__(self, name: str) -> None:
        self.folder = folder = _folder() / name
        try:
            found = json.loads((folder / PLAN).read_text())
        except (FileNotFoundError, ValueError) as error:
            raise ConfigurationError(
                f"there is nothing in {folder} that was read: it was loaded, or is resumed by "
                f"another run, or was never planned; launch events_backfill_job anew"
            ) from error
        self.origin = found["origin"]
        settings = configuration.window_settings()
        self.began_at = datetime.fromisoformat(found["began_at"])
        self.parts: dict[str, Window | None] = dict.fromkeys(found["parts"])
        for name, span in found["parts"].items():
            if span:
                start, end = map(datetime.fromisoformat, span)
                self.parts[name] = Window(start, end, settings)

    @classmethod
    def new(cls, name: str, first: datetime | None, last: datetime | None) -> "Plan":
        """Begins a folder of that name for events that start from the first time to the last."""
        folder = _folder() / name
        if folder.exists():  # the run is executed again as a whole
            folder.fs.rm(folder.path, recursive=True)
        folder.mkdir(parents=True, exist_ok=True)
        with configured_api() as (config, authentication):
            origin = Lists(config, authentication, None).origin("events")
        parts = {
            name: window and [window.start.isoformat(), window.end.isoformat()]
            for name, window in _parts(first, last).items()
        }
        plan = {"began_at": datetime.now(UTC).isoformat(), "origin": origin, "parts": parts}
        half = folder / f"{PLAN}.part"
        half.write_text(json.dumps(plan))
        half.rename(folder / PLAN)
        return cls(name)

    @classmethod
    def every(cls) -> Iterator["Plan"]:
        """All that are not loaded yet."""
        base = _folder()
        for path in base.glob(f"*/{PLAN}") if base.exists() else ():
            with suppress(ConfigurationError):  # it was cut off when it was written
                yield cls(path.parent.name)

    @classmethod
    def last(cls) -> "Plan":
        """The newest one that is not loaded yet. Raises ConfigurationError where there is none."""
        if plans := [*cls.every()]:
            return max(plans, key=lambda plan: plan.began_at)
        raise ConfigurationError("there is no backfill to resume: leave resume out")

    def renamed(self, name: str) -> "Plan":
        """The same as that of another run."""
        self.folder.rename(self.folder.parent / name)
        return Plan(name)

    def passes(self) -> int:
        """How often each part is read: twice, unless nothing may be read more than once, or the
        first pass shows that a second one could prove no more."""
        verdicts = [facts(read).get("verdict") for read in self.read(1)]
        is_proven = verdicts == [COMPLETE] and len(self.parts) == 1
        most = 1 if UNPROVEN in verdicts or is_proven else 2
        return min(most, configuration.scan_settings().passes)

    def path(self, part: str, number: int) -> UPath:
        """Where a pass over a part is kept."""
        return self.folder / f"{part}.{number}.zip"

    def read(self, number: int) -> list[Open]:
        """The parts that a pass has been made over, as they are kept."""
        paths = (self.path(part, number) for part in self.parts)
        return [_opening(path) for path in paths if path.exists()]

    def record(self, part: str, number: int, log: logging.Logger) -> dict[str, Any]:
        """Asks the API for a part, if that has not been done yet; its number of rows, of requests
        and of bytes. Raises ApiError or EndlessScanError where it could not be read to its end,
        ConfigurationError where the API is another one than that of the plan."""
        path = self.path(part, number)
        if not path.exists():
            with configured_api() as (config, authentication), TemporaryFile() as file:
                base_url = config["client"]["base_url"]
                with closing(Recorder(file, authentication.redaction, base_url)) as recorder:
                    manner = self._asking(part, recorder)
                    _read(Lists(config, authentication, log, manner), part, recorder, log)
                file.seek(0)
                # Another worker may do the same, where this one was taken for lost.
                half = path.with_suffix(f".{uuid4().hex}.part")
                with half.open("wb") as there:
                    shutil.copyfileobj(file, there)
                half.rename(path)
        return facts(_opening(path))

    def _asking(self, part: str, recorder: Recorder) -> Manner:
        """How a part is asked for, and recorded."""
        window, is_count = self.parts[part], part == COUNT
        windows = [window] if window else [] if is_count else None
        session = partial(RecordingSession, recorder=recorder)
        return Manner(windows, is_count, session, workers(), origin=self.origin)

    @contextmanager
    def playing(self) -> Iterator[Manner]:
        """How all of it is loaded: the answers are those that were recorded, as far as they go."""
        cost, passes = Traffic(), [self.read(1), self.read(2)]
        for noted in map(facts, (*passes[0], *passes[1])):
            cost.add(**{name: noted[name] for name in COST})
        windows = None if WHOLE in self.parts else [*filter(None, self.parts.values())]
        with closing(Recordings(passes)) as recordings:
            session = partial(PlayingSession, recordings=recordings)
            scan = partial(RecordedScan, recordings, self.began_at, cost)
            yield Manner(windows, None, session, is_strict=True, scan=scan, origin=self.origin)

    def require(self, number: int) -> None:
        """Raises ConfigurationError if a pass was not made over all parts."""
        if missing := len(self.parts) - len(self.read(number)):
            raise ConfigurationError(
                f"{missing} of {len(self.parts)} parts were not read in pass {number}, as the "
                f"number of workers has changed: resume it by {{ops: {{plan_windows: {{config: "
                f"{{resume: true}}}}}}}}"
            )

    def forget(self) -> None:
        """Removes what was recorded; the plan at last, without which nothing can be resumed."""
        for path in self.folder.iterdir():
            if path.name != PLAN:
                path.unlink()
        self.folder.fs.rm(self.folder.path, recursive=True)


def _read(lists: Lists, part: str, recorder: Recorder, log: logging.Logger) -> None:
    """Asks for all that the lists give, and lets go of it, as it is recorded."""
    table = lists.table("events")
    # A key of any type is known again as its text.
    table.identity.types |= dict.fromkeys(table.identity.primary_key, "text")
    receipt = Receipt("events")
    intake = Intake(table.identity, receipt, is_loaded=False)
    with table.opened(), closing(Progress(f"events {part}", log)) as progress:
        one = TablePass(table, intake, receipt, progress)
        for _ in one.items():
            pass
    if error := one.broken():
        raise error
    for traffic in table.traffic():
        receipt.add_cost(traffic)
    # Of a list for each parent, one that went meanwhile says nothing of the others.
    is_fixed = table.endpoints[0].order_of is not None
    verdict = None if table.parents else judge([one.reading()], 2, is_fixed)
    cost = {name: getattr(receipt, name) for name in COST}
    rows = receipt.rows_received - receipt.repeats
    recorder.note(rows=rows, verdict=verdict.word if verdict else None, **cost)


def workers() -> int:
    """How many windows are read at once."""
    settings = configuration.backfill_settings()
    return 1 if settings.executor == "in_process" else settings.workers


def _opening(path: UPath) -> Open:
    return lambda: path.open("rb")


def _folder() -> UPath:
    return UPath(configuration.backfill_settings().folder)


def _parts(first: datetime | None, last: datetime | None) -> dict[str, Window | None]:
    """The parts of a plan."""
    settings = configuration.window_settings()
    if not (settings.start_param and settings.end_param):
        return {WHOLE: None}
    every, now = configuration.backfill_settings().every, datetime.now(UTC)
    windows = whole_window().parts(every, first or now - AROUND, last or now + AROUND)
    # Only the end of the last window may be no midnight.
    named = {
        f"until_{window.end:{'%Y_%m_%d' if window.end.time() == time.min else EXACT}}": window
        for window in windows
    }
    return ({COUNT: None} if settings.undated else {}) | named
