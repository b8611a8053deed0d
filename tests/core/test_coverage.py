"""Coverage counts every occurrence, whatever the order, and its quick proof of cleanness is never wrong here."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.coverage import CoverageBuilder, cover, depth_profile, tiles
from lineage_pipeline.core.offsets import MAX_END, as_int64
from tests.core.worlds import Row, rows_of

PAIRS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda two: (two[0], two[0] + two[1])), min_size=1, max_size=9
)


def depths(pairs: list[tuple[int, int]]) -> Counter[int]:
    return Counter(offset for start, end in pairs for offset in range(start, end))


@given(PAIRS, st.sampled_from([0, MAX_END - 40]))
def test_cover_gives_the_union_and_every_repeat(pairs: list[tuple[int, int]], base: int) -> None:
    starts, ends = as_int64([a + base for a, _ in pairs]), as_int64([b + base for _, b in pairs])
    exact, repeats = cover(starts, ends)
    counted = depths(pairs)
    assert {offset - base for one in exact for offset in range(one.start, one.end)} == set(counted)
    repeated = zip(repeats.starts.tolist(), repeats.ends.tolist(), repeats.depths.tolist(), strict=True)
    assert {offset - base: n for a, b, n in repeated for offset in range(a, b)} == {
        offset: n for offset, n in counted.items() if n > 1
    }
    assert repeats.surplus() == sum(counted.values()) - len(counted)


@given(PAIRS)
def test_the_fingerprint_says_clean_exactly_when_nothing_lacks_or_repeats(pairs: list[tuple[int, int]]) -> None:
    counted = depths(pairs)
    low, high = min(counted), max(counted) + 1
    clean = len(counted) == high - low and set(counted.values()) == {1}
    assert tiles(as_int64([a for a, _ in pairs]), as_int64([b for _, b in pairs])) == clean


@given(st.lists(st.integers(0, 50), min_size=2, max_size=9, unique=True).map(sorted), st.randoms(use_true_random=False))
def test_rows_that_tile_a_range_are_proven_clean_in_any_order(cuts: list[int], random: Random) -> None:
    rows = list(pairwise(cuts))
    random.shuffle(rows)
    assert tiles(as_int64([a for a, _ in rows]), as_int64([b for _, b in rows]))


def test_as_many_lost_as_doubled_is_not_clean() -> None:
    assert not tiles(as_int64([0, 20, 20, 40]), as_int64([10, 30, 30, 50]))
    exact, repeats = cover(as_int64([0, 20, 20, 40]), as_int64([10, 30, 30, 50]))
    assert (exact.total, repeats.surplus()) == (30, 10)


def test_one_long_row_over_many_short_ones_repeats_all_of_them() -> None:
    exact, repeats = cover(as_int64([0, 2, 4, 6]), as_int64([100, 3, 5, 8]))
    assert exact.total == 100
    assert repeats.ranges().total == repeats.surplus() == 4


def test_a_profile_of_nothing_is_empty() -> None:
    points, counted = depth_profile(as_int64([]), as_int64([]))
    assert (points.size, counted.size) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(1, 5)), max_size=12), st.data())
def test_rows_in_any_order_and_any_batches_give_the_same_coverage(
    listed: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    rows = [Row(p, start, start + length, quarantined=1) for p, start, length in listed]
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    together, apart = CoverageBuilder(), CoverageBuilder()
    together.add(rows_of(rows))
    for part in (shuffled[:cut], shuffled[cut:]):
        apart.add(rows_of(list(part)))
    one, other = together.build(), apart.build()
    assert one.keys() == other.keys() == {row.partition for row in rows}
    for partition, coverage in one.items():
        mine = [row for row in rows if row.partition == partition]
        assert coverage.exact == other[partition].exact
        assert coverage.repeats.ranges() == other[partition].repeats.ranges()
        assert coverage.repeats.surplus() == other[partition].repeats.surplus()
        assert coverage.rows == other[partition].rows == len(mine)
        assert coverage.quarantined == other[partition].quarantined == len(mine)


def test_partition_numbers_above_the_radix_limit_are_grouped_too() -> None:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(2**31 - 1, 0, 5), Row(3, 0, 5), Row(2**31 - 1, 5, 9), Row(40_000, 1, 2)]))
    found = builder.build()
    assert {number: one.exact.total for number, one in found.items()} == {3: 5, 40_000: 1, 2**31 - 1: 9}


def test_inexact_windows_are_kept_apart_from_exact_rows() -> None:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(0, 0, 10, count=8), Row(0, 10, 20), Row(0, 20, 30, count=11)]))
    coverage = builder.build()[0]
    assert coverage.exact.total == 10
    assert np.array_equal(coverage.windows.counts, [8, 11])
    assert coverage.bounds is not None
    assert (coverage.bounds.start, coverage.bounds.end) == (0, 30)
