"""Keys and headers: which columns they become, and what of a key that cannot be decoded."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.core.key_schema import (
    KEY_FORMATS,
    headers_map,
    is_on_request,
    key_reader,
    key_schema,
    with_key,
)
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.core.record_values import ERROR_CLASSES, Undecodable
from lineage_pipeline.core.table_rows import KafkaRecord, RowMaker
from lineage_pipeline.errors import SchemaError, SettingsError

RECORD = json.dumps(
    {
        "type": "record",
        "name": "K",
        "fields": [{"name": "hour", "type": "int"}, {"name": "kafka_id", "type": ["null", "string"]}],
    }
)


def encoded(schema: Any, value: Any) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), value)
    return buffer.getvalue()


def columns(key_format: str, schema: str = "") -> list[tuple[str, str]]:
    return [(one.name, one.sql_type) for one in key_schema(key_format, schema).columns]


# --- columns


def test_beside_the_bytes_a_key_has_the_columns_that_its_format_gives() -> None:
    assert columns("raw") == []
    assert columns("string") == [("kafka_key_text", "STRING")]
    assert columns("avro", RECORD) == [("kafka_key_hour", "INT"), ("kafka_key_kafka_id", "STRING")]
    assert columns("avro", '"long"') == columns("avro", "long") == [("kafka_key_value", "BIGINT")]
    assert columns("avro-confluent", '{"type": "string"}') == [("kafka_key_value", "STRING")]
    assert columns("avro", '["null", "int"]') == [("kafka_key_value", "INT")]
    assert columns("avro", '{"type": "array", "items": "int"}') == [("kafka_key_value", "STRING")]


@pytest.mark.parametrize("text", ["", "long", '"long"', RECORD])
def test_format_and_text_rebuild_a_key_schema_anywhere(text: str) -> None:
    made = key_schema("avro", text) if text else key_schema("string")
    assert key_schema(made.format, made.text) == made


@pytest.mark.parametrize(
    ("key_format", "schema", "words"),
    [
        ("xml", "", "key format 'xml' is unknown: choose one of raw, string, avro, avro-confluent"),
        ("raw", "long", "key format raw takes no schema"),
        ("string", "long", "key format string takes no schema"),
        ("avro", "", "is not JSON"),
        ("avro", '"nothing"', "neither primitive nor defined"),
        ("avro", '{"type": "record", "name": "K", "fields": []}', "has no fields"),
        ("avro", RECORD.replace("kafka_id", "HOUR"), "differ in case only"),
        ("avro-confluent", RECORD.replace('"int"', '"int", "default": "x"'), "the default of field 'hour'"),
    ],
)
def test_what_cannot_be_a_key_is_refused(key_format: str, schema: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        key_schema(key_format, schema)


def test_floats_of_keys_come_behind_those_of_values() -> None:
    value = record_schema("avro", {"type": "record", "name": "V", "fields": [{"name": "x", "type": "double"}]})
    made = with_key(value, key_schema("avro", '"float"'), headers=False)
    assert [one.nan_slot for one in made.decoded_columns] == [0, 1]
    assert [name for name, _ in made.transport_fields] == ["f0", "k0", "nans", "error"]


def test_only_a_key_that_is_decoded_makes_raw_values_go_through_the_decoder() -> None:
    raw = record_schema("raw")
    for key, decoded in ((None, False), (key_schema("raw"), False), (key_schema("string"), True)):
        assert with_key(raw, key, headers=True).is_decoded is decoded


def test_columns_on_request_are_known_by_their_names() -> None:
    asked = [
        name for name in ("kafka_key", "kafka_key_id", "kafka_headers", "kafka_offset", "key") if is_on_request(name)
    ]
    assert asked == ["kafka_key", "kafka_key_id", "kafka_headers"]


# --- values


def refusal(key_format: str, schema: str, data: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        key_reader(key_schema(key_format, schema))(data)
    assert caught.value.error_class.removeprefix("key-") in ERROR_CLASSES
    return f"{caught.value.error_class}: {caught.value.detail}"


def test_text_is_utf8_or_refused() -> None:
    read = key_reader(key_schema("string"))
    assert read("é\0".encode()) == ["é\0"]
    assert read(b"") == [""]
    assert refusal("string", "", b"ab\xff") == "key-invalid-utf8: invalid start byte at byte 2"


def test_a_bad_key_says_what_is_wrong_with_the_key() -> None:
    assert refusal("avro", "long", b"") == "key-truncated: the key ends in field 'value'"
    assert refusal("avro", "long", b"\x02\x02") == "key-trailing-bytes: 1 bytes follow the record"
    assert refusal("avro", "string", b"\x01").startswith("key-negative-length: field 'value'")
    assert refusal("avro", RECORD, b"\x02\x08").startswith("key-bad-union-branch: field 'kafka_id'")


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_key_that_is_one_value_is_read_as_avro_writes_it(number: int) -> None:
    assert key_reader(key_schema("avro", "long"))(encoded("long", number)) == [number]


@given(st.binary(max_size=40), st.sampled_from(["long", "string", RECORD, '["null", "double"]']))
def test_no_key_gets_past_the_reader_with_another_error(data: bytes, schema: str) -> None:
    rows = RowMaker(with_key(record_schema("raw"), key_schema("avro", schema), headers=False))
    row = rows.row(0, KafkaRecord(0, 0, None, b"v", data))
    assert row.table == "data" or str(row.values[3]).startswith("key-")
    assert data in row.values


# --- keys of a registry


SCHEMAS = {
    1: WrittenSchema('"int"'),
    2: WrittenSchema('"string"'),
    3: WrittenSchema(RECORD),
    4: WrittenSchema("{", kind="JSON"),
}


def confluent(schema_id: int, data: bytes, schema: str = "long") -> list[Any]:
    return key_reader(key_schema("avro-confluent", schema), SCHEMAS.__getitem__)(
        b"\0" + schema_id.to_bytes(4, "big") + data
    )


def test_keys_of_a_registry_are_resolved_to_the_tables_schema() -> None:
    assert confluent(1, encoded("int", -7)) == [-7]
    assert confluent(3, encoded(json.loads(RECORD), {"hour": 3, "kafka_id": "x"}), RECORD) == [3, "x"]


@pytest.mark.parametrize(
    ("schema_id", "words"),
    [
        (2, "field 'value': written as string, the table has long"),
        (3, "field 'value': written as record K, the table has long"),
        (4, "it is of type JSON"),
    ],
)
def test_keys_that_do_not_go_with_the_tables_schema_are_refused(schema_id: int, words: str) -> None:
    with pytest.raises(Undecodable) as caught:
        confluent(schema_id, b"\0")
    assert caught.value.error_class in {"key-unresolvable", "key-bad-schema"}
    assert words in caught.value.detail


def test_keys_of_a_registry_need_one() -> None:
    with pytest.raises(SettingsError, match="schema registry"):
        key_reader(key_schema("avro-confluent", "long"))


# --- headers


def test_the_last_value_of_a_name_counts_and_names_have_an_order_of_their_own() -> None:
    assert list(headers_map([("b", b"1"), ("a", None), ("b", None), ("a", b"2")]).items()) == [("a", b"2"), ("b", None)]
    assert headers_map([]) == {}


# --- rows


VALUE = record_schema("avro", {"type": "record", "name": "V", "fields": [{"name": "n", "type": "long"}]})


def row(record: KafkaRecord, key: str | None = "avro", *, headers: bool = True) -> tuple[str, tuple[Any, ...]]:
    asked = None if key is None else key_schema(key, "double" if key == "avro" else "")
    made = RowMaker(with_key(VALUE, asked, headers=headers)).row(5, record)
    return made.table, made.values


def test_a_row_has_its_key_and_headers_behind_the_coordinates() -> None:
    record = KafkaRecord(7, 9, None, b"\x02", encoded("double", 0.5), (("h", b"x"),))
    key = record.key
    assert row(record) == ("data", (1, 5, 7, 9, key, 0.5, {"h": b"x"}))
    assert row(record, "raw", headers=False) == ("data", (1, 5, 7, 9, key))
    assert row(record, None) == ("data", (1, 5, 7, 9, {"h": b"x"}))
    assert row(record, None, headers=False) == ("data", (1, 5, 7, 9))


def test_a_record_without_a_key_has_null_in_every_column_of_it() -> None:
    assert row(KafkaRecord(7, 9, None, b"\x02", None, ())) == ("data", (1, 5, 7, 9, None, None, {}))


def test_a_tombstone_is_a_row_of_nulls_with_its_key() -> None:
    key = encoded("double", math.inf)
    assert row(KafkaRecord(7, 9, None, None, key, ())) == ("data", (None, 5, 7, 9, key, math.inf, {}))


def test_of_two_errors_the_values_is_told_and_the_key_is_kept() -> None:
    table, values = row(KafkaRecord(7, 9, None, b"", b"\0", ()))
    assert (table, values[3].partition(":")[0], values[4:]) == ("quarantine", "truncated", (b"", b"\0", {}))
    table, values = row(KafkaRecord(7, 9, None, b"\x02", b"\0", ()))
    assert (table, values[3].partition(":")[0], values[4:]) == ("quarantine", "key-truncated", (b"\x02", b"\0", {}))


def test_headers_that_were_asked_for_and_not_read_are_a_defect_and_no_empty_map() -> None:
    with pytest.raises(ValueError, match="without their headers"):
        row(KafkaRecord(7, 9, None, b"\x02"))


@pytest.mark.parametrize("key_format", KEY_FORMATS)
def test_every_key_format_is_one_of_the_settings(key_format: str) -> None:
    from lineage_pipeline.settings import TopicSettings  # noqa: PLC0415

    paths = dict.fromkeys(("output", "offset_index", "quarantine", "audit", "checkpoints"), "x")
    assert (
        TopicSettings.model_validate({"name": "t", "paths": paths, "key_format": key_format}).key_format == key_format
    )
