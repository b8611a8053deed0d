"""Which looks are believed about their time: against every way in which one clock, or one for good, can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.clocks import credible, doubted_newest, slower, undisputed

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
LAST = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Timed:
    finished_at: datetime


def looks(*minutes: float) -> list[Timed]:
    return [Timed(NOW + timedelta(minutes=one)) for one in minutes]


def believed(*minutes: float, at: float | None = None) -> list[float]:
    found = credible(looks(*minutes), None if at is None else NOW + timedelta(minutes=at))
    return [(one.finished_at - NOW).total_seconds() / 60 for one in found]


@pytest.mark.parametrize(
    ("stored", "at", "expected"),
    [
        ([], 0, []),
        ([0, 1, 2], 3, [0, 1, 2]),
        ([0, 1, 2], -6, []),  # an audit by a clock that is behind
        ([0, 1, 2], -3, [0, 1, 2]),
        ([0, 1, 500], 2, [0, 1]),  # ahead of the audit that asks
        ([0, 1, 500, 2, 3], 4, [0, 1, 2, 3]),
        ([0, 1, 500, 2, 3], 600, [0, 1, 2, 3]),  # its time has come, and two looks know better
        ([0, 1, 500, 600, 2, 3], None, [0, 1, 2, 3]),  # an audit with two looks
        ([500, 501, 502, 0, 1, 2], 3, [0, 1, 2]),  # put right
        ([500, 501, 502, 0, 1, 2], 600, [500, 501, 502, 0, 1, 2]),
        ([0, 1, -500], 2, [0, 1]),  # behind, alone
        ([0, 1, -500, 2], None, [0, 1, 2]),
        ([0, 1, -500, -499], -498, [-500, -499]),
        ([500, 0], 1, [0]),
        ([0, 500, 1, 501, 2, 502, 3], 600, [0, 500, 1, 501, 2, 502, 3]),  # two machines
        ([0, 500, 1, 501, 2, 502, 3], 4, [0, 1, 2, 3]),
        ([0, 5, 0, 6], 7, [0, 5, 0, 6]),  # clocks are never the same
        ([0, 5.1, 0, 6], 7, [0, 5.1, 6]),
    ],
)
def test_a_look_counts_unless_its_clock_cannot_have_been_right(
    stored: list[float], at: float | None, expected: list[float]
) -> None:
    assert believed(*stored, at=at) == expected


@given(st.lists(st.integers(-3, 3).map(lambda hours: 60.0 * hours), max_size=9), st.integers(-4, 4))
def test_no_look_later_than_the_audit_counts_and_of_the_others_some_do(stored: list[float], at: int) -> None:
    assert all(one <= 60 * at for one in believed(*stored, at=60 * at))
    assert bool(believed(*stored, at=60 * at)) == any(one <= 60 * at for one in stored)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([], []),
        ([0, 1, 5], []),
        ([5, 0, 6], []),  # clocks are never the same
        ([0, 500, 1, 501, 2, 502], [0, 1, 2]),
        ([0, 500, 1, 501, 2], [0, 1, 2]),
        ([500, 0, 501], [0]),
    ],
)
def test_of_two_machines_the_slower_goes_by_what_was_before_its_newest_look(
    stored: list[float], expected: list[float]
) -> None:
    assert list(slower(looks(*stored))) == looks(*expected)


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 9))
def test_nothing_disputes_a_look_that_no_later_one_and_not_the_audit_precedes(stored: list[int], at: int) -> None:
    listed = looks(*stored)
    expected = [one for index, one in enumerate(listed) if stored[index] <= min([at, *stored[index:]])]
    assert list(undisputed(listed, NOW + timedelta(minutes=at))) == expected


def test_the_newest_look_is_kept_though_nobody_believes_its_clock() -> None:
    listed = looks(0, 500, 1)
    assert list(credible(listed)) == listed[:2]
    assert doubted_newest(credible(listed), listed) == (listed[2],)
    assert doubted_newest(listed, listed) == ()
    assert doubted_newest([], []) == ()


def test_the_last_moment_that_there_can_be_is_no_trouble() -> None:
    listed = [Timed(LAST), Timed(LAST)]
    assert list(credible(listed)) == list(undisputed(listed, LAST)) == listed
    assert credible(listed, NOW) == ()
