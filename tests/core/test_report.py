"""What a report says beside its figures: which objects hold copies, and up to when what is missing can be put back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.evidence import BrokerEvidence, LakeEvidence
from lineage_pipeline.core.lake_comparison import Held, PartitionLake
from lineage_pipeline.core.memory import Memory, Resolution
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.core.report import build_report
from tests.core.worlds import CLUSTER, NOW, SETTLE, TOPIC_ID, Row, Seen, World, evidence_of


@pytest.mark.parametrize(("files", "told"), [
    ("abcdef", "a, b, c, d, e, f"), ("abcdefgh", "a, b, c, d, e, f and 2 more"),
])  # fmt: skip
def test_a_range_that_is_there_twice_names_the_objects_that_hold_it_and_no_others(files: str, told: str) -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20), Row(0, 5, 8), Row(0, 12, 14))))
    present = RangeSet.of((0, 20))
    copies = (Held(RangeSet.of((5, 8)), tuple(files)), Held(RangeSet.of((12, 14)), ("elsewhere",)))
    lake = LakeEvidence("read", {0: PartitionLake(present=present, copies=copies)})
    (one,) = audit(replace(evidence, lake=lake)).partitions
    assert [(ranged.range.start, ranged.evidence) for ranged in one.ranges] == [
        (5, f"accounted for 2 times: {told}"),
        (12, "accounted for 2 times: elsewhere"),
    ]


def test_each_range_that_is_there_more_than_once_says_how_often_its_own_offsets_are() -> None:
    rows = (Row(0, 0, 20), Row(0, 2, 4), Row(0, 8, 12), Row(0, 10, 12), Row(0, 15, 16), Row(0, 15, 16), Row(0, 15, 16))
    (one,) = audit(evidence_of(World(rows=rows))).partitions
    assert [(str(ranged.range), ranged.evidence) for ranged in one.ranges] == [
        ("[2, 4)", "accounted for 2 times"),
        ("[8, 12)", "accounted for up to 3 times"),
        ("[15, 16)", "accounted for 4 times"),
    ]


def test_each_range_that_is_there_twice_names_its_own_writers() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20), Row(0, 5, 8), Row(0, 12, 14), Row(0, 16, 17))))
    copies = (
        WrittenTwice(0, OffsetRange(5, 8), 2, ("w1", "w2"), whole=True),
        WrittenTwice(0, OffsetRange(8, 14), 2, ("w3",), whole=True),
    )
    (one,) = audit(replace(evidence, memory=Memory(copies=copies))).partitions
    assert [ranged.evidence for ranged in one.ranges] == [
        "accounted for 2 times by w1 and w2",
        "accounted for 2 times by w3 alone",
        "accounted for 2 times",
    ]


def test_an_audit_continues_earlier_ones_also_when_none_of_them_asked_the_broker() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20),)))
    assert audit(evidence).state == "first"
    assert audit(replace(evidence, memory=Memory(looks=1))).state == "continued"


def test_not_everything_can_be_put_back_after_the_first_of_several_ranges_expires() -> None:
    world = World(
        rows=(Row(0, 0, 4), Row(0, 6, 10), Row(0, 12, 20)),
        log=(0, 20, 20),
        seen=(Seen(SETTLE, None, 20, frozenset({4, 5, 10, 11})),),
    )
    evidence = evidence_of(world)
    days = {4: 3, 10: 2}
    resolutions = tuple(
        Resolution(
            *(0, OffsetRange(start, start + 2), "missing", "repairable", "2 records are readable"),
            int((NOW - timedelta(days=7 - left)).timestamp() * 1000),
        )
        for start, left in days.items()
    )
    config = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3600 * 1000)}
    snapshot = BrokerSnapshot(CLUSTER, TOPIC_ID, {0: PartitionOffsets(0, 20, 20)}, config)
    memory = replace(evidence.memory, resolutions=resolutions)
    report = audit(replace(evidence, memory=memory, broker=BrokerEvidence("read", snapshot)))
    assert {one.range.start: one.repairable_until for one in report.partitions[0].ranges} == {
        start: NOW + timedelta(days=left) for start, left in days.items()
    }
    assert report.repairable_until == NOW + timedelta(days=2)
    assert audit(replace(evidence, memory=Memory())).repairable_until is None


def test_a_decision_that_lost_an_offset_is_never_reported() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20),)))
    decision = decide_partition(0, evidence)
    assert build_report(evidence, (decision,)).verdict == "complete"
    with pytest.raises(ValueError, match="do not make up 21 offsets"):
        build_report(evidence, (replace(decision, end=21),))
