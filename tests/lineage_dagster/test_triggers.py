"""What starts audits: no new file is skipped, bursts are one audit, nothing waits twice, lost state costs an audit."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path

import dagster as dg
import pytest

from lineage_dagster.auditor import SettingsAuditor
from lineage_dagster.cadence import batches, is_due
from lineage_dagster.index_watch import read_cursor, read_turn, write_cursor
from lineage_dagster.names import COMPLETENESS
from lineage_dagster.summary import SUMMARY_JOB
from lineage_dagster.triggers import (
    AUDIT_JOB,
    FULL_JOB,
    MAX_RUNS_PER_TICK,
    TOPIC_TAG,
    audit_request_for,
    audit_schedule,
    full_audit_schedule,
    index_sensor,
    summary_sensor,
)
from tests.lineage_dagster.lake import Lake


class Watch:
    """The index sensor of some topics, ticked by hand with its own cursor."""

    def __init__(self, lake: Lake, instance: dg.DagsterInstance, *topics: str) -> None:
        self.lake, self.instance = lake, instance
        self.settings = lake.settings(*topics)
        self.cursor: str | None = None

    def tick(self) -> list[str]:
        """The topics of the runs it asks for."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"auditor": SettingsAuditor(self.settings)}
        )
        result = index_sensor(self.settings)(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.keys = [one.run_key for one in result.run_requests or []]
        self.skipped = result.skip_reason.skip_message if result.skip_reason else None
        return [one.tags[TOPIC_TAG] for one in result.run_requests or []]


def test_new_files_start_one_audit_and_nothing_new_starts_none(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "t")
    for number in range(50):
        lake.index("t", [(0, number, number + 1)])
    assert watch.tick() == ["t"]
    assert watch.tick() == []
    assert watch.skipped == "no new index files"
    lake.index("t", [(0, 50, 51)])
    assert watch.tick() == ["t"]


def test_only_the_topic_with_new_files_is_audited(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "a", "b")
    lake.index("a", [(0, 0, 1)])
    lake.index("b", [(0, 0, 1)])
    assert watch.tick() == ["a", "b"]
    lake.index("b", [(0, 1, 2)])
    assert watch.tick() == ["b"]


def test_a_file_whose_name_sorts_before_all_others_is_seen(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "t")
    lake.index("t", [(0, 0, 1)])
    watch.tick()
    path = lake.index("t", [(0, 1, 2)])
    path.rename(path.with_name("0000.parquet"))
    assert watch.tick() == ["t"]


def test_a_file_that_is_replaced_or_removed_is_a_change(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "t")
    path = lake.index("t", [(0, 0, 1)])
    watch.tick()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert watch.tick() == ["t"]
    path.unlink()
    assert watch.tick() == ["t"]


def test_yesterdays_files_count_and_older_ones_are_left_to_the_schedule(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "t")
    today = lake.index("t", [(0, 0, 1)])
    watch.tick()
    for days, expected in ((1, ["t"]), (2, [])):
        folder = today.parent.parent / f"dt={datetime.now(timezone.utc) - timedelta(days=days):%Y-%m-%d}"
        folder.mkdir()
        shutil.copy(today, folder / "late.parquet")
        assert watch.tick() == expected


@pytest.mark.parametrize("folder", ["", "hour=3", "kafka_topic=t"])
def test_an_index_in_any_layout_is_watched(folder: str, lake: Lake, instance: dg.DagsterInstance, tmp_path: Path):
    watch = Watch(lake, instance, "t")
    path = lake.index("t", [(0, 0, 1)])
    target = lake.root / "offset-index" / folder
    content = path.read_bytes()
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()
    target.mkdir(parents=True, exist_ok=True)
    (target / "a.parquet").write_bytes(content)
    assert watch.tick() == ["t"]
    (target / "b.parquet").write_bytes(content)
    assert watch.tick() == ["t"]


@pytest.mark.parametrize("cursor", [None, "", "{broken", "[]", '{"version": 0, "seen": {"t": "x"}}', '{"version": 1}'])
def test_a_lost_cursor_audits_everything_under_the_same_run_key(
    cursor: str | None, lake: Lake, instance: dg.DagsterInstance
):
    watch = Watch(lake, instance, "t")
    lake.index("t", [(0, 0, 1)])
    watch.tick()
    key = watch.keys
    watch.cursor = cursor
    assert watch.tick() == ["t"]
    assert watch.keys == key  # Dagster starts one run per key: two daemons, or a restart, audit once


def test_a_topic_whose_run_still_waits_is_asked_for_once_it_has_started(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "t")
    lake.index("t", [(0, 0, 1)])
    job = lake.definitions("t").resolve_job_def(AUDIT_JOB)
    run = instance.create_run_for_job(job, tags={TOPIC_TAG: "t"})
    assert watch.tick() == []
    assert watch.skipped == "1 topics wait in the queue already"
    instance.delete_run(run.run_id)
    assert watch.tick() == ["t"]


def test_an_index_that_cannot_be_listed_stops_no_other_topic_and_is_said(lake: Lake, instance: dg.DagsterInstance):
    watch = Watch(lake, instance, "t")
    assert watch.tick() == []
    assert "could not be listed" in str(watch.skipped)
    lake.index("t", [(0, 0, 1)])
    assert watch.tick() == ["t"]


def test_a_defect_in_one_topics_listing_stops_no_other_topic(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    real = SettingsAuditor.index_state

    def broken(self: SettingsAuditor, topic: str) -> str:
        if topic == "a":
            raise RuntimeError("password=secret")
        return real(self, topic)

    monkeypatch.setattr(SettingsAuditor, "index_state", broken)
    watch = Watch(lake, instance, "a", "b")
    lake.index("b", [(0, 0, 1)])
    assert watch.tick() == ["b"]
    assert watch.tick() == []
    assert "unexpected RuntimeError" in str(watch.skipped)
    assert "secret" not in str(watch.skipped)


@pytest.mark.parametrize("days", [1, 3, 20, 60])
def test_after_days_without_a_daemon_one_tick_and_one_audit_find_what_was_lost_meanwhile(
    days: int, lake: Lake, instance: dg.DagsterInstance
):
    now = datetime.now(timezone.utc)
    lake.index("t", [(0, 0, 10)], day=now - timedelta(days=days + 1))
    watch = Watch(lake, instance, "t")
    assert watch.tick() == ["t"]
    assert lake.audit(lake.definitions("t"), "t", instance).verdict.passed
    lake.index("t", [(0, 20, 30)], day=now - timedelta(days=days // 2 + 1))
    lake.index("t", [(0, 30, 40)], day=now)
    assert watch.tick() == ["t"]
    assert "offsets 10 to 19" in str(lake.audit(lake.definitions("t"), "t", instance).verdict.description)


def test_many_topics_share_runs_and_the_rest_waits_for_the_next_tick(lake: Lake, instance: dg.DagsterInstance):
    topics = [f"t{number:03}" for number in range(230)]
    for topic in topics:
        lake.index(topic, [(0, 0, 1)])
    watch = Watch(lake, instance, *topics)
    first, second = watch.tick(), watch.tick()
    assert len(first) == MAX_RUNS_PER_TICK
    assert sorted(topic for run in first + second for topic in run.split(",")) == topics
    assert watch.tick() == []


def test_when_all_topics_have_new_files_at_every_tick_each_has_its_turn(lake: Lake, instance: dg.DagsterInstance):
    topics = [f"t{number:03}" for number in range(450)]
    sensor = index_sensor(lake.settings(*topics))
    looks = count()

    class Busy:
        listings_at_once = 1

        def index_state(self, _topic: str) -> str:
            return str(next(looks))  # of each topic another one at each look

    asked: Counter[str] = Counter()
    cursor = None
    for _ in range(9):
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"auditor": Busy()})
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        asked.update(topic for run in result.run_requests or [] for topic in run.tags[TOPIC_TAG].split(","))
    assert set(asked) == set(topics)
    assert set(asked.values()) == {4}  # 200 a tick


def test_the_schedule_audits_every_topic_once_per_period_and_not_all_at_once(lake: Lake, instance: dg.DagsterInstance):
    topics = [f"t{number}" for number in range(100)]
    start = datetime(2026, 11, 23, tzinfo=timezone.utc)
    ticks = [start + timedelta(minutes=minute) for minute in range(30)]
    due = Counter(topic for tick in ticks for topic in topics if is_due(topic, 300, tick))
    assert set(due.values()) == {6}
    assert max(sum(is_due(topic, 300, tick) for topic in topics) for tick in ticks) < 50


def test_a_period_below_a_minute_is_every_minute():
    start = datetime(2026, 11, 23, tzinfo=timezone.utc)
    assert all(is_due("t", 10, start + timedelta(minutes=minute)) for minute in range(10))


def test_the_schedule_leaves_out_what_waits_already(lake: Lake, stored_instance: dg.DagsterInstance):
    instance = stored_instance
    settings = lake.settings({"name": "t", "audit": {"books": ["index"], "every": 60}})
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime(2026, 11, 23, tzinfo=timezone.utc)
    )
    requests = audit_schedule(settings)(context)
    assert isinstance(requests, list)
    assert [one.asset_selection for one in requests] == [[dg.AssetKey(["audit", "t"])]]
    job = lake.definitions("t").resolve_job_def(AUDIT_JOB)
    instance.create_run_for_job(job, tags={TOPIC_TAG: "t"})
    assert isinstance(audit_schedule(settings)(context), dg.SkipReason)


def test_every_night_each_topic_is_audited_from_all_of_its_files(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a.b", [(0, 0, 10)])
    settings = lake.settings("a.b")
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 23, 3, tzinfo=timezone.utc))
    (request,) = full_audit_schedule(settings)(context)
    job = lake.definitions("a.b").resolve_job_def(AUDIT_JOB)
    result = job.execute_in_process(
        instance=instance, run_config=request.run_config, asset_selection=list(request.asset_selection)
    )
    assert result.success


