"""One object of a table looked at: the offsets in it, from its partition and offset columns alone, or what is wrong.

A store that does not answer raises StoreError: then nothing is known. A file that was read and is no whole Parquet file
is *broken*; one that is, and still does not tell its offsets, is *unsuitable*.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage_pipeline.books.object_store import ObjectInfo, ObjectStore
from lineage_pipeline.books.ranged_file import RangedFile
from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.lake_comparison import shown
from lineage_pipeline.core.lake_layout import Columns, LakeLayout
from lineage_pipeline.core.lake_manifest import Fault, LakeFile, LakeObject, LookedAt
from lineage_pipeline.core.offset_index import MAX_PARTITION, IndexRows
from lineage_pipeline.core.offsets import MAX_OFFSET, Int64Array
from lineage_pipeline.errors import LakeFileError, StoreError

BATCH_ROWS = 131_072
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
_CODECS = frozenset({"UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "LZ4", "LZ4_RAW"})
_BROKEN = (pa.ArrowInvalid, OSError, ValueError, KeyError, IndexError, OverflowError, UnicodeDecodeError)
_MILLIS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


@dataclass(frozen=True)
class Looked:
    """A look, and how many bytes it fetched."""

    looked: LookedAt
    fetched: int


def look_at(store: ObjectStore, listed: LakeObject, layout: LakeLayout, at: float, *, every_page: bool) -> Looked:
    """The offsets in an object. `every_page` decodes all columns as well, so that no corrupt page goes unseen.

    `at`: epoch seconds. Raises StoreError when the object could not be fetched, or is not the listed one any more.
    """
    source = RangedFile(store, info_of(listed))
    try:
        try:
            looked = _read(source, listed, layout, at, every_page=every_page)
        except (StoreError, LakeFileError):
            raise
        except Exception as error:  # noqa: BLE001 - names and numbers of a forged footer are read lazily
            raise _fault(error) from None
    except LakeFileError as error:
        if source.failure is not None:
            raise source.failure from None
        fault: Fault = "broken" if error.broken else "unsuitable"
        looked = LookedAt(LakeFile(listed, at, fault=fault, problem=f"{shown(listed)} is {fault}: {error}"))
    return Looked(looked, source.fetched)


def info_of(listed: LakeObject) -> ObjectInfo:
    """The object as its store names it."""
    return ObjectInfo(listed.key, listed.size, listed.etag, listed.modified)


def open_parquet(source: RangedFile, size: int) -> Any:
    """The object as a Parquet file whose pages are checked. Raises LakeFileError."""
    if size < 12:  # noqa: PLR2004 - two magic words and a length
        raise _broken(f"{size} bytes are no Parquet file")
    source.seek(size - 4)
    end = source.read(4)
    if end == _ENCRYPTED:
        raise _unsuitable("its footer is encrypted")
    if end != _MAGIC:
        raise _broken("it does not end as a Parquet file does: it was cut off, or is something else")
    try:
        file = pq.ParquetFile(
            # without pre_buffer no other thread ever holds `source`; see RangedFile.plan
            pa.PythonFile(source, mode="r"),
            pre_buffer=False,
            page_checksum_verification=True,
            memory_map=False,
        )
        _check_footer(file, size)
    except (StoreError, LakeFileError):
        raise
    except Exception as error:  # noqa: BLE001 - what a forged footer makes Arrow raise is not one class
        raise _fault(error) from None
    return file


def batches(file: Any, columns: list[str] | None, rows: int = BATCH_ROWS) -> Iterator[Any]:
    """The file's rows with these columns, all of them for None, so many at a time. Raises LakeFileError."""
    try:
        for group in range(file.metadata.num_row_groups):  # one by one: their places are read in this order
            yield from file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise _fault(error) from None


def _read(source: RangedFile, listed: LakeObject, layout: LakeLayout, at: float, *, every_page: bool) -> LookedAt:
    file = open_parquet(source, listed.size)
    columns, partition = layout.columns, layout.partition_of(listed.table, listed.key)
    wanted = [columns.offset]
    wanted += [columns.partition] if partition is None else []
    wanted += [columns.topic] if columns.topic is not None else []
    _check_columns(file, wanted, columns)
    plan_columns(source, file, None if every_page else wanted)
    builder = CoverageBuilder()
    rows = 0
    for batch in batches(file, None if every_page else wanted):
        mine = of_topic(batch, columns, layout.topic)
        offsets = integers(mine, columns.offset, MAX_OFFSET)
        partitions = (
            np.full(offsets.size, partition, dtype=np.int64)
            if partition is not None
            else integers(mine, columns.partition, MAX_PARTITION)
        )
        one: Int64Array = np.ones(offsets.size, dtype=np.int64)
        builder.add(IndexRows(partitions, offsets, offsets + 1, one, np.zeros(offsets.size, dtype=np.int64)))
        rows += offsets.size
    first, last = _timestamps(file, columns.timestamp)
    return LookedAt(LakeFile(listed, at, rows, first, last), builder.build())


