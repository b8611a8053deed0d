"""The watermark against a brute-force memory of what a growing log held at every look, and what scripts read of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.audit_events import Look, events_of
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, unknown_offsets
from lineage_pipeline.core.completeness import complete_through, proven
from lineage_pipeline.core.evidence import AuditEvidence, BrokerEvidence
from lineage_pipeline.core.ledger import LedgerState, replay
from lineage_pipeline.core.ledger_events import Looked, Proven
from lineage_pipeline.core.memory import ObservedPartition
from tests.core.worlds import CLUSTER, NOW, TOPIC_ID, Row, World, evidence_of

HIGHEST = 12


@dataclass(frozen=True)
class Step:
    """One audit: how far the log reached and what the index had. `asked`: how the broker answered."""

    grown: int
    indexed: frozenset[int]
    asked: str = "read"  # or not-consulted, or no-answer for this partition
    refused: bool = False
    forgets: bool = False  # afterwards a checkpoint leaves all looks out


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 4),
        st.integers(0, HIGHEST).map(lambda end: frozenset(range(end)))
        | st.frozensets(st.integers(0, HIGHEST - 1), max_size=HIGHEST),
        st.sampled_from(["read", "read", "read", "not-consulted", "no-answer"]),
        st.integers(0, 6).map(lambda one: one == 0),
        st.integers(0, 3).map(lambda one: one == 0),
    ),
    min_size=1,
    max_size=6,
)


def gathered(at: datetime, end: int, step: Step, state: LedgerState) -> AuditEvidence:
    rows = tuple(Row(0, one, one + 1) for one in sorted(step.indexed) if one < end)
    evidence = replace(evidence_of(World(rows=rows, refused=step.refused)), audited_at=at, memory=state.memory())
    if step.asked == "not-consulted":
        return evidence
    offsets = unknown_offsets("no leader") if step.asked == "no-answer" else PartitionOffsets(0, end, end)
    return replace(evidence, broker=BrokerEvidence("read", BrokerSnapshot(CLUSTER, TOPIC_ID, {0: offsets})))


@settings(max_examples=200, deadline=None)
@given(steps)
def test_the_time_of_the_mark_is_the_last_look_at_which_the_log_held_nothing_above_it(listed: list[Step]) -> None:
    # a look that could not see where the log ended says nothing
    state = replay([Looked(NOW, NOW, "complete", "full", partitions={0: ObservedPartition()})])
    end, held, mark = 0, list[tuple[datetime, int]](), None
    for number, step in enumerate(listed):
        at, end = NOW + timedelta(minutes=number), min(end + step.grown, HIGHEST)
        evidence = gathered(at, end, step, state)
        report = audit(evidence)
        look = Look(evidence, report, at + timedelta(seconds=5), "open-days")
        state = replay(events_of(look, state, None), state)
        through = next(one for one in range(HIGHEST + 1) if one not in step.indexed or one >= end)
        if step.asked == "read":
            held.append((at, end))
        # a mark that was stored outlives the looks that it came from
        times = [moment for moment, reached in [*held, *([mark] if mark else [])] if reached <= through]
        if evidence.problems:
            mark, expected = None, dict[int, tuple[int, datetime]]()
        elif times:
            mark, expected = (max(times), through), {0: (through, max(times))}
        else:
            mark, expected = None, {}
        assert state.proven == Proven(expected)
        told = complete_through(evidence, report, state.proven)
        shown = f"{max(times):%Y-%m-%dT%H:%M:%SZ}" if expected else None
        assert told["partitions"] == [{"partition": 0, "offset": None if evidence.problems else through, "time": shown}]
        assert told["time"] == shown
        if step.forgets:
            state, held = replace(state, looks=()), []


def test_the_time_of_a_topic_is_that_of_its_slowest_partition_and_none_when_one_is_not_known() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 10), Row(1, 0, 10)), log=(0, 10, 10)))
    evidence = replace(evidence, index=replace(evidence.index, deployments=()))
    report = audit(replace(evidence, broker=BrokerEvidence("not-consulted")))
    late, early = NOW - timedelta(hours=1), NOW - timedelta(hours=2)

    def times(**marks: tuple[int, datetime]) -> list[str | None]:
        told = complete_through(
            replace(evidence, broker=BrokerEvidence("not-consulted")),
            report,
            Proven({int(name[1:]): mark for name, mark in marks.items()}),
        )
        return [told["time"], *(one["time"] for one in told["partitions"])]

    first, second = "2026-11-22T20:00:00Z", "2026-11-22T21:00:00Z"
    assert times(p0=(10, late), p1=(10, early)) == [first, second, first]
    assert times(p0=(10, late)) == [None, second, None]
    assert times(p1=(10, late)) == [None, None, second]
    assert times() == [None, None, None]


def test_of_a_topic_without_partitions_and_of_evidence_with_a_problem_nothing_is_known() -> None:
    nothing = evidence_of(World(start=None))
    assert complete_through(nothing, audit(nothing), Proven({}))["time"] is None
    broken = evidence_of(World(rows=(Row(0, 0, 10),), log=(0, 10, 10), refused=True))
    report = audit(broken)
    assert proven(broken, report, LedgerState()) == Proven({})
    told = complete_through(broken, report, Proven({0: (10, NOW)}))  # marks of before do not count
    assert (told["time"], told["partitions"]) == (None, [{"partition": 0, "offset": None, "time": None}])
    assert told["problems"] == list(report.problems)
