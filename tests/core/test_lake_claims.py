"""What single looks at the lake make of indexed offsets, beside what earlier looks left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from lineage_pipeline.core.audit import audit, lake_observation
from lineage_pipeline.core.coverage import Repeats
from lineage_pipeline.core.decision import decide_partition
from lineage_pipeline.core.evidence import AuditEvidence, LakeEvidence
from lineage_pipeline.core.lake_comparison import Doubt, Held, Lost, PartitionLake
from lineage_pipeline.core.memory import Acceptance, Damage, LakeObservation, Memory, Observation, ObservedPartition
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from tests.core.worlds import NOW, SETTLE, Row, World, evidence_of

# [0, 40) is indexed
INDEXED = evidence_of(World(rows=(Row(0, 0, 40),), start=0))


def held(*ranges: tuple[int, int], **other: Any) -> LakeEvidence:
    """A lake that was read whole, and holds these offsets of partition 0."""
    return LakeEvidence("read", {0: PartitionLake(RangeSet.of(*ranges), **other)})


def look(age: float, *absent: tuple[int, int], damage: tuple[Damage, ...] = (), **other: Any) -> LakeObservation:
    return LakeObservation(NOW - timedelta(seconds=age), {0: RangeSet.of(*absent)}, damage, **other)


def damaged(start: int, end: int, cause: str = "object-missing", partition: int = 0) -> Damage:
    return Damage(partition, RangeSet.of((start, end)), cause, f"an earlier look missed {start}")


def looked(lake: LakeEvidence, *looks: LakeObservation, of: AuditEvidence = INDEXED, **memory: Any) -> AuditEvidence:
    return replace(of, lake=lake, memory=replace(of.memory, lake=looks, **memory))


def ranges(evidence: AuditEvidence) -> list[tuple[str, str, str | None]]:
    """What the report lists, but for what is pending in flight."""
    return [(str(one.range), one.range_class, one.cause) for part in audit(evidence).partitions for one in part.ranges]


def text_of(evidence: AuditEvidence, start: int) -> str:
    return next(one.evidence for one in audit(evidence).partitions[0].ranges if one.range.start == start)


UNREADABLE = LakeEvidence("unreadable", doubts=(Doubt("listing-incomplete", "the listing broke off"),))
LOST = (Lost("object-changed", RangeSet.of((4, 10)), "data file a held them"),)


def test_an_object_that_is_missed_for_the_first_time_is_named_for_its_offsets_alone() -> None:
    first = looked(held((0, 4), (20, 40), lost=LOST))
    assert ranges(first) == [("[4, 20)", "pending", "suspected")]
    (tile,) = [one for one in decide_partition(0, first).tiles if one.offset_class == "pending"]
    assert [(offsets, "data file a held them" in text) for offsets, text in tile.notes] == [
        (RangeSet.of((4, 10)), True),
        (RangeSet.of((10, 20)), False),
    ]


def test_the_second_look_names_the_cause_of_each_offset_and_what_was_forgotten_keeps_its_own() -> None:
    again = looked(
        held((0, 4), (20, 40), lost=LOST),
        look(SETTLE, (4, 18), damage=(damaged(10, 12), damaged(12, 14, "not-committed"))),
    )
    assert ranges(again) == [
        ("[4, 10)", "damaged", "object-changed"),
        ("[10, 12)", "damaged", "object-missing"),
        ("[12, 18)", "damaged", "not-committed"),
        ("[18, 20)", "pending", "suspected"),
    ]
    assert text_of(again, 10) == "an earlier look missed 10"
    assert "no object that was ever seen" in text_of(again, 12)


def test_two_looks_agree_only_on_what_every_whole_look_in_between_missed_too() -> None:
    now = held((0, 4), (20, 40))
    assert ranges(looked(now, look(SETTLE, (4, 20)), look(1, (4, 8)))) == [
        ("[4, 8)", "damaged", "not-committed"),
        ("[8, 20)", "pending", "suspected"),
    ]
    assert ranges(looked(now, look(SETTLE, (4, 8)), look(1, (4, 20)))) == [
        ("[4, 8)", "damaged", "not-committed"),
        ("[8, 20)", "pending", "suspected"),
    ]
    # of looks older than the settle time each is one of the two, if nothing was there since
    assert ranges(looked(now, look(3 * SETTLE, (4, 6)), look(2 * SETTLE, (4, 20)), look(1, (4, 20)))) == [
        ("[4, 20)", "damaged", "not-committed")
    ]
    assert ranges(looked(now, look(SETTLE - 1, (4, 20)))) == [("[4, 20)", "pending", "suspected")]


def test_damage_stays_damage_whatever_becomes_of_the_settle_time_and_of_the_manifest() -> None:
    """The looks that proved it may be younger than a settle time that was raised since."""
    known = look(1, (4, 8), damage=(damaged(4, 8),))
    again = looked(held((0, 4), (8, 40)), known)
    assert ranges(again) == [("[4, 8)", "damaged", "object-missing")]
    assert ranges(looked(held((0, 6), (8, 40)), known)) == [("[6, 8)", "damaged", "object-missing")]
    assert ranges(looked(held((0, 40)), known)) == []
    found = lake_observation(again, audit(again), NOW)
    assert found is not None
    assert [(one.ranges, one.cause) for one in found.damage] == [(RangeSet.of((4, 8)), "object-missing")]


def test_damage_that_is_remembered_is_of_its_partition_and_of_offsets_that_are_still_indexed() -> None:
    two = evidence_of(World(rows=(Row(0, 0, 40), Row(1, 0, 40)), start=0))
    unread = (LakeEvidence(), UNREADABLE)
    known = look(1, damage=(damaged(4, 8), damaged(6, 9, "object-changed", partition=1)))
    assert ranges(looked(unread[0], known, of=two)) == [
        ("[4, 8)", "damaged", "object-missing"),
        ("[6, 9)", "damaged", "object-changed"),
    ]
    # the index file with [4, 6) was refused, or vanished: they are not indexed any more
    holed = evidence_of(World(rows=(Row(0, 0, 4), Row(0, 6, 40)), start=0))
    for lake in unread:
        found = ranges(looked(lake, known, of=holed, vanished={0: RangeSet.of((4, 6))}))
        assert ("[4, 6)", "unknown", "index-vanished") in found
        assert ("[6, 8)", "damaged", "object-missing") in found


def test_an_accepted_gap_takes_its_offsets_out_of_the_damage_and_no_others() -> None:
    taken = (Acceptance(0, OffsetRange(5, 7), "known", "ann"),)
    known = look(SETTLE, (4, 8), damage=(damaged(4, 8),))
    expected = [
        ("[4, 5)", "damaged", "object-missing"),
        ("[5, 7)", "accepted", None),
        ("[7, 8)", "damaged", "object-missing"),
    ]
    for lake in (LakeEvidence(), UNREADABLE, held((0, 4), (8, 40))):
        assert [one for one in ranges(looked(lake, known, acceptances=taken)) if one[1] != "unknown"] == expected
    # they are there: nothing is left to take on
    assert ranges(looked(held((0, 40)), known, acceptances=taken)) == []


def test_what_was_not_looked_at_may_hold_all_that_is_absent_unless_only_what_a_broken_object_holds_is_open() -> None:
    before, lake = look(SETTLE, (4, 20)), held((0, 4), (20, 40), lost=LOST)
    unread = looked(replace(lake, doubts=(Doubt("budget", "unread"),)), before)
    assert ranges(unread) == [("[4, 20)", "unknown", "budget")]
    assert lake_observation(unread, audit(unread), NOW) is None
    broken = looked(replace(lake, doubts=(Doubt("unproven", "b is broken", of_lost=False),)), before)
    assert ranges(broken) == [("[4, 10)", "damaged", "object-changed"), ("[10, 20)", "unknown", "unproven")]
    assert lake_observation(broken, audit(broken), NOW) is not None
    first = replace(broken, memory=Memory())
    assert ranges(first) == [("[4, 10)", "pending", "suspected"), ("[10, 20)", "unknown", "unproven")]


def test_what_left_by_the_rule_of_retention_is_explained_and_only_where_it_is_absent() -> None:
    gone = looked(held((0, 4), (6, 40), retired=RangeSet.of((2, 5))), look(SETTLE, (4, 6)))
    assert ranges(gone) == [
        ("[4, 5)", "explained", "lake-retention"),
        ("[5, 6)", "damaged", "not-committed"),
    ]
    assert audit(looked(held((0, 4), (6, 40), retired=RangeSet.of((4, 6))))).verdict == "complete"


def test_offsets_without_an_index_row_are_unproven_once_they_are_due_and_stay_to_be_looked_at() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 10), Row(0, 30, 40)), start=0, log=(0, 60, 60)))
    holders = (Held(RangeSet.of((12, 16)), ("data file a",)), Held(RangeSet.of((14, 20), (45, 50)), ("data file b",)))
    lake = held((0, 10), (12, 20), (30, 40), (45, 50), unindexed=holders)
    vanished = {0: RangeSet.of((13, 15))}
    seen = Observation(NOW - timedelta(seconds=SETTLE), {0: ObservedPartition(60, 60, 0, RangeSet.of((10, 18)))})
    found = replace(evidence, lake=lake, memory=Memory(observations=(seen,), vanished=vanished))
    assert ranges(found) == [
        ("[10, 12)", "unknown", "unresolved"),
        ("[12, 13)", "unknown", "unproven"),
        ("[13, 15)", "unknown", "index-vanished"),
        ("[15, 18)", "unknown", "unproven"),
        ("[18, 30)", "pending", "suspected"),
    ]
    assert "data file a" in text_of(found, 12)
    assert "data file a" in text_of(found, 13)
    assert "data file b" in text_of(found, 15)
    assert decide_partition(0, found).holes == RangeSet.of((10, 30))


def replayed(*looks: LakeObservation, lake: LakeEvidence) -> tuple[int, Mapping[int, int] | None]:
    """Of how many records the finding says that they were replayed, and what is left for the next audit."""
    evidence = looked(lake, *looks, of=evidence_of(World(rows=(Row(0, 0, 40, quarantined=9),), start=0)))
    report = audit(evidence)
    (found,) = [one for one in report.findings if one.kind == "quarantine"]
    left = lake_observation(evidence, report, NOW)
    return found.data.get("replayed", 0), left and left.replayed


def test_what_was_replayed_is_counted_by_a_whole_look_and_else_remembered() -> None:
    before = (look(50, replayed={0: 4}), look(20, replayed={0: 3}))
    # two of four are indexed
    now = held((0, 42), replayed=RangeSet.of((38, 42)), repeats=Repeats())
    assert replayed(*before, lake=now) == (2, {0: 2})
    assert replayed(*before, lake=held((0, 40))) == (0, {})
    assert replayed(*before, lake=LakeEvidence()) == (3, None)
    assert replayed(*before, lake=replace(now, doubts=(Doubt("budget", "unread"),))) == (3, None)
    assert replayed(lake=LakeEvidence()) == (0, None)
    # a partition that the index does not have counts nothing
    elsewhere = LakeEvidence("read", {**now.partitions, 7: PartitionLake(replayed=RangeSet.of((0, 5)))})
    assert replayed(lake=elsewhere) == (2, {0: 2})
