"""Single lakes held against an index: which object is named for what, and what an unreadable one leaves open."""

from __future__ import annotations

import pytest

from lineage_pipeline.core.coverage import PartitionCoverage
from lineage_pipeline.core.lake_comparison import Held, Lost, PartitionLake, compare_lake, file_doubts
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.replayed import accounted_once, quarantine_files
from tests.core.lakes import Object, manifest


def compared(
    *objects: Object, index: RangeSet = EMPTY, since: float | None = None, claimed: RangeSet | None = None
) -> PartitionLake:
    claims = None if claimed is None else {0: claimed}
    found = compare_lake(manifest(*objects), {0: PartitionCoverage(exact=index)}, since, claims)
    return found.get(0, PartitionLake())


INDEX = RangeSet.of((0, 20))


def test_of_a_former_object_only_what_no_other_holds_is_lost_and_the_newest_is_told_first() -> None:
    found = compared(
        Object("now", ((0, 5), (8, 10))),
        Object("a", ((0, 8),), left="missing", left_at=10.0),
        Object("b", ((8, 12),), left="changed", left_at=20.0),
        Object("c", ((0, 5),), left="missing", left_at=30.0),
        index=INDEX,
    )
    assert found.lost == (
        Lost(
            "object-changed",
            RangeSet.of((10, 12)),
            "data file b held them and was changed and does not hold them any more",
        ),
        Lost("object-missing", RangeSet.of((5, 8)), "data file a held them and is not there any more"),
    )
    assert found.unindexed == ()


def test_of_objects_without_index_rows_only_the_offsets_that_have_none_are_named() -> None:
    found = compared(Object("a", ((0, 4),)), Object("b", ((2, 30),)), Object("c", ((25, 28),)), index=INDEX)
    assert found.unindexed == (
        Held(RangeSet.of((20, 30)), ("data file b",)),
        Held(RangeSet.of((25, 28)), ("data file c",)),
    )


def test_a_repeated_range_names_who_holds_it_and_not_its_neighbours() -> None:
    around = (Object("left", ((5, 10),)), Object("right", ((20, 25),)))
    twice = (Object("a", ((0, 3), (10, 20)), table="quarantine"), Object("b", ((10, 20),)))
    found = compared(*around, *twice, index=RangeSet.of((0, 25)))
    assert found.copies == (Held(RangeSet.of((10, 20)), ("quarantine file a", "data file b")),)
    assert (found.repeats.surplus(), found.quarantined) == (10, RangeSet.of((0, 3), (10, 20)))
    many = [Object(f"{n}", tuple((2 * k, 2 * k + 1) for k in range(101))) for n in "ab"]
    assert len(compared(*many).copies) == 100


def test_a_hundred_objects_are_named_and_of_the_others_each_offset_is_still_told() -> None:
    gone = [Object(f"g{n:03}", ((2 * n, 2 * n + 2),), left="missing", left_at=float(-n)) for n in range(103)]
    gone += [Object(f"h{n:03}", ((2 * n, 2 * n + 2),), left="changed", left_at=float(-n)) for n in range(103, 105)]
    new = [Object(f"n{n:03}", ((2 * n - 1, 2 * n + 1),)) for n in range(500, 605)]
    found = compared(*new, Object("half", ((205, 207),)), *gone, index=RangeSet.of((0, 1000), (1208, 1209)))
    assert [one.text[:14] for one in found.lost[:100]] == [f"data file g{n:03}" for n in range(100)]
    assert found.lost[100:] == (
        Lost("object-missing", RangeSet.of((200, 205)), "3 further objects that held them are missing"),
        Lost("object-changed", RangeSet.of((207, 210)), "2 further objects that held them are changed"),
    )
    assert [one.files for one in found.unindexed[:100]] == [(f"data file n{n}",) for n in range(500, 600)]
    assert found.unindexed[0].ranges == RangeSet.of((1000, 1001))
    assert found.unindexed[100:] == (Held(RangeSet.of((1199, 1208)), ("5 further files",)),)
    assert compared(*gone[:100]).lost == compared(*gone[:100], *new).lost
    assert len(compared(*gone[:100]).lost) == len(compared(*new[:100]).unindexed) == 100
    assert len(compared(*[Object(f"{n}", ((0, 210),)) for n in "ab"], *gone).lost) == 0


def test_what_a_replay_put_into_data_is_gone_with_that_object_and_a_further_replay_brings_it_back() -> None:
    bad = Object("bad", ((3, 5),), table="quarantine")
    former = Object("part", ((3, 6),), left="missing")
    found = compared(bad, former, index=INDEX, claimed=RangeSet.of((4, 5)))
    assert found.present == RangeSet.of((3, 4))
    (lost,) = found.lost
    assert lost.ranges == RangeSet.of((4, 6))
    assert "lineage quarantine replay --execute" in lost.text
    assert compared(bad, former, index=INDEX).present == RangeSet.of((3, 5))  # nothing was replayed
    # another data object has it still; that the quarantine has it too is no repeat, but a second row in data is
    again, third = Object("again", ((4, 5),)), Object("third", ((4, 5),))
    for there, surplus in (((again,), 0), ((again, third), 1)):
        held = compared(bad, former, *there, index=INDEX, claimed=RangeSet.of((4, 5)))
        assert held.present == RangeSet.of((3, 5))
        assert [one.ranges for one in held.lost] == [RangeSet.of((5, 6))]
        assert (held.replayed, held.repeats.surplus()) == (RangeSet.of((4, 5)), surplus)
    # a copy of the quarantine file that is gone as well is not what a replay writes
    copy = Object("bad-0", ((4, 5),), table="quarantine", left="missing")
    told = {one.text[:4]: "replay" in one.text for one in compared(bad, former, copy, claimed=RangeSet.of((4, 5))).lost}
    assert told == {"data": True, "quar": False}
    # neither what a replay could not write again nor a quarantine file comes back by it
    for claimed, one in (
        (RangeSet.of((5, 6)), former),
        (RangeSet.of((3, 4)), Object("bad-0", ((3, 4), (5, 7)), table="quarantine", left="missing")),
        (EMPTY, former),
    ):
        assert all("replay" not in lost.text for lost in compared(bad, one, index=INDEX, claimed=claimed).lost)


