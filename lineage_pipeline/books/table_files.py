"""Parquet objects of the three tables, written as the job writes them: same columns, types and compression.

tests/golden holds what the job wrote; tests/books/test_table_files.py holds both against each other. Equal rows give
equal bytes (with the same version of pyarrow).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lineage_pipeline.books.object_store import ObjectInfo, ObjectStore
from lineage_pipeline.books.ranged_file import RangedFile
from lineage_pipeline.core.key_schema import HEADERS_COLUMN, KEY_COLUMN, is_on_request
from lineage_pipeline.core.offset_index import COLUMNS, IndexRow
from lineage_pipeline.core.record_schema import Column, RecordSchema
from lineage_pipeline.errors import StoreError

_TIME = pa.timestamp("ms")  # Flink leaves the UTC flag out
_COORDINATES = (("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("kafka_timestamp", _TIME))
_GROUP_ROWS = 50_000
_GROUP_BYTES = 32 * 1024 * 1024  # of payloads; bounds what is held uncompressed
_ARROW_TYPES = {
    "STRING": pa.string(),
    "BOOLEAN": pa.bool_(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME(3)": pa.time32("ms"),
    "TIMESTAMP_LTZ(3)": _TIME,
    "TIMESTAMP(3)": _TIME,
}


class TableWriter:
    """Rows of one object, collected in memory compressed. `rows` counts them."""

    def __init__(self, schema: Any) -> None:
        self.rows = 0
        self._schema = schema
        self._columns: list[list[Any]] = [[] for _ in schema]
        self._bytes = 0
        self._buffer = io.BytesIO()
        # a checksum per page, as Flink writes it, so that a flipped bit is found when the page is read
        self._writer = pq.ParquetWriter(
            self._buffer, schema, compression="zstd", write_page_checksum=True, store_schema=False
        )

    def add(self, row: Iterable[Any], size: int = 0) -> None:
        """Add a row; `size`: its payload's bytes. Groups end by these alone, so equal rows make equal objects."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        self.rows += 1
        self._bytes += size
        if len(self._columns[0]) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def finish(self) -> bytes:
        """The object, whole; also without rows."""
        self._flush()
        self._writer.close()
        return self._buffer.getvalue()

    def _flush(self) -> None:
        if self._columns[0]:
            arrays = [pa.array(values, type=one.type) for values, one in zip(self._columns, self._schema, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._columns = [[] for _ in self._schema]
        self._bytes = 0


def data_schema(schema: RecordSchema) -> Any:
    """The data table's columns: the value's, the coordinates, then what is asked for of key and headers."""
    value = [(one.name, _arrow_type(one)) for one in schema.columns]
    key = [(one.name, _arrow_type(one)) for one in schema.decoded_columns[len(value) :]]
    raw_key, headers = _asked(schema)
    return pa.schema([*value, *_COORDINATES, *raw_key, *key, *headers])


def quarantine_schema(schema: RecordSchema) -> Any:
    """The quarantine table's columns: the contract's five, then key and headers where they are asked for."""
    raw_key, headers = _asked(schema)
    return pa.schema([*_COORDINATES, ("error", pa.string()), ("payload", pa.binary()), *raw_key, *headers])


def _asked(schema: RecordSchema) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """The columns of the key's bytes and of the headers, as far as they are asked for."""
    key = [(KEY_COLUMN, pa.binary())] if schema.key is not None else []
    headers = [(HEADERS_COLUMN, pa.map_(pa.string(), pa.binary()))] if schema.headers else []
    return key, headers


def schema_conflict(schema: RecordSchema, store: ObjectStore, listed: ObjectInfo) -> str | None:
    """Why rows of `schema` do not belong beside the data object that is there; None when they do, or nobody can tell.

    Only its footer is read. A column that one of them lacks is no conflict: schemas grow.
    """
    try:
        there = pq.read_schema(pa.PythonFile(RangedFile(store, listed), mode="r"))
    except (pa.ArrowException, OSError, ValueError, StoreError):
        return None  # the audit names broken files
    mine = data_schema(schema)
    lacking = [name for name, _ in _COORDINATES if name not in there.names]
    if lacking:
        return f"{listed.key} has no column {', '.join(lacking)}"
    for field in mine:
        if field.name in there.names and not _alike(field.type, there.field(field.name).type):
            return f"column {field.name} of {listed.key} is {there.field(field.name).type}, and would be {field.type}"
    return None


def unasked_columns(schema: RecordSchema, store: ObjectStore, listed: ObjectInfo) -> tuple[str, ...]:
    """Columns on request that the data object has and `schema` does not ask for; none when nobody can tell."""
    try:
        there = pq.read_schema(pa.PythonFile(RangedFile(store, listed), mode="r"))
    except (pa.ArrowException, OSError, ValueError, StoreError):
        return ()
    mine = set(data_schema(schema).names)
    return tuple(name for name in there.names if is_on_request(name) and name not in mine)


def _alike(one: Any, other: Any) -> bool:
    if pa.types.is_dictionary(other):
        other = other.value_type
    if pa.types.is_timestamp(one):
        return bool(pa.types.is_timestamp(other))
    if pa.types.is_map(one):
        return bool(
            pa.types.is_map(other) and _alike(one.key_type, other.key_type) and _alike(one.item_type, other.item_type)
        )
    if pa.types.is_string(one) or pa.types.is_binary(one):
        return str(other).removeprefix("large_") == str(one)
    return bool(one == other)


def index_bytes(rows: Iterable[IndexRow]) -> bytes:
    """One index object; also without rows."""
    writer = TableWriter(_INDEX_SCHEMA)
    for row in rows:
        writer.add(getattr(row, one.name) for one in fields(row))
    return writer.finish()


def _arrow_type(column: Column) -> Any:
    if column.sql_type.startswith("DECIMAL"):
        precision, scale = column.sql_type.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return _ARROW_TYPES[column.sql_type]


def _index_type(name: str, kind: str) -> Any:
    if kind == "timestamp":
        return _TIME
    if kind == "string":
        return pa.string()
    return pa.int32() if name in {"kafka_partition", "leader_epoch"} else pa.int64()


_INDEX_SCHEMA = pa.schema([(one.name, _index_type(one.name, one.kind)) for one in COLUMNS])
