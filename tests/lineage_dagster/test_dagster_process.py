"""The embedded Dagster as it is: webserver, daemon and code server started, asked, and gone without a trace."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from lineage_pipeline.errors import ProcessError
from lineage_pipeline.local.dagster_process import DagsterProcess
from lineage_pipeline.local.ports import free_ports
from tests.lineage_dagster.lake import Lake

pytestmark = pytest.mark.e2e


@pytest.fixture
def dagster(lake: Lake, tmp_path: Path) -> DagsterProcess:
    environ = {**os.environ, "KAFKA_TOPIC": "of-somebody-else", "DAGSTER_HOME": "/nowhere"}
    return DagsterProcess(tmp_path / "lineage.yaml", tmp_path / "home", tmp_path / "log", free_ports(1)[0], environ)


def test_an_audit_started_over_its_api_shows_the_loss_and_stopping_leaves_no_process(
    lake: Lake, dagster: DagsterProcess
):
    lake.index("my-topic", [(0, 0, 100), (0, 130, 200)])
    lake.settings("my-topic")
    with dagster:
        verdict = dagster.audit("my-topic", ["index"])
        assert not verdict.passed
        assert "partition 0, offsets 100 to 129 (30 missing" in verdict.text
        lake.index("my-topic", [(0, 100, 130)])
        healed = dagster.audit("my-topic")
        assert (healed.passed, set(healed.checks.values())) == (True, {True})
        assert dagster.process is not None
        started = [
            dagster.process.pid,
            *(one.pid for one in psutil.Process(dagster.process.pid).children(recursive=True)),
        ]
        assert len(started) > 3  # webserver, daemon and code server at least
    assert [pid for pid in started if psutil.pid_exists(pid)] == []


def test_a_location_that_cannot_be_loaded_is_an_error_with_its_own_sentence(tmp_path: Path, dagster: DagsterProcess):
    (tmp_path / "lineage.yaml").write_text("topics: [{name: t, retnetion: {data_days: 3}}]")
    with pytest.raises(ProcessError, match="did you mean `retention`"):
        dagster.start()
    assert dagster.process is not None
    assert dagster.process.poll() is not None
