"""Use case: what would restoring a checkpoint repeat or skip? Its positions against the index; no broker is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lineage_pipeline.audit_topic import AuditRequest
from lineage_pipeline.books.source_positions import SourcePositions
from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.restore_effect import RestoreEffect, restore_effect
from lineage_pipeline.locate import Locator

FORMAT = "lineage-checkpoint/1"


@dataclass(frozen=True)
class TopicEffect:
    """One topic of the checkpoint. `problems`: why more may be repeated or skipped than is known."""

    topic: str
    partitions: tuple[RestoreEffect, ...]
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """As of the worst partition."""
        codes = {one.exit_code for one in self.partitions} | ({3} if self.problems or not self.partitions else set())
        return 1 if 1 in codes else 3 if 3 in codes else 0  # noqa: PLR2004 - the exit codes of contract.md


@dataclass(frozen=True)
class Restoring:
    """A checkpoint, and what restoring it does to each of its topics. `writer`: the deployment that made it."""

    read: SourcePositions
    writer: str | None
    topics: tuple[TopicEffect, ...]

    @property
    def exit_code(self) -> int:
        """0 nothing is repeated or skipped, 1 something is, 3 it cannot be told."""
        codes = {one.exit_code for one in self.topics}
        return 1 if 1 in codes else 3 if 3 in codes else 0  # noqa: PLR2004 - as above

    def to_json(self) -> dict[str, Any]:
        """As `lineage checkpoint --json` prints it."""
        return {
            "format": FORMAT,
            "checkpoint": self.read.uri,
            "checkpoint_id": self.read.checkpoint_id,
            "writer": self.writer,
            "exact": self.exit_code == 0,
            "topics": [
                {
                    "topic": topic.topic,
                    "partitions": [_partition_json(one) for one in topic.partitions],
                    "problems": list(topic.problems),
                }
                for topic in self.topics
            ],
        }


def restoring(read: SourcePositions, requests: Mapping[str, AuditRequest | str], at: datetime) -> Restoring:
    """What restoring does. `requests`: for each topic of the checkpoint its index, or why there is none.

    Never raises for books that cannot be read: then it cannot be told.
    """
    topics, writer = [], None
    for topic in dict.fromkeys(one.topic for one in read.positions):
        positions = {one.partition: one.offset for one in read.positions if one.topic == topic}
        request = requests[topic]
        if isinstance(request, str):
            unknown = tuple(RestoreEffect(*one, 0, EMPTY, (), request) for one in sorted(positions.items()))
            topics.append(TopicEffect(topic, unknown, (request,)))
            continue
        seen = Locator(request, at).seen()
        made_by = _writer(read.uri, seen.evidence)
        writer = writer or made_by
        topics.append(_effect(topic, positions, seen.evidence, [*seen.problems, *_sealed(made_by, seen.evidence)]))
    return Restoring(read, writer, tuple(topics))


def _effect(topic: str, positions: Mapping[int, int], evidence: AuditEvidence, problems: Sequence[str]) -> TopicEffect:
    partitions = sorted({*positions, *evidence.index.coverage})
    return TopicEffect(
        topic,
        tuple(
            restore_effect(one, positions.get(one), decide_partition(one, evidence), _explained(one, evidence))
            for one in partitions
        ),
        tuple(dict.fromkeys(problems)),
    )


def _explained(partition: int, evidence: AuditEvidence) -> RangeSet:
    """Offsets that an earlier audit read and found without any record, also behind the last row."""
    known = [one for one in evidence.memory.resolutions if one.partition == partition]
    return RangeSet.of(*(one.range for one in known if one.offset_class == "explained"))


def _writer(uri: str, evidence: AuditEvidence) -> str | None:
    """The deployment whose directory the checkpoint lies in."""
    known = {one.writer for one in evidence.index.deployments} | evidence.index.sealed_writers
    return next((part for part in reversed(uri.split("/")) if part in known), None)


def _sealed(writer: str | None, evidence: AuditEvidence) -> list[str]:
    if writer is None or writer not in evidence.index.sealed_writers:
        return []
    return [f"writer {writer} read an earlier topic of this name: its offsets mean other records"]


def _partition_json(one: RestoreEffect) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "position": one.position,
        "index_end": one.index_end,
        "repeats": [{"start": ranges.start, "end": ranges.end} for ranges in one.repeats],
        "skips": [
            {
                "start": skipped.range.start,
                "end": skipped.range.end,
                "class": skipped.offset_class,
                "cause": skipped.cause,
                "evidence": skipped.evidence,
            }
            for skipped in one.skips
        ],
        "doubt": one.doubt or None,
    }
