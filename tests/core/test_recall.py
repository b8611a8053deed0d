"""What an audit takes from the ledger: whose rows count, which topic is now, what the log and the index have lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, partition_offsets, unknown_offsets
from lineage_pipeline.core.classes import Verdict
from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.fold import Fold, Owner
from lineage_pipeline.core.ledger import LedgerState, replay
from lineage_pipeline.core.ledger_events import (
    BaselineResolved,
    FilesVanished,
    Incarnation,
    IncarnationOpened,
    IncarnationSealed,
    LogTruncated,
    Looked,
    Restarted,
    WritersSeen,
)
from lineage_pipeline.core.memory import ObservedPartition
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.core.recall import Seen, current_incarnation, recall, seal_others
from tests.core.worlds import NOW, Row, World, deployment, rows_of

A, B, ELSEWHERE = Incarnation("c", "a"), Incarnation("c", "b"), Incarnation("d", "a")
OPENED = replay([IncarnationOpened(NOW, A)])


def fold(owners: Mapping[Owner, tuple[Row, ...]]) -> Fold:
    found = {}
    for owner, rows in owners.items():
        builder = CoverageBuilder()
        builder.add(rows_of(rows))
        found[owner] = builder.build()
    return Fold(found)


def record(writer: str, incarnation: Incarnation, hours: float = 0) -> Deployment:
    return replace(
        deployment(0, World(), {}),
        writer=writer,
        cluster_id=incarnation.cluster_id,
        topic_id=incarnation.topic_id,
        started_at=NOW - timedelta(hours=hours),
    )


def broker(incarnation: Incarnation, *partitions: PartitionOffsets) -> BrokerSnapshot:
    return BrokerSnapshot(incarnation.cluster_id, incarnation.topic_id, dict(enumerate(partitions)))


def ended(end: int) -> PartitionOffsets:
    return PartitionOffsets(0, end, end)


def looked(verdict: Verdict, index_end: int, log_end: int | None = None) -> Looked:
    seen = {0: ObservedPartition(log_end, log_end)} if log_end is not None else {}
    return Looked(NOW, NOW, verdict, "full", {0: index_end}, seen)


# ---- which topic is now


@pytest.mark.parametrize(
    ("records", "sealed", "opens"),
    [
        ((), (), True),
        ((A,), (), False),
        ((B,), (), True),
        ((A, B), (), False),  # which of them is the topic nobody has said yet
        ((A, B), (A,), True),
        ((A, B), (ELSEWHERE,), False),
        ((A,), (A,), True),
    ],
)
def test_the_first_broker_names_the_topic_when_no_record_of_a_topic_that_may_still_be_contradicts(
    records: tuple[Incarnation, ...], sealed: tuple[Incarnation, ...], *, opens: bool
) -> None:
    state = replay([IncarnationSealed(NOW, one, "complete") for one in sealed])
    deployments = tuple(record(f"w{number}", one) for number, one in enumerate(records))
    found = recall(state, Seen(NOW, Fold(), deployments=deployments, snapshot=broker(B, ended(0))))
    assert found.state.incarnation == (B if opens else None)
    assert found.events == ((IncarnationOpened(NOW, B),) if opens else ())


def test_a_recreated_topic_takes_its_last_verdict_and_the_writers_of_which_no_record_tells_with_it() -> None:
    state = replay([looked("loss", 20, 20), looked("complete", 20, 20)], OPENED)
    owners = fold({A: (Row(0, 0, 10),), "w9": (Row(0, 10, 15),), "w8": (Row(0, 15, 20),), None: (Row(0, 3, 4),)})
    found = recall(state, Seen(NOW, owners, owners, (record("w1", A),), broker(B, ended(5))))
    assert found.events == (IncarnationSealed(NOW, A, "complete", ("w8", "w9")), IncarnationOpened(NOW, B))
    assert found.sealed_writers == {"w1"}
    assert found.deployments == ()
    assert found.coverage[0].exact == RangeSet.of((3, 4))  # of a row that names no writer nobody knows whose it is
    assert "rows without a writer" in found.memory.problems[0]
    # what leaves the index of a topic that is no more is no loss of the one that is now
    left = recall(found.state, Seen(NOW, fold({B: (Row(0, 0, 2),)}), owners, (), broker(B, ended(5))))
    assert [one for one in left.events if isinstance(one, FilesVanished)] == [
        FilesVanished(NOW, {0: RangeSet.of((3, 4))})
    ]


def test_the_brokers_word_alone_opens_nothing_while_a_deployment_record_that_may_contradict_it_is_unread() -> None:
    seen = Seen(NOW, Fold(), snapshot=broker(ELSEWHERE, ended(3)), records_whole=False)
    assert recall(LedgerState(), seen).state.incarnation is None
    assert recall(LedgerState(), replace(seen, records_whole=True)).state.incarnation == ELSEWHERE


@pytest.mark.parametrize("opened", [False, True])
def test_rows_of_another_topic_are_in_doubt_though_the_record_that_said_so_is_gone(*, opened: bool) -> None:
    known = replay([IncarnationOpened(NOW, B)]) if opened else LedgerState()
    seen = Seen(NOW, fold({A: (Row(0, 0, 9),)}), deployments=(record("w2", B),), snapshot=broker(B, ended(20)))
    found = recall(known, seen)
    doubt = "the broker is c/b, and there are index rows of c/a: restore its deployment record"
    assert found.memory.incarnation_problem == doubt
    assert found.state.incarnation == (B if opened else None), "what once contradicted is not agreed on"
    sealed = replay([IncarnationSealed(NOW, A, "complete")], known)
    assert recall(sealed, seen).memory.incarnation_problem is None
    assert recall(sealed, seen).state.incarnation == B
    assert recall(known, replace(seen, snapshot=None)).memory.incarnation_problem is None


def test_rows_of_a_writer_whose_record_cannot_be_read_are_in_doubt_and_of_one_that_never_had_one_are_not() -> None:
    seen = Seen(NOW, fold({"w1": (Row(0, 0, 9),), None: (Row(0, 9, 12),)}), snapshot=broker(B, ended(20)))
    for known in (LedgerState(), replay([IncarnationOpened(NOW, B)])):
        doubt = recall(known, replace(seen, records_whole=False)).memory.incarnation_problem
        assert doubt == "index rows of writer w1 may be of another topic: its deployment record cannot be read"
        assert recall(known, seen).memory.incarnation_problem is None
    only_nameless = replace(seen, fold=fold({None: (Row(0, 9, 12),), B: (Row(0, 0, 9),)}), records_whole=False)
    assert recall(LedgerState(), only_nameless).memory.incarnation_problem is None


def test_a_rebuilt_fold_does_not_forget_that_a_writer_had_a_record_that_is_gone() -> None:
    known = replay([IncarnationOpened(NOW, B), WritersSeen(("w1",))])
    rebuilt = Seen(NOW, fold({"w1": (Row(0, 0, 9),)}), snapshot=broker(B, ended(20)))
    assert "of writer w1 may be of another topic" in str(recall(known, rebuilt).memory.incarnation_problem)


def test_rows_and_records_contradict_each_other_where_the_broker_knows_no_topic_ids() -> None:
    nameless = replace(broker(B, ended(20)), topic_id=None)
    seen = Seen(NOW, fold({A: (Row(0, 0, 9),), B: (Row(0, 9, 12),)}), deployments=(record("w2", B),), snapshot=nameless)
    assert "index rows of c/a" in str(recall(LedgerState(), seen).memory.incarnation_problem)
    only_b = replace(seen, fold=fold({B: (Row(0, 9, 12),)}))
    assert recall(LedgerState(), only_b).memory.incarnation_problem is None


def test_rows_in_doubt_do_not_make_a_log_look_cut_back() -> None:
    state = replay([IncarnationOpened(NOW, B), looked("complete", 20, 20)])
    seen = Seen(NOW, fold({"w1": (Row(0, 0, 100),)}), snapshot=broker(B, ended(20)), records_whole=False)
    assert recall(state, seen).events == ()
    assert [type(one) for one in recall(state, replace(seen, records_whole=True)).events] == [LogTruncated]


def test_a_topic_without_a_single_look_is_sealed_as_undetermined() -> None:
    found = recall(OPENED, Seen(NOW, Fold(), snapshot=broker(B, ended(0))))
    assert found.events == (IncarnationSealed(NOW, A, "undetermined"), IncarnationOpened(NOW, B))
    assert found.memory.problems == ()


def test_another_cluster_is_a_stranger_and_changes_nothing() -> None:
    state = replay([looked("complete", 20, 20)], OPENED)
    found = recall(state, Seen(NOW, fold({A: (Row(0, 0, 20),)}), snapshot=broker(ELSEWHERE, ended(3))))
    assert found.events == ()
    assert found.memory.incarnation_problem is not None
    assert "c/a" in found.memory.incarnation_problem
    assert "d/a" in found.memory.incarnation_problem


def test_files_are_of_the_topic_that_is_now_from_the_first_of_its_records_on() -> None:
    records = (record("w2", B, 5), record("w3", B, 2))
    sealed = replay([IncarnationSealed(NOW, A, "complete"), IncarnationOpened(NOW, B)], OPENED)
    for state, listed, since in ((sealed, records, NOW - timedelta(hours=5)), (sealed, (), None), (OPENED, records, 0)):
        seen = Seen(NOW, Fold(), deployments=listed)
        lake_since = recall(state, seen).memory.lake_since
        assert lake_since == (since.timestamp() if since else None)


def test_a_person_who_begins_anew_seals_every_topic_but_the_one_that_is_now() -> None:
    seen = Seen(NOW, Fold(), deployments=(record("w1", A), record("w2", ELSEWHERE), record("w3", B)))
    asked = replace(seen, snapshot=broker(A))
    assert current_incarnation(seen) == B
    assert current_incarnation(asked) == A
    assert current_incarnation(Seen(NOW, Fold())) is None
    for one, current, others in ((seen, B, (A, ELSEWHERE)), (asked, A, (B, ELSEWHERE))):
        sealed = seal_others(one, current)
        assert sealed == [IncarnationSealed(NOW, other, "undetermined") for other in others]
        state = replay([*sealed, Restarted(NOW, "told")], OPENED)
        assert recall(state, replace(one, snapshot=broker(current))).state.incarnation == current


# ---- what the index and the log have lost


def test_a_log_that_ends_below_what_it_or_the_index_reached_was_cut_back_and_that_is_told_once() -> None:
    index = fold({A: (Row(0, 0, 20),)})
    for highest, end, log_end in ((30, 25, 30), (20, 12, 15), (20, 12, None), (20, 0, 20)):
        state = replay([looked("complete", 20, log_end)], OPENED)
        seen = Seen(NOW, index, index, snapshot=broker(A, ended(end)))
        found = recall(state, seen)
        assert found.events == (LogTruncated(NOW, {0: RangeSet.of((end, highest))}),)
        assert recall(found.state, seen).events == ()
        further = recall(found.state, replace(seen, snapshot=broker(A, ended(max(0, end - 2)))))
        assert further.events == (() if not end else (LogTruncated(NOW, {0: RangeSet.of((end - 2, end))}),))


def test_a_group_ahead_of_the_log_shows_a_cut_and_a_broker_without_an_answer_shows_none() -> None:
    seen = Seen(NOW, fold({A: (Row(0, 0, 20),)}), snapshot=broker(A, partition_offsets(0, 12, 12, 20)))
    assert recall(OPENED, seen).events == (LogTruncated(NOW, {0: RangeSet.of((12, 20))}),)
    for silent in (broker(A, unknown_offsets("no leader")), broker(A), None):
        assert recall(OPENED, replace(seen, snapshot=silent)).events == ()


@pytest.mark.parametrize("end", [0, 20, 50])
def test_a_log_that_reaches_as_far_as_ever_was_not_cut_back(end: int) -> None:
    index = fold({A: (Row(0, 0, end),) if end else ()})
    state = replay([looked("complete", end, end)] if end else [], OPENED)
    assert recall(state, Seen(NOW, index, index, snapshot=broker(A, ended(end)))).events == ()


def vanished(state: LedgerState, now: Fold, before: Fold | None) -> tuple[RangeSet | None, LedgerState]:
    found = recall(state, Seen(NOW, now, before))
    told = [one for one in found.events if isinstance(one, FilesVanished)]
    assert recall(found.state, Seen(NOW, now, before)).events == ()  # told once
    assert len(told) <= 1
    return (told[0].partitions.get(0) if told else None), found.state


def test_what_an_index_covered_once_and_does_not_cover_now_has_vanished() -> None:
    state = replay([looked("complete", 20)])
    whole, less = fold({"w1": (Row(0, 0, 10), Row(0, 12, 20))}), fold({"w1": (Row(0, 0, 10),)})
    assert vanished(state, whole, whole)[0] is None
    lost, knowing = vanished(state, less, whole)
    assert lost == RangeSet.of((12, 20))  # not the hole that was in it
    assert vanished(knowing, less, None)[0] is None
    assert vanished(knowing, Fold(), less)[0] == RangeSet.of((0, 10))


@pytest.mark.parametrize(("baseline", "begins"), [(None, 0), (5, 5), (25, None)])
def test_where_the_fold_is_lost_too_the_end_that_the_index_had_tells_what_vanished(
    baseline: int | None, begins: int | None
) -> None:
    known = [BaselineResolved(0, baseline, "x")] if baseline is not None else []
    state = replay([*known, looked("complete", 20)])
    none_left, some_left = vanished(state, Fold(), None)[0], vanished(state, fold({"w1": (Row(0, 8, 14),)}), None)[0]
    if begins is None:
        assert none_left is some_left is None
    else:
        assert (none_left, some_left) == (RangeSet.of((begins, 20)), RangeSet.of((14, 20)))
