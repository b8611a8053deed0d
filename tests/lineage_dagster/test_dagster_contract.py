"""What we rely on in Dagster beyond its promises: when one of these fails after an upgrade, our code must change."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from lineage_dagster import names
from lineage_dagster.check_history import latest_results
from lineage_dagster.triggers import summary_sensor
from tests.lineage_dagster.lake import Lake
from tests.lineage_dagster.page_status import shown

KEY = dg.AssetCheckKey(dg.AssetKey(["audit", "t"]), names.COMPLETENESS)


def _queued_run(lake: Lake, instance: dg.DagsterInstance, *, checks: bool = False) -> dg.DagsterRun:
    """A run of the audit that has not started; with `checks` one that plans these as well, as the command line does."""
    definitions = lake.definitions("t")
    job = definitions.resolve_implicit_global_asset_job_def()
    planned = _all_checks(definitions) if checks else frozenset()
    return instance.create_run_for_job(job.get_subset(asset_selection={KEY.asset_key}, asset_check_selection=planned))


def _all_checks(definitions: dg.Definitions) -> frozenset[dg.AssetCheckKey]:
    found = definitions.resolve_asset_graph().asset_check_keys
    return frozenset(key for key in found if key.asset_key == KEY.asset_key)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, end: str) -> None:
    if end == "started":
        instance.report_engine_event("begins", run)
        instance.handle_run_event(run.run_id, DagsterEvent("PIPELINE_START", run.job_name))
    elif end == "canceled":
        instance.report_run_canceled(run)
    elif end == "failed":
        instance.report_run_failed(run, "the machine went away")
    elif end == "deleted":
        instance.delete_run(run.run_id)


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


@pytest.mark.parametrize("end", ["queued", "started", "canceled", "failed", "deleted"])
def test_whatever_becomes_of_a_newer_run_the_page_shows_the_last_verdict(
    end: str, lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    _end(instance, _queued_run(lake, instance), end)
    assert shown(instance, KEY) == "FAILED"


def test_the_page_shows_a_verdict_at_every_event_of_an_audit(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    definitions = lake.definitions("t")
    lake.audit(definitions, "t", instance)
    began = int(time.time())
    while int(time.time()) == began:  # SQLite notes the second only, and audits are further apart than that
        time.sleep(0.01)
    seen = []
    store = instance.handle_new_event

    def watched(event: Any, **named: Any) -> None:
        store(event, **named)
        seen.append(shown(instance, KEY))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance, "handle_new_event", watched)
        lake.audit(definitions, "t", instance)
    assert len(seen) > 10
    assert set(seen) == {"FAILED"}


@pytest.mark.parametrize(("end", "checks"), [("queued", True), ("started", False), ("started", True)])
def test_a_run_under_way_leaves_the_result_before_it(end: str, checks: bool, lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    _end(instance, _queued_run(lake, instance, checks=checks), end)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY])[KEY]
    assert record.status.value == ("PLANNED" if checks else "FAILED")  # else this test tries nothing
    found = latest_results(instance, [KEY])[KEY]
    assert (found.state, "did not finish" in found.text) == ("failed", False)


@pytest.mark.parametrize(
    ("end", "checks"), [("canceled", False), ("failed", False), ("failed", True), ("deleted", False), ("deleted", True)]
)
def test_a_run_that_died_is_not_taken_for_the_green_result_before_it(
    end: str, checks: bool, lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10)])
    lake.audit(lake.definitions("t"), "t", instance)
    before = latest_results(instance, [KEY])[KEY]
    run = _queued_run(lake, instance, checks=checks)
    _end(instance, run, end)
    found = latest_results(instance, [KEY])[KEY]
    assert (found.state, found.at) == ("crashed", before.at)
    assert run.run_id in found.text
    lake.audit(lake.definitions("t"), "t", instance)
    assert latest_results(instance, [KEY])[KEY].state == "passed"


@pytest.mark.parametrize("checks", [False, True])
def test_a_run_that_died_hides_no_loss(checks: bool, lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    before = latest_results(instance, [KEY])[KEY]
    _end(instance, _queued_run(lake, instance, checks=checks), "failed")
    found = latest_results(instance, [KEY])[KEY]
    assert (found.state, found.at, found.metadata) == ("failed", before.at, before.metadata)
    assert found.text.startswith(before.text)
    assert "The newest audit did not finish" in found.text


def _look_after_the_page(lake: Lake, instance: dg.DagsterInstance) -> int:
    """One tick of the sensor and what the daemon does with it; how many results were stated again."""
    result = summary_sensor(lake.settings("t"))(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return len(result.asset_events)


@pytest.mark.parametrize("hider", ["canceled", "failed", "deleted", "a report of others"])
def test_a_failed_check_that_something_newer_hides_is_stated_again_and_grows_no_younger(
    hider: str, lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    before = latest_results(instance, [KEY])[KEY]
    began = int(time.time())
    while int(time.time()) == began:  # SQLite notes the second only
        time.sleep(0.01)
    if hider == "a report of others":
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY.asset_key))
    else:
        _end(instance, _queued_run(lake, instance, checks=True), hider)
    assert shown(instance, KEY) != "FAILED"
    began = int(time.time())
    while int(time.time()) == began:
        time.sleep(0.01)
    assert _look_after_the_page(lake, instance) == 2  # completeness and counts_match; green ones are left
    assert shown(instance, KEY) == "FAILED"
    again = latest_results(instance, [KEY])[KEY]
    assert (again.state, again.at) == ("failed", before.at)
    assert again.metadata["incident"] == before.metadata["incident"]
    assert _look_after_the_page(lake, instance) == 0


def test_a_warning_beside_a_passed_verdict_is_stated_again_once(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 5, 8)])
    lake.audit(lake.definitions("t"), "t", instance)
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY.asset_key))
    began = int(time.time())
    while int(time.time()) == began:
        time.sleep(0.01)
    assert shown(instance, KEY) == "Not evaluated"
    assert [_look_after_the_page(lake, instance) for _ in range(3)] == [1, 0, 0]
    assert shown(instance, dg.AssetCheckKey(KEY.asset_key, names.NO_DUPLICATES)) == "FAILED"
    assert shown(instance, KEY) == "Not evaluated"  # a passed one would look younger than it is


def test_nothing_is_stated_again_while_a_run_is_under_way_or_the_page_shows_it(
    lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    assert _look_after_the_page(lake, instance) == 0
    _queued_run(lake, instance, checks=True)
    assert _look_after_the_page(lake, instance) == 0


def test_the_first_run_that_died_is_not_taken_for_no_run(lake: Lake, instance: dg.DagsterInstance):
    _end(instance, _queued_run(lake, instance), "failed")
    found = latest_results(instance, [KEY])[KEY]
    assert (found.state, found.at) == ("crashed", None)


def test_the_checks_run_alone_audit_as_well(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    definitions = lake.definitions("t")
    job = definitions.resolve_implicit_global_asset_job_def()
    ran = job.get_subset(asset_selection=set(), asset_check_selection=_all_checks(definitions))
    result = ran.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()}["completeness"] is False
    assert latest_results(instance, [KEY])[KEY].state == "failed"


@pytest.mark.parametrize("found", ["passed", "failed"])
def test_a_run_of_the_checks_alone_that_died_is_told_with_the_result_before_it(
    found: str, lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10)] if found == "passed" else [(0, 0, 10), (0, 20, 30)])
    definitions = lake.definitions("t")
    lake.audit(definitions, "t", instance)
    before = latest_results(instance, [KEY])[KEY]
    assert before.state == found
    job = definitions.resolve_implicit_global_asset_job_def()
    alone = job.get_subset(asset_selection=set(), asset_check_selection=_all_checks(definitions))
    first, second = (instance.create_run_for_job(alone) for _ in range(2))
    _end(instance, first, "failed")  # the newer one is under way: the dead one behind it counts all the same
    told = latest_results(instance, [KEY])[KEY]
    assert (told.state, told.at) == ("crashed" if found == "passed" else "failed", before.at)
    assert f"run {first.run_id} ended" in told.text
    _end(instance, second, "canceled")
    assert f"run {second.run_id} ended" in latest_results(instance, [KEY])[KEY].text


def test_a_later_materialisation_by_others_does_not_hide_the_result_from_the_alerts(
    lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    lake.audit(lake.definitions("t"), "t", instance)
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY.asset_key))
    assert latest_results(instance, [KEY])[KEY].state == "failed"


def test_more_checks_than_a_database_takes_in_one_question_are_asked_for_in_several(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    ask, asked = instance.event_log_storage.get_latest_asset_check_execution_by_key, []

    def counting(keys: Any) -> Any:
        asked.append(len(keys))
        return ask(keys)

    monkeypatch.setattr(instance.event_log_storage, "get_latest_asset_check_execution_by_key", counting)
    keys = [dg.AssetCheckKey(dg.AssetKey(["audit", f"t{number}"]), names.COMPLETENESS) for number in range(20_000)]
    assert {one.state for one in latest_results(instance, keys).values()} == {"never"}
    assert sum(asked) == len(keys)
    assert 2 * max(asked) < 32_766  # variables in a statement, as SQLite is built by default; a check is two


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
