"""Pure: which offsets a stopped job may still bring by itself, so that a repair would write them twice.

Files of a completed checkpoint become visible when the job commits them. A job that was killed in between commits them
when it comes back. So a hole is nobody's but the repair's only when the job finished for good, or has gone on after the
hole was seen: the checkpoint it completed then carries no file from before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lineage_pipeline.core.ledger_events import GapChanged
from lineage_pipeline.core.memory import Observation
from lineage_pipeline.core.offsets import EMPTY, RangeSet


@dataclass(frozen=True)
class JobSigns:
    """What is known of the job that writes the topic.

    `finished`: it was stopped with a savepoint, and all its files are committed. `alive_at`: when it last completed a
    checkpoint or committed an index file (aware UTC time; None: never, or not known). `interval`: seconds between
    checkpoints. `told_gone`: a person says that its state will never be restored. `problem`: what could not be read.
    """

    finished: bool = False
    alive_at: datetime | None = None
    interval: float = 60.0
    told_gone: bool = False
    problem: str = ""


@dataclass(frozen=True)
class SeenMissing:
    """When offsets of one partition were seen to be missing."""

    at: datetime
    ranges: RangeSet


def seen_missing(
    partition: int, observations: Sequence[Observation], history: Sequence[GapChanged]
) -> tuple[SeenMissing, ...]:
    """Every earlier sight of the partition's holes; a gap that was healed in between counts from its next opening."""
    found = [
        SeenMissing(one.observed_at, one.partitions[partition].holes)
        for one in observations
        if partition in one.partitions
    ]
    for event in history:
        if event.partition != partition:
            continue
        if event.status == "opened":
            found.append(SeenMissing(event.at, event.ranges))
        elif event.status == "healed":
            found = [
                SeenMissing(one.at, one.ranges.difference(event.ranges)) if one.at <= event.at else one for one in found
            ]
    return tuple(found)


def held_back(ranges: RangeSet, seen: Sequence[SeenMissing], signs: JobSigns) -> RangeSet:
    """What of `ranges` the job may still bring."""
    if signs.finished or signs.told_gone:
        return EMPTY
    left = ranges
    for one in seen:
        if signs.alive_at is not None and one.at + timedelta(seconds=signs.interval) <= signs.alive_at:
            left = left.difference(one.ranges)
    return left


def why_held_back(signs: JobSigns) -> str:
    """The sentence for what is held back."""
    way = "let the job run for two more checkpoints or stop it with a savepoint; or, if its state is gone for good,"
    way += " say so with --job-is-gone"
    if signs.problem:
        return f"whether the job will still bring them is not known ({signs.problem}): {way}"
    if signs.alive_at is None:
        return f"the job has no completed checkpoint that can be seen, so it may still bring them: {way}"
    return (
        f"the job last showed life at {signs.alive_at:%Y-%m-%d %H:%M:%SZ}, before the loss was seen for sure: files of"
        f" its last checkpoint may still appear: {way}"
    )
