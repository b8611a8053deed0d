"""lake_files/<topic> on real Parquet files: what the index has and no file holds is red; looked at again in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lineage_dagster import names
from lineage_dagster.lake_assets import LAKE_JOB, LOOK_AGAIN, lake_files_key, lake_files_schedule
from tests.books.index_files import put
from tests.books.lake_tables import data_file, hour, span
from tests.lineage_dagster.lake import Lake

TOPIC = {"name": "t", "audit": {"books": ["index"]}, "settle": 1, "lake_files": {"every": 3600}}
SLOW = {**TOPIC, "settle": 3600}


@pytest.fixture
def file(lake: Lake) -> Path:
    """One of two data files of partition 0; a run that has seen both has been."""
    lake.index("t", [(0, 0, 100)])
    put(lake.root / "output", hour("t", "part-1"), data_file(span(0, 0, 60)))
    return put(lake.root / "output", hour("t", "part-2"), data_file(span(0, 60, 100)))


def looked(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> tuple[bool, Mapping[str, dg.AssetCheckEvaluation], Mapping[str, Any]]:
    """Whether the run succeeded, its checks by name, and what the asset's page shows."""
    job = definitions.resolve_job_def(LAKE_JOB)
    ran = job.get_subset(asset_selection={lake_files_key("t")}, asset_check_selection=set())
    result = ran.execute_in_process(instance=instance, raise_on_error=False)
    event = instance.get_latest_materialization_event(lake_files_key("t"))
    assert event is not None
    assert event.asset_materialization is not None
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    return result.success, found, event.asset_materialization.metadata


def test_files_that_hold_the_index_are_green_in_every_check(lake: Lake, file: Path, instance: dg.DagsterInstance):
    success, checks, metadata = looked(lake.definitions(TOPIC), instance)
    assert success
    assert {name: one.passed for name, one in checks.items()} == {
        "files_hold_the_index": True,
        "files_readable": True,
        "files_indexed": True,
        "no_repeated_rows": True,
    }
    assert (metadata["in_files"].value, metadata["verdict"].value) == (100, "complete")


def test_a_file_that_is_gone_fails_the_run_and_the_frequent_audit_knows_it(
    lake: Lake, file: Path, instance: dg.DagsterInstance
):
    definitions = lake.definitions(TOPIC)
    looked(definitions, instance)
    file.unlink()
    success, checks, metadata = looked(definitions, instance)
    verdict = checks[names.FILES_HOLD_THE_INDEX]
    assert (success, verdict.passed, verdict.severity) == (False, False, dg.AssetCheckSeverity.ERROR)
    assert "40 indexed offsets are in no file: partition 0, offsets 60 to 99" in str(verdict.description)
    assert "part-2 held them" in str(verdict.description)
    assert (metadata["damaged"].value, metadata["in_files"].value) == (40, 60)
    frequent = lake.audit(definitions, "t", instance)
    assert not frequent.verdict.passed
    assert "object-missing" in str(frequent.verdict.description)


def test_what_is_seen_for_the_first_time_is_red_and_looked_at_again_as_soon_as_that_can_decide(
    lake: Lake, file: Path, stored_instance: dg.DagsterInstance
):
    instance = stored_instance
    definitions, settings = lake.definitions(SLOW), lake.settings(SLOW)
    looked(definitions, instance)
    file.unlink()
    _, checks, metadata = looked(definitions, instance)
    assert "NOT PROVEN: 40 indexed offsets are in no file" in str(checks[names.FILES_HOLD_THE_INDEX].description)
    again = datetime.fromtimestamp(metadata[LOOK_AGAIN].value, timezone.utc)

    def requested(moment: datetime) -> bool:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=moment)
        return isinstance(lake_files_schedule(settings)(context), list)

    before = [again - timedelta(minutes=number) for number in range(1, 61)]
    assert sum(requested(minute) for minute in before) == 1  # once an hour, as every: 3600 says
    assert all(requested(again + timedelta(minutes=number)) for number in range(1, 5))


def test_files_of_a_new_topic_are_looked_at_in_the_first_minute_and_then_in_their_turn(
    lake: Lake, file: Path, stored_instance: dg.DagsterInstance
):
    settings = lake.settings({**TOPIC, "lake_files": {"every": 86_400}})
    schedule = lake_files_schedule(settings)

    def requested(minute: int) -> bool:
        moment = datetime(2026, 11, 23, 12, minute, tzinfo=timezone.utc)
        context = dg.build_schedule_context(instance=stored_instance, scheduled_execution_time=moment)
        return isinstance(schedule(context), list)

    assert requested(0)
    job = lake.definitions(TOPIC).resolve_job_def(LAKE_JOB)
    run = stored_instance.create_run_for_job(job, tags={"lineage/topic": "t"})
    assert not requested(1)  # one is waiting
    stored_instance.report_run_failed(run, "the machine went away")
    assert not requested(2)  # one that dies is not started every minute


@pytest.mark.parametrize("spoil", ["absent", "broken"])
def test_a_lake_that_cannot_be_looked_at_is_red_in_every_check(
    spoil: str, lake: Lake, file: Path, instance: dg.DagsterInstance
):
    if spoil == "absent":
        (lake.root / "output").rename(lake.root / "elsewhere")
    else:
        file.write_bytes(b"no parquet")
    _, checks, _ = looked(lake.definitions(TOPIC), instance)
    assert [name for name, one in checks.items() if one.passed] == []
    assert "NOT PROVEN" in str(checks[names.FILES_HOLD_THE_INDEX].description)


def test_repeated_rows_and_files_without_index_rows_warn(lake: Lake, file: Path, instance: dg.DagsterInstance):
    file.with_name("copy").write_bytes(file.read_bytes())
    put(lake.root / "output", hour("t", "stranger"), data_file(span(1, 0, 5)))
    _, checks, _ = looked(lake.definitions(TOPIC), instance)
    repeated, unindexed = checks[names.NO_REPEATED_ROWS], checks[names.FILES_INDEXED]
    assert (repeated.passed, repeated.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "40 rows too many" in str(repeated.description)
    assert "copy" in str(repeated.description)
    assert (unindexed.passed, "lineage index rebuild" in str(unindexed.description)) == (False, True)


def test_a_topic_without_a_place_for_data_has_no_such_asset(lake: Lake):
    elsewhere = {"name": "t", "paths": {"offset_index": "/elsewhere/index"}}
    graph = lake.definitions(elsewhere).resolve_asset_graph()
    assert lake_files_key("t") in graph.get_all_asset_keys()  # `lake` names a root, so there is a place
