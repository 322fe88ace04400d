"""Two loads into one warehouse at once: one waits for the other, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from events_assets_tests.conftest import event, load

pytestmark = pytest.mark.slow  # each loads several times

COUNTS = "SELECT rows_inserted, rows_updated, rows_unchanged, rows_removed FROM scan_receipts"


def test_two_threads_load_one_after_the_other(serve, rows):
    serve()
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            some = [event(number, tags=["a"]) for number in range(200)]
            assert len({*threads.map(load, [some] * 4)}) == 1
    assert rows("SELECT count(*), count(DISTINCT id) FROM events") == [(200, 200)]
    assert rows("SELECT count(*) FROM events__tags") == [(200,)]
    assert rows("SELECT count(*) FROM event_changes") == [(200,)]
    assert sorted(rows(COUNTS)) == [(0, 0, 200, 0)] * 11 + [(200, 0, 0, 0)]
