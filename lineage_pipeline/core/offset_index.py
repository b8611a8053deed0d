"""Pure: the rows of the offset index: their columns, what makes a file malformed, and the rows as arrays.

A row says "this writer put the offsets min_offset to max_offset (inclusive) of this partition into the lake". Two
formats exist: ours with ten columns, whose rows are contiguous runs, and the original five-column one, whose windows
may be inexact (fewer or more records than offsets). Parsing Parquet is books/index_store.py's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

from lineage_pipeline.core.offsets import MAX_OFFSET, Int64Array
from lineage_pipeline.errors import IndexFileError

FORMAT_VERSION = "lineage-offset-index/1"
MAX_PARTITION = 2**31 - 1


@dataclass(frozen=True)
class Column:
    """One column: its name, `kind` (integer, timestamp or string) and whether a null says "unknown"."""

    name: str
    kind: str
    nullable: bool = False


ORIGINAL_COLUMNS = (
    Column("kafka_partition", "integer"),
    Column("min_offset", "integer"),
    Column("max_offset", "integer"),
    Column("record_count", "integer"),
    Column("window_start", "timestamp"),
)
ADDED_COLUMNS = (
    Column("quarantined_count", "integer"),
    Column("window_end", "timestamp"),
    Column("max_timestamp", "timestamp"),
    Column("leader_epoch", "integer", nullable=True),
    Column("writer", "string"),
)
COLUMNS = ORIGINAL_COLUMNS + ADDED_COLUMNS


@dataclass(frozen=True)
class IndexRow:
    """One row with the file's own names: offsets inclusive, times in milliseconds since 1970, UTC.

    The last five are None in files of the original format.
    """

    kafka_partition: int
    min_offset: int
    max_offset: int
    record_count: int
    window_start: int
    quarantined_count: int | None = None
    window_end: int | None = None
    max_timestamp: int | None = None
    leader_epoch: int | None = None
    writer: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the row counts exactly one record per offset of its range."""
        return self.record_count == self.max_offset - self.min_offset + 1

    def to_json(self) -> dict[str, int | str | None]:
        """The row as a JSON object with the file's column names; times as ISO 8601 in UTC."""
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: iso_time(value) if name in _TIMES and value is not None else value for name, value in row.items()}


_TIMES = frozenset(column.name for column in COLUMNS if column.kind == "timestamp")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def iso_time(milliseconds: int) -> str:
    """`2026-11-22T22:00:00.000Z`; the number itself for a time outside of the years 1 to 9999."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


@dataclass(frozen=True)
class IndexRows:
    """Checked rows as int64 arrays of one shape (n,): what coverage needs, and nothing else.

    `ends` are half-open (max_offset + 1); `quarantined` is 0 throughout for the original format.
    """

    partitions: Int64Array
    starts: Int64Array
    ends: Int64Array
    counts: Int64Array
    quarantined: Int64Array

    def __len__(self) -> int:
        return int(self.starts.size)

    @classmethod
    def joined(cls, parts: Sequence[IndexRows]) -> IndexRows:
        """The rows of all `parts` (at least one), in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    def where(self, chosen: npt.NDArray[np.bool_]) -> IndexRows:
        """The rows for which `chosen`, of shape (n,), is true."""
        return IndexRows(*(getattr(self, one.name)[chosen] for one in fields(self)))


def expected_columns(name: str, present: frozenset[str]) -> tuple[Column, ...]:
    """The columns a file with these `present` must have: all ten as soon as it has one of ours, else the five.

    Raises IndexFileError, naming the file and what it lacks. Columns nobody knows are no fault.
    """
    ours = any(column.name in present for column in ADDED_COLUMNS)
    wanted = COLUMNS if ours else ORIGINAL_COLUMNS
    lacking = [column.name for column in wanted if column.name not in present]
    if lacking:
        raise IndexFileError(f"index file {name} refused: it has no column {', '.join(lacking)}")
    return wanted


def checked_rows(name: str, columns: Mapping[str, Int64Array]) -> IndexRows:
    """The rows of file `name`, from its integer columns without nulls, by column name.

    Raises IndexFileError, naming file, row and value, for a partition outside int32, a negative offset or one above
    2**63 - 2, max_offset < min_offset, record_count < 1, and quarantined_count below 0 or above record_count.
    """
    partitions, starts = columns["kafka_partition"], columns["min_offset"]
    last, counts = columns["max_offset"], columns["record_count"]
    quarantined = columns.get("quarantined_count")
    _refuse(name, partitions, (partitions < 0) | (partitions > MAX_PARTITION), "kafka_partition is not 0 to 2**31 - 1")
    _refuse(name, starts, starts < 0, "min_offset is negative")
    _refuse(name, last, last < starts, "max_offset is below min_offset")
    _refuse(name, last, last > MAX_OFFSET, "max_offset is above 2**63 - 2")
    _refuse(name, counts, counts < 1, "record_count is below 1")
    if quarantined is None:
        quarantined = np.zeros(starts.size, dtype=np.int64)
    else:
        bad = (quarantined < 0) | (quarantined > counts)
        _refuse(name, quarantined, bad, "quarantined_count is not 0 to record_count")
    return IndexRows(partitions, starts, last + 1, counts, quarantined)


def _refuse(name: str, values: Int64Array, bad: npt.NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise IndexFileError(f"index file {name} refused: {why} ({int(values[row])}, row {row})")
