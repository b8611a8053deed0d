"""Pure: records as Kafka has them held against the rows of the lake, value by value.

A row of the lake is right when it is in the table where the decoder puts the record, and every column has the value
that the decoder gives. What could not be read on either side is unknown, never right.
The reason in a quarantine row is what the schema of its time gave; a mended schema reads further and gives another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lineage_pipeline.core.key_schema import KEY_ERROR, is_on_request
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.record_values import ERROR_CLASSES, NOT_THE_RECORDS

# value: a column differs; table: in quarantine instead of data, or the other way round; absent: indexed, and no row by
# two looks; foreign: a row of which Kafka has no record
DifferenceKind = Literal["value", "table", "absent", "foreign"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """Offsets of one partition that are compared."""

    partition: int
    range: OffsetRange


@dataclass(frozen=True)
class LakeRow:
    """One row, the table it is in, and its object's key."""

    table: str
    key: str
    values: Row


@dataclass(frozen=True)
class ExpectedRow:
    """What the decoder makes of a record of Kafka, and in which table that belongs."""

    table: str
    values: Row


@dataclass(frozen=True)
class Difference:
    """One offset whose row is not what Kafka has. `text` names columns and objects, never values."""

    partition: int
    offset: int
    kind: DifferenceKind
    text: str


@dataclass(frozen=True)
class Unknown:
    """Offsets that could not be compared."""

    partition: int
    range: OffsetRange
    why: str


@dataclass(frozen=True)
class Reading:
    """What both sides gave for a window.

    `passed`: offsets that Kafka was read through. `doubt`: why a row that was not found may be in the lake all the
    same. Of a `compacted` topic nobody can tell whether a row without a record once had one. Of what
    was `replayed` the row in quarantine stays beside the one in data, which stands for it.
    """

    window: Window
    expected: Mapping[int, ExpectedRow]
    passed: RangeSet
    lake: Mapping[int, Sequence[LakeRow]]
    unknown: tuple[Unknown, ...] = ()
    doubt: str = ""
    compacted: bool = False
    replayed: RangeSet = EMPTY


