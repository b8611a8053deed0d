"""Causes of holes: a brute-force oracle that judges one offset at a time, the three laws, and the sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, unknown_offsets
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.evidence import BrokerEvidence
from lineage_pipeline.core.hole_reading import (
    FoundRun,
    OpenOffsets,
    Round,
    Scan,
    Stop,
    StopCause,
    open_offsets,
    still_holding,
    windows,
)
from lineage_pipeline.core.hole_resolution import Circumstances, Looks, resolve
from lineage_pipeline.core.memory import Memory, Observation, ObservedPartition, Resolution
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from tests.core.worlds import CLUSTER, MAX_DELAY, SETTLE, TOPIC_ID, Row, Seen, World, evidence_of

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
SPAN = 24
WEEK = 7 * 24 * 3600 * 1000
RC: Isolation = "read_committed"
RU: Isolation = "read_uncommitted"
STOPS: tuple[StopCause, ...] = ("budget", "broker-unreachable", "unresolved", "incarnation")
Kind = tuple[str, str]


@dataclass(frozen=True)
class Reading:
    """One pass as plain sets."""

    isolation: Isolation
    start: int
    end: int
    reached: int
    found: frozenset[int]
    stop: StopCause | None

    def scan(self) -> Scan:
        runs = tuple(FoundRun(offset, offset + 1, 1000 * offset, 1000 * offset) for offset in sorted(self.found))
        stopped = Stop(self.stop, "stopped") if self.stop else None
        return Scan(0, self.isolation, OffsetRange(self.start, self.end), self.reached, runs, stopped)


@dataclass(frozen=True)
class Case:
    """Everything that decides about the holes of partition 0."""

    due: frozenset[int]
    tail: frozenset[int] = frozenset()
    readings: tuple[Reading, ...] = ()
    before: tuple[int, int] = (0, SPAN)  # log start, high watermark
    after: tuple[int, int] | str | None = (0, SPAN)  # None: no answer; a text: the partition's error
    epochs: tuple[int | None, int | None] = (None, None)
    policies: tuple[str | None, str | None] = ("delete", "delete")
    same_topic: bool = True
    isolation: Isolation = RC
    transactional: bool = False
    index_whole: bool = True


def snapshot(offsets: PartitionOffsets, policy: str | None, topic_id: str = "id", **config: str) -> BrokerSnapshot:
    settings_read = {"retention.ms": str(WEEK), **config}
    if policy is not None:
        settings_read["cleanup.policy"] = policy
    return BrokerSnapshot("c", topic_id, {0: offsets}, settings_read)


def looks_of(case: Case, **config: str) -> Looks:
    def offsets(ends: tuple[int, int], epoch: int | None) -> PartitionOffsets:
        return PartitionOffsets(ends[0], ends[1], ends[1], leader_epoch=epoch)

    before = snapshot(offsets(case.before, case.epochs[0]), case.policies[0], **config)
    if case.after is None:
        return Looks(before, None, "gone")
    now = unknown_offsets(case.after) if isinstance(case.after, str) else offsets(case.after, case.epochs[1])
    return Looks(before, snapshot(now, case.policies[1], "id" if case.same_topic else "other", **config))


def resolved(case: Case, *observations: Observation, **config: str) -> tuple[Resolution, ...]:
    opened = {0: OpenOffsets(set_of(case.due), set_of(case.tail))}
    knowing = Circumstances(case.isolation, NOW, observations, case.transactional, case.index_whole)
    return resolve(opened, [one.scan() for one in case.readings], looks_of(case, **config), knowing)


def set_of(offsets: frozenset[int]) -> RangeSet:
    return RangeSet.from_pairs((offset, offset + 1) for offset in offsets)


def by_offset(resolutions: tuple[Resolution, ...]) -> dict[int, Kind]:
    found: dict[int, Kind] = {}
    for one in resolutions:
        for offset in range(one.range.start, one.range.end):
            assert offset not in found, f"offset {offset} got two causes"
            found[offset] = (one.offset_class, one.cause)
    return found


def passed(case: Case, isolation: Isolation, offset: int) -> bool:
    return any(one.start <= offset < one.reached for one in case.readings if one.isolation == isolation)


def seen(case: Case, isolation: Isolation, offset: int) -> bool:
    return any(offset in one.found for one in case.readings if one.isolation == isolation)


def judge(case: Case, offset: int, transactional: bool, unread: bool = False) -> set[Kind]:  # noqa: C901, PLR0911, PLR0912 - rule by rule
    """The causes that the rules allow for one offset: one, or several reasons of several passes that ended early."""
    other = RU if case.isolation == RC else RC
    mine, theirs = seen(case, case.isolation, offset), seen(case, other, offset)
    if case.after is None:
        return {("unknown", "broker-unreachable")}
    if not case.same_topic:
        return {("unknown", "incarnation")}
    if isinstance(case.after, str):
        return {("unknown", "broker-unreachable")}
    hidden = theirs and not mine and passed(case, case.isolation, offset)
    compact = any(policy and "compact" in policy for policy in case.policies)
    undisclosed = None in case.policies and not compact
    if offset < case.after[0]:
        if mine:
            return {("missing", "expired")}
        if hidden and case.isolation == RC:
            return {("explained", "aborted")}
    if offset < case.before[0]:
        if not case.index_whole:
            return {("unknown", "index-unreadable")}
        if undisclosed:
            return {("unknown", "unresolved")}
        if compact or transactional:
            return {("unknown", "unproven")}
        return {("unknown", "unresolved") if unread else ("missing", "expired")}
    if offset < case.after[0]:
        return {("unknown", "unresolved")}
    if case.after[1] < case.before[1]:
        if offset < case.after[1]:
            return {("unknown", "unresolved")}
        return {("missing", "truncated") if mine else ("unknown", "incarnation")}
    if None not in case.epochs and case.epochs[0] != case.epochs[1]:
        return {("unknown", "unresolved")}
    if mine:
        return {("missing", "repairable")}
    if hidden:
        return {("explained", "aborted") if case.isolation == RC else ("unknown", "unresolved")}
    if not theirs and passed(case, RC, offset) and passed(case, RU, offset):
        if compact:
            return {("unknown", "unproven")}
        return {("unknown", "unresolved") if undisclosed else ("explained", "control-marker")}
    stops = {("unknown", str(one.stop)) for one in case.readings if one.reached <= offset < one.end}
    return stops or {("unknown", "budget")}


def oracle(case: Case) -> tuple[dict[int, set[Kind]], dict[int, Kind]]:
    """For the due offsets what is allowed; for the tail's what is explained, and nothing else of it."""

    def told(transactional: bool, unread: bool = False) -> tuple[dict[int, set[Kind]], dict[int, Kind]]:
        due = {offset: judge(case, offset, transactional, unread) for offset in case.due}
        tail = {offset: next(iter(judge(case, offset, transactional, unread))) for offset in case.tail}
        return due, {offset: kind for offset, kind in tail.items() if kind[0] == "explained"}

    due, tail = told(case.transactional)
    shown = {cause for kinds in due.values() for _, cause in kinds} | {cause for _, cause in tail.values()}
    if shown & {"control-marker", "aborted"}:
        return told(True)
    open_causes = {cause for kinds in due.values() for kind, cause in kinds if kind == "unknown"}
    if open_causes - {"unproven", "index-unreadable"}:
        return told(case.transactional, unread=True)
    return due, tail


