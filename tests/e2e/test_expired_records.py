"""Records that Kafka deletes before they are read: a loud failure with a way on, which does not stay open."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from lineage_pipeline.books.kafka_offsets import KafkaBook
from lineage_pipeline.core.job_start import StartRequest
from lineage_pipeline.errors import JobError
from lineage_pipeline.flink.environment import island_ttl_ms
from lineage_pipeline.flink.job_config import JobOptions, job_config
from lineage_pipeline.flink.plan import plan_hash
from lineage_pipeline.flink.start import prepare_start
from lineage_pipeline.local.topics import delete_records
from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import PATIENCE_SECONDS, Pipeline, Place, Record

pytestmark = pytest.mark.e2e


def test_a_job_whose_records_are_deleted_fails_loudly_goes_on_behind_them_and_is_strict(
    pipeline: Pipeline,
) -> None:
    pipeline.configure(format="raw")  # without a Python worker, for the many restarts of a job that cannot go on
    left = _without_state(pipeline)
    left = _with_state(pipeline, left)
    assert_exact(pipeline, left)

    _delete_while_the_job_sleeps(pipeline)
    said = pipeline.job.wait_failed(PATIENCE_SECONDS)
    assert "were deleted" in said
    assert "--skip-expired" in said
    with pytest.raises(JobError, match="did not stop cleanly"):
        pipeline.stop()


def _without_state(pipeline: Pipeline) -> dict[Place, Record]:
    """The first job dies before it reads, and what it declared to read is deleted; the records that are left."""
    pipeline.produce(3000)
    _declare_and_die(pipeline)
    delete_records(pipeline.bootstrap_servers, pipeline.topic, {0: 700, 1: 1000})

    said = pipeline.start_fails()
    assert "partition 0: [0, 700), partition 1: [0, 1000)" in said
    assert "--skip-expired" in said

    left = pipeline.readable()
    pipeline.start("--skip-expired")
    pipeline.wait_moved(len(left))
    pipeline.stop()
    assert_exact(pipeline, left)
    declared, repeated = pipeline.deployments
    assert (declared["reason"], repeated["reason"]) == ("first", "repeated")
    assert repeated["skipped"] == {"0": [[0, 700]], "1": [[0, 1000]]}
    return left


def _with_state(pipeline: Pipeline, before: dict[Place, Record]) -> dict[Place, Record]:
    """The job's savepoint points at deleted records; every record that is left, of before and of after."""
    pipeline.produce(3000)
    seen = before | pipeline.readable()
    # Of partition 0 something is left behind the job's position, of partition 1 nothing, partition 2 is untouched.
    delete_records(pipeline.bootstrap_servers, pipeline.topic, {0: 1500, 1: 2000})

    said = pipeline.start_fails()
    assert "were deleted" in said
    assert "--skip-expired" in said

    left = {place: record for place, record in seen.items() if not _within(place, {0: (1000, 1500), 1: (1000, 2000)})}
    pipeline.start("--skip-expired")
    pipeline.wait_moved(len(left))
    _, _, _, passing, strict = pipeline.deployments
    assert (passing["reason"], strict["reason"]) == ("restored", "from-index-end")
    assert passing["skipped"] == {"0": [[1000, 1500]], "1": [[1000, 2000]]}
    assert strict["start_offsets"]["1"] == 2000
    pipeline.produce(300)
    left |= {place: record for place, record in pipeline.readable().items() if place not in seen}
    pipeline.wait_moved(len(left))
    return left


def _within(place: Place, ranges: dict[int, tuple[int, int]]) -> bool:
    partition, offset = place
    start, end = ranges.get(partition, (0, 0))
    return start <= offset < end


def _delete_while_the_job_sleeps(pipeline: Pipeline) -> None:
    """Retention passes a job that is too slow: it is paused while records come and go."""
    java = pipeline.jvm
    java.suspend()
    try:
        pipeline.produce(30, partition=0)  # answers the fetch that the job has open
        pipeline.produce(3000, partition=0)
        (end,) = [max(offset for partition, offset in pipeline.readable() if partition == 0) + 1]
        delete_records(pipeline.bootstrap_servers, pipeline.topic, {0: end - 1})
    finally:
        java.resume()


def _declare_and_die(pipeline: Pipeline) -> None:
    """All that a job does which is killed after its declaration and before it reads."""
    settings, topic = pipeline.settings, pipeline.topic_settings
    config = job_config(settings, topic, JobOptions())
    book = KafkaBook(settings.kafka.bootstrap_servers, settings.kafka.properties)
    name = plan_hash(config.schema, island_ttl_ms(config), version("apache-flink"))
    prepare_start(settings, topic, book, StartRequest(), name)
