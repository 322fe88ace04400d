"""What each table and each column of the warehouse holds, in a sentence or two: for the database,
for the schema of dlt, and for the catalog of Dagster."""

import re

TABLES = {
    "events": "One row for each event of the API, as it was when it was loaded last.",
    "current_events": "The events that the API still gives: those of `events` without a "
    "`_removed_at`. A view.",
    "event_changes": "What happened to events from load to load: one row for each that arrived, "
    "was removed or returned, and for each canonical field that changed.",
    "event_versions": "Each event as it was when changes were noted last. The next load is "
    "compared with it; read `events` or `event_changes` instead.",
    "scan_receipts": "One row for each load of each table: what was asked of the API, what came, "
    "and whether it is proven that nothing is missing.",
    "daily_events": "How many events start on each day (UTC), by status, without those that the "
    "API does not give any more. Events without a start are counted under no day.",
    "_dlt_pipeline_state": "What dlt remembers from load to load, such as which API it was.",
}
QUARANTINED = (
    "Rows of the API that could not be loaded, once each, whole and with the reason. They leave "
    "when they are loaded."
)

LOADED = {
    "_dlt_id": "What tells this row from all others in the database; given by dlt.",
    "_dlt_load_id": "The load that wrote the row, as in `_dlt_loads`; a Unix time in seconds.",
    "_dlt_parent_id": "The row that this one belongs to: its `_dlt_id`.",
    "_dlt_root_id": "The row of the first table that this one belongs to: its `_dlt_id`.",
    "_dlt_list_idx": "The place of this value in its list, from 0.",
}
MARKED = {
    "_first_seen_at": "When the scan began that brought the event for the first time.",
    "_changed_at": "When the scan began that brought the event as it is now.",
    "_removed_at": "When the scan began that did not bring the event any more; null while the API "
    "gives it.",
    "_digest": "A number made from the row as it came, to tell whether it changed.",
}
CANONICAL = {
    "id": "What tells an event from all others in the API.",
    "event_name": "What the event is called.",
    "start_time": "When the event starts, with time zone.",
    "end_time": "When the event ends, with time zone; null where the API does not tell.",
    "status": "The state of the event, such as cancelled.",
    "all_day": "Whether the event has a date without a time of day.",
}
CHANGES = {
    "id": "The event, as in `events`.",
    "change": "What happened: `arrived`, `changed`, `removed` or `returned`.",
    "field": "The column that changed, where one did.",
    "old_value": "What was in it before, as text; times in UTC.",
    "new_value": "What is in it since, as text; times in UTC.",
    "seen_at": "When the scan began that found it.",
}
QUARANTINE = {
    "row_key": "The key of the row as JSON, or a digest of a row that has none.",
    "document": "The row as the API gave it, as JSON.",
    "reason": "Why it could not be loaded.",
    "endpoint": "The list of the API that it came from: a resource of the configuration.",
    "run_id": "The run of Dagster that saw it last.",
    "position": "The number of the row in its list, from 0.",
    "scan": "In which pass over the list it came, from 1.",
    "first_seen_at": "When it came for the first time.",
    "last_seen_at": "When it came for the last time.",
}
DAYS = {
    "day": "The day in UTC; null for events without a start.",
    "status": "The state of these events; null where the API tells none.",
    "events": "How many events there are of this day and status.",
}
RECEIPT = {
    "resource": "The table that was loaded; of a window of a backfill also its span.",
    "run_id": "The run of Dagster that loaded.",
    "started_at": "When the scan began.",
    "finished_at": "When the last answer was read.",
    "scans": "How often all lists were read: once more where one pass proved nothing.",
    "walks": "Lists and windows of them that were read in the last pass.",
    "requests": "Requests that were sent, retries included.",
    "pages": "Answers with rows, or with an empty list.",
    "rows_received": "Rows that came, those that came again included: loaded, repeated, "
    "quarantined and excluded ones together.",
    "rows_loaded": "Rows that are in the table by this load: new, changed and unchanged ones.",
    "rows_quarantined": "Rows that could not be loaded, and are in the quarantine.",
    "rows_excluded": "Rows that were left out as configured.",
    "repeats": "Rows that came more than once, as pages overlap or the list moved.",
    "rows_inserted": "Rows that were not in the table before.",
    "rows_updated": "Rows that changed since the last load.",
    "rows_unchanged": "Rows that came as they were, and were not written again.",
    "rows_removed": "Rows that did not come any more, and were marked as removed.",
    "rows_vanished": "Rows that did not come any more, but too many at once to be marked.",
    "distinct_ids": "Different ids that came in the last pass.",
    "duplicate_ids": "Ids that the API answered twice though nothing moved meanwhile.",
    "ambiguous_times": "Events with a local time that exists twice, of which the first is taken.",
    "duplicate_ids_sample": "A few of these ids, as JSON.",
    "total_first": "How many rows there are, as the first answer said.",
    "total_last": "How many rows there are, as the last answer said.",
    "page_size_asked": "Rows that each page was asked for.",
    "page_size_granted": "The most rows that came on a page.",
    "paging": "How the lists were paged.",
    "step_backs": "How often it was asked again further back, as pages did not touch.",
    "retries": "Requests that were sent again after an error.",
    "seconds_waited": "Seconds spent waiting: between retries, and for the API's rate limit.",
    "bytes": "Bytes of the answers, as they were sent.",
    "fingerprint": "The same for the same rows, in whatever order they came.",
    "verdict": "`complete`: proven that nothing is missing; `torn`: rows are known to be missing; "
    "`unproven`: neither.",
    "proof": "What proves that the scan is complete.",
    "reason": "Why the verdict is what it is.",
    "scan_kind": "What was asked for: `full`, all rows; `changes`, what changed since the cursor "
    "before; `window`, some start times.",
    "cursor": "Up to where changes are known: the next scan for changes begins here.",
    "origin": "What the API is called: its lists, if nothing else is configured.",
    "event_columns": "The columns of the events and in how many of them each has a value, as JSON.",
}
COLUMNS = {
    "events": CANONICAL | MARKED,
    "event_versions": CANONICAL | MARKED,
    "event_changes": CHANGES,
    "scan_receipts": RECEIPT,
    "daily_events": DAYS,
}
OWN = ("event_changes", "event_versions", "scan_receipts", "quarantined_", "daily_events")
"""Tables that are not the API's: what is said here of their columns is all that there is to say."""
VARIANT = re.compile(r"(\w+)__v_(\w+)")


def of_table(table: str) -> str:
    """What a table holds; one of lists within rows is named after both: `events__tags`."""
    if table.startswith("quarantined_"):
        return QUARANTINED
    parent, _, field = table.partition("__")
    if field and not table.startswith("_"):
        path = field.replace("__", ".")
        return f"The values of the list `{path}` of each row of `{parent}`, in order."
    return TABLES.get(table, f"The rows of `{table}` that the API gives, one for each key.")


def of_column(table: str, column: str) -> str:
    """What a column holds; most are named by the API, after the path to their values."""
    ours = QUARANTINE if table.startswith("quarantined_") else COLUMNS.get(table, {})
    if found := ours.get(column) or LOADED.get(column):
        return found
    if variant := VARIANT.fullmatch(column):
        name, kind = variant.groups()
        return f"Values of `{name}` that do not fit that column, as {kind}."
    if table == "events" and column.endswith("_original"):
        name = column.removesuffix("_original")
        return f"The API's own `{name}`, where the column of that name holds another field."
    return f"As the API gives it: `{column.replace('__', '.')}`."
