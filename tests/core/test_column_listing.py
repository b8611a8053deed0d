"""The listing of a table's columns is the table: same names, same order, and the types of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage_pipeline.books.table_files import data_schema
from lineage_pipeline.core.column_listing import listed_columns
from lineage_pipeline.core.key_schema import key_schema, with_key
from lineage_pipeline.core.record_schema import RecordSchema, record_schema

ALL_TYPES = (Path(__file__).parents[1] / "flink" / "test_decode_all_types.avsc").read_text(encoding="utf-8")
KEYS = {"none": None, "raw": key_schema("raw"), "text": key_schema("string"), "all": key_schema("avro", ALL_TYPES)}


def arrow(words: str) -> str:
    """The type in pyarrow's words; Flink leaves the UTC flag out."""
    changed = {"boolean": "bool", "date": "date32[day]", "time(ms)": "time32[ms]"}
    changed |= {"timestamp(ms, UTC)": "timestamp[ms]", "timestamp(ms)": "timestamp[ms]"}
    return changed.get(words, words).replace("decimal", "decimal128")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [record_schema("avro", ALL_TYPES), record_schema("raw")], ids=["avro", "raw"])
def test_names_order_and_types_are_those_of_the_files(value: RecordSchema, key: str) -> None:
    schema = with_key(value, KEYS[key], headers=key != "none")
    listed = [(one.name, arrow(one.parquet_type)) for one in listed_columns(schema)]
    assert listed == [(one.name, str(one.type)) for one in data_schema(schema)]


def test_every_column_says_where_it_comes_from() -> None:
    fields = [{"name": "id", "type": "long"}, {"name": "tags", "type": ["null", {"type": "array", "items": "int"}]}]
    value = record_schema("avro", {"type": "record", "name": "r", "fields": fields})
    listed = listed_columns(with_key(value, key_schema("string"), headers=True))
    assert [(one.source, one.source_type) for one in listed] == [
        ("value.id", "long"),
        ("value.tags", "array or null, as JSON text"),
        ("partition", "int32"),
        ("offset", "int64"),
        ("timestamp", "int64"),
        ("key", "bytes or null"),
        ("key", "string"),
        ("headers", "name and bytes or null"),
    ]
    record = key_schema("avro", '{"type": "record", "name": "k", "fields": [{"name": "value", "type": "int"}]}')
    assert listed_columns(with_key(value, record, headers=False))[-1].source == "key.value"
