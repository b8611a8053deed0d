"""Which offsets are read again and in which windows: never more than allowed, never what is settled or gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, unknown_offsets
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.evidence import AuditEvidence, BrokerEvidence, LakeEvidence
from lineage_pipeline.core.hole_reading import (
    FoundRun,
    HoleBudget,
    OpenOffsets,
    Round,
    Scan,
    open_offsets,
    out_of_reach,
    readable_offsets,
    short_window_rounds,
    still_holding,
    windows,
)
from lineage_pipeline.core.lake_comparison import PartitionLake
from lineage_pipeline.core.memory import Observation, ObservedPartition, Resolution
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from tests.core.worlds import CLUSTER, NOW, SETTLE, TOPIC_ID, Row, Seen, World, evidence_of

END = 2**40


def planned(due: dict[int, RangeSet], ranges: int = 10_000) -> list[Round]:
    opened = {partition: OpenOffsets(holes, EMPTY) for partition, holes in due.items()}
    return windows(opened, dict.fromkeys(due, PartitionOffsets(0, END, END)), ranges)


def told(rounds: list[Round]) -> list[list[tuple[int, int, int]]]:
    return [[(one.partition, one.range.start, one.range.end) for one in reading] for reading in rounds]


def test_the_budget_is_the_documented_one() -> None:
    assert HoleBudget() == HoleBudget(bytes=268_435_456, seconds=60.0, ranges=100_000)  # docs/audit.md


@pytest.mark.parametrize(
    ("holes", "together"),
    [
        (((0, 1), (1_001, 1_002)), True),  # a thousand offsets are read through
        (((0, 1), (1_002, 1_003)), False),
        (((0, 19_500), (19_999, 20_000)), True),  # a window is twenty thousand wide at most
        (((0, 19_500), (20_000, 20_001)), False),
    ],
)
def test_holes_are_read_in_one_window_as_long_as_that_is_cheap(
    holes: tuple[tuple[int, int], ...], together: bool
) -> None:
    rounds = planned({0: RangeSet.of(*holes)})
    assert told(rounds) == (
        [[(0, holes[0][0], holes[-1][1])]] if together else [[(0, start, end)] for start, end in holes]
    )


def test_a_budget_of_ranges_is_shared_by_all_partitions_and_counts_every_part() -> None:
    far = RangeSet.of((0, 1), (5_000, 5_001), (10_000, 10_001))
    assert told(planned({0: far, 1: far}, 3)) == [
        [(0, 0, 1), (1, 0, 1)],
        [(0, 5_000, 5_001)],
    ]
    near = RangeSet.of((0, 1), (10, 11), (20, 21), (5_000, 5_001))
    assert told(planned({0: near, 1: near}, 4)) == [[(0, 0, 21), (1, 0, 21)]]
    assert told(planned({0: near, 1: far}, 3)) == [[(0, 0, 21)]]
    # one partition has more to read than the other
    assert told(planned({0: RangeSet.of((0, 1)), 1: far})) == [
        [(0, 0, 1), (1, 0, 1)],
        [(1, 5_000, 5_001)],
        [(1, 10_000, 10_001)],
    ]


def test_the_tail_is_read_up_to_the_last_stable_offset_whatever_the_writers_isolation() -> None:
    world = World(rows=(Row(0, 0, 20),), log=(0, 25, 30))
    for isolated in (True, False):
        assert open_offsets(evidence_of(replace(world, read_committed=isolated)))[0].tail == RangeSet.of((20, 25))
        never = replace(world, rows=(), read_committed=isolated)
        assert open_offsets(evidence_of(never))[0] == OpenOffsets(EMPTY, RangeSet.of((0, 25)))
        assert open_offsets(evidence_of(replace(never, log=(0, 0, 5)))) == {}


def test_a_hole_is_read_where_nothing_waits_behind_it_and_not_where_an_object_of_the_lake_holds_it() -> None:
    seen = (Seen(SETTLE, None, 20, frozenset({10, 11})),)
    evidence = evidence_of(World(rows=(Row(0, 0, 10), Row(0, 12, 20)), log=(0, 20, 20), seen=seen))
    assert open_offsets(evidence) == {0: OpenOffsets(RangeSet.of((10, 12)), EMPTY)}
    lake = LakeEvidence("read", {0: PartitionLake(present=RangeSet.of((0, 11), (12, 20)))})
    assert open_offsets(replace(evidence, lake=lake)) == {0: OpenOffsets(RangeSet.of((11, 12)), EMPTY)}


SHORT = evidence_of(
    World(rows=(Row(0, 0, 10, count=8), Row(0, 10, 20), Row(0, 20, 30, count=7), Row(0, 22, 24)), log=(0, 30, 30))
)


def short(evidence: AuditEvidence, ranges: int = 100) -> list[list[tuple[int, int, int]]]:
    return told(short_window_rounds(evidence, ranges))


def ending(log_start: int, last_stable: int, end: int = 30) -> AuditEvidence:
    offsets = {0: PartitionOffsets(log_start, last_stable, end)}
    return replace(SHORT, broker=BrokerEvidence("read", BrokerSnapshot(CLUSTER, TOPIC_ID, offsets)))


def test_a_short_window_is_read_whole_or_not_at_all() -> None:
    (first,), (second,) = short_window_rounds(SHORT, 100)
    assert (first.range, first.holes, first.tail) == (OffsetRange(0, 10), RangeSet.of((0, 10)), False)
    assert (second.range, second.holes) == (OffsetRange(20, 30), RangeSet.of((20, 22), (24, 30)))
    assert short(ending(1, 30)) == short(ending(20, 30)) == [[(0, 20, 30)]]
    assert short(ending(21, 30)) == []
    assert short(ending(0, 29)) == short(ending(0, 10)) == [[(0, 0, 10)]]
    assert short(ending(0, 9)) == []
    assert short(SHORT, 1) == [[(0, 0, 10)]]


def test_short_windows_are_read_only_of_the_topic_that_they_are_about() -> None:
    (mine,) = SHORT.index.deployments
    stranger = replace(SHORT.index, deployments=(replace(mine, topic_id="older"),))
    for doubtful in (
        replace(SHORT, index=stranger),
        replace(SHORT, index=replace(SHORT.index, status="unreadable")),
        replace(SHORT, broker=BrokerEvidence("not-consulted")),
    ):
        assert short(doubtful) == []


def test_what_a_writer_can_read_is_what_was_read_in_its_isolation_level() -> None:
    def scan(partition: int, isolation: Isolation, *runs: tuple[int, int]) -> Scan:
        return Scan(partition, isolation, OffsetRange(0, 30), 30, tuple(FoundRun(*run) for run in runs))

    scans = (
        scan(0, "read_committed", (2, 4)),
        scan(0, "read_uncommitted", (2, 6)),
        scan(0, "read_committed", (4, 5), (9, 10)),
        scan(1, "read_committed", (7, 8)),
    )
    assert readable_offsets(scans, "read_committed") == {0: RangeSet.of((2, 5), (9, 10)), 1: RangeSet.of((7, 8))}
    assert readable_offsets(scans, "read_uncommitted") == {0: RangeSet.of((2, 6))}


def test_what_was_not_found_out_is_found_out_anew_though_the_broker_answers() -> None:
    def one(cause: str) -> Resolution:
        return Resolution(0, OffsetRange(10, 20), "unknown", cause, "then")

    causes = ("budget", "unresolved", "broker-unreachable", "incarnation")
    assert still_holding(tuple(one(cause) for cause in causes), {0: PartitionOffsets(15, 30, 30)}) == []


def test_a_hole_is_out_of_reach_while_its_partition_is_silent_and_the_log_may_hold_it() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 10), Row(0, 12, 20)), log=(0, 20, 20)))
    assert not out_of_reach(evidence, ())  # it is read
    silent = BrokerEvidence("read", BrokerSnapshot(CLUSTER, TOPIC_ID, {0: unknown_offsets("no leader")}))
    assert out_of_reach(replace(evidence, broker=silent), ())
    assert not out_of_reach(replace(evidence, broker=BrokerEvidence("unreadable")), ())
    whole = evidence_of(World(rows=(Row(0, 0, 20),), log=(0, 20, 20)))
    assert not out_of_reach(replace(whole, broker=silent), ())

    def read(start: int, end: int, partition: int = 0) -> Resolution:
        return Resolution(partition, OffsetRange(start, end), "missing", "repairable", "then")

    assert not out_of_reach(replace(evidence, broker=silent), (read(10, 12),))
    for short in (read(10, 11), read(10, 12, partition=1)):
        assert out_of_reach(replace(evidence, broker=silent), (short,))
    for log_start, reach in ((None, True), (11, True), (12, False)):
        looks = (Observation(NOW, {0: ObservedPartition(log_start=log_start)}), Observation(NOW, {}))
        seen = replace(evidence, broker=silent, memory=replace(evidence.memory, observations=looks))
        assert out_of_reach(seen, ()) is reach
