"""What the checks of the files say of real audits: what nobody could compare is never green."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lineage_dagster import names
from lineage_dagster.judgement import Judgement
from lineage_dagster.lake_judgement import figures, judge_lake, look_again_at
from lineage_dagster.outcome import AuditOutcome
from lineage_pipeline.core.report import AuditReport
from tests.books.index_files import ORIGINAL_SCHEMA, day, parquet, put, run
from tests.books.lake_tables import span
from tests.books.model_broker import ModelBroker, ModelPartition
from tests.test_audit_lake import SETTLE, TOPIC, Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def judged(lake: Lake, report: AuditReport) -> dict[str, Judgement]:
    return {one.name: one for one in judge_lake(AuditOutcome(TOPIC, lake.now, report))}


@pytest.mark.parametrize("files", [False, True])
def test_an_index_that_accounts_for_nothing_proves_nothing_about_the_files(lake: Lake, files: bool):
    for path in (lake.root / "index").rglob("index-*"):
        path.unlink()
    if not files:
        for path in (lake.one, lake.two, lake.bad):
            path.unlink()
    report = lake.audit(wait=True)
    assert report.verdict == "undetermined"
    again = look_again_at(AuditOutcome(TOPIC, lake.now, report), SETTLE)
    assert again == (None if files else lake.now + timedelta(seconds=SETTLE))  # the first checkpoint may be near
    checks = judged(lake, report)
    verdict = checks[names.FILES_HOLD_THE_INDEX]
    assert not verdict.passed
    assert verdict.text == "NOT PROVEN: the index accounts for no offset, so there is nothing to hold against the files"
    assert not checks[names.FILES_INDEXED].passed
    assert not checks[names.NO_REPEATED_ROWS].passed


def test_a_topic_that_is_empty_as_the_broker_says_passes(lake: Lake):
    for path in (*(lake.root / "index").rglob("index-*"), lake.one, lake.two, lake.bad):
        path.unlink()
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(0)}})
    report = lake.audit()
    assert report.verdict == "complete"
    assert all(one.passed for one in judged(lake, report).values())
    assert look_again_at(AuditOutcome(TOPIC, lake.now, report), SETTLE) is None


@pytest.fixture
def windows(lake: Lake) -> Lake:
    """An index of the original job whose first row counts 18 records in 20 offsets; each record is in a file."""
    rows = [run(0, 0, 20, record_count=18), run(0, 20, 30)]
    for path in (*(lake.root / "index").rglob("index-*"), lake.bad):
        path.unlink()
    put(lake.root / "index", day(TOPIC, "original"), parquet(rows, ORIGINAL_SCHEMA))
    lake.data("part-3", span(0, 20, 30))
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(30)}})
    return lake


def settled(lake: Lake, looks: int = 3) -> AuditReport:
    for _ in range(looks):
        report = lake.audit()
        lake.wait()
    return report


def test_files_that_held_a_window_and_are_gone_fail_the_check_and_are_named(windows: Lake):
    settled(windows)
    windows.one.unlink()
    windows.two.unlink()
    verdict = judged(windows, settled(windows))[names.FILES_HOLD_THE_INDEX]
    assert (verdict.passed, verdict.text.startswith("NOT PROVEN: 20 indexed offsets are in no file")) == (False, True)
    assert "part-1 held them" in verdict.text
    assert "part-2 held them" in verdict.text


def test_a_window_that_the_files_do_not_fill_is_not_proven(windows: Lake):
    report = settled(windows)
    verdict = judged(windows, report)[names.FILES_HOLD_THE_INDEX]
    assert not verdict.passed
    assert "partition 0, offsets 8 to 9 (2 unknown, inexact-window)" in verdict.text
    assert figures(report).doubtful == 2


def test_a_window_that_the_files_fill_passes(windows: Lake):
    windows.data("part-4", span(0, 8, 10))
    report = settled(windows)
    assert report.verdict == "undetermined"  # the index does not say what it counts
    assert judged(windows, report)[names.FILES_HOLD_THE_INDEX].passed
