"""Pure: what an audit adds to the ledger once it has decided, and whether it has to look at closed days as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from lineage_pipeline.core.audit import lake_observation, observation
from lineage_pipeline.core.baseline import Baseline
from lineage_pipeline.core.completeness import proven
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.hole_reading import still_holding
from lineage_pipeline.core.ledger import LedgerState
from lineage_pipeline.core.ledger_events import (
    BaselineResolved,
    Event,
    FoldWritten,
    GapChanged,
    GapStatus,
    HoleResolved,
    Judged,
    LakeLooked,
    Listing,
    Looked,
    WritersSeen,
)
from lineage_pipeline.core.memory import Resolution
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.report import AuditReport, PartitionReport


@dataclass(frozen=True)
class Look:
    """One audit's outcome. `finished_at`: the aware UTC time when the gathering was over."""

    evidence: AuditEvidence
    report: AuditReport
    finished_at: datetime
    listing: Listing


def needs_closed_days(look: Look, judged: Mapping[int, RangeSet]) -> bool:
    """Whether something is in no book that no audit with a full listing has judged: its file may be in an old day."""
    if look.listing == "full" or look.evidence.index.status != "read":
        return False
    return any(len(_in_no_book(one).difference(judged.get(one.partition, EMPTY))) for one in look.report.partitions)


def events_of(look: Look, state: LedgerState, fold: FoldWritten | None) -> tuple[Event, ...]:
    """The facts that this look adds to `state`, whose incarnation is that of the look."""
    found: list[Event] = [_looked(look)]
    if look.evidence.index.status != "read":
        return tuple(found)
    lake = lake_observation(look.evidence, look.report, look.finished_at)
    if lake is not None and look.evidence.incarnation_problem is None:
        found.append(LakeLooked(lake.observed_at, lake.absent, lake.damage, lake.replayed))
    found += _baselines(look, state)
    writers = {one.writer for one in look.evidence.index.deployments} | look.evidence.index.sealed_writers
    if not writers <= state.writers:
        found.append(WritersSeen(tuple(sorted(writers - state.writers))))
    found += _resolutions(look, state)
    found += [one for one in look.evidence.memory.copies if one not in state.copies]
    found += [event for one in look.report.partitions for event in _gaps(one, look, state)]
    if look.listing == "full":
        judged = _judged(look)
        found += [Judged(judged)] if judged != dict(state.judged) else []
    if fold is not None and fold.digest not in state.folds[-1:]:
        found.append(fold)
    found.append(proven(look.evidence, look.report, state))
    return tuple(found)


def _looked(look: Look) -> Looked:
    # offsets of another topic must never be compared with those of this one
    ours = look.evidence.incarnation_problem is None
    seen = observation(look.evidence, look.report, look.finished_at) if ours else None
    ends = {one: rows.bounds.end for one, rows in sorted(look.evidence.index.coverage.items()) if rows.bounds}
    rows = look.evidence.index.coverage.values()
    counted = (sum(one.records for one in rows), sum(one.quarantined for one in rows))
    return Looked(
        began_at=look.evidence.audited_at,
        finished_at=look.finished_at,
        verdict=look.report.verdict,
        listing=look.listing,
        index_ends=ends,
        partitions=dict(seen.partitions) if seen is not None else {},
        counted=counted if look.evidence.index.status == "read" else None,
        refused=bool(look.evidence.index.problems),
    )


def _baselines(look: Look, state: LedgerState) -> list[Event]:
    """Baselines are stored once, and again when lowered, and only those that nothing unread could have made lower."""
    evidence, known = look.evidence, state.baselines
    if evidence.index.problems or evidence.index.deployment_problems or evidence.broker.status == "unreadable":
        return []
    if evidence.incarnation_problem:
        return []
    return [
        BaselineResolved(one.partition, one.baseline, one.decision.baseline.source)
        for one in look.report.partitions
        if (one.partition not in known or one.baseline < known[one.partition].offset)
        and evidence.partition_problem(one.partition) is None
        and _is_told(one.decision.baseline)
    ]


def _is_told(baseline: Baseline) -> bool:
    return not len(baseline.doubtful)


def _resolutions(look: Look, state: LedgerState) -> list[Event]:
    """What re-reading showed and will not need to be read again; what follows from earlier evidence is left out."""
    snapshot = look.evidence.broker.snapshot
    if snapshot is None:
        return []
    known = set(still_holding(state.memory().resolutions, snapshot.partitions))
    # without knowing of transactions, what the log's start has passed only seems to have been records: never kept
    guessed = set() if look.evidence.memory.transactional else {"expired"}
    new = [one for one in look.evidence.memory.resolutions if one not in known and one.cause not in guessed]
    together: dict[tuple[object, ...], list[Resolution]] = {}
    for one in still_holding(tuple(new), snapshot.partitions):
        said = (one.partition, one.offset_class, one.cause, one.evidence, one.first_timestamp)
        together.setdefault(said, []).append(one)
    return [
        HoleResolved(
            at=look.finished_at,
            partition=same[0].partition,
            ranges=RangeSet.of(*(one.range for one in same)),
            offset_class=same[0].offset_class,
            cause=same[0].cause,
            evidence=same[0].evidence,
            first_timestamp=same[0].first_timestamp,
        )
        for same in together.values()
    ]


def _gaps(one: PartitionReport, look: Look, state: LedgerState) -> list[Event]:
    """Missing or damaged offsets that were not so before, and those that are accounted for again."""
    gap = one.decision.ranges_of("missing").union(one.decision.ranges_of("damaged"))
    known = state.open_gaps.get(one.partition, EMPTY)
    taken_on = [accepted.ranges for accepted in state.accepted() if accepted.partition == one.partition]
    settled = one.decision.ranges_of("indexed").union(one.decision.ranges_of("explained"))
    changes: list[tuple[GapStatus, RangeSet]] = [
        ("opened", gap.difference(known)),
        ("healed", reduce(RangeSet.union, taken_on, known).intersection(settled)),
    ]
    return [
        GapChanged(look.finished_at, state.incarnation, one.partition, ranges, status)
        for status, ranges in changes
        if len(ranges)
    ]


def _in_no_book(one: PartitionReport) -> RangeSet:
    return one.decision.holes.union(one.decision.ranges_of("missing"))


def _judged(look: Look) -> dict[int, RangeSet]:
    """What is in no book and has been judged: a hole that still waits for its second look has not."""
    found = {
        one.partition: _in_no_book(one).difference(one.decision.ranges_of("pending")) for one in look.report.partitions
    }
    return {partition: ranges for partition, ranges in found.items() if len(ranges)}
