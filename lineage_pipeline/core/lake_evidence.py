"""Pure: from a reading of the lake to evidence: compared with the index, with every reason why it may not be whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.evidence import BookStatus, LakeEvidence
from lineage_pipeline.core.lake_comparison import Doubt, LakeNote, PartitionLake, compare_lake, file_doubts, shown
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest, LakeTable
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.replay_claim import ReplayClaim, claimed_offsets

_TOLD = 5  # files or ranges in one remark
_TOLD_ONCE = frozenset({"rewritten", "manifest-lost"})  # by the look that notices: the manifest it stores knows already


@dataclass(frozen=True)
class LakeReading:
    """A listing of both tables and looks at what was new. Without a whole listing `status` is unreadable.

    `superseded`: former objects whose offsets are all in others now. `never_seen`: tables without any object, now or
    ever, and what to do about it. `first`: nothing was known of the lake before. `replays`: all
    claims of replays of the quarantine. `keep`: the manifest may be stored; not over one that could not be read.
    """

    status: BookStatus
    manifest: LakeManifest = field(default_factory=LakeManifest)
    doubts: tuple[Doubt, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[LakeNote, ...] = ()
    superseded: tuple[LakeFile, ...] = ()
    never_seen: tuple[tuple[LakeTable, str], ...] = ()
    first: bool = False
    replays: tuple[ReplayClaim, ...] = ()
    keep: bool = True

    def claimed(self, since: float | None = None) -> dict[int, RangeSet]:
        """By partition, what replays have taken on, of the topic that began at `since` (epoch seconds)."""
        return claimed_offsets(one for one in self.replays if since is None or one.at.timestamp() >= since)


def lake_evidence(
    reading: LakeReading, index: Mapping[int, PartitionCoverage], memory: Memory, settled: float | None = None
) -> LakeEvidence:
    """The evidence that the decision needs; `memory` tells of an earlier topic of the same name.

    `settled`: objects that the store took before (epoch seconds) should have their index rows by now; None: who knows.
    """
    claimed = reading.claimed(memory.lake_since)
    doubts, notes = file_doubts(reading.manifest, claimed)
    problems = [doubt.text for doubt in doubts]
    partitions = compare_lake(reading.manifest, index, memory.lake_since, claimed)
    if memory.remarks and memory.lake_since is None and reading.manifest.files:
        text = "the topic was recreated, and no deployment record says since when files are of the topic that is now"
        doubts.append(Doubt("unproven", text))
        problems.append(text)
    for table, text in reading.never_seen:
        indexed = [one for one in index.values() if table == "data" or one.quarantined]
        if indexed:
            doubts.append(Doubt("listing-incomplete", text))
            problems.append(text)
    doubts += reading.doubts
    if reading.first and memory.lake:
        text = "what earlier audits knew of the lake's files is gone: those that left since are not told by name"
        notes.append(LakeNote("manifest-lost", "warn", text))
    old = [one for one in reading.manifest.files if _is_older(one, memory.lake_since)]
    if old:
        text = f"{len(old)} files are of a topic of the same name that is no more, the first {shown(old[0].listed)}"
        notes.append(LakeNote("sealed-files", "info", text))
    if reading.superseded:
        notes.append(_rewritten(reading.superseded))
    for partition, one in partitions.items():
        notes += _about_partition(partition, one, index.get(partition, PartitionCoverage()))
    if settled is not None:
        notes += _behind(reading.manifest, index, memory.lake_since or 0.0, settled)
    return LakeEvidence(
        status=reading.status,
        partitions=partitions,
        doubts=tuple(doubts),
        problems=(*problems, *reading.problems),
        notes=(*notes, *reading.notes),
    )


def with_told_once(lake: LakeEvidence, earlier: LakeEvidence, *, stored: bool) -> LakeEvidence:
    """A later look's evidence, and of an earlier look's notes those that no later look tells again.

    Both looks are of one audit, which reports, stores and draws the later one alone. `stored`: the earlier one's
    manifest was to be kept. Where it was not, the later look cannot miss it: only what the earlier missed was lost.
    """
    notes = [one for one in lake.notes if stored or one.kind != "manifest-lost"]
    told = [one for one in earlier.notes if one.kind in _TOLD_ONCE and one not in notes]
    return replace(lake, notes=(*notes, *told))


def _is_older(one: LakeFile, since: float | None) -> bool:
    return since is not None and one.left is None and one.listed.modified < since


def _rewritten(files: tuple[LakeFile, ...]) -> LakeNote:
    named = ", ".join(shown(one.listed) for one in files[:_TOLD])
    more = f" and {len(files) - _TOLD} more" if len(files) > _TOLD else ""
    text = f"{named}{more}: gone or written anew, and every offset in them is in the objects that are there now"
    return LakeNote("rewritten", "info", text)


def _about_partition(partition: int, lake: PartitionLake, index: PartitionCoverage) -> Iterator[LakeNote]:
    if len(lake.quarantined):
        total = lake.quarantined.total
        replayed = lake.quarantined.intersection(lake.replayed).total
        told = f", {replayed} of them replayed to data" if replayed else ""
        severity: Literal["info", "warn"] = "info" if replayed == total else "warn"
        text = f"{total} offsets are in quarantine{told}: {_listed(lake)}"
        yield LakeNote("quarantine", severity, text, partition)
    # of what was replayed the quarantine file may be gone: the index counted it all the same
    counted = lake.quarantined.union(lake.replayed).intersection(index.exact).total
    if index.quarantined != counted and not len(index.repeats.starts) and not len(lake.repeats.starts):
        text = f"index rows count {index.quarantined} records in quarantine, and {counted} of them are in its files"
        yield LakeNote("quarantine-differs", "warn", text, partition)
    bounds = index.bounds
    if bounds is None and len(lake.present):
        text = f"{lake.present.total} offsets are in objects, and the index has no row of this partition"
        yield LakeNote("unindexed-data", "warn", text, partition)
    elif bounds is not None and lake.unindexed:
        inside = [held.ranges.clip(0, bounds.end) for held in lake.unindexed]
        total = sum(one.total for one in inside)
        if total:
            holder = next(held for held, one in zip(lake.unindexed, inside, strict=True) if len(one))
            text = f"{total} offsets below the index's end are in objects and not in the index, first {holder.files[0]}"
            yield LakeNote("unindexed-data", "warn", text, partition)
    if lake.copies:
        pairs = list(dict.fromkeys(held.files for held in lake.copies))
        told = "; ".join(" and ".join(names[:_TOLD]) for names in pairs[:_TOLD])
        more = f"; and {len(pairs) - _TOLD} further groups" if len(pairs) > _TOLD else ""
        text = f"{lake.repeats.surplus()} surplus rows: {told}{more}"
        yield LakeNote("repeated-rows", "warn", text, partition)


def _behind(
    manifest: LakeManifest, index: Mapping[int, PartitionCoverage], since: float, settled: float
) -> Iterator[LakeNote]:
    """Offsets behind a partition's last index row, in objects of an age at which the row should be there."""
    old = manifest.chosen(lambda one: one.left is None and since <= one.listed.modified < settled)
    for partition, runs in old.by_partition():
        bounds = index.get(partition, PartitionCoverage()).bounds
        behind = runs.ranges().difference(runs.ranges().clip(0, bounds.end)) if bounds is not None else EMPTY
        if len(behind):
            first = int(runs.files[behind.overlaps(runs.starts, runs.ends) > 0][0])
            text = (
                f"{behind.total} offsets behind the index's last row, from {next(iter(behind)).start} on, are in files,"
                f" the first {shown(manifest.files[first].listed)}: a stopped job still brings their rows when it comes"
                " back; if none ever will, `lineage index rebuild --tail` writes them"
            )
            yield LakeNote("unindexed-data", "warn", text, partition)


def _listed(lake: PartitionLake) -> str:
    said = [
        str(one.start) if len(one) == 1 else f"{one.start} to {one.end - 1}"
        for _, one in zip(range(4 * _TOLD), lake.quarantined, strict=False)
    ]
    more = f" and {len(lake.quarantined) - len(said)} more ranges" if len(lake.quarantined) > len(said) else ""
    return f"{', '.join(said)}{more}"
