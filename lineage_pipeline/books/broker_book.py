"""The port to Kafka: what the audit and the job's start ask of a cluster. Tests put a model broker behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import HoleBudget, Round, Scan, Stop
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.table_rows import KafkaRecord


class BrokerBook(Protocol):
    """Metadata of one Kafka cluster, and the one thing the job's start writes: its group's offsets."""

    def snapshot(self, topic: str, group: str | None = None) -> BrokerSnapshot:
        """One look at `topic`; without `group` every `committed` is None.

        A partition that could not be asked, or whose answer cannot be true, carries an error. Raises
        UnknownTopicError when there is no such topic, BrokerError when the cluster or the group cannot be asked, or
        the topic was replaced during the look.
        """

    def commit_group_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Set the group's next offset for each partition of `offsets`. Raises BrokerError unless all were taken."""

    def group_members(self, group: str) -> tuple[str, ...]:
        """The group's members as `client id @ host`; a consumer that assigns its partitions itself is none."""


class HoleReader(Protocol):
    """Records of one Kafka cluster, read again without a trace: no group joined, nothing committed."""

    def read(self, topic: str, rounds: Sequence[Round], isolation: Isolation, budget: HoleBudget) -> tuple[Scan, ...]:
        """Passes over the windows, round by round: first in the writer's `isolation`, then in the other one.

        Windows that the budget did not reach have no scan. A broker that fails in between stops scans, and does not
        raise. Raises BrokerError when no client can be made.
        """


class RangeReading(Protocol):
    """One pass over a range. `reached` and `stopped` hold once the iteration is over.

    Everything below `reached` was passed: what was not given is no record of this isolation level. `stopped` is None
    exactly when the whole range was passed.
    """

    reached: int
    stopped: Stop | None

    def __iter__(self) -> Iterator[KafkaRecord]:
        """The records, in offset order. A broker that fails stops the reading, and does not raise."""


class OpenRangeReader(Protocol):
    """A client of one topic in one isolation level."""

    def read(self, partition: int, wanted: OffsetRange) -> RangeReading:
        """The records of `wanted`; ends the reading before."""


class RangeReader(Protocol):
    """Records of one Kafka cluster, with their payloads, read without a trace."""

    def open(self, topic: str, isolation: Isolation) -> AbstractContextManager[OpenRangeReader]:
        """Readings one after the other. Raises BrokerError when no client can be made."""
