"""What the offset index and the decoding cost the Flink job: the same records through three jobs, in turn.

`raw` writes the bytes only; `raw+index` adds the index; `avro` decodes once, with quarantine and index;
`avro-confluent` reads the same records in the wire format of a registry (tests/registry_server.py). Each job reads a
bounded topic and ends by itself. Its start-up, measured on a topic with 1,000 records, is taken off. The two raw jobs
read more records, so they are compared with the two others by their rates.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil
from confluent_kafka import Producer

from benchmarks.rounds import in_turn, judge, median_seconds, peak_mib
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.flink.environment import JobConfig, build_environment, flink_options, prepare_jvm
from lineage_pipeline.flink.kafka_options import source_options
from lineage_pipeline.flink.tables import TOPIC_PLACEHOLDER, JobTables, inserts
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.demo_record import encode_event, poison, schema_text
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import find_java
from lineage_pipeline.local.producer import ProducerPlan, produce
from lineage_pipeline.local.topics import create_topic
from lineage_pipeline.registry_settings import RegistrySettings
from tests.registry_server import RegistryServer

RECORDS = 3_000_000
RAW_RECORDS = 8_000_000  # the JVM alone is done with fewer before it is warm
FEW = 1_000
ROUNDS = 3
VARIANTS = ("raw", "raw+index", "avro", "avro-confluent")
PARTITIONS = 10
POISON = 0.001


def run() -> bool:
    """Produce, run the jobs in turn, print and judge."""
    counts = dict(zip(VARIANTS, (RAW_RECORDS, RAW_RECORDS, RECORDS, RECORDS), strict=True))
    print(f"job cost: {counts} records in {PARTITIONS} partitions, {ROUNDS} rounds", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder,
        _broker(folder) as broker,
        RegistryServer() as registry,
    ):
        written = registry.register("events-value", schema_text())
        for topic, count in (("raw", RAW_RECORDS), ("many", RECORDS), ("few", FEW)):
            produce(ProducerPlan(broker.bootstrap_servers, topic, count=count, poison_fraction=POISON))
            if topic != "raw":
                _produce_framed(broker.bootstrap_servers, f"{topic}-confluent", count, written)
        variants = [
            (f"{name}/{topic}", broker.bootstrap_servers, folder, registry.url)
            for name in VARIANTS
            for topic in ("raw" if name.startswith("raw") else "many", "few")
        ]
        figures = in_turn("benchmarks.job_cost", variants, ROUNDS)
    net = [median_seconds(figures[i]) - median_seconds(figures[i + 1]) for i in range(0, len(figures), 2)]
    for name, seconds in zip(VARIANTS, net, strict=True):
        print(f"  {name:<14} {seconds:6.1f} s net of start-up, {counts[name] / seconds:,.0f} records/s")
    raw, indexed, decoded, confluent = (seconds / counts[name] for name, seconds in zip(VARIANTS, net, strict=True))
    # a quarter of the rate is four times the time of a record
    return all(
        [
            judge("raw+index against raw", indexed / raw, 1.4),
            judge("avro against raw+index", decoded / indexed, 4.0),
            judge("avro-confluent against avro", confluent / decoded, 1.3),
        ]
    )


def _produce_framed(bootstrap: str, topic: str, count: int, schema_id: int) -> None:
    """As many demo records in the wire format of registries, with as much poison."""
    create_topic(bootstrap, topic, PARTITIONS)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    chance, header = random.Random(1), b"\0" + schema_id.to_bytes(4, "big")
    for number in range(count):
        good = encode_event(chance, time.time_ns() // 1_000_000)
        payload = poison(good, chance) if chance.random() < POISON else header + good
        while True:
            try:
                producer.produce(topic, payload, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise SystemExit(f"not all records reached topic {topic}")


def _broker(folder: str) -> KafkaBroker:
    jars = fetch_jars("kafka", cache=cache_folder(os.environ))
    return KafkaBroker(Path(folder) / "broker", find_java(os.environ), jars)


def one(variant: str, bootstrap: str, folder: str, registry_url: str) -> None:
    """Run one bounded job and print its figures."""
    name, topic = variant.split("/")
    schema = record_schema("raw") if name.startswith("raw") else record_schema(name, schema_text())
    registry = RegistrySettings(url=registry_url) if name == "avro-confluent" else None
    topic = f"{topic}-confluent" if registry else topic
    options = source_options(topic, "bench", bootstrap, {}, "read_committed", "none")
    options |= {"scan.startup.mode": "earliest-offset", "scan.bounded.mode": "latest-offset"}
    del options["properties.auto.offset.reset"]
    with tempfile.TemporaryDirectory(dir=folder) as lake:
        tables = JobTables(options, f"file://{lake}/data", f"file://{lake}/quarantine", f"file://{lake}/index")
        jars = tuple(fetch_jars("flink", cache=cache_folder(os.environ)))
        config = JobConfig(topic, schema, tables, 3.0, jars=jars, registry=registry)
        prepare_jvm(find_java(os.environ).home, Path(lake) / "log", jars)
        environment = build_environment(config, flink_options(config, f"file://{lake}/state", None))
        statements = environment.create_statement_set()
        chosen = inserts(schema)[:1] if name == "raw" else inserts(schema)
        for insert in chosen:
            statements.add_insert_sql(insert.replace(TOPIC_PLACEHOLDER, topic))
        started = time.monotonic()
        statements.execute().wait()
        seconds = time.monotonic() - started
    jvm = sum(peak_mib(child.pid) for child in psutil.Process().children())  # a local job decodes in this process
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib() + jvm}))


if __name__ == "__main__":
    one(*sys.argv[1:])
