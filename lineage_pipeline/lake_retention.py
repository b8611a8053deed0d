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
from lineage_pipeline.core.evidence import IndexEvidence, LakeEvidence
from lineage_pipeline.core.lake_comparison import PartitionLake
from lineage_pipeline.core.lake_evidence import LakeReading, lake_evidence
from lineage_pipeline.core.lake_manifest import with_retired
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.errors import StoreError


def by_retention(
    book: LakeBook,
    path: IndexPath,
    reading: LakeReading,
    index: IndexEvidence,
    memory: Memory,
    at: datetime,
) -> LakeReading:
    """The reading, with what the index says was written longer ago than retention allows, and no file holds, retired.

    Index files are read for offsets alone that are absent for the first time, so once for those of long ago; and for
    all when what was retired may be of another topic than the one that is now. Then only rows of writers count whose
    record says that they are of this one.
    """
    if book.data_days is None or reading.status != "read":
        return reading
    evidence = lake_evidence(reading, index.coverage, memory)
    if any(doubt.of_lost for doubt in evidence.doubts):
        return reading
    manifest = reading.manifest.of_topic(memory.lake_since)
    known = memory.lake[-1].absent if memory.lake and manifest is reading.manifest else {}
    wanted = _wanted(evidence, index.coverage, known)
    writers = None if manifest.since is None else {one.writer for one in index.deployments}
    try:
        before = (at - timedelta(days=book.data_days)).timestamp()
        old = indexed_before(path, before, wanted, writers) if wanted else {}
    except StoreError:
        return reading  # then they are suspected, and looked at again
    if old:
        manifest = with_retired(manifest, old)
    if manifest is reading.manifest:
        return reading
    # nothing is kept of what may be another topic's: it would explain losses of this one ever after
    doubtful = memory.problems or memory.incarnation_problem
    problem = book.store(manifest) if reading.keep and not doubtful else None
    return replace(reading, manifest=manifest, problems=(*reading.problems, *([problem] if problem else [])))


def _wanted(
    lake: LakeEvidence, index: Mapping[int, PartitionCoverage], known: Mapping[int, RangeSet]
) -> dict[int, RangeSet]:
    """By partition, the indexed offsets that no object holds or held, except those that are known as absent."""
    found: dict[int, RangeSet] = {}
    for partition, one in index.items():
        seen = lake.partitions.get(partition, PartitionLake())
        absent = one.exact.difference(seen.present).difference(seen.retired)
        for lost in seen.lost:
            absent = absent.difference(lost.ranges)
        fresh = absent.difference(known.get(partition, EMPTY))
        if len(fresh):
            found[partition] = fresh
    return found
