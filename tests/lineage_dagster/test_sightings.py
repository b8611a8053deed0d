"""What the latest check results of a topic say together, and since when; an old one or one yet to come is no proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lineage_dagster import names
from lineage_dagster.check_result import CheckResult, CheckState
from lineage_dagster.sightings import sighting

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
