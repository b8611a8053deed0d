"""Pure: the completeness watermark: below which offset, and up to which time, everything is proven to be there.

The time is one of the auditor's own looks: whatever the topic held then lies below the offset. Records' timestamps say
nothing here, since producers set them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from lineage_pipeline.core.clocks import undisputed
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.ledger import LedgerState
from lineage_pipeline.core.ledger_events import Proven
from lineage_pipeline.core.report import AuditReport, PartitionReport

FORMAT = "lineage-complete-through/1"


def proven(evidence: AuditEvidence, report: AuditReport, state: LedgerState) -> Proven:
    """Per partition the offset and the latest known time; partitions of which no time is known are left out."""
    found: dict[int, tuple[int, datetime]] = {}
    if evidence.problems:
        return Proven(found)
    for one in report.partitions:
        times = list(_times(one, evidence, state))
        if times:
            found[one.partition] = (one.complete_through, max(times))
    return Proven(found)


def complete_through(evidence: AuditEvidence, report: AuditReport, marks: Proven) -> dict[str, Any]:
    """The object that scripts read. An `offset` or `time` of null is not known, and then nothing may be built on it.

    With a problem of the evidence as a whole nothing is proven. The topic's time is the earliest of its partitions'.
    """
    whole = not evidence.problems
    partitions = [_partition(one, marks.partitions, whole=whole) for one in report.partitions]
    times = [one["time"] for one in partitions]
    known = bool(times) and None not in times
    return {
        "format": FORMAT,
        "topic": report.topic,
        "audited_at": _shown(evidence.audited_at),
        "verdict": report.verdict,
        "time": min(times) if known else None,
        "partitions": partitions,
        "problems": list(report.problems),
    }


def _partition(one: PartitionReport, marks: Mapping[int, tuple[int, datetime]], *, whole: bool) -> dict[str, Any]:
    mark = marks.get(one.partition)
    return {
        "partition": one.partition,
        "offset": one.complete_through if whole else None,
        "time": _shown(mark[1]) if mark is not None and whole else None,
    }


def _times(one: PartitionReport, evidence: AuditEvidence, state: LedgerState) -> Iterator[datetime]:
    """Moments at which the log of the partition ended at or below what is proven.

    An audit asks the broker after it began, so what the log held when it began lies below the end it was told. A look
    or a mark by a clock that was ahead says nothing: since then the log may have grown.
    """
    through = one.complete_through
    snapshot = evidence.broker.snapshot
    offsets = snapshot.partitions.get(one.partition) if snapshot is not None else None
    if offsets is not None and offsets.high_watermark is not None and offsets.high_watermark <= through:
        yield evidence.audited_at
    for look in undisputed(state.looks, evidence.audited_at):
        seen = look.partitions.get(one.partition)
        if seen is not None and seen.high_watermark is not None and seen.high_watermark <= through:
            yield look.began_at
    before = state.proven.partitions.get(one.partition)
    if before is not None and before[0] <= through and before[1] <= evidence.audited_at:
        yield before[1]


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
