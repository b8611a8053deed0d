"""Pure: the words of the audit (classes, causes, verdicts) and a tiling of offsets by class that cannot leak.

docs/audit.md explains every word. `duplicated` is an overlay, not a class: it never takes part in a tiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet

OffsetClass = Literal["indexed", "explained", "accepted", "pending", "missing", "damaged", "unknown"]
CLASSES: tuple[OffsetClass, ...] = ("indexed", "explained", "accepted", "pending", "missing", "damaged", "unknown")

CAUSES: dict[OffsetClass, tuple[str, ...]] = {
    "indexed": (),
    "explained": ("control-marker", "aborted", "compacted", "lake-retention"),
    "accepted": (),
    "pending": ("in-flight", "suspected", "open-transaction", "stalled"),
    "missing": ("repairable", "expired", "truncated", "unresolved"),
    "damaged": ("object-missing", "object-changed", "not-committed"),
    "unknown": (
        "index-unreadable",
        "index-vanished",
        "broker-unreachable",
        "listing-incomplete",
        "inexact-window",
        "incarnation",
        "no-baseline",
        "unresolved",
        "unproven",
        "budget",
    ),
}

Verdict = Literal["complete", "undetermined", "loss"]
VERDICTS: tuple[Verdict, ...] = ("complete", "undetermined", "loss")  # from best to worst


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of them; `undetermined` when there are none, since nothing was looked at."""
    return max(verdicts, key=VERDICTS.index, default="undetermined")


@dataclass(frozen=True)
class Tile:
    """Ranges of one partition with one class and cause; `evidence` is a sentence for people."""

    ranges: RangeSet
    offset_class: OffsetClass
    cause: str | None
    evidence: str


class Tiling:
    """Gives every offset of [baseline, end) exactly one class: the first that claims it.

    Claims are made in order of strength, so two claims never overlap and nothing is counted twice.
    """

    def __init__(self, whole: OffsetRange) -> None:
        self.whole = whole
        self.free = RangeSet.of(whole)
        self._tiles: dict[tuple[OffsetClass, str | None], Tile] = {}

    def claim(self, ranges: RangeSet, offset_class: OffsetClass, cause: str | None, evidence: str) -> RangeSet:
        """Give the class to what of `ranges` has none yet, and return that part."""
        taken = self.free.intersection(ranges)
        if not len(taken):
            return EMPTY
        if cause is not None and cause not in CAUSES[offset_class]:
            raise ValueError(f"{cause!r} is no cause of {offset_class!r}")
        self.free = self.free.difference(taken)
        before = self._tiles.get((offset_class, cause))
        if before is not None:
            known = before.evidence if evidence in before.evidence else f"{before.evidence}; {evidence}"
            taken_all = before.ranges.union(taken)
        else:
            known, taken_all = evidence, taken
        self._tiles[offset_class, cause] = Tile(taken_all, offset_class, cause, known)
        return taken

    def tiles(self) -> tuple[Tile, ...]:
        """All tiles. Raises ValueError when an offset has no class: the decision forgot a case."""
        if len(self.free):
            raise ValueError(f"offsets without a class: {self.free}")
        return tuple(self._tiles.values())

    def of(self, offset_class: OffsetClass, *causes: str) -> RangeSet:
        """Everything of that class so far; with `causes`, of these causes only."""
        found = EMPTY
        for (known_class, cause), tile in self._tiles.items():
            if known_class == offset_class and (not causes or cause in causes):
                found = found.union(tile.ranges)
        return found