# strategies are made once: hypothesis looks into each that it has not met before
EDGES = st.sets(st.integers(0, SPAN), max_size=6)
STOPPED = st.sampled_from(STOPS)


@st.composite
def readings(draw: st.DrawFn, open_ones: frozenset[int]) -> tuple[Reading, ...]:
    found = []
    for isolation in (RC, RU):
        edges = sorted(draw(EDGES))
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            reached = min(draw(st.integers(start, end + 2)), end)  # the end more often than other offsets
            here = [offset for offset in open_ones if start <= offset < reached]
            records = draw(st.frozensets(st.sampled_from(here))) if here else frozenset()
            stop = None if reached == end else draw(STOPPED)
            found.append(Reading(isolation, start, end, reached, records, stop))
    return tuple(draw(st.permutations(found)))


DUE, TAIL = st.frozensets(st.integers(0, SPAN - 1)), st.frozensets(st.integers(0, SPAN - 1), max_size=6)
ENDS = st.tuples(st.integers(0, 10), st.integers(14, SPAN))
BEFORE = st.just((0, SPAN)) | ENDS
AFTER = st.just("as before") | ENDS | st.just("no leader") | st.none()
POLICIES = st.sampled_from(["delete", "delete", "compact", "compact,delete", None])
POLICY_AFTER = st.just("as before") | POLICIES
EPOCHS = st.sampled_from([(None, None), (3, 3), (3, 4), (None, 4)])
ISOLATIONS = st.sampled_from([RC, RC, RU])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    due = draw(DUE)
    tail = draw(TAIL) - due
    before, after = draw(BEFORE), draw(AFTER)
    policy, policy_after = draw(POLICIES), draw(POLICY_AFTER)
    return Case(
        due,
        tail,
        draw(readings(due | tail)),
        before,
        before if after == "as before" else after,
        draw(EPOCHS),
        (policy, policy if policy_after == "as before" else policy_after),
        draw(st.integers(0, 12)) > 0,
        draw(ISOLATIONS),
        draw(st.booleans()),
        draw(st.integers(0, 5)) > 0,
    )


