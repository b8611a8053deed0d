"""The manifest from listing to listing: what is the same, what is looked at, what left, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.lake_manifest import (
    LakeFile,
    LakeManifest,
    LakeObject,
    LookedAt,
    ManifestUpdate,
    retire,
    to_look_at,
    updated,
    with_retired,
)
from lineage_pipeline.core.offsets import RangeSet
from tests.core.worlds import Row, rows_of


def listed(key: str, etag: str | None = "1", modified: float = 10.0) -> LakeObject:
    return LakeObject("data", key, 100, etag, modified)


def look(one: LakeObject, *rows: tuple[int, int], at: float = 0.0, partition: int = 0) -> LookedAt:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(partition, start, end) for start, end in rows]))
    return LookedAt(LakeFile(one, at, sum(end - start for start, end in rows)), builder.build())


def told(manifest: LakeManifest) -> list[tuple[str, str | None, list[tuple[int, int, int]]]]:
    """Each file with why it left and its runs: partition, start, end."""
    runs = manifest.runs
    lines = list(
        zip(runs.files.tolist(), runs.partitions.tolist(), runs.starts.tolist(), runs.ends.tolist(), strict=True)
    )
    return [
        (one.listed.key, one.left, [line[1:] for line in lines if line[0] == number])
        for number, one in enumerate(manifest.files)
    ]


A, B, C = listed("a"), listed("b", modified=5.0), listed("c", modified=20.0)


def known() -> LakeManifest:
    """a: [0, 5), looked at last; b: [5, 9) and [0, 2) of partition 1."""
    of_b = look(B, (5, 9), at=1.0)
    of_b = replace(of_b, coverage={**of_b.coverage, **look(B, (0, 2), partition=1).coverage})
    return updated(LakeManifest(), [A, B], [look(A, (0, 5), at=2.0), of_b], at=50.0).manifest


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"key": "b"}, False),
        ({"table": "quarantine"}, False),
        ({"size": 101}, False),
        ({"etag": "2"}, False),
        ({"modified": 11.0}, True),  # copied by a tool that keeps the content
        ({"etag": None}, True),
        ({"etag": None, "modified": 11.0}, False),
        ({"etag": None, "modified": 9.0}, False),
    ],
)
def test_an_object_is_the_same_by_name_size_and_tag_and_by_its_time_where_a_store_has_no_tags(
    change: dict[str, object], *, same: bool
) -> None:
    other = replace(A, **change)  # type: ignore[arg-type] - names of the fields
    assert A.is_same(other) is other.is_same(A) is same


def test_what_is_new_or_changed_is_looked_at_the_oldest_first_and_the_others_only_when_asked_for() -> None:
    changed, new, newer = listed("a", "2", 30.0), listed("d", modified=1.0), listed("e", modified=1.0)
    assert to_look_at(known(), [C, A, B, newer, new]) == [new, newer, C]
    assert to_look_at(known(), [C, changed, B]) == [C, changed]
    assert to_look_at(known(), [A, C, B], again=True) == [C, B, A]  # b was looked at before a
    equal = updated(LakeManifest(), [B, A], [look(A, (0, 5)), look(B, (5, 9))], at=50.0).manifest
    assert to_look_at(equal, [B, A], again=True) == [A, B]


def test_what_is_not_listed_is_missing_and_what_is_changed_is_known_as_both() -> None:
    changed = listed("a", "2")
    found = updated(known(), [changed, C], [look(changed, (0, 3)), look(C, (9, 10))], at=60.0)
    assert told(found.manifest) == [
        ("a", None, [(0, 0, 3)]),
        ("c", None, [(0, 9, 10)]),
        ("a", "changed", [(0, 0, 5)]),
        ("b", "missing", [(0, 5, 9), (1, 0, 2)]),
    ]
    assert {one.left_at for one in found.manifest.files} == {None, 60.0}
    assert (found.unread, found.superseded) == ((), ())
    # it stays what it was, since when it was
    again = updated(found.manifest, [changed, C], [], at=70.0)
    assert again.manifest.files == found.manifest.files
    assert (again.unread, again.superseded) == ((), ())


def test_what_nobody_has_looked_at_is_unread_and_what_it_held_before_is_known() -> None:
    changed = listed("a", "2")
    found = updated(known(), [C, changed, B], [], at=60.0)
    assert found.unread == (C, changed)
    assert told(found.manifest) == [("b", None, [(0, 5, 9), (1, 0, 2)]), ("a", "changed", [(0, 0, 5)])]


def test_what_left_is_kept_until_each_of_its_offsets_is_in_a_file_of_its_partition() -> None:
    def without_b(*rows: tuple[int, int], partition: int = 1) -> ManifestUpdate:
        looks = [look(A, (0, 5)), look(C, *rows, partition=partition)]
        return updated(known(), [A, C], [looks[1]], at=60.0)

    assert [one.listed.key for one in without_b((0, 2)).manifest.files] == ["a", "c", "b"]
    assert [one.listed.key for one in without_b((5, 9), partition=0).manifest.files] == ["a", "c", "b"]
    both = replace(look(C), coverage={**look(C, (5, 9)).coverage, **look(C, (0, 9), partition=1).coverage})
    found = updated(known(), [A, C], [both], at=60.0)
    assert [(one.listed.key, one.left) for one in found.manifest.files] == [("a", None), ("c", None)]
    assert [one.listed.key for one in found.superseded] == ["b"]


def test_an_object_written_over_by_one_that_holds_all_of_it_is_a_rewrite() -> None:
    changed = listed("a", "2")
    found = updated(known(), [changed, B], [look(changed, (0, 7))], at=60.0)
    assert [(one.listed.etag, one.left) for one in found.superseded] == [("1", "changed")]
    assert told(found.manifest) == [("a", None, [(0, 0, 7)]), ("b", None, [(0, 5, 9), (1, 0, 2)])]


def test_a_row_in_quarantine_does_not_stand_for_one_that_a_replay_put_into_data() -> None:
    bad, copy = LakeObject("quarantine", "bad", 9, "1", 1.0), LakeObject("quarantine", "copy", 9, "1", 1.0)
    before = updated(LakeManifest(), [A, bad], [look(A, (3, 5)), look(bad, (3, 5))], at=50.0).manifest
    claimed = {0: RangeSet.of((4, 5))}

    def kept(now: list[LakeObject], *looks: LookedAt, claimed: dict[int, RangeSet] | None = None) -> list[str]:
        return [one.listed.key for one in updated(before, now, looks, 60.0, claimed).manifest.files if one.left]

    assert kept([bad]) == []
    assert kept([bad], claimed=claimed) == ["a"]
    assert kept([bad], claimed={0: RangeSet.of((9, 10))}) == kept([bad], claimed={1: RangeSet.of((3, 5))}) == []
    assert kept([bad, C], look(C, (4, 5)), claimed=claimed) == []  # other data has it
    assert kept([bad, copy], look(copy, (4, 5)), claimed=claimed) == ["a"]
    # a quarantine file that is gone is replaced by whatever holds its offsets
    assert kept([A], claimed=claimed) == []
    assert kept([C], look(C, (3, 4)), claimed=claimed) == ["a", "bad"]


def test_offsets_that_are_in_an_object_more_than_once_are_counted() -> None:
    found = updated(LakeManifest(), [A], [look(A, (0, 5), (2, 4), (3, 4))], at=60.0).manifest
    present, repeats = found.runs.layers()
    assert (present, repeats.starts.tolist(), repeats.ends.tolist()) == (RangeSet.of((0, 5)), [2, 3], [3, 4])
    assert repeats.depths.tolist() == [2, 3]


def test_objects_without_a_row_are_known_as_well() -> None:
    found = updated(LakeManifest(), [A, B], [look(A)], at=60.0)
    assert (told(found.manifest), found.unread) == ([("a", None, [])], (B,))
    gone = updated(found.manifest, [B], [look(B)], at=70.0).manifest
    assert told(gone) == [("b", None, [])]


def test_another_look_at_the_same_object_is_no_rewrite_unless_it_holds_less() -> None:
    same = updated(known(), [A, B], [look(A, (0, 5), at=60.0)], at=60.0)
    assert same.superseded == ()
    assert [(key, left) for key, left, _ in told(same.manifest)] == [("a", None), ("b", None)]
    assert same.manifest.files[0].looked_at == 60.0
    less = updated(known(), [A, B], [look(A, (0, 4), at=60.0)], at=60.0)
    assert [(key, left) for key, left, _ in told(less.manifest)] == [("a", None), ("b", None), ("a", "changed")]


@pytest.mark.parametrize("fault", ["broken", "unsuitable"])
def test_what_an_object_held_before_it_could_not_be_read_is_kept_for_as_long(fault: str) -> None:
    spoilt = listed("a", "2")
    seen = LookedAt(LakeFile(spoilt, 60.0, fault=fault, problem="x"))  # type: ignore[arg-type]
    looks = [seen, look(C, (0, 9))]
    found = updated(known(), [spoilt, B, C], looks, at=60.0)
    assert [(key, left) for key, left, _ in told(found.manifest)] == [
        *(("a", None), ("b", None), ("c", None)),
        ("a", "changed"),
    ]
    assert (found.superseded, found.manifest.files[0].rows) == ((), 0)
    # of a self that nobody could read nothing is kept
    worse = listed("a", "3")
    still = LookedAt(LakeFile(worse, 70.0, fault=fault, problem="x"))  # type: ignore[arg-type]
    later = updated(found.manifest, [worse, B, C], [still], at=70.0).manifest
    assert [(one.listed.etag, one.left) for one in later.files if one.listed.key == "a"] == [
        ("3", None),
        ("1", "changed"),
    ]
    # once it is gone, others that hold it all are enough; of an object that nobody could read nothing is kept
    gone = updated(found.manifest, [B, C], [], at=70.0)
    assert [(key, left) for key, left, _ in told(gone.manifest)] == [("b", None), ("c", None)]


def test_only_what_is_gone_and_was_older_than_the_rule_left_by_it() -> None:
    changed = listed("a", "2")
    found = updated(known(), [changed], [look(changed, (0, 2))], at=60.0).manifest
    assert (told(retire(found, before=5.0)), retire(found, before=5.0).retired) == (told(found), {})
    left = retire(found, before=11.0)
    assert told(left) == [("a", None, [(0, 0, 2)]), ("a", "changed", [(0, 0, 5)])]
    assert left.retired == {0: RangeSet.of((5, 9)), 1: RangeSet.of((0, 2))}
    more = with_retired(left, {0: RangeSet.of((9, 12)), 7: RangeSet.of((1, 2))})
    assert more.retired == {0: RangeSet.of((5, 12)), 1: RangeSet.of((0, 2)), 7: RangeSet.of((1, 2))}


def test_what_is_retired_of_one_topic_says_nothing_of_another_of_its_name() -> None:
    left = retire(updated(known(), [], [], at=60.0).manifest, before=11.0)
    assert left.of_topic(None) == left
    now = left.of_topic(15.0)
    assert (len(left.retired), now.retired, now.since) == (2, {}, 15.0)
    more = with_retired(now, {0: RangeSet.of((0, 3))})
    assert more.of_topic(15.0).of_topic(None).retired == {0: RangeSet.of((0, 3))}
    assert more.of_topic(16.0).retired == {}


def test_files_of_a_topic_that_is_no_more_leave_without_being_retired() -> None:
    gone = updated(known().of_topic(B.modified), [], [], at=60.0).manifest
    left = retire(gone, before=99.0)
    assert (told(left), left.since) == ([], B.modified)
    assert left.retired == retire(updated(gone, [], [], at=60.0).manifest, before=99.0).retired != {}
    assert retire(known().of_topic(99.0), before=99.0).retired == {}
