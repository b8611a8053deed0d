"""What the settings say of a topic's values, keys and headers becomes one schema, or a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.errors import SchemaError
from lineage_pipeline.settings import Settings, load_settings

KEY = '{"type": "record", "name": "k", "fields": [{"name": "id", "type": "long"}]}'


def settings(folder: Path, topic: str) -> Settings:
    (folder / "key.avsc").write_text(KEY, encoding="utf-8")
    (folder / "lineage.yaml").write_text(f"topics: [{{name: t, {topic}}}]", encoding="utf-8")
    return load_settings({}, folder / "lineage.yaml")


@pytest.mark.parametrize(
    ("topic", "columns", "headers"),
    [
        ("format: raw", [], False),
        ("format: raw, key_format: raw, headers: true", [], True),
        ("format: raw, key_format: string", ["kafka_key_text"], False),
        ("key_format: avro, key_schema: key.avsc, headers: yes", ["kafka_key_id"], True),
        ("key_format: avro-confluent, key_schema: key.avsc", ["kafka_key_id"], False),
    ],
)
def test_keys_and_headers_are_asked_for_by_settings(
    tmp_path: Path, topic: str, columns: list[str], headers: bool
) -> None:
    schema = topic_schema(settings(tmp_path, topic).topic())
    assert [one.name for one in schema.decoded_columns[len(schema.columns) :]] == columns
    assert schema.headers is headers
    assert (schema.key is not None) is ("key_format" in topic)


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("key_schema: key.avsc", "has a `key_schema`, but no key_format"),
        ("key_format: string, key_schema: key.avsc", "has a `key_schema`, but key_format string"),
        ("key_format: avro", "key_format avro and needs `key_schema:`"),
        ("key_format: avro-confluent", 'such as "long"'),
        ("key_format: avro, key_schema: none.avsc", "none.avsc cannot be read"),
        ("key_format: avro, key_schema: lineage.yaml", "key_schema of topic t: the schema is not JSON"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(tmp_path: Path, topic: str, words: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(words)):
        topic_schema(settings(tmp_path, topic).topic())


def test_keys_of_a_registry_need_its_address(tmp_path: Path) -> None:
    found = settings(tmp_path, "format: raw, key_format: avro-confluent, key_schema: key.avsc")
    assert found.topic().needs_registry
    with pytest.raises(Exception, match="there is no schema registry in the settings"):
        found.registry_for(found.topic())
