"""Use case: offsets whose files had left the lake by retention before anybody looked at them.

The manifest knows when a file was written that it has seen. For what left earlier, the index rows' own times tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from lineage_pipeline.books.index_ages import indexed_before
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.lake_evidence import LakeReading, lake_evidence
from lineage_pipeline.core.lake_manifest import with_retired
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.errors import StoreError


def by_retention(
    book: LakeBook,
    path: IndexPath,
    reading: LakeReading,
    index: Mapping[int, PartitionCoverage],
    memory: Memory,
    at: datetime,
) -> LakeReading:
    """The reading, with what the index says was written longer ago than retention allows, and no file holds, retired.

    Index files are read for offsets alone that are absent for the first time, so once for those of long ago.
    """
    if book.data_days is None or reading.status != "read":
        return reading
    evidence = lake_evidence(reading, index, memory)
    if any(doubt.of_lost for doubt in evidence.doubts):
        return reading
    before = memory.lake[-1].absent if memory.lake else {}
    wanted: dict[int, RangeSet] = {}
    for partition, one in index.items():
        seen = evidence.partitions.get(partition)
        absent = one.exact
        if seen is not None:
            absent = absent.difference(seen.present).difference(seen.retired)
            for lost in seen.lost:
                absent = absent.difference(lost.ranges)
        fresh = absent.difference(before.get(partition, EMPTY))
        if len(fresh):
            wanted[partition] = fresh
    if not wanted:
        return reading
    try:
        old = indexed_before(path, (at - timedelta(days=book.data_days)).timestamp(), wanted)
    except StoreError:
        return reading  # then they are suspected, and looked at again
    manifest = with_retired(reading.manifest, old)
    problem = book.store(manifest) if reading.keep else None
    return replace(reading, manifest=manifest, problems=(*reading.problems, *([problem] if problem else [])))
