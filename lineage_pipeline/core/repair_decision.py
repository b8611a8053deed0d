"""Pure: from an audit to what a repair may write, what it must not, and why. Every range of a loss is in either.

Only what two looks agreed about is repaired: missing(repairable), whose records were read, and damaged, whose index
rows are there but whose objects are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lineage_pipeline.core.held_back import JobSigns, SeenMissing, held_back, why_held_back
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.repair_claim import Chunk, RepairClaim, Task
from lineage_pipeline.core.repair_plan import (
    DuplicatedRange,
    Kind,
    PlannedRange,
    RefusedRange,
    RepairPlan,
    Resumed,
    union_by_partition,
)
from lineage_pipeline.core.report import AuditReport, ReportedRange

_REFUSALS = {
    "suspected": "seen once only: a second look decides; run again later, or with --wait",
    "open-transaction": "not due: their transaction is open",
    "stalled": "not due: they wait for the job, so start the job",
    "expired": "Kafka has removed them: no replay can bring them back; accept the loss, or restore them from a copy",
    "truncated": "the log was cut back: no replay can bring them back",
    "unresolved": "whether Kafka still has them was not looked at: repair needs the broker",
}


_REPLAY = "they were replayed from the quarantine, which still has them: `lineage quarantine replay --execute` does it"


@dataclass(frozen=True)
class UnfinishedRepair:
    """A claim with chunks that have no index object; `begun`: those of them of which some object is there already."""

    claim: RepairClaim
    chunks: tuple[Chunk, ...]
    begun: frozenset[Chunk] = frozenset()


@dataclass(frozen=True)
class PlanFacts:
    """What the plan is made from. `seen`: by partition, when offsets were seen to be missing before.

    `harmless`: problems of the report that hide no record: broken files of which is known what they held. `replayable`:
    by partition, what replays of the quarantine put into data and the quarantine still has.
    """

    report: AuditReport
    signs: JobSigns
    seen: Mapping[int, Sequence[SeenMissing]] = field(default_factory=dict)
    unfinished: tuple[UnfinishedRepair, ...] = ()
    harmless: frozenset[str] = frozenset()
    replayable: Mapping[int, RangeSet] = field(default_factory=dict)


def plan_repair(facts: PlanFacts) -> RepairPlan:
    """The plan. Nothing of the report's losses is left out: a range is planned, resumed or refused."""
    report = facts.report
    obstacles = [
        f"the evidence is not whole: {problem}" for problem in report.problems if problem not in facts.harmless
    ]
    if report.books.get("broker") != "read":
        obstacles.append("the broker was not read: a repair needs it")
    planned: list[PlannedRange] = []
    refused: list[RefusedRange] = []
    resumed, left_alone, taken = _resumed(facts)
    refused += left_alone
    again = union_by_partition((task.chunk.partition, task.offsets) for one in resumed for task in one.tasks)
    for partition in report.partitions:
        number = partition.partition
        for one in partition.ranges:
            kind = _kind(one)
            if kind is None:
                rest = RangeSet.of(one.range).difference(again.get(number, EMPTY))
                refused += [refusal for part in rest for refusal in _refused(number, replace(one, range=part))]
                continue
            free = RangeSet.of(one.range).difference(taken.get(number, EMPTY))
            if kind == "damaged":
                again_by_replay = free.intersection(facts.replayable.get(number, EMPTY))
                refused += [RefusedRange(number, part, _what(one), _REPLAY) for part in again_by_replay]
                free = free.difference(again_by_replay)
            if kind == "damaged" and report.books.get("lake") != "read":
                why = "whether they are in the lake by now was not looked at: a repair of them needs the lake book"
                refused += [RefusedRange(number, part, _what(one), why) for part in free]
                continue
            held = held_back(free, facts.seen.get(number, ()), facts.signs)
            refused += [RefusedRange(number, part, _what(one), why_held_back(facts.signs)) for part in held]
            planned += [
                PlannedRange(number, part, kind, one.evidence, one.repairable_until) for part in free.difference(held)
            ]
    return RepairPlan(
        topic=report.topic,
        planned=tuple(planned),
        resumed=resumed,
        refused=tuple(sorted(refused, key=lambda one: (one.partition, one.range))),
        duplicated=tuple(
            DuplicatedRange(partition.partition, one.range, one.evidence)
            for partition in report.partitions
            for one in partition.ranges
            if one.range_class == "duplicated"
        ),
        obstacles=tuple(obstacles),
    )


def open_now(report: AuditReport) -> dict[int, RangeSet]:
    """What the report calls missing(repairable) or damaged, by partition."""
    return union_by_partition(
        (partition.partition, RangeSet.of(one.range))
        for partition in report.partitions
        for one in partition.ranges
        if _kind(one) is not None
    )


def _indexed(report: AuditReport) -> dict[int, RangeSet]:
    return {one.partition: one.decision.ranges_of("indexed") for one in report.partitions}


def _kind(one: ReportedRange) -> Kind | None:
    if (one.range_class, one.cause) == ("missing", "repairable"):
        return "lost"
    return "damaged" if one.range_class == "damaged" else None


def _resumed(facts: PlanFacts) -> tuple[tuple[Resumed, ...], list[RefusedRange], dict[int, RangeSet]]:
    """Earlier repairs to be finished, what of them must be left alone, and all their offsets by partition.

    A chunk of which an object is there already is written again exactly as it was planned, or not at all: the object
    may hold records that nobody has any more.
    """
    missing, indexed = open_now(facts.report), _indexed(facts.report)
    found: list[Resumed] = []
    left: list[RefusedRange] = []
    taken: dict[int, RangeSet] = {}
    for one in facts.unfinished:
        if (one.claim.cluster_id, one.claim.topic_id) != (facts.report.cluster_id, facts.report.topic_id):
            continue  # of a topic that is no more: it takes nothing of this one
        tasks = []
        for chunk in one.chunks:
            number = chunk.partition
            taken[number] = taken.get(number, EMPTY).union(chunk.offsets)
            begun = chunk in one.begun
            still = chunk.offsets if begun else chunk.offsets.intersection(missing.get(number, EMPTY))
            if begun and len(chunk.lost.intersection(indexed.get(number, EMPTY))):
                left += list(_left_alone(one.claim, chunk))
            elif len(still):
                tasks.append(Task(chunk, still, whole=begun))
        if tasks:
            found.append(Resumed(one.claim, tuple(tasks)))
    return tuple(found), left, taken


def _left_alone(claim: RepairClaim, chunk: Chunk) -> Iterator[RefusedRange]:
    why = (
        f"repair {claim.number} was killed while it wrote {claim.name(chunk)}, and not all of it is missing any more:"
        " what that object holds may exist nowhere else, so it is not touched"
    )
    for one in chunk.offsets:
        yield RefusedRange(chunk.partition, one, "unfinished repair", why)


def _refused(partition: int, one: ReportedRange) -> Iterable[RefusedRange]:
    if one.range_class in {"explained", "duplicated"}:
        return ()
    why = _REFUSALS.get(one.cause or "") if one.range_class in {"missing", "pending"} else None
    if one.range_class == "accepted":
        why = f"{one.evidence}"
    return (RefusedRange(partition, one.range, _what(one), why or f"not known to be lost: {one.evidence}"),)


def _what(one: ReportedRange) -> str:
    return f"{one.range_class}({one.cause})" if one.cause else one.range_class
