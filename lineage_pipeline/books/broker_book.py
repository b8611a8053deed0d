"""The port to Kafka: what the audit and the job's start ask of a cluster. Tests put a model broker behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot


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
