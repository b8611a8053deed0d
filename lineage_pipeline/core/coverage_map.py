"""Pure: partitions x offsets as a grid of cells, each named by the worst class in its stretch of offsets.

A single lost offset among a billion still colours its cell: a map that averages would hide exactly what it is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.core.report import AuditReport, PartitionReport

# from worst to best: what a cell shows when its stretch holds several
SEVERITY = ("missing", "damaged", "unknown", "duplicated", "pending", "accepted", "explained", "indexed")
SYMBOLS = {
    "missing": "X",
    "damaged": "!",
    "unknown": "?",
    "duplicated": "2",
    "pending": "~",
    "accepted": "a",
    "explained": "-",
    "indexed": "#",
}


@dataclass(frozen=True)
class MapRow:
    """One partition: `cells[i]` is the worst class of the i-th stretch of [baseline, end); empty for no offsets."""

    partition: int
    whole: OffsetRange
    cells: tuple[str, ...]

    @property
    def text(self) -> str:
        """One symbol per cell; SYMBOLS explains them."""
        return "".join(SYMBOLS[cell] for cell in self.cells)


def coverage_map(report: AuditReport, width: int = 60) -> tuple[MapRow, ...]:
    """A row per partition, each scaled to its own offsets and at most `width` cells wide."""
    return tuple(_row(one, width) for one in report.partitions)


def _row(one: PartitionReport, width: int) -> MapRow:
    whole = OffsetRange(one.baseline, one.end)
    columns = min(width, len(whole))
    edges = [one.baseline + len(whole) * index // columns for index in range(columns + 1)] if columns else []
    layers = [(name, _layer(one, name)) for name in SEVERITY]
    cells = [
        next(name for name, ranges in layers if name == "indexed" or _touches(ranges, start, end))
        for start, end in pairwise(edges)
    ]
    return MapRow(one.partition, whole, tuple(cells))


def _layer(one: PartitionReport, name: str) -> RangeSet:
    return one.decision.repeats.ranges() if name == "duplicated" else one.decision.ranges_of(name)


def _touches(ranges: RangeSet, start: int, end: int) -> bool:
    return len(ranges.clip(start, end)) > 0