@dataclass(frozen=True)
class Compared:
    """What came of offsets of one partition. `repeated`: how many the lake has more than once, all the same.

    `lacking`: records of which no object has a row; a second look decides (absent or not_compared).
    `partial`: offsets whose object lacks a column of key or headers: written before it was asked for, and right so far.
    `other_reason`: offsets in quarantine, rightly, for which the decoder of now gives another reason than their row.
    """

    partition: int
    same: RangeSet = EMPTY
    differences: tuple[Difference, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    lacking: RangeSet = EMPTY
    repeated: int = 0
    partial: int = 0
    other_reason: int = 0


def compare(reading: Reading) -> Compared:
    """Every offset of the window: right, different, unknown, lacking, or nothing on either side."""
    number = reading.window.partition
    same: list[tuple[int, int]] = []
    lacking: list[tuple[int, int]] = []
    differences: list[Difference] = []
    unknown = [*reading.unknown]
    repeated = partial = other_reason = 0
    doubtful = RangeSet.of(*(one.range for one in reading.unknown))
    for offset in sorted({*reading.expected, *reading.lake}):
        if offset in doubtful:
            continue
        rows, expected = _standing(reading, offset), reading.expected.get(offset)
        if expected is None:
            unclear = _without_record(reading, offset, rows)
            if isinstance(unclear, Unknown):
                unknown.append(unclear)
            else:
                differences.append(unclear)
        elif not rows:
            if reading.doubt:
                unknown.append(Unknown(number, OffsetRange(offset, offset + 1), reading.doubt))
            else:
                lacking.append((offset, offset + 1))
        elif (undecided := _undecided(expected, rows)) is not None:
            unknown.append(Unknown(number, OffsetRange(offset, offset + 1), undecided))
        else:
            different = _difference(number, offset, expected, rows)
            if different is None:
                same.append((offset, offset + 1))
                repeated += len(rows) > 1
                partial += any(_unasked(row, expected) for row in rows)
                other_reason += any(_reason(row) != _reason(expected) for row in rows)
            else:
                differences.append(different)
    return Compared(
        partition=number,
        same=RangeSet.from_pairs(same),
        differences=tuple(differences),
        unknown=tuple(joined(unknown)),
        lacking=RangeSet.from_pairs(lacking),
        repeated=repeated,
        partial=partial,
        other_reason=other_reason,
    )


def absent(partition: int, ranges: RangeSet) -> Compared:
    """Indexed records of which two looks at the whole lake, the second one late enough, found no row."""
    offsets = (offset for one in ranges for offset in range(one.start, one.end))
    text = "indexed, and the lake has no row of it"
    return Compared(partition, differences=tuple(Difference(partition, one, "absent", text) for one in offsets))


def not_compared(partition: int, ranges: RangeSet, why: str) -> Compared:
    """Offsets of which nothing can be said, for one reason."""
    return Compared(partition, unknown=tuple(Unknown(partition, one, why) for one in ranges))


def _standing(reading: Reading, offset: int) -> Sequence[LakeRow]:
    """The rows that have to be right: those in data alone, once a replay has put one there."""
    rows = reading.lake.get(offset, ())
    in_data = [row for row in rows if row.table == "data"]
    return in_data if in_data and offset in reading.replayed else rows


def _without_record(reading: Reading, offset: int, rows: Sequence[LakeRow]) -> Difference | Unknown:
    number = reading.window.partition
    if offset not in reading.passed:
        return Unknown(number, OffsetRange(offset, offset + 1), "Kafka was not read there")
    if reading.compacted:
        return Unknown(number, OffsetRange(offset, offset + 1), "Kafka has compacted its record away")
    return Difference(number, offset, "foreign", f"Kafka has no record there, {_keys(rows)} has a row")


def _undecided(expected: ExpectedRow, rows: Sequence[LakeRow]) -> str | None:
    """Why the decoder cannot say what is right here; None when it can, or gave up just as it did for these rows."""
    reason = _reason(expected)
    if (reason or "").removeprefix(KEY_ERROR) not in NOT_THE_RECORDS or all(_reason(row) == reason for row in rows):
        return None
    return f"the record cannot be decoded now ({reason}): verify again later"


def _reason(row: ExpectedRow | LakeRow) -> str | None:
    """The class of the error, which alone of it is stable (record_values.py); None of a row of data."""
    return str(row.values.get("error")).partition(":")[0] if row.table == "quarantine" else None


def _difference(number: int, offset: int, expected: ExpectedRow, rows: Sequence[LakeRow]) -> Difference | None:
    for row in rows:
        if row.table != expected.table:
            text = f"it belongs into {expected.table} and is in {row.table}: {row.key}"
            return Difference(number, offset, "table", text)
        unasked = _unasked(row, expected)
        wrong = [name for name, value in expected.values.items() if name not in unasked and not _same(name, row, value)]
        if wrong:
            return Difference(number, offset, "value", f"{', '.join(wrong)} in {row.table} file {row.key}")
    return None


def _unasked(row: LakeRow, expected: ExpectedRow) -> set[str]:
    """Columns on request that the row's object does not have."""
    return {name for name in expected.values if is_on_request(name) and name not in row.values}


def _same(name: str, row: LakeRow, value: Any) -> bool:
    other = row.values.get(name)
    if row.table == "quarantine" and name == "error":
        return (_reason(row) or "").removeprefix(KEY_ERROR) in ERROR_CLASSES
    return _equal(value, other)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or (one is not None and one != one and other is not None and other != other)  # noqa: PLR0124 - NaN


def _keys(rows: Sequence[LakeRow]) -> str:
    return " and ".join(sorted({f"{row.table} file {row.key}" for row in rows}))


def joined(unknown: Iterable[Unknown]) -> list[Unknown]:
    """Neighbours with the same reason as one."""
    found: list[Unknown] = []
    for one in sorted(unknown, key=lambda each: (each.partition, each.range)):
        last = found[-1] if found else None
        if last and (last.partition, last.why, last.range.end) == (one.partition, one.why, one.range.start):
            found[-1] = Unknown(one.partition, OffsetRange(last.range.start, one.range.end), one.why)
        else:
            found.append(one)
    return found
