"""Rows of one quarantine file, a few at a time: coordinates and error alone, or with all that decoding again needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lineage_pipeline.books.lake_files import batches, info_of, open_parquet
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.ranged_file import RangedFile
from lineage_pipeline.core.key_schema import HEADERS_COLUMN, KEY_COLUMN
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.lake_manifest import LakeObject
from lineage_pipeline.core.table_rows import KafkaRecord
from lineage_pipeline.errors import LakeFileError

_ROWS = 1_024  # held at a time, each with its payload
_NO_TIMESTAMP = -1


@dataclass(frozen=True)
class QuarantinedRow:
    """One row. `record` has payload, key and headers only where they were asked for.

    `lacks`: columns of key and headers that the file does not have, since it was written before they were asked for.
    """

    partition: int
    record: KafkaRecord
    error: str
    lacks: tuple[str, ...] = ()

    @property
    def error_class(self) -> str:
        """The stable word before the detail."""
        return self.error.partition(":")[0]


def quarantined_rows(
    store: ObjectStore, listed: LakeObject, layout: LakeLayout, *, payloads: bool
) -> Iterator[QuarantinedRow]:
    """The file's rows in order; without `payloads` only what is beside them is fetched.

    Raises LakeFileError when the file cannot be read, StoreError when it could not be fetched.
    """
    source = RangedFile(store, info_of(listed))
    try:
        yield from _rows(open_parquet(source, listed.size), listed, layout, payloads=payloads)
    except LakeFileError:
        if source.failure is not None:
            raise source.failure from None
        raise


def _rows(file: Any, listed: LakeObject, layout: LakeLayout, *, payloads: bool) -> Iterator[QuarantinedRow]:
    names, there = layout.columns, file.schema_arrow.names
    fixed = layout.partition_of(listed.table, listed.key)
    needed = [names.offset, "error", *([] if fixed is not None else [names.partition])]
    needed += ["payload"] if payloads else []
    lacking = [name for name in needed if name not in there]
    if lacking:
        raise LakeFileError(f"it has no column {', '.join(lacking)}", broken=False)
    asked = [KEY_COLUMN, HEADERS_COLUMN] if payloads else []
    lacks = tuple(name for name in asked if name not in there)
    wanted = [name for name in [*needed, names.timestamp, *asked] if name in there]
    for batch in batches(file, wanted, _ROWS):
        table = pa.Table.from_batches([batch])
        columns = {name: _plain(table.column(name)) for name in table.schema.names}
        nothing: list[Any] = [None] * table.num_rows
        for partition, offset, stamp, error, payload, key, headers in zip(
            columns.get(names.partition, [fixed] * table.num_rows),
            columns[names.offset],
            columns.get(names.timestamp, nothing),
            columns["error"],
            *(columns.get(name, nothing) for name in ("payload", KEY_COLUMN, HEADERS_COLUMN)),
            strict=True,
        ):
            record = KafkaRecord(
                offset=offset,
                timestamp=_NO_TIMESTAMP if stamp is None else stamp,
                leader_epoch=None,
                payload=payload,
                key=key,
                headers=tuple(headers or ()),
            )
            yield QuarantinedRow(partition, record, error or "unknown", lacks)


def _plain(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
    return list(column.to_pylist())
