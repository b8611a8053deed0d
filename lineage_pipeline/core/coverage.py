"""Pure: which offsets of a partition the index accounts for, how often, and which windows say nothing exact.

Rows are collapsed into chains of exactly adjacent rows first, then a partition whose rows tile it without gap and
overlap is proven clean by an order-free fingerprint; only where that fails are the ends sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.core.offsets import EMPTY, Int64Array, OffsetRange, RangeSet, as_int64, exact_sum

_NONE: Int64Array = np.array((), dtype=np.int64)
_AT_ONCE = 65_536  # rows; measured: a file of a dozen rows costs a tenth of what it costs alone
_RADIX_LIMIT = 2**15  # below this partition number numpy sorts by radix, several times faster


@dataclass(frozen=True)
class Repeats:
    """Ranges accounted for more than once: sorted, disjoint [starts[i], ends[i]), each `depths[i]` >= 2 times."""

    starts: Int64Array = field(default_factory=lambda: _NONE)
    ends: Int64Array = field(default_factory=lambda: _NONE)
    depths: Int64Array = field(default_factory=lambda: _NONE)

    def within(self, start: int, end: int) -> Repeats:
        """The part in [start, end)."""
        keep = (self.ends > start) & (self.starts < end)
        return Repeats(np.maximum(self.starts[keep], start), np.minimum(self.ends[keep], end), self.depths[keep])

    def ranges(self) -> RangeSet:
        """All offsets accounted for more than once."""
        return RangeSet(self.starts, self.ends) if self.starts.size else EMPTY

    def surplus(self) -> int:
        """Occurrences beyond the first: an offset accounted for three times adds 2."""
        pairs = zip((self.ends - self.starts).tolist(), self.depths.tolist(), strict=True)
        return sum(length * (depth - 1) for length, depth in pairs)


@dataclass(frozen=True)
class Windows:
    """Rows whose record_count is not their span: somewhere in [starts[i], ends[i]) are counts[i] records."""

    starts: Int64Array = field(default_factory=lambda: _NONE)
    ends: Int64Array = field(default_factory=lambda: _NONE)
    counts: Int64Array = field(default_factory=lambda: _NONE)

    def __len__(self) -> int:
        return int(self.starts.size)

    def within(self, start: int, end: int) -> Windows:
        """The windows cut to [start, end), with their counts; those outside are left out."""
        keep = (self.ends > start) & (self.starts < end)
        return Windows(np.maximum(self.starts[keep], start), np.minimum(self.ends[keep], end), self.counts[keep])

    def ranges(self) -> RangeSet:
        """All offsets some inexact window spans."""
        return RangeSet(self.starts, self.ends) if self.starts.size else EMPTY


@dataclass(frozen=True)
class PartitionCoverage:
    """What the index says about one partition.

    `exact`: offsets of contiguous rows; `repeats`: those of them that occur more than once; `windows`: the inexact
    rows; `rows` and `quarantined`: sums over all rows, duplicates included.
    """

    exact: RangeSet = EMPTY
    repeats: Repeats = field(default_factory=Repeats)
    windows: Windows = field(default_factory=Windows)
    rows: int = 0
    quarantined: int = 0

    @property
    def records(self) -> int:
        """How many records the rows count, duplicates included."""
        return self.exact.total + self.repeats.surplus() + exact_sum(self.windows.counts)

    @property
    def bounds(self) -> OffsetRange | None:
        """From the smallest offset of any row to the end of the largest; None without rows."""
        known = [bounds for bounds in (self.exact.bounds, self.windows.ranges().bounds) if bounds]
        if not known:
            return None
        return OffsetRange(min(one.start for one in known), max(one.end for one in known))


def deepest(one: Repeats, other: Repeats) -> Repeats:
    """What occurs more than once by either: each offset as often as the one that has it more often says."""
    if not one.starts.size or not other.starts.size:
        return one if one.starts.size else other
    points = np.unique(np.concatenate((one.starts, one.ends, other.starts, other.ends)))
    depths = np.maximum(_depths_at(one, points), _depths_at(other, points))[:-1]
    # neighbours of one depth are one range, so that equal repeats have equal arrays
    opens = np.flatnonzero(np.diff(depths, prepend=0))
    borders = np.append(points[opens], points[-1])
    repeated = depths[opens] > 1
    return Repeats(borders[:-1][repeated], borders[1:][repeated], depths[opens][repeated])


def _depths_at(one: Repeats, points: Int64Array) -> Int64Array:
    """How often the offset at each point occurs; 0 where it is not repeated."""
    place = np.searchsorted(one.starts, points, "right") - 1
    inside = (place >= 0) & (points < one.ends[np.maximum(place, 0)])
    return np.where(inside, one.depths[np.maximum(place, 0)], 0).astype(np.int64)


class CoverageBuilder:
    """Collects checked rows, file by file and in any order, and gives each partition's coverage."""

    def __init__(self) -> None:
        self._waiting: list[IndexRows] = []
        self._waiting_rows = 0
        self._chains: list[tuple[Int64Array, Int64Array, Int64Array]] = []
        self._windows: list[tuple[Int64Array, Int64Array, Int64Array, Int64Array]] = []
        self._rows: dict[int, int] = {}
        self._quarantined: dict[int, int] = {}

    def add(self, rows: IndexRows) -> None:
        """Take the rows of one batch into account. Small batches are kept until there are enough to work on at once."""
        if not len(rows):
            return
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= _AT_ONCE:
            self._work_off()

    def _work_off(self) -> None:
        if not self._waiting:
            return
        rows = IndexRows.joined(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        partitions, starts, ends = rows.partitions, rows.starts, rows.ends
        exact = rows.counts == ends - starts
        grouped = _grouping(partitions)
        self._count(partitions, rows.quarantined, grouped)
        if not exact.all():
            odd = ~exact
            self._windows.append((partitions[odd], starts[odd], ends[odd], rows.counts[odd]))
            partitions, starts, ends = partitions[exact], starts[exact], ends[exact]
            grouped = _grouping(partitions)
        if grouped is not None:
            partitions, starts, ends = partitions[grouped], starts[grouped], ends[grouped]
        if starts.size:
            self._chains.append(_chains(partitions, starts, ends))

    def extend(self, other: CoverageBuilder) -> None:
        """Take over everything another builder collected, such as that of a file which turned out whole."""
        for waiting in other._waiting:
            self.add(waiting)
        self._chains += other._chains
        self._windows += other._windows
        for partition, rows in other._rows.items():
            self._rows[partition] = self._rows.get(partition, 0) + rows
            self._quarantined[partition] = self._quarantined.get(partition, 0) + other._quarantined[partition]

    def build(self) -> dict[int, PartitionCoverage]:
        """Partition -> coverage, for every partition that has a row."""
        self._work_off()
        chains = dict(_split(self._chains))
        windows = {partition: Windows(*columns) for partition, columns in _split(self._windows)}
        found = {}
        for partition in sorted(self._rows):
            starts, ends = chains.get(partition, (_NONE, _NONE))
            exact, repeats = cover(starts, ends)
            found[partition] = PartitionCoverage(
                exact=exact,
                repeats=repeats,
                windows=windows.get(partition, Windows()),
                rows=self._rows[partition],
                quarantined=self._quarantined[partition],
            )
        return found

    def _count(self, partitions: Int64Array, quarantined: Int64Array, grouped: Int64Array | None) -> None:
        ordered = partitions if grouped is None else partitions[grouped]
        heads = _group_starts(ordered)
        sizes = np.diff(np.append(heads, ordered.size))
        any_quarantined = bool(quarantined.any())
        amounts = quarantined[grouped] if any_quarantined and grouped is not None else quarantined
        for head, size in zip(heads.tolist(), sizes.tolist(), strict=True):
            partition = int(ordered[head])
            self._rows[partition] = self._rows.get(partition, 0) + size
            extra = exact_sum(amounts[head : head + size]) if any_quarantined else 0
            self._quarantined[partition] = self._quarantined.get(partition, 0) + extra


def cover(starts: Int64Array, ends: Int64Array) -> tuple[RangeSet, Repeats]:
    """The union of the non-empty ranges [starts[i], ends[i]) and what occurs in them more than once."""
    if starts.size and tiles(starts, ends):
        return RangeSet([int(starts.min())], [int(ends.max())]), Repeats()
    points, depths = depth_profile(starts, ends)
    covered, repeated = depths >= 1, depths >= 2  # noqa: PLR2004 - twice is the first repeat
    repeats = Repeats(points[:-1][repeated], points[1:][repeated], depths[repeated])
    return RangeSet(points[:-1][covered], points[1:][covered]), repeats


def layered(starts: Int64Array, ends: Int64Array, weights: Int64Array) -> tuple[RangeSet, Repeats]:
    """The offsets that ranges [starts[i], ends[i]), each counted weights[i] times, hold at all and more than once.

    In canonical form: however the same offsets were cut into ranges, the arrays are the same.
    """
    if not starts.size:
        return EMPTY, Repeats()
    if bool((weights == 1).all()) and tiles(starts, ends):
        return RangeSet([int(starts.min())], [int(ends.max())]), Repeats()
    points, where = np.unique(np.concatenate((starts, ends)), return_inverse=True)
    change: Int64Array = np.zeros(points.size, dtype=np.int64)
    np.add.at(change, where, np.concatenate((weights, -weights)))
    steps = np.flatnonzero(change)  # where nothing changes is no border: equal sets have equal arrays
    borders, depths = points[steps], np.cumsum(change[steps])[:-1]
    covered, repeated = depths >= 1, depths >= 2  # noqa: PLR2004 - twice is the first repeat
    repeats = Repeats(borders[:-1][repeated], borders[1:][repeated], depths[repeated])
    return RangeSet(borders[:-1][covered], borders[1:][covered]), repeats


def depth_profile(starts: Int64Array, ends: Int64Array) -> tuple[Int64Array, Int64Array]:
    """How often every offset occurs in the ranges: [points[i], points[i + 1]) occurs depths[i] times.

    `points` has one element more than `depths`, or none when there are no ranges.
    """
    points = np.unique(np.concatenate((starts, ends)))
    opened = np.searchsorted(np.sort(starts), points, "right")
    closed = np.searchsorted(np.sort(ends), points, "right")
    return points, (opened - closed)[:-1].astype(np.int64)


def tiles(starts: Int64Array, ends: Int64Array) -> bool:
    """Whether the ranges cover one range without gap and overlap, told without sorting them.

    They do exactly when the starts without the smallest are, as a multiset, the ends without the largest. The two
    multisets are compared by two independent sums of 64-bit hashes: a wrong yes has a chance of about 2**-128.
    """
    first, last = int(starts.min()), int(ends.max())
    return all(
        (_hash_sum(starts, seed) - _hash_sum(ends, seed)) % 2**64
        == (_hash_sum(as_int64([first]), seed) - _hash_sum(as_int64([last]), seed)) % 2**64
        for seed in _SEEDS
    )


_SEEDS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))


