"""README's promises of `lineage up`: whatever is killed, nothing is lost, nothing doubled, and a later one goes on."""

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
from tests.e2e.lineage_up import Up, lineage, started_in, until
from tests.e2e.pipeline import Pipeline

pytestmark = pytest.mark.e2e

JOB, TASKMANAGER, JOBMANAGER = "lineage_pipeline job run", "TaskManagerRunner", "StandaloneSessionClusterEntrypoint"


def test_up_survives_the_kill_of_each_process_of_its_cluster_and_resumes_without_one_where_it_stopped(
    tmp_path: Path, java: Java, kafka_jars: list[Path]
) -> None:
    directory = tmp_path / "it's a lake, 100 % ours"
    directory.mkdir()
    with Up(directory, "--cluster", "--no-dagster") as up:
        up.wait_for_records(0)
        assert not _running(directory, "dagster")
        # A new command finds the job of the killed one and submits none; Flink restarts the tasks of a killed
        # TaskManager by itself; a new JobManager knows no job, so the next start resumes from the last checkpoint.
        for words, reasons in ((JOB, ["first"]), (TASKMANAGER, ["first"]), (JOBMANAGER, ["first", "restored"])):
            (victim,) = _running(directory, words)
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
    topic = _audited(directory)

    state = up.config.parent / "up"
    with KafkaBroker(state / "broker", java, kafka_jars) as broker:
        pipeline = Pipeline(broker.bootstrap_servers, topic, state, os.environ)
        ends: dict[int, int] = {}
        for run in pipeline.rows("offset-index").to_pylist():
            ends[run["kafka_partition"]] = max(ends.get(run["kafka_partition"], 0), run["max_offset"] + 1)
        # what the producer sent as the job stopped waits for the next start
        assert_exact(pipeline, {at: one for at, one in pipeline.readable().items() if at[1] < ends.get(at[0], 0)})

    with Up(directory) as second:
        second.wait_for_records(stopped["i"])
        assert _running(directory, "dagster")
    until(lambda: started_in(directory) == [], 60, "all processes of a killed `lineage up` to end")
    assert _audited(directory) == topic


def _running(directory: Path, words: str) -> list[psutil.Process]:
    """The processes of the stack with these words in their commands, without those that end one with its parent."""
    found = [one for one in started_in(directory) if words in " ".join(one.cmdline())]
    return [
        one for one in found if "guard" not in " ".join(one.cmdline()[:4]) and Path(one.cmdline()[0]).name != "bash"
    ]


def _audited(directory: Path) -> str:
    """The topic, which is complete and has nothing twice by its index."""
    audited = json.loads(lineage("audit", "--books", "index", "--json", cwd=directory).stdout)
    assert (audited["verdict"], audited["totals"]["duplicated"]) == ("complete", 0)
    return str(audited["topic"])
