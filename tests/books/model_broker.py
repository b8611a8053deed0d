"""A broker for tests: partitions as lists of what each offset holds, and faults that can be switched on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, partition_offsets, unknown_offsets
from lineage_pipeline.errors import BrokerError, UnknownTopicError


@dataclass
class ModelPartition:
    """A log from `start` to `end`, stable up to `stable` (the end when None)."""

    end: int
    start: int = 0
    stable: int | None = None
    answer: tuple[int, int, int] | None = None  # what the broker says instead of the truth
    fault: str | None = None
    epoch: int | None = None


@dataclass
class ModelBroker:
    """A BrokerBook over partitions in memory. `on_look` runs before each look, so that a test can let time pass."""

    partitions: dict[str, dict[int, ModelPartition]] = field(default_factory=dict)
    committed: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    cluster_id: str = "cluster-1"
    topic_ids: dict[str, str] = field(default_factory=dict)
    down: bool = False
    looks: int = 0
    on_look: Callable[[], None] = lambda: None

    def snapshot(self, topic: str, group: str | None = None) -> BrokerSnapshot:
        self.looks += 1
        self.on_look()
        if self.down:
            raise BrokerError("Kafka at model:9092 could not describe the cluster (down): check the address")
        if topic not in self.partitions:
            raise UnknownTopicError(f"Kafka at model:9092 has no such topic (asked to describe topic {topic})")
        committed = self.committed.get((group, topic), {}) if group is not None else {}
        return BrokerSnapshot(
            self.cluster_id,
            self.topic_ids.get(topic, "topic-1"),
            {number: _answer(one, committed.get(number)) for number, one in self.partitions[topic].items()},
            {"cleanup.policy": "delete"},
        )

    def commit_group_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        self.committed.setdefault((group, topic), {}).update(offsets)

    def group_members(self, group: str) -> tuple[str, ...]:  # noqa: ARG002 - the port's signature; nobody joins
        return ()


def _answer(one: ModelPartition, committed: int | None) -> PartitionOffsets:
    if one.fault is not None:
        return unknown_offsets(one.fault)
    truth = (one.start, one.end if one.stable is None else one.stable, one.end)
    return partition_offsets(*(one.answer or truth), committed=committed, leader_epoch=one.epoch)
