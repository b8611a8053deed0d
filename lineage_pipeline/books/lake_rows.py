"""Rows of one object of a table as plain values; every page of the object is read, and its checksum compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lineage_pipeline.books.lake_files import batches, info_of, of_topic, open_parquet, plan_columns
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.ranged_file import RangedFile
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.lake_manifest import LakeObject
from lineage_pipeline.core.offsets import RangeSet, as_int64
from lineage_pipeline.core.value_comparison import LakeRow, Row
from lineage_pipeline.errors import LakeFileError

_MILLIS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


def rows_within(
    store: ObjectStore, listed: LakeObject, layout: LakeLayout, wanted: Mapping[int, RangeSet]
) -> list[tuple[int, int, LakeRow]]:
    """(partition, offset, row) for every row of the object at the wanted offsets.

    Raises LakeFileError when any page of it cannot be read, StoreError when it could not be fetched.
    """
    source = RangedFile(store, info_of(listed))
    try:
        file = open_parquet(source, listed.size)
        plan_columns(source, file, None)
        return list(_rows(file, listed, layout, wanted))
    except LakeFileError:
        if source.failure is not None:
            raise source.failure from None
        raise


def plain_rows(table: Any) -> list[Row]:
    """Rows with values that compare as they mean: times in milliseconds, dictionaries decoded."""
    columns = {name: _plain(table.column(name)) for name in table.schema.names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def plain_rows_of(data: bytes) -> list[Row]:
    """The rows of a Parquet object of our own."""
    return plain_rows(pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False))


def _rows(
    file: Any, listed: LakeObject, layout: LakeLayout, wanted: Mapping[int, RangeSet]
) -> Iterator[tuple[int, int, LakeRow]]:
    names, fixed = layout.columns, layout.partition_of(listed.table, listed.key)
    for batch in batches(file, None):
        table = of_topic(pa.Table.from_batches([batch]), names, layout.topic)
        offsets = as_int64(table.column(names.offset).cast(pa.int64()).to_pylist())
        partitions = None if fixed is not None else table.column(names.partition).to_pylist()
        for number, ranges in wanted.items():
            inside = ranges.overlaps(offsets, offsets + 1) > 0
            picked = [
                at for at in inside.nonzero()[0].tolist() if (fixed if partitions is None else partitions[at]) == number
            ]
            chosen = table.take(pa.array(picked, pa.int64()))
            for at, row in zip(picked, plain_rows(chosen), strict=True):
                yield number, int(offsets[at]), LakeRow(listed.table, listed.key, row)


def _plain(column: Any) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type) or pa.types.is_time(column.type):
        return [_millis(value, *_MILLIS[column.type.unit]) for value in _ticks(column).to_pylist()]
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    values = list(column.to_pylist())
    if pa.types.is_map(column.type):  # pairs in no promised order
        return [value if value is None else sorted(value, key=lambda pair: str(pair[0])) for value in values]
    return values


def _ticks(column: Any) -> Any:
    """Times as integers of their unit; whoever compacts files may have changed the unit."""
    return column.cast(pa.int32()).cast(pa.int64()) if pa.types.is_time32(column.type) else column.cast(pa.int64())


def _millis(ticks: int | None, times: int, per: int) -> int | Fraction | None:
    """Exactly: what lies between two milliseconds is no value that the job writes, so it must not look like one."""
    if ticks is None:
        return None
    whole, rest = divmod(ticks * times, per)
    return Fraction(ticks * times, per) if rest else whole
