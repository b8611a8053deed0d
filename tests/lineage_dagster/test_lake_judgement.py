"""What the checks of the files say of real audits: what nobody could compare is never green."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lineage_dagster import names
from lineage_dagster.judgement import Judgement
from lineage_dagster.lake_judgement import judge_lake, look_again_at
from lineage_dagster.outcome import AuditOutcome
from lineage_pipeline.core.report import AuditReport
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
