"""Record schemas become columns; what cannot become a column is refused with a remedy."""

from __future__ import annotations

import json

import pytest

from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from lineage_pipeline.errors import SchemaError


def _record(*fields: tuple[str, object]) -> dict[str, object]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def _one(kind: object) -> RecordSchema:
    return record_schema("avro", _record(("x", kind)))


def _logical(kind: str, logical: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": logical, **more}


@pytest.mark.parametrize(
    ("avro", "transport", "column"),
    [
        ("null", "STRING", "STRING"),
        ("boolean", "BOOLEAN", "BOOLEAN"),
        ("int", "INT", "INT"),
        ("long", "BIGINT", "BIGINT"),
        ("float", "FLOAT", "FLOAT"),
        ("double", "DOUBLE", "DOUBLE"),
        ("bytes", "BYTES", "BYTES"),
        ("string", "STRING", "STRING"),
        ({"type": "fixed", "name": "F", "size": 3}, "BYTES", "BYTES"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "STRING", "STRING"),
        (_logical("int", "date"), "DATE", "DATE"),
        (_logical("int", "time-millis"), "TIME(3)", "TIME(3)"),
        (_logical("long", "time-micros"), "BIGINT", "BIGINT"),
        (_logical("long", "timestamp-millis"), "BIGINT", "TIMESTAMP_LTZ(3)"),
        (_logical("long", "timestamp-micros"), "BIGINT", "BIGINT"),
        (_logical("long", "timestamp-nanos"), "BIGINT", "BIGINT"),
        (_logical("long", "local-timestamp-millis"), "TIMESTAMP(3)", "TIMESTAMP(3)"),
        (_logical("long", "local-timestamp-micros"), "BIGINT", "BIGINT"),
        (_logical("bytes", "decimal", precision=38, scale=2), "DECIMAL(38, 2)", "DECIMAL(38, 2)"),
        (_logical("bytes", "decimal", precision=39, scale=2), "STRING", "STRING"),
        (_logical("fixed", "decimal", name="F", size=4, precision=9), "DECIMAL(9, 0)", "DECIMAL(9, 0)"),
        (_logical("string", "uuid"), "STRING", "STRING"),
        (_logical("fixed", "uuid", name="F", size=16), "STRING", "STRING"),
        (_logical("long", "unheard-of"), "BIGINT", "BIGINT"),
        ({"type": "array", "items": "int"}, "STRING", "STRING"),
        ({"type": "map", "values": "int"}, "STRING", "STRING"),
        (["int", "string"], "STRING", "STRING"),
        ({"type": "record", "name": "S", "fields": []}, "STRING", "STRING"),
    ],
)
def test_every_type_has_its_transport_and_its_column_also_when_nullable(
    avro: object, transport: str, column: str
) -> None:
    (plain,) = _one(avro).columns
    assert (plain.transport_type, plain.sql_type, plain.nullable) == (transport, column, avro == "null")
    if avro == "null" or isinstance(avro, list):
        return
    for union in (["null", avro], [avro, "null"]):
        (nullable,) = _one(union).columns
        assert (nullable.transport_type, nullable.sql_type, nullable.nullable) == (transport, column, True)


def test_names_are_looked_up_in_their_namespace_and_types_may_be_recursive() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "a.b",
        "fields": [
            {"name": "x", "type": {"type": "fixed", "name": "F", "size": 2}},
            {"name": "y", "type": "F"},
            {"name": "z", "type": ["null", "a.b.F"]},
            {"name": "again", "type": ["null", "R"]},
        ],
    }
    columns = record_schema("avro", schema).columns
    assert [column.sql_type for column in columns] == ["BYTES", "BYTES", "BYTES", "STRING"]
    assert [column.source_type for column in columns] == ["fixed a.b.F", "fixed a.b.F", "fixed a.b.F", "record a.b.R"]


def test_raw_is_one_column_of_bytes() -> None:
    schema = record_schema("raw")
    assert schema.table_columns == ("`value` BYTES",)
    assert schema.transport_type == "ROW<`f0` BYTES, `error` STRING>"


def test_equal_schemas_have_equal_texts_and_rebuild_themselves_from_them() -> None:
    text = json.dumps(_record(("x", "int"), ("y", _logical("long", "timestamp-millis"))), indent=2)
    schema = record_schema("avro", text)
    reordered = json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert record_schema("avro", reordered) == schema
    assert record_schema(schema.format, schema.text) == schema


