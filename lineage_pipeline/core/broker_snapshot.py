"""Pure: what the broker said about one topic, with every answer that cannot be true turned into an error.

Clients give sentinels as successes (-1001 for an offset they do not know), and brokers in trouble give ends that lie
before the start. Such an answer is no number here: the partition gets an `error` and its offsets are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lineage_pipeline.core.offsets import MAX_END


@dataclass(frozen=True)
class PartitionOffsets:
    """One partition's offsets at one look; all of log_start, last_stable and high_watermark, or an `error`.

    `last_stable` and `high_watermark` are ends: the offset of the next record. `committed` is the group's next offset,
    None when it never committed one. `leader_epoch` is None when the broker told none. `cut_at`: beside an error, the
    high watermark below the group's committed offset: such a log was cut back.
    """

    log_start: int | None
    last_stable: int | None
    high_watermark: int | None
    committed: int | None = None
    leader_epoch: int | None = None
    error: str | None = None
    cut_at: int | None = None


@dataclass(frozen=True)
class BrokerSnapshot:
    """One look at one topic: identity, every partition by number, and the topic's settings that matter here."""

    cluster_id: str
    topic_id: str | None
    partitions: Mapping[int, PartitionOffsets]
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def compacted(self) -> bool:
        """Whether the topic's cleanup policy lets compaction remove records; an unknown policy counts as yes."""
        return "compact" in self.config.get("cleanup.policy", "compact")


def partition_offsets(
    log_start: int, last_stable: int, high_watermark: int, committed: int | None = None, leader_epoch: int | None = None
) -> PartitionOffsets:
    """The answers as a value, or an error that names the one which cannot be true.

    0 <= log_start <= last_stable <= high_watermark <= 2**63 - 1 and 0 <= committed <= high_watermark must hold. The
    look must ask for log_start first and high_watermark last, since all of them only grow.
    """
    answers = {"log start": log_start, "last stable offset": last_stable, "high watermark": high_watermark}
    for name, value in answers.items():
        if not 0 <= value <= MAX_END:
            return unknown_offsets(f"the broker gave {value} as {name}, which is no offset")
    if not log_start <= last_stable <= high_watermark:
        return unknown_offsets(
            f"the broker gave log start {log_start}, last stable offset {last_stable}, high watermark"
            f" {high_watermark}, which are not in order"
        )
    if committed is not None and not 0 <= committed <= high_watermark:
        text = f"the group committed {committed}, but the high watermark is {high_watermark}"
        return replace(unknown_offsets(text), cut_at=high_watermark if committed >= 0 else None)
    epoch = leader_epoch if leader_epoch is not None and leader_epoch >= 0 else None
    return PartitionOffsets(log_start, last_stable, high_watermark, committed, epoch)


def unknown_offsets(error: str) -> PartitionOffsets:
    """A partition about which nothing is known, and why."""
    return PartitionOffsets(None, None, None, error=error)
