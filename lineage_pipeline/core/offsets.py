"""Pure: half-open ranges of Kafka offsets and sets of them, exact for every offset a Kafka record can have.

A record's offset is at most 2**63 - 2 here, so that the half-open end of a range, at most 2**63 - 1, still fits int64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

MAX_END = 2**63 - 1  # largest half-open end
MAX_OFFSET = MAX_END - 1  # largest offset of a record

_FEW = 4  # ranges: up to here plain integers cost less than calls into numpy; most sets are that small
_LOW_BITS = np.int64(0xFFFFFFFF)
_OUTSIDE = np.zeros(1, dtype=np.bool_)


@dataclass(frozen=True, order=True)
class OffsetRange:
    """The offsets start, start + 1, ..., end - 1 of one partition; empty when start == end.

    Raises ValueError unless 0 <= start <= end <= MAX_END.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= MAX_END:
            raise ValueError(f"[{self.start}, {self.end}) is no range of offsets: 0 <= start <= end <= 2**63 - 1")

    def __len__(self) -> int:
        return self.end - self.start

    def __contains__(self, offset: object) -> bool:
        return isinstance(offset, int) and self.start <= offset < self.end

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"


class RangeSet:
    """A set of offsets as sorted, disjoint, non-adjacent ranges, so that equal sets have equal arrays.

    `starts` and `ends` are read-only int64 arrays of the same shape (n,); range i is [starts[i], ends[i]).
    """

    __slots__ = ("ends", "starts")

    starts: Int64Array
    ends: Int64Array

    def __init__(self, starts: npt.ArrayLike = (), ends: npt.ArrayLike = ()) -> None:
        """The union of the ranges [starts[i], ends[i]), in any order, overlapping or not; empty ones are dropped.

        Raises ValueError for a negative start, an end before its start, or a value that is not an int64.
        """
        first, last = as_int64(starts), as_int64(ends)
        if first.shape != last.shape:
            raise ValueError(f"{first.size} starts but {last.size} ends")
        if first.size <= _FEW:
            self._assign(*_as_arrays(_merged_few(zip(first.tolist(), last.tolist(), strict=True))))
            return
        if int(first.min()) < 0 or bool((last < first).any()):
            raise ValueError("a range of offsets starts below 0 or ends before it starts")
        self._assign(*_merged(first, last))

    @classmethod
    def of(cls, *ranges: OffsetRange | tuple[int, int]) -> RangeSet:
        """The set of all offsets in `ranges`, given as OffsetRange or (start, end)."""
        return cls.from_pairs((r.start, r.end) if isinstance(r, OffsetRange) else r for r in ranges)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[int, int]]) -> RangeSet:
        """The set of all offsets in the half-open `pairs`; see `coverage.depth_profile` for how often each occurs."""
        listed = list(pairs)
        if len(listed) <= _FEW and all(type(one) is int for pair in listed for one in pair):
            return _made(_merged_few(listed)) if listed else EMPTY
        return cls([start for start, _ in listed], [end for _, end in listed])

    @classmethod
    def in_order(cls, pairs: Sequence[tuple[int, int]]) -> RangeSet:
        """The set of the half-open `pairs`, which have to be as a set has them.

        Raises ValueError when one is empty or they are not sorted, disjoint and apart, or as `from_pairs` does.
        """
        found = cls.from_pairs(pairs)
        if list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) != list(pairs):
            raise ValueError("ranges are not sorted and apart")
        return found

    def union(self, other: RangeSet) -> RangeSet:
        """Offsets in either set."""
        if not len(self) or not len(other):
            return self if len(self) else other
        return RangeSet(np.concatenate((self.starts, other.starts)), np.concatenate((self.ends, other.ends)))

    def intersection(self, other: RangeSet) -> RangeSet:
        """Offsets in both sets."""
        if not len(self) or not len(other):
            return EMPTY
        if len(self) <= _FEW and len(other) <= _FEW:
            return _made(_common(self._pairs(), other._pairs()))
        points = np.unique(np.concatenate((self.starts, self.ends, other.starts, other.ends)))
        return _where(points, self._covers(points) & other._covers(points))

    def difference(self, other: RangeSet) -> RangeSet:
        """Offsets in this set and not in the other."""
        if not len(self) or not len(other):
            return self
        if len(self) <= _FEW and len(other) <= _FEW:
            return _made(_without(self._pairs(), other._pairs()))
        points = np.unique(np.concatenate((self.starts, self.ends, other.starts, other.ends)))
        return _where(points, self._covers(points) & ~other._covers(points))

    def complement(self, within: OffsetRange) -> RangeSet:
        """Offsets of `within` that are not in this set."""
        return RangeSet.of(within).difference(self)

    def clip(self, start: int, end: int) -> RangeSet:
        """Offsets of this set in [start, end); empty when end <= start."""
        if end <= start or not len(self):
            return EMPTY
        keep = (self.ends > start) & (self.starts < end)
        return _canonical(np.maximum(self.starts[keep], start), np.minimum(self.ends[keep], end))

    def overlaps(self, starts: Int64Array, ends: Int64Array) -> Int64Array:
        """For each range [starts[i], ends[i]): how many of its offsets are in the set."""
        return self._count_below(ends) - self._count_below(starts)

    @property
    def total(self) -> int:
        """How many offsets are in the set."""
        if len(self) <= _FEW:
            return sum(end - start for start, end in self._pairs())
        return exact_sum(self.ends - self.starts)

    @property
    def bounds(self) -> OffsetRange | None:
        """The smallest range that holds the whole set; None when it is empty."""
        return OffsetRange(int(self.starts[0]), int(self.ends[-1])) if len(self) else None

    def _pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    def _assign(self, starts: Int64Array, ends: Int64Array) -> None:
        starts.flags.writeable = False
        ends.flags.writeable = False
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "ends", ends)

    def _covers(self, points: Int64Array) -> npt.NDArray[np.bool_]:
        return np.searchsorted(self.starts, points, "right") > np.searchsorted(self.ends, points, "right")

    def _count_below(self, points: Int64Array) -> Int64Array:
        """For each point: how many offsets of the set are below it."""
        before = np.zeros(len(self) + 1, dtype=np.int64)
        np.cumsum(self.ends - self.starts, out=before[1:])
        begun = np.searchsorted(self.starts, points, "right").astype(np.int64)  # ranges starting at or below the point
        counted: Int64Array = before[np.maximum(begun - 1, 0)]
        inside = np.flatnonzero(begun)
        last = begun[inside] - 1
        counted[inside] += np.minimum(points[inside], self.ends[last]) - self.starts[last]
        return counted

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a RangeSet does not change: cannot set {name}")

    def __contains__(self, offset: object) -> bool:
        if not isinstance(offset, int) or not 0 <= offset <= MAX_OFFSET:
            return False
        return bool(self._covers(np.array([offset], dtype=np.int64))[0])

    def __iter__(self) -> Iterator[OffsetRange]:
        return (OffsetRange(start, end) for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    def __len__(self) -> int:
        return int(self.starts.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.ends, other.ends)

    def __hash__(self) -> int:
        return hash((self.starts.tobytes(), self.ends.tobytes()))

    def __repr__(self) -> str:
        shown = ", ".join(str(one) for _, one in zip(range(6), self, strict=False))
        return f"RangeSet({shown}{', ...' if len(self) > 6 else ''})"  # noqa: PLR2004 - a screen's worth


def as_int64(values: npt.ArrayLike) -> Int64Array:
    """`values` as a one-dimensional int64 array. Raises ValueError when one of them is not exactly an int64."""
    array: npt.NDArray[Any] = np.asarray(values)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype == np.int64 and array.ndim == 1:
        return array
    if array.ndim != 1 or array.dtype.kind not in "iuO":
        raise ValueError(f"offsets must be a row of integers, not {array.dtype} of shape {array.shape}")
    listed = array.tolist()
    if not all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in listed):
        raise ValueError("an offset does not fit a 64-bit integer")
    return np.array(listed, dtype=np.int64)


