"""The words that scripts rely on, one by one as the contract has them: a renamed cause breaks somebody's alert."""

from __future__ import annotations

from typing import get_args

from lineage_pipeline.core.classes import CAUSES, CLASSES, VERDICTS
from lineage_pipeline.core.evidence import BookStatus
from lineage_pipeline.core.report import EXIT_CODES, FORMAT, TOTALS

WORDS = """
indexed
explained control-marker aborted compacted lake-retention
accepted
pending in-flight suspected open-transaction stalled
missing repairable expired truncated unresolved
damaged object-missing object-changed not-committed
unknown index-unreadable index-vanished broker-unreachable listing-incomplete inexact-window incarnation
 no-baseline unresolved unproven budget
"""


def test_classes_and_causes() -> None:
    told = [line.split() for line in WORDS.replace("\n ", " ").strip().splitlines()]
    assert {first: tuple(rest) for first, *rest in told} == CAUSES
    assert tuple(first for first, *_ in told) == CLASSES


def test_verdicts_and_exit_codes() -> None:
    assert VERDICTS == ("complete", "undetermined", "loss")
    assert EXIT_CODES == {"complete": 0, "loss": 1, "undetermined": 3}


def test_format_totals_and_what_became_of_a_book() -> None:
    assert FORMAT == "lineage-audit/1"
    assert " ".join(TOTALS) == (
        "expected actual indexed quarantined explained accepted pending missing damaged unknown duplicated"
    )
    assert get_args(BookStatus) == ("read", "not-consulted", "unreadable")
