"""Pure: the ledger's memory brought together with what an audit sees now, before anything is decided.

Here a recreated topic is noticed and the one before sealed, a log that was cut back, and index files that vanished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot
from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.fold import Fold, Owner, lost_ranges
from lineage_pipeline.core.ledger import LedgerState, replay, same_topic
from lineage_pipeline.core.ledger_events import (
    Event,
    FilesVanished,
    Incarnation,
    IncarnationOpened,
    IncarnationSealed,
    LogTruncated,
)
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet


@dataclass(frozen=True)
class Seen:
    """What an audit saw: the fold before it and now, every readable deployment record, the broker if it was read.

    `records_whole`: no deployment record was refused, so that all of them can contradict the broker.
    """

    at: datetime
    fold: Fold
    before: Fold | None = None
    deployments: tuple[Deployment, ...] = ()
    snapshot: BrokerSnapshot | None = None
    records_whole: bool = True


@dataclass(frozen=True)
class Recalled:
    """What the decision gets: coverage and records of the topic that is now, and the memory of it.

    `state` has replayed `events`, the facts that this look adds already.
    """

    state: LedgerState
    events: tuple[Event, ...]
    memory: Memory
    coverage: Mapping[int, PartitionCoverage] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()
    sealed_writers: frozenset[str] = frozenset()


def recall(state: LedgerState, seen: Seen) -> Recalled:
    """The ledger's state, with what this look contradicts or adds, and only what belongs to the topic of now."""
    events: list[Event] = _identity(state, seen)
    known = replay(events, state)
    owners = [one for one in seen.fold.coverage if not _is_sealed(known, one)]
    coverage = seen.fold.of(owners)
    doubt = stranger(known, seen.snapshot) or _unattributed(known, seen, owners)
    later = _vanished(known, seen, coverage, owners)
    later += _truncated(known, seen, coverage) if doubt is None else []
    known = replay(later, known)
    sealed = [one for one in seen.deployments if known.is_sealed(Incarnation(*one.incarnation))]
    present = {one.writer for one in seen.deployments}
    problems = [
        f"the deployment record of writer {writer} was there and is gone: restore it"
        for writer in sorted(known.writers - present)
    ]
    if known.rows_without_writer_doubtful and None in owners:
        problems.append(
            "the topic was recreated, and rows without a writer may be of the one before: move its index files away,"
            " then tell a baseline again"
        )
    deployments = tuple(one for one in seen.deployments if one not in sealed)
    return Recalled(
        state=known,
        events=(*events, *later),
        memory=replace(
            known.memory(seen.at),
            problems=tuple(problems),
            incarnation_problem=doubt,
            lake_since=_since(known, deployments),
        ),
        coverage=coverage,
        deployments=deployments,
        sealed_writers=frozenset(one.writer for one in sealed),
    )


def _since(state: LedgerState, deployments: tuple[Deployment, ...]) -> float | None:
    """When files began to be of the topic that is now (epoch seconds); None when there never was another."""
    if not state.sealed or not deployments:
        return None
    return min(one.files_since for one in deployments)


def seal_others(seen: Seen, current: Incarnation | None) -> list[Event]:
    """Seal every incarnation that a record names but `current`: a person said that the audit begins anew."""
    others = {Incarnation(*one.incarnation) for one in seen.deployments}
    return [
        IncarnationSealed(seen.at, one, "undetermined")
        for one in sorted(others, key=str)
        if current is not None and not same_topic(one, current)
    ]


def current_incarnation(seen: Seen) -> Incarnation | None:
    """The topic that is now: as the broker says, else as the newest deployment record does."""
    if seen.snapshot is not None:
        return Incarnation(seen.snapshot.cluster_id, seen.snapshot.topic_id)
    return Incarnation(*seen.deployments[-1].incarnation) if seen.deployments else None


def _identity(state: LedgerState, seen: Seen) -> list[Event]:
    """A recreated topic is noticed on the broker's word alone, and never by another cluster's.

    Another cluster may be a wrong address; the topic of before would be sealed by a mistake. So that stays a doubt.
    """
    if seen.snapshot is None:
        return []
    current, before = Incarnation(seen.snapshot.cluster_id, seen.snapshot.topic_id), state.incarnation
    if before is None:
        declared = [Incarnation(*one.incarnation) for one in seen.deployments]
        declared += [one for one in seen.fold.coverage if isinstance(one, Incarnation)]  # of records that are gone
        agreed = seen.records_whole and all(same_topic(one, current) or state.is_sealed(one) for one in declared)
        return [IncarnationOpened(seen.at, current)] if agreed else []
    if before.cluster_id != current.cluster_id or same_topic(before, current):
        return []
    nameless = tuple(sorted(one for one in seen.fold.coverage if isinstance(one, str)))
    verdict = state.looks[-1].verdict if state.looks else "undetermined"
    return [IncarnationSealed(seen.at, before, verdict, nameless), IncarnationOpened(seen.at, current)]


