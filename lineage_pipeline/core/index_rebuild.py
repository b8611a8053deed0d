"""Pure: the index rows that the lake's own objects ask for: what they hold and no index row covers.

Rows are maximal runs per partition and day on which the store took the objects. What is in objects more than once gets
as many rows, so that the index says so too; what a replay put into data beside its row in quarantine gets one row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

import numpy as np

from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offset_index import IndexRow
from lineage_pipeline.core.offsets import EMPTY, Int64Array, RangeSet
from lineage_pipeline.core.replayed import accounted_once, quarantine_files

WRITER = "rebuild"
_DAY = 86_400_000  # milliseconds


@dataclass(frozen=True)
class RebuildRules:
    """What may be written.

    `before`: only for objects that the store took before (epoch seconds): the index rows of younger ones may be under
    way. `tail`: also behind a partition's last index row, where a stopped job may still commit rows. `since`: objects
    before are of a topic that is no more. `replayed`: by partition, what replays of the quarantine have taken on.
    """

    before: float
    tail: bool = False
    since: float | None = None
    replayed: Mapping[int, RangeSet] = field(default_factory=dict)


@dataclass(frozen=True)
class RebuiltFile:
    """One index file to write: below `kafka_topic=T/dt=<day>/`, the same name for the same rows."""

    day: str
    rows: tuple[IndexRow, ...]

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.rows[0].writer}.parquet"

    @property
    def records(self) -> int:
        """How many records its rows count."""
        return sum(row.record_count for row in self.rows)


@dataclass(frozen=True)
class Rebuild:
    """What to write, and by partition what objects hold and still gets no row: too young, or behind the last row."""

    files: tuple[RebuiltFile, ...] = ()
    young: Mapping[int, RangeSet] = field(default_factory=dict)
    behind: Mapping[int, RangeSet] = field(default_factory=dict)


def rebuild(manifest: LakeManifest, index: Mapping[int, PartitionCoverage], rules: RebuildRules) -> Rebuild:
    """The rows that bring the index up to what the lake holds. With the same lake and index it is the same."""
    ours = manifest.chosen(lambda one: one.left is None and (rules.since is None or one.listed.modified >= rules.since))
    written = np.array([int(one.listed.modified * 1000) for one in manifest.files], dtype=np.int64)
    in_quarantine = quarantine_files(manifest)
    rows: dict[int, list[IndexRow]] = {}
    young: dict[int, RangeSet] = {}
    behind: dict[int, RangeSet] = {}
    for partition, runs in ours.by_partition():
        coverage = index.get(partition, PartitionCoverage())
        lacking = runs.ranges().difference(coverage.exact).difference(coverage.windows.ranges())
        if not rules.tail:
            end = coverage.bounds.end if coverage.bounds else 0
            behind[partition] = lacking.difference(lacking.clip(0, end))
            lacking = lacking.clip(0, end)
        settled = runs.where(written[runs.files] < rules.before * 1000)
        young[partition] = lacking.difference(settled.ranges())
        claimed = rules.replayed.get(partition, EMPTY)
        mine = accounted_once(in_quarantine, settled, claimed).within(lacking)
        for day, chosen in mine.by(written[mine.files] // _DAY):
            rows.setdefault(day, []).extend(_rows(partition, chosen, manifest.files, claimed))
    files = tuple(_named(RebuiltFile(_shown(day), tuple(listed))) for day, listed in sorted(rows.items()))
    return Rebuild(files, _some(young), _some(behind))


def _rows(partition: int, runs: Runs, files: Sequence[LakeFile], claimed: RangeSet) -> Iterator[IndexRow]:
    """A row per maximal run, and one more for every further time that its offsets occur."""
    exact, repeats = runs.layers()
    layers = [(exact.starts, exact.ends)]
    for depth in range(2, int(repeats.depths.max(initial=1)) + 1):
        deeper = repeats.depths >= depth
        again = RangeSet(repeats.starts[deeper], repeats.ends[deeper])
        layers.append((again.starts, again.ends))
    quarantined = _quarantined(runs, files).union(claimed)  # it was, also where a replay stands for it by now
    first, last, newest = _times(runs, exact, files)
    for starts, ends in layers:
        within = np.searchsorted(exact.starts, starts, "right") - 1
        columns = (starts, ends, quarantined.overlaps(starts, ends), first[within], last[within], newest[within])
        for start, end, bad, began, ended, latest in zip(*(one.tolist() for one in columns), strict=True):
            yield IndexRow(
                kafka_partition=partition,
                min_offset=start,
                max_offset=end - 1,
                record_count=end - start,
                window_start=began,
                quarantined_count=bad,
                window_end=ended,
                max_timestamp=latest,
                leader_epoch=None,
                writer=WRITER,
            )


def _times(runs: Runs, exact: RangeSet, files: Sequence[LakeFile]) -> tuple[Int64Array, Int64Array, Int64Array]:
    """For each maximal run, in milliseconds: when its objects were written, first and last, and the latest timestamp.

    Where a file does not tell its records' Kafka timestamps, the time it was written stands for them.
    """
    written = np.array([int(one.listed.modified * 1000) for one in files], dtype=np.int64)
    told = [one.last_timestamp for one in files]
    newest = np.array(
        [int(time) if one is None else one for one, time in zip(told, written.tolist(), strict=True)], dtype=np.int64
    )
    within = np.searchsorted(exact.starts, runs.starts, "right") - 1
    first = np.full(len(exact), np.iinfo(np.int64).max)
    last, latest = np.zeros(len(exact), dtype=np.int64), np.full(len(exact), np.iinfo(np.int64).min)
    np.minimum.at(first, within, written[runs.files])
    np.maximum.at(last, within, written[runs.files])
    np.maximum.at(latest, within, newest[runs.files])
    return first, last, latest


def _quarantined(runs: Runs, files: Sequence[LakeFile]) -> RangeSet:
    bad = np.array([one.listed.table == "quarantine" for one in files], dtype=bool)
    return runs.where(bad[runs.files]).ranges()


def _named(one: RebuiltFile) -> RebuiltFile:
    """The file with a writer that is a digest of its rows: what is written twice is one file, not two."""
    digest = hashlib.sha256(repr((one.day, one.rows)).encode()).hexdigest()[:12]
    return replace(one, rows=tuple(replace(row, writer=f"{WRITER}-{digest}") for row in one.rows))


def _shown(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY / 1000, timezone.utc):%Y-%m-%d}"


def _some(ranges: Mapping[int, RangeSet]) -> dict[int, RangeSet]:
    return {partition: one for partition, one in ranges.items() if one is not EMPTY and len(one)}
