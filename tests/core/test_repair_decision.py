"""What a repair may write, against an oracle that decides offset by offset, and why not the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.baseline import Baseline
from lineage_pipeline.core.coverage import PartitionCoverage, Repeats
from lineage_pipeline.core.decision import PartitionDecision, Tile
from lineage_pipeline.core.held_back import JobSigns, SeenMissing
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.repair_claim import Chunk, RepairClaim
from lineage_pipeline.core.repair_decision import PlanFacts, UnfinishedRepair, open_now, plan_repair
from lineage_pipeline.core.repair_plan import RepairPlan
from lineage_pipeline.core.report import AuditReport, PartitionReport, ReportedRange

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
SPAN = 14
State = tuple[str, str | None]

STATES: tuple[State, ...] = (
    *(("indexed", None), ("missing", "repairable"), ("damaged", "object-missing"), ("damaged", "not-committed")),
    *(("missing", "expired"), ("missing", "truncated"), ("missing", "unresolved"), ("accepted", None)),
    *(("pending", "suspected"), ("pending", "stalled"), ("pending", "open-transaction"), ("explained", "aborted")),
    *(("unknown", "unresolved"), ("unknown", "index-vanished")),
)


def runs(states: list[State]) -> Iterator[tuple[OffsetRange, State]]:
    for state, numbered in groupby(enumerate(states), lambda one: one[1]):
        offsets = [offset for offset, _ in numbered]
        yield OffsetRange(offsets[0], offsets[-1] + 1), state


def partition_report(partition: int, states: list[State], doubled: tuple[OffsetRange, ...] = ()) -> PartitionReport:
    found = list(runs(states))
    listed = [
        ReportedRange(one, state[0], state[1], f"seen {state[0]}", NOW)  # type: ignore[arg-type] - one of the classes
        for one, state in found
        if state[0] != "indexed"
    ]
    listed += [ReportedRange(one, "duplicated", None, "twice") for one in doubled]
    tiles = tuple(
        Tile(RangeSet.of(one), state[0], state[1], ((RangeSet.of(one), ""),))  # type: ignore[arg-type]
        for one, state in found
    )
    decision = PartitionDecision(
        partition, "loss", Baseline(0, "x"), len(states), tiles, Repeats(), PartitionCoverage(), EMPTY
    )
    return PartitionReport(partition, "loss", 0, len(states), 0, {}, tuple(listed), decision)


def report_of(*partitions: PartitionReport, **books: str) -> AuditReport:
    read = {"index": "read", "broker": "read", "lake": "read", **books}
    return AuditReport("t", "c", "i", NOW, read, "first", "loss", {}, partitions, (), ())  # type: ignore[arg-type]


def claim(number: int, topic_id: str | None = "i", cluster_id: str = "c") -> RepairClaim:
    return RepairClaim(number, "t", cluster_id, topic_id, {}, {}, 100, "read_committed", "g", 60.0, NOW, "ann")


def set_of(offsets: set[int]) -> RangeSet:
    return RangeSet.from_pairs((one, one + 1) for one in offsets)


@dataclass(frozen=True)
class Case:
    """States of each offset by partition, and what else a plan is made from."""

    states: tuple[list[State], list[State]]
    lake: bool
    chunks: tuple[tuple[int, int, frozenset[int], frozenset[int], bool], ...]  # claim, partition, lost, damaged, begun
    replayable: frozenset[int]  # of partition 0
    seen: frozenset[int]  # of partition 1: early enough to say that the job does not bring them any more
    finished: bool

    def facts(self) -> PlanFacts:
        chunks = [
            (number, Chunk(p, set_of({*lost}), set_of({*bad})), begun) for number, p, lost, bad, begun in self.chunks
        ]
        claims = {1: claim(1), 2: claim(2), 3: claim(3, topic_id="other"), 4: claim(4, cluster_id="other")}
        unfinished = tuple(
            UnfinishedRepair(
                one,
                tuple(chunk for number, chunk, _ in chunks if number == key),
                frozenset(chunk for number, chunk, begun in chunks if number == key and begun),
            )
            for key, one in claims.items()
        )
        return PlanFacts(
            report_of(
                *(partition_report(number, states) for number, states in enumerate(self.states)),
                lake="read" if self.lake else "not-consulted",
            ),
            JobSigns(finished=self.finished, alive_at=NOW, interval=60.0),
            {1: (SeenMissing(NOW - timedelta(seconds=60), set_of({*self.seen})),)},
            unfinished,
            replayable={0: set_of({*self.replayable})},
        )


# strategies are made once: hypothesis looks into each that it has not met before
STATE_OF_EACH = st.lists(st.sampled_from(STATES), min_size=SPAN, max_size=SPAN)
NUMBERS = st.sampled_from([1, 1, 2, 3, 4])
LOST_ONES, REPLAYABLE_ONES = (
    st.frozensets(st.integers(0, SPAN - 1), min_size=low, max_size=high) for low, high in [(1, 4), (0, 6)]
)
SEEN_ONES = st.just(frozenset(range(SPAN))) | st.frozensets(st.integers(0, SPAN - 1))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    chunks, used = [], set()
    for _ in range(draw(st.integers(0, 3))):
        partition = draw(st.integers(0, 1))
        number = draw(NUMBERS)
        offsets = draw(LOST_ONES)
        offsets -= {offset for where, offset in used if where == partition}
        bad = draw(st.frozensets(st.sampled_from(sorted(offsets)))) if offsets else offsets
        if offsets:
            used |= {(partition, offset) for offset in offsets}
            chunks.append((number, partition, offsets - bad, bad, draw(st.booleans())))
    return Case(
        (draw(STATE_OF_EACH), draw(STATE_OF_EACH)),
        draw(st.booleans()),
        tuple(chunks),
        draw(REPLAYABLE_ONES),
        draw(SEEN_ONES),
        draw(st.booleans()),
    )


def fates(case: Case) -> Counter[tuple[int, int, str]]:
    """What becomes of each offset: planned as lost or damaged, resumed, left with the repair that began, refused."""
    found: Counter[tuple[int, int, str]] = Counter()
    resumed, taken = set(), set()
    for number, partition, lost, bad, begun in case.chunks:
        states = case.states[partition]
        if number > 2:
            continue  # of another topic
        taken |= {(partition, offset) for offset in lost | bad}
        if begun and any(states[offset][0] == "indexed" for offset in lost):
            found.update((partition, offset, "left alone") for offset in lost | bad)
        else:
            resumed |= {(partition, one) for one in lost | bad if begun or is_open(states[one])}
    found.update((partition, offset, "resumed") for partition, offset in resumed)
    for partition, states in enumerate(case.states):
        for offset, state in enumerate(states):
            place = (partition, offset)
            if place not in (taken if is_open(state) else resumed):
                found.update((partition, offset, fate) for fate in fate_of(case, partition, offset, state))
    return found


def fate_of(case: Case, partition: int, offset: int, state: State) -> list[str]:
    """What becomes of an offset that no earlier repair has taken on."""
    if not is_open(state):
        return [] if state[0] in {"indexed", "explained"} else [f"refused {state[0]}"]
    if state[0] == "damaged" and partition == 0 and offset in case.replayable:
        return ["refused, replay"]
    if state[0] == "damaged" and not case.lake:
        return ["refused, lake"]
    if not case.finished and not (partition == 1 and offset in case.seen):
        return ["held back"]
    return ["damaged" if state[0] == "damaged" else "lost"]


def is_open(state: State) -> bool:
    return state[0] == "damaged" or state == ("missing", "repairable")


def told(plan: RepairPlan) -> Counter[tuple[int, int, str]]:
    found: Counter[tuple[int, int, str]] = Counter()
    for one in plan.planned:
        found.update((one.partition, offset, one.kind) for offset in range(one.range.start, one.range.end))
    for task in (task for one in plan.resumed for task in one.tasks):
        offsets = [offset for one in task.offsets for offset in range(one.start, one.end)]
        found.update((task.chunk.partition, offset, "resumed") for offset in offsets)
    for refusal in plan.refused:
        if refusal.what == "unfinished repair":
            why = "left alone"
        elif "quarantine replay" in refusal.why:
            why = "refused, replay"
        elif "lake book" in refusal.why:
            why = "refused, lake"
        elif "may still appear" in refusal.why:
            why = "held back"
        else:
            why = f"refused {refusal.what.partition('(')[0]}"
        found.update((refusal.partition, offset, why) for offset in range(refusal.range.start, refusal.range.end))
    return found


@settings(max_examples=200, deadline=None)
@given(cases())
def test_every_offset_is_planned_resumed_or_refused_as_the_oracle_says(case: Case) -> None:
    facts = case.facts()
    plan = plan_repair(facts)
    assert told(plan) == fates(case)
    assert plan.obstacles == ()
    assert list(plan.refused) == sorted(plan.refused, key=lambda one: (one.partition, one.range))
    for one in plan.resumed:
        assert one.tasks
        for task in one.tasks:
            assert task.whole == any(
                begun
                and (partition, lost | bad)
                == (task.chunk.partition, {o for r in task.chunk.offsets for o in range(r.start, r.end)})
                for _, partition, lost, bad, begun in case.chunks
            )
    expected = {
        number: set_of({offset for offset, state in enumerate(states) if is_open(state)})
        for number, states in enumerate(case.states)
        if any(map(is_open, states))
    }
    assert open_now(facts.report) == expected


LOST: State = ("missing", "repairable")
DONE = JobSigns(finished=True)


def test_what_is_not_repaired_is_told_with_its_class_and_the_reason() -> None:
    states: list[State] = [state for state in STATES if not is_open(state)]
    plan = plan_repair(PlanFacts(report_of(partition_report(0, states, (OffsetRange(0, 1),))), DONE))
    said = {one.what: one.why for one in plan.refused}
    assert set(said) == {
        *("missing(expired)", "missing(truncated)", "missing(unresolved)", "accepted"),
        *("pending(suspected)", "pending(stalled)", "pending(open-transaction)"),
        *("unknown(unresolved)", "unknown(index-vanished)"),
    }
    assert "Kafka has removed them" in said["missing(expired)"]
    assert "cut back" in said["missing(truncated)"]
    assert "repair needs the broker" in said["missing(unresolved)"]
    assert "start the job" in said["pending(stalled)"]
    assert "second look" in said["pending(suspected)"]
    assert "transaction is open" in said["pending(open-transaction)"]
    assert said["accepted"] == "seen accepted"
    # the same word as a cause of what is unknown says nothing about the broker
    assert said["unknown(unresolved)"] == said["unknown(index-vanished)"] == "not known to be lost: seen unknown"
    assert [(one.partition, one.range, one.evidence) for one in plan.duplicated] == [(0, OffsetRange(0, 1), "twice")]


def test_a_planned_range_says_why_and_until_when() -> None:
    (one,) = plan_repair(PlanFacts(report_of(partition_report(3, [LOST, LOST])), DONE)).planned
    assert (one.partition, one.range, one.kind, one.evidence, one.until) == (
        3,
        OffsetRange(0, 2),
        "lost",
        "seen missing",
        NOW,
    )


def test_evidence_that_is_not_whole_or_no_broker_forbids_to_write_at_all() -> None:
    report = replace(report_of(partition_report(0, [LOST])), problems=("file a is broken", "file b is broken"))
    known = frozenset({"file a is broken"})
    assert plan_repair(PlanFacts(report, DONE, harmless=known)).obstacles == (
        "the evidence is not whole: file b is broken",
    )
    assert plan_repair(PlanFacts(report, DONE, harmless=frozenset(report.problems))).obstacles == ()
    for status in ("not-consulted", "unreadable"):
        (said,) = plan_repair(PlanFacts(report_of(partition_report(0, [LOST]), broker=status), DONE)).obstacles
        assert "the broker was not read" in said


def test_an_object_of_a_killed_repair_that_is_not_all_missing_any_more_is_left_alone_by_name() -> None:
    chunk = Chunk(0, RangeSet.of((0, 2), (4, 5)), EMPTY)
    states: list[State] = [LOST, ("indexed", None), LOST, LOST, LOST]
    facts = PlanFacts(
        report_of(partition_report(0, states)), DONE, {}, (UnfinishedRepair(claim(7), (chunk,), frozenset({chunk})),)
    )
    plan = plan_repair(facts)
    assert [one.range for one in plan.refused] == [OffsetRange(0, 2), OffsetRange(4, 5)]
    assert all(f"repair 7 was killed while it wrote {claim(7).name(chunk)}" in one.why for one in plan.refused)
    assert (plan.resumed, [one.range for one in plan.planned]) == ((), [OffsetRange(2, 4)])
