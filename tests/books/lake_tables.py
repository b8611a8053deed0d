"""Data and quarantine files for tests, as the job writes them, or as a broken writer or another tool would."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MILLIS = 1_795_384_800_000


def data_file(records: Iterable[tuple[int, int]], **options: Any) -> bytes:
    """A data file with a row for each (partition, offset), in that order; `options` are pyarrow's."""
    listed = list(records)
    offsets = np.array([offset for _, offset in listed], dtype=np.int64)
    table = pa.table(
        {
            "event_id": pa.array([f"event {offset:>12}" for offset in offsets.tolist()]),
            "kafka_partition": pa.array([partition for partition, _ in listed], pa.int32()),
            "kafka_offset": offsets,
            "kafka_timestamp": pa.array(MILLIS + offsets).cast(pa.timestamp("ms")),
        }
    )
    return written(table, **options)


def quarantine_file(records: Iterable[tuple[int, int]]) -> bytes:
    listed = list(records)
    offsets = np.array([offset for _, offset in listed], dtype=np.int64)
    table = pa.table(
        {
            "kafka_partition": pa.array([partition for partition, _ in listed], pa.int32()),
            "kafka_offset": offsets,
            "kafka_timestamp": pa.array(MILLIS + offsets).cast(pa.timestamp("ms")),
            "error": ["no Avro"] * len(listed),
            "payload": [b"?"] * len(listed),
        }
    )
    return written(table)


def span(partition: int, start: int, end: int) -> list[tuple[int, int]]:
    return [(partition, offset) for offset in range(start, end)]


def written(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "zstd", "write_page_checksum": True, **options})
    return buffer.getvalue()


def hour(topic: str, name: str) -> str:
    return f"kafka_topic={topic}/dt=2026-11-22/hour=22/{name}"
