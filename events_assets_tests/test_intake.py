"""The receipt of a scan counts each row that came just once, whatever became of it."""

import random

import pytest

from events_assets.arrow.convert import ByRow
from events_assets.errors import UnloadableError
from events_assets.paging.base import Page
from events_assets.rows.identity import Identity, content_digest
from events_assets.scan.changes import Changes
from events_assets.scan.intake import Intake
from events_assets.scan.list_pass import ListPass
from events_assets.scan.list_request import ListRequest
from events_assets.scan.receipt import Receipt
from events_assets.scan.stored import Stored
from events_assets_tests.simulation import Simulation

IDENTITY = Identity(["id"])
LIST = Simulation(lambda _: None, {"type": "offset", "limit": 10}).endpoint()
LIST.changes = Changes("at", on_missing="exclude")
UNLOADABLE, EXCLUDED = (0, 1), (2,)
"""Versions of rows."""


def loadable(row):
    if row["version"] in UNLOADABLE:
        raise UnloadableError("so it is")
    return row


def version(row):
    return int.from_bytes(content_digest(row)[:8], signed=True)


def taken_in(chance, pages, stored):
    """Takes in pages, of some passes: the receipt, and the ids of rows that were given to dlt."""
    receipt = Receipt("events")
    intake = Intake(IDENTITY, receipt, is_loaded=False)
    intake._batches = ByRow(loadable)
    intake.versions.stored = stored
    given, one = set(), None
    for rows in pages:
        if one is None or chance.random() < 0.2:
            intake.begin()
            one = ListPass(LIST, ListRequest("GET", ""))
        identities = IDENTITY(rows)
        known = one.came.intersection(identities)
        receipt.rows_received += len(rows)
        items = [*intake.take(one, Page(rows, identities, rows, known), ())]
        if chance.random() < 0.5:
            items += intake.flush()
        one.came.update(identities)
        given |= {row["id"] for item in items if type(item) is list for row in item}
    given |= {row["id"] for item in intake.flush() if type(item) is list for row in item}
    intake.versions.count()
    return receipt, given


@pytest.mark.parametrize("seed", range(20))
def test_rows_in_many_versions_are_counted_once_each(seed):
    for number in range(100):
        is_counted(random.Random(100 * seed + number))


def is_counted(chance):
    def rows(most):
        return [
            {"id": chance.randrange(4), "version": number, "at": None if number in EXCLUDED else 1}
            for number in chance.choices(range(6), k=chance.randint(1, most))
        ]

    held = {row["id"]: version(row) for row in rows(4) if row["version"] > 2}
    stored = Stored()
    stored.digests = {**held}
    pages = [rows(4) for _ in range(chance.randint(1, 6))]
    receipt, given = taken_in(chance, pages, stored)
    last, refused = {}, set()
    for row in (row for page in pages for row in page):
        if version(row) not in refused:
            last[row["id"]] = row
        refused |= {version(row)} if row["version"] <= 2 else set()
    loaded = given | {key for key, row in last.items() if row["version"] > 2}
    assert receipt.rows_loaded == len(loaded)
    assert receipt.rows_inserted == len(loaded - held.keys())
    assert receipt.rows_unchanged == sum(held.get(key) == version(last[key]) for key in loaded)
    assert receipt.rows_updated == len(loaded) - receipt.rows_inserted - receipt.rows_unchanged
    others = receipt.repeats + receipt.rows_quarantined + receipt.rows_excluded
    assert receipt.rows_received == receipt.rows_loaded + others
