"""The job on a standalone cluster, of which one process after the other is killed: nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lineage_pipeline.flink.distribution import Role
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.flink_cluster import FlinkCluster
from lineage_pipeline.local.java import Java
from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import Pipeline, new_topic, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture
def cluster(tmp_path: Path, java: Java) -> Iterator[FlinkCluster]:
    with FlinkCluster(tmp_path / "cluster", java) as running:
        yield running


@pytest.fixture
def pipeline(
    broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path, cluster: FlinkCluster
) -> Iterator[Pipeline]:
    topic = new_topic(broker.bootstrap_servers, topic_name(), 3)
    directory = tmp_path / "it's a lake, 100 % ours"
    directory.mkdir()
    made = Pipeline(broker.bootstrap_servers, topic, directory, os.environ, cluster_url=cluster.url)
    yield made
    made.kill()


def kill(cluster: FlinkCluster, role: Role) -> None:
    """SIGKILL for the JVM of that role, and wait until it is seen to be gone."""
    process = psutil.Process(cluster.process(role).pid)
    for one in [process, *process.children(recursive=True)]:
        one.send_signal(signal.SIGKILL)
    wait_until(lambda: cluster.process(role).poll() is not None, f"the {role} to be gone")


def test_every_process_of_a_cluster_may_be_killed(pipeline: Pipeline, cluster: FlinkCluster) -> None:
    pipeline.produce(2000, poison_fraction=0.01)
    pipeline.start()
    pipeline.wait_moved(2000)

    # the command that submitted the job: a new one finds the job and submits none
    pipeline.kill()
    pipeline.produce(1000)
    pipeline.start()
    pipeline.wait_moved(3000)
    assert [one["reason"] for one in pipeline.deployments] == ["first"]

    # the TaskManager: Flink restarts the tasks by itself
    kill(cluster, "taskmanager")
    assert cluster.revive() == ["taskmanager"]
    pipeline.produce(1000)
    pipeline.wait_moved(4000)
    assert [one["reason"] for one in pipeline.deployments] == ["first"]

    # the JobManager: the new one knows no job, and the next start resumes from the last checkpoint
    kill(cluster, "jobmanager")
    pipeline.produce(1000)
    assert cluster.revive() == ["jobmanager"]
    assert "resumes from its last checkpoint" in pipeline.job.wait_failed(180)
    pipeline.start()
    pipeline.wait_moved(5000)
    assert [one["reason"] for one in pipeline.deployments] == ["first", "restored"]

    pipeline.stop()
    assert_exact(pipeline, pipeline.readable())