def test_names_travel_as_f0_f1_and_come_back_quoted() -> None:
    schema = record_schema("avro", _record(("select", "int"), ("a`b", "string"), ("error", "string"), ("nans", "int")))
    assert schema.transport_type == "ROW<`f0` INT, `f1` STRING, `f2` STRING, `f3` INT, `error` STRING>"
    assert schema.projections("r") == (
        "r.`f0` AS `select`",
        "r.`f1` AS `a``b`",
        "r.`f2` AS `error`",
        "r.`f3` AS `nans`",
    )
    assert schema.table_columns == ("`select` INT", "`a``b` STRING", "`error` STRING", "`nans` INT")


def test_floats_take_their_nan_from_a_slot_of_their_own() -> None:
    schema = record_schema("avro", _record(("a", "float"), ("b", "int"), ("c", ["null", "double"])))
    assert schema.transport_fields[-2:] == (("nans", "STRING"), ("error", "STRING"))
    first, _, second = schema.projections("r")
    assert first == "COALESCE(r.`f0`, CAST(NULLIF(SUBSTRING(r.`nans`, 1, 3), '---') AS FLOAT)) AS `a`"
    assert second == "COALESCE(r.`f2`, CAST(NULLIF(SUBSTRING(r.`nans`, 4, 3), '---') AS DOUBLE)) AS `c`"


@pytest.mark.parametrize("name", ["kafka_offset", "KAFKA_x", "Kafka_Topic", "dt", "Hour", "a\nb", "a\0b", "\ud800"])
def test_names_that_cannot_be_columns_are_refused_with_name_and_remedy(name: str) -> None:
    with pytest.raises(SchemaError) as refused:
        record_schema("avro", _record(("fine", "int"), (name, "int")))
    assert repr(name) in str(refused.value)
    assert "rename" in str(refused.value)


def test_names_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"'Id' and 'iD'.*rename"):
        record_schema("json", _record(("Id", "int"), ("iD", "int")))


def test_nested_fields_may_have_any_name() -> None:
    assert _one({"type": "record", "name": "S", "fields": [{"name": "kafka_offset", "type": "int"}]}).columns


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("{", "not JSON"),
        ('"string"', "needs a record"),
        ('["null", "int"]', "needs a record"),
        (_record(), "no fields"),
        ({"type": "record", "name": "R"}, "no list of fields"),
        ({"type": "record", "fields": []}, "no name"),
        (_record(("x", "unknown.Type")), "'unknown.Type' is neither primitive nor defined"),
        (_record(("x", 7)), "7 is no Avro type"),
        (_record(("x", [])), "union"),
        (_record(("x", ["int", "int"])), "union"),
        (_record(("x", ["int", ["null"]])), "union"),
        (_record(("x", "int"), ("x", "int")), "twice"),
        (_record(("x", {"type": "array"})), "None is no Avro type"),
        (_record(("x", {"type": "enum", "name": "E"})), "no list of symbols"),
        (_record(("x", {"type": "enum", "name": "E", "symbols": ["A", "A"]})), "symbol twice"),
        (_record(("x", {"type": "fixed", "name": "F", "size": -1})), "size -1"),
        (_record(("x", {"type": "fixed", "name": "R", "size": 1})), "defined twice"),
        (_record(("x", _logical("bytes", "decimal"))), "precision"),
        (_record(("x", _logical("bytes", "decimal", precision=2, scale=3))), "scale"),
        (_record(("x", _logical("fixed", "decimal", name="F", size=1, precision=3))), "cannot hold 3 digits"),
        (_record(("x", _logical("fixed", "uuid", name="F", size=15))), "15 bytes"),
        ({"type": "record", "name": "R", "fields": [{"name": "x", "type": "int", "logicalType": "date"}]}, "beside"),
    ],
)
def test_schemas_that_are_not_valid_are_refused_by_name(schema: str | dict[str, object], says: str) -> None:
    with pytest.raises(SchemaError) as refused:
        record_schema("avro", schema)
    assert says in str(refused.value)


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: object = "int"
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaError, match="too deeply"):
        _one(schema)


def test_formats_and_schemas_must_fit_together() -> None:
    with pytest.raises(SchemaError, match=r"'xml'.*avro, avro-confluent, json, protobuf, protobuf-confluent, raw"):
        record_schema("xml", "{}")
    with pytest.raises(SchemaError, match="raw takes no schema"):
        record_schema("raw", "{}")
    with pytest.raises(SchemaError, match="not JSON"):
        record_schema("avro")
