"""From `lineage.yaml` to the schema of a topic's records: formats, files, columns, unknown fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.core.column_listing import listed_columns
from lineage_pipeline.core.payload_decoder import PayloadDecoder
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.errors import SchemaError, SettingsError
from lineage_pipeline.flink.decode import Decoder
from lineage_pipeline.flink.environment import DEFAULT_STATE_TTL_SECONDS
from lineage_pipeline.flink.plan import plan_hash
from lineage_pipeline.settings import load_settings
from tests.protobuf_messages import SHOP, Tree

AVRO = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}
JSON_SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "at": {"type": "string"}}}


def schema_of(folder: Path, topic: str) -> RecordSchema:
    """The schema of the topic that this text describes, with the files of the tests beside it."""
    (folder / "avro.avsc").write_text(json.dumps(AVRO), encoding="utf-8")
    (folder / "schema.json").write_text(json.dumps(JSON_SCHEMA), encoding="utf-8")
    (folder / "shop.desc").write_bytes(SHOP)
    config = folder / "lineage.yaml"
    config.write_text(f"topics:\n- name: t\n  {topic}\n", encoding="utf-8")
    return topic_schema(load_settings({}, config).topic())


def columns(schema: RecordSchema) -> list[str]:
    return [f"{one.name} {one.sql_type}" for one in schema.columns]


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("format: json\n  schema: avro.avsc", ["id BIGINT"]),
        ("format: json\n  schema: schema.json", ["id BIGINT", "at STRING"]),
        ("format: json\n  columns: {id: bigint, at: timestamp}", ["id BIGINT", "at TIMESTAMP_LTZ(3)"]),
        ('format: json\n  columns: {a: "decimal(12, 2)"}', ["a DECIMAL(12, 2)"]),
        ("format: json\n  columns:\n    b: decimal(12, 2)\n    a: string not null", ["b DECIMAL(12, 2)", "a STRING"]),
        ("format: json\n  schema: schema.json\n  columns: {at: date}", ["id BIGINT", "at DATE"]),
        (
            "format: json\n  columns: {id: bigint}\n  unknown_fields: keep",
            ["id BIGINT", "kafka_unknown_fields STRING"],
        ),
        ("format: json\n  columns: {id: bigint}\n  unknown_fields: refuse", ["id BIGINT"]),
        (
            "format: json\n  schema: avro.avsc\n  unknown_fields: keep",
            ["id BIGINT", "kafka_unknown_fields STRING"],
        ),
        (
            "format: protobuf\n  schema: shop.desc\n  message: shop.Tree",
            ["size BIGINT", "label STRING", "kids STRING"],
        ),
        (
            "format: protobuf-confluent\n  schema: shop.desc\n  message: shop.Tree\n  unknown_fields: keep",
            ["size BIGINT", "label STRING", "kids STRING", "kafka_unknown_fields STRING"],
        ),
    ],
)
def test_a_topic_has_the_columns_that_its_settings_declare(tmp_path: Path, topic: str, expected: list[str]) -> None:
    assert columns(schema_of(tmp_path, topic)) == expected


def test_json_without_schema_or_columns_is_still_the_demos_record(tmp_path: Path) -> None:
    assert columns(schema_of(tmp_path, "format: json")) == columns(schema_of(tmp_path, "format: avro"))


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("format: raw\n  schema: s.avsc", "format raw keeps as bytes: remove one of the two"),
        ("columns: {id: bigint}", "`columns` describe json, not avro"),
        ("format: json\n  columns: {}", "give names and types"),
        ("format: json\n  columns: [id]", "give names and types"),
        ("format: json\n  columns: {a: decimal(12,2)}", r'within braces "decimal\(12, 2\)"'),
        ("format: json\n  columns: {on: string}", "True has the type 'string'"),
        ("format: json\n  columns: {a: 1}", "'a' has the type 1"),
        ("format: json\n  message: shop.Tree", "`message` is of format protobuf, not json"),
        ("format: protobuf\n  schema: shop.desc", "needs `schema`, a descriptor set.*and `message`"),
        ("format: protobuf\n  message: shop.Tree", "needs `schema`, a descriptor set"),
        ("format: avro\n  unknown_fields: keep", "`unknown_fields` is of the formats json and protobuf, not avro"),
        ("format: json\n  unknown_fields: drop", "'ignore', 'keep' or 'refuse'"),
        ("format: json\n  colums: {a: string}", "did you mean `columns`"),
        ("format: json\n  unknown_field: keep", "did you mean `unknown_fields`"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_in_one_sentence(tmp_path: Path, topic: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        schema_of(tmp_path, topic)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("format: json\n  columns: {id: bigit}", "topic t: column 'id' has the type 'bigit'.*did you mean bigint"),
        ("format: json\n  schema: nowhere.json", "topic t: the schema file .*nowhere.json cannot be read"),
        ("format: json\n  schema: shop.desc", "topic t: .*shop.desc cannot be read: it is no text|not JSON"),
        ("format: json\n  schema: avro.avsc\n  columns: {id: string}", "beside an Avro schema"),
        ("format: protobuf\n  schema: avro.avsc\n  message: M", "topic t: the schema file is no descriptor set"),
        ("format: protobuf\n  schema: shop.desc\n  message: shop.Tre", "did you mean shop.Tree"),
        ("format: protobuf\n  schema: nowhere.desc\n  message: M", "nowhere.desc cannot be read"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused_with_its_topic(tmp_path: Path, topic: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words) as caught:
        schema_of(tmp_path, topic)
    assert "\n" not in str(caught.value)


def test_what_shapes_the_table_gives_the_plan_another_name_and_nothing_else_does(tmp_path: Path) -> None:
    def name(topic: str) -> str:
        return plan_hash(schema_of(tmp_path, topic), int(DEFAULT_STATE_TTL_SECONDS * 1000), "2.3.0")

    plain = name("format: json\n  schema: avro.avsc")
    assert name("format: json\n  schema: avro.avsc\n  unknown_fields: refuse") == plain
    assert name("format: json\n  columns: {id: bigint}") == plain
    others = [
        name("format: json\n  schema: avro.avsc\n  unknown_fields: keep"),
        name("format: json\n  columns: {id: int}"),
        name("format: json\n  schema: schema.json"),
        name("format: protobuf\n  schema: shop.desc\n  message: shop.Tree"),
    ]
    assert len({plain, *others}) == 5


def test_the_jobs_worker_and_the_repair_make_the_same_of_a_record(tmp_path: Path) -> None:
    for topic, payload in (
        ("format: protobuf\n  schema: shop.desc\n  message: shop.Tree\n  unknown_fields: keep", Tree(size=5)),
        ("format: json\n  columns: {id: bigint}\n  unknown_fields: keep", None),
    ):
        schema = schema_of(tmp_path, topic)
        written = b'{"id": 1, "new": 1.10}' if payload is None else payload.SerializeToString() + b"\x50\x01"
        # A worker gets no more than format and text.
        (row,) = Decoder(schema.format, schema.text).decode([written]).to_dict("records")
        values, error = PayloadDecoder(schema).decode(written)
        assert (error, [row[one.transport_name] for one in schema.columns]) == (None, values)
        assert values[-1] is not None


def test_the_plan_and_the_catalog_tell_where_each_column_comes_from(tmp_path: Path) -> None:
    def listed(topic: str) -> list[tuple[str, str]]:
        return [(one.source, one.source_type) for one in listed_columns(schema_of(tmp_path, topic))][:-3]

    assert listed("format: json\n  columns: {id: bigint not null, n: json}\n  unknown_fields: keep") == [
        ("value.id", "bigint not null"),
        ("value.n", "json or null, as JSON text"),
        ("value", "fields that the schema does not name or null, as JSON text"),
    ]
    assert listed("format: protobuf\n  schema: shop.desc\n  message: shop.Tree") == [
        ("value.size", "int64"),
        ("value.label", "string"),
        ("value.kids", "repeated shop.Tree, as JSON text"),
    ]
