"""A real topic and a lake that lost nearly all of it: what a job left that was stopped cleanly behind the last record.

No Flink is started: the job's part is a deployment record, its savepoint, and the last record of each partition in data
and index. Everything before is a loss that a repair has to put back.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from datetime import datetime, timezone

from lineage_pipeline.books.checkpoints import note_stopped
from lineage_pipeline.books.deployments import write_deployment
from lineage_pipeline.books.kafka_offsets import KafkaBook
from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.books.table_files import TableWriter, data_schema, index_bytes, quarantine_schema
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.index_runs import RunBuilder
from lineage_pipeline.core.table_rows import KafkaRecord, RowMaker
from tests.e2e.pipeline import Pipeline, Place

WRITER = "20261122T220000Z-job"


def store(pipeline: Pipeline, table: str) -> ObjectStore:
    return open_store(str(pipeline.lake / table), {})


def stopped_job(pipeline: Pipeline, kept: Collection[Place]) -> None:
    """Leave what a cleanly stopped job would have left that wrote the records at `kept` alone."""
    declare(pipeline)
    write(pipeline, kept)
    stop(pipeline)


def stop(pipeline: Pipeline) -> None:
    """Leave the savepoint of a job that was stopped cleanly."""
    checkpoints = store(pipeline, "checkpoints")
    key = f"{pipeline.topic}/{WRITER}/savepoints/savepoint-1"
    checkpoints.put(f"{key}/_metadata", struct.pack(">iiq", 0x4960672D, 6, 1) + b"state")
    note_stopped(checkpoints, pipeline.topic, WRITER, f"{checkpoints.uri}/{key}")


def declare(pipeline: Pipeline) -> None:
    seen = KafkaBook(pipeline.bootstrap_servers, {}).snapshot(pipeline.topic)
    deployment = Deployment(
        writer=WRITER,
        topic=pipeline.topic,
        cluster_id=seen.cluster_id,
        topic_id=seen.topic_id,
        group="job",
        start_offsets=dict.fromkeys(seen.partitions, 0),
        isolation="read_committed",
        checkpoint_interval=1.0,
        plan_hash="plan",
        started_at=datetime.now(timezone.utc),
    )
    write_deployment(store(pipeline, "offset-index"), deployment)


def write(pipeline: Pipeline, kept: Collection[Place], name: str = "part-1") -> None:
    """Put the records at these places into the tables, as the job would."""
    topic = pipeline.topic_settings
    schema = topic_schema(topic)
    rows, readable = RowMaker(schema), pipeline.readable()
    data, quarantine = TableWriter(data_schema(schema)), TableWriter(quarantine_schema(schema))
    runs: dict[int, RunBuilder] = {}
    for partition, offset in sorted(kept):
        record = readable[partition, offset]
        row = rows.row(partition, KafkaRecord(offset, record.timestamp, 0, record.payload, record.key, record.headers))
        (data if row.table == "data" else quarantine).add(row.values)
        run = runs.setdefault(partition, RunBuilder(partition, WRITER, 1_795_000_000_000))
        run.add(offset, record.timestamp, 0, quarantined=row.table == "quarantine")
    folder = f"kafka_topic={topic.name}/dt=2026-11-22"
    if data.rows:
        store(pipeline, "output").put(f"{folder}/hour=22/{name}", data.finish())
    if quarantine.rows:
        store(pipeline, "quarantine").put(f"{folder}/{name}", quarantine.finish())
    indexed = [row for one in runs.values() for row in one.finish()]
    store(pipeline, "offset-index").put(f"{folder}/{name}", index_bytes(indexed))
