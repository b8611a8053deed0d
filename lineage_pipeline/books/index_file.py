"""One offset index file: Parquet bytes in, checked rows out, or IndexFileError: a file is taken whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage_pipeline.books.arrow_columns import int64_values
from lineage_pipeline.core.offset_index import Column, IndexRow, IndexRows, checked_rows, expected_columns
from lineage_pipeline.core.offsets import Int64Array
from lineage_pipeline.errors import IndexFileError

BATCH_ROWS = 131_072  # measured: several times faster than whole columns at once, which leave the cache
_CODECS = frozenset({"UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "LZ4", "LZ4_RAW"})  # Brotli's decoder has had holes
_AUDITED = ("kafka_partition", "min_offset", "max_offset", "record_count", "quarantined_count")
# whatever a broken file makes Arrow raise; MemoryError because a forged length asks for terabytes
_FOREIGN = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError)


def read_rows(name: str, data: bytes) -> Iterator[IndexRows]:
    """The rows of the file `name` in batches, checked, with the columns that coverage needs.

    Raises IndexFileError, perhaps after some batches: nothing of such a file may be used.
    """
    return (rows for _, rows in _checked(name, data, ()))


def read_rows_by_writer(name: str, data: bytes) -> Iterator[tuple[str | None, IndexRows]]:
    """The rows as read_rows gives them, each part with the id of its writer; None for the original format.

    Raises IndexFileError as read_rows does.
    """
    for batch, rows in _checked(name, data, ("writer",)):
        if "writer" not in batch.schema.names:
            yield None, rows
            continue
        column = _decoded(batch.column("writer")).dictionary_encode()
        writers, codes = column.dictionary.to_pylist(), int64_values(column.indices)
        for code, writer in enumerate(writers):
            yield writer, rows if len(writers) == 1 else rows.where(codes == code)


def _checked(name: str, data: bytes, further: tuple[str, ...]) -> Iterator[tuple[Any, IndexRows]]:
    """Batches with the columns that coverage needs and those of `further` that the file has, and their rows."""
    file, columns = _open(name, data)
    wanted = [column.name for column in columns if column.name in _AUDITED or column.name in further]
    # the other columns are not decoded here, only their nulls are looked up
    unread = [column.name for column in columns if column.name not in wanted and not column.nullable]
    wanted += _with_nulls(name, file, unread)
    for batch in _batches(name, file, wanted):
        _refuse_nulls(name, batch, columns)
        yield batch, checked_rows(name, {one: _integers(name, batch, one) for one in _AUDITED if one in wanted})


def find_rows(name: str, data: bytes, partition: int, offset: int, end: int | None = None) -> list[IndexRow]:
    """The file's rows whose range holds the offset, or any of [offset, end), with all columns.

    Raises IndexFileError as read_rows does.
    """
    stop = offset + 1 if end is None else end
    hits: list[int] = []
    seen = 0
    for rows in read_rows(name, data):
        inside = (rows.partitions == partition) & (rows.starts < stop) & (rows.ends > offset)
        hits += [seen + int(index) for index in np.flatnonzero(inside)]
        seen += len(rows)
    if not hits:
        return []
    file, columns = _open(name, data)
    return [_row(name, file, columns, hit) for hit in hits]


def _open(name: str, data: bytes) -> tuple[Any, tuple[Column, ...]]:
    if not data:
        raise IndexFileError(f"index file {name} refused: it is empty")
    try:
        # a checksum in the file, as Flink writes it, is compared: a flipped bit is no offset
        file = pq.ParquetFile(
            pa.BufferReader(data), coerce_int96_timestamp_unit="ms", page_checksum_verification=True, memory_map=False
        )
        schema = file.schema_arrow
        names, types = schema.names, dict(zip(schema.names, schema.types, strict=True))
    except _FOREIGN as error:
        raise _not_readable(name, error) from None
    columns = expected_columns(name, frozenset(names))
    for column in columns:
        if names.count(column.name) > 1:
            raise IndexFileError(f"index file {name} refused: it has column {column.name} twice")
        if not _fits(column, types[column.name]):
            raise IndexFileError(
                f"index file {name} refused: column {column.name} is {types[column.name]}, not {column.kind}"
            )
    return file, columns


def _batches(name: str, file: Any, columns: list[str]) -> Iterator[Any]:
    try:
        if file.metadata.num_rows <= BATCH_ROWS:  # measured: for one batch an iterator costs half as much again
            yield from file.read(columns=columns, use_threads=False).combine_chunks().to_batches()
        else:
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False)
    except _FOREIGN as error:
        raise _not_readable(name, error) from None


def _fits(column: Column, kind: Any) -> bool:
    if pa.types.is_null(kind):  # how pyarrow writes a column that is null throughout
        return column.nullable
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if column.kind == "integer":
        return bool(pa.types.is_integer(kind))
    if column.kind == "timestamp":
        return bool(pa.types.is_timestamp(kind))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _with_nulls(name: str, file: Any, columns: list[str]) -> set[str]:
    """Those of the columns that may hold a null, as the footer says.

    Raises IndexFileError when any column of the file has a codec that is not read.
    """
    metadata = file.metadata
    doubtful: set[str] = set()
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(metadata.num_columns):
            chunk = row_group.column(index)
            codec = chunk.compression
            if codec not in _CODECS:
                raise IndexFileError(f"index file {name} refused: it is compressed with {codec}, which is not read")
            column = chunk.path_in_schema
            if column in columns:
                statistics = chunk.statistics
                if statistics is None or not statistics.has_null_count or statistics.null_count:
                    doubtful.add(column)
    return doubtful


def _refuse_nulls(name: str, batch: Any, columns: tuple[Column, ...]) -> None:
    nullable = {column.name for column in columns if column.nullable}
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        if values.null_count and column not in nullable:
            raise IndexFileError(f"index file {name} refused: column {column} holds a null")


def _integers(name: str, batch: Any, column: str) -> Int64Array:
    """The column's values, which are without nulls."""
    try:
        return int64_values(_decoded(batch.column(column)))
    except _FOREIGN as error:
        raise _not_readable(name, error) from None


def _decoded(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _row(name: str, file: Any, columns: tuple[Column, ...], index: int) -> IndexRow:
    """Row number `index` of the file; only its row group is decoded."""
    group = 0
    while index >= file.metadata.row_group(group).num_rows:
        index -= file.metadata.row_group(group).num_rows
        group += 1
    try:
        names = [column.name for column in columns]
        # threads that begin as the process ends would abort it
        table = file.read_row_group(group, columns=names, use_threads=False).slice(index, 1)
        return IndexRow(**{column.name: _value(table, column) for column in columns})
    except _FOREIGN as error:
        raise _not_readable(name, error) from None


def _value(table: Any, column: Column) -> Any:
    cell = _decoded(table.column(column.name).combine_chunks())
    if column.kind == "timestamp":
        cell = pc.cast(cell, pa.timestamp("ms", cell.type.tz), safe=False).cast(pa.int64())
    return cell[0].as_py()


def _not_readable(name: str, error: Exception) -> IndexFileError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return IndexFileError(f"index file {name} refused: it is not readable as Parquet ({reason})")
