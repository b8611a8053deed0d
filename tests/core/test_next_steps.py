"""What a person does about a report: one step for each cause, the most urgent first, with the command for it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from lineage_pipeline.cli import lineage
from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.classes import CAUSES
from lineage_pipeline.core.findings import Finding
from lineage_pipeline.core.next_steps import next_steps
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.report import AuditReport, ReportedRange
from tests.core.worlds import NOW, Row, World, evidence_of

CLEAN = audit(evidence_of(World(rows=(Row(0, 0, 100),), start=0, log=(0, 100, 100))))
OPEN = [
    *((name, cause) for name in ("missing", "damaged", "unknown") for cause in CAUSES[name]),  # type: ignore[index]
    *(("pending", "suspected"), ("pending", "stalled")),
]


def with_ranges(*ranges: ReportedRange) -> AuditReport:
    (one,) = CLEAN.partitions
    return replace(CLEAN, partitions=(replace(one, ranges=ranges),))


def test_a_complete_topic_needs_nothing() -> None:
    assert next_steps(CLEAN) == ()
    explained = ReportedRange(OffsetRange(3, 5), "explained", "aborted", "x")
    assert next_steps(with_ranges(explained)) == ()


def test_a_quarantine_rate_leads_to_the_quarantine() -> None:
    (step,) = next_steps(replace(CLEAN, findings=(Finding("quarantine-rate", "error", None, "x"),)))
    assert step.command == "lineage quarantine --topic t"
    assert CliRunner().invoke(lineage, ["quarantine", "--help"]).exit_code == 0


@pytest.mark.parametrize(("name", "cause"), OPEN)
def test_for_everything_that_is_not_proven_there_is_a_step(name: str, cause: str) -> None:
    (step,) = next_steps(with_ranges(ReportedRange(OffsetRange(10, 1310), name, cause, "x")))  # type: ignore[arg-type]
    assert "1,300 offsets" in step.text
    assert "{" not in f"{step.text}{step.command}"


@pytest.mark.parametrize(("name", "cause"), OPEN)
def test_every_command_exists_with_its_options(name: str, cause: str) -> None:
    ranges = (ReportedRange(OffsetRange(10, 12), name, cause, "x"),)  # type: ignore[arg-type]
    for step in next_steps(with_ranges(*ranges)):
        words = shlex.split(step.command or "lineage")
        assert words[0] == "lineage"
        verbs = [word for word in words[1:3] if word.isalpha()]
        shown = CliRunner().invoke(lineage, [*verbs, "--help"] if verbs else ["--help"])
        assert shown.exit_code == 0
        assert all(word in shown.output for word in words if word.startswith("--"))


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (NOW + timedelta(hours=5), "until 2026-11-23 03:00:00Z, 5 h 0 min from this audit"),
        (NOW - timedelta(hours=1), "at any time: do it now"),
        (None, "until when is not known"),
    ],
)
def test_a_repair_says_how_long_there_is_for_it(until: object, said: str) -> None:
    lost = ReportedRange(OffsetRange(10, 12), "missing", "repairable", "x", until)  # type: ignore[arg-type]
    expired = ReportedRange(OffsetRange(0, 1), "missing", "expired", "x")
    first, second = next_steps(with_ranges(expired, lost))
    assert said in first.text
    assert first.command == "lineage repair --topic t"
    assert second.command == 'lineage accept 0 0 1 --reason "..." --topic t'


def test_evidence_that_is_not_whole_comes_first() -> None:
    report = replace(with_ranges(ReportedRange(OffsetRange(10, 12), "missing", "repairable", "x")), problems=("a", "b"))
    assert "2 problems" in next_steps(report)[0].text


def test_a_stuck_transaction_copies_and_an_empty_report_have_steps_of_their_own() -> None:
    stuck = replace(CLEAN, findings=(Finding("stuck-transaction", "error", 0, "x"),))
    assert "find-hanging" in (next_steps(stuck)[0].command or "")
    doubled = replace(CLEAN, totals={**CLEAN.totals, "duplicated": 1})
    assert "1 copy" in next_steps(doubled)[0].text
    assert (next_steps(doubled)[0].command or "").endswith('FROM data_deduplicated" --topic t')
    assert "topic's name" in next_steps(replace(CLEAN, partitions=()))[0].text


def test_a_name_is_quoted_for_the_shell() -> None:
    report = replace(with_ranges(ReportedRange(OffsetRange(1, 2), "missing", "repairable", "x")), topic="a; rm -rf /")
    assert (next_steps(report)[0].command or "").endswith("--topic 'a; rm -rf /'")