@settings(max_examples=300, deadline=None)
@given(cases())
def test_every_offset_gets_the_oracles_cause_and_the_holes_are_tiled_exactly(case: Case) -> None:
    found, (due, tail) = by_offset(resolved(case)), oracle(case)
    assert set(found) == set(due) | set(tail)
    for offset, kinds in due.items():
        assert found[offset] in kinds, offset
    for offset, kind in tail.items():
        assert found[offset] == kind, offset


def test_an_aborted_record_of_the_tail_that_the_log_start_has_passed_gets_one_cause() -> None:
    whole = [Reading(one, 0, 1, 1, found, None) for one, found in ((RC, frozenset[int]()), (RU, frozenset({0})))]
    case = Case(frozenset(), frozenset({0}), tuple(whole), before=(1, 14), after=(1, 14))
    assert by_offset(resolved(case)) == {0: ("explained", "aborted")}


@settings(max_examples=150, deadline=None)
@given(cases())
def test_nothing_is_explained_unless_both_isolation_levels_were_read_through_it(case: Case) -> None:
    for offset, (kind, _) in by_offset(resolved(case)).items():
        if kind == "explained":
            assert passed(case, RC, offset)
            assert passed(case, RU, offset)
            assert not seen(case, case.isolation, offset)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_nothing_is_missing_unless_a_record_was_seen_or_the_log_start_passed_it(case: Case) -> None:
    for offset, (kind, _) in by_offset(resolved(case)).items():
        if kind == "missing":
            assert seen(case, case.isolation, offset) or offset < case.before[0]


@settings(max_examples=150, deadline=None)
@given(cases())
def test_a_look_that_failed_afterwards_leaves_every_hole_unknown(case: Case) -> None:
    for after in (None, "no leader"):
        found = by_offset(resolved(replace(case, after=after)))
        assert set(found) == case.due
        assert {kind for kind, _ in found.values()} <= {"unknown"}


def through(isolation: Isolation, *found: int, end: int = SPAN) -> Reading:
    return Reading(isolation, 0, end, end, frozenset(found), None)


