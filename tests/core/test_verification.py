"""What counts as right, what as wrong, and that nothing unread is right."""

from __future__ import annotations

import math
import random
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.value_comparison import (
    Compared,
    ExpectedRow,
    LakeRow,
    Reading,
    Unknown,
    Window,
    absent,
    compare,
    not_compared,
)
from lineage_pipeline.core.verification import RUN, BrokenObject, Verification, sample_windows

WINDOW = Window(3, OffsetRange(0, 10))
AT = datetime(2026, 11, 22, tzinfo=timezone.utc)


def expected(value: Any = "a", table: str = "data") -> ExpectedRow:
    return ExpectedRow(table, {"kafka_offset": 1, "text": value})


def row(value: Any = "a", table: str = "data", **more: Any) -> LakeRow:
    return LakeRow(table, "part-1", {"kafka_offset": 1, "text": value, **more})


def reading(kafka: dict[int, ExpectedRow], lake: dict[int, list[LakeRow]], **changed: Any) -> Reading:
    return Reading(WINDOW, kafka, changed.pop("passed", RangeSet.of((0, 10))), lake, **changed)


def kinds(found: Compared) -> list[tuple[int, str]]:
    return [(one.offset, one.kind) for one in found.differences]


@pytest.mark.parametrize("value", ["a", None, 0, 1.5, math.nan, b"\0", -0.0])
def test_equal_values_are_right(value: Any) -> None:
    found = compare(reading({1: expected(value)}, {1: [row(value)]}))
    assert (found.same, found.differences, found.unknown) == (RangeSet.of((1, 2)), (), ())


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("a", None), (None, "a"), (1, 2), (math.nan, 1.0), ("1", 1), (b"a", "a"), (0.1, 0.2)]
)
def test_other_values_are_wrong_and_named_by_column_and_file_but_not_shown(one: Any, other: Any) -> None:
    found = compare(reading({1: expected(one)}, {1: [row(other)]}))
    assert kinds(found) == [(1, "value")]
    assert found.differences[0].text == "text in data file part-1"
    assert not len(found.same)


def test_a_column_that_the_file_lacks_is_wrong_unless_it_is_null() -> None:
    bare = LakeRow("data", "part-1", {"kafka_offset": 1})
    assert kinds(compare(reading({1: expected("a")}, {1: [bare]}))) == [(1, "value")]
    assert compare(reading({1: expected(None)}, {1: [bare]})).differences == ()


def test_columns_that_nobody_expects_are_left_alone() -> None:
    assert compare(reading({1: expected()}, {1: [row(other=5)]})).differences == ()


def test_a_row_in_the_other_table_is_wrong() -> None:
    assert kinds(compare(reading({1: expected()}, {1: [row(table="quarantine")]}))) == [(1, "table")]


def quarantined(error: str | None, payload: bytes = b"x") -> LakeRow:
    return LakeRow("quarantine", "bad-1", {"error": error, "payload": payload})


def refused(error: str) -> dict[int, ExpectedRow]:
    return {1: ExpectedRow("quarantine", {"error": error, "payload": b"x"})}


def test_of_an_error_only_the_class_counts() -> None:
    found = compare(reading(refused("truncated: the payload ends"), {1: [quarantined("truncated: said otherwise")]}))
    assert (found.same.total, found.differences, found.other_reason) == (1, (), 0)


@pytest.mark.parametrize("before", ["unresolvable: field 'customer'", "registry-unavailable: x", "internal: x"])
def test_a_reason_that_a_mended_schema_has_made_another_is_told_and_not_wrong(before: str) -> None:
    found = compare(reading(refused("truncated: x"), {1: [quarantined(before)]}))
    assert (found.same.total, found.differences, found.other_reason) == (1, (), 1)
    assert kinds(compare(reading(refused("truncated: x"), {1: [quarantined(before, b"y")]}))) == [(1, "value")]


@pytest.mark.parametrize("before", [None, "", "trunkated: x", "x truncated: x"])
def test_an_error_that_is_no_reason_is_wrong(before: str | None) -> None:
    assert kinds(compare(reading(refused("truncated: x"), {1: [quarantined(before)]}))) == [(1, "value")]


@pytest.mark.parametrize("now", ["registry-unavailable", "out-of-memory", "internal"])
@pytest.mark.parametrize("lake", [row(), row(error="registry-unavailable: of the record"), quarantined("truncated: x")])
def test_what_the_decoder_of_now_could_not_try_is_neither_right_nor_wrong(now: str, lake: LakeRow) -> None:
    found = compare(reading(refused(f"{now}: x"), {1: [lake]}))
    assert (found.same.total, found.differences) == (0, ())
    assert [one.range for one in found.unknown] == [OffsetRange(1, 2)]
    assert now in found.unknown[0].why


def test_a_column_of_data_called_error_is_a_value() -> None:
    kafka = {1: ExpectedRow("data", {"error": "truncated: a"})}
    found = compare(reading(kafka, {1: [LakeRow("data", "part-1", {"error": "truncated: b"})]}))
    assert (kinds(found), found.other_reason) == ([(1, "value")], 0)


def test_a_record_without_a_row_is_neither_wrong_nor_open_before_a_second_look() -> None:
    found = compare(reading({1: expected()}, {}))
    assert (found.lacking, found.differences, found.unknown) == (RangeSet.of((1, 2)), (), ())


