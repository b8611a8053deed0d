"""Pure: the outcome of an audit as a value, and its JSON as contract.md fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from lineage_pipeline.core.classes import CLASSES, OffsetClass, Verdict, worst
from lineage_pipeline.core.copies import told_writers
from lineage_pipeline.core.decision import PartitionDecision
from lineage_pipeline.core.evidence import AuditEvidence, BookStatus
from lineage_pipeline.core.expiry import Expiry
from lineage_pipeline.core.findings import Finding, find
from lineage_pipeline.core.history import AuditHistory
from lineage_pipeline.core.offsets import OffsetRange, RangeSet

FORMAT = "lineage-audit/1"
TOTALS = (
    *("expected", "actual", "indexed", "quarantined", "explained", "accepted"),
    *("pending", "missing", "damaged", "unknown", "duplicated"),
)
_FILES_TOLD = 6  # of the objects that hold a repeated range
EXIT_CODES: dict[Verdict, int] = {"complete": 0, "loss": 1, "undetermined": 3}


@dataclass(frozen=True)
class ReportedRange:
    """One maximal range that is not simply indexed; `range_class` is an offset class or `duplicated`.

    `repairable_until`: when the log may drop the first of these records at the earliest, aware UTC; None for anything
    but missing(repairable), and where no limit is known.
    """

    range: OffsetRange
    range_class: OffsetClass | Literal["duplicated"]
    cause: str | None
    evidence: str
    repairable_until: datetime | None = None


@dataclass(frozen=True)
class PartitionReport:
    """One partition's figures; `counts` has the keys of TOTALS, in offsets or records.

    `ranges` are in offset order; of pending only suspected, open-transaction and stalled are among them.
    """

    partition: int
    verdict: Verdict
    baseline: int
    end: int
    complete_through: int
    counts: dict[str, int]
    ranges: tuple[ReportedRange, ...]
    decision: PartitionDecision


@dataclass(frozen=True)
class AuditReport:
    """The outcome of one audit of one topic. `history` is not in the JSON; None when nothing is remembered."""

    topic: str
    cluster_id: str | None
    topic_id: str | None
    audited_at: datetime
    books: dict[str, BookStatus]
    state: Literal["first", "continued"]
    verdict: Verdict
    totals: dict[str, int]
    partitions: tuple[PartitionReport, ...]
    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    history: AuditHistory | None = None

    @property
    def repairable_until(self) -> datetime | None:
        """The earliest of the ranges': after it not everything that is missing can be put back."""
        known = [ranged.repairable_until for one in self.partitions for ranged in one.ranges]
        return min((one for one in known if one is not None), default=None)

    @property
    def exit_code(self) -> int:
        """0 complete, 1 loss, 3 undetermined."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """The object of contract.md, ready for json.dumps."""
        return {
            "format": FORMAT,
            "topic": self.topic,
            "cluster_id": self.cluster_id,
            "topic_id": self.topic_id,
            "audited_at": iso_seconds(self.audited_at),
            "books": dict(self.books),
            "state": self.state,
            "verdict": self.verdict,
            "totals": dict(self.totals),
            "partitions": [_partition_json(one) for one in self.partitions],
            "findings": [
                {
                    "kind": one.kind,
                    "severity": one.severity,
                    "partition": one.partition,
                    "text": one.text,
                    "data": dict(one.data),
                }
                for one in self.findings
            ],
            "problems": list(self.problems),
            "repairable_until": iso_seconds(self.repairable_until),
        }


def build_report(evidence: AuditEvidence, decisions: tuple[PartitionDecision, ...]) -> AuditReport:
    """The report over all partitions' decisions. Without any partition the verdict is undetermined."""
    snapshot = evidence.broker.snapshot
    expiry = Expiry(evidence)
    partitions = tuple(_partition(decision, expiry) for decision in decisions)
    topic_wide: list[Verdict] = ["undetermined"] if evidence.problems else []
    problems = [evidence.partition_problem(one.partition) for one in partitions]
    return AuditReport(
        topic=evidence.topic,
        cluster_id=snapshot.cluster_id if snapshot else None,
        topic_id=snapshot.topic_id if snapshot else None,
        audited_at=evidence.audited_at,
        books={"index": evidence.index.status, "broker": evidence.broker.status, "lake": evidence.lake.status},
        state="continued" if evidence.memory.observations or evidence.memory.looks else "first",
        verdict=worst([*(one.verdict for one in partitions), *topic_wide]),
        totals={key: sum(one.counts[key] for one in partitions) for key in TOTALS},
        partitions=partitions,
        findings=find(evidence, decisions, expiry),
        problems=(*evidence.problems, *(problem for problem in problems if problem)),
    )


