"""A topic's record schema, and that of its keys, read from their files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Protocol

from lineage_pipeline.core.key_schema import KeySchema, key_schema, with_key
from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from lineage_pipeline.errors import SchemaError


class DescribedTopic(Protocol):
    """What the settings say of a topic's records; paths of Avro schemas (.avsc)."""

    @property
    def name(self) -> str:
        """The topic's name."""

    @property
    def format(self) -> str:
        """Format of the values."""

    @property
    def record_schema(self) -> Path | None:
        """Schema of the values."""

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
    values = read_schema(topic.name, topic.format, topic.record_schema)
    return with_key(values, _read_key_schema(topic), headers=topic.headers)


def read_schema(topic: str, record_format: str, path: Path | None) -> RecordSchema:
    """The schema of the topic's values; the demo's two-field record for avro and json when no file is configured.

    Raises SchemaError when the file cannot be read or the schema cannot become a table.
    """
    if record_format == "raw":
        return record_schema("raw")
    if path is None and record_format == "avro-confluent":
        raise SchemaError(
            f"topic {topic} has format avro-confluent and needs `schema:`, the file of the table's own schema: begin"
            f" with the newest in the registry, /subjects/{topic}-value/versions/latest/schema"
        )
    if path is None:
        text = resources.files("lineage_pipeline").joinpath("local/demo_record.avsc").read_text(encoding="utf-8")
    else:
        text = _text(topic, path)
    return record_schema(record_format, text)


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
        return key_schema(key_format, "" if path is None else _text(topic.name, path))
    except SchemaError as error:
        raise SchemaError(f"key_schema of topic {topic.name}: {error}") from None


def _text(topic: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"the schema file {path} of topic {topic} cannot be read: {error}") from None
