"""What an audit adds to the ledger: each fact once, nothing that was not sure, and when it has to list closed days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest
from hypothesis import given, settings

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.audit_events import Look, events_of, needs_closed_days
from lineage_pipeline.core.broker_snapshot import unknown_offsets
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.evidence import AuditEvidence, BrokerEvidence, IndexEvidence, LakeEvidence
from lineage_pipeline.core.hole_reading import still_holding
from lineage_pipeline.core.lake_comparison import PartitionLake
from lineage_pipeline.core.ledger import LedgerState, replay
from lineage_pipeline.core.ledger_events import (
    BaselineResolved,
    Event,
    FoldWritten,
    GapChanged,
    HoleResolved,
    Incarnation,
    IncarnationOpened,
    Judged,
    LakeLooked,
    Listing,
    Looked,
    Proven,
    WritersSeen,
)
from lineage_pipeline.core.memory import Resolution
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from tests.core.worlds import CLUSTER, NOW, SETTLE, TOPIC_ID, Row, Seen, World, evidence_of, worlds

HOLE = World(rows=(Row(0, 0, 10), Row(0, 12, 20)), log=(0, 20, 20))
CONFIRMED = replace(HOLE, seen=(Seen(SETTLE, None, 20, frozenset({10, 11})),))
LATER = NOW + timedelta(seconds=5)
FOLD = FoldWritten("digest")
Kind = TypeVar("Kind")


def look_of(evidence: AuditEvidence, listing: Listing = "open-days") -> Look:
    return Look(evidence, audit(evidence), LATER, listing)


def of_kind(kind: type[Kind], events: tuple[Event, ...]) -> list[Kind]:
    return [one for one in events if isinstance(one, kind)]


def added(kind: type[Kind], evidence: AuditEvidence, listing: Listing = "open-days") -> list[Kind]:
    return of_kind(kind, events_of(look_of(evidence, listing), LedgerState(), FOLD))


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_a_look_that_sees_what_the_one_before_saw_adds_only_that_it_looked(world: World) -> None:
    evidence = evidence_of(world)
    snapshot = evidence.broker.snapshot
    resolutions = still_holding(evidence.memory.resolutions[:1], snapshot.partitions if snapshot else {})
    twice = WrittenTwice(0, OffsetRange(world.base, world.base + 5), 2, ("w1",), whole=True)
    memory = replace(evidence.memory, resolutions=tuple(resolutions), copies=(twice,))
    for listing in ("open-days", "full"):
        look = look_of(replace(evidence, memory=memory), listing)
        first = events_of(look, LedgerState(), FOLD)
        assert of_kind(FoldWritten, first) == [FOLD]
        again = events_of(look, replay(first), FOLD)
        assert [type(one) for one in again] == [Looked, Proven]
        assert [type(one) for one in events_of(look, replay(first), None)] == [Looked, Proven]


def test_a_fold_that_was_written_before_the_last_one_is_told_again() -> None:
    state = replay([FoldWritten("digest"), FoldWritten("other")])
    assert of_kind(FoldWritten, events_of(look_of(evidence_of(HOLE)), state, FOLD)) == [FOLD]


def test_a_look_keeps_how_far_the_index_reached_and_what_it_counted_unless_it_could_not_be_read() -> None:
    evidence = evidence_of(replace(HOLE, rows=(Row(0, 0, 10, quarantined=2), Row(1, 4, 7))))
    (seen,) = added(Looked, evidence)
    assert (seen.index_ends, seen.counted, seen.refused) == ({0: 10, 1: 7}, (13, 2), False)
    assert (seen.began_at, seen.finished_at, list(seen.partitions)) == (NOW, LATER, [0])
    blind = replace(evidence, index=IndexEvidence("unreadable", problems=("gone",)))
    events = events_of(look_of(blind), LedgerState(), None)
    assert events == (Looked(NOW, LATER, "undetermined", "open-days", refused=True),)


def test_what_is_of_another_topic_is_not_kept_to_be_compared_with_this_one() -> None:
    lake = LakeEvidence("read", {0: PartitionLake(present=RangeSet.of((0, 10)))})
    for topic_id, kept in ((TOPIC_ID, 1), ("older", 0)):
        evidence = replace(evidence_of(replace(HOLE, topic_id=topic_id)), lake=lake)
        assert len(added(LakeLooked, evidence)) == kept
        assert len(added(BaselineResolved, evidence)) == kept
        (seen,) = added(Looked, evidence)
        assert len(seen.partitions) == kept


def test_a_baseline_is_resolved_only_when_nothing_unread_could_have_made_it_lower() -> None:
    evidence = evidence_of(HOLE)
    index, snapshot = evidence.index, evidence.broker.snapshot
    assert snapshot is not None
    assert added(BaselineResolved, evidence) == [BaselineResolved(0, 0, "writer w1")]
    silent = replace(snapshot, partitions={0: unknown_offsets("no leader")})
    headless = evidence_of(World(rows=(Row(0, 5, 20),), start=None, log=(2, 20, 20)))
    for unsure in (
        replace(evidence, index=replace(index, problems=("a file was refused",))),
        replace(evidence, index=replace(index, deployment_problems=("a record was refused",))),
        replace(evidence, broker=BrokerEvidence("unreadable", problem="gone")),
        replace(evidence, broker=BrokerEvidence("read", silent)),
        headless,
    ):
        assert added(BaselineResolved, unsure) == []
    assert added(BaselineResolved, replace(evidence, broker=BrokerEvidence("not-consulted"))) != []


def test_writers_are_told_when_they_are_new() -> None:
    evidence = evidence_of(HOLE)
    index = replace(evidence.index, sealed_writers=frozenset({"w0"}))
    look = look_of(replace(evidence, index=index))
    for known, new in (((), ("w0", "w1")), (("w0",), ("w1",)), (("w0", "w1", "w2"), None)):
        state = replay([WritersSeen(known)])
        assert of_kind(WritersSeen, events_of(look, state, None)) == ([WritersSeen(new)] if new else [])


def test_what_reading_again_showed_is_kept_where_it_cannot_turn_out_otherwise() -> None:
    evidence = evidence_of(CONFIRMED)
    snapshot = evidence.broker.snapshot
    assert snapshot is not None

    def kept(*causes: tuple[str, str], transactional: bool = False) -> list[tuple[str, RangeSet]]:
        found = tuple(
            Resolution(0, OffsetRange(10 + number, 11 + number), name, cause, "read")  # type: ignore[arg-type]
            for number, (name, cause) in enumerate(causes)
        )
        memory = replace(evidence.memory, resolutions=found, transactional=transactional)
        return [(one.cause, one.ranges) for one in added(HoleResolved, replace(evidence, memory=memory))]

    assert kept(("explained", "aborted"), ("missing", "repairable")) == [
        ("aborted", RangeSet.of((10, 11))),
        ("repairable", RangeSet.of((11, 12))),
    ]
    assert kept(("explained", "aborted"), ("explained", "aborted")) == [("aborted", RangeSet.of((10, 12)))]
    assert kept(("unknown", "budget"), ("unknown", "unresolved")) == []
    # whether the log's start has passed a record or a marker is a guess until transactions are known
    assert kept(("missing", "expired")) == []
    assert kept(("missing", "expired"), transactional=True) == [("expired", RangeSet.of((10, 11)))]
    nobody = replace(evidence, broker=BrokerEvidence("not-consulted"))
    memory = replace(evidence.memory, resolutions=(Resolution(0, OffsetRange(10, 12), "explained", "aborted", "x"),))
    assert added(HoleResolved, replace(nobody, memory=memory)) == []


def test_a_gap_heals_only_where_it_is_accounted_for_again() -> None:
    state = replay(
        [
            IncarnationOpened(NOW, Incarnation(CLUSTER, TOPIC_ID)),
            GapChanged(NOW, None, 0, RangeSet.of((8, 17)), "opened"),
        ]
    )
    # indexed up to 10, an explained one, one that a person took on, one that is still missing, indexed from 12
    world = World(
        rows=(Row(0, 0, 10), Row(0, 14, 16), Row(0, 18, 20)),
        accepted=((11, 12),),
        resolved=((10, 11, "explained", "aborted"),),
    )
    changes = of_kind(GapChanged, events_of(look_of(evidence_of(world)), state, None))
    incarnation = Incarnation(CLUSTER, TOPIC_ID)
    assert changes == [
        GapChanged(LATER, incarnation, 0, RangeSet.of((17, 18)), "opened"),
        GapChanged(LATER, incarnation, 0, RangeSet.of((8, 11), (14, 16)), "healed"),
    ]


def test_damage_opens_a_gap_too() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20),)))
    lake = LakeEvidence("read", {0: PartitionLake(present=RangeSet.of((0, 15)))})
    before = replace(evidence, audited_at=NOW - timedelta(hours=1), lake=lake)
    (first,) = added(LakeLooked, before)
    memory = replay([first]).memory()
    (opened,) = added(GapChanged, replace(evidence, audited_at=NOW + timedelta(hours=1), lake=lake, memory=memory))
    assert (opened.status, opened.ranges) == ("opened", RangeSet.of((15, 20)))


def test_only_what_a_full_listing_saw_by_two_looks_is_judged() -> None:
    assert added(Judged, evidence_of(HOLE), "full") == []  # the second look comes later
    assert added(Judged, evidence_of(CONFIRMED), "full") == [Judged({0: RangeSet.of((10, 12))})]
    assert added(Judged, evidence_of(CONFIRMED), "open-days") == []
    known = replay([Judged({0: RangeSet.of((10, 12))})])
    healed = evidence_of(World(rows=(Row(0, 0, 20),), log=(0, 20, 20)))
    assert of_kind(Judged, events_of(look_of(healed, "full"), known, None)) == [Judged({})]


@pytest.mark.parametrize("listing", ["open-days", "full"])
def test_closed_days_are_listed_when_something_is_in_no_book_that_no_full_listing_has_judged(listing: Listing) -> None:
    def needed(evidence: AuditEvidence, judged: dict[int, RangeSet]) -> bool:
        return needs_closed_days(look_of(evidence, listing), judged)

    partial = listing == "open-days"
    hole = RangeSet.of((10, 12))
    assert needed(evidence_of(HOLE), {}) == partial
    assert needed(evidence_of(CONFIRMED), {0: RangeSet.of((10, 11))}) == partial
    assert not needed(evidence_of(CONFIRMED), {0: hole})
    two = evidence_of(replace(HOLE, log=None, rows=(*HOLE.rows, Row(1, 0, 5))))
    assert needed(two, {}) == partial  # one partition is enough
    # what a writer went on behind may be in a file that was held back
    given_up = evidence_of(replace(HOLE, skipped=((10, 12),)))
    assert needed(given_up, {}) == partial
    assert not needed(given_up, {0: hole})
    assert not needed(evidence_of(World(rows=(Row(0, 0, 20),), log=(0, 30, 30))), {})


def test_of_an_index_that_cannot_be_read_no_day_is_listed_again() -> None:
    evidence = evidence_of(replace(CONFIRMED, resolved=((10, 12, "missing", "repairable"),)))
    assert needs_closed_days(look_of(evidence), {})
    blind = replace(evidence, index=IndexEvidence("unreadable", problems=("gone",)))
    assert not needs_closed_days(look_of(blind), {})