def test_one_hole_can_have_all_answers() -> None:
    case = Case(frozenset(range(12)), readings=(through(RC, 4, 5), through(RU, 4, 5, 7, end=9)), before=(2, SPAN))
    assert [(one.range.start, one.range.end, one.cause) for one in sorted(resolved(case), key=lambda r: r.range)] == [
        (0, 2, "unproven"), (2, 4, "control-marker"), (4, 6, "repairable"),
        (6, 7, "control-marker"), (7, 8, "aborted"), (8, 9, "control-marker"), (9, 12, "budget"),
    ]  # fmt: skip


def test_what_the_log_start_passes_during_the_reading_is_told_by_what_was_read_of_it() -> None:
    whole = (through(RC, 1), through(RU, 1, 4))
    case = Case(frozenset({0, 1, 3, 4, 6}), frozenset({2}), whole, before=(1, SPAN), after=(5, SPAN))
    assert by_offset(resolved(case)) == {
        0: ("unknown", "unproven"), 1: ("missing", "expired"), 3: ("unknown", "unresolved"),
        4: ("explained", "aborted"), 6: ("explained", "control-marker"),
    }  # fmt: skip


def test_of_what_is_not_due_only_that_is_told_where_no_record_will_come() -> None:
    readings = (through(RC, 8), through(RU, 8, 9))
    case = Case(frozenset(), frozenset({8, 9, 10}), readings)
    assert by_offset(resolved(case)) == {9: ("explained", "aborted"), 10: ("explained", "control-marker")}
    other = by_offset(resolved(replace(case, isolation=RU)))
    assert other == {10: ("explained", "control-marker")}


def test_holes_that_expired_are_a_loss_only_while_nothing_speaks_of_transactions() -> None:
    case = Case(frozenset({1}), readings=(), before=(5, SPAN), after=(5, SPAN))
    assert by_offset(resolved(case)) == {1: ("missing", "expired")}
    assert by_offset(resolved(replace(case, transactional=True))) == {1: ("unknown", "unproven")}
    other = replace(case, due=frozenset({1, 8}), readings=(through(RC), through(RU)))
    assert by_offset(resolved(other)) == {1: ("unknown", "unproven"), 8: ("explained", "control-marker")}
    unread = replace(case, due=frozenset({1, 8}))
    assert by_offset(resolved(unread)) == {1: ("unknown", "unresolved"), 8: ("unknown", "budget")}
    assert by_offset(resolved(replace(case, index_whole=False))) == {1: ("unknown", "index-unreadable")}
    assert by_offset(resolved(replace(case, policies=(None, None)))) == {1: ("unknown", "unresolved")}
    assert by_offset(resolved(replace(case, policies=("compact", "compact")))) == {1: ("unknown", "unproven")}


def test_a_log_that_is_cut_back_during_the_reading_loses_only_what_was_read_beyond_its_end() -> None:
    case = Case(frozenset({3, 21, 22}), readings=(through(RC, 3, 21), through(RU, 3, 21)), after=(0, 20))
    assert by_offset(resolved(case)) == {
        3: ("unknown", "unresolved"), 21: ("missing", "truncated"), 22: ("unknown", "incarnation"),
    }  # fmt: skip


def test_where_nobody_says_what_an_empty_hole_means_it_is_open() -> None:
    case = Case(frozenset({5}), readings=(through(RC), through(RU)), policies=(None, None))
    assert by_offset(resolved(case)) == {5: ("unknown", "unresolved")}
    # a record that only the stricter of two readers sees is a contradiction
    odd = Case(frozenset({5}), readings=(through(RC, 5), through(RU)), isolation=RU)
    assert by_offset(resolved(odd)) == {5: ("unknown", "unresolved")}


