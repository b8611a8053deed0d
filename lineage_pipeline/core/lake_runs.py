"""Pure: runs of offsets in numbered files, as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from lineage_pipeline.core.coverage import Repeats, layered
from lineage_pipeline.core.offsets import Int64Array, RangeSet

_NONE: Int64Array = np.array((), dtype=np.int64)


@dataclass(frozen=True)
class Runs:
    """Columns of one shape (n,): file number files[i] holds [starts[i], ends[i]) of partitions[i], weights[i] times.

    An offset that is in a file three times is in runs whose weights add up to 3.
    """

    files: Int64Array = field(default_factory=lambda: _NONE)
    partitions: Int64Array = field(default_factory=lambda: _NONE)
    starts: Int64Array = field(default_factory=lambda: _NONE)
    ends: Int64Array = field(default_factory=lambda: _NONE)
    weights: Int64Array = field(default_factory=lambda: _NONE)

    def __len__(self) -> int:
        return int(self.files.size)

    def where(self, chosen: npt.NDArray[np.bool_] | Int64Array) -> Runs:
        """The runs that `chosen` selects."""
        return Runs(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def ranges(self) -> RangeSet:
        """All offsets, whatever the partition and the file: for runs of one partition."""
        return RangeSet(self.starts, self.ends)

    def by_partition(self) -> Iterator[tuple[int, Runs]]:
        """Partition by partition, in order, its runs in the order they have here."""
        return self.by(self.partitions)

    def by(self, keys: Int64Array) -> Iterator[tuple[int, Runs]]:
        """Key by key, in order, the runs that have it; `keys` has the shape of the columns."""
        for key, where in grouped(keys):
            yield key, self.where(where)

    def layers(self) -> tuple[RangeSet, Repeats]:
        """For runs of one partition: the offsets they hold, and which of them more than once."""
        return layered(self.starts, self.ends, self.weights)

    def joined(self, other: Runs) -> Runs:
        """Both runs, the other's behind."""
        return Runs(*(np.concatenate((getattr(self, one.name), getattr(other, one.name))) for one in fields(self)))

    def within(self, ranges: RangeSet) -> Runs:
        """The runs cut to `ranges`: for runs of one partition."""
        parts: list[tuple[int, int, int, int, int]] = []
        touching = self.where(ranges.overlaps(self.starts, self.ends) > 0)
        inside = ranges.overlaps(touching.starts, touching.ends) == touching.ends - touching.starts
        whole, cut = touching.where(inside), touching.where(~inside)
        columns = (cut.files, cut.partitions, cut.starts, cut.ends, cut.weights)
        for number, partition, start, end, weight in zip(*(one.tolist() for one in columns), strict=True):
            parts += [(number, partition, one.start, one.end, weight) for one in ranges.clip(start, end)]
        pieces = np.array(parts, dtype=np.int64).reshape(-1, 5).T
        kept = (whole.files, whole.partitions, whole.starts, whole.ends, whole.weights)
        return Runs(*(np.concatenate(pair) for pair in zip(kept, pieces, strict=True)))


def grouped(keys: Int64Array) -> Iterator[tuple[int, Int64Array]]:
    """Each key, in order, with the places where it is, in order."""
    if not keys.size:
        return
    order = np.argsort(keys, kind="stable")
    borders = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    for where in np.split(order, borders):
        yield int(keys[where[0]]), where.astype(np.int64, copy=False)
