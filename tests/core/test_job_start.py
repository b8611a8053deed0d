"""Where a start of the job begins: every branch of the decision, and the words of every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.job_start import (
    LastDeployment,
    RestorePoint,
    Start,
    StartFacts,
    StartRequest,
    decide_start,
    deployment_chain,
)
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.errors import StartRefusedError

PLAN, OTHER_PLAN = "plan-1", "plan-2"
LAST = LastDeployment("w1", "cluster", "topic-id", {0: 5, 1: 0}, has_index_rows=True)
SAVEPOINT = RestorePoint("t/w1/savepoints/savepoint-1", 7, "w1", PLAN, clean=True)
CHECKPOINT = replace(SAVEPOINT, path="t/w1/checkpoints/j/chk-7", clean=False)


def facts(**changes: object) -> StartFacts:
    """A topic of two partitions, [5, 100) and [0, 50), that nobody has read."""
    world = StartFacts("t", "cluster", "topic-id", PLAN, {0: OffsetRange(5, 100), 1: OffsetRange(0, 50)})
    return replace(world, **changes)  # type: ignore[arg-type]  # names of the fields, checked by replace


def later(**changes: object) -> StartFacts:
    """The same topic after a run that left the index at 60 and 40."""
    # An index that was read up to here has no rows of which the restore point does not know.
    known = replace(LAST, has_index_rows=False)
    return facts(**{"last": known, "index_end": {0: 60, 1: 40}, "restore_point": CHECKPOINT, **changes})


def refusal(world: StartFacts, request: StartRequest | None = None) -> str:
    with pytest.raises(StartRefusedError) as caught:
        decide_start(world, request or StartRequest())
    return str(caught.value)


# --- the first start


def test_the_first_start_reads_every_partition_from_its_log_start() -> None:
    assert decide_start(facts(), StartRequest()) == Start("first", offsets={0: 5, 1: 0})


def test_the_first_start_takes_the_seeded_offsets_of_the_group() -> None:
    assert decide_start(facts(group_offsets={0: 7, 1: 50}), StartRequest("seeded")).offsets == {0: 7, 1: 50}


def test_the_first_start_takes_the_configured_offsets() -> None:
    assert decide_start(facts(), StartRequest({0: 100, 1: 1})).offsets == {0: 100, 1: 1}


def test_a_seeded_first_start_names_the_partitions_without_an_offset() -> None:
    said = refusal(facts(group_offsets={0: 7}), StartRequest("seeded"))
    assert "the consumer group has no offset for partition 1 of t" in said
    assert "baseline: earliest" in said


def test_a_configured_baseline_must_name_every_partition() -> None:
    assert "the configured baseline has no offset for partition 0 of t" in refusal(facts(), StartRequest({1: 0}))


def test_a_baseline_of_an_unknown_partition_is_refused() -> None:
    assert "the baseline names partition 9, which t does not have" in refusal(facts(), StartRequest({0: 5, 1: 0, 9: 0}))


def test_a_baseline_beyond_the_log_is_refused() -> None:
    said = refusal(facts(), StartRequest({0: 101, 1: 51}))
    assert "beyond the end of partition 0, 1" in said
    assert "set a baseline inside the log" in said


def test_a_baseline_below_the_log_start_names_what_is_lost_and_the_way_on() -> None:
    said = refusal(facts(), StartRequest({0: 2, 1: 0}))
    assert "partition 0: [2, 5)" in said
    assert "--skip-expired" in said


def test_a_first_start_behind_deleted_records_says_what_it_skipped() -> None:
    start = decide_start(facts(), StartRequest({0: 2, 1: 0}, skip_expired=True))
    assert start == Start("first", offsets={0: 5, 1: 0}, skipped={0: OffsetRange(2, 5)})


def test_an_index_without_a_deployment_record_is_not_written_to() -> None:
    said = refusal(facts(index_end={0: 60}))
    assert "has rows but no deployment record" in said
    assert "--from-index-end" in said


def test_an_index_without_a_deployment_record_can_be_continued_on_request() -> None:
    start = decide_start(facts(index_end={0: 60}), StartRequest(from_index_end=True))
    assert start == Start("from-index-end", offsets={0: 60, 1: 0})


def test_long_lists_of_partitions_are_cut() -> None:
    many = facts(partitions={number: OffsetRange(0, 1) for number in range(25)})
    assert "partition 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more of t" in refusal(many, StartRequest("seeded"))
    ten = facts(partitions={number: OffsetRange(0, 1) for number in range(10)})
    assert "partition 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 of t" in refusal(ten, StartRequest("seeded"))


# --- later starts with state


@pytest.mark.parametrize("point", [CHECKPOINT, SAVEPOINT], ids=["after a crash", "after a stop"])
def test_the_same_plan_resumes_from_its_state(point: RestorePoint) -> None:
    assert decide_start(later(restore_point=point), StartRequest()) == Start("restored", restore_from=point.path)


def test_a_resumed_start_writes_no_offsets_even_when_partitions_were_added() -> None:
    wider = later(partitions={**facts().partitions, 2: OffsetRange(0, 9)})
    assert decide_start(wider, StartRequest()).offsets is None


def test_skipping_with_state_says_what_the_index_does_not_reach() -> None:
    gone = later(partitions={0: OffsetRange(80, 100), 1: OffsetRange(0, 50)})
    start = decide_start(gone, StartRequest(skip_expired=True))
    assert start == Start("restored", restore_from=CHECKPOINT.path, skipped={0: OffsetRange(60, 80)})


def test_a_changed_plan_after_a_clean_stop_begins_behind_the_index() -> None:
    start = decide_start(later(restore_point=SAVEPOINT, plan_hash=OTHER_PLAN), StartRequest())
    assert start == Start("new-plan", offsets={0: 60, 1: 40})


def test_a_changed_plan_begins_at_the_start_offset_where_the_index_has_no_row_and_at_0_of_a_new_partition() -> None:
    world = later(
        restore_point=SAVEPOINT,
        plan_hash=OTHER_PLAN,
        index_end={1: 40},
        partitions={**facts().partitions, 2: OffsetRange(0, 9)},
    )
    assert decide_start(world, StartRequest()).offsets == {0: 5, 1: 40, 2: 0}


def test_a_changed_plan_after_a_crash_is_refused_with_both_ways_on() -> None:
    said = refusal(later(plan_hash=OTHER_PLAN))
    assert "plan changed and the last run (w1) was not stopped with a savepoint" in said
    assert "start the previous version once and stop it" in said
    assert "--from-index-end" in said


def test_a_person_can_ask_for_the_index_end_after_a_crash() -> None:
    start = decide_start(later(plan_hash=OTHER_PLAN), StartRequest(from_index_end=True))
    assert start == Start("from-index-end", offsets={0: 60, 1: 40})


def test_a_changed_plan_whose_position_was_deleted_names_the_range_and_the_way_on() -> None:
    world = later(
        restore_point=SAVEPOINT,
        plan_hash=OTHER_PLAN,
        partitions={0: OffsetRange(61, 100), 1: OffsetRange(50, 50)},
    )
    said = refusal(world)
    assert "partition 0: [60, 61), partition 1: [40, 50)" in said
    assert "--skip-expired" in said
    start = decide_start(world, StartRequest(skip_expired=True))
    assert start.offsets == {0: 61, 1: 50}
    assert start.skipped == {0: OffsetRange(60, 61), 1: OffsetRange(40, 50)}


# --- later starts without state


def test_a_run_that_committed_nothing_is_repeated_from_where_it_began() -> None:
    world = later(restore_point=None, index_end={}, partitions={**facts().partitions, 2: OffsetRange(0, 9)})
    assert decide_start(world, StartRequest()) == Start("repeated", offsets={0: 5, 1: 0, 2: 0})


@pytest.mark.parametrize("point", [None, CHECKPOINT, SAVEPOINT], ids=["none left", "an older one", "an older stop"])
@pytest.mark.parametrize("plan", [PLAN, OTHER_PLAN])
def test_index_rows_that_no_state_knows_of_refuse_the_start(point: RestorePoint | None, plan: str) -> None:
    said = refusal(later(last=LAST, restore_point=point, plan_hash=plan))
    assert "w1" in said
    assert "wrote index rows" in said
    assert "restore the checkpoint directory" in said
    assert "--from-index-end" in said


def test_index_rows_that_no_state_knows_of_can_be_continued_on_request() -> None:
    start = decide_start(later(last=LAST, restore_point=None), StartRequest(from_index_end=True))
    assert start == Start("from-index-end", offsets={0: 60, 1: 40})


# --- another topic


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"topic_id": "other"}, "topic id was topic-id, is other"),
        ({"cluster_id": "other"}, "cluster was cluster, is other"),
    ],
)
@pytest.mark.parametrize(
    "request_", [StartRequest(), StartRequest(from_index_end=True), StartRequest(skip_expired=True)]
)
def test_another_topic_is_refused_whatever_was_asked_for(
    change: dict[str, object], words: str, request_: StartRequest
) -> None:
    said = refusal(later(**change), request_)
    assert words in said
    assert "OFFSET_INDEX_PATH" in said
    assert "CHECKPOINT_PATH" in said


def test_ids_that_one_side_does_not_know_refuse_nothing() -> None:
    assert decide_start(later(topic_id=None), StartRequest()).reason == "restored"
    unknown = replace(LAST, topic_id=None, cluster_id=None, has_index_rows=False)
    assert decide_start(later(last=unknown), StartRequest()).reason == "restored"


def test_an_index_beyond_the_end_of_the_log_is_refused() -> None:
    said = refusal(later(index_end={0: 101}))
    assert "the index of t reaches offset 101 of partition 0, but the topic ends at 100" in said
    assert "tables and checkpoints of its own" in said
    assert decide_start(later(index_end={0: 100, 1: 50}), StartRequest()).reason == "restored"


def test_an_index_of_a_partition_that_is_gone_is_refused() -> None:
    assert "reaches offset 1 of partition 9, but the topic ends at none" in refusal(later(index_end={9: 1}))


def test_a_partition_that_is_gone_is_refused_even_without_index_rows() -> None:
    said = refusal(later(partitions={0: OffsetRange(0, 100)}, index_end={}))
    assert "partition 1 of t was read before and is gone" in said


# --- the order of deployments


def deployment(writer: str, previous: str | None, minute: int = 0) -> Deployment:
    return Deployment(
        writer=writer,
        topic="t",
        cluster_id="cluster",
        topic_id="topic-id",
        group="g",
        start_offsets={},
        isolation="read_committed",
        checkpoint_interval=60.0,
        plan_hash=PLAN,
        started_at=datetime(2026, 11, 22, 22, minute, tzinfo=timezone.utc),
        previous=previous,
    )


def test_the_chain_follows_what_each_deployment_continues_not_the_clock() -> None:
    one, two, three = deployment("z", None, 30), deployment("m", "z", 20), deployment("a", "m", 10)
    assert deployment_chain([three, one, two]) == (one, two, three)


def test_no_deployments_make_an_empty_chain() -> None:
    assert deployment_chain([]) == ()


def test_a_chain_begins_at_the_oldest_record_that_is_left() -> None:
    two, three = deployment("b", "lost"), deployment("c", "b")
    assert deployment_chain([two, three]) == (two, three)


def test_two_deployments_that_continue_the_same_one_are_refused() -> None:
    with pytest.raises(StartRefusedError, match=r"deployments b and c were started beside each other.*audit"):
        deployment_chain([deployment("a", None), deployment("c", "a"), deployment("b", "a")])


def test_two_first_deployments_are_refused() -> None:
    with pytest.raises(StartRefusedError, match="a and b were started beside each other"):
        deployment_chain([deployment("a", None), deployment("b", None)])


def test_of_many_deployments_that_contradict_each_other_three_are_named() -> None:
    with pytest.raises(StartRefusedError, match="a and b and c were started beside each other"):
        deployment_chain([deployment(writer, None) for writer in "dcba"])
    with pytest.raises(StartRefusedError, match="records a, b, c continue each other"):
        deployment_chain([deployment(*pair) for pair in ("ab", "bc", "cd", "da")])


def test_deployments_that_continue_each_other_in_a_circle_are_refused() -> None:
    with pytest.raises(StartRefusedError, match="circle"):
        deployment_chain([deployment("a", "b"), deployment("b", "a")])
