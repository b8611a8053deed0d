"""How far the offset index reaches, and who wrote it: what a start of the job without state needs to know."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.core.offsets import MAX_OFFSET
from lineage_pipeline.errors import IndexFileError, StoreError

_COLUMNS = ["kafka_partition", "max_offset", "writer"]


def index_ends(store: ObjectStore, topic: str) -> tuple[dict[int, int], frozenset[str]]:
    """Per partition the offset after the index's highest, and the writers that have rows. One request per file.

    Raises StoreError or IndexFileError for a file that cannot be read: the end would be a guess, and a start behind a
    guessed end writes records twice.
    """
    keys = sorted(info.key for info in store.list() if f"kafka_topic={topic}/" in info.key)
    ends: dict[int, int] = {}
    writers: set[str] = set()
    for key, content in read_many(store, keys):
        if isinstance(content, StoreError):
            raise content
        try:
            file = pq.ParquetFile(pa.BufferReader(content))
            table = file.read(columns=_COLUMNS, use_threads=False).select(_COLUMNS)  # KeyError: not there
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise IndexFileError(f"index file {key} cannot be read ({error}): restore it, or move it away") from None
        writers.update(str(writer) for writer in pc.unique(table["writer"]).to_pylist())
        for partition, last in zip(table["kafka_partition"].to_pylist(), table["max_offset"].to_pylist(), strict=True):
            if partition is None or last is None or not 0 <= last <= MAX_OFFSET:
                raise IndexFileError(f"index file {key} has a row with max_offset {last}: restore it, or move it away")
            ends[partition] = max(ends.get(partition, 0), last + 1)
    return ends, frozenset(writers)
