"""A fold is a function of the files: in any order, in any portions, after any relabelling the same value."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.books.fold_file import fold_bytes, parse_fold
from lineage_pipeline.core.coverage import CoverageBuilder, PartitionCoverage
from lineage_pipeline.core.fold import Fold, MergedFile, Owner, lost_ranges, owner_key
from lineage_pipeline.core.ledger_events import Incarnation
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.errors import LedgerError

OLD, NEW = Incarnation("c", "old"), Incarnation("c", None)
RowTuple = tuple[int, int, int, int]  # partition, start, end, count

rows = st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, 6), st.integers(-1, 1)).map(
    lambda one: (one[0], one[1], one[1] + one[2], max(1, one[2] + one[3]))
)
files = st.lists(st.tuples(st.sampled_from([OLD, NEW, "w1", None]), st.lists(rows, max_size=4)), max_size=6)


def coverage(found: list[RowTuple]) -> dict[int, PartitionCoverage]:
    columns = [np.array([row[index] for row in found], dtype=np.int64) for index in range(4)]
    builder = CoverageBuilder()
    builder.add(IndexRows(*columns, quarantined=np.ones(len(found), dtype=np.int64)))
    return builder.build()


def folded(parts: list[tuple[str, Owner, list[RowTuple]]]) -> Fold:
    fold = Fold()
    for key, owner, found in parts:
        fold = fold.with_files({key: MergedFile(len(key), None)}, {owner: coverage(found)} if found else {})
    return fold


def text(fold: Fold) -> bytes:
    return fold_bytes(fold, "t")


@settings(max_examples=200, deadline=None)
@given(files, st.randoms(use_true_random=False))
def test_the_order_of_files_leaves_no_trace(found: list[tuple[Owner, list[RowTuple]]], dice: object) -> None:
    named = [(f"f{number}", owner, listed) for number, (owner, listed) in enumerate(found)]
    shuffled = list(named)
    dice.shuffle(shuffled)  # type: ignore[attr-defined] - hypothesis gives a random.Random
    by_owner: dict[Owner, list[RowTuple]] = {}
    for _, owner, listed in named:
        by_owner.setdefault(owner, []).extend(listed)
    at_once = Fold().with_files(
        {key: MergedFile(len(key), None) for key, _, _ in named},
        {owner: coverage(listed) for owner, listed in by_owner.items() if listed},
    )
    told = text(at_once)
    assert text(folded(named)) == told
    assert text(folded(shuffled)) == told
    assert text(parse_fold(told, "t")) == told


@settings(max_examples=200, deadline=None)
@given(files)
def test_how_often_each_offset_is_covered_is_counted_right(found: list[tuple[Owner, list[RowTuple]]]) -> None:
    fold = folded([(f"f{number}", owner, listed) for number, (owner, listed) in enumerate(found)])
    times = Counter(
        (partition, offset)
        for _, listed in found
        for partition, start, end, count in listed
        if count == end - start
        for offset in range(start, end)
    )
    merged = fold.of(fold.coverage)
    for partition in range(3):
        one = merged.get(partition, PartitionCoverage())
        for offset in range(20):
            assert (offset in one.exact) == ((partition, offset) in times)
        assert one.repeats.surplus() == sum(n - 1 for (number, _), n in times.items() if number == partition)
        assert one.rows == one.quarantined == sum(row[0] == partition for _, listed in found for row in listed)


def test_a_file_is_merged_once() -> None:
    fold = folded([("f", OLD, [(0, 0, 5, 5)])])
    with pytest.raises(ValueError, match="f was merged before"):
        fold.with_files({"f": MergedFile(1, None)}, {})
    twice = fold.with_files({"e": MergedFile(1, None)}, {})
    with pytest.raises(ValueError, match="e was merged before"):
        twice.with_files({"f": MergedFile(1, None), "e": MergedFile(1, None)}, {})


def test_topics_come_before_writers_and_rows_of_nobody_come_last() -> None:
    """Two that have the same names in their places stay apart: so a fold is the same, byte for byte, in any order."""
    ordered = [Incarnation("b", None), Incarnation("b", "x"), Incarnation("c", "a"), "a", "b", "c", None]
    assert sorted(set(ordered), key=owner_key) == ordered
    assert len({owner_key(one) for one in ordered}) == len(ordered)


def test_an_owner_of_whom_there_is_no_row_covers_nothing() -> None:
    fold = folded([("f", OLD, [(0, 0, 5, 5)])])
    assert fold.of([NEW, "w1", None]) == {}
    assert fold.of([NEW, OLD]).keys() == {0}


def test_rows_of_a_writer_go_to_its_incarnation_once_its_record_is_known() -> None:
    fold = folded([("a", "w1", [(0, 0, 5, 5)]), ("b", OLD, [(0, 5, 9, 4)])])
    owned = fold.owned({"w1": OLD, "w2": NEW})
    assert set(owned.coverage) == {OLD}
    assert text(owned) == text(folded([("a", OLD, [(0, 0, 5, 5)]), ("b", OLD, [(0, 5, 9, 4)])]))


def test_what_is_lost_is_what_no_other_file_covers() -> None:
    before = folded([("a", OLD, [(0, 0, 5, 5)]), ("b", OLD, [(0, 5, 9, 4), (1, 0, 3, 2)])])
    after = folded([("a", OLD, [(0, 0, 5, 5)])])
    lost = lost_ranges(before.of([OLD]), after.of([OLD]))
    assert {partition: [str(one) for one in ranges] for partition, ranges in lost.items()} == {
        0: ["[5, 9)"],
        1: ["[0, 3)"],  # an inexact row spans them
    }
    successor = folded([("compacted", OLD, [(0, 0, 9, 9), (1, 0, 3, 3)])])
    assert lost_ranges(before.of([OLD]), successor.of([OLD])) == {}


@pytest.mark.parametrize(
    "spoilt", [b"", b"PAR1", text(Fold())[:-9], text(Fold()).replace(b"lineage-fold/1", b"lineage-fold/2")]
)
def test_what_is_no_whole_fold_of_this_version_is_refused(spoilt: bytes) -> None:
    with pytest.raises(LedgerError):
        parse_fold(spoilt, "t")


def test_a_fold_of_another_topic_is_refused() -> None:
    with pytest.raises(LedgerError, match="'t'"):
        parse_fold(text(Fold()), "u")
