"""The latest check results in Dagster's storage: the one adapter to interfaces that Dagster does not promise to keep.

tests/lineage_dagster/test_dagster_contract.py says what is relied on.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from lineage_dagster.check_result import CheckResult

_LOOK_BACK = 20  # executions; each run that is under way or died hides one


def latest_results(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, CheckResult]:
    """A result for every key. A run that is still under way does not count: the result before it does."""
    wanted = list(keys)
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(wanted)
    return {key: _result(instance, key, records.get(key)) for key in wanted}


def _result(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, record: AssetCheckExecutionRecord | None
) -> CheckResult:
    if record is None:
        return CheckResult("never")
    if record.status != AssetCheckExecutionRecordStatus.PLANNED:
        return _evaluated(record)
    for one in instance.event_log_storage.get_asset_check_execution_history(key, limit=_LOOK_BACK):
        if one.status != AssetCheckExecutionRecordStatus.PLANNED:
            return _evaluated(one)
        run = instance.get_run_by_id(one.run_id)
        if run is None or run.is_finished:
            how = run.status.value if run is not None else "deleted"
            return CheckResult("crashed", f"run {one.run_id} ended ({how}) without a verdict", one.create_timestamp)
    return CheckResult("never")


def _evaluated(record: AssetCheckExecutionRecord) -> CheckResult:
    assert record.event is not None
    evaluation = record.event.get_dagster_event().asset_check_evaluation_data if record.event.dagster_event else None
    if evaluation is None:
        return CheckResult("crashed", f"run {record.run_id} left a result that cannot be read", record.create_timestamp)
    return CheckResult(
        "passed" if evaluation.passed else "failed",
        evaluation.description or "",
        record.event.timestamp,
        {name: value.value for name, value in evaluation.metadata.items()},
    )
