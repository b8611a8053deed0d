"""The map shows the worst of every stretch, so that one lost offset among a billion is visible."""

from __future__ import annotations

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.coverage_map import SEVERITY, SYMBOLS, coverage_map
from lineage_pipeline.core.offsets import MAX_END
from tests.core.worlds import Row, World, evidence_of


def drawn(world: World, width: int = 20) -> list[str]:
    return [row.text for row in coverage_map(audit(evidence_of(world)), width)]


def test_one_lost_offset_among_a_billion_colours_its_cell() -> None:
    rows = (Row(0, 0, 500_000_000), Row(0, 500_000_001, 1_000_000_000))
    assert drawn(World(rows=rows)) == ["##########X#########"]


def test_every_class_has_its_place() -> None:
    rows = (Row(0, 0, 4), Row(0, 6, 8), Row(0, 6, 8), Row(0, 8, 10, count=1), Row(0, 12, 14))
    world = World(rows=rows, log=(0, 20, 20), accepted=((4, 5),), resolved=((10, 12, "explained", "aborted"),))
    assert drawn(world) == ["####a~22??--##~~~~~~"]


def test_a_short_partition_gets_one_cell_per_offset_and_an_empty_one_none() -> None:
    rows = (Row(1, 0, 3),)
    assert drawn(World(rows=rows, start=0)) == ["", "###"]


def test_the_largest_partition_is_drawn_too() -> None:
    rows = (Row(0, 0, MAX_END - 1),)
    assert drawn(World(rows=rows, log=(0, MAX_END, MAX_END)), 4) == ["###~"]


def test_each_class_has_a_symbol_of_its_own() -> None:
    assert set(SEVERITY) == set(SYMBOLS)
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)