def test_a_person_has_every_topic_audited_anew_from_all_of_its_files_with_one_click(
    lake: Lake, instance: dg.DagsterInstance
):
    today = lake.index("a.b", [(0, 0, 10)])
    lake.index("c", [(0, 0, 10)])
    definitions = lake.definitions("a.b", "c")
    assert definitions.resolve_job_def(AUDIT_JOB).execute_in_process(instance=instance).success
    (today.parent.parent / "dt=2020-01-01").mkdir()
    today.rename(today.parent.parent / "dt=2020-01-01" / "late.parquet")
    lake.index("a.b", [(0, 20, 30)])
    result = definitions.resolve_job_def(FULL_JOB).execute_in_process(instance=instance, raise_on_error=False)
    found = {
        one.asset_key.path[-1]: (one.passed, str(one.description))
        for one in result.get_asset_check_evaluations()
        if one.check_name == COMPLETENESS
    }
    assert (found["a.b"][0], found["c"][0]) == (False, True)
    assert "offsets 10 to 19" in found["a.b"][1]


def test_topics_that_share_a_run_are_judged_each_by_its_own(lake: Lake, instance: dg.DagsterInstance):
    topics = [f"t{number:02}" for number in range(25)]
    for topic in topics:
        lake.index(topic, [(0, 0, 10), (0, 20, 30)] if topic == "t03" else [(0, 0, 10)])
    (lake.root / "offset-index" / "kafka_topic=t07").rename(lake.root / "elsewhere")
    definitions = lake.definitions(*topics)
    (batch, _) = batches(topics, len(topics))
    request = audit_request_for(batch, "schedule", "key")
    job = definitions.resolve_job_def(AUDIT_JOB).get_subset(
        asset_selection=set(request.asset_selection or ()), asset_check_selection=set(request.asset_check_keys or ())
    )
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    found = {
        one.asset_key.path[-1]: one.passed
        for one in result.get_asset_check_evaluations()
        if one.check_name == COMPLETENESS
    }
    assert found == {topic: topic not in {"t03", "t07"} for topic in batch}
    assert not result.success


