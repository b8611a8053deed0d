"""Pure: what the ledger says after all of its events were replayed, and the events that say the same in fewer words.

The ledger is the part of the auditor's memory that nothing can rebuild. It belongs to one topic at a time: when the
topic is recreated, the incarnation before is sealed and what was known of its offsets no longer counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from lineage_pipeline.core.ledger_events import (
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

_RUNGS = 16  # doublings of max_delay: a year and more
KNOWN_FOLDS = 64  # digests: more than audits that can be under way at once


@dataclass(frozen=True)
class LedgerState:
    """The replayed ledger. What is kept by partition is of the open `incarnation`; None before a broker was read.

    `looks` and `lake_looks`: earlier audits, oldest first, thinned in checkpoints; `look_count` counts them all.
    `index_ends` and `high_watermarks` are the highest ever seen. `open_gaps`: missing or damaged in the newest audit
    that saw them. `left`: the baselines of before, each until the accounting began anew.
    """

    incarnation: Incarnation | None = None
    sealed: tuple[IncarnationSealed, ...] = ()
    baselines: Mapping[int, BaselineResolved] = field(default_factory=dict)
    left: tuple[BaselinesLeft, ...] = ()
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
    lake_looks: tuple[LakeLooked, ...] = ()
    verified: Verified | None = None

    def memory(self) -> Memory:
        """What the decision needs of it."""
        return Memory(
            observations=tuple(Observation(one.finished_at, one.partitions) for one in self.looks if one.partitions),
            resolutions=tuple(
                Resolution(one.partition, part, one.offset_class, one.cause, one.evidence, one.first_timestamp)
                for one in self.resolutions
                for part in one.ranges
            ),
            acceptances=tuple(
                Acceptance(one.partition, one.range, one.reason, one.author)
                for one in self.acceptances
                if one.incarnation is None or self.incarnation is None or same_topic(one.incarnation, self.incarnation)
            ),
            baselines={partition: one.offset for partition, one in self.baselines.items()},
            transactional=any(one.cause in {"control-marker", "aborted"} for one in self.resolutions),
            vanished=self.vanished,
            truncated=self.truncated,
            looks=self.look_count,
            baseline_sources={partition: one.source for partition, one in self.baselines.items()},
            counted=tuple(Counted(one.finished_at, *one.counted) for one in self.looks if one.counted),
            remarks=tuple(
                f"{one.incarnation} was recreated or left on {one.at:%Y-%m-%d %H:%M:%SZ};"
                f" its last verdict: {one.verdict}"
                for one in self.sealed
            ),
            verified=self.verified.comparison() if self.verified else None,
            lake=tuple(LakeObservation(one.finished_at, one.absent, one.damage) for one in self.lake_looks),
        )

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
        return replace(state, lake_looks=(*state.lake_looks, event))
    if isinstance(event, BaselineResolved):
        if event.partition in state.baselines:  # resolved once: of two audits at once the first counts
            return state
        return replace(state, baselines={**state.baselines, event.partition: event})
    if isinstance(event, BaselinesLeft):
        return replace(state, left=(*state.left, event))
    if isinstance(event, IncarnationOpened):
        return _opened(state, event)
    if isinstance(event, IncarnationSealed):
        if state.is_sealed(event.incarnation):
            return state
        return replace(state, sealed=(*state.sealed, event), rows_without_writer_doubtful=True)
    if isinstance(event, WritersSeen):
        return replace(state, writers=state.writers | frozenset(event.writers))
    if isinstance(event, FilesVanished):
        return replace(state, vanished=united(state.vanished, event.partitions))
    if isinstance(event, LogTruncated):
        return replace(state, truncated=united(state.truncated, event.partitions))
    if isinstance(event, HoleResolved):
        return replace(state, resolutions=_with_resolution(state.resolutions, event))
    if isinstance(event, GapAccepted):
        return replace(state, acceptances=(*state.acceptances, event))
    if isinstance(event, GapChanged):
        return _gap(state, event)
    if isinstance(event, Judged):
        return replace(state, judged=event.partitions)
    if isinstance(event, Verified):
        return replace(state, verified=event.after(state.verified))
    if isinstance(event, FoldWritten):
        return replace(state, folds=(*state.folds, event.digest)[-KNOWN_FOLDS:])
    if isinstance(event, Proven):
        return replace(state, proven=event)
    if isinstance(event, Reached):
        return replace(
            state,
            look_count=event.looks,
            index_ends=_highest(state.index_ends, event.index_ends),
            high_watermarks=_highest(state.high_watermarks, event.high_watermarks),
            open_gaps=event.open_gaps,
            rows_without_writer_doubtful=event.rows_without_writer_doubtful,
        )
    # a person vouches for what is there now, whatever it was called before
    return replace(_only_told(state, event.at, event.reason), incarnation=None, rows_without_writer_doubtful=False)


def _looked(state: LedgerState, event: Looked) -> LedgerState:
    ends = {one: seen.high_watermark or 0 for one, seen in event.partitions.items()}
    return replace(
        state,
        looks=(*state.looks, event),
        look_count=state.look_count + 1,
        index_ends=_highest(state.index_ends, event.index_ends),
        high_watermarks=_highest(state.high_watermarks, ends),
    )


def _opened(state: LedgerState, event: IncarnationOpened) -> LedgerState:
    incarnation = event.incarnation
    if state.incarnation is not None and same_topic(state.incarnation, incarnation):
        return state
    sealed = tuple(one for one in state.sealed if not same_topic(one.incarnation, incarnation))
    opened = replace(state, incarnation=incarnation, sealed=sealed)
    # the first broker ever asked gives its name to what was seen without one
    if state.incarnation is None:
        return opened
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
    return replace(state, history=(*state.history, event), open_gaps=open_gaps)


def condensed(state: LedgerState, settle: float, max_delay: float) -> tuple[Event, ...]:
    """Events that give the same state when replayed from nothing, but for its looks, which are thinned.

    Times in seconds. The last event is a Reached.
    """
    found: list[Event] = []
    if state.incarnation is not None:
        since = state.looks[0].began_at if state.looks else _LONG_AGO
        found.append(IncarnationOpened(since, state.incarnation))
    found += state.sealed
    found += [WritersSeen(tuple(sorted(state.writers)))] if state.writers else []
    found += state.left
    found += [state.baselines[one] for one in sorted(state.baselines)]
    found += [*thinned(state.looks, settle, max_delay), *state.resolutions, *state.acceptances, *state.history]
    found += _thinned_lake(state.lake_looks, settle)
    found += [FilesVanished(_LONG_AGO, state.vanished)] if state.vanished else []
    found += [LogTruncated(_LONG_AGO, state.truncated)] if state.truncated else []
    found += [state.verified] if state.verified else []
    found += [FoldWritten(one) for one in state.folds]
    found += [Judged(state.judged), state.proven]
    found.append(
        Reached(
            looks=state.look_count,
            index_ends=state.index_ends,
            high_watermarks=state.high_watermarks,
            open_gaps=state.open_gaps,
            rows_without_writer_doubtful=state.rows_without_writer_doubtful,
        )
    )
    return tuple(found)


def thinned(looks: tuple[Looked, ...], settle: float, max_delay: float) -> tuple[Looked, ...]:
    """The looks that later audits can need: the newest, and behind it one for about every quarter of settle.

    Beyond `settle` one for every quarter of max_delay, and one beyond both; behind that, to measure how long the log
    keeps records, one for every doubling of the age. Walking from the oldest keeps frequent audits from pushing every
    look out before it is old enough to count.
    """
    if not looks:
        return ()
    ordered = sorted(looks, key=lambda one: one.finished_at)
    newest = ordered[-1].finished_at
    limit = timedelta(seconds=max(settle, max_delay))
    old = [one for one in ordered if newest - one.finished_at > limit]
    kept = [*_rungs(old[:-1], newest, limit), *old[-1:]]
    for one in ordered[len(old) : -1]:
        recent = newest - one.finished_at <= timedelta(seconds=2 * settle)
        step = timedelta(seconds=(settle if recent else max_delay) / 4)
        if not kept or one.finished_at - kept[-1].finished_at >= step:
            kept.append(one)
    return (*kept, ordered[-1])


def _thinned_lake(looks: tuple[LakeLooked, ...], settle: float) -> tuple[LakeLooked, ...]:
    """The newest look at the lake, the youngest that is older than it by `settle`, one per quarter in between."""
    if not looks:
        return ()
    ordered = sorted(looks, key=lambda one: one.finished_at)
    newest = ordered[-1].finished_at
    kept = [one for one in ordered if (newest - one.finished_at).total_seconds() >= settle][-1:]
    for one in ordered[:-1]:
        young = (newest - one.finished_at).total_seconds() < settle
        if young and (not kept or (one.finished_at - kept[-1].finished_at).total_seconds() >= settle / 4):
            kept.append(one)
    return (*kept, ordered[-1])


def _rungs(looks: list[Looked], newest: datetime, limit: timedelta) -> list[Looked]:
    """The oldest look of every doubling of the age from `limit` on, as far as the broker was read.

    Their holes are left out: what was no hole in between has to be seen twice again.
    """
    found: dict[int, Looked] = {}
    for one in looks:
        rung = int((newest - one.finished_at) / limit).bit_length()
        if one.partitions and rung <= _RUNGS:
            found.setdefault(rung, one)
    return [
        replace(one, partitions={number: replace(seen, holes=EMPTY) for number, seen in one.partitions.items()})
        for one in found.values()
    ]


def united(one: PartitionRanges, other: PartitionRanges) -> dict[int, RangeSet]:
    """Partition by partition the offsets of either."""
    return {key: one.get(key, EMPTY).union(other.get(key, EMPTY)) for key in sorted({*one, *other})}


def _highest(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in sorted({*one, *other})}


_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)  # in checkpoints, where the time of the first word is forgotten