def test_what_the_second_look_lacks_is_wrong_or_open() -> None:
    lacking = RangeSet.of((1, 3), (5, 6))
    assert kinds(absent(3, lacking)) == [(1, "absent"), (2, "absent"), (5, "absent")]
    found = not_compared(3, lacking, "why")
    assert [(str(one.range), one.why) for one in found.unknown] == [("[1, 3)", "why"), ("[5, 6)", "why")]


def test_where_not_every_object_was_seen_an_absent_row_is_open() -> None:
    found = compare(reading({1: expected()}, {}, doubt="5 files were not looked at"))
    assert (found.differences, found.unknown[0].why, found.lacking) == ((), "5 files were not looked at", EMPTY)


def test_a_row_without_a_record_is_wrong_unless_nobody_can_tell() -> None:
    assert kinds(compare(reading({}, {1: [row()]}))) == [(1, "foreign")]
    for changed in ({"compacted": True}, {"passed": RangeSet.of((5, 10))}):
        found = compare(reading({}, {1: [row()]}, **changed))
        assert (found.differences, len(found.unknown)) == ((), 1)


def test_copies_are_right_when_all_are() -> None:
    found = compare(reading({1: expected()}, {1: [row(), row()]}))
    assert (found.repeated, found.differences) == (1, ())
    assert kinds(compare(reading({1: expected()}, {1: [row(), row("b")]}))) == [(1, "value")]


def test_of_what_was_replayed_the_row_in_data_has_to_be_right_and_the_one_in_quarantine_stays() -> None:
    both = {3: [row("a"), row("a", "quarantine", error="truncated: x")]}
    replayed = RangeSet.of((3, 4))
    assert kinds(compare(reading({3: expected("a")}, both, replayed=replayed))) == []
    assert kinds(compare(reading({3: expected("b")}, both, replayed=replayed))) == [(3, "value")]
    assert kinds(compare(reading({3: expected("a")}, both))) == [(3, "table")]
    alone = {3: [row("a", "quarantine", error="truncated: x")]}  # claimed, and not in data yet
    assert kinds(compare(reading({3: expected("a")}, alone, replayed=replayed))) == [(3, "table")]


def test_what_could_not_be_read_is_neither_right_nor_wrong() -> None:
    unknown = (Unknown(3, OffsetRange(0, 2), "expired"),)
    found = compare(reading({1: expected()}, {1: [row("b")]}, unknown=unknown))
    assert (len(found.same), found.differences, found.unknown) == (0, (), unknown)


def verification(*compared: Compared, **changed: Any) -> Verification:
    values = {"seed": None, "windows": (WINDOW,) * len(compared), "compared": compared, **changed}
    return Verification("t", "cluster", "topic-id", AT, **values)


RIGHT = compare(reading({1: expected()}, {1: [row()]}))
WRONG = compare(reading({1: expected()}, {1: [row("b")]}))
OPEN = not_compared(3, RangeSet.of((1, 2)), "why")


@pytest.mark.parametrize(
    ("found", "verdict", "code"),
    [
        (verification(RIGHT), "complete", 0),
        (verification(RIGHT, OPEN), "undetermined", 3),
        (verification(RIGHT, OPEN, WRONG), "loss", 1),
        (verification(), "undetermined", 3),
        (verification(compare(reading({}, {}))), "undetermined", 3),
        (verification(RIGHT, problems=("x",)), "undetermined", 3),
        (verification(RIGHT, broken=(BrokenObject("data", "part-1", "x"),)), "loss", 1),
    ],
)
def test_the_verdict_is_complete_only_when_something_was_compared_and_nothing_left_open(
    found: Verification, verdict: str, code: int
) -> None:
    assert (found.verdict, found.exit_code, found.to_json()["verdict"]) == (verdict, code, verdict)


def test_a_comparison_that_still_lacks_rows_is_never_complete() -> None:
    lacking = compare(reading({1: expected()}, {}))
    assert verification(RIGHT, lacking).verdict == "undetermined"


def test_neighbours_that_are_unknown_for_the_same_reason_are_told_as_one() -> None:
    parts = [not_compared(3, RangeSet.of(pair), why) for pair, why in [((5, 9), "a"), ((0, 5), "a"), ((9, 10), "b")]]
    assert [str(one.range) for one in verification(*parts).unknown] == ["[0, 9)", "[9, 10)"]


def test_offsets_are_told_by_partition() -> None:
    found = verification(RIGHT, WRONG)
    assert found.same() == found.differing() == {3: RangeSet.of((1, 2))}


@given(
    st.dictionaries(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 200)), max_size=6)),
    st.integers(1, 400),
    st.integers(0, 99),
)
def test_a_sample_lies_in_the_candidates_and_is_about_as_large_as_asked(
    raw: dict[int, list[tuple[int, int]]], records: int, seed: int
) -> None:
    candidates = {
        one: RangeSet.from_pairs((start, start + length) for start, length in pairs) for one, pairs in raw.items()
    }
    windows = sample_windows(candidates, records, random.Random(seed).randrange)
    drawn = {(one.partition, offset) for one in windows for offset in range(one.range.start, one.range.end)}
    assert sum(len(one.range) for one in windows) == len(drawn)
    everything = {
        (one, offset) for one, ranges in candidates.items() for part in ranges for offset in range(part.start, part.end)
    }
    assert drawn <= everything
    if len(everything) <= records:
        assert drawn == everything
    else:
        assert 0 < len(drawn) <= records + RUN
