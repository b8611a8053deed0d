"""The decision, case by case: what must never be green, what is pending, what is lost, and on whose word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lineage_pipeline.core.audit import audit, lake_observation, observation
from lineage_pipeline.core.baseline import FROM_INDEX
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, unknown_offsets
from lineage_pipeline.core.classes import Tiling, worst
from lineage_pipeline.core.evidence import AuditEvidence, BrokerEvidence, IndexEvidence, LakeEvidence
from lineage_pipeline.core.lake_comparison import Doubt
from lineage_pipeline.core.memory import Comparison, Memory, Resolution
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from tests.core.worlds import CLUSTER, MAX_DELAY, NOW, SETTLE, TOPIC_ID, Row, Seen, World, evidence_of

WHOLE = (Row(0, 0, 10), Row(0, 10, 20))
HOLE = (Row(0, 0, 10), Row(0, 12, 20))


def report_of(world: World) -> dict[str, Any]:
    return audit(evidence_of(world)).to_json()


def kinds(report: dict[str, Any]) -> set[tuple[str, str | None, int, int]]:
    return {
        (one["class"], one["cause"], one["start"], one["end"])
        for partition in report["partitions"]
        for one in partition["ranges"]
    }


def test_a_whole_index_is_complete_without_and_with_the_broker() -> None:
    assert report_of(World(rows=WHOLE))["verdict"] == "complete"
    assert report_of(World(rows=WHOLE, log=(0, 20, 20)))["verdict"] == "complete"


def test_a_hole_is_a_loss_where_the_broker_was_not_asked() -> None:
    report = report_of(World(rows=HOLE))
    assert report["verdict"] == "loss"
    assert kinds(report) == {("missing", "unresolved", 10, 12)}


def test_a_hole_seen_for_the_first_time_is_only_suspected() -> None:
    report = report_of(World(rows=HOLE, log=(0, 20, 20)))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("pending", "suspected", 10, 12)}


def test_no_index_row_can_have_vanished_where_no_record_ever_was() -> None:
    world = evidence_of(World(rows=(Row(0, 0, 4), Row(0, 5, 10), Row(0, 12, 20)), log=(0, 20, 20)))
    marker = Resolution(0, OffsetRange(4, 5), "explained", "control-marker", "a marker")
    lost = Resolution(0, OffsetRange(10, 12), "missing", "repairable", "2 records")
    memory = replace(world.memory, vanished={0: RangeSet.of((0, 12))}, resolutions=(marker, lost))
    assert kinds(audit(replace(world, memory=memory)).to_json()) == {
        ("explained", "control-marker", 4, 5),
        ("unknown", "index-vanished", 10, 12),
    }


def test_a_hole_confirmed_by_a_second_look_is_unresolved_until_it_is_read_again() -> None:
    seen = Seen(SETTLE, None, 20, frozenset({10, 11}))
    report = report_of(World(rows=HOLE, log=(0, 20, 20), seen=(seen,)))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "unresolved", 10, 12)}


def test_a_second_look_that_comes_too_early_confirms_nothing() -> None:
    seen = Seen(SETTLE - 1, None, 20, frozenset({10, 11}))
    assert kinds(report_of(World(rows=HOLE, log=(0, 20, 20), seen=(seen,)))) == {("pending", "suspected", 10, 12)}


def test_records_that_can_be_read_again_are_missing_once_two_looks_agree() -> None:
    resolved = ((10, 12, "missing", "repairable"),)
    world = World(rows=HOLE, log=(0, 20, 20), resolved=resolved)
    assert report_of(world)["verdict"] == "undetermined"
    confirmed = replace(world, seen=(Seen(SETTLE, None, 20, frozenset({10, 11})),))
    assert kinds(report_of(confirmed)) == {("missing", "repairable", 10, 12)}
    assert report_of(confirmed)["verdict"] == "loss"


def test_an_explained_hole_is_complete_at_once() -> None:
    report = report_of(World(rows=HOLE, log=(0, 20, 20), resolved=((10, 12, "explained", "control-marker"),)))
    assert report["verdict"] == "complete"
    assert (report["totals"]["expected"], report["totals"]["actual"]) == (18, 18)
    assert report["partitions"][0]["complete_through"] == 20


def test_an_accepted_hole_is_complete_and_said_aloud() -> None:
    report = report_of(World(rows=HOLE, accepted=((10, 12),)))
    assert report["verdict"] == "complete"
    assert report["totals"]["accepted"] == 2
    assert report["partitions"][0]["complete_through"] == 10
    assert any(one["kind"] == "accepted" and "ann" in one["text"] for one in report["findings"])


def test_a_hole_of_a_topic_known_to_be_transactional_is_not_called_a_loss() -> None:
    assert kinds(report_of(World(rows=HOLE, transactional=True))) == {("unknown", "unresolved", 10, 12)}


def test_as_many_doubled_as_lost_is_a_loss_with_both_ranges() -> None:
    rows = (Row(9, 0, 1900), Row(9, 1960, 2000), Row(9, 10, 70))
    report = report_of(World(rows=rows, start=None))
    assert report["verdict"] == "loss"
    assert kinds(report) == {("missing", "unresolved", 1900, 1960), ("duplicated", None, 10, 70)}
    assert report["totals"]["duplicated"] == report["totals"]["missing"] == 60


def test_a_lost_head_is_seen_from_the_declared_start() -> None:
    assert kinds(report_of(World(rows=(Row(0, 5, 9),)))) == {("missing", "unresolved", 0, 5)}


def test_without_a_declared_start_the_report_says_that_the_head_cannot_be_seen() -> None:
    report = report_of(World(rows=(Row(0, 5, 9),), start=None))
    assert report["verdict"] == "complete"
    assert report["partitions"][0]["baseline"] == 5
    assert any(one["kind"] == "baseline-from-index" for one in report["findings"])


def test_records_below_an_undeclared_start_that_are_still_in_the_log_are_never_green() -> None:
    report = report_of(World(rows=(Row(0, 5, 9),), start=None, log=(2, 9, 9)))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "no-baseline", 2, 5)}


def test_an_index_that_begins_where_the_log_does_is_its_own_baseline() -> None:
    (one,) = audit(evidence_of(World(rows=(Row(0, 5, 20),), start=None, log=(5, 20, 20)))).partitions
    assert (one.decision.baseline.source, one.verdict) == (FROM_INDEX, "complete")
    stored = evidence_of(World(rows=(Row(0, 5, 20),), start=None, log=(5, 20, 20)))
    stored = replace(stored, memory=Memory(baselines={0: 5}, baseline_sources={0: FROM_INDEX}))
    assert audit(stored).partitions[0].decision.baseline.source == FROM_INDEX


def test_a_partition_of_which_nothing_at_all_is_known_begins_at_zero() -> None:
    evidence = evidence_of(World(start=None, log=(0, 0, 0)))
    assert evidence.broker.snapshot is not None
    silent = replace(evidence.broker.snapshot, partitions={0: unknown_offsets("no leader")})
    (one,) = audit(replace(evidence, broker=BrokerEvidence("read", silent))).partitions
    assert (one.baseline, one.end, one.verdict) == (0, 0, "undetermined")


def test_a_later_record_names_the_start_of_a_partition_that_the_earlier_one_did_not_know() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 10), Row(1, 50, 120))))
    (first,) = evidence.index.deployments
    second = replace(first, writer="w2", previous="w1", start_offsets={0: 10, 1: 100})
    known = replace(evidence, index=replace(evidence.index, deployments=(first, second)))
    assert [one.baseline for one in audit(known).partitions] == [0, 100]
    # the record that it continues is gone: what the index has below may have been its
    gone = replace(evidence, index=replace(evidence.index, deployments=(replace(second, previous="w0"),)))
    assert [one.baseline for one in audit(gone).partitions] == [0, 50]
    empty = replace(gone, index=replace(gone.index, coverage={}))
    assert [one.baseline for one in audit(empty).partitions] == [10, 100]


def test_of_records_that_do_not_continue_each_other_the_lowest_start_counts() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 120),)))
    (first,) = evidence.index.deployments
    records = tuple(replace(first, writer=f"w{start}", start_offsets={0: start}) for start in (100, 5, 50))
    (one,) = audit(replace(evidence, index=replace(evidence.index, deployments=records))).partitions
    assert (one.baseline, one.decision.baseline.source) == (5, "writer w5")


@pytest.mark.parametrize(
    ("remembered", "source", "expected"),
    [
        (10, "writer w1", (5, "writer w1")),
        (5, "writer w0", (5, "writer w0")),
        (3, "writer w0", (3, "writer w0")),
        (10, "a person", (10, "a person")),
        (10, "the settings", (10, "the settings")),
        (10, None, (10, "an earlier audit")),
    ],
)
def test_a_remembered_baseline_of_a_writer_is_lowered_by_what_a_writer_declares_and_by_nothing_else(
    remembered: int, source: str | None, expected: tuple[int, str]
) -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20), Row(1, 0, 20)), start=5))
    sources = {0: source, 1: "writer w1"} if source else {}
    memory = Memory(baselines={0: remembered, 1: 7}, baseline_sources=sources)
    zero, one = audit(replace(evidence, memory=memory)).partitions
    assert (zero.baseline, zero.decision.baseline.source) == expected
    assert one.baseline == 7  # no record names it


def test_the_setting_earliest_makes_the_log_start_the_baseline() -> None:
    world = World(rows=(Row(0, 5, 9),), start=None, log=(2, 9, 9))
    earliest = replace(world, rules=replace(world.rules, baseline="earliest"))
    assert kinds(report_of(earliest)) == {("pending", "suspected", 2, 5)}


def test_a_configured_baseline_counts_and_a_partition_it_does_not_name_starts_at_zero() -> None:
    rows = (Row(0, 5, 9), Row(1, 5, 9))
    world = World(rows=rows, start=None)
    report = report_of(replace(world, rules=replace(world.rules, baseline={0: 5})))
    assert [one["baseline"] for one in report["partitions"]] == [5, 0]
    assert [one["verdict"] for one in report["partitions"]] == ["complete", "loss"]


def test_a_partition_that_no_deployment_record_names_starts_at_zero() -> None:
    report = report_of(World(rows=(*WHOLE, Row(1, 5, 9))))
    assert [one["baseline"] for one in report["partitions"]] == [0, 0]
    assert report["partitions"][1]["verdict"] == "loss"


def test_the_tail_is_pending_and_does_not_spoil_a_first_audit() -> None:
    report = report_of(World(rows=WHOLE, log=(0, 50, 50)))
    assert report["verdict"] == "complete"
    assert report["totals"]["pending"] == 30
    assert kinds(report) == set()


def test_a_tail_behind_an_index_that_is_too_old_is_stalled() -> None:
    report = report_of(World(rows=WHOLE, log=(0, 50, 50), newest_age=MAX_DELAY + 1))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("pending", "stalled", 20, 50)}


def test_an_index_that_is_exactly_as_old_as_allowed_is_not_too_old() -> None:
    assert report_of(World(rows=WHOLE, log=(0, 50, 50), newest_age=MAX_DELAY))["verdict"] == "complete"


@pytest.mark.parametrize(("then", "now", "verdict"), [
    ((7,), 7, "complete"), ((7,), 8, "complete"), ((7,), 6, "undetermined"), ((7,), None, "complete"),
    ((None,), 6, "complete"), ((None,), 0, "complete"), ((9, 7), 8, "undetermined"), ((7, 9), 8, "undetermined"),
])  # fmt: skip
def test_a_leader_epoch_that_fell_leaves_nothing_indexed(
    then: tuple[int | None, ...], now: int | None, verdict: str
) -> None:
    seen = tuple(Seen(age, None, 20, frozenset()) for age, _ in enumerate(then))  # the newest ended as this one began
    evidence = evidence_of(World(rows=WHOLE, log=(0, 20, 20), seen=seen))
    known = tuple(
        replace(one, partitions={0: replace(one.partitions[0], leader_epoch=epoch)})
        for one, epoch in zip(evidence.memory.observations, then, strict=True)
    )
    assert evidence.broker.snapshot is not None
    snapshot = replace(evidence.broker.snapshot, partitions={0: PartitionOffsets(0, 20, 20, leader_epoch=now)})
    evidence = replace(evidence, memory=Memory(observations=known), broker=BrokerEvidence("read", snapshot))
    report = audit(evidence)
    assert report.verdict == verdict
    assert report.totals["indexed"] == (20 if verdict == "complete" else 0)
    told = [one.evidence for one in report.partitions[0].ranges]
    highest = max((one for one in then if one is not None), default=None)
    assert told == (
        []
        if verdict == "complete"
        else [f"the leader epoch fell from {highest} to {now}: an old leader, or another log"]
    )
    kept = observation(evidence, report, NOW)
    assert kept is not None
    assert kept.partitions[0].leader_epoch == now


def test_what_waited_at_a_look_long_enough_ago_is_stalled() -> None:
    seen = Seen(MAX_DELAY, 20, 30, frozenset())
    report = report_of(World(rows=WHOLE, log=(0, 50, 50), seen=(seen,)))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("pending", "stalled", 20, 30)}
    never = replace(seen, committed=None)
    assert kinds(report_of(World(log=(0, 50, 50), seen=(never,)))) == {("pending", "stalled", 0, 30)}


def test_the_stalled_rule_looks_past_a_look_that_could_not_see_the_partition() -> None:
    world = World(rows=WHOLE, log=(0, 50, 50), seen=(Seen(MAX_DELAY, 20, 30, frozenset()),))
    evidence = evidence_of(world)
    blind = replace(evidence.memory.observations[0], observed_at=NOW - timedelta(seconds=MAX_DELAY - 0))
    blind = replace(blind, partitions={0: replace(blind.partitions[0], high_watermark=None)})
    older = replace(evidence.memory.observations[0], observed_at=NOW - timedelta(seconds=MAX_DELAY + 60))
    both = replace(evidence, memory=Memory(observations=(older, blind)))
    assert kinds(audit(both).to_json()) == {("pending", "stalled", 20, 30)}


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_old_looks_the_newest_says_what_is_stalled(turned: bool) -> None:
    looks = [Seen(MAX_DELAY + 600, 20, 25, frozenset()), Seen(MAX_DELAY, 20, 30, frozenset())]
    seen = tuple(reversed(looks) if turned else looks)
    assert kinds(report_of(World(rows=WHOLE, log=(0, 50, 50), seen=seen))) == {("pending", "stalled", 20, 30)}


def test_what_the_group_had_committed_long_enough_ago_is_due() -> None:
    seen = Seen(SETTLE, 26, 30, frozenset())
    assert kinds(report_of(World(rows=WHOLE, log=(0, 50, 50), seen=(seen,)))) == {("pending", "suspected", 20, 26)}


def test_an_open_transaction_holds_the_end_back_for_a_committed_reader_only() -> None:
    world = World(rows=WHOLE, log=(0, 20, 30))
    report = report_of(world)
    assert report["verdict"] == "complete"
    assert kinds(report) == {("pending", "open-transaction", 20, 30)}
    assert kinds(report_of(replace(world, read_committed=False))) == set()


def test_a_job_that_never_wrote_is_never_complete() -> None:
    waiting = report_of(World(log=(0, 50, 50)))
    assert waiting["verdict"] == "undetermined"
    assert (waiting["totals"]["pending"], kinds(waiting)) == (50, set())
    assert report_of(World())["verdict"] == "undetermined"
    assert report_of(World(start=None))["partitions"] == []
    assert report_of(World(start=None))["verdict"] == "undetermined"


def test_an_empty_topic_is_complete_only_on_the_brokers_word() -> None:
    assert report_of(World(log=(0, 0, 0)))["verdict"] == "complete"
    assert report_of(World(log=None))["verdict"] == "undetermined"
    assert report_of(World(start=None, log=(0, 0, 0)))["verdict"] == "complete"
    # retention removed a record, and nobody says whether it had to be written
    assert report_of(World(start=None, log=(1, 1, 1)))["verdict"] == "undetermined"


def test_a_partition_of_which_nothing_is_indexed_spoils_the_topic() -> None:
    evidence = evidence_of(World(rows=WHOLE, log=(0, 20, 20)))
    snapshot = BrokerSnapshot(CLUSTER, TOPIC_ID, {0: PartitionOffsets(0, 20, 20), 1: PartitionOffsets(0, 3, 3)})
    report = audit(replace(evidence, broker=BrokerEvidence("read", snapshot))).to_json()
    assert [one["verdict"] for one in report["partitions"]] == ["complete", "undetermined"]
    assert report["verdict"] == "undetermined"


def test_only_explained_offsets_are_complete_without_anything_indexed() -> None:
    report = report_of(World(log=(0, 4, 4), resolved=((0, 4, "explained", "aborted"),)))
    assert report["verdict"] == "complete"


def test_a_refused_file_makes_every_partition_undetermined_and_holes_unknown() -> None:
    report = report_of(World(rows=HOLE, refused=True))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "index-unreadable", 10, 12)}
    assert report["problems"] == ["index file x refused: it is empty"]
    assert report_of(World(rows=WHOLE, refused=True))["partitions"][0]["verdict"] == "undetermined"


def test_beside_a_refused_file_only_records_that_can_be_read_are_missing() -> None:
    seen = Seen(SETTLE, None, 20, frozenset({10, 11}))
    world = World(rows=HOLE, refused=True, log=(0, 20, 20), seen=(seen,), resolved=((10, 11, "missing", "repairable"),))
    assert kinds(report_of(world)) == {("missing", "repairable", 10, 11), ("unknown", "index-unreadable", 11, 12)}
    assert report_of(world)["verdict"] == "loss"


def test_a_refused_deployment_record_leaves_holes_what_they_are() -> None:
    evidence = evidence_of(World(rows=WHOLE))
    index = replace(evidence.index, deployment_problems=("deployment record x refused: it is not JSON",))
    report = audit(replace(evidence, index=index)).to_json()
    assert report["verdict"] == report["partitions"][0]["verdict"] == "undetermined"
    assert len(report["problems"]) == 1


def test_a_record_whose_predecessor_is_gone_leaves_the_start_in_doubt() -> None:
    evidence = evidence_of(World(rows=(Row(0, 5, 20),), start=10))
    orphan = replace(evidence.index.deployments[0], previous="w0", reason="restored")
    report = audit(replace(evidence, index=replace(evidence.index, deployments=(orphan,)))).to_json()
    assert report["verdict"] == "undetermined"
    assert report["partitions"][0]["baseline"] == 5
    assert "w0" in report["problems"][0]
    chain = (evidence.index.deployments[0], replace(orphan, writer="w2", previous="w1"))
    assert audit(replace(evidence, index=replace(evidence.index, deployments=chain))).problems == ()
    sealed = replace(evidence.index, deployments=(orphan,), sealed_writers=frozenset({"w0"}))
    assert audit(replace(evidence, index=sealed)).problems == ()


def test_an_unreadable_index_is_never_green() -> None:
    evidence = replace(evidence_of(World(log=(0, 7, 7))), index=IndexEvidence("unreadable", problems=("gone",)))
    report = audit(evidence).to_json()
    assert report["verdict"] == "undetermined"
    assert report["books"]["index"] == "unreadable"
    assert kinds(report) == {("unknown", "index-unreadable", 0, 7)}
    empty = replace(evidence_of(World(log=(0, 0, 0))), index=IndexEvidence("unreadable"))
    assert audit(empty).verdict == "undetermined"


def test_a_broker_that_does_not_answer_is_never_green() -> None:
    whole, hole = (report_of(World(rows=rows, broker_down=True)) for rows in (WHOLE, HOLE))
    assert whole["verdict"] == hole["verdict"] == "undetermined"
    assert whole["books"]["broker"] == "unreadable"
    assert kinds(hole) == {("unknown", "broker-unreachable", 10, 12)}


def test_a_book_that_could_not_be_read_is_never_green_even_without_a_reason() -> None:
    evidence = evidence_of(World(rows=WHOLE))
    assert audit(replace(evidence, broker=BrokerEvidence("unreadable"))).verdict == "undetermined"
    assert audit(replace(evidence, index=replace(evidence.index, status="unreadable"))).verdict == "undetermined"


def test_a_partition_the_broker_did_not_answer_for_is_undetermined_alone() -> None:
    evidence = evidence_of(World(rows=(*HOLE, Row(1, 0, 5)), log=(0, 20, 20)))
    partitions = {0: unknown_offsets("no leader"), 1: PartitionOffsets(0, 5, 5)}
    broker = BrokerEvidence("read", BrokerSnapshot(CLUSTER, TOPIC_ID, partitions))
    asked = replace(evidence, broker=broker)
    report = audit(asked).to_json()
    assert [one["verdict"] for one in report["partitions"]] == ["undetermined", "complete"]
    assert kinds(report) == {("unknown", "broker-unreachable", 10, 12)}
    assert "no leader" in report["problems"][0]
    looked = observation(asked, audit(asked), NOW)
    assert looked is not None
    assert list(looked.partitions) == [1]  # of the other there is nothing for the next audit to compare with
    assert audit(replace(evidence_of(World(rows=WHOLE)), broker=broker)).partitions[0].verdict == "undetermined"


def test_a_partition_the_broker_does_not_have_is_never_indexed() -> None:
    report = report_of(World(rows=(*WHOLE, Row(1, 0, 5)), log=(0, 20, 20)))
    assert [one["verdict"] for one in report["partitions"]] == ["complete", "undetermined"]
    assert kinds(report) == {("unknown", "incarnation", 0, 5)}


def test_index_rows_above_the_high_watermark_are_not_indexed() -> None:
    report = report_of(World(rows=WHOLE, log=(0, 15, 15)))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "incarnation", 15, 20)}
    assert report["totals"]["indexed"] == 15


def test_a_log_that_ends_below_the_declared_start_is_never_green() -> None:
    assert report_of(World(start=100, log=(0, 20, 20)))["verdict"] == "undetermined"


def test_another_topic_id_than_the_writers_leaves_nothing_indexed() -> None:
    report = report_of(World(rows=WHOLE, log=(0, 20, 20), topic_id="older"))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "incarnation", 0, 20)}
    assert report["totals"]["indexed"] == 0
    assert any("recreated" in one for one in report["problems"])


def test_of_many_writers_that_disagree_the_first_two_and_the_broker_are_told() -> None:
    evidence = evidence_of(World(rows=WHOLE, log=(0, 20, 20), topic_id="older"))
    (first,) = evidence.index.deployments
    writers = (first, *(replace(first, writer=f"w{n}", previous=f"w{n - 1}", topic_id=f"id-{n}") for n in (2, 3, 4)))
    problems = audit(replace(evidence, index=replace(evidence.index, deployments=writers))).problems
    assert problems == (
        "the topic was recreated or is another cluster's: writer w1 says cluster-1/older; writer w2 says"
        " cluster-1/id-2; the broker says cluster-1/topic-1",
    )


def test_a_topic_that_is_known_to_be_another_one_has_nothing_indexed_whoever_is_asked() -> None:
    for log in (None, (0, 20, 20)):
        evidence = evidence_of(World(rows=WHOLE, start=0, log=log))
        report = audit(replace(evidence, memory=Memory(incarnation_problem="it was sealed"))).to_json()
        assert (report["verdict"], report["problems"]) == ("undetermined", ["it was sealed"])
        assert kinds(report) == {("unknown", "incarnation", 0, 20)}


def test_records_found_wrong_by_value_are_a_problem_and_right_ones_are_none() -> None:
    evidence = evidence_of(World(rows=WHOLE, start=0))
    for differing, verdict in (({}, "complete"), ({0: RangeSet.of((3, 5))}, "undetermined")):
        compared = Comparison(NOW, 20, differing)
        report = audit(replace(evidence, memory=Memory(verified=compared, problems=())))
        assert (report.verdict, len(report.problems)) == (verdict, len(differing))


def test_a_broker_without_topic_ids_contradicts_nobody() -> None:
    evidence = evidence_of(World(rows=WHOLE, log=(0, 20, 20)))
    assert evidence.broker.snapshot is not None
    nameless = replace(evidence.broker.snapshot, topic_id=None)
    assert audit(replace(evidence, broker=BrokerEvidence("read", nameless))).verdict == "complete"
    elsewhere = replace(nameless, cluster_id="another")
    assert audit(replace(evidence, broker=BrokerEvidence("read", elsewhere))).verdict == "undetermined"


def test_ranges_a_writer_gave_up_stay_missing() -> None:
    report = report_of(World(rows=HOLE, log=(11, 20, 20), skipped=((10, 12),)))
    assert report["verdict"] == "loss"
    assert kinds(report) == {("missing", "expired", 10, 12)}


@pytest.mark.parametrize(
    ("count", "extra", "verdict"),
    [
        (8, (), "loss"),  # the window says itself that two records are missing in it
        (12, (), "undetermined"),  # more records than offsets: doubled, or lost and doubled
        (8, (Row(0, 3, 5),), "undetermined"),  # two of its offsets came by themselves: perhaps all are there
        (7, (Row(0, 3, 5),), "loss"),
        (8, (Row(0, 0, 10),), "complete"),  # an exact row covers the whole span
    ],
)
def test_an_inexact_window_without_the_broker(count: int, extra: tuple[Row, ...], verdict: str) -> None:
    rows = (Row(0, 0, 10, count=count), Row(0, 10, 20), *extra)
    assert report_of(World(rows=rows, start=None))["verdict"] == verdict


def test_an_inexact_window_is_unknown_and_with_the_broker_no_loss() -> None:
    rows = (Row(0, 0, 10, count=8), Row(0, 10, 20))
    report = report_of(World(rows=rows, start=None, log=(0, 20, 20)))
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "inexact-window", 0, 10)}
    assert report["totals"]["unknown"] == report["totals"]["expected"] - report["totals"]["actual"] == 10


def test_what_the_log_lost_behind_an_earlier_look_is_never_indexed_unless_a_person_took_it_on() -> None:
    evidence = evidence_of(World(rows=WHOLE, log=(0, 20, 20), accepted=((17, 18),)))
    cut = replace(evidence, memory=replace(evidence.memory, truncated={0: RangeSet.of((15, 20))}))
    report = audit(cut).to_json()
    assert report["verdict"] == "undetermined"
    assert kinds(report) == {("unknown", "incarnation", 15, 17), ("unknown", "incarnation", 18, 20)}


SHORT = World(
    rows=(Row(0, 0, 10, count=8), Row(0, 10, 20)),
    log=(0, 20, 20),
    readable=frozenset(range(9)),
    seen=(Seen(SETTLE, None, 20, frozenset(range(10))),),
)


def test_a_window_that_counts_fewer_records_than_can_be_read_is_a_loss_though_not_an_exact_one() -> None:
    report = report_of(SHORT)
    assert report["verdict"] == "loss"
    assert kinds(report) == {("unknown", "inexact-window", 0, 10)}
    (evidence,) = [one["evidence"] for one in report["partitions"][0]["ranges"]]
    assert evidence == "index rows count 8 records where 9 can be read from the broker: some are lost"


@pytest.mark.parametrize(
    "change",
    [
        {"readable": frozenset(range(8))},  # as many as it counts
        {"seen": ()},  # a first look
        {"seen": (Seen(SETTLE - 1, None, 20, frozenset(range(10))),)},  # too early a second one
        {"seen": (Seen(SETTLE, None, 20, frozenset(range(9))),)},  # not of the whole span
        {"refused": True},  # the refused file may hold the others
        {"rows": (*SHORT.rows, Row(0, 0, 1))},  # one of them has an exact row
        {"rows": (*SHORT.rows, Row(0, 9, 12, count=1))},  # a row that overlaps counts one more
        {"start": 1},  # which of the eight lie below the baseline is not known
        {"log": (0, 9, 9)},  # the log was cut back
    ],
)
def test_less_than_that_proves_no_loss_and_is_never_green(change: dict[str, Any]) -> None:
    assert report_of(replace(SHORT, **change))["verdict"] == "undetermined"


def test_where_the_log_was_cut_back_readable_records_prove_no_loss_of_a_short_window() -> None:
    # what can be read there now may be other records than those that were counted
    seen = Seen(SETTLE, None, 20, frozenset(range(10)))
    world = World(
        rows=(Row(0, 0, 10, count=3), Row(0, 10, 20)), log=(0, 20, 20), readable=frozenset(range(10)), seen=(seen,)
    )
    evidence = evidence_of(world)
    assert audit(evidence).verdict == "loss"
    for start, end in ((0, 10), (9, 12), (0, 1)):
        cut = replace(evidence, memory=replace(evidence.memory, truncated={0: RangeSet.of((start, end))}))
        assert audit(cut).verdict == "undetermined"


def test_a_window_that_counts_a_record_twice_does_not_hide_what_its_neighbour_lost() -> None:
    rows = (Row(0, 0, 10, count=8), Row(0, 10, 20, count=9))
    assert report_of(replace(SHORT, rows=rows, readable=frozenset(range(9)) | {10}))["verdict"] == "loss"


def test_more_readable_records_than_are_counted_ask_for_a_second_look() -> None:
    assert audit(evidence_of(replace(SHORT, seen=()))).partitions[0].decision.short_suspected
    assert not audit(evidence_of(SHORT)).partitions[0].decision.short_suspected
    assert (
        not audit(evidence_of(replace(SHORT, seen=(), readable=frozenset(range(8)))))
        .partitions[0]
        .decision.short_suspected
    )


def test_an_observation_keeps_what_short_windows_leave_open_for_the_second_look() -> None:
    evidence = evidence_of(replace(SHORT, seen=(), rows=(*SHORT.rows, Row(0, 4, 5))))
    looked = observation(evidence, audit(evidence), NOW)
    assert looked is not None
    assert looked.partitions[0].holes == RangeSet.of((0, 4), (5, 10))


def test_of_an_inexact_window_only_the_part_above_the_baseline_is_due() -> None:
    world = World(rows=(Row(0, 0, 10, count=6), Row(0, 10, 20)), start=5)  # its six may be just the five that are due
    assert report_of(world)["verdict"] == "undetermined"
    assert report_of(replace(world, start=3))["verdict"] == "loss"


def test_rows_below_the_baseline_are_mentioned_and_do_not_count() -> None:
    report = report_of(World(rows=(Row(0, 0, 5), Row(0, 0, 5), Row(0, 10, 20)), start=10))
    assert report["verdict"] == "complete"
    assert (report["totals"]["indexed"], report["totals"]["duplicated"]) == (10, 0)
    assert any(one["kind"] == "below-baseline" for one in report["findings"])


def test_quarantined_adds_up_all_rows_copies_included() -> None:
    rows = (Row(0, 0, 10, quarantined=3), Row(0, 0, 10, quarantined=3))
    assert report_of(World(rows=rows))["totals"]["quarantined"] == 6


def test_a_remembered_baseline_outranks_every_other_word() -> None:
    evidence = evidence_of(World(rows=(Row(0, 5, 9),), start=5))
    remembering = replace(evidence, memory=Memory(baselines={0: 0}))
    assert kinds(audit(remembering).to_json()) == {("missing", "unresolved", 0, 5)}


@pytest.mark.parametrize(
    ("source", "log_start", "expected"),
    [
        (FROM_INDEX, 3, (3, {("unknown", "no-baseline", 3, 5)})),
        (FROM_INDEX, 5, (5, set())),
        (FROM_INDEX, 6, (5, set())),
        (FROM_INDEX, None, (5, set())),  # the broker was not asked
        ("a person", 3, (5, set())),  # whoever said so knew why
        (None, 3, (5, set())),
    ],
)
def test_a_baseline_taken_from_the_index_alone_is_doubtful_once_the_log_shows_records_below_it(
    source: str | None, log_start: int | None, expected: tuple[int, set[Any]]
) -> None:
    evidence = evidence_of(World(rows=(Row(0, 5, 9),), start=None, log=log_start and (log_start, 9, 9)))
    sources = {0: source} if source else {}
    report = audit(replace(evidence, memory=Memory(baselines={0: 5}, baseline_sources=sources))).to_json()
    assert (report["partitions"][0]["baseline"], kinds(report)) == expected
    assert report["verdict"] == ("undetermined" if expected[1] else "complete")


def test_an_observation_holds_exactly_the_due_holes() -> None:
    evidence = evidence_of(World(rows=HOLE, log=(0, 50, 50)))
    looked = observation(evidence, audit(evidence), NOW)
    assert looked is not None
    assert looked.partitions[0].holes == RangeSet.of((10, 12))
    assert (looked.partitions[0].last_stable, looked.partitions[0].high_watermark) == (50, 50)


def test_a_look_without_the_index_is_no_observation_neither_of_kafka_nor_of_the_lake() -> None:
    evidence = evidence_of(World(rows=WHOLE, log=(0, 20, 20)))
    evidence = replace(evidence, lake=LakeEvidence("read"))
    blind = replace(evidence, index=IndexEvidence("unreadable", problems=("gone",)))
    partial = replace(evidence, lake=LakeEvidence("read", doubts=(Doubt("budget", "not all files were read"),)))
    unread = replace(evidence, lake=LakeEvidence("unreadable"))
    assert observation(evidence, audit(evidence), NOW) is not None
    assert lake_observation(evidence, audit(evidence), NOW) is not None
    assert observation(blind, audit(blind), NOW) is None
    for one in (blind, partial, unread):
        assert lake_observation(one, audit(one), NOW) is None


def test_a_look_without_the_broker_is_no_observation() -> None:
    for world in (World(rows=HOLE), World(rows=HOLE, broker_down=True)):
        evidence = evidence_of(world)
        assert observation(evidence, audit(evidence), NOW) is None


def test_the_state_says_whether_an_earlier_look_was_known() -> None:
    assert report_of(World(rows=WHOLE))["state"] == "first"
    seen = Seen(5, None, 20, frozenset())
    assert report_of(World(rows=WHOLE, log=(0, 20, 20), seen=(seen,)))["state"] == "continued"


def test_a_tiling_gives_no_offset_twice_and_forgets_none() -> None:
    tiling = Tiling(OffsetRange(0, 10))
    assert tiling.claim(RangeSet.of((0, 6)), "indexed", None, "a").total == 6
    assert tiling.claim(RangeSet.of((4, 8)), "missing", "unresolved", "b") == RangeSet.of((6, 8))
    with pytest.raises(ValueError, match="without a class"):
        tiling.tiles()
    with pytest.raises(ValueError, match="no cause"):
        tiling.claim(RangeSet.of((8, 9)), "missing", "bad luck", "c")
    tiling.claim(RangeSet.of((8, 10)), "missing", "unresolved", "d")
    assert tiling.claim(RangeSet.of((0, 10)), "unknown", "unproven", "too late") == RangeSet()
    assert {(tile.offset_class, tile.ranges.total, tile.evidence) for tile in tiling.tiles()} == {
        ("indexed", 6, "a"),
        ("missing", 4, "b; d"),
    }


def test_the_worst_of_no_verdicts_is_undetermined() -> None:
    assert worst([]) == "undetermined"
    assert worst(["complete", "loss", "undetermined"]) == "loss"
    assert worst(["complete", "undetermined"]) == "undetermined"


def test_evidence_that_is_not_asked_for_is_not_guessed() -> None:
    evidence = AuditEvidence("t", NOW, IndexEvidence("read"))
    assert audit(evidence).to_json()["cluster_id"] is None
    assert audit(evidence).exit_code == 3
    assert "empty-index" in {one.kind for one in audit(evidence).findings}
