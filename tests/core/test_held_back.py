"""What a stopped job may still bring is not repaired; what it cannot bring any more is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from lineage_pipeline.core.held_back import JobSigns, SeenMissing, held_back, seen_missing, why_held_back
from lineage_pipeline.core.ledger_events import GapChanged
from lineage_pipeline.core.memory import Observation, ObservedPartition
from lineage_pipeline.core.offsets import EMPTY, RangeSet

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
HOLE = RangeSet.of((10, 20))


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_a_job_that_finished_with_a_savepoint_holds_nothing_back() -> None:
    assert held_back(HOLE, (), JobSigns(finished=True)) == EMPTY


def test_a_job_of_which_nothing_is_known_may_hold_back_everything() -> None:
    assert held_back(HOLE, (SeenMissing(T0, HOLE),), JobSigns()) == HOLE
    assert "--job-is-gone" in why_held_back(JobSigns())
    assert "boom" in why_held_back(JobSigns(problem="boom"))


def test_a_person_can_say_that_the_state_is_gone() -> None:
    assert held_back(HOLE, (), JobSigns(told_gone=True)) == EMPTY


@pytest.mark.parametrize(("alive", "held"), [(59, HOLE), (60, EMPTY), (600, EMPTY), (-5, HOLE)])
def test_a_checkpoint_completed_an_interval_after_the_hole_was_seen_cannot_carry_it(alive: float, held: object) -> None:
    signs = JobSigns(alive_at=later(alive), interval=60.0)
    assert held_back(HOLE, (SeenMissing(T0, HOLE),), signs) == held


def test_only_the_part_that_was_seen_early_enough_is_free() -> None:
    signs = JobSigns(alive_at=later(100), interval=60.0)
    seen = (SeenMissing(T0, RangeSet.of((0, 14))), SeenMissing(later(50), HOLE))
    assert held_back(HOLE, seen, signs) == RangeSet.of((14, 20))


def test_holes_were_seen_by_observations_and_openings_of_gaps_of_that_partition() -> None:
    looks = (Observation(T0, {0: ObservedPartition(holes=HOLE), 1: ObservedPartition()}), Observation(later(1), {}))
    opened = GapChanged(later(5), None, 0, RangeSet.of((30, 40)), "opened")
    elsewhere = GapChanged(later(5), None, 1, HOLE, "opened")
    accepted = GapChanged(later(6), None, 0, RangeSet.of((50, 60)), "accepted")
    assert seen_missing(0, looks, (opened, elsewhere, accepted)) == (
        SeenMissing(T0, HOLE),
        SeenMissing(later(5), RangeSet.of((30, 40))),
    )


def test_a_gap_that_was_healed_in_between_counts_from_its_next_opening() -> None:
    looks = (Observation(T0, {0: ObservedPartition(holes=HOLE)}),)
    history = (
        GapChanged(later(1), None, 0, HOLE, "opened"),
        GapChanged(later(2), None, 0, HOLE, "healed"),
        GapChanged(later(90), None, 0, HOLE, "opened"),
    )
    signs = JobSigns(alive_at=later(100), interval=60.0)
    assert held_back(HOLE, seen_missing(0, looks, history), signs) == HOLE


@pytest.mark.parametrize(("healed", "held"), [(0, HOLE), (1, HOLE), (-1, EMPTY)])
def test_a_sight_counts_only_when_it_came_after_the_gap_was_healed(healed: float, held: object) -> None:
    history = (
        GapChanged(T0, None, 0, HOLE, "opened"),
        GapChanged(later(healed), None, 0, HOLE, "healed"),
        GapChanged(later(90), None, 0, HOLE, "opened"),
    )
    signs = JobSigns(alive_at=later(100), interval=60.0)
    assert held_back(HOLE, seen_missing(0, (), history), signs) == held
