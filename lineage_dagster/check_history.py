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
from dagster._core.storage.event_log.base import AssetEntry

from lineage_dagster.check_result import CheckResult

_AT_ONCE = 5_000
_FIRST_SAID = "first_said"  # metadata of a result that was stated again
_Key = TypeVar("_Key", dg.AssetKey, dg.AssetCheckKey)
_LOOK_BACK = 20  # executions of checks that somebody ran alone; each that is under way or died hides one


def latest_results(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, CheckResult]:
    """A result for every key. A run that is still under way does not count: the result before it does."""
    wanted = list(keys)
    records = _newest(instance, wanted)
    ended = _ended_runs(instance, {key.asset_key for key in wanted})
    return {key: _result(instance, key, records.get(key), ended.get(key.asset_key)) for key in wanted}


def hidden_failures(
    instance: dg.DagsterInstance, groups: Iterable[Sequence[dg.AssetCheckKey]]
) -> list[dg.AssetCheckEvaluation]:
    """Failed results that Dagster's page shows no longer, to be stated again. `groups`: the checks of each asset.

    It hides them behind a run that planned the check and died, and behind a materialisation that others reported.
    Passed ones are left hidden: stated again they would look younger than they are.
    """
    leads = {group[0]: group for group in groups if group}
    entries = {one.asset_key: one for one in _entries(instance, {key.asset_key for key in leads})}
    # What hides one check of an asset hides all of them, so one is asked for: 1,000 topics have 11,000 checks.
    hidden = [
        key
        for lead, newest in _newest(instance, list(leads)).items()
        if _is_hidden(instance, newest, entries.get(lead.asset_key))
        for key in leads[lead]
    ]
    found = []
    for key, newest in _newest(instance, hidden).items():
        # Each for itself: one that was stated again is shown, though a passed one beside it stays hidden.
        again = _is_hidden(instance, newest, entries.get(key.asset_key))
        last = _last_evaluated(instance, key, newest)[0] if again else None
        if last is not None and last.status == AssetCheckExecutionRecordStatus.FAILED and last.evaluation is not None:
            found.append(_again(last, last.evaluation))
    return found


def _is_hidden(instance: dg.DagsterInstance, newest: AssetCheckExecutionRecord, entry: AssetEntry | None) -> bool:
    if newest.status == AssetCheckExecutionRecordStatus.PLANNED:
        return _how_it_ended(instance, newest.run_id) is not None
    return entry is not None and _outdated(newest, entry)


def _again(record: AssetCheckExecutionRecord, said: dg.AssetCheckEvaluation) -> dg.AssetCheckEvaluation:
    """The same result, which does not grow younger by being stated again."""
    at = dg.MetadataValue.timestamp(record.event.timestamp if record.event else record.create_timestamp)
    return dg.AssetCheckEvaluation(
        asset_key=said.asset_key,
        check_name=said.check_name,
        passed=False,
        severity=said.severity,
        description=said.description,
        metadata={_FIRST_SAID: at, **said.metadata},
        blocking=said.blocking,
    )


def _outdated(record: AssetCheckExecutionRecord, entry: AssetEntry) -> bool:
    """Whether the page calls it `Not evaluated`, by the rule of the record's own targets_latest_materialization."""
    made = entry.last_materialization_record
    if made is None or made.run_id == record.run_id:
        return False
    target = record.evaluation.target_materialization_data if record.evaluation else None
    return made.timestamp >= record.create_timestamp if target is None else target.storage_id != made.storage_id


def _newest(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    found: dict[dg.AssetCheckKey, AssetCheckExecutionRecord] = {}
    for part in _parts(keys):
        found.update(instance.event_log_storage.get_latest_asset_check_execution_by_key(part))
    return found


def _entries(instance: dg.DagsterInstance, assets: Collection[dg.AssetKey]) -> Iterator[AssetEntry]:
    for part in _parts(list(assets)):
        yield from (record.asset_entry for record in instance.get_asset_records(part))


def _ended_runs(instance: dg.DagsterInstance, assets: Collection[dg.AssetKey]) -> dict[dg.AssetKey, str]:
    """How the newest run of an asset ended, for those whose newest run did not materialise them."""
    newest: dict[dg.AssetKey, str] = {}
    for entry in _entries(instance, assets):
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
    record, waiting = _last_evaluated(instance, key, newest)
    for run_id in waiting:
        ended = ended or _how_it_ended(instance, run_id)
    last = CheckResult("never") if record is None else _evaluated(record)
    if ended is None:
        return last
    if last.state == "failed":  # what was lost is not less lost because nobody could look again
        return replace(last, text=f"{last.text} The newest audit did not finish: {ended}.")
    return CheckResult("crashed", ended, last.at)


def _last_evaluated(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, newest: AssetCheckExecutionRecord | None
) -> tuple[AssetCheckExecutionRecord | None, list[str]]:
    """The newest execution that has a result, and the runs of those after it that have none."""
    if newest is None or newest.status != AssetCheckExecutionRecordStatus.PLANNED:
        return newest, []
    runs: list[str] = []
    for one in instance.event_log_storage.get_asset_check_execution_history(key, limit=_LOOK_BACK):
        if one.status != AssetCheckExecutionRecordStatus.PLANNED:
            return one, runs
        runs.append(one.run_id)
    return None, runs


def _evaluated(record: AssetCheckExecutionRecord) -> CheckResult:
    assert record.event is not None
    evaluation = record.event.get_dagster_event().asset_check_evaluation_data if record.event.dagster_event else None
    if evaluation is None:
        return CheckResult("crashed", f"run {record.run_id} left a result that cannot be read")
    first = evaluation.metadata.get(_FIRST_SAID)
    return CheckResult(
        "passed" if evaluation.passed else "failed",
        evaluation.description or "",
        first.value if isinstance(first, dg.TimestampMetadataValue) else record.event.timestamp,
        {name: value.value for name, value in evaluation.metadata.items()},
    )
