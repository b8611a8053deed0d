"""Single records in an object of the lake: where the row is, its Kafka timestamp, and the row itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage_pipeline.books.lake_files import info_of, integers, of_topic, open_parquet, plan_columns, read_group
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.ranged_file import RangedFile
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.lake_manifest import LakeObject
from lineage_pipeline.core.offset_index import iso_time
from lineage_pipeline.core.offsets import MAX_OFFSET
from lineage_pipeline.errors import LakeFileError


@dataclass(frozen=True)
class RecordPlace:
    """A row: the object, its row group, and its number in the whole file, both from 0; milliseconds since 1970.

    `record`: the row's columns as JSON values, when they were asked for.
    """

    listed: LakeObject
    offset: int
    row_group: int
    row: int
    timestamp: int | None = None
    record: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The place, without the record."""
        return {
            "table": self.listed.table,
            "file": self.listed.key,
            "row_group": self.row_group,
            "row": self.row,
            "kafka_timestamp": None if self.timestamp is None else iso_time(self.timestamp),
        }


class RecordFile:
    """One object, opened for single records. Raises StoreError and LakeFileError, as look_at does."""

    def __init__(self, store: ObjectStore, listed: LakeObject, layout: LakeLayout) -> None:
        self._listed = listed
        self._layout = layout
        self._partition = layout.partition_of(listed.table, listed.key)
        self._source = RangedFile(store, info_of(listed))
        self._file = self._tried(lambda: open_parquet(self._source, listed.size))
        names = self._file.schema_arrow.names
        columns = layout.columns
        self._columns = [columns.offset, *([] if self._partition is not None else [columns.partition])]
        self._columns += [columns.topic] if columns.topic is not None else []
        lacking = [name for name in self._columns if name not in names]
        if lacking:
            raise LakeFileError(f"it has no column {', '.join(lacking)}", broken=False)
        self._timestamp = columns.timestamp if columns.timestamp in names else None
        self._untimely = f"it has no column {columns.timestamp}"
        if self._timestamp is not None:
            kind = self._file.schema_arrow.field(self._timestamp).type
            if not (pa.types.is_timestamp(kind) or pa.types.is_int64(kind)):
                self._timestamp, self._untimely = None, f"its column {self._timestamp} is {kind}"

    def find(self, partition: int, offset: int, *, record: bool = False) -> list[RecordPlace]:
        """Every row of the offset; more than one when it was written twice into the file."""
        found = []
        for group, first, _, offsets, stamps, rows in self._groups(partition):
            for index in np.flatnonzero(offsets == offset).tolist():
                number = int(rows[index])
                row = self._row(group, number) if record else None
                stamp = int(stamps[index]) if stamps is not None and stamps[index] != _NO_TIME else None
                found.append(RecordPlace(self._listed, offset, group, first + number, stamp, row))
        return found

    def first_from(self, partition: int, timestamp: int) -> tuple[int, int] | None:
        """The lowest offset whose record's Kafka timestamp is at or after that (milliseconds), with its timestamp.

        Raises LakeFileError when the file has no timestamps.
        """
        if self._timestamp is None:
            raise LakeFileError(self._untimely, broken=False)
        best: tuple[int, int] | None = None
        for _, _, _, offsets, stamps, _ in self._groups(partition):
            assert stamps is not None
            late = stamps >= timestamp
            if late.any():
                place = int(np.argmin(np.where(late, offsets, MAX_OFFSET)))
                hit = int(offsets[place]), int(stamps[place])
                best = hit if best is None else min(best, hit)
        return best

    def _groups(self, partition: int) -> Iterator[tuple[int, int, int, Any, Any, Any]]:
        """Per row group: number, first row of the file, rows; of the partition's rows offset, timestamp, number."""
        columns, first = self._layout.columns, 0
        wanted = [*self._columns, *([self._timestamp] if self._timestamp else [])]
        for group in range(self._file.metadata.num_row_groups):
            plan_columns(self._source, self._file, wanted)
            size = self._file.metadata.row_group(group).num_rows
            batch = self._tried(lambda group=group: read_group(self._file, group, wanted))
            batch = batch.append_column("", pa.array(np.arange(size)))
            mine = of_topic(batch, columns, self._layout.topic)
            offsets = integers(mine, columns.offset, MAX_OFFSET)
            chosen = np.ones(offsets.size, dtype=bool)
            if self._partition is None:
                chosen = integers(mine, columns.partition, MAX_OFFSET) == partition
            elif self._partition != partition:
                chosen[:] = False
            stamps = _millis(mine.column(self._timestamp)) if self._timestamp else None
            rows = mine.column(mine.num_columns - 1).to_numpy()
            yield (
                group,
                first,
                size,
                offsets[chosen],
                stamps[chosen] if stamps is not None else None,
                rows[chosen],
            )
            first += size

    def _row(self, group: int, number: int) -> dict[str, Any]:
        plan_columns(self._source, self._file, None)
        table = self._tried(lambda: read_group(self._file, group, None))
        row = table.slice(number, 1).to_pylist()[0]
        maps = {field.name for field in table.schema if pa.types.is_map(field.type)}
        return {
            name: json_value(dict(value) if name in maps and value is not None else value)
            for name, value in row.items()
        }

    def _tried(self, read: Any) -> Any:
        try:
            return read()
        except LakeFileError:
            if self._source.failure is not None:
                raise self._source.failure from None
            raise


def json_value(value: Any) -> Any:
    """A cell as JSON: bytes in hex, times as ISO 8601 (instants in UTC), decimals as text, NaN and infinity as text."""
    if isinstance(value, dict):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    for kind, write in _WRITTEN.items():
        if isinstance(value, kind):
            return write(value)
    return value


def _instant(value: datetime) -> str:
    moment = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_WRITTEN: dict[type, Callable[[Any], Any]] = {
    bytes: bytes.hex,
    datetime: _instant,  # before date, which it is as well
    date: date.isoformat,
    time: time.isoformat,
    Decimal: str,
    float: lambda value: value if np.isfinite(value) else str(value),
}


_NO_TIME = -1  # Kafka's word for a record without a timestamp


def _millis(column: Any) -> Any:
    """Milliseconds, from timestamps of any unit or from integers, which are taken for Kafka's own milliseconds."""
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
    return column.fill_null(_NO_TIME).to_numpy()
