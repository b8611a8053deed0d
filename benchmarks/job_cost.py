"""What the offset index and the decoding cost the Flink job: the same records through three jobs, in turn.

`raw` writes the bytes only; `raw+index` adds the index; `avro` decodes once, with quarantine and index. Each job reads
a bounded topic and ends by itself. Its start-up, measured on a topic with 1,000 records, is taken off.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.rounds import in_turn, judge, median_seconds, peak_mib
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.flink.environment import JobConfig, build_environment, flink_options, prepare_jvm
from lineage_pipeline.flink.kafka_options import source_options
from lineage_pipeline.flink.tables import TOPIC_PLACEHOLDER, JobTables, inserts
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.demo_record import schema_text
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import find_java
from lineage_pipeline.local.producer import ProducerPlan, produce

RECORDS = 3_000_000
FEW = 1_000
ROUNDS = 3
VARIANTS = ("raw", "raw+index", "avro")


def run() -> bool:
    """Produce, run the jobs in turn, print and judge."""
    print(f"job cost: {RECORDS:,} records in 10 partitions, {ROUNDS} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder, _broker(folder) as broker:
        for topic, count in (("many", RECORDS), ("few", FEW)):
            produce(ProducerPlan(broker.bootstrap_servers, topic, count=count, poison_fraction=0.001))
        variants = [
            (f"{name}/{topic}", broker.bootstrap_servers, folder) for name in VARIANTS for topic in ("many", "few")
        ]
        figures = in_turn("benchmarks.job_cost", variants, ROUNDS)
    net = [median_seconds(figures[i]) - median_seconds(figures[i + 1]) for i in range(0, len(figures), 2)]
    for name, seconds in zip(VARIANTS, net, strict=True):
        print(f"  {name:<10} {seconds:6.1f} s net of start-up, {RECORDS / seconds:,.0f} records/s")
    raw, indexed, decoded = net
    # a quarter of the rate is four times the time
    return all(
        [judge("raw+index against raw", indexed / raw, 1.4), judge("avro against raw+index", decoded / indexed, 4.0)]
    )


def _broker(folder: str) -> KafkaBroker:
    jars = fetch_jars("kafka", cache=cache_folder(os.environ))
    return KafkaBroker(Path(folder) / "broker", find_java(os.environ), jars)


def one(variant: str, bootstrap: str, folder: str) -> None:
    """Run one bounded job and print its figures."""
    name, topic = variant.split("/")
    schema = record_schema("raw") if name.startswith("raw") else record_schema("avro", schema_text())
    options = source_options(topic, "bench", bootstrap, {}, "read_committed", "none")
    options |= {"scan.startup.mode": "earliest-offset", "scan.bounded.mode": "latest-offset"}
    del options["properties.auto.offset.reset"]
    with tempfile.TemporaryDirectory(dir=folder) as lake:
        tables = JobTables(options, f"file://{lake}/data", f"file://{lake}/quarantine", f"file://{lake}/index")
        config = JobConfig(topic, schema, tables, 3.0, jars=tuple(fetch_jars("flink", cache=cache_folder(os.environ))))
        prepare_jvm(find_java(os.environ).home, Path(lake) / "log")
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
