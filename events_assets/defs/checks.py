"""Asset checks on `events`: each claim looks for the rows that break it, and shows a few. Where one
that blocks fails, nothing builds on the events.

One step runs those that are asked for: it opens the warehouse once. They read through dlt's
dataset, on whatever destination is configured, and scan the table once at most.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from inspect import getdoc
from typing import Any

import dagster as dg
import dlt

from events_assets import configuration, drift, providers, warehouse
from events_assets.defs.failures import explained
from events_assets.defs.metadata import last_receipt, markdown_table, verdict
from events_assets.defs.resources import POOL
from events_assets.drift import Columns
from events_assets.errors import WarehouseError
from events_assets.rows.times import UNREADABLE
from events_assets.scan.receipt import OFFENDERS_SHOWN
from events_assets.scan.verdict import COMPLETE, TORN
from events_assets.settings import CheckSettings
from events_assets.sql import current, select

ReceiptRow = dict[str, Any]
"""That of the last scan, empty if there is none."""

REMEDIES = {
    "event_ids_are_unique": "is primary_key in [[sources.events.resources]] what identifies an "
    "event of this API?",
    "events_end_after_they_start": "mend them in the API, or say where times are in "
    "[sources.events.fields]",
    "events_scan_is_complete": "docs/faults.md says what proves a scan, and events-assets check "
    "what does so here",
    "events_did_not_vanish": "if they are gone indeed, launch events_job with the configuration "
    "{ops: {load_events: {config: {accept_removed: true}}}}, or type "
    "SOURCES__EVENTS__SYNC__MAX_REMOVED=1 make load",
    "event_fields_are_filled": "say in [sources.events.fields] where it is now; where it is to be "
    "so, leave it out of fields in [sources.events.checks.event_fields_are_filled] for one load",
    "event_columns_are_as_before": "has the API changed, and what is built on these? The next load "
    "is compared with this one",
    "no_events_were_quarantined": "the table has them whole, each with its reason; what is mended "
    "in [sources.events] is tried again by events-assets replay",
}
"""What to do where a check fails."""
ONCE_MORE = "materialize events again; "
"""The same first, where that may help."""


@dataclass
class Finding:
    """What a claim found.

    `offenders` is the number of rows that break it, of which the settings say what they mean;
    `warnings` that of rows that are worth no more than a warning. `severity` says what it means
    where the number does not; `remedy` is what to do besides.
    """

    offenders: int
    description: str
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: int = 0
    severity: str | None = None
    remedy: str = ""


REPEATED_IDS = f"""
SELECT {{key}}, count(*) AS times, count(*) OVER () AS offenders
FROM {{events}}
WHERE id IS NOT NULL
GROUP BY {{key}}
HAVING count(*) > 1
ORDER BY times DESC, {{key}}
LIMIT {OFFENDERS_SHOWN}
"""  # noqa: S608

WRONG_TIMES = f"""
SELECT id, event_name, start_time, end_time, {{variants}}
       sum(CASE WHEN end_time < start_time THEN 1 ELSE 0 END) OVER () AS backwards,
       sum(CASE WHEN {{unreadable}} THEN 1 ELSE 0 END) OVER () AS unreadable,
       sum(CASE WHEN {{illegible}} THEN 1 ELSE 0 END) OVER () AS illegible
