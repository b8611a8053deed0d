"""README's promises of `lineage up --cluster`: whatever is killed of it, nothing is lost and nothing doubled."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from tests.e2e.exactness import assert_exact
from tests.e2e.lineage_up import Up, lineage, started_in
from tests.e2e.pipeline import Pipeline

pytestmark = pytest.mark.e2e

JOB, TASKMANAGER, JOBMANAGER = "lineage_pipeline job run", "TaskManagerRunner", "StandaloneSessionClusterEntrypoint"


def test_up_on_a_cluster_survives_the_kill_of_each_of_its_processes(
    tmp_path: Path, java: Java, kafka_jars: list[Path]
) -> None:
    directory = tmp_path / "it's a lake, 100 % ours"
    directory.mkdir()
    with Up(directory, "--cluster", "--no-dagster") as up:
        up.wait_for_records(0)
        assert not [one for one in started_in(directory) if "dagster" in " ".join(one.cmdline())]
        # A new command finds the job of the killed one and submits none; Flink restarts the tasks of a killed
        # TaskManager by itself; a new JobManager knows no job, so the next start resumes from the last checkpoint.
        for words, reasons in ((JOB, ["first"]), (TASKMANAGER, ["first"]), (JOBMANAGER, ["first", "restored"])):
            (victim,) = [one for one in started_in(directory) if words in " ".join(one.cmdline()) and _is_no_guard(one)]
            victim.kill()
            victim.wait(30)
            up.wait_for_records(up.totals()["i"] + 500)
            assert [one["reason"] for one in up.deployments] == reasons, words
        told = (directory / "up.log").read_text()
        assert "the taskmanager had died and is started again" in told
        assert "start the job again, it resumes from its last checkpoint" in told
        assert up.stop(signal.SIGINT) == 0, (directory / "up.log").read_text()
    assert started_in(directory) == []
    stopped = up.totals()
    assert stopped["d"] == stopped["i"] > 0, "a clean stop commits everything"
    audited = json.loads(lineage("audit", "--books", "index", "--json", cwd=directory).stdout)
    assert (audited["verdict"], audited["totals"]["duplicated"]) == ("complete", 0)

    state = up.config.parent / "up"
    with KafkaBroker(state / "broker", java, kafka_jars) as broker:
        pipeline = Pipeline(broker.bootstrap_servers, audited["topic"], state, os.environ)
        assert_exact(pipeline, pipeline.readable())


def _is_no_guard(process: psutil.Process) -> bool:
    """The process itself, not the one that ends it with its parent."""
    return "guard" not in " ".join(process.cmdline()[:4]) and Path(process.cmdline()[0]).name != "bash"
