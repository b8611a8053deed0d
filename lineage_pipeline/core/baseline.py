"""Pure: from which offset on a partition has to be accounted for, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from lineage_pipeline.core.broker_snapshot import PartitionOffsets
from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.deployment import Deployment, by_jobs
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet


@dataclass(frozen=True)
class Baseline:
    """The first offset that must be accounted for. `source` says who gave it.

    `doubtful`: offsets at its start of which nobody says whether they had to be written.
    """

    offset: int
    source: str
    doubtful: RangeSet = EMPTY


FROM_INDEX = "the index itself"
FROM_LOG_START = "the broker's log start"
_WRITER = "writer "  # before its id


def resolve_baseline(
    partition: int, evidence: AuditEvidence, coverage: PartitionCoverage, offsets: PartitionOffsets | None
) -> Baseline:
    """In this order: what was resolved before, the deployment records, the settings, the broker, the index.

    What was only measured before, by rows or the log's start, is lowered by rows below it, what a writer declared by
    what another one declares. It never rises.
    A partition that the records or the settings do not name appeared later, so it starts at 0.
    """
    log_start = offsets.log_start if offsets is not None else None
    if partition in evidence.memory.baselines:
        remembered = _remembered(partition, evidence, coverage)
        if remembered.source == FROM_INDEX and log_start is not None and log_start < remembered.offset:
            # stored when the broker was not asked: that there are records below could not be seen then
            return _headless(log_start, remembered.offset)
        return remembered
    if by_jobs(evidence.index.deployments):
        return _declared(partition, evidence, coverage)
    rule = evidence.rules.baseline
    if not isinstance(rule, str):
        return Baseline(rule.get(partition, 0), "the settings")
    return _guessed(rule, coverage.bounds, log_start)


def _remembered(partition: int, evidence: AuditEvidence, coverage: PartitionCoverage) -> Baseline:
    memory = evidence.memory
    offset, source = memory.baselines[partition], memory.baseline_sources.get(partition, "an earlier audit")
    if source in {FROM_INDEX, FROM_LOG_START}:
        # a file that came late tells of a beginning further down, also once it has vanished
        seen = (coverage.bounds, memory.vanished.get(partition, EMPTY).bounds)
        first = min((one.start for one in seen if one), default=offset)
        if first < offset:
            return Baseline(first, FROM_INDEX)
    if source.startswith(_WRITER):
        lowest = _lowest(partition, evidence)
        if lowest is not None and lowest.begins(partition) < offset:
            return Baseline(lowest.begins(partition), f"{_WRITER}{lowest.writer}")
    return Baseline(offset, source)


def _guessed(rule: str, indexed: OffsetRange | None, log_start: int | None) -> Baseline:
    """The baseline of a foreign index, of which no record says where its writer began."""
    if log_start is None:
        return Baseline(indexed.start if indexed else 0, FROM_INDEX)
    if indexed is None or rule == "earliest":
        return Baseline(min(log_start, indexed.start) if indexed else log_start, FROM_LOG_START)
    if indexed.start <= log_start:
        return Baseline(indexed.start, FROM_INDEX)
    return _headless(log_start, indexed.start)


def _headless(log_start: int, first: int) -> Baseline:
    """Records below the index's first one are still in the log: written by nobody, or never asked for?"""
    return Baseline(log_start, FROM_LOG_START, RangeSet.of(OffsetRange(log_start, first)))


def _lowest(partition: int, evidence: AuditEvidence) -> Deployment | None:
    """The start of the job that reads the partition from furthest down: whoever came first, and by whatever clock."""
    naming = [one for one in by_jobs(evidence.index.deployments) if partition in one.start_offsets]
    return min(naming, key=lambda one: one.begins(partition), default=None)


def _declared(partition: int, evidence: AuditEvidence, coverage: PartitionCoverage) -> Baseline:
    lowest = _lowest(partition, evidence)
    if lowest is None:
        return Baseline(0, "no deployment record, so the partition appeared later")
    known = {one.writer for one in evidence.index.deployments}
    start, bounds = lowest.begins(partition), coverage.bounds
    if lowest.previous is not None and lowest.previous not in known and bounds is not None:
        start = min(start, bounds.start)  # an earlier record, now gone, gave the real start
    return Baseline(start, f"{_WRITER}{lowest.writer}")
