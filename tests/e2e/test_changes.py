"""The topic and the job change: another plan, another parallelism, more partitions, another topic of the same name."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lineage_pipeline.local.demo_record import schema_text
from lineage_pipeline.local.producer import ProduceResult
from lineage_pipeline.local.topics import add_partitions, create_topic, delete_topic
from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import Pipeline

pytestmark = pytest.mark.e2e


TRANSACTIONS = {"transaction_size": 50, "abort_every": 5, "poison_fraction": 0.02}


def test_a_transactional_topic_is_moved_exactly_through_a_crash_more_partitions_another_parallelism_and_a_changed_plan(
    pipeline: Pipeline,
) -> None:
    pipeline.start("--parallelism", "1")
    results = [pipeline.produce(3000, **TRANSACTIONS)]
    assert "in use by process" in _second_job(pipeline)
    pipeline.wait_moved(results[0].total)
    pipeline.kill()

    refused = pipeline.start_fails("--state-ttl", "1000")
    assert "plan changed" in refused
    assert "--from-index-end" in refused

    _rescale_and_widen(pipeline, results)
    _change_the_plan(pipeline, results)
    assert [one["reason"] for one in pipeline.deployments] == ["first", "restored", "new-plan"]

    seen = pipeline.readable()
    delete_topic(pipeline.bootstrap_servers, pipeline.topic)
    create_topic(pipeline.bootstrap_servers, pipeline.topic, 3)
    refused = pipeline.start_fails()
    assert "is not the topic that was read before" in refused
    assert "OFFSET_INDEX_PATH" in refused
    assert_exact(pipeline, seen)


def _rescale_and_widen(pipeline: Pipeline, results: list[ProduceResult]) -> None:
    """One partition more while the job is down, and one while it runs with two subtasks on the crashed one's state."""
    add_partitions(pipeline.bootstrap_servers, pipeline.topic, 4)
    results.append(pipeline.produce(2000, **TRANSACTIONS))
    pipeline.start("--parallelism", "2")
    add_partitions(pipeline.bootstrap_servers, pipeline.topic, 5)
    results.append(pipeline.produce(2000, **TRANSACTIONS))
    produced = pipeline.readable()
    assert len(produced) == sum(result.total for result in results)
    assert {partition for partition, _ in produced} == set(range(5))
    assert all(result.aborted for result in results)
    pipeline.wait_moved(len(produced))
    pipeline.stop()
    assert_exact(pipeline, produced)
    assert pipeline.rows("quarantine").num_rows == sum(result.poisoned for result in results)
    first, second = pipeline.deployments
    assert second["start_offsets"] == {**first["start_offsets"], "3": 0}


def _change_the_plan(pipeline: Pipeline, results: list[ProduceResult]) -> None:
    """Behind a clean stop, a job of another schema goes on without the state."""
    results.append(pipeline.produce(2000, **TRANSACTIONS))
    pipeline.configure(schema=str(_wider_schema(pipeline)))
    pipeline.start()
    produced = pipeline.readable()
    assert len(produced) == sum(result.total for result in results)
    pipeline.wait_moved(len(produced))
    pipeline.stop()
    assert_exact(pipeline, produced)
    assert pipeline.rows("output")["note"].null_count == pipeline.rows("output").num_rows


def _second_job(pipeline: Pipeline) -> str:
    """Start the same job beside the one that runs; returns what it says."""
    command = [sys.executable, "-m", "lineage_pipeline", "job", "run", "--config", str(pipeline.config)]
    done = subprocess.run(command, env=pipeline.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert pipeline.runs
    return done.stderr


def _wider_schema(pipeline: Pipeline) -> str:
    """The demo's schema and one more column, which takes no byte of a record: old and new records fit both."""
    schema = json.loads(schema_text())
    schema["fields"].append({"name": "note", "type": "null"})
    path = pipeline.directory / "wider.avsc"
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path.name
