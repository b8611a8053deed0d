"""When a verdict is too old to count."""

from __future__ import annotations

import pytest

from lineage_pipeline.core.overdue import counts_no_more, overdue_after


def test_three_missed_audits_the_second_look_and_a_quarter_of_an_hour_are_allowed() -> None:
    assert overdue_after(300, 180.0) == 3 * 300 + 180 + 900


def test_nothing_is_audited_more_often_than_once_a_minute() -> None:
    assert overdue_after(1, 0.0) == overdue_after(60, 0.0) == 3 * 60 + 900
    assert overdue_after(61, 0.0) == 3 * 61 + 900


@pytest.mark.parametrize(
    ("age", "counts"), [(0, True), (1000, True), (1000.5, False), (-300, True), (-300.5, False), (1e9, False)]
)
def test_a_verdict_counts_until_it_is_too_old_and_not_when_it_is_of_a_time_that_no_clock_can_have(
    age: float, *, counts: bool
) -> None:
    assert counts_no_more(age, oldest=1000) is not counts
