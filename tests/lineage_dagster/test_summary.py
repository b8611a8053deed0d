"""audit/summary: a row per topic from stored reports; no report, an old one or a broken one is never complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lineage_dagster.build import build_defs
from lineage_dagster.summary import SUMMARY_JOB
from tests.lineage_dagster.lake import Lake


def _summary(
    lake: Lake, instance: dg.DagsterInstance, *topics: str
) -> tuple[dg.AssetCheckEvaluation, list[dict[str, Any]]]:
    job = build_defs(lake.settings(*topics)).resolve_job_def(SUMMARY_JOB)
    result = job.execute_in_process(instance=instance)
    assert result.success  # the page is made whatever it shows
    (check,) = result.get_asset_check_evaluations()
    table = check.metadata["topics"]
    assert isinstance(table, dg.TableMetadataValue)
    return check, [dict(record.data) for record in table.records]


def _report(lake: Lake, topic: str) -> Path:
    return lake.root / "audit" / f"kafka_topic={topic}" / "latest.json"


def test_every_topic_is_a_row_and_the_worst_comes_first(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a", [(0, 0, 10)])
    lake.index("b", [(0, 0, 10), (0, 20, 30)])
    for topic in ("a", "b"):
        lake.audit(lake.definitions("a", "b"), topic, instance)
    check, rows = _summary(lake, instance, "a", "b")
    assert [(row["topic"], row["verdict"], row["missing"]) for row in rows] == [("b", "loss", 10), ("a", "complete", 0)]
    assert (check.passed, check.description) == (False, "1 of 2 topics are not complete: b (loss).")


def test_when_all_are_complete_it_says_so(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a", [(0, 0, 10)])
    lake.audit(lake.definitions("a"), "a", instance)
    check, _ = _summary(lake, instance, "a")
    assert (check.passed, check.description) == (True, "All 1 topics are complete.")


def test_a_topic_without_a_report_is_not_complete(lake: Lake, instance: dg.DagsterInstance):
    check, rows = _summary(lake, instance, "a")
    assert not check.passed
    assert rows[0]["verdict"] == "undetermined"
    assert rows[0]["remark"].startswith("no report: ")


@pytest.mark.parametrize(
    "change",
    [
        {"audited_at": "2020-01-01T00:00:00Z"},
        {"audited_at": "yesterday"},
        {"verdict": "splendid"},
        {"verdict": None},
        {"totals": {}},
        {"totals": None},
        {"format": "lineage-audit/99"},
    ],
)
def test_a_report_that_is_old_or_strange_is_not_complete(
    change: dict[str, Any], lake: Lake, instance: dg.DagsterInstance
):
    lake.index("a", [(0, 0, 10)])
    lake.audit(lake.definitions("a"), "a", instance)
    path = _report(lake, "a")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    check, rows = _summary(lake, instance, "a")
    assert not check.passed
    assert rows[0]["verdict"] == "undetermined"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff" * 10, b"[" * 100_000])
def test_a_report_that_is_no_report_is_not_complete(content: bytes, lake: Lake, instance: dg.DagsterInstance):
    path = _report(lake, "a")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    check, _ = _summary(lake, instance, "a")
    assert not check.passed


def test_a_topic_named_summary_has_its_own_audit(lake: Lake):
    keys = {key.to_user_string() for key in lake.definitions("summary").resolve_asset_graph().get_all_asset_keys()}
    assert {"audit/summary", "summary"} <= keys