def _check_columns(file: Any, wanted: list[str], columns: Columns) -> None:
    schema = file.schema_arrow
    for name in wanted:
        if schema.names.count(name) != 1:
            times = "no" if name not in schema.names else "more than one"
            raise _unsuitable(f"it has {times} column {name} (its columns: {_some(schema.names)})")
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text if name == columns.topic else pa.types.is_integer(kind)):
            raise _unsuitable(f"its column {name} is {kind}")
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        chunks = [metadata.row_group(group).column(number) for number in range(metadata.num_columns)]
        codecs = {chunk.compression for chunk in chunks if chunk.path_in_schema in wanted} - _CODECS
        if codecs:
            raise _unsuitable(f"it is compressed with {', '.join(sorted(codecs))}, which is not read")


def plan_columns(source: RangedFile, file: Any, columns: Collection[str] | None) -> None:
    """Tell the source that the column chunks of these columns will be read, all of them for None."""
    metadata, schema = file.metadata, file.schema
    names = [schema.column(number).path.partition(".")[0] for number in range(metadata.num_columns)]
    wanted = [number for number, name in enumerate(names) if columns is None or name in columns]
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups if group.num_rows for number in wanted]
    begins = [min(one.data_page_offset, one.dictionary_page_offset or one.data_page_offset) for one in chunks]
    source.plan([(at, at + one.total_compressed_size) for at, one in zip(begins, chunks, strict=True)])


def _check_footer(file: Any, size: int) -> None:
    """Refuse a footer that contradicts itself: Arrow believes it, and what it says may end the process."""
    metadata, schema = file.metadata, file.schema
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != metadata.num_rows:
        raise _broken("its footer contradicts itself: the row groups do not add up to the rows")
    for number in range(metadata.num_columns):
        column = schema.column(number)
        for group in groups:
            if not group.num_rows:
                continue
            chunk = group.column(number)
            begin = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
            end = begin + chunk.total_compressed_size
            whole = 0 < begin <= end <= size and chunk.total_uncompressed_size >= 0
            fits = chunk.num_values == group.num_rows or (column.max_repetition_level and chunk.num_values >= 0)
            if not (whole and fits and chunk.physical_type == column.physical_type):
                raise _broken(f"its footer contradicts itself about column {column.path}")


def read_group(file: Any, group: int, columns: list[str] | None) -> Any:
    """One row group with these columns, all of them for None, as a table. Raises LakeFileError."""
    try:
        return file.read_row_group(group, columns=columns, use_threads=False).combine_chunks()
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise _fault(error) from None


def of_topic(batch: Any, columns: Columns, topic: str) -> Any:
    """The rows of the topic, of a batch or a table. Raises LakeFileError."""
    if columns.topic is None:
        return batch
    chosen = pc.equal(_decoded(_chunk(batch.column(columns.topic))), topic)
    if chosen.null_count:
        raise _unsuitable(f"its column {columns.topic} holds a null")
    return batch.filter(chosen)


def integers(batch: Any, column: str, highest: int) -> Int64Array:
    """A column's values, of a batch or a table of one chunk, all from 0 to `highest`. Raises LakeFileError."""
    array = _decoded(_chunk(batch.column(column)))
    if array.null_count:
        raise _unsuitable(f"its column {column} holds a null")
    try:
        if array.type != pa.int64():
            array = array.cast(pa.int64())
    except pa.ArrowInvalid:
        raise _unsuitable(f"its column {column} holds a number above 2**63 - 1") from None
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.empty(0, dtype=np.int64)
    values: Int64Array = np.frombuffer(buffer, dtype=np.int64)[array.offset : array.offset + len(array)]
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > highest:
        bad = low if low < 0 else high
        raise _unsuitable(f"its column {column} holds {bad}, which Kafka cannot have")
    return values


def _timestamps(file: Any, column: str) -> tuple[int | None, int | None]:
    """The least and the greatest of the column in milliseconds, as the footer says; None where it does not."""
    schema, metadata = file.schema_arrow, file.metadata
    if column not in schema.names or not pa.types.is_timestamp(schema.field(column).type):
        return None, None
    times, per = _MILLIS[schema.field(column).type.unit]
    found: list[tuple[int, int]] = []
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        chunks = [row_group.column(number) for number in range(metadata.num_columns)]
        told = [one.statistics for one in chunks if one.path_in_schema == column and one.physical_type == "INT64"]
        if not told or told[0] is None or not told[0].has_min_max:
            return None, None
        found.append((told[0].min_raw * times // per, told[0].max_raw * times // per))
    return (min(low for low, _ in found), max(high for _, high in found)) if found else (None, None)


def _fault(error: Exception) -> LakeFileError:
    """Whether the bytes are wrong, or only too much for this reader."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    unable = isinstance(error, MemoryError | pa.ArrowMemoryError | pa.ArrowNotImplementedError)
    if unable or "ncrypt" in text or not isinstance(error, _BROKEN):
        return _unsuitable(f"it cannot be read ({text})")
    return _broken(f"it is not readable as Parquet ({text})")


def _broken(text: str) -> LakeFileError:
    return LakeFileError(text, broken=True)


def _unsuitable(text: str) -> LakeFileError:
    return LakeFileError(text, broken=False)


def _decoded(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _chunk(column: Any) -> Any:
    """The values as one array; a filtered table may have several chunks, or none."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")  # noqa: PLR2004 - enough to recognise a table
