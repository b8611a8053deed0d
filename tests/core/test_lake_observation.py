"""What a look at the lake leaves for the next audit: damage stays known until it is seen whole, each offset once."""

from __future__ import annotations

from dataclasses import replace

from lineage_pipeline.core.audit import audit, lake_observation
from lineage_pipeline.core.evidence import LakeEvidence
from lineage_pipeline.core.lake_comparison import PartitionLake
from lineage_pipeline.core.memory import Acceptance, Damage, LakeObservation
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from tests.core.worlds import NOW, Row, World, evidence_of


def test_damage_stays_known_where_it_is_still_to_be_seen_also_what_a_person_took_on() -> None:
    evidence = evidence_of(World(rows=(Row(0, 0, 20),)))
    first = Damage(0, RangeSet.of((0, 2)), "object-missing", "file a is gone")
    second = Damage(0, RangeSet.of((4, 12)), "object-missing", "file b is gone")
    before = LakeObservation(NOW, {0: RangeSet.of((0, 2), (4, 12))}, (first, second))
    accepted = (Acceptance(0, OffsetRange(6, 9), "known", "ann"),)
    # file a is back, and of what file b held the half is in another file
    lake = LakeEvidence("read", {0: PartitionLake(present=RangeSet.of((0, 6), (12, 20)))})
    evidence = replace(evidence, lake=lake, memory=replace(evidence.memory, lake=(before,), acceptances=accepted))
    for _ in range(2):
        report = audit(evidence)
        assert (report.totals["damaged"], report.totals["accepted"]) == (3, 3)
        seen = lake_observation(evidence, report, NOW)
        assert seen is not None
        assert seen.absent == {0: RangeSet.of((6, 12))}
        assert set(seen.damage) == {replace(second, ranges=RangeSet.of(one)) for one in ((9, 12), (6, 9))}
        assert len(seen.damage) == 2
        evidence = replace(evidence, memory=replace(evidence.memory, lake=(before, seen)))