def iso_seconds(moment: datetime | None) -> str | None:
    """`2026-11-22T22:00:00Z`; None stays None."""
    return None if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _partition(decision: PartitionDecision, expiry: Expiry) -> PartitionReport:
    sizes: dict[str, int] = {name: decision.ranges_of(name).total for name in CLASSES}
    span = decision.end - decision.baseline.offset
    if sum(sizes.values()) != span:
        raise ValueError(f"partition {decision.partition}: classes {sizes} do not make up {span} offsets")
    counts: dict[str, int] = {
        **sizes,
        "expected": span - sizes["explained"] - sizes["accepted"] - sizes["pending"],
        "actual": sizes["indexed"],
        "quarantined": decision.coverage.quarantined,
        "duplicated": decision.repeats.surplus(),
    }
    return PartitionReport(
        partition=decision.partition,
        verdict=decision.verdict,
        baseline=decision.baseline.offset,
        end=decision.end,
        complete_through=decision.complete_through,
        counts={key: counts[key] for key in TOTALS},
        ranges=_reported(decision, expiry),
        decision=decision,
    )


def _reported(decision: PartitionDecision, expiry: Expiry) -> tuple[ReportedRange, ...]:
    found = [
        _repairable(decision.partition, one, text, expiry)
        if tile.cause == "repairable"
        else ReportedRange(one, tile.offset_class, tile.cause, text)
        for tile in decision.tiles
        if tile.offset_class != "indexed" and tile.cause != "in-flight"
        for one, text in tile.told()
    ]
    for one in decision.repeats.ranges():
        part = decision.repeats.within(one.start, one.end)
        times = int(part.depths.max())
        text = f"accounted for {'up to ' if len(set(part.depths.tolist())) > 1 else ''}{times} times"
        told = told_writers([twice for twice in decision.copies if len(RangeSet.of(one).clip(*_ends(twice.range)))])
        text = f"{text} {told}" if told else text
        text += _holding(decision, RangeSet.of(one))
        found.append(ReportedRange(one, "duplicated", None, text))
    return tuple(sorted(found, key=lambda one: (one.range, one.range_class)))


def _ends(one: OffsetRange) -> tuple[int, int]:
    return one.start, one.end


def _repairable(partition: int, one: OffsetRange, text: str, expiry: Expiry) -> ReportedRange:
    known = expiry.partition(partition)
    deadline = known.of_readable(one)
    kept = known.sentence(deadline)
    told = f"{text}; {kept}" if kept else text
    return ReportedRange(one, "missing", "repairable", told, deadline.until if deadline else None)


def _holding(decision: PartitionDecision, ranges: RangeSet) -> str:
    """The objects that hold repeated offsets, as far as they are named."""
    touching = [one for one in decision.lake.copies if len(one.ranges.intersection(ranges))]
    files = list(dict.fromkeys(name for one in touching for name in one.files))
    more = f" and {len(files) - _FILES_TOLD} more" if len(files) > _FILES_TOLD else ""
    return f": {', '.join(files[:_FILES_TOLD])}{more}" if files else ""


def _partition_json(one: PartitionReport) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "verdict": one.verdict,
        "baseline": one.baseline,
        "end": one.end,
        "complete_through": one.complete_through,
        **one.counts,
        "ranges": [
            {
                "start": ranged.range.start,
                "end": ranged.range.end,
                "class": ranged.range_class,
                "cause": ranged.cause,
                "evidence": ranged.evidence,
                "repairable_until": iso_seconds(ranged.repairable_until),
            }
            for ranged in one.ranges
        ],
    }
