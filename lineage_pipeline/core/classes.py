"""Pure: the words of the audit (classes, causes, verdicts) and a tiling of offsets by class that cannot leak.

docs/audit.md explains every word. `duplicated` is an overlay, not a class: it never takes part in a tiling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
    """Ranges of one partition with one class and cause; `notes`: sentences for people, each with its ranges."""

    ranges: RangeSet
    offset_class: OffsetClass
    cause: str | None
    notes: tuple[tuple[RangeSet, str], ...]

    @property
    def evidence(self) -> str:
        """All sentences, each once."""
        return "; ".join(dict.fromkeys(text for _, text in self.notes))

    def told(self) -> Iterator[tuple[OffsetRange, str]]:
        """Each range, in order, with the sentences about it."""
        if len(self.notes) == 1:
            yield from ((one, self.notes[0][1]) for one in self.ranges)
            return
        pieces = sorted(((one, text) for ranges, text in self.notes for one in ranges), key=lambda piece: piece[0])
        position = 0
        for one in self.ranges:
            texts: dict[str, None] = {}
            while position < len(pieces) and pieces[position][0].start < one.end:
                texts[pieces[position][1]] = None
                position += 1
            yield one, "; ".join(texts)


class Tiling:
    """Gives every offset of [baseline, end) exactly one class: the first that claims it.

    Claims are made in order of strength, so two claims never overlap and nothing is counted twice.
    """

    def __init__(self, whole: OffsetRange) -> None:
        self.whole = whole
        self.free = RangeSet.of(whole)
        self._notes: dict[tuple[OffsetClass, str | None], list[tuple[RangeSet, str]]] = {}

    def claim(self, ranges: RangeSet, offset_class: OffsetClass, cause: str | None, evidence: str) -> RangeSet:
        """Give the class to what of `ranges` has none yet, and return that part."""
        taken = self.free.intersection(ranges)
        if not len(taken):
            return EMPTY
        if cause is not None and cause not in CAUSES[offset_class]:
            raise ValueError(f"{cause!r} is no cause of {offset_class!r}")
        self.free = self.free.difference(taken)
        self._notes.setdefault((offset_class, cause), []).append((taken, evidence))
        return taken

    def tiles(self) -> tuple[Tile, ...]:
        """All tiles. Raises ValueError when an offset has no class: the decision forgot a case."""
        if len(self.free):
            raise ValueError(f"offsets without a class: {self.free}")
        return tuple(Tile(_union(notes), *key, tuple(notes)) for key, notes in self._notes.items())

    def of(self, offset_class: OffsetClass, *causes: str) -> RangeSet:
        """Everything of that class so far; with `causes`, of these causes only."""
        chosen = [
            note
            for (known_class, cause), notes in self._notes.items()
            if known_class == offset_class and (not causes or cause in causes)
            for note in notes
        ]
        return _union(chosen)


def _union(notes: list[tuple[RangeSet, str]]) -> RangeSet:
    if not notes:
        return EMPTY
    if len(notes) == 1:
        return notes[0][0]
    return RangeSet(
        np.concatenate([ranges.starts for ranges, _ in notes]), np.concatenate([ranges.ends for ranges, _ in notes])
    )
