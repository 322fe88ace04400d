"""A row that nests too deep for functions that call themselves is set aside whole, alone."""

import json
from itertools import product

import pytest

from events_assets.http.redaction import Redaction
from events_assets.rows.rules import TooDeep, shallow
from events_assets.sample_api import Answer
from events_assets_tests.conftest import event, failure, load_configured

pytestmark = pytest.mark.slow  # each loads several times


def deep(kind: str, levels: int) -> str:
    begin, end = {"list": ("[", "]"), "object": ('{"a": ', "}"), "both": ('[{"a": ', "}]")}[kind]
    return f'{begin * levels}"x\\u00e9"{end * levels}'


DEEP = [("list", 970), ("object", 990), ("object", 1015), ("both", 505)]


def test_rows_of_a_thousand_levels_are_set_aside_whole_and_the_rest_loads(serve, rows):
    bad = [
        json.dumps({**event(number), key: "HERE"}).replace('"HERE"', deep(kind, levels))
        for number, ((kind, levels), key) in enumerate(
            product(DEEP, ["deep", "start_time", "id", "status"]), start=10
        )
    ]
    listed = ", ".join([json.dumps(event(1)), *bad, json.dumps(event(3))])
    body = f'{{"data": [{listed}], "total": {len(bad) + 2}}}'
    serve().intercept = lambda number, path: Answer(200, body.encode())
    load_configured()
    assert rows("SELECT id FROM events ORDER BY id") == [(1,), (3,)]
    found = rows("SELECT document, reason FROM quarantined_events ORDER BY position")
    assert found == [(row, "nested deeper than 250 levels") for row in bad]


def test_a_row_that_nests_too_deep_is_masked_and_still_known_as_such():
    row = Redaction("key-of-the-tests").value(TooDeep('{"a": "key-of-the-tests \\u00e9"}'))
    assert isinstance(row, TooDeep) and row == '{"a": "[masked] \\u00e9"}'


def test_any_depth_is_written_as_json_writes_it():
    value: object = {"a": [], "b": {}, 'c"': [1, None, True, {"x": [2.5, "é"]}]}
    for _ in range(100_000):
        value = [value, 1]
    assert shallow([{"a": [1]}, 2]) == [{"a": [1]}, 2]
    row, other = shallow([value, {"a": 1}])
    assert isinstance(row, TooDeep) and other == {"a": 1}
    inner = json.dumps({"a": [], "b": {}, 'c"': [1, None, True, {"x": [2.5, "é"]}]})
    assert row == "[" * 100_000 + inner + ", 1]" * 100_000


def test_a_page_too_deep_to_be_parsed_is_told_in_one_sentence(serve, run):
    api = serve()
    body = f'{{"data": [{deep("list", 100_000)}], "total": 1}}'
    api.intercept = lambda number, path: Answer(200, body.encode())
    told = failure(run())
    assert "cannot be parsed" in told and "\n" not in told
