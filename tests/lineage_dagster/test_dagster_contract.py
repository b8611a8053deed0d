"""What we rely on in Dagster beyond its promises: when one of these fails after an upgrade, our code must change."""

from __future__ import annotations

import dagster as dg
import pytest

from lineage_dagster import names
from lineage_dagster.check_history import latest_results
from tests.lineage_dagster.lake import Lake

KEY = dg.AssetCheckKey(dg.AssetKey(["audit", "t"]), names.COMPLETENESS)


def _planned_run(lake: Lake, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that plans the check, as a queued one does, and has not evaluated it."""
    job = lake.definitions("t").resolve_implicit_global_asset_job_def()
    return instance.create_run_for_job(job, asset_selection=frozenset({KEY.asset_key}))


def test_a_check_that_never_ran_has_no_result(instance: dg.DagsterInstance):
    assert latest_results(instance, [KEY])[KEY].state == "never"


@pytest.mark.parametrize(("runs", "state"), [([(0, 0, 10)], "passed"), ([(0, 0, 10), (0, 20, 30)], "failed")])
def test_the_latest_result_has_state_sentence_time_and_metadata(
    runs: list[tuple[int, int, int]], state: str, lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", runs)
    lake.audit(lake.definitions("t"), "t", instance)
    found = latest_results(instance, [KEY])[KEY]
    assert found.state == state
    assert found.text
    assert found.at is not None
    assert found.metadata["incident"]["version"] == 1


def test_a_run_under_way_leaves_the_result_before_it(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    _planned_run(lake, instance)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY])[KEY]
    assert record.status.value == "PLANNED"  # else this test tries nothing
    assert latest_results(instance, [KEY])[KEY].state == "failed"


def test_a_run_that_died_is_not_taken_for_the_green_result_before_it(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10)])
    lake.audit(lake.definitions("t"), "t", instance)
    run = _planned_run(lake, instance)
    instance.report_run_failed(run, "the machine went away")
    found = latest_results(instance, [KEY])[KEY]
    assert found.state == "crashed"
    assert run.run_id in found.text


def test_a_later_materialisation_by_others_does_not_hide_the_result_from_the_alerts(
    lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY.asset_key))
    assert latest_results(instance, [KEY])[KEY].state == "failed"


def test_the_key_value_store_of_the_instance_keeps_and_replaces(instance: dg.DagsterInstance):
    instance.run_storage.set_cursor_values({"a": "1"})
    instance.run_storage.set_cursor_values({"a": "2"})
    assert instance.run_storage.get_cursor_values({"a", "b"}) == {"a": "2"}


def test_check_results_outlive_their_run_so_that_old_runs_can_be_removed(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10)])
    lake.audit(lake.definitions("t"), "t", instance)
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    assert latest_results(instance, [KEY])[KEY].state == "passed"