def test_only_a_row_in_quarantine_and_its_replay_in_data_are_one_occurrence() -> None:
    bad, copy = (Object(key, ((4, 5),), table="quarantine") for key in ("bad", "copy"))
    one, other = Object("a", ((4, 5),)), Object("b", ((4, 5),))
    for objects, replayed, surplus in (
        *(((bad,), 0, 0), ((bad, copy), 0, 1)),  # claimed, and not written yet
        *(((bad, one), 1, 0), ((bad, copy, one), 1, 1), ((bad, one, other), 1, 1)),
        *(((one,), 1, 0), ((one, other), 1, 1)),  # of those the quarantine file is gone
    ):
        found = compared(*objects, index=INDEX, claimed=RangeSet.of((4, 9)))
        assert (found.replayed.total, found.repeats.surplus()) == (replayed, surplus)


def test_rows_that_a_replay_wrote_beside_those_in_quarantine_are_accounted_once() -> None:
    lake = manifest(Object("a", ((3, 6), (8, 9))), Object("bad", ((4, 6),), table="quarantine"))
    for claimed, expected in (
        (EMPTY, [(0, 3, 6), (0, 8, 9), (1, 4, 6)]),
        (RangeSet.of((4, 5), (8, 9)), [(0, 3, 4), (0, 5, 6), (0, 8, 9), (1, 4, 6)]),  # 8 is in data alone
        (RangeSet.of((0, 99)), [(0, 3, 4), (0, 8, 9), (1, 4, 6)]),
    ):
        runs = accounted_once(quarantine_files(lake), lake.runs, claimed)
        columns = (runs.files.tolist(), runs.starts.tolist(), runs.ends.tolist())
        assert sorted(zip(*columns, strict=True)) == expected
        assert runs.weights.tolist() == [1] * len(expected)


def test_objects_of_a_topic_that_is_no_more_hold_and_held_nothing_of_the_one_that_is_now() -> None:
    found = compared(
        Object("at", ((0, 2),), modified=50.0),
        Object("before", ((2, 4),), modified=49.0),
        Object("gone-before", ((4, 6),), modified=49.0, left="missing"),
        Object("gone-at", ((6, 8),), modified=50.0, left="missing"),
        index=INDEX,
        since=50.0,
    )
    assert found.present == RangeSet.of((0, 2))
    assert [one.ranges for one in found.lost] == [RangeSet.of((6, 8))]


BROKEN, WHOLE = Object("a", fault="broken"), Object("a", ((0, 4),), left="changed")


@pytest.mark.parametrize(
    "others",
    [
        (),  # nobody knows what it held
        (WHOLE,),
        (WHOLE, Object("b", ((0, 3),))),
        (WHOLE, Object("a", ((4, 6),), left="changed"), Object("b", ((0, 4),))),  # of two selves one is covered
        (Object("a", ((4, 6),), left="changed"), WHOLE, Object("b", ((0, 4),))),
        (Object("a", ((0, 4),), table="quarantine", left="changed"), Object("b", ((0, 4),))),  # another name
        (Object("b", ((0, 4),), left="changed"), Object("c", ((0, 4),))),
        (Object("a", ((0, 0),), left="changed", fault="broken"), Object("b", ((0, 4),))),  # a self that nobody read
    ],
)
def test_a_broken_object_leaves_open_what_it_holds_but_not_whether_a_lost_one_is_lost(
    others: tuple[Object, ...],
) -> None:
    doubts, notes = file_doubts(manifest(BROKEN, *others))
    assert [(one.cause, one.text, one.of_lost) for one in doubts] == [("unproven", "a is broken", False)]
    assert not notes


def test_a_broken_object_whose_offsets_are_all_elsewhere_is_a_remark() -> None:
    doubts, notes = file_doubts(manifest(BROKEN, WHOLE, Object("b", ((0, 4),))))
    assert not doubts
    assert [(one.kind, one.severity, one.partition) for one in notes] == [("broken-file", "warn", None)]
    assert notes[0].text.startswith("a is broken; all its offsets are in other files")
    # a replay put one of them into data: that it is in quarantine as well does not stand for it
    elsewhere = manifest(BROKEN, WHOLE, Object("b", ((0, 3),)), Object("c", ((3, 4),), table="quarantine"))
    assert not file_doubts(elsewhere)[0]
    assert file_doubts(elsewhere, {0: RangeSet.of((3, 4))})[0]


def test_an_object_that_is_whole_but_cannot_be_read_may_hold_anything_whatever_it_held_before() -> None:
    unsuitable = Object("a", fault="unsuitable")
    for others in ((), (WHOLE, Object("b", ((0, 4),)))):
        doubts, notes = file_doubts(manifest(unsuitable, *others))
        assert [one.of_lost for one in doubts] == [True]
        assert not notes


def test_an_object_that_could_not_be_read_and_is_gone_leaves_nothing_open() -> None:
    gone = manifest(Object("a", left="missing", fault="unsuitable"), Object("b", ((0, 4),)))
    assert file_doubts(gone) == ([], [])
