"""Pure: where each column of the data table comes from, and what it is there; for people and catalogs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.key_schema import HEADERS_COLUMN, KEY_COLUMN
from lineage_pipeline.core.record_schema import Column, RecordSchema

_PARQUET: Final = {
    "STRING": "string",
    "BOOLEAN": "boolean",
    "INT": "int32",
    "BIGINT": "int64",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BYTES": "binary",
    "DATE": "date",
    "TIME(3)": "time(ms)",
    "TIMESTAMP_LTZ(3)": "timestamp(ms, UTC)",
    "TIMESTAMP(3)": "timestamp(ms)",
}
_COORDINATES: Final = (
    ("partition", "int32", "kafka_partition", "int32"),
    ("offset", "int64", "kafka_offset", "int64"),
    ("timestamp", "int64", "kafka_timestamp", "timestamp(ms, UTC)"),
)
_DIRECTORIES: Final = (("topic", "kafka_topic"), ("time of writing, UTC", "dt"), ("time of writing, UTC", "hour"))


@dataclass(frozen=True)
class ListedColumn:
    """One column. `source`: such as `value.id` or `key`; `source_type`: the declared type or Kafka's, in words."""

    source: str
    source_type: str
    name: str
    parquet_type: str


def listed_columns(schema: RecordSchema) -> tuple[ListedColumn, ...]:
    """The columns of the data table's files, in their order."""
    width = len(schema.columns)
    found = [_listed("value", one, one.name, whole=schema.format == "raw") for one in schema.columns]
    found += [ListedColumn(*one) for one in _COORDINATES]
    if schema.key is not None:
        found.append(ListedColumn("key", "bytes or null", KEY_COLUMN, "binary"))
        prefix = len(f"{KEY_COLUMN}_")
        whole = schema.key.is_one_value
        found += [_listed("key", one, one.name[prefix:], whole=whole) for one in schema.decoded_columns[width:]]
    if schema.headers:
        found.append(ListedColumn("headers", "name and bytes or null", HEADERS_COLUMN, "map<string, binary>"))
    return tuple(found)


def listed_directories() -> tuple[ListedColumn, ...]:
    """The columns that are in the names of the table's directories."""
    return tuple(ListedColumn(source, "", name, "directory") for source, name in _DIRECTORIES)


def _listed(part: str, column: Column, field: str, *, whole: bool) -> ListedColumn:
    words = column.source_type
    told = column.kind == "null" or words.startswith("union of null") or "null" in words.split()
    kind = f"{words} or null" if column.nullable and not told else words
    note = ", as JSON text" if column.kind == "json" and not words.endswith("JSON") else ""
    whole = whole or column.name == UNKNOWN_COLUMN
    return ListedColumn(part if whole else f"{part}.{field}", kind + note, column.name, parquet_type(column.sql_type))


def parquet_type(sql_type: str) -> str:
    """The type of a table's column as Parquet's readers call it, from the job's SQL type."""
    decimal = re.fullmatch(r"DECIMAL\((\d+), (\d+)\)", sql_type)
    return f"decimal({decimal[1]}, {decimal[2]})" if decimal else _PARQUET[sql_type]
