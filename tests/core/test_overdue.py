"""When a verdict is too old to count."""

from __future__ import annotations

from lineage_pipeline.core.overdue import overdue_after


def test_three_missed_audits_the_second_look_and_a_quarter_of_an_hour_are_allowed() -> None:
    assert overdue_after(300, 180.0) == 3 * 300 + 180 + 900


def test_nothing_is_audited_more_often_than_once_a_minute() -> None:
    assert overdue_after(1, 0.0) == overdue_after(60, 0.0) == 3 * 60 + 900
    assert overdue_after(61, 0.0) == 3 * 61 + 900
