"""Coverage counts every occurrence, whatever the order, and its quick proof of cleanness is never wrong here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lineage_pipeline.core import coverage as coverage_module
from lineage_pipeline.core.coverage import (
    CoverageBuilder,
    PartitionCoverage,
    Repeats,
    Windows,
    cover,
    deepest,
    depth_profile,
    layered,
    tiles,
)
from lineage_pipeline.core.offsets import EMPTY, MAX_END, OffsetRange, RangeSet, as_int64
from tests.core.worlds import Row, rows_of

PAIRS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda two: (two[0], two[0] + two[1])), min_size=1, max_size=9
)

SPANS = st.tuples(st.integers(0, 34), st.integers(1, 9)).map(lambda two: (two[0], two[0] + two[1]))


def depths(pairs: list[tuple[int, int]]) -> Counter[int]:
    return Counter(offset for start, end in pairs for offset in range(start, end))


def told(repeats: Repeats) -> dict[int, int]:
    """How often each offset is repeated; the ranges are checked to be as the class says."""
    assert (repeats.starts < repeats.ends).all()
    assert (repeats.starts[1:] >= repeats.ends[:-1]).all()
    columns = zip(repeats.starts.tolist(), repeats.ends.tolist(), repeats.depths.tolist(), strict=True)
    return {offset: depth for start, end, depth in columns for offset in range(start, end)}


def repeats_of(pairs: list[tuple[int, int]]) -> Repeats:
    return cover(as_int64([a for a, _ in pairs]), as_int64([b for _, b in pairs]))[1]


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
    rows = [
        Row(p, start, start + length, data.draw(st.none() | st.just(9)), data.draw(st.integers(0, 2)))
        for p, start, length in listed
    ]
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), min_size=3, max_size=3)))
    together, apart = CoverageBuilder(), CoverageBuilder()
    together.add(rows_of(rows))
    # of as many rows at once as are waited for, or fewer, or more
    with patch.object(coverage_module, "_AT_ONCE", data.draw(st.integers(1, 8))):
        for start, end in pairwise([0, *cuts, len(rows)]):
            file = CoverageBuilder()
            for row in shuffled[start:end]:
                file.add(rows_of([row]))
            apart.extend(file)
    one, other = together.build(), apart.build()
    assert one.keys() == other.keys() == {row.partition for row in rows}
    for partition, coverage in one.items():
        mine = [row for row in rows if row.partition == partition]
        whole = depths([(row.start, row.end) for row in mine if row.exact])
        windows = sorted((row.start, row.end, row.count) for row in mine if not row.exact)
        for found in (coverage, other[partition]):
            assert {offset for part in found.exact for offset in range(part.start, part.end)} == set(whole)
            assert told(found.repeats) == {offset: depth for offset, depth in whole.items() if depth > 1}
            columns = (found.windows.starts, found.windows.ends, found.windows.counts)
            assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == windows
            assert found.rows == len(mine)
            assert found.quarantined == sum(row.quarantined for row in mine)
            assert found.records == sum(row.end - row.start if row.count is None else row.count for row in mine)
            assert found.bounds == OffsetRange(min(row.start for row in mine), max(row.end for row in mine))


def test_partition_numbers_above_the_radix_limit_are_grouped_too() -> None:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(2**31 - 1, 0, 5), Row(3, 0, 5), Row(2**31 - 1, 5, 9), Row(40_000, 1, 2)]))
    found = builder.build()
    assert {number: one.exact.total for number, one in found.items()} == {3: 5, 40_000: 1, 2**31 - 1: 9}
    # numbers that are the same in 16 bits
    builder = CoverageBuilder()
    builder.add(rows_of([Row(65_539, 0, 5), Row(3, 5, 8), Row(65_539, 5, 9), Row(3, 8, 9)]))
    assert {number: one.exact.total for number, one in builder.build().items()} == {3: 4, 65_539: 9}


def test_rows_of_two_partitions_are_never_one_chain() -> None:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(0, 0, 5), Row(1, 5, 9)]))
    assert {number: one.exact for number, one in builder.build().items()} == {
        0: RangeSet.of((0, 5)),
        1: RangeSet.of((5, 9)),
    }


def test_inexact_windows_are_kept_apart_from_exact_rows() -> None:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(0, 0, 10, count=8), Row(0, 10, 20), Row(0, 20, 30, count=11)]))
    coverage = builder.build()[0]
    assert coverage.exact.total == 10
    assert np.array_equal(coverage.windows.counts, [8, 11])
    assert coverage.bounds is not None
    assert (coverage.bounds.start, coverage.bounds.end) == (0, 30)


def test_what_only_touches_a_stretch_is_not_in_it() -> None:
    columns = as_int64([5]), as_int64([8]), as_int64([2])
    for start, end, found in ((0, 5, []), (8, 9, []), (0, 6, [(5, 6)]), (7, 9, [(7, 8)])):
        for part in (Repeats(*columns).within(start, end), Windows(*columns).within(start, end)):
            assert list(zip(part.starts.tolist(), part.ends.tolist(), strict=True)) == found


def test_a_partition_without_rows_has_no_bounds() -> None:
    nothing = PartitionCoverage()
    assert nothing.bounds is None
    assert (nothing.rows, nothing.records, nothing.quarantined) == (0, 0, 0)


@given(PAIRS, PAIRS, SPANS)
def test_of_two_accounts_of_repeats_the_deeper_counts_for_each_offset(
    a: list[tuple[int, int]], b: list[tuple[int, int]], span: tuple[int, int]
) -> None:
    start, end = span
    one, other = repeats_of(a), repeats_of(b)
    both = deepest(one, other)
    expected = {
        offset: max(told(one).get(offset, 0), told(other).get(offset, 0)) for offset in {*told(one), *told(other)}
    }
    assert told(both) == expected
    joined = zip(both.ends[:-1].tolist(), both.starts[1:].tolist(), np.diff(both.depths).tolist(), strict=True)
    if one.starts.size and other.starts.size:  # equal repeats have equal arrays
        assert all(border < begin or change for border, begin, change in joined)
    assert told(deepest(one, Repeats())) == told(deepest(Repeats(), one)) == told(one)
    part = {offset: depth for offset, depth in told(one).items() if start <= offset < end}
    assert told(one.within(start, end)) == part


@given(PAIRS, SPANS)
def test_windows_are_cut_and_keep_their_counts(pairs: list[tuple[int, int]], span: tuple[int, int]) -> None:
    start, end = span
    windows = Windows(*(as_int64(column) for column in zip(*((a, b, 9 * a) for a, b in pairs), strict=True)))
    part = windows.within(start, end)
    found = zip(part.starts.tolist(), part.ends.tolist(), part.counts.tolist(), strict=True)
    assert list(found) == [
        (max(a, start), min(b, end), 9 * a) for a, b in pairs if set(range(a, b)) & set(range(start, end))
    ]


def weighted(weights: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    return st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), weights), max_size=7)


@given(weighted(st.just(1)) | weighted(st.integers(-1, 3)), st.booleans())
def test_weighted_layers_are_what_the_weights_add_up_to(listed: list[tuple[int, int, int]], tiled: bool) -> None:
    if tiled:  # ranges that tile, some of them counted more than once
        edges = sorted({start for start, _, _ in listed})
        listed = [(a, b - a, listed[n][2]) for n, (a, b) in enumerate(pairwise(edges))]
    counted: Counter[int] = Counter()
    for start, length, weight in listed:
        counted.update(dict.fromkeys(range(start, start + length), weight))
    assume(all(depth >= 0 for depth in counted.values()))
    columns = ([a for a, _, _ in listed], [a + n for a, n, _ in listed], [w for _, _, w in listed])
    exact, repeats = layered(*map(as_int64, columns))
    assert {offset for part in exact for offset in range(part.start, part.end)} == {
        offset for offset, depth in counted.items() if depth
    }
    assert told(repeats) == {offset: depth for offset, depth in counted.items() if depth > 1}


def test_ranges_that_tile_repeat_what_all_of_them_count_twice() -> None:
    for weight in (1, 2, 3):
        exact, repeats = layered(as_int64([5, 0]), as_int64([9, 5]), as_int64([weight, weight]))
        assert exact == RangeSet.of((0, 9))
        assert repeats.surplus() == 9 * (weight - 1)


def test_layers_that_cancel_each_other_out_are_nothing() -> None:
    exact, repeats = layered(as_int64([3, 3]), as_int64([5, 5]), as_int64([1, -1]))
    assert (exact, told(repeats)) == (EMPTY, {})


def splitmix(seed: int) -> tuple[Callable[[int], int], Callable[[int], int]]:
    """The mix of the fingerprint, and its inverse."""
    first, second, whole = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 2**64

    def mix(value: int) -> int:
        value = (value + seed) % whole
        value = (value ^ (value >> 30)) * first % whole
        value = (value ^ (value >> 27)) * second % whole
        return value ^ (value >> 31)

    def unshifted(value: int, bits: int) -> int:
        found = value
        for _ in range(64 // bits + 1):
            found = value ^ (found >> bits)
        return found

    def unmix(value: int) -> int:
        value = unshifted(value, 31) * pow(second, -1, whole) % whole
        value = unshifted(value, 27) * pow(first, -1, whole) % whole
        return (unshifted(value, 30) - seed) % whole

    return mix, unmix


@pytest.mark.parametrize("seed", [0x9E3779B97F4A7C15, 0xD1B54A32D192ED03])
def test_ranges_made_to_deceive_one_of_the_two_hashes_do_not_deceive_both(seed: int) -> None:
    mix, unmix = splitmix(seed)
    found = 0
    for gap in range(1, 12):
        # [0, 100), [100 + gap, 200) and [last, last + 1): the hashes of inner starts and ends add up to the same
        last = unmix((mix(100) + mix(200) - mix(100 + gap)) % 2**64)
        if 200 < last < MAX_END - 1:
            found += 1
            starts, ends = as_int64([0, 100 + gap, last]), as_int64([100, 200, last + 1])
            assert (mix(100 + gap) + mix(last) - mix(100) - mix(200)) % 2**64 == 0
            assert not tiles(starts, ends)
            assert cover(starts, ends)[0].total == 200 - gap + 1
    assert found