def _hash_sum(values: Int64Array, seed: np.uint64) -> int:
    """The sum modulo 2**64 of a 64-bit mix (splitmix64's finaliser) of each value."""
    mixed = values.view(np.uint64) + seed
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int((mixed ^ (mixed >> np.uint64(31))).sum(dtype=np.uint64))


def _grouping(partitions: Int64Array) -> Int64Array | None:
    """The stable order that brings equal partitions together; None when they are together already."""
    if bool((partitions[1:] >= partitions[:-1]).all()):
        return None
    small = int(partitions.max()) < _RADIX_LIMIT
    keys = partitions.astype(np.int16) if small else partitions
    return np.argsort(keys, kind="stable").astype(np.int64)


def _group_starts(partitions: Int64Array) -> Int64Array:
    """The first index of each run of equal partitions."""
    return np.concatenate(([0], np.flatnonzero(partitions[1:] != partitions[:-1]) + 1)).astype(np.int64)


def _chains(partitions: Int64Array, starts: Int64Array, ends: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Rows joined wherever a row begins exactly where the one before it ended; how often offsets occur is kept."""
    breaks = (partitions[1:] != partitions[:-1]) | (starts[1:] != ends[:-1])
    heads = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    tails = np.concatenate((heads[1:] - 1, [starts.size - 1]))
    return partitions[heads], starts[heads], ends[tails]


def _split(parts: Sequence[tuple[Int64Array, ...]]) -> Iterator[tuple[int, list[Int64Array]]]:
    """For each partition its number and the other columns' values, from column tuples with partitions first."""
    if not parts:
        return
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = _grouping(columns[0])
    if order is not None:
        columns = [column[order] for column in columns]
    heads = _group_starts(columns[0])
    stops = np.append(heads[1:], columns[0].size)
    for head, stop in zip(heads.tolist(), stops.tolist(), strict=True):
        yield int(columns[0][head]), [column[head:stop] for column in columns[1:]]
