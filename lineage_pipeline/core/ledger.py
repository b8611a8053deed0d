"""Pure: what the ledger says after all of its events were replayed.

The ledger is the part of the auditor's memory that nothing can rebuild. It belongs to one topic at a time: when the
topic is recreated, the incarnation before is sealed and what was known of its offsets no longer counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from lineage_pipeline.core.clocks import NEVER, credible, doubted_newest, undisputed
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.ledger_events import (
    PERSON,
    BaselineResolved,
    BaselinesLeft,
    Event,
    FilesVanished,
    FoldWritten,
    GapAccepted,
    GapChanged,
    HoleResolved,
    Incarnation,
    IncarnationOpened,
    IncarnationSealed,
    Judged,
    LakeLooked,
    LogTruncated,
    Looked,
    PartitionRanges,
    Proven,
    Reached,
    Verified,
    WritersSeen,
)
from lineage_pipeline.core.memory import Acceptance, Counted, LakeObservation, Memory, Observation, Resolution
from lineage_pipeline.core.offsets import EMPTY, RangeSet

KNOWN_FOLDS = 64  # digests: more than audits that can be under way at once


@dataclass(frozen=True)
class LedgerState:
    """The replayed ledger. What is kept by partition is of the open `incarnation`; None before a broker was read.

    `looks` and `lake_looks`: earlier audits as they were stored, thinned in checkpoints; `look_count` counts them all.
    `index_ends` and `high_watermarks` are the highest ever seen. `open_gaps`: missing or damaged in the newest audit
    that saw them. `left`: the baselines of before, each until the accounting began anew. `refused`: the newest audit
    could not read an index file; only an audit that lists every day can tell that all are readable again.
    """

    incarnation: Incarnation | None = None
    sealed: tuple[IncarnationSealed, ...] = ()
    baselines: Mapping[int, BaselineResolved] = field(default_factory=dict)
    left: tuple[BaselinesLeft, ...] = ()
    copies: tuple[WrittenTwice, ...] = ()
    looks: tuple[Looked, ...] = ()
    look_count: int = 0
    index_ends: Mapping[int, int] = field(default_factory=dict)
    high_watermarks: Mapping[int, int] = field(default_factory=dict)
    vanished: PartitionRanges = field(default_factory=dict)
    truncated: PartitionRanges = field(default_factory=dict)
    resolutions: tuple[HoleResolved, ...] = ()
    acceptances: tuple[GapAccepted, ...] = ()
    history: tuple[GapChanged, ...] = ()
    open_gaps: PartitionRanges = field(default_factory=dict)
    writers: frozenset[str] = frozenset()
    judged: PartitionRanges = field(default_factory=dict)
    folds: tuple[str, ...] = ()
    proven: Proven = field(default_factory=lambda: Proven({}))
    rows_without_writer_doubtful: bool = False
    refused: bool = False
    lake_looks: tuple[LakeLooked, ...] = ()
    verified: Verified | None = None

    def memory(self, at: datetime | None = None) -> Memory:
        """What the decision of an audit that began `at` needs of it."""
        looks, sure = credible(self.looks, at), {id(one) for one in undisputed(self.looks, at or NEVER)}
        lake = credible(self.lake_looks, at)
        times = {one.finished_at for one in self.looks} | {one.finished_at for one in self.lake_looks}
        believed = {one.finished_at for one in looks} | {one.finished_at for one in lake}
        return Memory(
            observations=tuple(
                Observation(one.finished_at, one.partitions, disputed=id(one) not in sure)
                for one in looks
                if one.partitions
            ),
            resolutions=tuple(
                Resolution(one.partition, part, one.offset_class, one.cause, one.evidence, one.first_timestamp)
                for one in self.resolutions
                for part in one.ranges
            ),
            acceptances=self.accepted(),
            baselines={partition: one.offset for partition, one in self.baselines.items()},
            transactional=any(one.cause in {"control-marker", "aborted"} for one in self.resolutions),
            vanished=self.vanished,
            truncated=self.truncated,
            looks=self.look_count,
            baseline_sources={partition: one.source for partition, one in self.baselines.items()},
            copies=self.copies,
            counted=tuple(Counted(one.finished_at, *one.counted) for one in looks if one.counted),
            remarks=tuple(
                f"{one.incarnation} was recreated or left on {one.at:%Y-%m-%d %H:%M:%SZ};"
                f" its last verdict: {one.verdict}"
                for one in self.sealed
            ),
            verified=self.verified.comparison() if self.verified else None,
            lake=tuple(
                LakeObservation(one.finished_at, one.absent, one.damage, one.replayed, dated=one in lake)
                for one in (*lake, *doubted_newest(lake, self.lake_looks))
            ),
            misdated=tuple(sorted(times - believed)),
        )

    def accepted(self) -> tuple[Acceptance, ...]:
        """What people took on of the topic that is now."""
        return tuple(
            Acceptance(one.partition, one.range, one.reason, one.author, self._healed_since(one))
            for one in self.acceptances
            if one.incarnation is None or self.incarnation is None or same_topic(one.incarnation, self.incarnation)
        )

    def _healed_since(self, accepted: GapAccepted) -> RangeSet:
        found = EMPTY
        for one in self.history:
            if one.status == "healed" and one.partition == accepted.partition and one.at > accepted.at:
                found = found.union(one.ranges)
        return found

    def is_sealed(self, incarnation: Incarnation) -> bool:
        """Whether that topic is known to be no more."""
        return any(same_topic(one.incarnation, incarnation) for one in self.sealed)

    @property
    def sealed_writers(self) -> frozenset[str]:
        """Writers without a deployment record whose rows belong to a sealed incarnation."""
        return frozenset(writer for one in self.sealed for writer in one.writers)


def same_topic(one: Incarnation, other: Incarnation) -> bool:
    """Whether both name the same topic; a broker that knows no topic ids contradicts none."""
    if one.cluster_id != other.cluster_id:
        return False
    return one.topic_id == other.topic_id or None in {one.topic_id, other.topic_id}


def replay(events: Iterable[Event], state: LedgerState | None = None) -> LedgerState:
    """The state after `events`, from `state` or from nothing."""
    current = state or LedgerState()
    for event in events:
        current = _applied(current, event)
    return current


def _applied(state: LedgerState, event: Event) -> LedgerState:  # noqa: C901, PLR0911, PLR0912 - one case per kind
    if isinstance(event, Looked):
        return _looked(state, event)
    if isinstance(event, LakeLooked):
        return _with(state, lake_looks=(*state.lake_looks, event))
    if isinstance(event, BaselineResolved):
        known = state.baselines.get(event.partition)
        if known is not None and (known.source == PERSON or known.offset <= event.offset):
            return state  # it never rises, and of two audits at once the lower word counts
        return _with(state, baselines={**state.baselines, event.partition: event})
    if isinstance(event, BaselinesLeft):
        return _with(state, left=(*state.left, event))
    if isinstance(event, IncarnationOpened):
        return _opened(state, event)
    if isinstance(event, IncarnationSealed):
        if state.is_sealed(event.incarnation):
            return state
        return _with(state, sealed=(*state.sealed, event), rows_without_writer_doubtful=True)
    if isinstance(event, WrittenTwice):
        others = (one for one in state.copies if (one.partition, one.range) != (event.partition, event.range))
        return _with(state, copies=(*others, event))
    if isinstance(event, WritersSeen):
        return _with(state, writers=state.writers | frozenset(event.writers))
    if isinstance(event, FilesVanished):
        return _with(state, vanished=united(state.vanished, event.partitions))
    if isinstance(event, LogTruncated):
        return _with(state, truncated=united(state.truncated, event.partitions))
    if isinstance(event, HoleResolved):
        return _with(state, resolutions=_with_resolution(state.resolutions, event))
    if isinstance(event, GapAccepted):
        return _with(state, acceptances=(*state.acceptances, event))
    if isinstance(event, GapChanged):
        return _gap(state, event)
    if isinstance(event, Judged):
        return _with(state, judged=event.partitions)
    if isinstance(event, Verified):
        return _with(state, verified=event.after(state.verified))
    if isinstance(event, FoldWritten):
        return _with(state, folds=(*state.folds, event.digest)[-KNOWN_FOLDS:])
    if isinstance(event, Proven):
        return _with(state, proven=event)
    if isinstance(event, Reached):
        return _with(
            state,
            look_count=event.looks,
            index_ends=_highest(state.index_ends, event.index_ends),
            high_watermarks=_highest(state.high_watermarks, event.high_watermarks),
            open_gaps=event.open_gaps,
            rows_without_writer_doubtful=event.rows_without_writer_doubtful,
            refused=event.refused,
        )
    # a person vouches for what is there now, whatever it was called before
    return _with(_only_told(state, event.at, event.reason), incarnation=None, rows_without_writer_doubtful=False)


def _with(state: LedgerState, **changed: object) -> LedgerState:
    """As dataclasses.replace does it, at a quarter of the price: once for every event of the ledger."""
    made = object.__new__(LedgerState)
    made.__dict__.update(state.__dict__, **changed)
    return made


def _looked(state: LedgerState, event: Looked) -> LedgerState:
    ends = {one: seen.high_watermark or 0 for one, seen in event.partitions.items()}
    return _with(
        state,
        looks=(*state.looks, event),
        look_count=state.look_count + 1,
        index_ends=_highest(state.index_ends, event.index_ends),
        high_watermarks=_highest(state.high_watermarks, ends),
        proven=_of_the_past(state.proven, event.finished_at),
        refused=event.refused,
    )


def _of_the_past(proven: Proven, at: datetime) -> Proven:
    """Without the marks of a time to come: a clock that was ahead made them."""
    return Proven({one: mark for one, mark in proven.partitions.items() if mark[1] <= at})


def _opened(state: LedgerState, event: IncarnationOpened) -> LedgerState:
    incarnation = event.incarnation
    if state.incarnation is not None and same_topic(state.incarnation, incarnation):
        return state
    sealed = tuple(one for one in state.sealed if not same_topic(one.incarnation, incarnation))
    opened = _with(state, incarnation=incarnation, sealed=sealed)
    # the first broker ever asked gives its name to what was seen without one
    if state.incarnation is None:
        accepted = tuple(
            replace(one, incarnation=incarnation) if one.incarnation is None else one for one in state.acceptances
        )
        return _with(opened, acceptances=accepted)
    return _only_told(opened, event.at, f"{state.incarnation} was recreated or left")


def _only_told(state: LedgerState, at: datetime, reason: str) -> LedgerState:
    """What people said and what is history, without anything an audit measured."""
    begun = {partition: one.offset for partition, one in state.baselines.items()}
    return LedgerState(
        left=(*state.left, BaselinesLeft(at, reason, begun)) if begun else state.left,
        incarnation=state.incarnation,
        sealed=state.sealed,
        look_count=state.look_count,
        acceptances=state.acceptances,
        history=state.history,
        folds=state.folds,
        writers=state.writers,
        rows_without_writer_doubtful=state.rows_without_writer_doubtful,
    )


def _with_resolution(known: tuple[HoleResolved, ...], event: HoleResolved) -> tuple[HoleResolved, ...]:
    """Ranges of one partition of which the same was said are one: a transactional topic has thousands of markers."""

    def said(one: HoleResolved) -> tuple[object, ...]:
        return one.partition, one.offset_class, one.cause, one.evidence, one.first_timestamp

    for index, one in enumerate(known):
        if said(one) == said(event):
            return (*known[:index], replace(one, ranges=one.ranges.union(event.ranges)), *known[index + 1 :])
    return (*known, event)


def _gap(state: LedgerState, event: GapChanged) -> LedgerState:
    before = state.open_gaps.get(event.partition, EMPTY)
    changed = before.union(event.ranges) if event.status == "opened" else before.difference(event.ranges)
    open_gaps = {one: ranges for one, ranges in {**state.open_gaps, event.partition: changed}.items() if len(ranges)}
    return _with(state, history=(*state.history, event), open_gaps=open_gaps)


def united(one: PartitionRanges, other: PartitionRanges) -> dict[int, RangeSet]:
    """Partition by partition the offsets of either."""
    return {key: one.get(key, EMPTY).union(other.get(key, EMPTY)) for key in sorted({*one, *other})}


def _highest(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in sorted({*one, *other})}