FROM {{events}}
WHERE (end_time < start_time OR {{unreadable}} OR {{illegible}}) AND {{current}}
ORDER BY id
LIMIT {OFFENDERS_SHOWN}
"""  # noqa: S608

QUARANTINED = """
SELECT reason, position, document FROM {quarantined_events} WHERE last_seen_at >= (
    SELECT max(started_at) FROM {scan_receipts} WHERE resource = 'events' AND scan_kind = 'full'
)
"""


def event_ids_are_unique(dataset: dlt.Dataset, receipt: ReceiptRow) -> Finding:
    """No id occurs twice, neither in the table nor in what the API answered in the last scan.

    A merge keeps one row for each id, so repeats must be looked for before it, too. Where the
    primary key has further columns, an id is one together with them.
    """
    columns = dataset.schema.get_table_columns("events")
    key = [name for name, column in columns.items() if column.get("primary_key")]
    key = key if "id" in key else ["id"]
    quoted = ", ".join(map(dataset.sql_client.escape_column_name, key))
    rows = select(dataset, REPEATED_IDS, key=quoted)
    answered, in_table = receipt.get("duplicate_ids", 0), rows[0][-1] if rows else 0
    metadata: dict[str, Any] = {"answered_twice": answered, "twice_in_table": in_table}
    if answered:
        metadata["ids_answered_twice"] = dg.MetadataValue.json(
            json.loads(receipt["duplicate_ids_sample"])
        )
    if rows:
        metadata["ids_twice_in_table"] = markdown_table([row[:-1] for row in rows], [*key, "times"])
    told = f"ids answered twice: {answered}, ids twice in the table: {in_table}"
    return Finding(answered + in_table, told, metadata)


def events_end_after_they_start(dataset: dlt.Dataset, _receipt: ReceiptRow) -> Finding:
    """No event ends before it starts. An event without an end is fine.

    A time that cannot be read as one is kept by dlt in a variant column like
    `start_time__v_text`, with null in its place; such events are counted, as a warning. So are
    those with an object or a list for a name or status, which is in its column as text.
    """
    columns = dataset.schema.get_table_columns("events")
    texts = [name for name in ("event_name", "status") if name in columns]
    begins = f"substr(CAST({{}} AS VARCHAR), 1, {len(UNREADABLE)}) = '{UNREADABLE}'".format
    variants = [name for name in columns if name.startswith(("start_time__v_", "end_time__v_"))]
    rows = select(
        dataset,
        WRONG_TIMES,
        illegible=" OR ".join(map(begins, texts)),
        variants="".join(f"{name}, " for name in variants),
        unreadable=" OR ".join(f"{name} IS NOT NULL" for name in variants) or "1 = 0",
        current=current(dataset, "events"),
    )
    backwards, unreadable, illegible = rows[0][-3:] if rows else (0, 0, 0)
    metadata: dict[str, Any] = {"end_before_start": backwards, "unreadable_times": unreadable}
    if rows:
        headers = ["id", "event_name", "start_time", "end_time", *variants]
        metadata["offenders"] = markdown_table([row[:-3] for row in rows], headers)
    told = (
        f"events that end before they start: {backwards}, "
        f"with a time that cannot be read: {unreadable}"
    )
    if illegible:
        told += f", with a name or status that cannot be read: {illegible}"
    return Finding(backwards, told, metadata, warnings=unreadable + illegible)


def events_scan_is_complete(dataset: dlt.Dataset, receipt: ReceiptRow) -> Finding:
    """The last scan got every event that the API has, and its receipt proves it.

    An error where rows are known to be missing, a warning where there is neither evidence nor
    proof, or where the table has more or fewer events afterwards than the API counts.
    """
    settings = configuration.check_settings().events_scan_is_complete
    if not receipt:
        none = "there is no receipt of a scan"
        return Finding(1, none, severity=settings.severity, remedy=ONCE_MORE)
    numbers = ("rows_received", "distinct_ids", "repeats", "step_backs", "scans")
    told = ("proof", "total_first", "total_last")
    missing = max(1, (receipt["total_last"] or 0) - receipt["distinct_ids"])
    rows = _rows(dataset)
    difference = _beyond_the_total(rows, receipt)
    description = verdict(receipt)
    if difference:
        description += (
            f"; but the table has {rows:,} events that are not removed, and the API counts "
            f"{receipt['total_last']:,}: is id what names an event, and not a version or a place?"
        )
    is_complete = receipt["verdict"] == COMPLETE
    return Finding(
        offenders=0 if is_complete else missing,
        description=description,
        warnings=difference,
        metadata={name: receipt[name] for name in numbers + told if receipt[name] is not None},
        severity={COMPLETE: "warn", TORN: None}.get(receipt["verdict"], settings.unproven),
        remedy=ONCE_MORE if receipt["verdict"] == TORN else "",
    )


def _rows(dataset: dlt.Dataset) -> int:
    there = current(dataset, "events")
    ((rows,),) = select(dataset, "SELECT count(*) FROM {events} WHERE {there}", there=there)
    return int(rows)


def _beyond_the_total(rows: int, receipt: ReceiptRow) -> int:
    """By how many the events in the table differ from those that the API counted, where all were
    read: none that are set aside, come twice, or are kept though they vanished."""
    total = receipt["total_last"]
    if receipt["verdict"] != COMPLETE or receipt["scan_kind"] != "full" or total is None:
        return 0
    explained = sum(receipt[name] for name in ("rows_quarantined", "rows_vanished"))
    return 0 if abs(rows - total) <= explained or receipt["duplicate_ids"] else abs(rows - total)


def no_events_were_quarantined(dataset: dlt.Dataset, receipt: ReceiptRow) -> Finding:
    """Every row that the API gave, since it was last read whole, could be loaded as an event.

    Those that could not are in `quarantined_events`, whole, with the reason.
    """
    known = dataset.schema.tables.get("quarantined_events", {"columns": {}})["columns"]
    if "last_seen_at" not in known:  # nothing was set aside yet, or by an older version
        quarantined = receipt.get("rows_quarantined", 0)
        return Finding(quarantined, f"rows set aside in quarantined_events: {quarantined}")
    found = select(dataset, QUARANTINED)
    metadata: dict[str, Any] = {"rows": len(found)}
    if found:
        metadata |= Counter(f"reason: {reason}" for reason, _, _ in found)
        samples = [(reason, at, row[:200]) for reason, at, row in found[:OFFENDERS_SHOWN]]
        metadata["samples"] = markdown_table(samples, ["reason", "position", "document"])
    return Finding(len(found), f"rows set aside in quarantined_events: {len(found)}", metadata)


def events_did_not_vanish(_dataset: dlt.Dataset, receipt: ReceiptRow) -> Finding:
    """The last scan did not miss more events at once than `sync.max_removed` lets go.

    Where it did, none of them is marked as removed: an API that answers with an empty list is more
    often broken than empty.
    """
    vanished, removed = receipt.get("rows_vanished", 0), receipt.get("rows_removed", 0)
    told = f"events that the API does not give any more: {vanished + removed}"
    if vanished:
        told += ", more than sync.max_removed, so none of them is marked as removed"
    return Finding(vanished, told, {"vanished": vanished, "marked_as_removed": removed})


def event_fields_are_filled(_dataset: dlt.Dataset, receipt: ReceiptRow) -> Finding:
    """No canonical field is null in all events that was not before, nor in far more of them.

    This is compared with the last load in which the field had not fallen, so it fails in each load
    until the field is back, or given up. Null in all events is an error; a share that fell by more
    than 20 points, in 10 events or more, is a warning.
    """
    now = _columns(receipt)
    if now is None:
        return Finding(0, "nothing is noted of the fields yet")
    fields: list[str] = [*configuration.check_settings().event_fields_are_filled.fields]
    fallen = [name for name in fields if now.has_fallen(name)]
    gone = [name for name in fallen if not now.filled(name)]
    counts = {name: now.filled(name) for name in fields if name in now.columns}
    told = f"fields that events lost: {len(fallen)}"
    for name in fallen:
        filled, rows, when = now.known[name]
        told += (
            f"; {name} is in {now.filled(name):,} of {now.rows:,} events, and was in {filled:,} of "
            f"{rows:,} at {_minute(when)}"
        )
    return Finding(
        offenders=now.rows if gone else 0,
        description=told,
        metadata={"events": now.rows, **counts},
        warnings=sum(now.lost(name) for name in fallen if name not in gone),
    )


def event_columns_are_as_before(dataset: dlt.Dataset, receipt: ReceiptRow) -> Finding:
    """The columns of the events, their types, and which of them have values, are those of the load
    before. This warns once: the next load is compared with this one.

    A value that does not fit its column has one of its own, like `price__v_text`.
    """
    now = _columns(receipt)
    before = drift.before(dataset, now.at) if now else None
    if now is None or before is None:
        return Finding(0, "there is no load before to compare with")
    new = now.new_since(before)
    retyped = now.retyped_since(before)
    found = {
        "new": [f"{name} ({now.columns[name][0]})" for name in new if "__v_" not in name],
        "gone": [f"{name} (last seen at {_minute(before.at)})" for name in before.new_since(now)],
        "of another type": [
            *(f"{name} ({now_is}, was {was})" for name, (was, now_is) in retyped.items()),
            *(f"{name.split('__v_')[0]} (in {name}, too)" for name in new if "__v_" in name),
        ],
    }
    found = {what: names for what, names in found.items() if names}
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in found.items())
    return Finding(
        offenders=sum(map(len, found.values())),
        description=told or f"{len(now.columns)} columns, as before",
        metadata={what: dg.MetadataValue.json(names) for what, names in found.items()},
    )


def _columns(receipt: ReceiptRow) -> Columns | None:
    """What is noted of the columns with a receipt, if there are events."""
    noted = receipt.get("event_columns")
    return Columns.read(noted, receipt["started_at"]) if noted else None


def _minute(time: str | datetime) -> str:
    time = datetime.fromisoformat(time) if isinstance(time, str) else time
    return f"{time:%Y-%m-%d %H:%M} UTC"


BLOCKING = (
    event_ids_are_unique,
    events_end_after_they_start,
    events_scan_is_complete,
    events_did_not_vanish,
    event_fields_are_filled,
)
TOLD = (event_columns_are_as_before, no_events_were_quarantined)
CLAIMS = {claim.__name__: claim for claim in (*BLOCKING, *TOLD)}


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            name, asset="events", blocking=claim in BLOCKING, description=getdoc(claim)
        )
        for name, claim in CLAIMS.items()
    ],
    can_subset=True,
    pool=POOL,
)
def check_events(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    names = {key.name for key in context.selected_asset_check_keys}
    with explained():
        results = evaluated(context, names)
    yield from results


def evaluated(
    context: dg.OpExecutionContext | dg.AssetCheckExecutionContext, names: Collection[str]
) -> list[dg.AssetCheckResult]:
    """The results of some checks; then the warehouse is free again."""
    with warehouse.reading(context.log) as dataset:
        if "events" not in dataset.tables:
            raise WarehouseError(
                "there are no events to check yet: materialize the asset events first"
            )
        receipt = last_receipt(dataset, "events", context.run.run_id)
        checks = configuration.check_settings()
        return [
            _result(context, name, claim(dataset, receipt), getattr(checks, name), dataset)
            for name, claim in CLAIMS.items()
            if name in names
        ]


def _result(
    context: dg.OpExecutionContext | dg.AssetCheckExecutionContext,
    name: str,
    finding: Finding,
    settings: CheckSettings,
    dataset: dlt.Dataset,
) -> dg.AssetCheckResult:
    """What a finding means, by the settings of its check."""
    tolerate, offenders = settings.tolerate, finding.offenders
    is_tolerated = offenders <= tolerate
    if offenders and 0 < tolerate < 1:
        rows = _rows(dataset)
        if name == "no_events_were_quarantined":  # which are not in the table
            rows += offenders
        is_tolerated = offenders < tolerate * rows
    severity = finding.severity or settings.severity
    if finding.severity is None and is_tolerated:
        severity = "warn"
    passed = not (offenders or finding.warnings) or severity == "pass"
    description = finding.description + ("" if passed else f"; {finding.remedy}{REMEDIES[name]}")
    if severity == "error" and not passed:
        description += f", or say how strict the check is in [sources.events.checks.{name}]"
    description = providers.at_its_place(description)
    told = f"{name} {'passed' if passed else 'failed'}: {description}"
    level = "info" if passed else {"error": "error", "warn": "warning"}[severity]
    context.log.log(level, told)
    return dg.AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if severity == "error" else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=finding.metadata,
    )
