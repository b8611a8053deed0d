"""Pure: what a reader of an audit should know beside the verdict, each with a severity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lineage_pipeline.core.baseline import FROM_INDEX
from lineage_pipeline.core.decision import PartitionDecision
from lineage_pipeline.core.deployment import by_jobs
from lineage_pipeline.core.evidence import AuditEvidence

Severity = Literal["info", "warn", "error"]


@dataclass(frozen=True)
class Finding:
    """One remark; `partition` is None when it concerns the topic."""

    kind: str
    severity: Severity
    partition: int | None
    text: str


def find(evidence: AuditEvidence, decisions: tuple[PartitionDecision, ...]) -> tuple[Finding, ...]:
    """All remarks about the topic, then about each partition in order."""
    found = [*_about_topic(evidence, decisions)]
    for decision in decisions:
        found += _about_partition(evidence, decision)
    return tuple(found)


def _about_topic(evidence: AuditEvidence, decisions: tuple[PartitionDecision, ...]) -> Iterator[Finding]:
    if not decisions:
        yield Finding("nothing", "error", None, "no partition is in any book: nothing was looked at")
    if evidence.incarnation_problem:
        yield Finding("incarnation", "error", None, evidence.incarnation_problem)
    if decisions and not by_jobs(evidence.index.deployments):
        text = "no deployment record: baseline and isolation level come from settings, broker or the index itself"
        yield Finding("no-deployment-record", "info", None, text)
    if evidence.index.status == "read" and evidence.index.files == 0:
        yield Finding("empty-index", "warn", None, "the offset index holds no file of this topic: did the job run?")
    for remark in evidence.memory.remarks:
        yield Finding("sealed", "info", None, remark)
    quarantined = sum(decision.coverage.quarantined for decision in decisions)
    if quarantined:
        yield Finding("quarantine", "warn", None, f"{quarantined} records went to quarantine")


def _about_acceptances(evidence: AuditEvidence, decision: PartitionDecision) -> Iterator[Finding]:
    """Once a person took something on, every later report says so, also when the records came after all."""
    tiled = decision.ranges_of("accepted")
    for accepted in evidence.memory.acceptances:
        gone = not len(tiled.clip(accepted.range.start, accepted.range.end))
        if accepted.partition == decision.partition and gone:
            text = f"{accepted.range} was accepted by {accepted.author} ({accepted.reason}) and is accounted for now"
            yield Finding("accepted", "info", decision.partition, text)


def _about_partition(evidence: AuditEvidence, decision: PartitionDecision) -> Iterator[Finding]:
    number, repeats = decision.partition, decision.repeats
    if decision.baseline.source == FROM_INDEX and decision.baseline.offset > 0:
        text = f"baseline {decision.baseline.offset} is the index's own first offset: a lost head cannot be seen"
        yield Finding("baseline-from-index", "warn", number, text)
    surplus = repeats.surplus()
    if surplus:
        ranges = repeats.ranges()
        text = f"{surplus} surplus occurrences in {_ranges(len(ranges))}, the first {next(iter(ranges))}"
        yield Finding("duplicates", "warn", number, text)
    windows = decision.coverage.windows
    if len(windows):
        text = f"{len(windows)} index rows count more or fewer records than their span of offsets"
        yield Finding("inexact-window", "warn", number, text)
    bounds = decision.coverage.bounds
    if bounds is not None and bounds.start < decision.baseline.offset:
        text = f"the index has offsets from {bounds.start} on, below the baseline {decision.baseline.offset}"
        yield Finding("below-baseline", "info", number, text)
    problem = evidence.partition_problem(number)
    if problem:
        yield Finding("broker-answer", "error", number, problem)
    yield from _about_acceptances(evidence, decision)
    for tile in decision.tiles:
        if tile.cause == "stalled":
            yield Finding("stalled", "error", number, f"{tile.ranges.total} offsets stalled: {tile.evidence}")
        elif tile.cause == "open-transaction":
            yield Finding("open-transaction", "warn", number, f"{tile.ranges.total} offsets: {tile.evidence}")
        elif tile.offset_class == "accepted":
            yield Finding("accepted", "info", number, f"{tile.ranges.total} offsets {tile.evidence}")


def _once_accepted(evidence: AuditEvidence, decision: PartitionDecision) -> Iterator[Finding]:
    """Once a person took something on, every later report says so, also when the records came after all."""
    still = decision.ranges_of("accepted")
    for one in evidence.memory.acceptances:
        if one.partition == decision.partition and not len(still.clip(one.range.start, one.range.end)):
            text = f"{one.range} was accepted by {one.author} ({one.reason}) and is accounted for now"
            yield Finding("accepted", "info", one.partition, text)


def _ranges(count: int) -> str:
    return "one range" if count == 1 else f"{count} ranges"
