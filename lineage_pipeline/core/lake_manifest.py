"""Pure: the file manifest: which objects of the lake hold which offsets, and what became of objects seen before.

An object is looked at once. As long as the listing shows the same size and entity tag, it holds what it held then; an
object that is gone or shows another tag is kept as *former* for as long as offsets of it are in no other object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np

from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offsets import EMPTY, Int64Array, RangeSet

LakeTable = Literal["data", "quarantine"]
TABLES: tuple[LakeTable, ...] = ("data", "quarantine")
# broken: its bytes are no whole Parquet file; unsuitable: they are, and yet its offsets cannot be read
Fault = Literal["broken", "unsuitable"]
FAULTS: tuple[Fault, ...] = ("broken", "unsuitable")
Left = Literal["missing", "changed"]
LEFT: tuple[Left, ...] = ("missing", "changed")
_NONE: Int64Array = np.array((), dtype=np.int64)


@dataclass(frozen=True)
class LakeObject:
    """One object of a listing. `key` is relative to its table's path; `modified`: the store's time, epoch seconds."""

    table: LakeTable
    key: str
    size: int
    etag: str | None
    modified: float

    @property
    def name(self) -> tuple[LakeTable, str]:
        """By what objects are told apart."""
        return self.table, self.key

    def is_same(self, other: LakeObject) -> bool:
        """Whether the other is this object, unchanged, as far as a listing can tell."""
        if self.name != other.name or self.size != other.size:
            return False
        if self.etag is None or other.etag is None:
            return self.modified == other.modified
        return self.etag == other.etag


@dataclass(frozen=True)
class LakeFile:
    """One object as it was looked at, at `looked_at` (epoch seconds).

    `rows`: of this topic in it; `first_timestamp` and `last_timestamp`: bounds of its records' Kafka timestamps in
    milliseconds, None where the file does not tell. With a `fault` its offsets are not known, and `problem` says why.
    `left`: it is not in the lake any more, since `left_at`.
    """

    listed: LakeObject
    looked_at: float
    rows: int = 0
    first_timestamp: int | None = None
    last_timestamp: int | None = None
    fault: Fault | None = None
    problem: str | None = None
    left: Left | None = None
    left_at: float | None = None


@dataclass(frozen=True)
class LookedAt:
    """What a look at one object gave: the file, and per partition the offsets in it (of a file without fault)."""

    file: LakeFile
    coverage: Mapping[int, PartitionCoverage] = field(default_factory=dict)


@dataclass(frozen=True)
class LakeManifest:
    """`files` in the order of table and key, former ones behind; `runs` number them.

    `retired`: by partition, offsets whose objects left by the rule of retention; of the topic that began at `since`
    (epoch seconds), as far as it was known that another of its name had been before.
    """

    files: tuple[LakeFile, ...] = ()
    runs: Runs = field(default_factory=Runs)
    retired: Mapping[int, RangeSet] = field(default_factory=dict)
    since: float | None = None

    def of_topic(self, since: float | None) -> LakeManifest:
        """The manifest without what is retired of another topic than the one that began at `since`.

        None: no other of its name is known.
        """
        return self if since is None or since == self.since else replace(self, retired={}, since=since)

    def present(self) -> dict[tuple[LakeTable, str], LakeFile]:
        """The files that the newest listing showed, by name."""
        return {one.listed.name: one for one in self.files if one.left is None}

    def chosen(self, keep: Callable[[LakeFile], bool]) -> Runs:
        """The runs of the files that `keep` takes."""
        taken = np.array([keep(one) for one in self.files], dtype=np.bool_)
        return self.runs.where(taken[self.runs.files]) if len(self.runs) else self.runs

    def uncovered(self, claimed: Mapping[int, RangeSet]) -> set[int]:
        """The numbers of former files of which some offset is in no file that is there.

        `claimed`: by partition, offsets that a replay of the quarantine put into data, or will: once they were there, a
        row in quarantine does not stand for them.
        """
        left = np.array([one.left is not None for one in self.files], dtype=np.bool_)
        data = np.array([one.listed.table == "data" for one in self.files], dtype=np.bool_)
        found: set[int] = set()
        for partition, runs in self.runs.by_partition():
            now = runs.where(~left[runs.files])
            in_any, in_data = now.ranges(), now.where(data[now.files]).ranges()
            standing_for_data = in_any.difference(claimed.get(partition, EMPTY).difference(in_data))
            for standing, chosen in ((in_any, left & ~data), (standing_for_data, left & data)):
                former = runs.where(chosen[runs.files])
                covered = standing.overlaps(former.starts, former.ends)
                found.update(former.files[covered < former.ends - former.starts].tolist())
        return found

    def without(self, gone: Callable[[LakeFile], bool]) -> LakeManifest:
        """The manifest without these files and their runs."""
        kept = [index for index, one in enumerate(self.files) if not gone(one)]
        return _assembled([(self.files[index], index) for index in kept], self.runs, self)


@dataclass(frozen=True)
class ManifestUpdate:
    """The manifest after a listing and looks. `unread`: listed objects that nobody has looked at yet.

    `superseded`: former files of which every offset is in objects that are there; they are not kept any longer.
    """

    manifest: LakeManifest
    unread: tuple[LakeObject, ...]
    superseded: tuple[LakeFile, ...]


def to_look_at(manifest: LakeManifest, listed: Iterable[LakeObject], *, again: bool = False) -> list[LakeObject]:
    """The listed objects that are new or changed, oldest first.

    With `again` the others follow, those first whose last look is longest ago: so looks that a budget breaks off get
    to all objects in the end.
    """
    known = manifest.present()
    every = list(listed)
    same = [one for one in every if one.name in known and known[one.name].listed.is_same(one)]
    names = {one.name for one in same}
    new = sorted((one for one in every if one.name not in names), key=lambda one: (one.modified, one.name))
    return [*new, *sorted(same, key=lambda one: (known[one.name].looked_at, one.name))] if again else new


def updated(
    manifest: LakeManifest,
    listed: Sequence[LakeObject],
    looked: Sequence[LookedAt],
    at: float,
    claimed: Mapping[int, RangeSet] | None = None,
) -> ManifestUpdate:
    """The manifest after a whole listing, and the looks at what to_look_at gave, or at a part of it.

    `at`: epoch seconds. `claimed`: offsets of replays, see LakeManifest.uncovered.
    """
    by_name = {one.name: one for one in listed}
    fresh = {one.file.listed.name: one for one in looked}
    kept: list[tuple[LakeFile, int]] = []
    still: set[tuple[LakeTable, str]] = set()
    for index, one in enumerate(manifest.files):
        name = one.listed.name
        now = by_name.get(name)
        if one.left is not None:
            kept.append((one, index))
        elif now is None:
            kept.append((replace(one, left="missing", left_at=at), index))
        elif not one.listed.is_same(now):
            kept.append((replace(one, left="changed", left_at=at), index))
        elif name not in fresh:
            kept.append((one, index))
            still.add(name)
        else:  # looked at again: should it hold less than before, though the listing shows no change, that is seen
            kept.append((replace(one, left="changed", left_at=at), index))
    merged = _with_looks(kept, manifest, [fresh[name] for name in sorted(fresh)])
    unread = tuple(one for one in listed if one.name not in still and one.name not in fresh)
    covered = _superseded(merged, claimed or {})
    dropped = [one for index, one in enumerate(merged.files) if index in covered]
    known = {id(one) for one in dropped}
    there = merged.present()
    superseded = tuple(
        one for one in dropped if one.listed.name not in there or not there[one.listed.name].listed.is_same(one.listed)
    )
    return ManifestUpdate(merged.without(lambda one: id(one) in known), unread, superseded)


def retire(manifest: LakeManifest, before: float) -> LakeManifest:
    """Former files that the store took before that time (epoch seconds) left by the rule: their offsets are retired.

    Those of a topic that is no more left as well, and say nothing of the offsets of the one that is now.
    """
    return with_retired(manifest.without(_is_older(before)), _former_ranges(manifest, before))


def with_retired(manifest: LakeManifest, ranges: Mapping[int, RangeSet]) -> LakeManifest:
    """The manifest with further retired offsets by partition."""
    keys = sorted({*manifest.retired, *ranges})
    both = {key: manifest.retired.get(key, EMPTY).union(ranges.get(key, EMPTY)) for key in keys}
    return replace(manifest, retired=both)


def _is_older(before: float) -> Callable[[LakeFile], bool]:
    return lambda one: one.left == "missing" and one.listed.modified < before


def _former_ranges(manifest: LakeManifest, before: float) -> dict[int, RangeSet]:
    old, since = _is_older(before), manifest.since
    ours = manifest.chosen(lambda one: old(one) and (since is None or one.listed.modified >= since))
    return {partition: runs.ranges() for partition, runs in ours.by_partition()}


def _superseded(manifest: LakeManifest, claimed: Mapping[int, RangeSet]) -> set[int]:
    """The numbers of former files that leave no offset uncovered; not those that a broken object stands for now.

    What such an object held is known from its former self alone.
    """
    faulty = {one.listed.name for one in manifest.files if one.left is None and one.fault is not None}
    former = {
        index
        for index, one in enumerate(manifest.files)
        if one.left is not None and not (one.fault is None and one.listed.name in faulty)
    }
    return former - manifest.uncovered(claimed) if former else set()


def _with_looks(kept: list[tuple[LakeFile, int]], manifest: LakeManifest, looks: Sequence[LookedAt]) -> LakeManifest:
    """Kept files and new ones, ordered, with their runs."""
    first = len(manifest.files)
    parts = [_runs_of(first + number, one.coverage) for number, one in enumerate(looks)]
    joined = [manifest.runs, *parts]
    runs = Runs(*(np.concatenate([getattr(part, one.name) for part in joined]) for one in fields(Runs)))
    new = [(one.file, first + number) for number, one in enumerate(looks)]
    ordered = sorted([*kept, *new], key=lambda pair: (pair[0].left is not None, *pair[0].listed.name, pair[1]))
    return _assembled(ordered, runs, manifest)


def _assembled(chosen: list[tuple[LakeFile, int]], runs: Runs, before: LakeManifest) -> LakeManifest:
    """Files, each with its number in `runs`, renumbered; runs of others are left out. The rest is as `before`."""
    files = tuple(one for one, _ in chosen)
    if not len(runs):
        return replace(before, files=files, runs=runs)
    highest = max(int(runs.files.max()), *(index for _, index in chosen), -1) + 1
    numbers = np.full(highest, -1, dtype=np.int64)
    numbers[[index for _, index in chosen]] = np.arange(len(chosen))
    renamed = numbers[runs.files]
    left = runs.where(renamed >= 0)
    left = replace(left, files=renamed[renamed >= 0])
    order = np.lexsort((left.starts, left.partitions, left.files))
    return replace(before, files=files, runs=left.where(order))


def _runs_of(number: int, coverage: Mapping[int, PartitionCoverage]) -> Runs:
    columns: list[list[Int64Array]] = [[], [], [], [], []]
    for partition in sorted(coverage):
        one = coverage[partition]
        for starts, ends, weights in (
            (one.exact.starts, one.exact.ends, np.ones(len(one.exact), dtype=np.int64)),
            (one.repeats.starts, one.repeats.ends, one.repeats.depths - 1),
        ):
            values = (np.full(starts.size, number), np.full(starts.size, partition), starts, ends, weights)
            for column, value in zip(columns, values, strict=True):
                column.append(value.astype(np.int64, copy=False))
    return Runs(*(np.concatenate([_NONE, *column]) for column in columns))
