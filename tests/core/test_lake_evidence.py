"""From a reading of the lake to evidence: every reason why it may not be whole, and what a reader is told beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone

from lineage_pipeline.core.coverage import PartitionCoverage, Repeats
from lineage_pipeline.core.evidence import LakeEvidence
from lineage_pipeline.core.lake_comparison import Doubt, LakeNote
from lineage_pipeline.core.lake_evidence import LakeReading, lake_evidence, with_told_once
from lineage_pipeline.core.lake_manifest import LakeManifest
from lineage_pipeline.core.memory import LakeObservation, Memory
from lineage_pipeline.core.offsets import RangeSet, as_int64
from lineage_pipeline.core.replay_claim import ReplayClaim
from tests.core.lakes import Object, manifest

INDEX = {0: PartitionCoverage(RangeSet.of((0, 10)), rows=1)}
WHOLE = Object("a", ((0, 10),))


def reading(*objects: Object) -> LakeReading:
    return LakeReading("read", manifest(*objects))


def notes(lake: LakeEvidence, *kinds: str) -> list[LakeNote]:
    return [one for one in lake.notes if one.kind in kinds]


def kinds(found: Iterable[LakeNote]) -> list[tuple[str, str, int | None]]:
    return [(one.kind, one.severity, one.partition) for one in found]


def test_a_whole_lake_leaves_no_doubt_and_nothing_to_say() -> None:
    lake = lake_evidence(reading(WHOLE), INDEX, Memory(), settled=1e9)
    assert (lake.status, lake.doubts, lake.problems, lake.notes) == ("read", (), (), ())
    assert lake.partitions[0].present == RangeSet.of((0, 10))


def test_every_reason_of_the_reading_and_of_its_files_is_a_doubt_and_a_problem() -> None:
    read = replace(
        reading(WHOLE, Object("b", fault="unsuitable")),
        doubts=(Doubt("budget", "one is unread"),),
        problems=("one is unread", "and more"),
        notes=(LakeNote("x", "info", "told by the reading"),),
    )
    lake = lake_evidence(read, INDEX, Memory())
    assert [(one.cause, one.text) for one in lake.doubts] == [
        ("unproven", "b is unsuitable"),
        ("budget", "one is unread"),
    ]
    assert lake.problems == ("b is unsuitable", "one is unread", "and more")
    assert kinds(lake.notes) == [("x", "info", None)]


def test_a_table_in_which_nothing_ever_was_is_a_doubt_where_the_index_says_that_it_has_something() -> None:
    for table, quarantined, doubtful in (
        *(("data", 0, True), ("data", 3, True)),
        *(("quarantine", 0, False), ("quarantine", 3, True)),
    ):
        read = replace(LakeReading("read"), never_seen=((table, "check the path"),))  # type: ignore[arg-type]
        index = {0: replace(INDEX[0], quarantined=quarantined)}
        lake = lake_evidence(read, index, Memory())
        assert [(one.cause, one.text) for one in lake.doubts] == [("listing-incomplete", "check the path")] * doubtful
        assert lake.problems == ("check the path",) * doubtful
        assert lake_evidence(read, {}, Memory()).doubts == ()


def test_files_of_a_recreated_topic_are_doubtful_unless_it_is_known_since_when_they_count() -> None:
    before = Object("z", ((0, 10),), modified=40.0)
    recreated = Memory(remarks=("c/t was recreated",))
    lake = lake_evidence(reading(WHOLE), INDEX, recreated)
    assert [one.cause for one in lake.doubts] == ["unproven"]
    assert len(lake.problems) == 1
    assert lake_evidence(LakeReading("read", LakeManifest()), INDEX, recreated).doubts == ()
    known = lake_evidence(reading(WHOLE, before), INDEX, replace(recreated, lake_since=50.0))
    assert known.doubts == ()
    (told,) = notes(known, "sealed-files")
    assert (told.severity, told.text.startswith("1 files"), "data file z" in told.text) == ("info", True, True)
    # one that is gone, or came at that very moment, is none of them
    others = (Object("y", ((0, 10),), modified=40.0, left="missing"), Object("x", ((0, 10),), modified=50.0))
    assert not notes(lake_evidence(reading(WHOLE, *others), INDEX, replace(recreated, lake_since=50.0)), "sealed-files")


def test_what_replays_took_on_counts_for_the_topic_that_is_now() -> None:
    at = datetime(2026, 11, 22, tzinfo=timezone.utc)
    claim = ReplayClaim(1, "t", None, None, ({0: RangeSet.of((4, 5))},), at, "ann")
    bad = Object("bad", ((4, 5),), table="quarantine", modified=at.timestamp() + 9)
    former = Object("part", ((4, 5),), left="missing", modified=at.timestamp() + 9)
    read = replace(reading(bad, former), replays=(claim,))
    for since, present in ((None, 0), (at.timestamp(), 0), (at.timestamp() + 1, 1)):
        lake = lake_evidence(read, INDEX, Memory(lake_since=since))
        assert lake.partitions[0].present.total == present
    # without an index row and without the row that was replayed there is nothing in data to be told
    assert not notes(lake_evidence(read, {}, Memory()), "unindexed-data")


def test_a_lost_manifest_and_a_rewrite_are_told() -> None:
    seen = Memory(lake=(LakeObservation(datetime(2026, 11, 22, tzinfo=timezone.utc), {}),))
    for first, memory, told in ((True, seen, True), (True, Memory(), False), (False, seen, False)):
        lake = lake_evidence(replace(reading(WHOLE), first=first), INDEX, memory)
        assert kinds(lake.notes) == [("manifest-lost", "warn", None)] * told
    assert not lake_evidence(reading(WHOLE), INDEX, seen).notes
    gone = tuple(Object(f"g{number}", left="missing").file for number in range(7))
    (one,) = lake_evidence(replace(reading(WHOLE), superseded=gone), INDEX, Memory()).notes
    assert (one.kind, one.severity) == ("rewritten", "info")
    assert "data file g4 and 2 more: " in one.text
    (one,) = lake_evidence(replace(reading(WHOLE), superseded=gone[:5]), INDEX, Memory()).notes
    assert "data file g4: " in one.text


def test_what_is_in_quarantine_is_told_by_offset_and_what_of_it_was_replayed() -> None:
    offsets = tuple((4 * n, 4 * n + 1 + n % 2) for n in range(22))
    index = {0: PartitionCoverage(RangeSet.of((0, 100)), quarantined=33)}
    read = reading(WHOLE, Object("rest", ((10, 100),)), Object("bad", offsets, table="quarantine"))
    lake = lake_evidence(read, index, Memory())
    (told,) = notes(lake, "quarantine")
    assert (told.severity, told.partition) == ("warn", 0)
    assert told.text.startswith("33 offsets are in quarantine: 0, 4 to 5, 8, 12 to 13, ")
    assert told.text.endswith(", 76 to 77 and 2 more ranges")
    assert not notes(lake, "quarantine-differs")
    some = replace(read, manifest=manifest(Object("bad", offsets[:20], table="quarantine")))
    assert notes(lake_evidence(some, index, Memory()), "quarantine")[0].text.endswith(", 76 to 77")
    at = datetime(2026, 11, 22, tzinfo=timezone.utc)
    for taken, severity, said in (((0, 5), "warn", ", 2 of them replayed to data"), ((0, 100), "info", ", 33 of them")):
        claim = ReplayClaim(1, "t", None, None, ({0: RangeSet.of(taken)},), at, "ann")
        (one,) = notes(lake_evidence(replace(read, replays=(claim,)), index, Memory()), "quarantine")
        assert (one.severity, said in one.text) == (severity, True)


def test_index_and_quarantine_that_count_differently_are_told_where_no_repeat_explains_it() -> None:
    bad = Object("bad", ((3, 5),), table="quarantine")
    part = replace(INDEX[0], quarantined=2)
    rest = Object("rest", ((0, 3), (5, 10)))

    def differs(index: PartitionCoverage, *objects: Object) -> list[str]:
        return [one.text for one in notes(lake_evidence(reading(*objects), {0: index}, Memory()), "quarantine-differs")]

    assert differs(part, bad, rest) == []
    assert differs(replace(part, quarantined=3), bad, rest) == [
        "index rows count 3 records in quarantine, and 2 of them are in its files"
    ]
    assert differs(replace(part, quarantined=1), bad, rest)
    assert differs(replace(part, exact=RangeSet.of((0, 4))), bad, rest)  # of the other there is no index row
    claim = ReplayClaim(1, "t", None, None, ({0: RangeSet.of((3, 5))},), datetime(1970, 1, 1, tzinfo=timezone.utc), "a")
    tidied = replace(reading(WHOLE), replays=(claim,))  # the quarantine file of what was replayed is gone
    assert not notes(lake_evidence(tidied, {0: part}, Memory()), "quarantine-differs")
    assert notes(lake_evidence(tidied, {0: replace(part, quarantined=3)}, Memory()), "quarantine-differs")
    twice = Repeats(as_int64([0]), as_int64([1]), as_int64([2]))
    assert not differs(replace(part, quarantined=3, repeats=twice), bad, rest)
    assert not differs(replace(part, quarantined=3), bad, rest, Object("copy", ((0, 1),)))


def test_offsets_in_files_and_not_in_the_index_are_told() -> None:
    def told(*objects: Object, index: PartitionCoverage | None = None) -> list[str]:
        found = lake_evidence(reading(*objects), {} if index is None else {0: index}, Memory())
        assert {one.severity for one in found.notes} <= {"warn"}
        return [one.text for one in notes(found, "unindexed-data")]

    assert told(WHOLE) == ["10 offsets are in objects, and the index has no row of this partition"]
    holed = PartitionCoverage(RangeSet.of((0, 2), (5, 7)))
    assert told(Object("a", ((8, 9),)), Object("b", ((1, 4), (6, 9))), index=holed) == [
        "2 offsets below the index's end are in objects and not in the index, first data file b"
    ]
    (text,) = told(Object("a", ((0, 1),)), index=PartitionCoverage(RangeSet.of((1, 3))))
    assert text.startswith("1 offsets below the index's end")
    assert told(Object("a", ((0, 2), (5, 9))), index=holed) == []  # behind its end: they may still come
    assert told(Object("a", ((0, 2),), left="missing")) == []


def test_files_behind_the_last_index_row_are_told_when_they_are_old_enough() -> None:
    def told(*objects: Object, settled: float | None = 200.0, since: float | None = None) -> list[str]:
        found = notes(
            lake_evidence(reading(WHOLE, *objects), INDEX, Memory(lake_since=since), settled), "unindexed-data"
        )
        assert {(one.severity, one.partition) for one in found} <= {("warn", 0)}
        return [one.text for one in found]

    late = Object("b", ((8, 14),))  # of 100.0
    (text,) = told(late, Object("c", ((12, 16),)))
    assert text.startswith("6 offsets behind the index's last row, from 10 on, are in files, the first data file b: ")
    assert "--tail" in text
    (text,) = told(Object("b", ((9, 11),)))
    assert text.startswith("1 offsets behind the index's last row, from 10 on, are in files, the first data file b: ")
    assert told(late, settled=None) == told(late, settled=100.0) == told(late, settled=1e9, since=100.5) == []
    assert len(told(late, settled=100.5)) == len(told(late, since=100.0)) == 1
    assert told(Object("b", ((0, 9),))) == told(Object("b", ((8, 14),), left="missing")) == []


def test_repeated_rows_are_told_with_the_groups_of_files_that_hold_them() -> None:
    twice = [Object(f"{name}{n}", ((10 * n, 10 * n + 2),)) for n in range(7) for name in "ab"]
    index = {0: PartitionCoverage(RangeSet.of((0, 100)))}
    (one,) = notes(lake_evidence(reading(Object("x", ((70, 100),)), *twice), index, Memory()), "repeated-rows")
    assert (one.severity, one.partition) == ("warn", 0)
    assert one.text.startswith("14 surplus rows: data file a0 and data file b0; data file a1 and data file b1; ")
    assert one.text.endswith("data file a4 and data file b4; and 2 further groups")
    (one,) = notes(lake_evidence(reading(*twice[:10]), index, Memory()), "repeated-rows")
    assert one.text.endswith("data file a4 and data file b4")


def test_of_two_looks_the_later_one_tells_what_only_the_earlier_could_see() -> None:
    lost, rewritten, other = (LakeNote(kind, "info", kind) for kind in ("manifest-lost", "rewritten", "quarantine"))

    def told(later: list[LakeNote], earlier: list[LakeNote], *, stored: bool) -> list[LakeNote]:
        lake = LakeEvidence("read", notes=tuple(later))
        return list(with_told_once(lake, LakeEvidence("read", notes=tuple(earlier)), stored=stored).notes)

    assert told([other], [lost, rewritten, other], stored=True) == [other, lost, rewritten]
    assert told([rewritten], [rewritten], stored=True) == [rewritten]
    assert told([], [other], stored=True) == []
    # a manifest that was not to be kept is not missed by the second look
    assert told([lost, other], [], stored=False) == [other]
    assert told([lost], [], stored=True) == told([lost], [lost], stored=False) == [lost]
