"""Pure: a repair's plan as a value: what would be written, what not, what is there twice; and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.core.repair_claim import RepairClaim, Task
from lineage_pipeline.core.report import AuditReport, iso_seconds

Kind = Literal["lost", "damaged"]

SMALLEST_WIDTH, LARGEST_WIDTH = 1_000, 100_000
_OBJECT_BYTES = 64 * 1024 * 1024  # of payloads in one data object, about


@dataclass(frozen=True)
class PlannedRange:
    """Offsets to be written; `until`: when Kafka may drop the first of them (aware UTC; None: not known, or never)."""

    partition: int
    range: OffsetRange
    kind: Kind
    evidence: str
    until: datetime | None = None


@dataclass(frozen=True)
class PlannedSpan:
    """Planned ranges that belong together for a reader: `records` of them lie in `range`."""

    partition: int
    range: OffsetRange
    records: int
    kind: Kind
    until: datetime | None


@dataclass(frozen=True)
class RefusedRange:
    """Offsets that are not accounted for and are not written either, because of `why`."""

    partition: int
    range: OffsetRange
    what: str
    why: str


@dataclass(frozen=True)
class DuplicatedRange:
    """Offsets that are there more than once. `writers`: who wrote the index rows of the first of them.

    `evidence`: how often, and in which objects as far as the audit looked at them.
    """

    partition: int
    range: OffsetRange
    evidence: str
    writers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resumed:
    """An earlier repair that did not end, and those of its unfinished chunks that are gone on with."""

    claim: RepairClaim
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class RepairPlan:
    """What a repair would do. `obstacles`: sentences, each of which forbids to write anything at all."""

    topic: str
    planned: tuple[PlannedRange, ...] = ()
    resumed: tuple[Resumed, ...] = ()
    refused: tuple[RefusedRange, ...] = ()
    duplicated: tuple[DuplicatedRange, ...] = ()
    obstacles: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """How many records a repair would write, those of earlier repairs among them."""
        return sum(len(one.range) for one in self.planned) + sum(
            len(task) for one in self.resumed for task in one.tasks
        )

    def ranges(self, kind: Kind) -> dict[int, RangeSet]:
        """The planned ranges of one kind by partition."""
        return union_by_partition((one.partition, RangeSet.of(one.range)) for one in self.planned if one.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """As `lineage repair --json` prints it."""
        return {
            "planned": [
                {
                    "partition": one.partition,
                    "start": one.range.start,
                    "end": one.range.end,
                    "kind": one.kind,
                    "evidence": one.evidence,
                    "repairable_until": iso_seconds(one.until),
                }
                for one in self.planned
            ],
            "resumed": [
                {"repair": one.claim.number, "writer": one.claim.writer, "records": sum(map(len, one.tasks))}
                for one in self.resumed
            ],
            "refused": [
                {
                    "partition": one.partition,
                    "start": one.range.start,
                    "end": one.range.end,
                    "what": one.what,
                    "why": one.why,
                }
                for one in self.refused
            ],
            "duplicated": [
                {
                    "partition": one.partition,
                    "start": one.range.start,
                    "end": one.range.end,
                    "evidence": one.evidence,
                    "writers": list(one.writers),
                }
                for one in self.duplicated
            ],
            "obstacles": list(self.obstacles),
        }


def planned_spans(plan: RepairPlan, report: AuditReport) -> tuple[PlannedSpan, ...]:
    """The planned ranges in fewer lines: those between which no record can be are one."""
    explained = {one.partition: one.decision.ranges_of("explained") for one in report.partitions}
    found: list[PlannedSpan] = []
    for one in plan.planned:
        last = found[-1] if found else None
        if last is not None and (last.partition, last.kind) == (one.partition, one.kind):
            between = OffsetRange(last.range.end, one.range.start)
            if not len(RangeSet.of(between).difference(explained[one.partition])):
                until = min((moment for moment in (last.until, one.until) if moment is not None), default=None)
                whole = OffsetRange(last.range.start, one.range.end)
                found[-1] = replace(last, range=whole, records=last.records + len(one.range), until=until)
                continue
        found.append(PlannedSpan(one.partition, one.range, len(one.range), one.kind, one.until))
    return tuple(found)


def object_width(records: int, sampled_bytes: int) -> int:
    """Offsets per data object, from `records` sampled records with that many payload bytes altogether."""
    if not records or not sampled_bytes:
        return LARGEST_WIDTH
    fitting = _OBJECT_BYTES * records // sampled_bytes
    return max(SMALLEST_WIDTH, min(LARGEST_WIDTH, fitting // SMALLEST_WIDTH * SMALLEST_WIDTH))


def union_by_partition(parts: Iterable[tuple[int, RangeSet]]) -> dict[int, RangeSet]:
    """All ranges of each partition as one set."""
    found: dict[int, list[RangeSet]] = {}
    for partition, ranges in parts:
        found.setdefault(partition, []).append(ranges)
    return {partition: RangeSet.of(*(part for one in listed for part in one)) for partition, listed in found.items()}
