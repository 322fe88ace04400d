"""Fails on the day that dlt renames what dlt_private.py uses, or needs it no longer."""

import threading
from contextlib import ExitStack
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt.common.data_types import coerce_value, type_helpers
from dlt.common.normalizers.json.relational import DataItemNormalizer
from dlt.common.normalizers.utils import generate_dlt_id
from dlt.common.schema import Schema
from dlt.common.schema.exceptions import CannotCoerceColumnException
from dlt.common.schema.utils import new_table
from dlt.extract import DltResource
from dlt.extract.items import TableNameMeta
from dlt.normalize.items_normalizers import JsonLItemsNormalizer
from dlt.pipeline.exceptions import PipelineStepFailed

from events_assets.arrow.arrays import dlt_ids
from events_assets.arrow.coercion import fitting
from events_assets.dlt_private import (
    TYPE_MARKS,
    Normalizer,
    conversions,
    for_nested_table,
    is_shared,
)
from events_assets_tests.tables import declared, for_duckdb

NAMES = [
    (type_helpers, "_COERCE_DISPATCH"),
    (JsonLItemsNormalizer, "_coerce_row"),
    (JsonLItemsNormalizer, "_normalize_chunk"),
    (DltResource, "_set_hints"),
    *(
        (DataItemNormalizer(Schema("events")), name)
        for name in (
            "_normalize_table_identifier",
            "_normalize_identifier",
            "_shorten_fragments",
            "_is_nested_type",
            "_should_be_nested",
            "_get_table_nesting_level",
            "_get_propagation_mapping",
            "_get_root_row_id_type",
        )
    ),
    (dlt.resource([], name="events"), "_pipe"),
]


@pytest.mark.parametrize(("owner", "name"), NAMES, ids=[name for _, name in NAMES])
def test_dlt_has_the_name_that_it_keeps_for_itself(owner, name):
    assert hasattr(owner, name)
    assert not hasattr(owner, name.lstrip("_")), "there is a public one now"


@pytest.mark.parametrize(
    ("to", "value", "kept"),
    [
        ("bigint", "01234", 1234),
        ("bigint", "9" * 30, int("9" * 30)),
        ("bool", 5, True),
        ("double", 2**53 + 1, 2.0**53),
    ],
)
def test_dlt_still_keeps_a_part_of_a_value(to, value, kept):
    from_type = "bigint" if isinstance(value, int) else "text"
    assert coerce_value(to, from_type, value) == kept
    with fitting(), pytest.raises(ValueError, match=str(value)):
        coerce_value(to, from_type, value)


def test_dlt_still_ends_the_load_for_a_number_too_large_for_a_time():
    with pytest.raises(OSError):
        coerce_value("timestamp", "bigint", 10**18)


def test_loads_that_overlap_leave_dlts_own_conversions_behind():
    own = dict(conversions())
    first, second = ExitStack(), ExitStack()
    first.enter_context(fitting())
    thread = threading.Thread(target=lambda: second.enter_context(fitting()))
    thread.start()
    thread.join()
    first.close()
    with pytest.raises(ValueError, match="01234"):  # the second load goes on
        coerce_value("bigint", "text", "01234")
    second.close()
    assert dict(conversions()) == own
    with fitting(), fitting():
        pass
    assert dict(conversions()) == own


def test_dlt_still_takes_a_text_with_a_mark_for_another_value():
    with for_duckdb():
        normalizer = Normalizer(declared(), "load")
        normalizer.decide("events", {"id": 1, "new": TYPE_MARKS[1] + "2026-05-01T10:00:00Z"})
    assert normalizer.schema.tables["events"]["columns"]["new"]["data_type"] == "timestamp"


def test_dlt_still_ends_the_load_where_a_value_fits_no_column():
    with for_duckdb():
        normalizer = Normalizer(declared(), "load")
        for row in ({"a": 1.5}, {"a": "x"}, {"a__v_text": "y"}):
            normalizer.decide("events", {"id": 1} | row)
        columns: Any = {"a__v_bool": {"name": "a__v_bool", "data_type": "date"}}
        normalizer.schema.update_table({"name": "events", "columns": columns})
        with pytest.raises(CannotCoerceColumnException):
            normalizer.decide("events", {"id": 1, "new": 1, "a": True})


def test_dlt_still_knows_what_a_contract_lets_no_row_bring():
    with for_duckdb():
        schema = declared()
        schema.tables["events"]["schema_contract"] = {"columns": "discard_row"}
        normalizer = Normalizer(schema, "load")
        normalizer.decide("events", {"id": 1, "new": 1})
    assert normalizer.discarding("events") == ["new"]


def test_dlt_still_gives_the_hints_of_a_resource_to_a_table_below_it():
    resource = dlt.resource([], name="events", primary_key="id", write_disposition="merge")
    below = "events__tags"
    resource.apply_hints(below, parent_table_name="events", create_table_variant=True)
    table = resource.compute_table_schema(meta=TableNameMeta(below))
    assert table["write_disposition"] == "merge"
    assert table["columns"]["id"]["primary_key"]


def test_dlt_still_looks_for_the_resource_of_a_table_below(tmp_path):
    @dlt.source(name="events")
    def source() -> Any:
        def events() -> Any:
            resource, schema = dlt.current.resource(), dlt.current.source_schema()
            for name, above in (("events", ""), ("events__tags", "events")):
                schema.update_table(new_table(name, above, resource=None if above else name))
            item = for_nested_table(resource, schema, "events__tags", pa.table({"value": ["a"]}))
            schema.tables["events__tags"] = dict(schema.tables["events__tags"])
            yield item

        return dlt.resource(events, name="events")

    pipeline = dlt.pipeline("events", pipelines_dir=str(tmp_path), destination="duckdb")
    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.extract(source())
    assert isinstance(failed.value.__cause__, KeyError)


def test_a_resource_knows_who_else_gets_its_items():
    def events() -> Any:
        yield [{"id": 1}]

    alone = dlt.resource(events, name="alone")
    mapped = dlt.resource(events, name="mapped").add_map(lambda row: row)
    child = dlt.transformer(lambda row: row, data_from=alone, name="child")
    assert not is_shared(alone, [alone, mapped])
    assert is_shared(mapped, [mapped])
    assert is_shared(alone, [alone, child])


def test_ids_are_of_the_length_of_dlts():
    ids = dlt_ids(1000)
    assert ids.type == pa.string()
    assert {*map(len, ids.to_pylist())} == {len(generate_dlt_id())}
    assert len({*ids.to_pylist()}) == 1000
