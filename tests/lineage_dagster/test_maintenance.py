"""Old runs go, and neither the latest verdict nor the latest materialisation goes with them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from lineage_dagster import maintenance, names
from lineage_dagster.check_history import latest_results
from tests.lineage_dagster.lake import Lake

KEY = dg.AssetKey(["audit", "t"])


@pytest.mark.parametrize("page", [1, 2, 500])
def test_old_runs_are_removed_but_for_the_one_behind_the_latest_materialisation(
    page: int, lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(maintenance, "_PAGE", page)
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    definitions = lake.definitions("t")
    for _ in range(4):
        lake.audit(definitions, "t", instance)
    latest = instance.get_latest_materialization_event(KEY)
    assert latest is not None
    soon = datetime.now(timezone.utc) + timedelta(minutes=1)
    assert maintenance.remove_old_runs(instance, [KEY], soon) == 3
    assert [run.run_id for run in instance.get_runs()] == [latest.run_id]
    check = dg.AssetCheckKey(KEY, names.COMPLETENESS)
    assert latest_results(instance, [check])[check].state == "failed"


def test_young_runs_and_runs_under_way_stay(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10)])
    lake.audit(lake.definitions("t"), "t", instance)
    job = lake.definitions("t").resolve_implicit_global_asset_job_def()
    instance.create_run_for_job(job)
    long_ago = datetime.now(timezone.utc) - timedelta(days=1)
    assert maintenance.remove_old_runs(instance, [], long_ago) == 0
    soon = datetime.now(timezone.utc) + timedelta(minutes=1)
    assert maintenance.remove_old_runs(instance, [], soon) == 1
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.NOT_STARTED]


def test_the_job_runs_from_the_ui_with_its_default(lake: Lake, instance: dg.DagsterInstance):
    job = lake.definitions("t").resolve_job_def(maintenance.MAINTENANCE_JOB)
    assert job.execute_in_process(instance=instance).success