def test_a_request_plans_no_check_so_that_the_page_keeps_showing_the_last_verdict():
    assert audit_request_for(["t"], "schedule", "key").asset_check_keys == []


def test_the_landing_page_is_renewed_when_a_verdict_changes_and_only_then(lake: Lake, instance: dg.DagsterInstance):
    settings, cursor = lake.settings("t"), None

    def tick() -> int:
        nonlocal cursor
        result = summary_sensor(settings)(dg.build_sensor_context(instance=instance, cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor or cursor
        return len(result.run_requests or [])

    def audit() -> None:
        lake.audit(lake.definitions("t"), "t", instance)

    assert [tick(), tick()] == [1, 0]  # never audited is a state to show as well
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    audit()
    assert [tick(), tick()] == [1, 0]
    audit()
    assert tick() == 0  # the same verdict again
    lake.index("t", [(0, 40, 50)])
    audit()
    waiting = instance.create_run_for_job(lake.definitions("t").resolve_job_def(SUMMARY_JOB))
    assert tick() == 0
    instance.delete_run(waiting.run_id)
    assert [tick(), tick()] == [1, 0]  # more is lost
    lake.index("t", [(0, 10, 20), (0, 30, 40)])
    audit()
    assert [tick(), tick()] == [1, 0]


def test_few_topics_have_runs_of_their_own():
    assert list(batches(["b", "a"], 20)) == [["a"], ["b"]]
    assert list(batches(["b", "a"], 21)) == [["a", "b"]]


def test_the_cursor_reads_back():
    written = write_cursor({"b": "2", "a": "1"}, "b")
    assert (read_cursor(written), read_turn(written)) == ({"a": "1", "b": "2"}, "b")


@pytest.mark.parametrize("cursor", [None, "{broken", "[]", '{"version": 1, "seen": {}}', '{"version": 1, "turn": 3}'])
def test_without_a_turn_in_the_cursor_the_first_topic_is_next(cursor: str | None):
    assert read_turn(cursor) == ""
