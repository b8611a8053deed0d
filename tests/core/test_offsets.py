"""Ranges and sets of offsets against Python's own sets, and at the far end of the number range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.offsets import EMPTY, MAX_END, OffsetRange, RangeSet, as_int64, exact_sum

BASES = st.sampled_from([0, 2**31 - 20, 2**53 - 20, MAX_END - 40])
PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda two: tuple(sorted(two))), max_size=8)


def set_of(pairs: list[tuple[int, int]], base: int) -> set[int]:
    return {offset + base for start, end in pairs for offset in range(start, end)}


def ranges_of(pairs: list[tuple[int, int]], base: int) -> RangeSet:
    return RangeSet.from_pairs((start + base, end + base) for start, end in pairs)


def offsets_in(ranges: RangeSet) -> set[int]:
    return {offset for one in ranges for offset in range(one.start, one.end)}


@given(PAIRS, PAIRS, BASES)
def test_sets_of_ranges_behave_as_sets_of_offsets(a: list, b: list, base: int) -> None:
    left, right = ranges_of(a, base), ranges_of(b, base)
    plain_left, plain_right = set_of(a, base), set_of(b, base)

    assert offsets_in(left) == plain_left
    assert left.total == len(plain_left)
    assert offsets_in(left.union(right)) == plain_left | plain_right
    assert offsets_in(left.intersection(right)) == plain_left & plain_right
    assert offsets_in(left.difference(right)) == plain_left - plain_right
    assert (left == right) == (plain_left == plain_right)
    whole = OffsetRange(base + 5, base + 30)
    assert offsets_in(left.complement(whole)) == set(range(whole.start, whole.end)) - plain_left
    assert offsets_in(left.clip(whole.start, whole.end)) == plain_left & set(range(whole.start, whole.end))
    assert all((offset in left) == (offset in plain_left) for offset in range(base, base + 40))


@given(PAIRS, PAIRS, BASES)
def test_overlaps_counts_the_offsets_of_the_set_in_each_range(a: list, b: list, base: int) -> None:
    starts = as_int64([start + base for start, _ in b])
    ends = as_int64([end + base for _, end in b])
    inside = set_of(a, base)
    expected = [len(inside & set(range(start + base, end + base))) for start, end in b]
    assert ranges_of(a, base).overlaps(starts, ends).tolist() == expected


@given(PAIRS)
def test_ranges_of_a_set_are_sorted_disjoint_and_never_adjacent(pairs: list) -> None:
    ranges = ranges_of(pairs, 0)
    assert (ranges.starts < ranges.ends).all()
    assert (ranges.starts[1:] > ranges.ends[:-1]).all()


def test_the_largest_set_is_counted_exactly() -> None:
    everything = RangeSet.of((0, MAX_END))
    assert everything.total == 2**63 - 1
    assert RangeSet.of((MAX_END - 1, MAX_END)).complement(OffsetRange(0, MAX_END)) == RangeSet.of((0, MAX_END - 1))
    assert MAX_END - 1 in everything
    assert MAX_END not in everything


def test_sums_of_many_large_lengths_do_not_overflow() -> None:
    assert exact_sum(np.full(5, MAX_END, dtype=np.int64)) == 5 * MAX_END


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (0, 2**63)])
def test_a_range_that_is_none_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="range"):
        OffsetRange(start, end)


@pytest.mark.parametrize(
    ("starts", "ends"),
    [([0], [2**63]), ([-1], [4]), ([5], [4]), ([0.5], [1.0]), ([1, 2], [3]), ([[1]], [[2]])],
)
def test_a_set_is_never_made_of_values_that_are_no_offsets(starts: list, ends: list) -> None:
    with pytest.raises(ValueError):
        RangeSet(starts, ends)


def test_unsigned_offsets_above_the_signed_range_are_refused_and_not_wrapped() -> None:
    with pytest.raises(ValueError, match="64-bit"):
        RangeSet(np.array([0], dtype=np.uint64), np.array([2**63], dtype=np.uint64))


def test_a_set_does_not_change() -> None:
    ranges = RangeSet.of((0, 5))
    with pytest.raises(ValueError, match="read-only"):
        ranges.starts[0] = 3
    with pytest.raises(AttributeError, match="does not change"):
        ranges.starts = ranges.ends


def test_the_empty_set_has_no_bounds_and_no_offsets() -> None:
    assert (EMPTY.total, EMPTY.bounds, list(EMPTY)) == (0, None, [])
    assert EMPTY.union(RangeSet.of((1, 2))) == RangeSet.of((1, 2))
