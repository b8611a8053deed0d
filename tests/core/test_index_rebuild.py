"""An index rebuilt from objects says what the objects say, offset by offset, however often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.coverage import CoverageBuilder, PartitionCoverage
from lineage_pipeline.core.index_rebuild import Rebuild, RebuildRules, rebuild
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest, LakeObject, LookedAt, updated
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.core.offsets import RangeSet

DAY = 86_400.0
NOW = 20_000 * DAY
Offsets = tuple[tuple[int, int], ...]  # (partition, offset)

offsets = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), max_size=10).map(tuple)
objects = st.lists(
    st.tuples(st.sampled_from(["data", "quarantine"]), st.sampled_from([0.0, 0.5, 1.0, 2.5]), offsets), max_size=5
)


def coverage_of(listed: Offsets) -> dict[int, PartitionCoverage]:
    builder = CoverageBuilder()
    partitions = np.array([one for one, _ in listed], dtype=np.int64)
    starts = np.array([one for _, one in listed], dtype=np.int64)
    builder.add(IndexRows(partitions, starts, starts + 1, np.ones_like(starts), np.zeros_like(starts)))
    return builder.build()


def manifest_of(found: list[tuple[str, float, Offsets]]) -> LakeManifest:
    listed = [
        LakeObject(table, f"part-{number}", 1, "v", NOW - age * DAY)  # type: ignore[arg-type]
        for number, (table, age, _) in enumerate(found)
    ]
    looks = [
        LookedAt(LakeFile(one, NOW, len(rows)), coverage_of(rows))
        for one, (_, _, rows) in zip(listed, found, strict=True)
    ]
    return updated(LakeManifest(), listed, looks, NOW).manifest


def pairs(found: Mapping[int, RangeSet]) -> set[tuple[int, int]]:
    return {
        (partition, offset)
        for partition, ranges in found.items()
        for one in ranges
        for offset in range(one.start, one.end)
    }


def written(done: Rebuild) -> Counter[tuple[int, int]]:
    return Counter(
        (row.kafka_partition, offset)
        for one in done.files
        for row in one.rows
        for offset in range(row.min_offset, row.max_offset + 1)
    )


@settings(max_examples=150, deadline=None)
@given(objects, offsets)
def test_rows_are_written_for_what_objects_hold_and_no_row_covers(
    found: list[tuple[str, float, Offsets]], indexed: Offsets
) -> None:
    index, manifest = coverage_of(indexed), manifest_of(found)
    done = rebuild(manifest, index, RebuildRules(before=NOW - DAY / 2 + 1, tail=True))
    known = set(indexed)
    lacking = {one for _, _, rows in found for one in rows} - known
    old = Counter(one for _, age, rows in found for one in rows if age >= 0.5 and one not in known)
    assert written(done) == old
    assert pairs(done.young) == lacking - set(old)
    bad = Counter(one for table, age, rows in found for one in rows if table == "quarantine" and age >= 0.5)
    for one in done.files:
        assert one.name == f"{one.rows[0].writer}.parquet"
        for row in one.rows:
            assert row.record_count == row.max_offset - row.min_offset + 1
            assert row.window_start <= row.window_end < NOW * 1000
            inside = [(row.kafka_partition, offset) for offset in range(row.min_offset, row.max_offset + 1)]
            assert row.quarantined_count <= sum(1 for offset in inside if bad[offset])
    assert rebuild(manifest, index, RebuildRules(before=NOW - DAY / 2 + 1, tail=True)) == done


@settings(max_examples=150, deadline=None)
@given(objects, offsets)
def test_without_tail_nothing_is_written_behind_the_last_row_of_a_partition(
    found: list[tuple[str, float, Offsets]], indexed: Offsets
) -> None:
    index, manifest = coverage_of(indexed), manifest_of(found)
    done = rebuild(manifest, index, RebuildRules(before=NOW + 1))
    last = {partition: max(offset for one, offset in indexed if one == partition) for partition, _ in indexed}
    lacking = {one for _, _, rows in found for one in rows} - set(indexed)
    assert set(written(done)) == {one for one in lacking if one[1] < last.get(one[0], -1)}
    assert pairs(done.behind) == {one for one in lacking if one[1] > last.get(one[0], -1)}


def test_neighbouring_objects_of_one_day_are_one_row_and_doubled_ones_two() -> None:
    run = tuple((0, offset) for offset in range(5))
    later = tuple((0, offset) for offset in range(5, 9))
    done = rebuild(manifest_of([("data", 1.0, run), ("data", 1.0, later)]), {}, RebuildRules(before=NOW, tail=True))
    assert [(row.min_offset, row.max_offset) for one in done.files for row in one.rows] == [(0, 8)]
    done = rebuild(manifest_of([("data", 1.0, run), ("data", 1.0, run)]), {}, RebuildRules(before=NOW, tail=True))
    assert [(row.min_offset, row.max_offset) for one in done.files for row in one.rows] == [(0, 4), (0, 4)]


def test_objects_of_a_topic_that_is_no_more_get_no_rows() -> None:
    manifest = manifest_of([("data", 2.5, ((0, 1),)), ("data", 1.0, ((0, 2),))])
    done = rebuild(manifest, {}, RebuildRules(before=NOW, tail=True, since=NOW - 2 * DAY))
    assert set(written(done)) == {(0, 2)}
