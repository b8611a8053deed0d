"""Pure: which offsets an audit reads again, in which passes, and what one pass over a partition gives.

Holes that lie close together are read in one pass: a transactional topic has a marker after every transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import Literal

from lineage_pipeline.core.broker_snapshot import PartitionOffsets
from lineage_pipeline.core.decision import PartitionDecision, decide_partition
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.memory import Resolution
from lineage_pipeline.core.offsets import EMPTY, MAX_END, OffsetRange, RangeSet

_MERGED = 1_000  # offsets between two holes that are cheaper to read through than to jump over
_SLICE = 20_000  # offsets of one window at most, so that both isolation levels advance together under a budget

StopCause = Literal["budget", "broker-unreachable", "unresolved", "incarnation"]


@dataclass(frozen=True)
class HoleBudget:
    """What one audit may spend on reading again: bytes of records, seconds, and ranges (holes or parts of one)."""

    bytes: int = 256 * 1024 * 1024
    seconds: float = 60.0
    ranges: int = 100_000


@dataclass(frozen=True)
class Window:
    """A stretch of one partition to read through, and the `holes` in it that the reading is about.

    `tail`: they are not due, so only what lies before the first record is of interest, and the reading ends there.
    """

    partition: int
    range: OffsetRange
    holes: RangeSet
    tail: bool = False


Round = tuple[Window, ...]  # windows that are read at the same time: at most one of each partition


@dataclass(frozen=True)
class FoundRun:
    """Records that were read at every offset of [start, end). Kafka timestamps in ms; None: the records have none."""

    start: int
    end: int
    first_timestamp: int | None = None
    last_timestamp: int | None = None


@dataclass(frozen=True)
class Stop:
    """Why a pass ended early; `text` continues the sentence `... was not read to its end: `."""

    cause: StopCause
    text: str


@dataclass(frozen=True)
class Scan:
    """One pass over `range` of a partition in one isolation level.

    Everything in [range.start, reached) was passed: a record at or above `reached` - 1, or the end of the log at or
    above `reached`, was seen. `found`: the records at holes in it, in offset order. `stopped` is None exactly when
    the pass is complete.
    """

    partition: int
    isolation: Isolation
    range: OffsetRange
    reached: int
    found: tuple[FoundRun, ...] = ()
    stopped: Stop | None = None

    def __post_init__(self) -> None:
        if not self.range.start <= self.reached <= self.range.end:
            raise ValueError(f"a pass over {self.range} cannot have reached {self.reached}")
        if (self.reached == self.range.end) != (self.stopped is None):
            raise ValueError(f"a pass over {self.range} that reached {self.reached} with {self.stopped}")


@dataclass(frozen=True)
class OpenOffsets:
    """What of one partition nobody accounts for: `due` holes, and the stable part of the `tail` that is not due."""

    due: RangeSet
    tail: RangeSet


def open_offsets(evidence: AuditEvidence) -> dict[int, OpenOffsets]:
    """Partition -> what is open, for partitions that the broker answered for; remembered resolutions are settled."""
    snapshot = evidence.broker.snapshot
    if snapshot is None or evidence.index.status != "read" or evidence.incarnation_problem:
        return {}
    settled = _settled(evidence.memory.resolutions)
    found = {}
    for partition, offsets in snapshot.partitions.items():
        if offsets.error is None:
            decision = decide_partition(partition, evidence)
            opened = OpenOffsets(_due(decision, settled), _tail(decision, offsets))
            if len(opened.due) or len(opened.tail):
                found[partition] = opened
    return found


def out_of_reach(evidence: AuditEvidence, read_before: tuple[Resolution, ...]) -> bool:
    """Whether partitions that the broker did not answer for have holes that no audit has read and the log may hold.

    `read_before`: what earlier audits showed by reading.
    """
    snapshot = evidence.broker.snapshot
    if snapshot is None:
        return False
    settled = _settled(read_before)
    for partition, offsets in snapshot.partitions.items():
        if offsets.error is not None:
            looks = [one.partitions[partition] for one in evidence.memory.observations if partition in one.partitions]
            passed = max((one.log_start or 0 for one in looks), default=0)  # a log's start never goes back
            if len(_due(decide_partition(partition, evidence), settled).clip(passed, MAX_END)):
                return True
    return False


def windows(opened: Mapping[int, OpenOffsets], snapshot: Mapping[int, PartitionOffsets], ranges: int) -> list[Round]:
    """The rounds in which to read: holes first, lowest offsets first, in turn over the partitions, then the tails.

    At most `ranges` holes, or parts of one, are in them. What the log no longer holds is left out.
    """
    per_partition = []
    for partition, one in sorted(opened.items()):
        start = snapshot[partition].log_start or 0
        per_partition.append(_windows(partition, one.due.clip(start, snapshot[partition].high_watermark or 0)))
    rounds = _in_turn(per_partition, ranges)
    tails = tuple(
        Window(partition, OffsetRange(int(one.tail.starts[0]), int(one.tail.ends[-1])), one.tail, tail=True)
        for partition, one in sorted(opened.items())
        if len(one.tail)
    )
    return [*rounds, tails] if tails else rounds


def short_window_rounds(evidence: AuditEvidence, ranges: int) -> list[Round]:
    """The rounds in which to read what short windows leave open, as far as the log still holds a span whole.

    At most `ranges` parts are in them.
    """
    snapshot = evidence.broker.snapshot
    if snapshot is None or evidence.index.status != "read" or evidence.incarnation_problem:
        return []
    per_partition = []
    for partition, offsets in sorted(snapshot.partitions.items()):
        coverage = evidence.index.coverage.get(partition)
        if offsets.error is None and coverage is not None and len(coverage.windows):
            decision = decide_partition(partition, evidence)
            low, high = offsets.log_start or 0, offsets.last_stable or 0
            held = [span for span in decision.short if low <= span.range.start and span.range.end <= high]
            per_partition.append(iter([Window(partition, span.range, span.loose) for span in held]))
    return _in_turn(per_partition, ranges)


def readable_offsets(scans: tuple[Scan, ...], isolation: Isolation) -> dict[int, RangeSet]:
    """Partition -> offsets at which a reader of that isolation level got a record."""
    found: dict[int, list[tuple[int, int]]] = {}
    for scan in scans:
        if scan.isolation == isolation:
            found.setdefault(scan.partition, []).extend((run.start, run.end) for run in scan.found)
    return {partition: RangeSet.from_pairs(runs) for partition, runs in found.items()}


def still_holding(resolutions: tuple[Resolution, ...], partitions: Mapping[int, PartitionOffsets]) -> list[Resolution]:
    """What earlier audits showed by reading and needs no second reading, as it stands now.

    A marker stays a marker and a hole of a compacted topic stays unproven; records that were readable are so while
    the log still holds them, and expired below its start. Everything else is unknown again, so it is left out.
    """
    held: list[Resolution] = []
    for one in resolutions:
        offsets = partitions.get(one.partition)
        lasting = one.offset_class == "explained" or one.cause in {"unproven", "expired", "truncated"}
        if lasting:
            held.append(one)
        elif one.cause == "repairable" and offsets is not None and offsets.log_start is not None:
            cut = min(max(offsets.log_start, one.range.start), one.range.end)
            text = "they were readable in an earlier audit, and the log start has passed them since"
            if one.range.start < cut:
                gone = OffsetRange(one.range.start, cut)
                held.append(Resolution(one.partition, gone, "missing", "expired", text))
            if cut < one.range.end:
                left = OffsetRange(cut, one.range.end)
                held.append(replace(one, range=left))
    return held


def _settled(resolutions: tuple[Resolution, ...]) -> dict[int, list[OffsetRange]]:
    settled: dict[int, list[OffsetRange]] = {}
    for one in resolutions:
        settled.setdefault(one.partition, []).append(one.range)
    return settled


def _due(decision: PartitionDecision, settled: Mapping[int, list[OffsetRange]]) -> RangeSet:
    known = RangeSet.of(*settled.get(decision.partition, ())).union(decision.baseline.doubtful)
    return decision.holes.difference(known).difference(decision.lake.present)  # those are not lost


def _tail(decision: PartitionDecision, offsets: PartitionOffsets) -> RangeSet:
    waiting = EMPTY
    for tile in decision.tiles:
        if tile.cause in {"in-flight", "stalled"}:
            waiting = waiting.union(tile.ranges)
    return waiting.clip(0, offsets.last_stable or 0)  # below the log's start nothing waits


def _in_turn(per_partition: list[Iterator[Window]], ranges: int) -> list[Round]:
    """The first window of every partition, then the second of every one, until there are `ranges` parts in them."""
    rounds: list[Round] = []
    for listed in zip_longest(*(islice(one, ranges) for one in per_partition)):
        kept = []
        for window in listed:
            if window is not None and ranges > 0:
                ranges -= len(window.holes)
                kept.append(window)
        if not kept:
            break
        rounds.append(tuple(kept))
    return rounds


def _windows(partition: int, holes: RangeSet) -> Iterator[Window]:
    """The holes in offset order, neighbours together, none longer than a slice."""
    together: list[OffsetRange] = []
    for part in _sliced(holes):
        begins = together[0].start if together else part.start
        if together and (part.start - together[-1].end > _MERGED or part.end - begins > _SLICE):
            yield _window(partition, together)
            together = []
        together.append(part)
    if together:
        yield _window(partition, together)


def _sliced(holes: RangeSet) -> Iterator[OffsetRange]:
    for one in holes:
        for start in range(one.start, one.end, _SLICE):
            yield OffsetRange(start, min(start + _SLICE, one.end))


def _window(partition: int, parts: list[OffsetRange]) -> Window:
    return Window(partition, OffsetRange(parts[0].start, parts[-1].end), RangeSet.of(*parts))