def test_the_sentence_of_a_loss_names_the_records_and_their_timestamps() -> None:
    stamp = int(NOW.timestamp() * 1000) - 3 * 24 * 3600 * 1000 - 60_000
    run = FoundRun(5, 17, stamp, stamp + 5000)
    scan = Scan(0, RC, OffsetRange(0, SPAN), SPAN, (run,))
    opened = {0: OpenOffsets(RangeSet.of((5, 17)), EMPTY)}
    (one,) = resolve(opened, [scan], looks_of(Case(frozenset())), Circumstances(RC, NOW))
    assert (one.offset_class, one.cause, one.range) == ("missing", "repairable", OffsetRange(5, 17))
    assert one.evidence == (
        "12 records are readable from the broker (Kafka timestamp 2026-11-19 21:59:00Z to 2026-11-19 21:59:05Z)"
    )
    assert one.first_timestamp == stamp


def test_records_without_a_timestamp_are_counted_all_the_same() -> None:
    for run in (FoundRun(5, 6), FoundRun(5, 6, 1000), FoundRun(5, 6, None, 1000)):
        scan = Scan(0, RC, OffsetRange(0, SPAN), SPAN, (run,))
        opened = {0: OpenOffsets(RangeSet.of((5, 6)), EMPTY)}
        (one,) = resolve(opened, [scan], looks_of(Case(frozenset())), Circumstances(RC, NOW))
        assert one.evidence == "1 record is readable from the broker"
        stamps = [stamp for stamp in (run.first_timestamp, run.last_timestamp) if stamp is not None]
        assert one.first_timestamp == (stamps[0] if stamps else None)


def test_a_timestamp_that_is_no_time_is_shown_as_the_number_it_is() -> None:
    scan = Scan(0, RC, OffsetRange(0, SPAN), SPAN, (FoundRun(5, 6, 2**62, 2**62),))
    opened = {0: OpenOffsets(RangeSet.of((5, 6)), EMPTY)}
    (one,) = resolve(opened, [scan], looks_of(Case(frozenset())), Circumstances(RC, NOW))
    assert one.evidence == f"1 record is readable from the broker (Kafka timestamp {2**62} ms)"


def test_what_the_log_start_has_passed_is_open_while_nothing_is_indexed() -> None:
    case = Case(frozenset({1}), before=(5, SPAN), after=(5, SPAN))
    opened = {0: OpenOffsets(RangeSet.of((1, 2)), EMPTY)}
    for indexed, kind in ((True, ("missing", "expired")), (False, ("unknown", "unresolved"))):
        found = resolve(opened, [], looks_of(case), Circumstances(RC, NOW, indexed=indexed))
        assert by_offset(found) == {1: kind}


def test_the_timestamps_are_those_of_the_first_and_the_last_record_of_the_range() -> None:
    runs = (FoundRun(5, 8, 1000, 2000), FoundRun(8, 10, 3000, 4000), FoundRun(10, 12, 5000, 6000))
    scan = Scan(0, RC, OffsetRange(0, SPAN), SPAN, (*runs, FoundRun(13, 14, 9000, 9000), FoundRun(20, 21, None, 7000)))
    opened = {0: OpenOffsets(RangeSet.of((5, 12), (13, 14), (20, 21)), EMPTY)}
    wide, single, timeless = resolve(opened, [scan], looks_of(Case(frozenset())), Circumstances(RC, NOW))
    assert "(Kafka timestamp 1970-01-01 00:00:01Z to 1970-01-01 00:00:06Z)" in wide.evidence
    assert "(Kafka timestamp 1970-01-01 00:00:09Z)" in single.evidence
    assert timeless.evidence == "1 record is readable from the broker"


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": (3, 4)},
        {"after": (0, 20)},
        {"after": None},
        {"after": "no leader"},
        {"same_topic": False},
    ],
)
def test_a_log_that_changed_during_the_reading_explains_nothing_not_even_in_the_tail(change: dict[str, object]) -> None:
    case = Case(frozenset({3}), frozenset({8}), readings=(through(RC), through(RU)))
    assert {kind for kind, _ in by_offset(resolved(case)).values()} == {"explained"}
    changed = by_offset(resolved(replace(case, **change)))  # type: ignore[arg-type]  # fields of the case, as listed
    assert set(changed) == {3}
    assert changed[3][0] == "unknown"


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("partitions", [{}, {0: unknown_offsets("no leader")}])
def test_a_partition_that_one_of_the_two_looks_lacks_is_unknown(
    side: str, partitions: dict[int, PartitionOffsets]
) -> None:
    looks = looks_of(Case(frozenset()))
    lacking = replace(looks.before, partitions=partitions)
    looks = replace(looks, before=lacking) if side == "before" else replace(looks, after=lacking)
    scans = [through(RC, 3).scan(), through(RU).scan()]
    (one,) = resolve({0: OpenOffsets(RangeSet.of((3, 6)), EMPTY)}, scans, looks, Circumstances(RC, NOW))
    assert (one.offset_class, one.cause) == ("unknown", "broker-unreachable")
    assert one.evidence == ("no leader" if partitions else "the partition is not among the broker's")


