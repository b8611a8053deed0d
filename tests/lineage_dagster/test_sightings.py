"""What the latest check results of a topic say together, and since when; an old one or one yet to come is no proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lineage_dagster import names
from lineage_dagster.check_result import CheckResult, CheckState
from lineage_dagster.sightings import sighting, unless_overdue

NOW = 1_700_000_000.0
LOST = {"incident": {"version": 1, "verdict": "loss", "lost": 100, "partitions": 1, "ranges": [[9, 0, 100]]}}


def results(state: CheckState, at: float, told: Mapping[str, Any]) -> dict[str, CheckResult]:
    """Of the verdict, and of another check that always fails."""
    return {
        names.COMPLETENESS: CheckResult(state, "text", at, told),
        names.NO_DUPLICATES: CheckResult("failed", "doubled", at),
    }


@pytest.mark.parametrize("ahead", [1, 120, 86_400])
@pytest.mark.parametrize(
    ("state", "told", "levels"),
    [
        ("failed", LOST, {"loss"}),
        ("failed", {}, {"undetermined"}),
        ("passed", {}, {"warning", "undetermined"}),  # the latter when no clock can be so far ahead
    ],
)
def test_what_is_wrong_by_a_clock_that_is_ahead_is_wrong_since_now(
    ahead: int, state: CheckState, told: Mapping[str, Any], levels: set[str]
):
    seen = sighting("t", results(state, NOW + ahead, told), 1000, NOW)
    assert seen.level in levels
    assert seen.observed_at == NOW


def test_a_check_that_passed_too_long_ago_has_failed_and_says_how_long():
    passed = CheckResult("passed", "all is there", NOW - 1001)
    assert unless_overdue(passed, 1001, NOW) == passed
    old = unless_overdue(passed, 1000, NOW)
    assert (old.state, old.text, old.at) == (
        "failed",
        "passed 1,001 s ago, and nobody has looked since",
        passed.at,
    )


@pytest.mark.parametrize("state", ["failed", "crashed", "never"])
def test_a_check_that_did_not_pass_stays_what_it_is_however_old(state: CheckState):
    result = CheckResult(state, "as it was", None if state == "never" else NOW - 99_999)
    assert unless_overdue(result, 1000, NOW) == result
