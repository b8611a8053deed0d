"""The auditor and a brute-force oracle agree on thousands of random worlds, and no rearrangement changes a verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.memory import Acceptance, Damage, LakeObservation, ObservedPartition, Resolution
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.core.report import AuditReport
from tests.core.worlds import NOW, SPAN, Row, World, evidence_of, oracle, rows, spans, worlds

MANY = settings(max_examples=300, deadline=None)
SOME = settings(max_examples=120, deadline=None)


def partition_0(world: World, files: list[tuple[Row, ...]] | None = None) -> dict[str, Any] | None:
    return of_partition_0(audit(evidence_of(world, files)))


def of_partition_0(report: AuditReport) -> dict[str, Any] | None:
    return next((one for one in report.to_json()["partitions"] if one["partition"] == 0), None)


def offsets_by_class(partition: dict[str, Any]) -> dict[tuple[str, str | None], set[int]]:
    found: dict[tuple[str, str | None], set[int]] = {}
    for one in partition["ranges"]:
        found.setdefault((one["class"], one["cause"]), set()).update(range(one["start"], one["end"]))
    return found


@MANY
@given(worlds())
def test_every_class_range_total_and_verdict_is_the_oracles(world: World) -> None:
    found, expected = partition_0(world), oracle(world)
    if found is None:
        assert world.start is None
        assert world.log is None or world.broker_down
        assert not [row for row in world.rows if row.partition == 0]
        return
    per_class = Counter(name for name, _ in expected.classes.values())

    assert (found["baseline"], found["end"]) == (expected.baseline, expected.end)
    assert {name: found[name] for name in per_class} == dict(per_class)
    assert found["actual"] == per_class["indexed"]
    assert found["expected"] == len(expected.classes) - sum(
        per_class[name] for name in ("explained", "accepted", "pending")
    )
    assert found["duplicated"] == expected.surplus
    assert found["quarantined"] == sum(row.quarantined for row in world.rows if row.partition == 0)
    listed = offsets_by_class(found)
    assert listed.pop(("duplicated", None), set()) == expected.doubled
    silent = {("indexed", None), ("pending", "in-flight")}
    assert listed == {
        kind: {offset for offset, one in expected.classes.items() if one == kind}
        for kind in set(expected.classes.values()) - silent
    }
    assert found["verdict"] == expected.verdict


@SOME
@given(worlds())
def test_the_classes_make_up_everything_from_baseline_to_end(world: World) -> None:
    report = audit(evidence_of(world)).to_json()
    names = ("indexed", "explained", "accepted", "pending", "missing", "damaged", "unknown")
    for one in report["partitions"]:
        assert sum(one[name] for name in names) == one["end"] - one["baseline"]
        settled = {
            offset for ranged in one["ranges"] if ranged["class"] not in {"duplicated", "explained"}
            for offset in (ranged["start"], ranged["end"] - 1)
        }  # fmt: skip
        assert not any(one["baseline"] <= offset < one["complete_through"] for offset in settled)
    for key in report["totals"]:
        assert report["totals"][key] == sum(one[key] for one in report["partitions"])


@SOME
@given(worlds())
def test_complete_through_is_the_first_offset_that_is_neither_indexed_nor_explained(world: World) -> None:
    found, expected = partition_0(world), oracle(world)
    assume(found is not None)
    assert found is not None
    open_ones = [o for o, (name, _) in expected.classes.items() if name not in {"indexed", "explained"}]
    assert found["complete_through"] == min(open_ones, default=expected.end)


@SOME
@given(worlds())
def test_reported_ranges_are_maximal_and_in_offset_order(world: World) -> None:
    found = partition_0(world)
    assume(found is not None)
    assert found is not None
    starts = [(one["start"], one["end"]) for one in found["ranges"]]
    assert starts == sorted(starts)
    kinds = {(one["class"], one["cause"]) for one in found["ranges"]}
    for kind in kinds:
        same = [one for one in found["ranges"] if (one["class"], one["cause"]) == kind]
        assert all(before["end"] < after["start"] for before, after in pairwise(same))


@SOME
@given(worlds(), st.randoms(use_true_random=False))
def test_order_and_splitting_of_files_change_nothing(world: World, random: Any) -> None:
    shuffled = list(world.rows)
    random.shuffle(shuffled)
    cuts = sorted(random.sample(range(len(shuffled) + 1), min(3, len(shuffled) + 1)))
    files = [tuple(shuffled[a:b]) for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]

    assert audit(evidence_of(world, files)).to_json() == audit(evidence_of(world)).to_json()


@SOME
@given(worlds())
def test_a_copied_file_adds_duplicates_and_changes_no_verdict(world: World) -> None:
    once, twice = partition_0(world), partition_0(world, [world.rows, world.rows])
    assume(once is not None)
    assert once is not None
    assert twice is not None
    # a window that counts fewer records than it spans may be made up for by its copy: no loss then, but never green
    windows = any(row.partition == 0 and not row.exact for row in world.rows)
    hidden = windows and (once["verdict"], twice["verdict"]) == ("loss", "undetermined")
    assert hidden or twice["verdict"] == once["verdict"]
    assert [twice[key] for key in ("indexed", "missing", "unknown", "pending")] == [
        once[key] for key in ("indexed", "missing", "unknown", "pending")
    ]
    within = sum(
        min(row.end + world.base, once["end"]) - max(row.start + world.base, once["baseline"])
        for row in world.rows
        if row.partition == 0 and row.exact and row.end + world.base > once["baseline"]
    )
    assert twice["duplicated"] == once["duplicated"] + max(0, within)


@SOME
@given(rows(), spans())
def test_another_row_makes_a_loss_complete_only_by_covering_all_of_it(
    listed: tuple[Row, ...], span: tuple[int, int]
) -> None:
    world, row = World(rows=listed, start=0), Row(0, *span)
    before, after = partition_0(world), partition_0(world, [world.rows, (row,)])
    assert before is not None
    assert after is not None
    if before["verdict"] == "loss" and after["verdict"] == "complete":
        lost = [one for one in before["ranges"] if one["class"] in {"missing", "unknown"}]
        assert lost
        assert all(row.start <= one["start"] and one["end"] <= row.end for one in lost)


@SOME
@given(worlds())
def test_a_refused_file_never_makes_anything_complete(world: World) -> None:
    refused = World(**{**world.__dict__, "refused": True})
    assert audit(evidence_of(refused)).verdict != "complete"


@SOME
@given(rows(inexact=False))
def test_complete_in_an_index_only_audit_means_no_offset_is_lacking(listed: tuple[Row, ...]) -> None:
    world = World(rows=listed, start=0)
    covered = {offset for row in listed if row.partition == 0 for offset in range(row.start, row.end)}
    found = partition_0(world)
    assert found is not None
    gapless = bool(covered) and covered == set(range(max(covered) + 1))
    assert (found["verdict"] == "complete") == gapless


@SOME
@given(worlds())
def test_what_is_known_of_another_partition_says_nothing_about_this_one(world: World) -> None:
    evidence = evidence_of(world)
    memory, every = evidence.memory, OffsetRange(world.base, world.base + SPAN + 5)
    ranges = RangeSet.of(every)
    seen = ObservedPartition(every.end, every.end, every.end, ranges, every.start, 99)
    knowing = replace(
        memory,
        observations=tuple(replace(one, partitions={**one.partitions, 1: seen}) for one in memory.observations),
        resolutions=(Resolution(1, every, "explained", "aborted", "x"), *memory.resolutions),
        acceptances=(Acceptance(1, every, "x", "bob"), *memory.acceptances),
        vanished={1: ranges},
        truncated={1: ranges},
        copies=(WrittenTwice(1, every, 2, ("bob",), whole=True),),
        lake=(LakeObservation(NOW, {1: ranges}, (Damage(1, ranges, "object-missing", "x"),)),),
    )
    also = replace(evidence, memory=knowing, readable={**evidence.readable, 1: ranges})
    assert of_partition_0(audit(also)) == of_partition_0(audit(evidence))


@given(worlds())
def test_the_same_evidence_gives_the_same_report(world: World) -> None:
    assert audit(evidence_of(world)).to_json() == audit(evidence_of(world)).to_json()
