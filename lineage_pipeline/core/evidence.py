"""Pure: everything one audit gathered about one topic, and the rules it goes by, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Literal

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot
from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.deployment import Deployment, Isolation, by_jobs
from lineage_pipeline.core.lake_comparison import Doubt, LakeNote, PartitionLake
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offsets import RangeSet

BookStatus = Literal["read", "not-consulted", "unreadable"]


@dataclass(frozen=True)
class IndexEvidence:
    """What the index said. `problems`: a sentence per refused file, or why nothing could be read.

    `deployments`: oldest first; `deployment_problems`: a sentence per refused record. `newest`: when the store
    took the newest file of the topic, epoch seconds; None without files. `sealed_writers` wrote for a topic of the same
    name that is no more; nothing else here is of them. `future`: the newest day of a file, if it has begun nowhere.
    """

    status: BookStatus
    coverage: Mapping[int, PartitionCoverage] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()
    problems: tuple[str, ...] = ()
    deployment_problems: tuple[str, ...] = ()
    newest: float | None = None
    files: int = 0
    sealed_writers: frozenset[str] = frozenset()
    future: date | None = None


@dataclass(frozen=True)
class BrokerEvidence:
    """What the broker said, after the index was read. `problem`: why it could not be read."""

    status: BookStatus
    snapshot: BrokerSnapshot | None = None
    problem: str | None = None


@dataclass(frozen=True)
class LakeEvidence:
    """What the lake's objects said, listed after the index. Unreadable: a table could not be listed.

    `doubts`: why offsets that no object seems to hold may be in one all the same. `problems`: a sentence for everything
    that could not be looked at.
    """

    status: BookStatus = "not-consulted"
    partitions: Mapping[int, PartitionLake] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[LakeNote, ...] = ()


@dataclass(frozen=True)
class AuditRules:
    """What the settings say. `settle` and `max_delay` in seconds; the baseline and isolation serve foreign indexes.

    `quarantine_limit`: which part of the records, 0 to 1, may go to quarantine before it is a finding.
    """

    settle: float = 180.0
    max_delay: float = 900.0
    baseline: Literal["earliest", "seeded"] | Mapping[int, int] = "seeded"
    isolation: Isolation = "read_committed"
    quarantine_limit: float = 0.01


@dataclass(frozen=True)
class AuditEvidence:
    """One look at one topic: index first, then lake, then broker. `audited_at` is an aware UTC time.

    `readable`: by partition, at which offsets of inexact windows this look read a record from the broker.
    """

    topic: str
    audited_at: datetime
    index: IndexEvidence
    broker: BrokerEvidence = field(default_factory=lambda: BrokerEvidence("not-consulted"))
    rules: AuditRules = field(default_factory=AuditRules)
    memory: Memory = field(default_factory=Memory)
    readable: Mapping[int, RangeSet] = field(default_factory=dict)
    lake: LakeEvidence = field(default_factory=LakeEvidence)
    # by partition: what was decided from exactly this evidence; evidence with anything replaced begins without
    decided: dict[int, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def isolation(self) -> Isolation:
        """The writer's isolation level: the newest deployment record's, else the settings'."""
        jobs = by_jobs(self.index.deployments)
        return jobs[-1].isolation if jobs else self.rules.isolation

    @property
    def partitions(self) -> list[int]:
        """Every partition that is in any book, in order; one that was once there does not fall silent."""
        memory = self.memory
        known = {
            *self.index.coverage,
            *memory.baselines,
            *memory.vanished,
            *memory.truncated,
            *self.lake.partitions,
        }
        for deployment in self.index.deployments:
            known.update(deployment.start_offsets)
        if self.broker.snapshot is not None:
            known.update(self.broker.snapshot.partitions)
        return sorted(known)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that keeps the evidence about the whole topic from being whole, a sentence each."""
        known = {one.writer for one in self.index.deployments} | self.index.sealed_writers
        broken = [
            f"deployment record {one.writer} continues {one.previous}, whose record is gone"
            for one in self.index.deployments
            if one.previous is not None and one.previous not in known
        ]
        asked = [self.broker.problem] if self.broker.problem else []
        identity = [self.incarnation_problem] if self.incarnation_problem else []
        compared = self.memory.verified
        remembered = (*self.memory.problems, *([compared.problem] if compared and compared.problem else []))
        index, lake = (*self.index.problems, *self.index.deployment_problems), self.lake.problems
        return (*index, *lake, *broken, *asked, *identity, *remembered)

    def partition_problem(self, partition: int) -> str | None:
        """What keeps the evidence about one partition from being whole, beside `problems`."""
        snapshot = self.broker.snapshot
        if snapshot is None:
            return None
        offsets = snapshot.partitions.get(partition)
        if offsets is None:
            return f"partition {partition} is not among the broker's"
        return f"partition {partition}: {offsets.error}" if offsets.error else None

    @cached_property
    def incarnation_problem(self) -> str | None:
        """Why offsets of different incarnations of the topic may be mixed; None when they cannot."""
        if self.memory.incarnation_problem is not None:
            return self.memory.incarnation_problem
        snapshot = self.broker.snapshot
        seen = [(one.cluster_id, one.topic_id, f"writer {one.writer}") for one in self.index.deployments]
        if snapshot is not None:
            seen.append((snapshot.cluster_id, snapshot.topic_id, "the broker"))
        clusters = {cluster for cluster, _, _ in seen}
        topics = {topic_id for _, topic_id, _ in seen if topic_id is not None}  # None: that broker knows no ids
        if len(clusters) <= 1 and len(topics) <= 1:
            return None
        told = "; ".join(f"{who} says {cluster}/{topic_id}" for cluster, topic_id, who in (*seen[:2], *seen[-1:]))
        return f"the topic was recreated or is another cluster's: {told}"
