"""JSON records declared by a JSON Schema or a list of columns: which columns they become, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.json_declaration import declaration_text
from lineage_pipeline.core.record_schema import Column, record_schema
from lineage_pipeline.errors import SchemaError


def of_schema(schema: Any, columns: dict[str, str] | None = None) -> tuple[Column, ...]:
    return record_schema("json", declaration_text(json.dumps(schema), columns, "ignore")).columns


def of_property(described: Any, **further: Any) -> Column:
    (column,) = of_schema({"type": "object", "properties": {"x": described}, **further})
    return column


def of_list(**columns: str) -> tuple[Column, ...]:
    return record_schema("json", declaration_text(None, columns, "ignore")).columns


STRINGS = {
    "plain": ({"type": "string"}, "STRING"),
    "unknown format": ({"type": "string", "format": "email"}, "STRING"),
    "date-time": ({"type": "string", "format": "date-time"}, "TIMESTAMP_LTZ(3)"),
    "date": ({"type": "string", "format": "date"}, "DATE"),
    "uuid": ({"type": "string", "format": "uuid"}, "STRING"),
    "base64": ({"type": "string", "contentEncoding": "base64"}, "BYTES"),
    "enum": ({"enum": ["a", "b"]}, "STRING"),
    "const": ({"const": "a"}, "STRING"),
    "nullable": ({"type": ["string", "null"]}, "STRING"),
}
NUMBERS = {
    "integer": ({"type": "integer"}, "BIGINT"),
    "int32": ({"type": "integer", "format": "int32"}, "INT"),
    "int64 bounds": ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, "BIGINT"),
    "beyond int64": ({"type": "integer", "minimum": 0, "maximum": 2**64 - 1}, "DECIMAL(20, 0)"),
    "uint64": ({"type": "integer", "format": "uint64"}, "DECIMAL(20, 0)"),
    "number": ({"type": "number"}, "DOUBLE"),
    "number or integer": ({"type": ["integer", "number"]}, "DOUBLE"),
    "float": ({"type": "number", "format": "float"}, "FLOAT"),
    "cents": ({"type": "number", "multipleOf": 0.01}, "DECIMAL(38, 2)"),
    "no power of ten": ({"type": "number", "multipleOf": 0.25}, "DOUBLE"),
}
OTHERS = {
    "boolean": ({"type": "boolean"}, "BOOLEAN"),
    "object": ({"type": "object", "properties": {"a": {"type": "string"}}}, "STRING"),
    "array": ({"type": "array"}, "STRING"),
    "null": ({"type": "null"}, "STRING"),
    "anything": ({}, "STRING"),
    "true": (True, "STRING"),
    "several": ({"type": ["string", "integer"]}, "STRING"),
    "optional as pydantic writes it": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "BIGINT"),
    "alternatives of one type": (
        {"oneOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "uuid"}]},
        "STRING",
    ),
    "allOf of one reference": ({"allOf": [{"type": "integer"}], "description": "an id"}, "BIGINT"),
}


@pytest.mark.parametrize("name", {**STRINGS, **NUMBERS, **OTHERS})
def test_a_property_becomes_the_column_of_its_type(name: str) -> None:
    described, sql = {**STRINGS, **NUMBERS, **OTHERS}[name]
    assert of_property(described).sql_type == sql


def test_references_within_the_file_are_followed() -> None:
    schema = {
        "$ref": "#/$defs/order",
        "$defs": {
            "order": {"type": "object", "properties": {"id": {"$ref": "#/definitions/a~1b"}}},
        },
        "definitions": {"a/b": {"type": "integer"}},
    }
    assert [(one.name, one.sql_type) for one in of_schema(schema)] == [("id", "BIGINT")]


def test_columns_come_in_the_order_of_the_file_and_say_what_may_be_null() -> None:
    schema = {"properties": {"b": {"type": "string"}, "a": {"type": ["null", "number"]}, "c": {}}, "required": ["b"]}
    columns = of_schema(schema)
    assert [(one.name, one.nullable, one.source_type) for one in columns] == [
        ("b", False, "string"),
        ("a", True, "number or null"),
        ("c", True, "any JSON"),
    ]


LISTED = {
    "boolean": "BOOLEAN",
    "int": "INT",
    "INTEGER": "INT",
    "bigint": "BIGINT",
    "bigint not null": "BIGINT",
    "Bigint  NOT NULL": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "string": "STRING",
    "varchar": "STRING",
    "bytes": "BYTES",
    "date": "DATE",
    "time": "TIME(3)",
    "timestamp": "TIMESTAMP_LTZ(3)",
    "timestamp(3)": "TIMESTAMP_LTZ(3)",
    "timestamp(6)": "BIGINT",
    "timestamp(9) not null": "BIGINT",
    "local_timestamp": "TIMESTAMP(3)",
    "epoch_millis": "TIMESTAMP_LTZ(3)",
    "decimal(12,2)": "DECIMAL(12, 2)",
    "decimal(12, 2) not null": "DECIMAL(12, 2)",
    "numeric(38)": "DECIMAL(38, 0)",
    "uuid": "STRING",
    "json": "STRING",
}


@pytest.mark.parametrize("text", LISTED)
def test_a_listed_type_becomes_its_column(text: str) -> None:
    (column,) = of_list(x=text)
    assert column.sql_type == LISTED[text]
    assert column.nullable == ("not null" not in text.lower())


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("bigit", "did you mean bigint"),
        ("decimal", r"decimal\(p, s\)"),
        ("decimal(39,2)", r"decimal\(p, s\)"),
        ("decimal(2,3)", r"decimal\(p, s\)"),
        ("timestamp(4)", "known|did you mean"),
        ("timestamp(3, 3)", "known|did you mean"),
        ("bigint(20)", "known|did you mean"),
        ("uuid(1)", "known|did you mean"),
        ("x" * 50, "known: .*bigint"),
        ("", "known"),
    ],
)
def test_a_type_that_is_none_is_refused_with_its_column(text: str, remedy: str) -> None:
    with pytest.raises(SchemaError, match=rf"column 'x'.*({remedy})"):
        of_list(x=text)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "object"}, "properties"),
        ({"type": "object", "properties": {}}, "properties"),
        ({"type": "array", "properties": {"a": {}}}, "properties"),
        ({"properties": {"a": {}}, "allOf": [{}]}, "'allOf' beside its properties"),
        ({"properties": {"a": {}}, "required": ["b"]}, r"requires \['b'\]"),
        ({"properties": {"a": {"type": "int"}}}, "property 'a': type 'int' is none of"),
        ({"properties": {"a": {"type": []}}}, "property 'a'"),
        ({"properties": {"a": False}}, "property 'a': 'False' is no JSON Schema"),
        ({"properties": {"a": {"$ref": "other.json#/x"}}}, "outside of the file"),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}}, "leads nowhere"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "circle"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}, "too deep"),
        ({"properties": {"a": {"anyOf": {}}}}, "no list of schemas"),
        ({"properties": {"a": {"type": "string", "enum": [1]}}}, "has no text"),
        ({"properties": {"a": {"type": "integer", "maximum": 10**40}}}, "41 digits"),
        ({"properties": {"kafka_x": {}}}, "kept for Kafka's own columns"),
        ({"properties": {"dt": {}}}, "partition directory"),
        ({"properties": {"Id": {}, "id": {}}}, "differ in case only"),
    ],
)
def test_a_json_schema_that_cannot_become_columns_is_refused_in_a_sentence(schema: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        of_schema(schema)


def test_a_key_that_is_there_twice_is_no_declaration() -> None:
    with pytest.raises(SchemaError, match="'a' twice"):
        record_schema("json", '{"properties": {"a": {}, "a": {}}}')
    with pytest.raises(SchemaError, match="not JSON"):
        record_schema("json", "{")
    with pytest.raises(SchemaError, match="nested too deeply"):
        record_schema("json", '{"properties":' * 100_000)


def test_a_list_beside_a_json_schema_corrects_single_types() -> None:
    schema = {"properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}}
    assert [one.sql_type for one in of_schema(schema, {"at": "timestamp(6)"})] == ["BIGINT", "BIGINT"]
    with pytest.raises(SchemaError, match="'ta' is no property"):
        of_schema(schema, {"ta": "timestamp(6)"})
    avro = {"type": "record", "name": "r", "fields": [{"name": "at", "type": "string"}]}
    with pytest.raises(SchemaError, match="beside an Avro schema"):
        of_schema(avro, {"at": "timestamp(6)"})


AVRO = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}


def test_the_column_of_unknown_fields_comes_on_request_and_no_field_can_have_its_name() -> None:
    for schema in (AVRO, {"properties": {"a": {"type": "string"}}}):
        text = declaration_text(json.dumps(schema), None, "keep")
        assert [one.name for one in record_schema("json", text).columns] == ["a", UNKNOWN_COLUMN]
        for other in ("ignore", "refuse"):
            text = declaration_text(json.dumps(schema), None, other)  # type: ignore[arg-type]
            assert [one.name for one in record_schema("json", text).columns] == ["a"]
    with pytest.raises(SchemaError, match="kept for Kafka"):
        of_list(**{UNKNOWN_COLUMN: "json"})


def test_an_avro_schema_alone_is_declared_by_the_text_it_always_was() -> None:
    """Plans, deployment records and workers of before know no other."""
    assert record_schema("json", declaration_text(json.dumps(AVRO), None, "ignore")) == record_schema("json", AVRO)
    assert record_schema("json", AVRO).text == record_schema("avro", AVRO).text


@pytest.mark.parametrize("unknown", ["ignore", "keep", "refuse"])
@pytest.mark.parametrize("columns", [None, {"b": "string", "a": "bigint not null"}])
@pytest.mark.parametrize("schema", [None, {"properties": {"b": {}, "a": {"type": "integer"}}}])
def test_the_text_of_a_declaration_rebuilds_it(schema: Any, columns: Any, unknown: Any) -> None:
    if schema is None and columns is None:
        return
    made = record_schema("json", declaration_text(None if schema is None else json.dumps(schema), columns, unknown))
    assert record_schema("json", made.text) == made
    assert [one.name for one in made.columns][:2] == ["b", "a"]


def test_an_unknown_rule_for_unknown_fields_is_refused() -> None:
    with pytest.raises(SchemaError, match="'drop' is none of"):
        record_schema("json", declaration_text(json.dumps(AVRO), None, "drop"))  # type: ignore[arg-type]