def observed(minutes_ago: float, high_watermark: int) -> Observation:
    at = NOW - timedelta(minutes=minutes_ago)
    return Observation(at, {0: ObservedPartition(high_watermark, high_watermark)})


def disputed(one: Observation) -> Observation:
    return replace(one, disputed=True)


@pytest.mark.parametrize(
    ("observation", "clock", "lag_hours", "cause"),
    [
        (observed(30, 8), "LogAppendTime", 1, "compacted"),  # 8 to 23 were written within the last half hour
        (observed(30, 8), "CreateTime", 1, "unproven"),  # a producer can date its records back
        (observed(30, 8), "LogAppendTime", 0, "unproven"),
        (observed(30, 13), "LogAppendTime", 1, "unproven"),  # the hole was there before
        (observed(55, 8), "LogAppendTime", 1, "unproven"),  # too close: a look takes its time
        (observed(50, 8), "LogAppendTime", 1, "unproven"),
        (observed(49.99, 8), "LogAppendTime", 1, "compacted"),
        (observed(0, 8), "LogAppendTime", 1, "compacted"),
        (observed(-0.01, 8), "LogAppendTime", 1, "unproven"),  # a look that is yet to come: its clock was ahead
        (observed(-5_000_000, 8), "LogAppendTime", 1, "unproven"),
        (disputed(observed(30, 8)), "LogAppendTime", 1, "unproven"),
        (observed(5_000_000, 8), "LogAppendTime", 2**63 // 3_600_000, "compacted"),  # a lag without end
        (observed(30, 12), "LogAppendTime", 1, "compacted"),  # the hole begins where that look ended
        (Observation(NOW - timedelta(minutes=30), {0: ObservedPartition()}), "LogAppendTime", 1, "unproven"),
        (Observation(NOW - timedelta(minutes=30), {}), "LogAppendTime", 1, "unproven"),  # it did not see the partition
        (None, "LogAppendTime", 1, "unproven"),
    ],
)
def test_a_hole_of_a_compacted_topic_is_explained_only_if_it_is_known_to_be_too_young(
    observation: Observation | None, clock: str, lag_hours: int, cause: str
) -> None:
    case = Case(frozenset({12}), readings=(through(RC), through(RU)), policies=("compact", "compact"))
    config = {"min.compaction.lag.ms": str(lag_hours * 3_600_000), "message.timestamp.type": clock}
    (one,) = resolved(case, *([observation] if observation else []), **config)
    assert one.cause == cause
    later = observed(20, 15)  # of several looks that are young enough the one that ended lowest tells most
    (same,) = resolved(case, *([observation] if observation else []), later, **config)
    assert same.cause == cause
    without_lag = {key: value for key, value in config.items() if key != "min.compaction.lag.ms"}
    (open_,) = resolved(case, *([observation] if observation else []), **without_lag)
    assert open_.cause == "unproven"


def test_a_scan_that_contradicts_itself_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="reached"):
        Scan(0, RC, OffsetRange(0, 5), 4)
    with pytest.raises(ValueError, match="reached"):
        Scan(0, RC, OffsetRange(0, 5), 5, stopped=Stop("budget", "x"))
    with pytest.raises(ValueError, match="reached"):
        Scan(0, RC, OffsetRange(2, 5), 1, stopped=Stop("budget", "x"))


