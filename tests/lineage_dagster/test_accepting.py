"""Accepting a gap from the UI: only what an audit found, only with a reason, and green from the next audit on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from lineage_dagster.accepting import ACCEPT_JOB
from lineage_dagster.triggers import AUDIT_JOB
from lineage_pipeline.errors import LineageError
from tests.lineage_dagster.lake import Lake

GAP = {"topic": "t", "partition": 3, "start": 100, "end": 160, "reason": "test records", "author": "Ada"}


def _accept(lake: Lake, instance: dg.DagsterInstance, **changes: Any) -> None:
    job = lake.definitions("t").resolve_job_def(ACCEPT_JOB)
    job.execute_in_process(instance=instance, run_config={"ops": {"accept": {"config": {**GAP, **changes}}}})


@pytest.fixture
def audited(lake: Lake, instance: dg.DagsterInstance) -> Lake:
    lake.index("t", [(3, 0, 100), (3, 160, 200)])
    assert not lake.audit(lake.definitions("t"), "t", instance).verdict.passed
    return lake


def test_an_accepted_gap_is_green_at_the_next_audit_and_still_named(audited: Lake, instance: dg.DagsterInstance):
    _accept(audited, instance)
    found = audited.audit(audited.definitions("t"), "t", instance)
    assert found.verdict.passed
    assert "60 accepted as lost by a person" in str(found.verdict.description)


@pytest.mark.parametrize(
    "changes", [{"start": 90}, {"partition": 4}, {"reason": " "}, {"end": 100}, {"topic": "u"}, {"author": ""}]
)
def test_anything_but_a_gap_that_was_found_is_refused(
    changes: dict[str, Any], audited: Lake, instance: dg.DagsterInstance
):
    with pytest.raises(LineageError):
        _accept(audited, instance, **changes)
    assert not audited.audit(audited.definitions("t"), "t", instance).verdict.passed


def test_the_page_says_what_the_launchpad_takes(lake: Lake) -> None:
    page = (Path(__file__).parents[2] / "docs" / "dagster.md").read_text(encoding="utf-8")
    gap, audit = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(ops:.*?)```", page, re.DOTALL))
    definitions = lake.definitions("orders")
    assert dg.validate_run_config(definitions.resolve_job_def(ACCEPT_JOB), gap)
    assert dg.validate_run_config(definitions.resolve_job_def(AUDIT_JOB), audit)
    in_full = {"ops": {"lake_files_of_audit_orders": {"config": {"full": True}}}}
    assert dg.validate_run_config(definitions.resolve_job_def("__ASSET_JOB"), in_full)
