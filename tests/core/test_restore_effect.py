"""What restoring repeats and skips, against sets of offsets counted one by one."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules, BrokerEvidence, IndexEvidence
from lineage_pipeline.core.flink_metadata import COMMITTED, EARLIEST, LATEST
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.core.offsets import EMPTY, RangeSet, as_int64
from lineage_pipeline.core.restore_effect import RestoreEffect, restore_effect, shown_position

END = 40


def effect(rows: list[tuple[int, int]], position: int | None, explained: RangeSet = EMPTY) -> RestoreEffect:
    builder = CoverageBuilder()
    if rows:
        starts, ends = as_int64([one for one, _ in rows]), as_int64([end for _, end in rows])
        zero = as_int64([0] * len(rows))
        builder.add(IndexRows(zero, starts, ends, ends - starts, zero))
    evidence = AuditEvidence(
        topic="t",
        audited_at=datetime(2026, 11, 22, tzinfo=timezone.utc),
        index=IndexEvidence("read", coverage=builder.build(), files=len(rows)),
        broker=BrokerEvidence("not-consulted"),
        rules=AuditRules(baseline={0: 0}),
    )
    return restore_effect(0, position, decide_partition(0, evidence), explained)


ranges = st.tuples(st.integers(0, END), st.integers(1, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(ranges, max_size=6), st.one_of(st.none(), st.integers(0, END + 9)), st.lists(ranges, max_size=3))
def test_repeats_and_skips_are_what_counting_offset_by_offset_gives(
    rows: list[tuple[int, int]], position: int | None, none_there: list[tuple[int, int]]
) -> None:
    explained = RangeSet.from_pairs(none_there)
    found = effect(rows, position, explained)
    indexed = {offset for start, end in rows for offset in range(start, end)}
    end, start = max(indexed, default=-1) + 1, position or 0
    assert {offset for one in found.repeats for offset in range(one.start, one.end)} == {
        offset for offset in indexed if offset >= start
    }
    lost = {offset for one in found.skips if one.proven for offset in range(one.range.start, one.range.end)}
    assert lost == {offset for offset in range(min(start, end)) if offset not in indexed}
    open_ = {offset for one in found.skips if not one.proven for offset in range(one.range.start, one.range.end)}
    assert open_ == {offset for offset in range(end, start) if offset not in explained}
    assert found.exit_code == (1 if len(found.repeats) or lost else 3 if open_ else 0)
    assert found.index_end == end


def test_an_exact_position_repeats_and_skips_nothing() -> None:
    assert effect([(0, 10), (10, 20)], 20).exit_code == 0


def test_what_may_be_in_files_that_were_not_committed_yet_cannot_be_told() -> None:
    found = effect([(0, 10)], 15)
    assert (found.exit_code, [(str(one.range), one.cause) for one in found.skips]) == (3, [("[10, 15)", "unproven")])


def test_a_partition_that_the_checkpoint_does_not_know_is_read_from_its_beginning() -> None:
    assert effect([(0, 10)], None).repeats.total == 10
    assert effect([(0, 10)], EARLIEST).repeats.total == 10
    assert effect([], None).exit_code == 0


def test_a_source_that_has_read_nothing_yet_begins_where_nobody_knows() -> None:
    for position, words in ((LATEST, "the end of the log"), (COMMITTED, "its group has committed")):
        found = effect([(0, 10)], position)
        assert (found.exit_code, found.repeats.total, found.skips) == (3, 0, ())
        assert words in found.doubt
        assert words in shown_position(position)
