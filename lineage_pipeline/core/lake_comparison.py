"""Pure: the lake's objects held against the index: what is in which object, what was once, and what nobody could see.

What could not be looked at never counts as absent: it is a doubt, and doubts keep offsets from being called damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np

from lineage_pipeline.core.coverage import PartitionCoverage, Repeats
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest, LakeObject
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.replayed import Mask, holding, quarantine_files, withdrawn

MAX_NAMED = 100  # ranges or files of a partition that are told one by one

LostCause = Literal["object-missing", "object-changed"]
DoubtCause = Literal["budget", "unproven", "listing-incomplete"]
_CAUSES: dict[str, LostCause] = {"missing": "object-missing", "changed": "object-changed"}


@dataclass(frozen=True)
class Lost:
    """Offsets of an object that is gone or changed, and that no other object holds. `text` names it."""

    cause: LostCause
    ranges: RangeSet
    text: str


@dataclass(frozen=True)
class Held:
    """Offsets, and the objects that hold them, named."""

    ranges: RangeSet
    files: tuple[str, ...]


@dataclass(frozen=True)
class Doubt:
    """Why offsets that no object seems to hold may be in one all the same.

    `of_lost`: it holds also for offsets of objects that are known to be gone.
    """

    cause: DoubtCause
    text: str
    of_lost: bool = True


@dataclass(frozen=True)
class LakeNote:
    """A remark about the lake that is no class of offsets; kinds are docs/lake.md's."""

    kind: str
    severity: Literal["info", "warn", "error"]
    text: str
    partition: int | None = None


@dataclass(frozen=True)
class PartitionLake:
    """What the lake holds of one partition.

    `present`: offsets in readable objects; `repeats`: those in them more than once, data and quarantine together;
    `quarantined`: those in quarantine; `replayed`: those of which a replay of the quarantine put a row into data;
    `copies`: who holds repeated ranges; `unindexed`: who holds offsets without an index row. The lists name at most
    MAX_NAMED ranges or objects, the sets are whole.
    """

    present: RangeSet = EMPTY
    repeats: Repeats = field(default_factory=Repeats)
    quarantined: RangeSet = EMPTY
    replayed: RangeSet = EMPTY
    retired: RangeSet = EMPTY
    lost: tuple[Lost, ...] = ()
    copies: tuple[Held, ...] = ()
    unindexed: tuple[Held, ...] = ()


def shown(one: LakeObject) -> str:
    """How an object is named in sentences."""
    return f"{one.table} file {one.key}"


def compare_lake(
    manifest: LakeManifest,
    index: Mapping[int, PartitionCoverage],
    since: float | None = None,
    claimed: Mapping[int, RangeSet] | None = None,
) -> dict[int, PartitionLake]:
    """Partition -> what the lake holds, for every partition that an object, or a former one, ever held.

    `since`: objects that the store took before (epoch seconds) are of a topic of the same name that is no more, and so
    is what is retired of another one. `claimed`: offsets that replays of the quarantine have taken on.
    """
    manifest = manifest.of_topic(since)
    ours = [since is None or one.listed.modified >= since for one in manifest.files]
    there = np.array([mine and one.left is None for mine, one in zip(ours, manifest.files, strict=True)], dtype=bool)
    once = np.array([mine and one.left is not None for mine, one in zip(ours, manifest.files, strict=True)], dtype=bool)
    former = dict(manifest.runs.where(once[manifest.runs.files]).by_partition()) if manifest.files else {}
    present = dict(manifest.runs.where(there[manifest.runs.files]).by_partition()) if manifest.files else {}
    in_quarantine, claimed = quarantine_files(manifest), claimed or {}
    return {
        partition: _partition(
            (manifest, in_quarantine),
            (present.get(partition, Runs()), former.get(partition, Runs())),
            index.get(partition, PartitionCoverage()).exact,
            (manifest.retired.get(partition, EMPTY), claimed.get(partition, EMPTY)),
        )
        for partition in sorted({*present, *former, *manifest.retired})
    }