def planned(due: RangeSet, tail: RangeSet = EMPTY, ranges: int = 10_000, start: int = 0) -> list[Round]:
    end = 2**40
    return windows({3: OpenOffsets(due, tail)}, {3: PartitionOffsets(start, end, end)}, ranges)


def test_holes_near_each_other_are_one_window_and_wide_ones_are_cut() -> None:
    every_tenth = RangeSet.from_pairs((at, at + 1) for at in range(0, 50_000, 10))
    rounds = planned(every_tenth)
    assert len(rounds) == 3
    assert sum(window.holes.total for (window,) in rounds) == 5_000
    assert all(window.holes == every_tenth.clip(window.range.start, window.range.end) for (window,) in rounds)

    far = planned(RangeSet.of((0, 1), (5_000, 5_001)))
    assert [str(window.range) for (window,) in far] == ["[0, 1)", "[5000, 5001)"]

    wide = planned(RangeSet.of((7, 45_007)))
    assert [str(window.range) for (window,) in wide] == ["[7, 20007)", "[20007, 40007)", "[40007, 45007)"]


def test_a_plan_never_reads_more_ranges_than_allowed_nor_below_the_log_start() -> None:
    holes = RangeSet.from_pairs((at, at + 1) for at in range(0, 500_000, 5_000))
    assert len(planned(holes, ranges=7)) == 7
    assert len(planned(RangeSet.of((0, 2**39)), ranges=7)) == 7  # of a hole without end, too
    assert [str(window.range) for (window,) in planned(RangeSet.of((0, 10)), start=4)] == ["[4, 10)"]
    assert planned(RangeSet.of((0, 4)), start=4) == []
    assert planned(holes, ranges=0) == []


def test_partitions_are_read_side_by_side_and_tails_at_last() -> None:
    two = {one: OpenOffsets(RangeSet.of((0, 1), (9_000, 9_001)), RangeSet.of((9_500, 9_600))) for one in (0, 1)}
    ends = PartitionOffsets(0, 9_600, 9_600)
    rounds = windows(two, {0: ends, 1: ends}, 100)
    assert [[(w.partition, w.range.start, w.tail) for w in one] for one in rounds] == [
        [(0, 0, False), (1, 0, False)],
        [(0, 9_000, False), (1, 9_000, False)],
        [(0, 9_500, True), (1, 9_500, True)],
    ]


HOLED = World(rows=(Row(0, 0, 10), Row(0, 12, 20)), log=(0, 25, 30))


def test_only_due_holes_and_the_stable_tail_are_read_again() -> None:
    opened = open_offsets(evidence_of(HOLED))[0]
    assert (opened.due, opened.tail) == (RangeSet.of((10, 12)), RangeSet.of((20, 25)))
    waiting = replace(HOLED, seen=(Seen(MAX_DELAY, None, 30, frozenset()),))
    assert open_offsets(evidence_of(waiting))[0].tail == RangeSet.of((20, 25))
    whole = replace(HOLED, rows=(Row(0, 0, 20),))
    assert open_offsets(evidence_of(whole))[0] == OpenOffsets(EMPTY, RangeSet.of((20, 25)))
    due = replace(HOLED, seen=(Seen(SETTLE, 22, 30, frozenset()),))
    assert open_offsets(evidence_of(due))[0].due == RangeSet.of((10, 12), (20, 22))


