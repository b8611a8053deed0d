"""Pure: which writers wrote offsets more than once. A fold joins the rows of all writers, so files are read for it.

Which files, and how many, is books/copy_writers.py's work; what was found is remembered in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.core.offsets import OffsetRange

REMEMBERED = 1_000  # ranges of a topic
_NAMED = 4
NAMELESS = ""  # rows of the original format name no writer


@dataclass(frozen=True)
class WrittenTwice:
    """A range that the index accounts for `depth` times, and the `writers` whose rows do, in alphabetical order.

    `whole`: all the rows were found; otherwise there may be more writers. It is a fact that the ledger keeps.
    """

    partition: int
    range: OffsetRange
    depth: int
    writers: tuple[str, ...] = ()
    whole: bool = False


def told_writers(found: Sequence[WrittenTwice]) -> str:
    """Who wrote these ranges, as the end of a sentence about the copies; empty when nobody knows."""
    writers = sorted({writer for one in found for writer in one.writers})
    if not writers:
        return ""
    named = [writer or "rows that name no writer" for writer in writers[:_NAMED]]
    if len(writers) > _NAMED:
        named.append(f"{len(writers) - _NAMED} more writers")
    if not all(one.whole for one in found):
        named.append("rows in index files that were not looked at")
    if len(named) == 1:
        return f"by {named[0]} alone"
    return f"by {', '.join(named[:-1])} and {named[-1]}"


def untraced(
    coverage: Mapping[int, PartitionCoverage], traced: Iterable[WrittenTwice], most: int
) -> tuple[WrittenTwice, ...]:
    """At most `most` ranges of which the writers are not known yet, lowest partitions and offsets first.

    Once REMEMBERED are known no more are looked for: a lake that holds everything twice needs no list.
    """
    known = {(one.partition, one.range): one.depth for one in traced}
    most = min(most, REMEMBERED - len(known))
    found: list[WrittenTwice] = []
    for partition in sorted(coverage):
        repeats = coverage[partition].repeats
        for start, end, depth in zip(
            repeats.starts.tolist(), repeats.ends.tolist(), repeats.depths.tolist(), strict=True
        ):
            if len(found) >= most:
                return tuple(found)
            one = OffsetRange(start, end)
            if known.get((partition, one)) != depth:
                found.append(WrittenTwice(partition, one, depth))
    return tuple(found)


class Tracing:
    """Collects the writers of `wanted` ranges from the rows of one file after the other."""

    def __init__(self, wanted: Sequence[WrittenTwice]) -> None:
        self._wanted = wanted
        self._left = [len(one.range) * one.depth for one in wanted]  # occurrences whose rows are not found yet
        self._writers: list[set[str]] = [set() for _ in wanted]
        self._open = {index for index, _ in enumerate(wanted)}

    @property
    def done(self) -> bool:
        """Whether every row that was looked for is found."""
        return not self._open

    def add(self, writer: str | None, rows: IndexRows) -> None:
        """Take the exact rows of one writer into account."""
        exact = rows.counts == rows.ends - rows.starts
        for index in sorted(self._open):
            one = self._wanted[index]
            held = exact & (rows.partitions == one.partition)
            held &= (rows.starts < one.range.end) & (rows.ends > one.range.start)
            if held.any():
                starts = np.maximum(rows.starts[held], one.range.start)
                ends = np.minimum(rows.ends[held], one.range.end)
                self._left[index] -= int((ends - starts).sum())
                self._writers[index].add(writer or NAMELESS)
                if self._left[index] <= 0:
                    self._open.discard(index)

    def found(self) -> tuple[WrittenTwice, ...]:
        """The wanted ranges with what is known of their writers."""
        return tuple(
            replace(one, writers=tuple(sorted(self._writers[index])), whole=index not in self._open)
            for index, one in enumerate(self._wanted)
        )
