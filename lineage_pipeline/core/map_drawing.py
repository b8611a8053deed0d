"""Pure: the coverage map as strips to draw: partitions x offsets, every strip with its class and the words behind it.

A strip is a stretch of neighbouring cells that show the same class, the worst in each cell: one lost offset among a
billion still colours a cell. Copies lie over the classes, as strips of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage_pipeline.core.classes import Tile
from lineage_pipeline.core.coverage_map import SEVERITY
from lineage_pipeline.core.offsets import Int64Array, OffsetRange, RangeSet
from lineage_pipeline.core.report import AuditReport, PartitionReport

WORST_FIRST = tuple(name for name in SEVERITY if name != "duplicated")
_VERDICTS = {"loss": 0, "undetermined": 1, "complete": 2}
_FEWEST_CELLS = 24


@dataclass(frozen=True)
class Strip:
    """`left` and `width` are parts of the row, 0 to 1; `name`: a class or `duplicated`; `words`: a line per cause."""

    left: float
    width: float
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class DrawnRow:
    """One partition: `strips` make up the row without gap or overlap; `copies` lie over them."""

    partition: PartitionReport
    strips: tuple[Strip, ...]
    copies: tuple[Strip, ...]


def worst_partitions(report: AuditReport, most: int) -> tuple[PartitionReport, ...]:
    """At most `most` of them, by number: those with a loss first, then those with the most that is not proven."""
    ordered = sorted(report.partitions, key=_badness)[:most]
    return tuple(sorted(ordered, key=lambda one: one.partition))


def draw(partitions: Sequence[PartitionReport], cells: int, most_strips: int) -> tuple[DrawnRow, ...]:
    """A row for each, of `cells` cells; of fewer when the map would get more than about `most_strips` strips."""
    while True:
        rows = tuple(_row(one, cells) for one in partitions)
        strips = sum(len(row.strips) + len(row.copies) for row in rows)
        if strips <= most_strips or cells <= _FEWEST_CELLS:
            return rows
        cells = max(_FEWEST_CELLS, cells // 2)


def _badness(one: PartitionReport) -> tuple[int, int, int]:
    counts = one.counts
    open_offsets = counts["missing"] + counts["damaged"] + counts["unknown"]
    return _VERDICTS[one.verdict], -open_offsets or -counts["duplicated"], one.partition


def _row(one: PartitionReport, cells: int) -> DrawnRow:
    whole = OffsetRange(one.baseline, one.end)
    cells = min(cells, len(whole))
    if not cells:
        return DrawnRow(one, (), ())
    tiles, twice, span = one.decision.tiles, one.decision.repeats.ranges(), len(whole)
    if len(tiles) == 1 and not len(twice):
        words = _words(tiles, whole.start, whole.end)
        return DrawnRow(one, (Strip(0.0, 1.0, tiles[0].offset_class, words),), ())
    edges: Int64Array = np.array([whole.start + span * at // cells for at in range(cells + 1)], dtype=np.int64)
    starts, ends = edges[:-1], edges[1:]
    worst = np.full(cells, len(WORST_FIRST) - 1)
    for tile in tiles:
        rank = WORST_FIRST.index(tile.offset_class)
        held = tile.ranges.overlaps(starts, ends) > 0
        worst[held] = np.minimum(worst[held], rank)
    strips = [
        _strip(whole, first, last, WORST_FIRST[int(worst[index])], _words(tiles, first, last))
        for index, first, last in _stretches(worst, edges)
    ]
    copied = twice.overlaps(starts, ends) > 0
    copies = [
        _strip(whole, first, last, "duplicated", (_told("duplicated", None, twice.clip(first, last)),))
        for index, first, last in _stretches(copied.astype(np.int64), edges)
        if copied[index]
    ]
    return DrawnRow(one, tuple(strips), tuple(copies))


def _stretches(values: Int64Array, edges: Int64Array) -> list[tuple[int, int, int]]:
    """Neighbouring cells of one value: index of the first cell, first offset, end."""
    heads = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()]
    return [
        (head, int(edges[head]), int(edges[stop])) for head, stop in zip(heads, [*heads[1:], values.size], strict=True)
    ]


def _strip(whole: OffsetRange, first: int, last: int, name: str, words: tuple[str, ...]) -> Strip:
    return Strip((first - whole.start) / len(whole), (last - first) / len(whole), name, words)


def _words(tiles: Sequence[Tile], first: int, last: int) -> tuple[str, ...]:
    """A line for each class and cause in [first, last), worst first."""
    held = [(tile, tile.ranges.clip(first, last)) for tile in tiles]
    ordered = sorted(held, key=lambda pair: WORST_FIRST.index(pair[0].offset_class))
    return tuple(_told(tile.offset_class, tile.cause, ranges) for tile, ranges in ordered if len(ranges))


def _told(name: str, cause: str | None, ranges: RangeSet) -> str:
    bounds = ranges.bounds
    assert bounds is not None
    total = ranges.total
    kind = f"{name} ({cause})" if cause else name
    if total == 1:
        return f"{kind}: offset {bounds.start}"
    where = f"offsets {bounds.start} to {bounds.end - 1}"
    return f"{kind}: {where} ({total})" if len(ranges) == 1 else f"{kind}: {total} in {len(ranges)} ranges of {where}"