@pytest.mark.parametrize(
    "world",
    [
        replace(HOLED, accepted=((10, 12),), log=(0, 20, 20)),
        replace(HOLED, resolved=((10, 12, "unknown", "unproven"),), log=(0, 20, 20)),
        replace(HOLED, topic_id="older"),
        replace(HOLED, log=None),
        replace(HOLED, broker_down=True),
        World(rows=(Row(0, 5, 9),), start=None, log=(2, 9, 9)),  # nobody says whether 2 to 4 had to be written
        World(rows=(Row(0, 0, 9, count=5),), log=(0, 9, 9)),
    ],
)
def test_what_is_settled_or_in_doubt_for_another_reason_is_not_read_again(world: World) -> None:
    assert open_offsets(evidence_of(world)) == {}


def test_what_lies_below_the_log_start_is_due_though_no_later_row_came() -> None:
    world = World(rows=(Row(0, 0, 10),), log=(15, 20, 20), resolved=((10, 15, "missing", "expired"),))
    (first,) = audit(evidence_of(world)).partitions
    assert [(one.range.start, one.cause) for one in first.ranges] == [(10, "suspected")]
    again = replace(world, seen=(Seen(SETTLE, None, 20, frozenset(range(10, 15))),))
    report = audit(evidence_of(again))
    assert [(one.range.start, one.cause) for one in report.partitions[0].ranges] == [(10, "expired")]
    assert report.verdict == "loss"


def test_a_judged_loss_stays_a_hole_for_the_next_look() -> None:
    lost = ((10, 12, "missing", "repairable"),)
    world = replace(HOLED, resolved=lost, seen=(Seen(SETTLE, None, 30, frozenset({10, 11})),))
    assert audit(evidence_of(world)).partitions[0].decision.holes == RangeSet.of((10, 12))
    explained = replace(world, resolved=((10, 12, "explained", "aborted"),))
    assert audit(evidence_of(explained)).partitions[0].decision.holes == EMPTY


def test_each_range_tells_only_its_own_evidence() -> None:
    evidence = evidence_of(replace(HOLED, rows=(Row(0, 0, 4), Row(0, 6, 10), Row(0, 12, 20))))
    both = (
        Resolution(0, OffsetRange(4, 6), "explained", "aborted", "this"),
        Resolution(0, OffsetRange(10, 12), "explained", "aborted", "that"),
    )
    (report,) = audit(replace(evidence, memory=Memory(resolutions=both))).partitions
    assert [(one.range.start, one.evidence) for one in report.ranges if one.cause == "aborted"] == [
        (4, "this"), (10, "that")
    ]  # fmt: skip


def test_a_partition_the_broker_did_not_answer_for_is_not_read() -> None:
    broken = BrokerSnapshot(CLUSTER, TOPIC_ID, {0: unknown_offsets("no leader")})
    assert open_offsets(replace(evidence_of(HOLED), broker=BrokerEvidence("read", broken))) == {}


def test_of_what_was_read_before_only_what_cannot_change_is_kept_as_it_was() -> None:
    def one(kind: str, cause: str, start: int = 10, end: int = 20) -> Resolution:
        return Resolution(0, OffsetRange(start, end), kind, cause, "then")  # type: ignore[arg-type]  # words of the test

    kept = (one("explained", "aborted"), one("unknown", "unproven"), one("missing", "expired"))
    dropped = (one("unknown", "budget"), one("unknown", "unresolved"), one("unknown", "broker-unreachable"))
    repairable = one("missing", "repairable")

    def held(*resolutions: Resolution, log_start: int = 0) -> list[tuple[int, int, str, str]]:
        found = still_holding(resolutions, {0: PartitionOffsets(log_start, 30, 30)})
        return [(each.range.start, each.range.end, each.cause, each.evidence) for each in found]

    assert still_holding((*kept, *dropped), {}) == list(kept)
    assert held(repairable) == [(10, 20, "repairable", "then")]
    assert [each[:3] for each in held(repairable, log_start=14)] == [(10, 14, "expired"), (14, 20, "repairable")]
    assert [each[:3] for each in held(repairable, log_start=25)] == [(10, 20, "expired")]
    assert still_holding((repairable,), {}) == []
    assert still_holding((repairable,), {0: unknown_offsets("no leader")}) == []
