"""The two instances that we ship, as Dagster understands them: the embedded one, and docs/dagster.yaml for others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.scheduler.instigation import TickStatus

from lineage_dagster.run_launcher import WatchedRunLauncher
from lineage_dagster.triggers import AUDIT_JOB
from lineage_pipeline.local.dagster_instance import write_instance
from tests.lineage_dagster.lake import Lake

DOCUMENTED = Path(__file__).parents[2] / "docs" / "dagster.yaml"


@pytest.fixture(params=["embedded", "documented"])
def shipped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    write_instance(home)
    if request.param == "documented":
        (home / "dagster.yaml").write_text(DOCUMENTED.read_text())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_nothing_is_told_to_others_and_nobody_is_nagged(shipped: dg.DagsterInstance):
    assert not shipped.telemetry_enabled
    assert not shipped.nux_enabled


def test_one_audit_of_a_topic_runs_at_a_time_and_a_run_that_died_is_noticed(shipped: dg.DagsterInstance):
    pools = shipped.get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity.value) == (1, "run")
    assert shipped.run_monitoring_enabled
    assert isinstance(shipped.run_launcher, WatchedRunLauncher)  # one that died with its code server, too
    assert shipped.run_monitoring_poll_interval_seconds == 30
    assert shipped.run_monitoring_max_runtime_seconds == 3600  # and where nothing else tells


def test_ticks_are_removed_in_time(shipped: dg.DagsterInstance):
    for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE):
        kept = shipped.get_tick_retention_settings(kind)
        assert {status: kept[status] for status in TickStatus if status in kept} == {
            TickStatus.SKIPPED: 1,
            TickStatus.SUCCESS: 7,
            TickStatus.FAILURE: 30,
            TickStatus.STARTED: 7,
        }


@pytest.mark.parametrize(
    ("reason", "again"), [(RunFailureReason.STEP_FAILURE, False), (RunFailureReason.RUN_EXCEPTION, True)]
)
def test_a_run_that_found_a_loss_is_not_tried_again_and_one_that_died_is(
    reason: RunFailureReason, again: bool, shipped: dg.DagsterInstance, lake: Lake
):
    run = shipped.create_run_for_job(lake.definitions("t").resolve_job_def(AUDIT_JOB))
    shipped.report_run_failed(run, job_failure_data=None)
    failed = shipped.get_run_by_id(run.run_id)
    assert failed is not None
    assert auto_reexecution_should_retry_run(shipped, failed, reason) is again
