"""Index files for tests, written as Flink, the original job or a broken writer would write them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

WINDOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
MILLIS = int(WINDOW.timestamp() * 1000)
FLINK_TIME = pa.timestamp("ms")  # Flink leaves the UTC flag out
ORIGINAL_SCHEMA = pa.schema(
    [
        ("kafka_partition", pa.int32()),
        ("min_offset", pa.int64()),
        ("max_offset", pa.int64()),
        ("record_count", pa.int64()),
        ("window_start", FLINK_TIME),
    ]
)
SCHEMA = pa.schema(
    [
        *ORIGINAL_SCHEMA,
        ("quarantined_count", pa.int64()),
        ("window_end", FLINK_TIME),
        ("max_timestamp", FLINK_TIME),
        ("leader_epoch", pa.int32()),
        ("writer", pa.string()),
    ]
)


def run(partition: int, start: int, end: int, **changed: Any) -> dict[str, Any]:
    """A row for the half-open range, with all ten columns."""
    return {
        "kafka_partition": partition,
        "min_offset": start,
        "max_offset": end - 1,
        "record_count": end - start,
        "window_start": MILLIS,
        "quarantined_count": 0,
        "window_end": MILLIS + 1000,
        "max_timestamp": MILLIS - 5,
        "leader_epoch": None,
        "writer": "w1",
        **changed,
    }


def parquet(rows: Sequence[Mapping[str, Any]], schema: pa.Schema = SCHEMA, **options: Any) -> bytes:
    """The rows' columns that `schema` names, as one Parquet file."""
    arrays = [pa.array([row[field.name] for row in rows], type=field.type) for field in schema]
    return parquet_of(pa.Table.from_arrays(arrays, schema=schema), **options)


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def with_column(name: str, values: Any) -> bytes:
    """Our format with two rows, one column replaced."""
    rows = [run(0, 0, 10), run(0, 10, 20)]
    table = pa.Table.from_arrays([pa.array([row[f.name] for row in rows], type=f.type) for f in SCHEMA], schema=SCHEMA)
    return parquet_of(table.set_column(table.schema.get_field_index(name), name, values))


def put(root: Path, key: str, content: bytes) -> Path:
    target = root / key
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def day(topic: str, name: str) -> str:
    return f"kafka_topic={topic}/dt=2026-11-22/{name}"