def _is_sealed(state: LedgerState, owner: Owner) -> bool:
    if isinstance(owner, Incarnation):
        return state.is_sealed(owner)
    return owner in state.sealed_writers


def _vanished(
    state: LedgerState, seen: Seen, coverage: Mapping[int, PartitionCoverage], owners: list[Owner]
) -> list[Event]:
    """What files covered once and none covers now: by the fold before, and by how far the index ever reached."""
    before: Mapping[int, PartitionCoverage] = {}
    if seen.before is not None:
        before = seen.before.of(one for one in {*seen.before.coverage, *owners} if not _is_sealed(state, one))
    found = lost_ranges(before, coverage)
    for partition, end in state.index_ends.items():
        baseline = state.baselines[partition].offset if partition in state.baselines else 0
        bounds = [one[partition].bounds for one in (before, coverage) if partition in one]
        # what vanished before is told already, with the holes that were in it
        bounds.append(state.vanished.get(partition, EMPTY).bounds)
        reached = max([baseline, *(one.end for one in bounds if one)])
        if reached < end:
            rest = RangeSet.of(OffsetRange(reached, end))
            found[partition] = found.get(partition, EMPTY).union(rest)
    new = {one: ranges.difference(state.vanished.get(one, EMPTY)) for one, ranges in found.items()}
    new = {one: ranges for one, ranges in new.items() if len(ranges)}
    return [FilesVanished(seen.at, new)] if new else []


def _truncated(state: LedgerState, seen: Seen, coverage: Mapping[int, PartitionCoverage]) -> list[Event]:
    """What the log reached, by an earlier look or an index row of this very topic, and does not reach now."""
    if seen.snapshot is None or state.incarnation is None:
        return []
    found = {}
    for partition, offsets in seen.snapshot.partitions.items():
        bounds = coverage[partition].bounds if partition in coverage else None
        highest = max(state.high_watermarks.get(partition, 0), bounds.end if bounds else 0)
        now = offsets.cut_at if offsets.high_watermark is None else offsets.high_watermark
        if now is not None and now < highest:
            cut = RangeSet.of(OffsetRange(now, highest)).difference(state.truncated.get(partition, EMPTY))
            if len(cut):
                found[partition] = cut
    return [LogTruncated(seen.at, found)] if found else []


def _unattributed(state: LedgerState, seen: Seen, owners: list[Owner]) -> str | None:
    """Why index rows may be of another topic than the one that is now, though no record that can be read says so.

    A record told of that topic before it became unreadable or went, or it cannot be read now and never was.
    """
    if seen.snapshot is None:
        return None
    current = Incarnation(seen.snapshot.cluster_id, seen.snapshot.topic_id)
    told = {Incarnation(*one.incarnation) for one in seen.deployments}  # the decision compares those
    known = sorted((one for one in owners if isinstance(one, Incarnation) and one not in told), key=str)
    # where the broker knows no topic ids, rows and records can still contradict each other
    others = [one for one in known if not all(same_topic(one, other) for other in (current, *told, *known))]
    if others:
        return f"the broker is {current}, and there are index rows of {others[0]}: restore its deployment record"
    nameless = sorted(one for one in owners if isinstance(one, str))
    unread = [one for one in nameless if one in state.writers or not seen.records_whole]
    if unread:
        return f"index rows of writer {unread[0]} may be of another topic: its deployment record cannot be read"
    return None


def stranger(state: LedgerState, snapshot: BrokerSnapshot | None) -> str | None:
    """Why the broker's answers are not about the topic that was audited before; None when they are."""
    current = Incarnation(snapshot.cluster_id, snapshot.topic_id) if snapshot else None
    if current is None or state.incarnation is None or same_topic(state.incarnation, current):
        return None
    return (
        f"earlier audits asked {state.incarnation}, the broker is {current}: check the address; if the topic moved,"
        " tell a baseline again"
    )
