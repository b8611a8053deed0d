"""Records become the runs that the job would write, whatever gaps, epochs and times they have."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.index_runs import RunBuilder

RECORD = st.tuples(
    st.integers(1, 3), st.integers(-1, 10**15), st.sampled_from([None, 0, 1]), st.booleans()
)  # step to the offset, timestamp, leader epoch, quarantined


@given(st.lists(RECORD, max_size=60))
def test_runs_cover_exactly_the_records_and_end_where_a_gap_or_another_epoch_is(
    steps: list[tuple[int, int, int | None, bool]],
) -> None:
    builder, offset, records = RunBuilder(3, "w", 7), -1, {}
    for step, timestamp, epoch, quarantined in steps:
        offset += step
        records[offset] = (timestamp, epoch, quarantined)
        builder.add(offset, timestamp, epoch, quarantined=quarantined)
    rows = builder.finish()
    covered = [one for row in rows for one in range(row.min_offset, row.max_offset + 1)]
    assert covered == list(records)
    for row in rows:
        inside = [records[one] for one in range(row.min_offset, row.max_offset + 1)]
        assert (row.kafka_partition, row.writer, row.window_start, row.window_end) == (3, "w", 7, 7)
        assert row.record_count == len(inside)
        assert row.quarantined_count == sum(quarantined for _, _, quarantined in inside)
        assert row.max_timestamp == max(timestamp for timestamp, _, _ in inside)
        assert {epoch for _, epoch, _ in inside} == {row.leader_epoch}
    for one, following in pairwise(rows):
        assert following.min_offset > one.max_offset + 1 or following.leader_epoch != one.leader_epoch


def test_an_offset_that_does_not_rise_is_refused() -> None:
    builder = RunBuilder(0, "w", 0)
    builder.add(5, 0, None, quarantined=False)
    with pytest.raises(ValueError, match="offset 5 after 5"):
        builder.add(5, 0, None, quarantined=False)
