"""Pure: the audit of one topic: evidence in, report out. Gathering is audit_topic's work, printing render_audit's."""

from __future__ import annotations

from datetime import datetime

from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.lake_claims import absent_ranges, looked_whole, remembered_damage, replayed_counts
from lineage_pipeline.core.memory import Damage, LakeObservation, Observation, ObservedPartition
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.report import AuditReport, build_report


def audit(evidence: AuditEvidence) -> AuditReport:
    """Decide every partition that is in any book, in order, and report. The same evidence gives the same report."""
    return build_report(evidence, tuple(decide_partition(one, evidence) for one in evidence.partitions))


def observation(evidence: AuditEvidence, report: AuditReport, finished_at: datetime) -> Observation | None:
    """What this audit leaves for the next one to compare with; None when a book was not read.

    `finished_at`: when the gathering was over, so that an observation never counts as older than it is.
    """
    snapshot = evidence.broker.snapshot
    if snapshot is None or evidence.index.status != "read":
        return None
    seen = {}
    for one in report.partitions:
        offsets = snapshot.partitions.get(one.partition)
        if offsets is not None and offsets.error is None:
            # what short windows leave open is judged by two looks, like a hole
            watched = one.decision.holes.union(RangeSet.of(*(part for s in one.decision.short for part in s.loose)))
            seen[one.partition] = ObservedPartition(
                last_stable=offsets.last_stable,
                high_watermark=offsets.high_watermark,
                committed=offsets.committed,
                holes=watched,
                log_start=offsets.log_start,
                leader_epoch=offsets.leader_epoch,
            )
    return Observation(finished_at, seen)


def lake_observation(evidence: AuditEvidence, report: AuditReport, finished_at: datetime) -> LakeObservation | None:
    """What this audit saw of the lake, for the next one; None unless it saw the whole lake.

    Damage that was known before and is still to be seen stays known, also where a person has accepted it.
    """
    if not looked_whole(evidence) or evidence.index.status != "read":
        return None
    absent, damage = {}, []
    for one in report.partitions:
        coverage = evidence.index.coverage.get(one.partition)
        gone = absent_ranges(evidence, one.partition, coverage.exact) if coverage else EMPTY
        gone = gone.difference(one.decision.ranges_of("explained"))
        if len(gone):
            absent[one.partition] = gone
        found = [tile for tile in one.decision.tiles if tile.offset_class == "damaged"]
        damage += [
            Damage(one.partition, ranges, str(tile.cause), text) for tile in found for ranges, text in tile.notes
        ]
        left = gone.difference(one.decision.ranges_of("damaged"))
        for known in remembered_damage(evidence, one.partition):
            if len(known.ranges.intersection(left)):
                damage.append(Damage(one.partition, known.ranges.intersection(left), known.cause, known.evidence))
    return LakeObservation(finished_at, absent, tuple(damage), replayed_counts(evidence))