def exact_sum(values: Int64Array) -> int:
    """The sum as a Python integer: two half-words are added apart, so up to 2**31 values never overflow."""
    return (int((values >> np.int64(32)).sum()) << 32) + int((values & _LOW_BITS).sum())


def _merged(starts: Int64Array, ends: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Sorted, disjoint, non-adjacent ranges of the same offsets."""
    keep = ends > starts
    order = np.argsort(starts[keep], kind="stable")
    first, last = starts[keep][order], np.maximum.accumulate(ends[keep][order])
    if first.size == 0:
        return first, last
    opens = np.ones(first.size, dtype=np.bool_)
    opens[1:] = first[1:] > last[:-1]
    closes = np.append(np.flatnonzero(opens)[1:] - 1, first.size - 1)
    return first[opens], last[closes]


def _merged_few(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """As `_merged`. Raises ValueError as the constructor of a set does."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(pairs):
        if start < 0 or end < start:
            raise ValueError("a range of offsets starts below 0 or ends before it starts")
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif start < end:
            merged.append((start, end))
    return merged


def _common(ones: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is in both, for sorted, disjoint, non-adjacent ranges, and so are those of the result."""
    pieces = ((max(one[0], other[0]), min(one[1], other[1])) for one in ones for other in others)
    return [(start, end) for start, end in pieces if start < end]


def _without(ones: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is in the first only, for sorted, disjoint, non-adjacent ranges, and so are those of the result."""
    left = []
    for start, end in ones:
        for first, last in others:
            if first < end and last > start:
                if first > start:
                    left.append((start, first))
                start = last  # noqa: PLW2901 - what is left of the range begins here
        if start < end:
            left.append((start, end))
    return left


def _as_arrays(pairs: list[tuple[int, int]]) -> tuple[Int64Array, Int64Array]:
    """Starts and ends. Raises ValueError when one is not an int64."""
    if any(end > MAX_END for _, end in pairs):
        raise ValueError("an offset does not fit a 64-bit integer")
    starts, ends = [start for start, _ in pairs], [end for _, end in pairs]
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)


def _made(pairs: list[tuple[int, int]]) -> RangeSet:
    """The set of ranges that are sorted, disjoint and not adjacent already."""
    return _canonical(*_as_arrays(pairs))


def _where(points: Int64Array, inside: npt.NDArray[np.bool_]) -> RangeSet:
    """The set of the elementary ranges [points[i], points[i + 1]) for which inside[i] holds; the last never does."""
    before = np.concatenate((_OUTSIDE, inside[:-1]))
    return _canonical(points[inside & ~before], points[before & ~inside])


def _canonical(starts: Int64Array, ends: Int64Array) -> RangeSet:
    """The set of ranges that are sorted, disjoint and not adjacent already: most sets are small and made this way."""
    made = object.__new__(RangeSet)
    made._assign(starts, ends)
    return made


EMPTY = RangeSet()
