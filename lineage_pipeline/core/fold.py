"""Pure: everything merged from the index files of one topic, so that an audit reads only new files.

A fold is a function of the files alone: merged one by one in any order, or all at once, it is the same value. Rows are
kept apart by owner, since offsets of a recreated topic mean other records: the incarnation that the writer's deployment
record names, else the writer, else nobody (rows of the original format name no writer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lineage_pipeline.core.coverage import PartitionCoverage, Repeats, Windows, layered
from lineage_pipeline.core.ledger_events import Incarnation
from lineage_pipeline.core.offsets import EMPTY, RangeSet

Owner = Incarnation | str | None  # an incarnation; the id of a writer without a record; rows that name no writer
PartitionCoverages = Mapping[int, PartitionCoverage]


@dataclass(frozen=True)
class MergedFile:
    """An index file as it was when it was merged: size in bytes, and its entity tag if the store has them."""

    size: int
    etag: str | None


@dataclass(frozen=True)
class Fold:
    """`coverage` by owner and partition, in canonical form; `files` by key: all that is in it."""

    coverage: Mapping[Owner, PartitionCoverages] = field(default_factory=dict)
    files: Mapping[str, MergedFile] = field(default_factory=dict)

    def with_files(self, files: Mapping[str, MergedFile], coverage: Mapping[Owner, PartitionCoverages]) -> Fold:
        """The fold with further files, whose rows are in `coverage`. Raises ValueError for a file merged already."""
        twice = self.files.keys() & files.keys()
        if twice:
            raise ValueError(f"{min(twice)} was merged before")
        if not files and not coverage:
            return self
        return Fold(_joined([self.coverage, coverage]), {**self.files, **files})

    def owned(self, owners: Mapping[str, Incarnation]) -> Fold:
        """The same rows, those of writers whose records are known now (by id) given to their incarnation."""
        if not any(isinstance(one, str) and one in owners for one in self.coverage):
            return self
        known = [{owners.get(one, one) if isinstance(one, str) else one: rows} for one, rows in self.coverage.items()]
        return Fold(_joined(known), self.files)

    def of(self, owners: Iterable[Owner]) -> dict[int, PartitionCoverage]:
        """Partition -> the coverage by all rows of these owners."""
        chosen: list[dict[Owner, PartitionCoverages]] = [
            {None: self.coverage[one]} for one in owners if one in self.coverage
        ]
        return dict(_joined(chosen).get(None, {}))


def lost_ranges(before: Mapping[int, PartitionCoverage], after: Mapping[int, PartitionCoverage]) -> dict[int, RangeSet]:
    """What was covered and is not any more: offsets of files that vanished without a compacted successor."""
    lost = {}
    for partition, one in before.items():
        left = _spanned(after[partition]) if partition in after else EMPTY
        gone = _spanned(one).difference(left)
        if len(gone):
            lost[partition] = gone
    return lost


def _spanned(one: PartitionCoverage) -> RangeSet:
    return one.exact.union(one.windows.ranges())


def joined_coverage(parts: Sequence[PartitionCoverage]) -> PartitionCoverage:
    """The coverage by the rows of all parts, in canonical form: how rows were cut and grouped leaves no trace."""
    if len(parts) == 1 and not parts[0].repeats.starts.size and not len(parts[0].windows):
        return parts[0]
    exact, repeats = _depths(parts)
    return PartitionCoverage(
        exact=exact,
        repeats=repeats,
        windows=_windows([one.windows for one in parts]),
        rows=sum(one.rows for one in parts),
        quarantined=sum(one.quarantined for one in parts),
    )


def _joined(folds: Sequence[Mapping[Owner, PartitionCoverages]]) -> dict[Owner, PartitionCoverages]:
    found: dict[Owner, dict[int, list[PartitionCoverage]]] = {}
    for coverage in folds:
        for owner, partitions in coverage.items():
            for partition, one in partitions.items():
                found.setdefault(owner, {}).setdefault(partition, []).append(one)
    ordered = sorted(found, key=owner_key)
    return {
        owner: {partition: joined_coverage(found[owner][partition]) for partition in sorted(found[owner])}
        for owner in ordered
    }


def owner_key(owner: Owner) -> tuple[int, str, str]:
    """By what owners are ordered."""
    if isinstance(owner, Incarnation):
        return 0, owner.cluster_id, owner.topic_id or ""
    return (2, "", "") if owner is None else (1, owner, "")


def _depths(parts: Sequence[PartitionCoverage]) -> tuple[RangeSet, Repeats]:
    """Every part adds 1 where it covers, and what its repeats are deeper than 1."""
    if len(parts) == 1 and not parts[0].repeats.starts.size:
        return parts[0].exact, Repeats()
    starts = np.concatenate([array for one in parts for array in (one.exact.starts, one.repeats.starts)])
    ends = np.concatenate([array for one in parts for array in (one.exact.ends, one.repeats.ends)])
    weights = np.concatenate(
        [array for one in parts for array in (np.ones(len(one.exact), np.int64), one.repeats.depths - 1)]
    )
    return layered(starts, ends, weights)


def _windows(parts: Sequence[Windows]) -> Windows:
    chosen = [one for one in parts if len(one)]
    if not chosen:
        return Windows()
    starts, ends, counts = (
        np.concatenate([one.starts for one in chosen]),
        np.concatenate([one.ends for one in chosen]),
        np.concatenate([one.counts for one in chosen]),
    )
    order = np.lexsort((counts, ends, starts))
    return Windows(starts[order], ends[order], counts[order])
