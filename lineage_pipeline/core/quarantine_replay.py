"""Pure: what a replay of the quarantine would write: what is new to it, what earlier replays left undone, and why not.

Three things keep a row from being written twice: an offset that any replay has claimed is never claimed again; an
offset that is in a data file is left alone; a claim's objects have fixed names, so writing them again replaces them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest, LakeTable
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.repair_claim import Ranges
from lineage_pipeline.core.replay_claim import MAX_RECORDS, ReplayClaim, claimed_offsets

PART_RECORDS = 100_000  # of one data object
PART_BYTES = 64 * 1024 * 1024  # of payloads in one data object, about


@dataclass(frozen=True)
class Part:
    """One data object of a claim. `offsets`: all that are to be in it; `lacking`: those that are not in it yet."""

    claim: ReplayClaim
    key: str
    offsets: Ranges
    lacking: Ranges

    @property
    def begun(self) -> bool:
        """Whether some of it is in its object already."""
        return count(self.lacking) < count(self.offsets)


@dataclass(frozen=True)
class Standing:
    """Where the quarantine stands.

    `fresh`: in quarantine, in no data file, in no claim: what a replay may take on. `unfinished`: parts of earlier
    claims that are not in data. `replayed`: how many offsets are. `elsewhere`: in quarantine and in data, though no
    replay put them there. `repeated`: offsets that quarantine files hold more than once.
    """

    fresh: Ranges
    unfinished: tuple[Part, ...]
    replayed: int
    elsewhere: Ranges
    repeated: Ranges = field(default_factory=dict)


def standing(manifest: LakeManifest, claims: Sequence[ReplayClaim], since: float | None) -> Standing:
    """What is to be replayed, by the files that are there and the claims of this topic.

    `since` (epoch seconds): files before are of a topic of the same name that is no more.
    """

    def of(table: LakeTable) -> Runs:
        return manifest.chosen(lambda one: one.listed.table == table and is_current(one, since))

    quarantine, in_data_files = dict(of("quarantine").by_partition()), of("data")
    data = dict(in_data_files.by_partition())
    quarantined = {number: runs.ranges() for number, runs in quarantine.items()}
    in_data = {number: runs.ranges() for number, runs in data.items()}
    claimed = claimed_offsets(claims)
    replayed = _intersection(claimed, in_data)
    elsewhere = _difference(_intersection(quarantined, in_data), claimed)
    return Standing(
        fresh=_difference(_difference(quarantined, in_data), claimed),
        unfinished=tuple(_unfinished(manifest, in_data_files, claims, _difference(manifest.retired, quarantined))),
        replayed=sum(one.total for one in replayed.values()),
        elsewhere=elsewhere,
        repeated={number: runs.layers()[1].ranges() for number, runs in quarantine.items()},
    )


def is_current(one: LakeFile, since: float | None) -> bool:
    """Whether a file is there, and of the topic that began at `since` (epoch seconds; None: there was no other)."""
    return one.left is None and (since is None or one.listed.modified >= since)


def _unfinished(
    manifest: LakeManifest, in_data: Runs, claims: Sequence[ReplayClaim], retired: Ranges
) -> Iterator[Part]:
    """Parts of which some offset is in no data file; what other data files hold is not theirs to write any more.

    `retired`: what left by retention, and no quarantine file has either: nobody misses it.
    """
    keys = {
        one.listed.key: number
        for number, one in enumerate(manifest.files)
        if one.left is None and one.listed.table == "data"
    }
    for claim in claims:
        for key, offsets in zip(claim.object_keys(), claim.parts, strict=True):
            number = keys.get(key, -1)
            own = {
                partition: runs.ranges() for partition, runs in in_data.where(in_data.files == number).by_partition()
            }
            others = {
                partition: runs.ranges() for partition, runs in in_data.where(in_data.files != number).by_partition()
            }
            mine = _difference(_difference(offsets, others), _difference(retired, own))
            lacking = _difference(mine, own)
            if lacking:
                yield Part(claim, key, mine, lacking)


class PartBuilder:
    """Cuts offsets into parts, in the order they come, so that a part's rows lie in neighbouring files."""

    def __init__(self) -> None:
        self.records = 0
        self._parts: list[Ranges] = []
        self._pairs: dict[int, list[tuple[int, int]]] = {}
        self._rows = self._bytes = 0

    def add(self, partition: int, offset: int, size: int) -> None:
        """Take an offset whose payload has so many bytes."""
        pairs = self._pairs.setdefault(partition, [])
        if pairs and pairs[-1][1] == offset:
            pairs[-1] = (pairs[-1][0], offset + 1)
        else:
            pairs.append((offset, offset + 1))
        self.records += 1
        self._rows += 1
        self._bytes += size
        if self._rows >= PART_RECORDS or self._bytes >= PART_BYTES:
            self._cut()

    def portions(self) -> list[tuple[Ranges, ...]]:
        """All parts, those of one claim together: a claim is one JSON object and holds MAX_RECORDS offsets at most."""
        self._cut()
        found: list[list[Ranges]] = []
        room = 0
        for part in self._parts:
            size = sum(ranges.total for ranges in part.values())
            if size > room:
                found.append([])
                room = MAX_RECORDS
            found[-1].append(part)
            room -= size
        return [tuple(one) for one in found]

    def _cut(self) -> None:
        if self._pairs:
            self._parts.append({number: RangeSet.from_pairs(pairs) for number, pairs in sorted(self._pairs.items())})
        self._pairs, self._rows, self._bytes = {}, 0, 0


def count(ranges: Ranges) -> int:
    """How many offsets these are."""
    return sum(one.total for one in ranges.values())


def _intersection(one: Mapping[int, RangeSet], other: Mapping[int, RangeSet]) -> dict[int, RangeSet]:
    both = {number: ranges.intersection(other.get(number, EMPTY)) for number, ranges in one.items()}
    return {number: ranges for number, ranges in both.items() if len(ranges)}


def _difference(one: Mapping[int, RangeSet], other: Mapping[int, RangeSet]) -> dict[int, RangeSet]:
    left = {number: ranges.difference(other.get(number, EMPTY)) for number, ranges in one.items()}
    return {number: ranges for number, ranges in left.items() if len(ranges)}
