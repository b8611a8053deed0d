"""docs/adopt.md: lakes that others wrote, audited with the page's own settings and commands against a real broker."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Producer, TopicPartition

from lineage_pipeline.cli import lineage
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from tests.books.index_files import put
from tests.books.lake_tables import MILLIS, written
from tests.e2e.pipeline import new_topic

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "adopt.md").read_text(encoding="utf-8")
RECORDS, PER_FILE = 400, 100  # of each of two partitions

Table = Callable[[str, int, int, int], pa.Table]


def connect_files(topic: str) -> Iterator[tuple[str, int, int]]:
    for partition in (0, 1):
        for start in range(0, RECORDS, PER_FILE):
            name = f"{topic}+{partition}+{start:010}.snappy.parquet"
            yield f"topics/{topic}/year=2026/month=11/day=22/{name}", partition, start


def connect_table(topic: str, partition: int, start: int, end: int) -> pa.Table:
    offsets = range(start, end)
    return pa.table({"id": [f"{partition}-{one}" for one in offsets], "kafka_offset": pa.array(offsets, pa.int64())})


def spark_files(topic: str) -> Iterator[tuple[str, int, int]]:
    for partition in (0, 1):
        for start in range(0, RECORDS, PER_FILE):
            yield f"date=2026-11-22/part-0000{partition}-{start}-c000.snappy.parquet", partition, start


def spark_table(topic: str, partition: int, start: int, end: int) -> pa.Table:
    offsets = range(start, end)
    mine = pa.table(
        {
            "value": [b"x"] * len(offsets),
            "topic": [topic] * len(offsets),
            "partition": pa.array([partition] * len(offsets), pa.int32()),
            "offset": pa.array(offsets, pa.int64()),
            "timestamp": pa.array([MILLIS] * len(offsets)).cast(pa.timestamp("ms")).cast(pa.timestamp("us")),
        }
    )
    other = mine.set_column(1, "topic", pa.array(["another"] * len(offsets)))
    return pa.concat_tables([mine, other])


def flink_files(topic: str) -> Iterator[tuple[str, int, int]]:
    for partition in (0, 1):
        for start in range(0, RECORDS, PER_FILE):
            yield f"2026-11-22--{20 + partition}/part-5c0e1f2a-0-{start}", partition, start


def flink_table(topic: str, partition: int, start: int, end: int) -> pa.Table:
    offsets = range(start, end)
    return pa.table(
        {
            "line": ["x"] * len(offsets),
            "kafkaPartition": pa.array([partition] * len(offsets), pa.int32()),
            "kafkaOffset": pa.array(offsets, pa.int64()),
            "kafkaTimestamp": pa.array([MILLIS] * len(offsets), pa.int64()),
        }
    )


WRITERS: dict[str, tuple[Callable[[str], Iterator[tuple[str, int, int]]], Table, str | None]] = {
    "Kafka Connect": (connect_files, connect_table, None),
    "Spark": (spark_files, spark_table, "_spark_metadata/0"),
    "A Flink job": (flink_files, flink_table, "2026-11-22--20/.part-5c0e1f2a-0-4.inprogress.77aa"),
}


def settings_of(writer: str) -> str:
    """The page's settings for this writer."""
    section = next(part for part in PAGE.split("\n### ") if part.startswith(writer))
    return section.split("```yaml\n")[1].split("```")[0]


COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


class Adoption:
    """The page's commands, run one by one in a directory with the page's settings."""

    def __init__(self, root: Path, writer: str, topic: str, broker: KafkaBroker, place: str) -> None:
        text = settings_of(writer)
        for old, new in (
            ("broker:9092", broker.bootstrap_servers),
            ("name: orders", f"name: {topic}"),
            ("s3://lake", f"{place}/lake"),
            ("s3://audit", f"{place}/audit"),
            ("settle: 600", "settle: 1"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        (root / "lineage.yaml").write_text(text)
        group = re.search(r"group: (\S+)", text)
        self.group = group[1] if group else None

    def run(self, command: str, *more: str) -> Result:
        assert command in COMMANDS, command
        return CliRunner().invoke(lineage, [*shlex.split(command)[1:], *more])

    def audit(self) -> tuple[int, dict[str, Any]]:
        done = self.run("lineage audit --books index,broker,lake --wait", "--json")
        return done.exit_code, json.loads(done.stdout)


def produced(broker: KafkaBroker, topic: str, group: str | None) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for partition in (0, 1):
        for number in range(RECORDS):
            producer.produce(topic, f"{number}".encode(), partition=partition)
    assert producer.flush(60) == 0
    if group is not None:
        client = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": group})
        client.commit(offsets=[TopicPartition(topic, one, RECORDS) for one in (0, 1)], asynchronous=False)
        client.close()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_lake_of_others_is_audited_with_the_commands_of_the_page(
    writer: str,
    broker: KafkaBroker,
    s3: S3Server,
    topic_name: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("KAFKA_TOPIC", "LINEAGE_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    topic = new_topic(broker.bootstrap_servers, topic_name(), 2)
    on_s3 = writer == "Kafka Connect"
    # what the server stores are plain files: laid down and harmed from behind, S3 is a directory like the other one
    root = s3.bucket_directory / topic if on_s3 else tmp_path
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    lake = Adoption(tmp_path, writer, topic, broker, f"s3://{BUCKET}/{topic}" if on_s3 else str(tmp_path))
    produced(broker, topic, lake.group)
    names, table, beside = WRITERS[writer]
    files = {}
    for key, partition, start in names(topic):
        files[partition, start] = put(
            root / "lake", key, written(table(topic, partition, start, start + PER_FILE), compression="snappy")
        )
        old = time.time() - 7200
        os.utime(files[partition, start], (old, old))
    if beside is not None:
        put(root / "lake", beside, b"not for readers")
    late = files.pop((1, 200))
    content = late.read_bytes()
    late.unlink()

    assert lake.run("lineage index rebuild").exit_code == 0
    assert list((root / "audit").glob("offset-index/**/*.parquet")) == []
    done = lake.run("lineage index rebuild --execute")
    assert (done.exit_code, "700 records" in done.stdout) == (0, True), done.output

    code, report = lake.audit()
    holes = [
        (part["partition"], one["start"], one["end"], one["class"], one["cause"])
        for part in report["partitions"]
        for one in part["ranges"]
    ]
    assert (code, report["verdict"], holes) == (1, "loss", [(1, 200, 300, "missing", "repairable")])
    assert report["books"] == {"index": "read", "broker": "read", "lake": "read"}

    late.write_bytes(content)  # the writer has written it after all
    old = time.time() - 7200
    os.utime(late, (old, old))
    assert lake.run("lineage index rebuild --execute").exit_code == 0
    code, report = lake.audit()
    assert (code, report["verdict"], report["totals"]["indexed"]) == (0, "complete", 2 * RECORDS)
    found = lake.run("lineage locate 1 50 --record")
    assert (found.exit_code, files[1, 0].name in found.stdout) == (0, True), found.output

    files[0, 100].unlink()
    code, report = lake.audit()
    assert (code, [one["cause"] for one in report["partitions"][0]["ranges"]]) == (1, ["object-missing"])
    assert files[0, 100].name in json.dumps(report)


def test_the_page_promises_nothing_that_is_not_run() -> None:
    assert COMMANDS == [
        "lineage index rebuild",
        "lineage index rebuild --execute",
        "lineage audit --books index,broker,lake --wait",
        "lineage locate 1 50 --record",
    ]
