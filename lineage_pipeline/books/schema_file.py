"""A topic's record schema, read from its file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from lineage_pipeline.errors import SchemaError


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
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SchemaError(f"the schema file {path} of topic {topic} cannot be read: {error}") from None
    return record_schema(record_format, text)
