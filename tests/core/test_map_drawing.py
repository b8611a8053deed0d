"""The drawn map against single offsets: it tiles every partition and never hides the worst of a stretch."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.map_drawing import WORST_FIRST, draw, worst_partitions
from lineage_pipeline.core.offsets import MAX_END
from tests.core.worlds import Row, World, evidence_of, oracle, worlds


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(1, 60))
def test_each_strip_shows_the_worst_class_of_its_offsets(world: World, cells: int) -> None:
    rows = draw(audit(evidence_of(world)).partitions, cells, 10**6)
    if not rows or rows[0].partition.partition:
        return  # partition 0, of which the oracle speaks, is in no book
    row, expected = rows[0], oracle(world)
    span = expected.end - expected.baseline
    assert bool(row.strips) == bool(span)
    edge = Fraction(0)
    for strip in row.strips:
        assert abs(strip.left - edge) < 1e-9
        edge = Fraction(strip.left) + Fraction(strip.width)
        first = expected.baseline + round(strip.left * span)
        held = {expected.classes[offset][0] for offset in range(first, first + round(strip.width * span))}
        assert strip.name == min(held, key=WORST_FIRST.index)
        kinds = {line.split(":")[0].split(" (")[0] for line in strip.words}
        assert kinds == held
        assert strip.words[0].startswith(strip.name)
    assert not row.strips or abs(edge - 1) < 1e-9
    copied: set[int] = set()
    for strip in row.copies:
        first = expected.baseline + round(strip.left * span)
        copied |= set(range(first, first + round(strip.width * span)))
    assert copied >= expected.doubled
    if cells >= span:
        assert copied == expected.doubled


def test_one_lost_offset_among_a_billion_is_drawn_with_its_number() -> None:
    report = audit(evidence_of(World(rows=(Row(0, 0, 500_000_000), Row(0, 500_000_001, 1_000_000_000)))))
    (row,) = draw(report.partitions, 100, 1000)
    assert [strip.name for strip in row.strips] == ["indexed", "missing", "indexed"]
    assert row.strips[1].words[0] == "missing (unresolved): offset 500000000"


def test_words_name_the_range_or_how_many_there_are() -> None:
    rows = (Row(0, 0, 10), Row(0, 12, 20), Row(0, 23, 30), Row(0, 3, 6))
    (row,) = draw(audit(evidence_of(World(rows=rows))).partitions, 1, 1000)
    assert row.strips[0].words == (
        "missing (unresolved): 5 in 2 ranges of offsets 10 to 22",
        "indexed: 25 in 3 ranges of offsets 0 to 29",
    )
    assert row.copies[0].words == ("duplicated: offsets 3 to 5 (3)",)


def test_the_largest_partition_is_drawn_too() -> None:
    report = audit(evidence_of(World(rows=(Row(0, 0, MAX_END - 1),), log=(0, MAX_END, MAX_END))))
    (row,) = draw(report.partitions, 100, 1000)
    assert [strip.name for strip in row.strips] == ["indexed", "pending"]


def test_a_map_of_many_strips_gets_fewer_cells_and_keeps_every_partition() -> None:
    rows = tuple(Row(number, start, start + 1) for number in range(20) for start in range(0, 600, 2))
    report = audit(evidence_of(World(rows=rows, start=None)))
    drawn = draw(report.partitions, 600, 1000)
    assert [row.partition.partition for row in drawn] == list(range(20))
    assert sum(len(row.strips) for row in drawn) <= 1000


def test_the_worst_partitions_are_chosen_and_shown_in_order() -> None:
    rows = [Row(number, 0, 10) for number in range(6)]
    rows += [Row(4, 15, 20), Row(1, 11, 20), Row(3, 12, 20), Row(0, 5, 8)]
    report = audit(evidence_of(World(rows=tuple(rows), start=None)))
    assert [one.partition for one in worst_partitions(report, 4)] == [0, 1, 3, 4]
    assert [one.partition for one in worst_partitions(report, 2)] == [3, 4]
