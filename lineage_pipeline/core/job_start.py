"""Where a start of the Flink job begins, and when it must not begin at all. Pure: facts in, decision out.

The books gather the facts (`books/`), the job carries the decision out (`flink/`). Offsets are the next to be read.

- State of the same plan is there: restore it; Flink's positions are exact and pending files are committed by it.
- No state: the group's offsets are written for EVERY partition, since Flink fails on a partition without one. On a
  first start from the log start (or as configured); later from the index's end, where the sinks stopped; a partition
  that nobody knew before starts at 0, so that nothing of it can be passed over.
- The index's end is exact only after a clean stop. After a crash, files of a completed checkpoint may still be
  pending in the state, so a start without it is refused unless a person asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.errors import StartRefusedError

Baseline = Literal["earliest", "seeded"] | Mapping[int, int]
Reason = Literal["first", "restored", "repeated", "new-plan", "from-index-end"]


@dataclass(frozen=True)
class RestorePoint:
    """A completed checkpoint or savepoint, `path` below CHECKPOINT_PATH.

    `clean`: it is the savepoint the job was stopped with, and the job FINISHED.
    """

    path: str
    checkpoint_id: int
    writer: str
    plan_hash: str
    clean: bool


@dataclass(frozen=True)
class LastDeployment:
    """What the deployment records say of the writer before us.

    `has_index_rows`: the index has rows of runs that no restore point knows of: of those after the restore point, or
    without one, of all since the last start without state.
    """

    writer: str
    cluster_id: str | None
    topic_id: str | None
    start_offsets: Mapping[int, int]
    has_index_rows: bool


@dataclass(frozen=True)
class StartFacts:
    """The world at the start. `partitions`: per partition [log start, high watermark)."""

    topic: str
    cluster_id: str | None
    topic_id: str | None
    plan_hash: str
    partitions: Mapping[int, OffsetRange]
    last: LastDeployment | None = None
    restore_point: RestorePoint | None = None
    index_end: Mapping[int, int] = field(default_factory=dict)  # max_offset + 1 per partition that has rows
    group_offsets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StartRequest:
    """What the person starting the job asked for."""

    baseline: Baseline = "earliest"
    skip_expired: bool = False
    from_index_end: bool = False


@dataclass(frozen=True)
class Start:
    """The decision. `offsets` are written to the group before the job starts; None when state says where to go on.

    `skipped`: ranges that retention removed before they were read; they stay missing for the auditor.
    """

    reason: Reason
    restore_from: str | None = None
    offsets: Mapping[int, int] | None = None
    skipped: Mapping[int, OffsetRange] = field(default_factory=dict)


def decide_start(facts: StartFacts, request: StartRequest) -> Start:
    """How this start begins.

    Raises StartRefusedError when the topic is not the one that was read before, when records would be lost or written
    twice, or when a person has to choose; the text names the partitions and the remedy.
    """
    if facts.last is None:
        return _first_start(facts, request)
    _same_topic(facts, facts.last)
    _not_truncated(facts)
    point = facts.restore_point
    if request.from_index_end:
        return _fresh(facts, request, "from-index-end", _positions_after_index(facts, facts.last))
    if facts.last.has_index_rows:
        raise StartRefusedError(
            f"the last run ({facts.last.writer}) or one it restored wrote index rows, but no checkpoint of it is left:"
            " restore the checkpoint directory; or, if it is gone for good, start behind the index with"
            " --from-index-end and audit"
        )
    if point is not None and point.plan_hash == facts.plan_hash:
        skipped = _expired(facts, _positions_after_index(facts, facts.last)) if request.skip_expired else {}
        return Start("restored", restore_from=point.path, skipped=skipped)
    if point is not None and not point.clean:
        raise StartRefusedError(
            f"the job's plan changed and the last run ({point.writer}) was not stopped with a savepoint, so files of"
            " its last checkpoint may exist only in its state: start the previous version once and stop it"
            " with Ctrl-C or SIGTERM, then start this one; or accept the risk with --from-index-end"
        )
    if point is not None:
        return _fresh(facts, request, "new-plan", _positions_after_index(facts, facts.last))
    # The last run completed no checkpoint, so it committed nothing: it is repeated from where it began.
    return _fresh(facts, request, "repeated", _with_new_partitions(facts, facts.last.start_offsets))


def deployment_chain(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """The deployments from the first to the newest, by what each says it continues, not by anybody's clock.

    Raises StartRefusedError when there is more than one newest (two jobs were started at the same time), or none.
    """
    by_writer = {deployment.writer: deployment for deployment in deployments}
    continued = {deployment.previous for deployment in by_writer.values()}
    newest = sorted(set(by_writer) - continued)
    if len(newest) > 1:
        raise StartRefusedError(
            f"deployments {' and '.join(newest[:3])} were started beside each other, so both may have written: stop all"
            " but one, move the deployment record of the other out of _deployments/, and audit for duplicates"
        )
    if by_writer and not newest:
        raise StartRefusedError(
            f"the deployment records {', '.join(sorted(by_writer)[:3])} continue each other in a circle, so somebody"
            " changed them: restore _deployments/"
        )
    chain: list[Deployment] = []
    writer = newest[0] if newest else None
    while writer is not None and writer in by_writer:
        chain.append(by_writer.pop(writer))
        writer = chain[-1].previous
    return tuple(reversed(chain))


def _first_start(facts: StartFacts, request: StartRequest) -> Start:
    if facts.index_end and not request.from_index_end:
        raise StartRefusedError(
            f"the offset index of {facts.topic} has rows but no deployment record: another job wrote it, or"
            " _deployments/ was lost. Restore it, choose an empty OFFSET_INDEX_PATH, or go on behind the index with"
            " --from-index-end"
        )
    if request.from_index_end:
        return _fresh(facts, request, "from-index-end", {p: facts.index_end.get(p, 0) for p in facts.partitions})
    if request.baseline == "earliest":
        offsets = {partition: log.start for partition, log in facts.partitions.items()}
    elif request.baseline == "seeded":
        offsets = dict(facts.group_offsets)
    else:
        offsets = dict(request.baseline)
    without = sorted(set(facts.partitions) - set(offsets))
    if without:
        where = "the consumer group" if request.baseline == "seeded" else "the configured baseline"
        raise StartRefusedError(
            f"{where} has no offset for partition {_list(without)} of {facts.topic}: give every partition one,"
            " or set `baseline: earliest`"
        )
    foreign = sorted(set(offsets) - set(facts.partitions))
    if foreign:
        raise StartRefusedError(f"the baseline names partition {_list(foreign)}, which {facts.topic} does not have")
    beyond = [p for p, offset in sorted(offsets.items()) if offset > facts.partitions[p].end]
    if beyond:
        raise StartRefusedError(
            f"the first start of {facts.topic} would begin beyond the end of partition {_list(beyond)}:"
            " set a baseline inside the log"
        )
    return _fresh(facts, request, "first", offsets)


def _fresh(facts: StartFacts, request: StartRequest, reason: Reason, offsets: Mapping[int, int]) -> Start:
    expired = _expired(facts, offsets)
    if expired and not request.skip_expired:
        ranges = ", ".join(f"partition {p}: {gap}" for p, gap in sorted(expired.items()))
        raise StartRefusedError(
            f"records were deleted from {facts.topic} before they were read ({ranges}): they are lost to this job."
            " Go on behind them with --skip-expired; the audit keeps them as missing (expired)"
        )
    begin = {p: max(offset, facts.partitions[p].start) for p, offset in offsets.items()}
    return Start(reason, offsets=begin, skipped=expired)


def _expired(facts: StartFacts, offsets: Mapping[int, int]) -> dict[int, OffsetRange]:
    return {
        partition: OffsetRange(offset, facts.partitions[partition].start)
        for partition, offset in offsets.items()
        if offset < facts.partitions[partition].start
    }


def _positions_after_index(facts: StartFacts, last: LastDeployment) -> dict[int, int]:
    known = _with_new_partitions(facts, last.start_offsets)
    return {partition: max(offset, facts.index_end.get(partition, 0)) for partition, offset in known.items()}


def _with_new_partitions(facts: StartFacts, start_offsets: Mapping[int, int]) -> dict[int, int]:
    return {partition: start_offsets.get(partition, 0) for partition in facts.partitions}


def _same_topic(facts: StartFacts, last: LastDeployment) -> None:
    pairs = (("cluster", last.cluster_id, facts.cluster_id), ("topic id", last.topic_id, facts.topic_id))
    for what, before, now in pairs:
        if before is not None and now is not None and before != now:
            raise StartRefusedError(
                f"{facts.topic} is not the topic that was read before ({what} was {before}, is {now}): its offsets mean"
                " other records now. Give it tables and checkpoints of its own (OUTPUT_PATH, OFFSET_INDEX_PATH,"
                " QUARANTINE_PATH, AUDIT_PATH, CHECKPOINT_PATH), or point KAFKA_BOOTSTRAP_SERVERS back"
            )


def _not_truncated(facts: StartFacts) -> None:
    gone = sorted((set(facts.last.start_offsets) if facts.last else set()) - set(facts.partitions))
    if gone:
        raise StartRefusedError(
            f"partition {_list(gone)} of {facts.topic} was read before and is gone: check the topic"
        )
    for partition, end in sorted(facts.index_end.items()):
        if partition not in facts.partitions or end > facts.partitions[partition].end:
            have = facts.partitions[partition].end if partition in facts.partitions else "none"
            raise StartRefusedError(
                f"the index of {facts.topic} reaches offset {end} of partition {partition}, but the topic ends at"
                f" {have}: the log was truncated or replaced, so the offsets mean other records now. Give the"
                " topic tables and checkpoints of its own"
            )


def _list(partitions: list[int]) -> str:
    shown = ", ".join(str(partition) for partition in partitions[:10])
    return shown if len(partitions) <= 10 else f"{shown} and {len(partitions) - 10} more"  # noqa: PLR2004 - a sentence
