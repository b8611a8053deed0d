"""Pure: what an auditor brings along from earlier looks, as values. Empty in a first audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lineage_pipeline.core.classes import OffsetClass
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet


@dataclass(frozen=True)
class ObservedPartition:
    """What one earlier look saw of one partition: the ends of that time, and the due offsets nobody accounted for.

    `log_start` and `leader_epoch` are None in looks that older versions kept, an epoch also where the broker told none.
    """

    last_stable: int | None = None
    high_watermark: int | None = None
    committed: int | None = None
    holes: RangeSet = EMPTY
    log_start: int | None = None
    leader_epoch: int | None = None


@dataclass(frozen=True)
class Observation:
    """One earlier look at the topic with the broker. `observed_at`: aware UTC time, by the auditor's own clock.

    `disputed`: something says that the look was earlier than that, so nothing may be proven by when it was.
    """

    observed_at: datetime
    partitions: Mapping[int, ObservedPartition]
    disputed: bool = False


@dataclass(frozen=True)
class Counted:
    """How many records the index counted at an earlier look, and how many of them were in quarantine."""

    at: datetime
    records: int
    quarantined: int


@dataclass(frozen=True)
class Resolution:
    """What re-reading a hole showed: its class, cause and the sentence that goes into the report.

    `first_timestamp`: the earliest Kafka timestamp of records that were read, in ms; None when none is known.
    """

    partition: int
    range: OffsetRange
    offset_class: OffsetClass
    cause: str
    evidence: str
    first_timestamp: int | None = None


@dataclass(frozen=True)
class Acceptance:
    """A gap that a person took on. `healed`: what of it was accounted for since; a later loss of that is a new one."""

    partition: int
    range: OffsetRange
    reason: str
    author: str
    healed: RangeSet = EMPTY

    @property
    def ranges(self) -> RangeSet:
        """The offsets for which it still counts."""
        return RangeSet.of(self.range).difference(self.healed)


@dataclass(frozen=True)
class Damage:
    """Offsets that two looks at the lake found in no object, with the cause and the sentence that names the object."""

    partition: int
    ranges: RangeSet
    cause: str
    evidence: str


@dataclass(frozen=True)
class LakeObservation:
    """One earlier whole look at the lake: which indexed offsets no object held. `observed_at`: aware UTC time.

    `replayed`: of how many indexed offsets a replay of the quarantine put a row into data. `dated`: its clock can have
    been right, so that it counts as one of two looks.
    """

    observed_at: datetime
    absent: Mapping[int, RangeSet]
    damage: tuple[Damage, ...] = ()
    replayed: Mapping[int, int] = field(default_factory=dict)
    dated: bool = True


@dataclass(frozen=True)
class Comparison:
    """The newest comparison by value: when, of how many records, and all offsets found wrong and not right since."""

    at: datetime
    records: int
    differing: Mapping[int, RangeSet]

    @property
    def problem(self) -> str | None:
        """Why the lake is not what Kafka had; None when nothing was found wrong."""
        if not self.differing:
            return None
        total = sum(ranges.total for ranges in self.differing.values())
        partitions = ", ".join(str(one) for one in sorted(self.differing))
        return f"`lineage verify` found {total} records of partition {partitions} that have not the values Kafka had"


@dataclass(frozen=True)
class Memory:
    """Everything earlier looks left: observations, resolutions, accepted gaps and baselines, all of this incarnation.

    `transactional`: the topic is known to hold transactions, so a hole may be a marker. `vanished`: offsets whose
    index files were merged and then vanished; `truncated`: offsets that the log lost behind an earlier look. `looks`:
    how many audits there were. `problems`: a sentence for each reason why this may not be all that was ever known.
    `baseline_sources`: who gave a baseline. `remarks`: sentences about the topic that every report repeats.
    `incarnation_problem`: why the broker's offsets are not of the topic that all this is about. `counted`: oldest
    first, also of looks without the broker. `copies`: who wrote offsets more than once, as far as it was looked up.
    `incarnation_problem`: why the broker's offsets are not of the topic that all this is about. `lake`: earlier whole
    looks at the lake, newest last; `lake_since`: when the topic that is now began, if another of its name was before.
    `verified`: what `lineage verify` found. `misdated`: what the clocks of looks said that do not count, oldest first.
    """

    observations: tuple[Observation, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    baselines: Mapping[int, int] = field(default_factory=dict)
    transactional: bool = False
    vanished: Mapping[int, RangeSet] = field(default_factory=dict)
    truncated: Mapping[int, RangeSet] = field(default_factory=dict)
    looks: int = 0
    problems: tuple[str, ...] = ()
    baseline_sources: Mapping[int, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    incarnation_problem: str | None = None
    counted: tuple[Counted, ...] = ()
    copies: tuple[WrittenTwice, ...] = ()
    lake: tuple[LakeObservation, ...] = ()
    lake_since: float | None = None
    verified: Comparison | None = None
    misdated: tuple[datetime, ...] = ()
