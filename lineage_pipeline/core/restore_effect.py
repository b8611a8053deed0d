"""Pure: what a job that is restored from a position repeats and skips, against what the index says is in the lake."""

from __future__ import annotations

from dataclasses import dataclass

from lineage_pipeline.core.decision import PartitionDecision
from lineage_pipeline.core.flink_metadata import COMMITTED, EARLIEST, LATEST
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet

_WORDS = {
    EARLIEST: "the beginning of the log",
    LATEST: "the end of the log at that time",
    COMMITTED: "the offset that its group has committed by then",
}
_SETTLED = {"indexed", "explained", "accepted"}  # nothing of these is to be read any more
_LOST = {"missing", "damaged"}
BEHIND = (
    "behind the last index row: files of this checkpoint that were not committed yet appear when it is restored, and"
    " what is in none of them is skipped"
)


@dataclass(frozen=True)
class Skipped:
    """Offsets below the position that no index row accounts for, with the audit's words; `proven`: they are due."""

    range: OffsetRange
    offset_class: str
    cause: str | None
    evidence: str

    @property
    def proven(self) -> bool:
        """Whether it is known that they are not in the lake."""
        return self.offset_class in _LOST


@dataclass(frozen=True)
class RestoreEffect:
    """One partition. `position`: the next offset to be read, None where the checkpoint does not know the partition.

    `index_end`: the offset behind the last index row. `doubt`: why it cannot be told; empty where it can.
    """

    partition: int
    position: int | None
    index_end: int
    repeats: RangeSet
    skips: tuple[Skipped, ...] = ()
    doubt: str = ""

    @property
    def exit_code(self) -> int:
        """0 nothing is repeated or skipped, 1 something is, 3 it cannot be told."""
        if len(self.repeats) or any(one.proven for one in self.skips):
            return 1
        return 3 if self.doubt or self.skips else 0


def restore_effect(
    partition: int, position: int | None, decision: PartitionDecision, explained: RangeSet = EMPTY
) -> RestoreEffect:
    """What restoring does to the partition. `explained`: offsets of which it is known that no record is there.

    A partition that the checkpoint does not know is new to the job, which reads it from its beginning.
    """
    coverage = decision.coverage
    known = coverage.exact.union(coverage.windows.ranges())
    bounds = known.bounds
    end = bounds.end if bounds is not None else decision.baseline.offset
    if position in (LATEST, COMMITTED):
        return RestoreEffect(partition, position, end, EMPTY, (), f"the source begins at {_WORDS[position]}")
    start = 0 if position is None or position == EARLIEST else position
    skips = [
        Skipped(one, tile.offset_class, tile.cause, text)
        for tile in decision.tiles
        if tile.offset_class not in _SETTLED
        for whole, text in tile.told()
        for one in RangeSet.of(whole).clip(decision.baseline.offset, min(start, end))
    ]
    behind = RangeSet.of(OffsetRange(end, max(start, end))).difference(explained)
    skips += [Skipped(one, "unknown", "unproven", BEHIND) for one in behind]
    repeats = known.clip(start, end)
    return RestoreEffect(partition, position, end, repeats, tuple(sorted(skips, key=lambda one: one.range)))


def shown_position(position: int | None) -> str:
    """The position in words."""
    if position is None:
        return "new to it"
    return _WORDS.get(position, str(position))
