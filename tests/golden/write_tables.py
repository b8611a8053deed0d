"""Writes the golden tables anew: `python -m tests.golden.write_tables [plain] [keyed]`, with a real broker and job.

Only for a change of the format on purpose: the files that are there must stay readable for ever.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Producer

from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import find_java
from tests.e2e.pipeline import Pipeline, new_topic
from tests.golden import keyed
from tests.golden.records import BATCHES, SCHEMA, TOPIC, Golden

HERE = Path(__file__).parent
TABLES = {"output": "data", "quarantine": "quarantine", "offset-index": "offset_index"}


def main() -> None:
    """Write the sets of tables that are named; all of them without a name."""
    sets = {"plain": _write_plain, "keyed": _write_keyed}
    with tempfile.TemporaryDirectory() as folder:
        jars = fetch_jars("kafka", cache=cache_folder(os.environ))
        with KafkaBroker(Path(folder) / "broker", find_java(os.environ), jars) as broker:
            for name in sys.argv[1:] or sets:
                directory = Path(folder) / name
                directory.mkdir()
                sets[name](broker.bootstrap_servers, directory)


def _write_plain(bootstrap_servers: str, directory: Path) -> None:
    """Produce the records batch by batch, wait for each, stop the job and copy its tables here."""
    topic = new_topic(bootstrap_servers, TOPIC, 2)
    pipeline = Pipeline(bootstrap_servers, topic, directory, os.environ)
    (directory / "event.avsc").write_text(json.dumps(SCHEMA), encoding="utf-8")
    pipeline.configure(schema="event.avsc")
    try:
        pipeline.start()
        moved = 0
        for batch in BATCHES:
            _produce(bootstrap_servers, batch)
            moved += len(batch)
            pipeline.wait_moved(moved)
        pipeline.stop()
    finally:
        pipeline.kill()
    _copy(pipeline, HERE)


def _write_keyed(bootstrap_servers: str, directory: Path) -> None:
    """The same with keys and headers."""
    topic = new_topic(bootstrap_servers, keyed.TOPIC, 1)
    pipeline = Pipeline(bootstrap_servers, topic, directory, os.environ)
    for name, text in keyed.FILES.items():
        (directory / name).write_text(text, encoding="utf-8")
    pipeline.configure(**keyed.SETTINGS)
    keyed.produce(bootstrap_servers, topic)
    try:
        pipeline.start()
        pipeline.wait_moved(len(keyed.RECORDS))
        pipeline.stop()
    finally:
        pipeline.kill()
    _copy(pipeline, HERE / "keyed")


def _copy(pipeline: Pipeline, into: Path) -> None:
    for source, name in TABLES.items():
        shutil.rmtree(into / name, ignore_errors=True)
        for path in pipeline.files(source):
            target = into / name / path.relative_to(pipeline.lake / source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def _produce(bootstrap_servers: str, batch: tuple[Golden, ...]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for record in batch:
        producer.produce(TOPIC, _payload(record.value), partition=record.partition, timestamp=record.timestamp)
    left = producer.flush(30)
    assert left == 0, f"{left} records were not delivered"


def _payload(value: bytes | dict[str, Any] | None) -> bytes | None:
    if not isinstance(value, dict):
        return value
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(SCHEMA), value)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
