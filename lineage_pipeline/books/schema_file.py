"""A topic's record schema, and that of its keys, read from their files and settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Protocol

from lineage_pipeline.core.declared_field import UnknownFields
from lineage_pipeline.core.json_declaration import declaration_text
from lineage_pipeline.core.key_schema import KeySchema, key_schema, with_key
from lineage_pipeline.core.protobuf_text import descriptor_text
from lineage_pipeline.core.record_schema import Format, RecordSchema, record_schema
from lineage_pipeline.errors import SchemaError


class DescribedTopic(Protocol):
    """What the settings say of a topic's records."""

    @property
    def name(self) -> str:
        """The topic's name."""

    @property
    def format(self) -> Format:
        """Format of the values."""

    @property
    def record_schema(self) -> Path | None:
        """Schema of the values."""

    @property
    def columns(self) -> Mapping[str, str] | None:
        """Columns of the values, with their SQL types."""

    @property
    def message(self) -> str | None:
        """The values' message in a descriptor set."""

    @property
    def unknown_fields(self) -> UnknownFields:
        """What becomes of fields that the schema does not name."""

    @property
    def key_format(self) -> str | None:
        """Format of the keys; None: keys are not asked for."""

    @property
    def key_schema(self) -> Path | None:
        """Schema of the keys."""

    @property
    def headers(self) -> bool:
        """Whether headers are asked for."""


def topic_schema(topic: DescribedTopic) -> RecordSchema:
    """The schema of the topic's records: values, and what is asked for of key and headers.

    Raises SchemaError when a file cannot be read or a schema cannot become a table.
    """
    return with_key(_value_schema(topic), _read_key_schema(topic), headers=topic.headers)


def _value_schema(topic: DescribedTopic) -> RecordSchema:
    """The schema of the values; the demo's two-field record for avro and json when nothing is configured.

    Raises SchemaError when the file cannot be read or the schema cannot become a table.
    """
    if topic.format == "raw":
        return record_schema("raw")
    if topic.record_schema is None and topic.format == "avro-confluent":
        raise SchemaError(
            f"topic {topic.name} has format avro-confluent and needs `schema:`, the file of the table's own schema:"
            f" begin with the newest in the registry, /subjects/{topic.name}-value/versions/latest/schema"
        )
    try:
        return record_schema(topic.format, _declaration(topic))
    except SchemaError as error:
        raise SchemaError(f"topic {topic.name}: {error}") from None


def _declaration(topic: DescribedTopic) -> str:
    if topic.format in ("protobuf", "protobuf-confluent"):
        assert topic.record_schema is not None  # the settings see to it
        return descriptor_text(_content(topic.record_schema), topic.message or "", topic.unknown_fields)
    text: str | None = None
    if topic.record_schema is not None:
        text = _text(topic.record_schema)
    elif topic.columns is None:
        text = resources.files("lineage_pipeline").joinpath("local/demo_record.avsc").read_text(encoding="utf-8")
    return declaration_text(text, topic.columns, topic.unknown_fields)


def _read_key_schema(topic: DescribedTopic) -> KeySchema | None:
    path, key_format = topic.key_schema, topic.key_format
    if path is not None and key_format not in ("avro", "avro-confluent"):
        given = f"key_format {key_format}" if key_format else "no key_format"
        raise SchemaError(
            f"topic {topic.name} has a `key_schema`, but {given}:"
            " set `key_format: avro` or `key_format: avro-confluent`, or remove the schema"
        )
    if key_format is None:
        return None
    if path is None and key_format in ("avro", "avro-confluent"):
        raise SchemaError(
            f"topic {topic.name} has key_format {key_format} and needs `key_schema:`, the file of the keys' Avro"
            ' schema; of keys that are one value it is just its type, such as "long"'
        )
    try:
        return key_schema(key_format, "" if path is None else _text(path))
    except SchemaError as error:
        raise SchemaError(f"key_schema of topic {topic.name}: {error}") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SchemaError(
            f"the schema file {path} cannot be read ({error.strerror}): check `schema`, `key_schema` and the rights"
        ) from None


def _text(path: Path) -> str:
    try:
        return _content(path).decode()
    except UnicodeDecodeError as error:
        raise SchemaError(
            f"the schema file {path} cannot be read: it is no text ({error.reason}): write UTF-8"
        ) from None
