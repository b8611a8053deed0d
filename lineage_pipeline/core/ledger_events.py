"""Pure: what an audit or a person adds to the ledger, as values.

An event is a fact that stays true: it is never changed, and replaying all of them in order gives the auditor's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from lineage_pipeline.core.classes import OffsetClass, Verdict
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.memory import Comparison, Damage, ObservedPartition
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet

GapStatus = Literal["opened", "healed", "accepted"]
Listing = Literal["full", "open-days"]
PartitionRanges = Mapping[int, RangeSet]
PERSON = "a person"  # the source of a baseline that was told, not resolved


@dataclass(frozen=True)
class Incarnation:
    """The identity of a topic: offsets of two incarnations have nothing to do with each other."""

    cluster_id: str
    topic_id: str | None

    def __str__(self) -> str:
        return f"{self.cluster_id}/{self.topic_id}"


@dataclass(frozen=True)
class Restarted:
    """The memory begins anew, with the baselines that follow, because a person said so: `reason` tells after what."""

    at: datetime
    reason: str


@dataclass(frozen=True)
class BaselineResolved:
    """Where a partition's accounting begins, resolved once, then only lowered; `source` says who gave it."""

    partition: int
    offset: int
    source: str


@dataclass(frozen=True)
class BaselinesLeft:
    """In checkpoints: offsets by partition from which accounting began until `at`, when it began anew."""

    at: datetime
    reason: str
    baselines: Mapping[int, int]


@dataclass(frozen=True)
class IncarnationOpened:
    """The topic that is audited from now on."""

    at: datetime
    incarnation: Incarnation


@dataclass(frozen=True)
class IncarnationSealed:
    """A topic that is no more, with its last verdict. `writers`: those without a record whose rows belong to it."""

    at: datetime
    incarnation: Incarnation
    verdict: Verdict
    writers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """One audit: when it began and had gathered, by the auditor's clock, and what it saw of every partition.

    `index_ends`: the offset after the index's highest. `partitions` is empty when the broker was not read. `counted`:
    the records that the index counts, and those of them in quarantine; None when it was not read. `refused`: an index
    file was refused, or the index could not be read.
    """

    began_at: datetime
    finished_at: datetime
    verdict: Verdict
    listing: Listing
    index_ends: Mapping[int, int] = field(default_factory=dict)
    partitions: Mapping[int, ObservedPartition] = field(default_factory=dict)
    counted: tuple[int, int] | None = None
    refused: bool = False


@dataclass(frozen=True)
class LakeLooked:
    """A look at the whole lake: which indexed offsets no object held, and which of them are damaged, by two looks.

    `replayed`: of how many indexed offsets a replay of the quarantine put a row into data.
    """

    finished_at: datetime
    absent: PartitionRanges
    damage: tuple[Damage, ...] = ()
    replayed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WritersSeen:
    """Writers whose deployment records were there."""

    writers: tuple[str, ...]


@dataclass(frozen=True)
class FilesVanished:
    """Offsets whose index files were merged and then vanished or changed, and that no other file covers."""

    at: datetime
    partitions: PartitionRanges


@dataclass(frozen=True)
class LogTruncated:
    """Offsets that the log had in an earlier look and not in this one, though it was not recreated."""

    at: datetime
    partitions: PartitionRanges


@dataclass(frozen=True)
class HoleResolved:
    """What re-reading showed; it cannot be shown again once retention has passed it.

    `first_timestamp`: the earliest Kafka timestamp among records that were read, in ms; None when none is known.
    """

    at: datetime
    partition: int
    ranges: RangeSet
    offset_class: OffsetClass
    cause: str
    evidence: str
    first_timestamp: int | None = None


@dataclass(frozen=True)
class GapAccepted:
    """A gap that a person took on: exactly this range, of this incarnation."""

    at: datetime
    incarnation: Incarnation | None
    partition: int
    range: OffsetRange
    reason: str
    author: str


@dataclass(frozen=True)
class GapChanged:
    """A line of the history: these offsets became a gap, or stopped being one."""

    at: datetime
    incarnation: Incarnation | None
    partition: int
    ranges: RangeSet
    status: GapStatus


@dataclass(frozen=True)
class Judged:
    """Offsets in no book, of which an audit that listed every day has said what they are. Replaces the one before."""

    partitions: PartitionRanges


@dataclass(frozen=True)
class Verified:
    """Records compared by value: how many were right, where, and the offsets whose rows are not what Kafka has."""

    at: datetime
    verdict: Verdict
    records: int
    same: PartitionRanges
    differing: PartitionRanges

    def comparison(self) -> Comparison:
        """As a report tells it."""
        return Comparison(self.at, self.records, self.differing)

    def after(self, before: Verified | None) -> Verified:
        """This comparison, with everything that an earlier one found wrong and this one did not find right."""
        wrong = dict(self.differing)
        for partition, ranges in before.differing.items() if before else ():
            left = ranges.difference(self.same.get(partition, EMPTY)).union(wrong.get(partition, EMPTY))
            wrong = {**wrong, partition: left} if len(left) else wrong
        return replace(self, differing={partition: wrong[partition] for partition in sorted(wrong)})


@dataclass(frozen=True)
class FoldWritten:
    """The digest of the fold that this audit stores; a fold of another digest is not believed."""

    digest: str


@dataclass(frozen=True)
class Proven:
    """Per partition: the offset below which everything is proven, and a time at which the log ended at or below it."""

    partitions: Mapping[int, tuple[int, datetime]]


@dataclass(frozen=True)
class Reached:
    """In checkpoints: how many looks there were, how far they ever saw, which gaps are open, what was last refused.

    Rows without a writer are doubtful after the topic was recreated, since nobody can tell whose they are; a person who
    tells a baseline vouches for them.
    """

    looks: int
    index_ends: Mapping[int, int]
    high_watermarks: Mapping[int, int]
    open_gaps: PartitionRanges
    rows_without_writer_doubtful: bool
    refused: bool = False


# that a range was written more than once, and by whom, is a fact as it is found: WrittenTwice
Event = (
    Restarted
    | BaselineResolved
    | BaselinesLeft
    | IncarnationOpened
    | IncarnationSealed
    | Looked
    | LakeLooked
    | WritersSeen
    | WrittenTwice
    | FilesVanished
    | LogTruncated
    | HoleResolved
    | GapAccepted
    | GapChanged
    | Judged
    | Verified
    | FoldWritten
    | Proven
    | Reached
)
