"""Ranges and sets of offsets against Python's own sets, and at the far end of the number range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.offsets import EMPTY, MAX_END, OffsetRange, RangeSet, as_int64, exact_sum

BASES = st.sampled_from([0, 2**31 - 20, 2**53 - 20, MAX_END - 40])
FEW = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda two: tuple(sorted(two))), max_size=8)
MANY = st.lists(st.tuples(st.integers(0, 38), st.integers(0, 2)).map(lambda two: (two[0], sum(two))), max_size=16)
PAIRS = st.one_of(FEW, MANY)  # sets of few ranges are worked on otherwise than those of many


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
    for made in (left.union(right), left.intersection(right), left.difference(right)):
        assert made == RangeSet.from_pairs((offset, offset + 1) for offset in offsets_in(made))
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


@pytest.mark.parametrize("pairs", [[(0, 2**63)], [(-1, 3)], [(3, 2)], [(0, 2**63)] * 9, [(5, 2.5)], [(True, 3)]])
def test_a_set_is_never_made_of_what_are_no_ranges(pairs: list) -> None:
    with pytest.raises(ValueError, match=r"range|fit|integers"):
        RangeSet.from_pairs(pairs)


@pytest.mark.parametrize("pairs", [[(3, 3)], [(5, 6), (3, 4)], [(3, 5), (4, 7)], [(3, 5), (5, 7)]])
def test_a_set_in_order_is_written_in_one_way_only(pairs: list) -> None:
    with pytest.raises(ValueError, match="sorted"):
        RangeSet.in_order(pairs)


def test_sums_of_many_large_lengths_do_not_overflow() -> None:
    assert exact_sum(np.full(5, MAX_END, dtype=np.int64)) == 5 * MAX_END


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (0, 2**63)])
def test_a_range_that_is_none_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="range"):
        OffsetRange(start, end)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 3), (3, 4), (3, 7), (MAX_END - 1, MAX_END), (MAX_END, MAX_END)])
def test_a_range_has_the_offsets_from_its_start_to_before_its_end(start: int, end: int) -> None:
    one = OffsetRange(start, end)
    assert len(one) == end - start
    assert [offset in one for offset in range(start - 1, end + 2)] == [False, *[True] * (end - start), False, False]
    assert "3" not in one
    assert 3.5 not in one


@pytest.mark.parametrize("value", [-1, MAX_END, 2**63, 2**70, -(2**70), 1.5, "1", None])
def test_what_is_no_offset_is_in_no_set(value: object) -> None:
    assert value not in RangeSet.of((0, MAX_END))


def test_sets_are_equal_when_both_ends_of_every_range_are() -> None:
    ranges = RangeSet.of((0, 5), (8, 9))
    assert ranges == RangeSet.of((8, 9), (0, 3), (2, 5))
    for other in (RangeSet.of((0, 5), (8, 10)), RangeSet.of((0, 5), (7, 9)), RangeSet.of((0, 5)), "[0, 5)"):
        assert ranges != other


def test_nothing_is_left_of_a_set_that_is_cut_to_nothing() -> None:
    assert RangeSet.of((0, 9)).clip(5, 5) == RangeSet.of((0, 9)).clip(5, 3) == EMPTY


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        *(([0], [2**63]), ([-1], [4]), ([5], [4]), ([0.5], [1.0]), ([1, 2], [3]), ([[1]], [[2]])),
        *(([0, 3], [2, 2**63]), ([False], [True]), (0, 5), (["0"], ["5"]), ([3, -1], [4, 0]), ([1, 5], [2, 4])),
    ],
)
def test_a_set_is_never_made_of_values_that_are_no_offsets(starts: Any, ends: Any) -> None:
    with pytest.raises(ValueError):
        RangeSet(starts, ends)


@pytest.mark.parametrize("values", [[2, 2**63], [2, -(2**63) - 1], [2, 1.5], ["2", 3]])
def test_values_of_any_kind_are_taken_when_each_is_an_int64_and_else_refused(values: list[Any]) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        as_int64(np.array(values, dtype=object))
    assert as_int64(np.array([-(2**63), 2**63 - 1], dtype=object)).tolist() == [-(2**63), 2**63 - 1]
    assert as_int64(np.array([1, 2], dtype=np.uint8)).dtype == np.int64


def test_unsigned_offsets_above_the_signed_range_are_refused_and_not_wrapped() -> None:
    with pytest.raises(ValueError, match="64-bit"):
        RangeSet(np.array([0], dtype=np.uint64), np.array([2**63], dtype=np.uint64))


def test_a_set_does_not_change() -> None:
    ranges = RangeSet.of((0, 5))
    for column in (ranges.starts, ranges.ends):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 3
    with pytest.raises(AttributeError, match="does not change"):
        ranges.starts = ranges.ends


def test_the_empty_set_has_no_bounds_and_no_offsets() -> None:
    assert (EMPTY.total, EMPTY.bounds, list(EMPTY)) == (0, None, [])
    assert EMPTY.union(RangeSet.of((1, 2))) == RangeSet.of((1, 2))
    assert RangeSet.of((5, 9), (1, 2), (3, 4)).bounds == OffsetRange(1, 9)
