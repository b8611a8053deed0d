"""Use case: where are these offsets, all of them, and which is the first record at or after a moment?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.lake_comparison import shown
from lineage_pipeline.core.lake_manifest import LakeManifest
from lineage_pipeline.core.offset_index import iso_time
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.errors import LakeFileError, StoreError, UsageError
from lineage_pipeline.locate import Locator

FORMAT = "lineage-locate-range/1"


@dataclass(frozen=True)
class Stretch:
    """Consecutive offsets of one class, with the sentence about them; class None: outside of everything audited."""

    range: OffsetRange
    offset_class: str | None
    cause: str | None
    why: str


@dataclass(frozen=True)
class Holding:
    """A file and which of the offsets are in it; `table`: data, quarantine or offset_index."""

    table: str
    file: str
    range: OffsetRange

    def to_json(self) -> dict[str, Any]:
        """The holding as a JSON object."""
        return {"table": self.table, "file": self.file, "start": self.range.start, "end": self.range.end}


@dataclass(frozen=True)
class Span:
    """Where a range of offsets is. `lacking`: those that were found nowhere."""

    partition: int
    range: OffsetRange
    stretches: tuple[Stretch, ...]
    holdings: tuple[Holding, ...]
    lacking: RangeSet
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all found, 1 some not found, 3 cannot tell of some."""
        if not len(self.lacking):
            return 0
        unknown = [one for one in self.stretches if one.offset_class == "unknown"]
        doubtful = any(len(self.lacking.clip(one.range.start, one.range.end)) for one in unknown)
        return 3 if doubtful or self.problems else 1

    def to_json(self) -> dict[str, Any]:
        """The object that `lineage locate PARTITION OFFSET END --json` prints."""
        return {
            "format": FORMAT,
            "partition": self.partition,
            "start": self.range.start,
            "end": self.range.end,
            "found": not len(self.lacking),
            "ranges": [
                {
                    "start": one.range.start,
                    "end": one.range.end,
                    "class": one.offset_class,
                    "cause": one.cause,
                    "evidence": one.why,
                }
                for one in self.stretches
            ],
            "index_files": [one.to_json() for one in self.holdings if one.table == "offset_index"],
            "data_files": [one.to_json() for one in self.holdings if one.table != "offset_index"],
            "problems": list(self.problems),
        }


def locate_range(locator: Locator, partition: int, wanted: OffsetRange) -> Span:
    """Where the offsets are, by index rows and by the runs of the lake's objects: only new objects are read for it.

    Books that cannot be read do not raise: they are in `problems`.
    """
    seen = locator.seen()
    problems = list(seen.problems)
    holdings: list[Holding] = []
    located = locator.rows(partition, wanted.start, wanted.end)
    problems += located.problems
    rows = [one for one in located.rows if one.row.is_exact]
    holdings += [
        Holding("offset_index", one.key, _cut(wanted, one.row.min_offset, one.row.max_offset + 1)) for one in rows
    ]
    lake = seen.reading.manifest if seen.reading is not None and seen.reading.status == "read" else None
    if lake is not None:
        holdings += _in_lake(lake, partition, wanted)
    tables = {"data", "quarantine"} if lake is not None else {"offset_index"}
    there = RangeSet.of(*(one.range for one in holdings if one.table in tables))
    return Span(
        partition=partition,
        range=wanted,
        stretches=tuple(_stretches(locator, partition, wanted)),
        holdings=tuple(dict.fromkeys(holdings)),
        lacking=RangeSet.of(wanted).difference(there),
        problems=tuple(dict.fromkeys(problems)),
    )


def first_record_from(locator: Locator, partition: int, timestamp: int) -> tuple[int | None, tuple[str, ...]]:
    """The lowest offset in the lake whose Kafka timestamp is at or after that (milliseconds), and what was not read.

    Raises UsageError without a lake. Files whose footers say that they end before are not opened.
    """
    if locator.request.lake is None:
        raise UsageError("timestamps are in data files alone: set OUTPUT_PATH")
    seen = locator.seen()
    problems = list(seen.evidence.lake.problems)
    manifest = seen.reading.manifest if seen.reading is not None else LakeManifest()
    best: int | None = None
    for start, number in _candidates(manifest, partition, timestamp):
        if best is not None and start >= best:
            break
        one = manifest.files[number]
        try:
            hit = locator.open(one).first_from(partition, timestamp)
        except (StoreError, LakeFileError) as error:
            problems.append(f"{shown(one.listed)} could not be read: {error}")
            continue
        if hit is not None and (best is None or hit[0] < best):
            best = hit[0]
    return best, tuple(problems)


def not_found_from(partition: int, timestamp: int) -> str:
    """The sentence when there is no such record."""
    return f"no record of partition {partition} in the lake has a Kafka timestamp at or after {iso_time(timestamp)}"


def _candidates(manifest: LakeManifest, partition: int, timestamp: int) -> list[tuple[int, int]]:
    """(lowest offset, number) of the files that may hold such a record, by lowest offset."""
    runs = manifest.runs.where(manifest.runs.partitions == partition)
    lowest: dict[int, int] = {}
    for number, start in zip(runs.files.tolist(), runs.starts.tolist(), strict=True):
        one = manifest.files[number]
        if one.left is None and (one.last_timestamp is None or one.last_timestamp >= timestamp):
            lowest[number] = min(start, lowest.get(number, start))
    return sorted((start, number) for number, start in lowest.items())


def _in_lake(manifest: LakeManifest, partition: int, wanted: OffsetRange) -> Iterator[Holding]:
    runs = manifest.runs
    touching = runs.where((runs.partitions == partition) & (runs.starts < wanted.end) & (runs.ends > wanted.start))
    for number, start, end in zip(
        touching.files.tolist(), touching.starts.tolist(), touching.ends.tolist(), strict=True
    ):
        one = manifest.files[number]
        if one.left is None:
            yield Holding(one.listed.table, one.listed.key, _cut(wanted, start, end))


def _stretches(locator: Locator, partition: int, wanted: OffsetRange) -> Iterator[Stretch]:
    """The classes of all wanted offsets, in offset order."""
    evidence = locator.seen().evidence
    found: list[Stretch] = []
    covered = EMPTY
    if partition in evidence.partitions:
        for tile in decide_partition(partition, evidence).tiles:
            covered = covered.union(tile.ranges)
            for one, text in tile.told():
                if one.start < wanted.end and one.end > wanted.start:
                    found.append(Stretch(_cut(wanted, one.start, one.end), tile.offset_class, tile.cause, text))
    outside = RangeSet.of(wanted).difference(covered)
    found += [Stretch(one, None, None, "outside of everything that is audited") for one in outside]
    yield from sorted(found, key=lambda one: one.range)


def _cut(wanted: OffsetRange, start: int, end: int) -> OffsetRange:
    return OffsetRange(max(wanted.start, start), min(wanted.end, end))
