"""Thousands of scans of APIs that change while they are read: no receipt claims what is not so."""

from collections import Counter

import pytest

from events_assets.errors import ApiError, EndlessScanError
from events_assets.scan.verdict import COMPLETE, TORN
from events_assets_tests.changing_api import BUSY, QUIET, WILD, ChangingApi, simulation

SCANS = {QUIET: 500, BUSY: 1_000, WILD: 1_000}


def honest(mood):
    """Each API of a mood with the rows that were loaded and the receipt, which claims no more than
    is so; but for those scans that end with an error, which are counted."""
    errors = torn_without_loss = 0
    for seed in range(SCANS[mood]):
        api = ChangingApi(seed, mood)
        try:
            rows, receipt = simulation(api).scan()
        except (ApiError, EndlessScanError):
            errors += 1
            continue
        lost = api.always - rows.keys()
        assert not (lost and receipt.verdict == COMPLETE), (api, receipt)
        torn_without_loss += receipt.verdict == TORN and not lost
        assert {one: row["version"] for one, row in rows.items()} == api.given, (api, receipt)
        assert len(rows) == receipt.rows_loaded
        assert receipt.rows_received == receipt.rows_loaded + receipt.repeats
        yield api, rows, receipt
    assert errors <= SCANS[mood] // 20
    assert torn_without_loss <= SCANS[mood] // 66


@pytest.mark.parametrize("mood", [BUSY, WILD])
def test_no_scan_of_a_changing_api_is_falsely_called_complete(mood):
    assert sum(1 for _ in honest(mood)) > 0.9 * SCANS[mood]


def test_a_quiet_api_is_complete_where_a_proof_can_be_had():
    found = Counter[str]()
    for api, rows, receipt in honest(QUIET):
        assert rows.keys() == api.rows.keys()
        if receipt.verdict == COMPLETE:
            found[receipt.proof] += 1
            continue
        # Nothing says where the list ends, or the total is not that of the rows.
        hopeless = "the only page", "the API refuses", "the API counts", "in no window"
        if api.total == "estimated" and not rows:
            continue  # nothing is sometimes estimated as more
        assert any(words in receipt.reason for words in hopeless), (api, receipt)
        assert "counts" not in receipt.reason or api.total not in ("exact", "absent"), (
            api,
            receipt,
        )
    assert len(found) == 4 and sum(found.values()) > 0.9 * SCANS[QUIET]
