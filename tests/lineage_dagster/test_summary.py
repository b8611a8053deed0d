"""audit/summary: a row per topic from stored reports; no report, an old one or a broken one is never complete."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lineage_dagster.auditor import SettingsAuditor
from lineage_dagster.build import build_defs
from lineage_dagster.summary import SUMMARY_JOB
from lineage_dagster.summary_rows import Expected, summary_row, unreadable, worst_first
from tests.lineage_dagster.lake import Lake
from tests.lineage_dagster.page_status import shown

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
T = Expected("t", ("index",), 3600)


def _loss(topic: str, partition: int, start: int, end: int) -> dict[str, Any]:
    """The parts of a stored report that the summary reads."""
    lost = {"start": start, "end": end, "class": "missing", "cause": "repairable", "evidence": "read again"}
    figures = ("expected", "actual", "missing", "damaged", "unknown", "duplicated")
    return {
        "topic": topic,
        "audited_at": "2026-11-23T11:59:00Z",
        "verdict": "loss",
        "totals": dict.fromkeys(figures, 0) | {"missing": end - start},
        "partitions": [{"partition": partition, "verdict": "loss", "ranges": [lost]}],
        "problems": [],
        "books": {"index": "read", "broker": "not-consulted", "lake": "not-consulted"},
    }


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
    assert [(row["topic"], row["verdict"], row["lost"]) for row in rows] == [("b", "loss", 10), ("a", "complete", 0)]
    assert rows[0]["what"] == "partition 0, offsets 10 to 19 (10 missing, unresolved)"
    assert (check.passed, check.description) == (False, "1 of 2 topics is not complete: b (loss).")


def test_when_all_are_complete_it_says_so(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a", [(0, 0, 10)])
    lake.audit(lake.definitions("a"), "a", instance)
    check, _ = _summary(lake, instance, "a")
    assert (check.passed, check.description) == (True, "Every topic is complete (1 of 1).")


def test_a_topic_without_a_report_is_not_complete(lake: Lake, instance: dg.DagsterInstance):
    check, rows = _summary(lake, instance, "a")
    assert not check.passed
    assert rows[0]["verdict"] == "undetermined"
    assert rows[0]["what"].startswith("no report: ")


def test_the_page_asks_for_stored_reports_and_nothing_else(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a", [(0, 0, 10)])
    lake.audit(lake.definitions("a"), "a", instance)
    real = SettingsAuditor(lake.settings("a"))

    class ReportsOnly:
        listings_at_once = 1
        asked: list[str] = []

        def stored_report(self, topic: str) -> Any:
            self.asked.append(topic)
            return real.stored_report(topic)

    auditor = ReportsOnly()
    job = build_defs(lake.settings("a"), resources={"auditor": auditor}).resolve_job_def(SUMMARY_JOB)
    assert job.execute_in_process(instance=instance).success
    assert auditor.asked == ["a"]


def test_a_loss_that_was_reported_long_ago_is_still_a_loss_and_says_how_old_it_is():
    report = _loss("t", 0, 10, 20) | {"audited_at": "2026-11-01T00:00:00Z"}
    row = summary_row(T, report, NOW)
    assert row.verdict == "loss"
    assert row.what.startswith("no audit since 2026-11-01T00:00:00Z, and that one said loss: partition 0, offsets 10")


def test_a_loss_says_until_when_it_can_be_repaired():
    report = _loss("t", 9, 10, 20) | {"repairable_until": "2026-12-01T00:00:00Z"}
    assert summary_row(T, report, NOW).what.endswith("; can be repaired until 2026-12-01T00:00:00Z")


def test_the_worst_topic_is_the_one_that_lost_most():
    rows = [summary_row(replace(T, topic=f"t{size}"), _loss(f"t{size}", 0, 0, size), NOW) for size in (3, 500, 20)]
    assert [row.topic for row in worst_first([*rows, unreadable("none", "x")])] == ["t500", "t20", "t3", "none"]


def test_many_topics_leave_the_headline_short_enough_to_be_shown_unfolded(lake: Lake, instance: dg.DagsterInstance):
    topics = [f"a-topic-with-a-long-name.v{number}" for number in range(30)]
    job = build_defs(lake.settings(*topics)).resolve_job_def(SUMMARY_JOB)
    assert job.execute_in_process(instance=instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey(["audit", "summary"]))
    assert event is not None
    state = str(event.asset_materialization.metadata["state"].value)
    assert state.startswith("30 of 30 topics are not complete: ")
    assert f"[`{topics[0]}`](/assets/audit/{topics[0]}?view=checks&checkDetail=completeness)" in state
    assert len(state) < 1000


@pytest.mark.parametrize(
    "change",
    [
        {"audited_at": "2020-01-01T00:00:00Z"},
        {"audited_at": "yesterday"},
        {"verdict": "splendid"},
        {"verdict": None},
        {"totals": {}},
        {"totals": None},
        {"partitions": None},
        {"partitions": []},
        {"partitions": [{"partition": 0, "verdict": "loss", "ranges": []}]},
        {"problems": ["index file x refused"]},
        {"partitions": [{"partition": 0, "ranges": [{}]}]},
        {"format": "lineage-audit/99"},
        {"topic": "b"},
        {"topic": None},
        {"audited_at": "2099-01-01T00:00:00Z"},
        {"books": {"index": "not-consulted", "broker": "read", "lake": "read"}},
        {"books": {"broker": "read"}},
        {"books": None},
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


@pytest.mark.parametrize("wrong", [{"missing": 3}, {"damaged": 3}, {"unknown": 3}, {"actual": 7}])
def test_a_report_that_says_complete_and_counts_what_is_not_contradicts_itself(wrong: dict[str, int]):
    complete = _loss("t", 0, 0, 0) | {"verdict": "complete"}
    complete["totals"] |= {"expected": 10, "actual": 10}
    complete["partitions"] = [{"partition": 0, "verdict": "complete", "ranges": []}]
    assert summary_row(T, complete, NOW).verdict == "complete"
    row = summary_row(T, complete | {"totals": complete["totals"] | wrong}, NOW)
    assert (row.verdict, "contradicts itself" in row.what) == ("undetermined", True)


def test_a_report_of_fewer_books_than_are_promised_is_not_complete(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a", [(0, 0, 10)])
    lake.audit(lake.definitions("a"), "a", instance)  # by the index alone
    report = json.loads(_report(lake, "a").read_text())
    now = datetime.strptime(report["audited_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert summary_row(Expected("a", ("index",), 3600), report, now).verdict == "complete"
    row = summary_row(Expected("a", ("index", "broker"), 3600), report, now)
    assert (row.verdict, row.what) == ("undetermined", "the newest audit did not read what lineage.yaml names: broker")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff" * 10, b"[" * 100_000])
def test_a_report_that_is_no_report_is_not_complete(content: bytes, lake: Lake, instance: dg.DagsterInstance):
    path = _report(lake, "a")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    check, _ = _summary(lake, instance, "a")
    assert not check.passed


@pytest.mark.parametrize("end", ["queued", "failed"])
def test_while_the_page_is_renewed_and_when_that_dies_it_shows_the_last_answer(
    end: str, lake: Lake, instance: dg.DagsterInstance
):
    _summary(lake, instance, "a")
    run = instance.create_run_for_job(build_defs(lake.settings("a")).resolve_job_def(SUMMARY_JOB))
    if end == "failed":
        instance.report_run_failed(run, "the machine went away")
    assert shown(instance, dg.AssetCheckKey(dg.AssetKey(["audit", "summary"]), "all_topics_complete")) == "FAILED"


def test_a_page_that_nobody_renews_grows_old_in_the_eyes_of_all(lake: Lake):
    graph = build_defs(lake.settings("a")).resolve_asset_graph()
    policy = graph.get(dg.AssetKey(["audit", "summary"])).freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(seconds=3 * 300 + 900))


def test_one_report_whose_reading_breaks_leaves_the_others_on_the_page(lake: Lake, instance: dg.DagsterInstance):
    class Broken:
        listings_at_once = 1

        def stored_report(self, _topic: str) -> Any:
            raise RuntimeError("password=secret")

    job = build_defs(lake.settings("a"), resources={"auditor": Broken()}).resolve_job_def(SUMMARY_JOB)
    (check,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not check.passed
    records = check.metadata["topics"].records
    assert "unexpected RuntimeError" in str(records[0].data["what"])
    assert "secret" not in str(records)


def test_a_topic_named_summary_has_its_own_audit(lake: Lake):
    keys = {key.to_user_string() for key in lake.definitions("summary").resolve_asset_graph().get_all_asset_keys()}
    assert {"audit/summary", "summary"} <= keys
