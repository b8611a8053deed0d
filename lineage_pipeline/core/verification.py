"""Pure: what a verification looks at, and what its comparisons come to: a verdict, its JSON, its evidence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

from lineage_pipeline.core.classes import Verdict
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.report import EXIT_CODES, iso_seconds
from lineage_pipeline.core.value_comparison import Compared, Difference, Unknown, Window, joined

FORMAT = "lineage-verify/1"
MAX_TOLD = 1_000  # differences that are told one by one
RUN = 50  # neighbouring offsets of a sample: they share an object and a request to the broker


@dataclass(frozen=True)
class BrokenObject:
    """An object of which not every page could be read."""

    table: str
    key: str
    why: str


@dataclass(frozen=True)
class Verification:
    """All windows together. `seed`: of the sample, None for a range; `objects`: how many were read, every page."""

    topic: str
    cluster_id: str
    topic_id: str | None
    verified_at: datetime
    seed: int | None
    windows: tuple[Window, ...]
    compared: tuple[Compared, ...]
    broken: tuple[BrokenObject, ...] = ()
    objects: int = 0
    problems: tuple[str, ...] = field(default_factory=tuple)

    @property
    def records(self) -> int:
        """How many records were found to be right."""
        return sum(one.same.total for one in self.compared)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Of all windows, by partition and offset."""
        found = (different for one in self.compared for different in one.differences)
        return tuple(sorted(found, key=lambda one: (one.partition, one.offset)))

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """Of all windows, neighbours with the same reason as one."""
        return tuple(joined(unknown for one in self.compared for unknown in one.unknown))

    def same(self) -> dict[int, RangeSet]:
        """By partition, the offsets found right."""
        found: dict[int, RangeSet] = {}
        for one in self.compared:
            found[one.partition] = found.get(one.partition, EMPTY).union(one.same)
        return {number: ranges for number, ranges in found.items() if len(ranges)}

    def differing(self) -> dict[int, RangeSet]:
        """By partition, the offsets found wrong."""
        found: dict[int, list[tuple[int, int]]] = {}
        for one in self.differences:
            found.setdefault(one.partition, []).append((one.offset, one.offset + 1))
        return {number: RangeSet.from_pairs(pairs) for number, pairs in sorted(found.items())}

    @property
    def verdict(self) -> Verdict:
        """`loss` when anything is wrong; `complete` only when something was compared and nothing left out."""
        if self.differences or self.broken:
            return "loss"
        lacking = any(len(one.lacking) for one in self.compared)
        return "undetermined" if lacking or self.unknown or self.problems or not self.records else "complete"

    @property
    def exit_code(self) -> int:
        """As of an audit: 0 complete, 1 loss, 3 undetermined."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """As `lineage verify --json` prints it."""
        differences = self.differences
        return {
            "format": FORMAT,
            "topic": self.topic,
            "cluster_id": self.cluster_id,
            "topic_id": self.topic_id,
            "verified_at": iso_seconds(self.verified_at),
            "verdict": self.verdict,
            "seed": self.seed,
            "windows": [
                {"partition": one.partition, "start": one.range.start, "end": one.range.end} for one in self.windows
            ],
            "records": self.records,
            "objects": self.objects,
            "different": len(differences),
            "repeated": sum(one.repeated for one in self.compared),
            "partial": sum(one.partial for one in self.compared),
            "other_reason": sum(one.other_reason for one in self.compared),
            "differences": [
                {"partition": one.partition, "offset": one.offset, "kind": one.kind, "text": one.text}
                for one in differences[:MAX_TOLD]
            ],
            "unknown": [
                {"partition": one.partition, "start": one.range.start, "end": one.range.end, "why": one.why}
                for one in self.unknown
            ],
            "broken": [{"table": one.table, "key": one.key, "why": one.why} for one in self.broken],
            "problems": list(self.problems),
        }


def sample_windows(candidates: Mapping[int, RangeSet], records: int, draw: Callable[[int], int]) -> tuple[Window, ...]:
    """About so many of the candidates' offsets, in neighbouring runs at random places; all when there are no more.

    `draw(n)` gives a number from 0 to n - 1, each as likely as the other.
    """
    parts = [(number, one) for number, ranges in sorted(candidates.items()) for one in ranges]
    ends = list(accumulate(len(one) for _, one in parts))
    if not parts or ends[-1] <= records:
        return tuple(Window(number, one) for number, one in parts)
    chosen: dict[int, list[tuple[int, int]]] = {}
    for _ in range(-(-records // RUN)):
        at = draw(ends[-1])
        index = bisect_right(ends, at)
        number, one = parts[index]
        start = one.start + at - (ends[index] - len(one))
        chosen.setdefault(number, []).append((start, min(start + RUN, one.end)))
    return tuple(
        Window(number, part) for number, pairs in sorted(chosen.items()) for part in RangeSet.from_pairs(pairs)
    )