def file_doubts(
    manifest: LakeManifest, claimed: Mapping[int, RangeSet] | None = None
) -> tuple[list[Doubt], list[LakeNote]]:
    """What objects that are there and cannot be read leave open, each named.

    A broken object is no doubt when its offsets are known from before it broke, and all in other objects by now.
    """
    doubts: list[Doubt] = []
    notes: list[LakeNote] = []
    known = _known_before(manifest, claimed or {})
    for one in manifest.files:
        if one.left is not None or one.fault is None:
            continue
        if one.fault == "broken" and known.get(one.listed.name) is True:
            text = f"{one.problem}; all its offsets are in other files: move it away, readers of the table stumble"
            notes.append(LakeNote("broken-file", "warn", text))
        else:
            known_lost = one.fault == "broken"
            doubts.append(Doubt("unproven", str(one.problem), of_lost=not known_lost))
    return doubts, notes


def _known_before(manifest: LakeManifest, claimed: Mapping[int, RangeSet]) -> dict[tuple[str, str], bool]:
    """For names that an object had before: whether all offsets of that object are in others."""
    found: dict[tuple[str, str], bool] = {}
    uncovered = manifest.uncovered(claimed)
    for index, one in enumerate(manifest.files):
        if one.left is not None and one.fault is None:
            found[one.listed.name] = found.get(one.listed.name, True) and index not in uncovered
    return found


def _partition(
    lake: tuple[LakeManifest, Mask], runs: tuple[Runs, Runs], indexed: RangeSet, left: tuple[RangeSet, RangeSet]
) -> PartitionLake:
    (manifest, in_quarantine), (now, former), (retired, claimed) = lake, runs, left
    held = holding(in_quarantine, now, claimed)
    present = held.present.difference(withdrawn(in_quarantine, now, former, claimed))
    return PartitionLake(
        present=present,
        repeats=held.repeats,
        quarantined=held.quarantined,
        replayed=held.replayed,
        retired=retired,
        lost=tuple(_lost(manifest.files, former, present, claimed.intersection(held.quarantined))),
        copies=tuple(_copies(manifest.files, now, held.repeats)),
        unindexed=tuple(_unindexed(manifest.files, now, held.present.difference(indexed))),
    )


def _lost(files: tuple[LakeFile, ...], former: Runs, present: RangeSet, replayable: RangeSet) -> Iterator[Lost]:
    """What former objects held and none holds now; the newest word of each name, and those before, one by one."""
    open_runs = former.where(present.overlaps(former.starts, former.ends) < former.ends - former.starts)
    numbers = sorted(set(open_runs.files.tolist()), key=lambda number: -(files[number].left_at or 0.0))
    for number in islice(numbers, MAX_NAMED):
        one = files[number]
        left = open_runs.where(open_runs.files == number).ranges().difference(present)
        word = "is not there any more" if one.left == "missing" else "was changed and does not hold them any more"
        again = one.listed.table == "data" and len(left.intersection(replayable))
        remedy = "; `lineage quarantine replay --execute` writes it again from the quarantine" if again else ""
        yield Lost(_CAUSES[str(one.left)], left, f"{shown(one.listed)} held them and {word}{remedy}")
    for left_as, cause in _CAUSES.items():
        more = [number for number in numbers[MAX_NAMED:] if files[number].left == left_as]
        if more:
            rest = open_runs.where(np.isin(open_runs.files, more)).ranges().difference(present)
            yield Lost(cause, rest, f"{len(more)} further objects that held them are {left_as}")


def _copies(files: tuple[LakeFile, ...], now: Runs, repeats: Repeats) -> Iterator[Held]:
    for start, end in islice(zip(repeats.starts.tolist(), repeats.ends.tolist(), strict=True), MAX_NAMED):
        holding = sorted(set(now.files[(now.starts < end) & (now.ends > start)].tolist()))
        yield Held(RangeSet.of(OffsetRange(start, end)), tuple(shown(files[one].listed) for one in holding))


def _unindexed(files: tuple[LakeFile, ...], now: Runs, unindexed: RangeSet) -> Iterator[Held]:
    touching = now.where(unindexed.overlaps(now.starts, now.ends) > 0)
    numbers = sorted(set(touching.files.tolist()))
    for number in numbers[:MAX_NAMED]:
        mine = touching.where(touching.files == number).ranges().intersection(unindexed)
        yield Held(mine, (shown(files[number].listed),))
    if numbers[MAX_NAMED:]:
        rest = touching.where(np.isin(touching.files, numbers[MAX_NAMED:])).ranges().intersection(unindexed)
        yield Held(rest, (f"{len(numbers) - MAX_NAMED} further files",))
