"""Pure: the decision about one partition: every offset of [baseline, end) gets one class, and all of them a verdict.

The order of the claims is the strength of the evidence: a contradiction of identity first, then the index, then what
people and re-reading established, then what is not due yet, and only what is left is a hole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import cast

from lineage_pipeline.core.baseline import FROM_LOG_START, Baseline, resolve_baseline
from lineage_pipeline.core.broker_snapshot import PartitionOffsets
from lineage_pipeline.core.classes import Tile, Tiling, Verdict
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.coverage import PartitionCoverage, Repeats, deepest
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.lake_claims import claim_absent, claim_unindexed
from lineage_pipeline.core.lake_comparison import PartitionLake
from lineage_pipeline.core.memory import Acceptance, Observation, ObservedPartition, Resolution
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet, exact_sum
from lineage_pipeline.core.short_windows import ShortSpan, proven_short, short_spans


@dataclass(frozen=True)
class PartitionDecision:
    """One partition's outcome. The ranges of `tiles` are disjoint and make up [baseline.offset, end) exactly.

    `holes`: the offsets that are due and accounted for by nobody, which the next audit has to look at again.
    `short`: the spans of index rows that count fewer records than offsets; `short_suspected`: a second look will judge
    one of them a loss unless a further row has come.
    `lake`: what the lake's objects hold of it, empty when they were not looked at. `copies`: who wrote repeated ranges.
    """

    partition: int
    verdict: Verdict
    baseline: Baseline
    end: int
    tiles: tuple[Tile, ...]
    repeats: Repeats
    coverage: PartitionCoverage
    holes: RangeSet
    short: tuple[ShortSpan, ...] = ()
    short_suspected: bool = False
    lake: PartitionLake = field(default_factory=PartitionLake)
    copies: tuple[WrittenTwice, ...] = ()

    def ranges_of(self, offset_class: str) -> RangeSet:
        """Everything of one class, whatever the cause."""
        found = EMPTY
        for tile in self.tiles:
            if tile.offset_class == offset_class:
                found = found.union(tile.ranges)
        return found

    @property
    def complete_through(self) -> int:
        """The first offset at or above the baseline that is neither indexed nor explained."""
        settled = self.ranges_of("indexed").union(self.ranges_of("explained"))
        for one in settled:
            return one.end if one.start == self.baseline.offset else self.baseline.offset
        return self.baseline.offset


def decide_partition(partition: int, evidence: AuditEvidence) -> PartitionDecision:
    """The decision about `partition` from everything gathered; no clock, no I/O, and made once of the same evidence."""
    decided = evidence.decided.get(partition)
    if decided is None:
        decided = evidence.decided[partition] = _Look(partition, evidence).decide()
    return cast("PartitionDecision", decided)


class _Look:
    """One partition's evidence, taken apart once, and the claims in their order."""

    def __init__(self, partition: int, evidence: AuditEvidence) -> None:
        self.partition = partition
        self.evidence = evidence
        self.coverage = evidence.index.coverage.get(partition, PartitionCoverage())
        self.lake = evidence.lake.partitions.get(partition, PartitionLake())
        self.snapshot = evidence.broker.snapshot
        self.offsets: PartitionOffsets | None = self.snapshot.partitions.get(partition) if self.snapshot else None
        self.baseline = resolve_baseline(partition, evidence, self.coverage, self.offsets)
        self.high_watermark = self.offsets.high_watermark if self.offsets else None
        bounds = self.coverage.bounds
        self.index_end = max(bounds.end if bounds else 0, self.baseline.offset)
        self.vanished = evidence.memory.vanished.get(partition, EMPTY)
        self.truncated = evidence.memory.truncated.get(partition, EMPTY)
        remembered = [one.end for ranges in (self.vanished, self.truncated) for one in [ranges.bounds] if one]
        self.end = max(self.index_end, self.high_watermark or 0, *remembered)
        self.tiling = Tiling(OffsetRange(self.baseline.offset, self.end))
        self.short = tuple(short_spans(self.coverage, self.baseline.offset, self.end))
        seen = [(one, one.partitions[partition]) for one in evidence.memory.observations if partition in one.partitions]
        self.seen = sorted(seen, key=lambda pair: pair[0].observed_at, reverse=True)
        self.confirmed = self._confirmed()
        self.unsettled = EMPTY  # claimed by what re-reading showed, but still to be looked at by the next audit

    def decide(self) -> PartitionDecision:
        whole = RangeSet.of(self.tiling.whole)
        self._contradictions(whole)
        claim_absent(self.tiling, self.evidence, self.partition, self.coverage.exact, self._acceptances())
        self.tiling.claim(self.coverage.exact, "indexed", None, "index rows cover them")
        self._windows()
        self._established()
        if self.evidence.index.status != "read":
            self.tiling.claim(whole, "unknown", "index-unreadable", "the offset index could not be read")
        self._not_due()
        holes = self.tiling.free.union(self.unsettled)
        self._holes()
        return PartitionDecision(
            partition=self.partition,
            verdict=self._verdict(),
            baseline=self.baseline,
            end=self.end,
            tiles=self.tiling.tiles(),
            repeats=deepest(self.coverage.repeats, self.lake.repeats).within(self.baseline.offset, self.end),
            coverage=self.coverage,
            holes=holes,
            short=self.short,
            short_suspected=len(self._proven_short(whole)) > len(self._proven_short(self.confirmed)),
            lake=self.lake,
            copies=tuple(one for one in self.evidence.memory.copies if one.partition == self.partition),
        )

    def _contradictions(self, whole: RangeSet) -> None:
        """Offsets whose identity is in doubt are never indexed: the same numbers may name other records now."""
        if self.evidence.incarnation_problem:
            self.tiling.claim(whole, "unknown", "incarnation", self.evidence.incarnation_problem)
        accepted = RangeSet.of(*(one.range for one in self._acceptances()))
        text = "an earlier look saw the log reach beyond them, then it was cut back: they may name other records now"
        self.tiling.claim(self.truncated.difference(accepted), "unknown", "incarnation", text)
        if self.snapshot is None:
            return
        if self.offsets is None:
            self.tiling.claim(whole, "unknown", "incarnation", "the broker's topic has no such partition")
            return
        known = [seen.leader_epoch for _, seen in self._observations(0) if seen.leader_epoch is not None]
        if self.offsets.leader_epoch is not None and self.offsets.leader_epoch < max(known, default=0):
            text = (
                f"the leader epoch fell from {max(known)} to {self.offsets.leader_epoch}: an old leader, or another log"
            )
            self.tiling.claim(whole, "unknown", "incarnation", text)
        if self.high_watermark is not None:
            beyond = whole.clip(self.high_watermark, self.end)
            text = f"the broker's high watermark is {self.high_watermark}: the log was cut back or replaced"
            self.tiling.claim(beyond, "unknown", "incarnation", text)

    def _windows(self) -> None:
        windows = self.coverage.windows
        if len(windows):
            counted, span = exact_sum(windows.counts), exact_sum(windows.ends - windows.starts)
            text = f"index rows count {counted} records in {span} offsets, so which are there is not known"
            for short, seen in self._proven_short(self.confirmed):
                said = f"index rows count {short.count} records where {seen} can be read from the broker: some are lost"
                self.tiling.claim(RangeSet.of(short.range), "unknown", "inexact-window", said)
            self.tiling.claim(windows.ranges(), "unknown", "inexact-window", text)

    def _established(self) -> None:
        """What people accepted, writers declared and re-reading showed."""
        memory, confirmed = self.evidence.memory, self.confirmed
        for accepted in self._acceptances():
            text = f"accepted by {accepted.author}: {accepted.reason}"
            self.tiling.claim(accepted.ranges, "accepted", None, text)
        due = RangeSet.of(self.tiling.whole) if self.offsets is None else confirmed.union(self.vanished)
        self.unsettled = claim_unindexed(self.tiling, self.evidence, self.partition, due, self.vanished)
        mine = [one for one in memory.resolutions if one.partition == self.partition]
        explained = [one for one in mine if one.offset_class == "explained"]
        doubted = RangeSet.of(*(one.range for one in mine if one.offset_class != "explained"))
        # where no record ever was, no index row can have vanished
        self._claim_resolutions(explained, self.vanished.difference(doubted))
        text = "they were indexed, but their index file vanished or changed, and no other file covers them"
        self.tiling.claim(self.vanished, "unknown", "index-vanished", text)
        for deployment in self.evidence.index.deployments:
            for skipped in deployment.skipped.get(self.partition, ()):
                text = f"writer {deployment.writer} went on behind them, since retention had removed them"
                self.tiling.claim(RangeSet.of(skipped), "missing", "expired", text)
        self._claim_resolutions(mine, RangeSet.of(self.tiling.whole))

    def _claim_resolutions(self, resolutions: list[Resolution], within: RangeSet) -> None:
        # neighbours that say the same are one claim: a transactional topic has thousands of markers
        for (offset_class, cause, text), group in groupby(
            resolutions, lambda one: (one.offset_class, one.cause, one.evidence)
        ):
            ranges = RangeSet.of(*(one.range for one in group)).intersection(within)
            # a loss needs a second look, since a listing is no snapshot; an explanation does not
            held = ranges.intersection(self.confirmed) if offset_class in {"missing", "damaged"} else ranges
            claimed = self.tiling.claim(held, offset_class, cause, text)
            if offset_class != "explained":
                self.unsettled = self.unsettled.union(claimed)

    def _not_due(self) -> None:
        """Above the index's own last row, what the group had committed long enough ago, and the log's start.

        What the log no longer holds cannot be written any more, so waiting for it would be for ever.
        """
        if self.offsets is None:
            return
        committed = [seen.committed or 0 for _, seen in self._observations(self.evidence.rules.settle)]
        due = max([self.index_end, self.offsets.log_start or 0, *committed])
        tail = RangeSet.of(OffsetRange(min(due, self.end), self.end))
        if self.evidence.isolation == "read_committed" and self.offsets.last_stable is not None:
            unstable = tail.clip(self.offsets.last_stable, self.end)
            text = f"a transaction is open: the last stable offset is {self.offsets.last_stable}"
            self.tiling.claim(unstable, "pending", "open-transaction", text)
        stalled, text = self._stalled(tail)
        self.tiling.claim(stalled, "pending", "stalled", text)
        self.tiling.claim(tail, "pending", "in-flight", "above everything the index has: not due yet")

    def _stalled(self, tail: RangeSet) -> tuple[RangeSet, str]:
        """What of the tail has waited for longer than max_delay, and how that is known."""
        limit = self.evidence.rules.max_delay
        for observation, seen in self._observations(limit):
            if seen.high_watermark is not None:
                text = f"already waiting at {_shown(observation.observed_at)}, more than {limit:g} s ago"
                return tail.clip(0, seen.high_watermark), text
        newest = self.evidence.index.newest
        if self.evidence.memory.observations or newest is None:
            return EMPTY, ""
        age = self.evidence.audited_at.timestamp() - newest
        if age <= limit:
            return EMPTY, ""
        # a first look cannot know since when they wait; that no file has come for so long must not look healthy
        text = f"they wait, and the newest index file is {age:.0f} s old, more than {limit:g} s: does the job run?"
        return tail, text

    def _holes(self) -> None:
        """What is due and in no book: missing only where nothing unread could hold it."""
        tiling, evidence = self.tiling, self.evidence
        if evidence.index.problems:
            text = "a refused index file may hold them"
            tiling.claim(tiling.free, "unknown", "index-unreadable", text)
        tiling.claim(self.baseline.doubtful, "unknown", "no-baseline", "no deployment record says where to begin")
        if evidence.broker.status == "unreadable" or (self.offsets is not None and self.high_watermark is None):
            tiling.claim(tiling.free, "unknown", "broker-unreachable", "no index row, and the broker did not answer")
        if evidence.broker.status == "not-consulted":
            text = "no index row covers them, though later offsets are indexed; the broker was not asked"
            if evidence.memory.transactional:
                tiling.claim(tiling.free, "unknown", "unresolved", f"{text}, and the topic holds transactions")
            tiling.claim(tiling.free, "missing", "unresolved", text)
        text = "no index row, seen by two looks; whether records are there was not looked at"
        tiling.claim(self.confirmed, "unknown", "unresolved", text)
        settle = evidence.rules.settle
        text = f"no index row, first seen in this audit; a second look {settle:g} s later decides"
        tiling.claim(tiling.free, "pending", "suspected", text)

    def _verdict(self) -> Verdict:
        tiling = self.tiling
        if len(tiling.of("missing")) or len(tiling.of("damaged")) or self._window_admits_loss():
            return "loss"
        doubtful = len(tiling.of("unknown")) or len(tiling.of("pending", "suspected", "stalled"))
        if doubtful or self._nothing_to_show() or self._evidence_is_not_whole():
            return "undetermined"
        return "complete"

    def _nothing_to_show(self) -> bool:
        """Whether no offset is indexed where some should be, or nobody said that there are none."""
        if len(self.tiling.of("indexed")):
            return False
        # an emptied log is no empty one: nobody says whether what retention removed had to be written
        emptied = self.baseline.source == FROM_LOG_START and self.baseline.offset > 0
        return emptied or self.high_watermark is None or len(self.tiling.of("pending")) > 0

    def _evidence_is_not_whole(self) -> bool:
        evidence = self.evidence
        cut_back = self.high_watermark is not None and self.high_watermark < self.end
        return (
            evidence.index.status != "read"
            or evidence.broker.status == "unreadable"
            or bool(evidence.problems)
            or evidence.partition_problem(self.partition) is not None
            or cut_back
        )

    def _window_admits_loss(self) -> bool:
        """Whether a window has fewer records than the broker shows; without it, than loose offsets (contract)."""
        if self.evidence.index.problems:
            return False
        if self.evidence.broker.status != "not-consulted":
            return bool(self._proven_short(self.confirmed))
        if not len(self.coverage.windows):
            return False
        windows = self.coverage.windows.within(self.baseline.offset, self.end)
        elsewhere = self.coverage.exact.overlaps(windows.starts, windows.ends)
        return bool((windows.counts < windows.ends - windows.starts - elsewhere).any())

    def _proven_short(self, confirmed: RangeSet) -> list[tuple[ShortSpan, int]]:
        if not self.short:
            return []
        # where the log was cut back, what can be read now may be other records than those that were counted
        whole = RangeSet.of((0, self.high_watermark or 0)).difference(self.truncated)
        spans = [one for one in self.short if not len(RangeSet.of(one.range).difference(whole))]
        return proven_short(spans, self.evidence.readable.get(self.partition, EMPTY), confirmed)

    def _acceptances(self) -> list[Acceptance]:
        return [one for one in self.evidence.memory.acceptances if one.partition == self.partition]

    def _confirmed(self) -> RangeSet:
        """Holes that a look at least `settle` ago saw already."""
        found = EMPTY
        for _, seen in self._observations(self.evidence.rules.settle):
            found = found.union(seen.holes)
        return found

    def _observations(self, age: float) -> list[tuple[Observation, ObservedPartition]]:
        """Earlier looks at this partition at least `age` seconds old, newest first."""
        limit: datetime = self.evidence.audited_at - timedelta(seconds=age)
        return [pair for pair in self.seen if pair[0].observed_at <= limit]


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
