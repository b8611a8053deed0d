"""The columns of a topic's table in the lake, for the catalog."""

from __future__ import annotations

from importlib import resources

import dagster as dg

from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import LineageError
from lineage_pipeline.settings import TopicSettings

_DEMO_RECORD = "local/demo_record.avsc"  # what `format: avro` without a schema means
_COORDINATES = (
    ("kafka_partition", "int32", "the record's partition"),
    ("kafka_offset", "int64", "the record's offset"),
    ("kafka_timestamp", "timestamp(ms, UTC)", "the record's timestamp in Kafka"),
)


def table_schema(topic: TopicSettings) -> dg.TableSchema | None:
    """Names, SQL types and Avro types; None when the schema cannot be read, which the job says much louder."""
    try:
        text = "" if topic.format == "raw" else _schema_text(topic)
        columns = record_schema(topic.format, text).columns
    except (LineageError, OSError, UnicodeDecodeError):
        return None
    fields = [dg.TableColumn(one.name, type=one.sql_type, description=one.source_type) for one in columns]
    fields += [dg.TableColumn(name, type=kind, description=meaning) for name, kind, meaning in _COORDINATES]
    return dg.TableSchema(columns=fields)


def _schema_text(topic: TopicSettings) -> str:
    if topic.record_schema is not None:
        return topic.record_schema.read_text(encoding="utf-8")
    return resources.files("lineage_pipeline").joinpath(_DEMO_RECORD).read_text(encoding="utf-8")
