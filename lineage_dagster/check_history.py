"""The latest check results in Dagster's storage: the one adapter to interfaces that Dagster does not promise to keep.

tests/lineage_dagster/test_dagster_contract.py says what is relied on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from lineage_dagster.check_result import CheckResult

_AT_ONCE = 5_000
_Key = TypeVar("_Key", dg.AssetKey, dg.AssetCheckKey)
_LOOK_BACK = 20  # executions of checks that somebody ran alone; each that is under way or died hides one


def latest_results(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, CheckResult]:
    """A result for every key. A run that is still under way does not count: the result before it does."""
    wanted = list(keys)
    records: dict[dg.AssetCheckKey, AssetCheckExecutionRecord] = {}
    for part in _parts(wanted):
        records.update(instance.event_log_storage.get_latest_asset_check_execution_by_key(part))
    ended = _ended_runs(instance, {key.asset_key for key in wanted})
    return {key: _result(instance, key, records.get(key), ended.get(key.asset_key)) for key in wanted}


def _ended_runs(instance: dg.DagsterInstance, assets: Collection[dg.AssetKey]) -> dict[dg.AssetKey, str]:
    """How the newest run of an asset ended, for those whose newest run did not materialise them."""
    newest: dict[dg.AssetKey, str] = {}
    for record in (one for part in _parts(list(assets)) for one in instance.get_asset_records(part)):
        entry = record.asset_entry
        made = entry.last_materialization.run_id if entry.last_materialization else None
        if entry.last_run_id and entry.last_run_id != made:
            newest[entry.asset_key] = entry.last_run_id
    runs = {run_id: _how_it_ended(instance, run_id) for run_id in set(newest.values())}
    return {key: text for key, run_id in newest.items() if (text := runs[run_id]) is not None}


def _parts(keys: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    """Portions that a database takes in one question: SQLite knows 32,766 variables, and a check needs two."""
    for first in range(0, len(keys), _AT_ONCE):
        yield keys[first : first + _AT_ONCE]


def _how_it_ended(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """In words, when the run has ended."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        return None
    return f"run {run_id} ended ({run.status.value if run is not None else 'deleted'}) without a verdict"


def _result(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, newest: AssetCheckExecutionRecord | None, ended: str | None
) -> CheckResult:
    record = newest
    if newest is not None and newest.status == AssetCheckExecutionRecordStatus.PLANNED:
        record = None
        for one in instance.event_log_storage.get_asset_check_execution_history(key, limit=_LOOK_BACK):
            if one.status != AssetCheckExecutionRecordStatus.PLANNED:
                record = one
                break
            ended = ended or _how_it_ended(instance, one.run_id)
    last = CheckResult("never") if record is None else _evaluated(record)
    if ended is None:
        return last
    if last.state == "failed":  # what was lost is not less lost because nobody could look again
        return replace(last, text=f"{last.text} The newest audit did not finish: {ended}.")
    return CheckResult("crashed", ended, last.at)


def _evaluated(record: AssetCheckExecutionRecord) -> CheckResult:
    assert record.event is not None
    evaluation = record.event.get_dagster_event().asset_check_evaluation_data if record.event.dagster_event else None
    if evaluation is None:
        return CheckResult("crashed", f"run {record.run_id} left a result that cannot be read")
    return CheckResult(
        "passed" if evaluation.passed else "failed",
        evaluation.description or "",
        record.event.timestamp,
        {name: value.value for name, value in evaluation.metadata.items()},
    )
