"""Which offsets were indexed before a moment, and what went to quarantine since, by the times in the index rows.

For lakes that were never looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage_pipeline.books.index_file import read_rows
from lineage_pipeline.books.index_store import IndexPath, list_index
from lineage_pipeline.books.object_store import read_many
from lineage_pipeline.core.offsets import EMPTY, Int64Array, RangeSet
from lineage_pipeline.errors import IndexFileError, StoreError

_FOREIGN = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError)


def indexed_before(
    path: IndexPath, moment: float, wanted: Mapping[int, RangeSet], writers: Collection[str] | None = None
) -> dict[int, RangeSet]:
    """Of the `wanted` offsets by partition those in exact rows that were emitted before `moment` (epoch seconds).

    Rows of the original format tell when their window began. With `writers` only rows of theirs count. Files that
    cannot be read count as younger: the audit names them. Raises StoreError when listing fails. One GET per file.
    """
    found: dict[int, RangeSet] = {}
    keys = [one.key for one in list_index(path).files]
    for key, content in read_many(path.store, keys):
        if isinstance(content, StoreError):
            continue
        try:
            old = _times(content) < int(moment * 1000)
            if writers is not None:
                old &= _written_by(content, writers)
            done = 0
            for rows in read_rows(key, content):
                chosen = rows.where(old[done : done + len(rows)] & (rows.counts == rows.ends - rows.starts))
                done += len(rows)
                for partition in set(chosen.partitions.tolist()) & set(wanted):
                    mine = chosen.where(chosen.partitions == partition)
                    ranges = RangeSet(mine.starts, mine.ends).intersection(wanted[partition])
                    found[partition] = found.get(partition, EMPTY).union(ranges)
        except (*_FOREIGN, IndexFileError):
            continue
    return {partition: ranges for partition, ranges in found.items() if len(ranges)}


def quarantined_since(path: IndexPath, moment: float, replayed: Mapping[int, RangeSet]) -> int:
    """How many records rows emitted at `moment` (epoch seconds) or later count in quarantine, the `replayed` aside.

    Raises StoreError or IndexFileError for a file that cannot be read: what it counts is not known. One GET per file.
    """
    count = 0
    for key, content in read_many(path.store, [one.key for one in list_index(path).files]):
        if isinstance(content, StoreError):
            raise content
        try:
            young = _times(content) >= int(moment * 1000)
            done = 0
            for rows in read_rows(key, content):
                chosen = rows.where(young[done : done + len(rows)] & (rows.quarantined > 0))
                done += len(rows)
                count += int(chosen.quarantined.sum())
                for partition in set(chosen.partitions.tolist()) & set(replayed):
                    mine = chosen.where(chosen.partitions == partition)
                    count -= RangeSet(mine.starts, mine.ends).intersection(replayed[partition]).total
        except _FOREIGN:
            raise IndexFileError(f"index file {key} refused: the times of its rows cannot be read") from None
    return count


def _times(content: bytes) -> Int64Array:
    """Row by row, in milliseconds, when it was emitted, or when its window began."""
    file = _opened(content)
    name = "window_end" if "window_end" in file.schema_arrow.names else "window_start"
    column = file.read(columns=[name], use_threads=False).column(name)
    cast = pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()).combine_chunks()
    times: Int64Array = cast.fill_null(np.iinfo(np.int64).max).to_numpy(zero_copy_only=False)
    return times


def _written_by(content: bytes, writers: Collection[str]) -> npt.NDArray[np.bool_]:
    """Row by row, whether one of these wrote it; rows that name no writer are of none."""
    file = _opened(content)
    if "writer" not in file.schema_arrow.names:
        return np.zeros(file.metadata.num_rows, dtype=np.bool_)
    column = file.read(columns=["writer"], use_threads=False).column("writer").cast(pa.string())
    found: npt.NDArray[np.bool_] = pc.is_in(column, value_set=pa.array(sorted(writers), pa.string())).to_numpy()
    return found


def _opened(content: bytes) -> Any:
    return pq.ParquetFile(pa.BufferReader(content), coerce_int96_timestamp_unit="ms")
