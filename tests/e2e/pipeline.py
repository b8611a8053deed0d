"""One topic, its lineage.yaml and the job as a process: what every end-to-end test starts, breaks and looks at."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from confluent_kafka import Consumer, KafkaError, TopicPartition

from lineage_pipeline.errors import JobError
from lineage_pipeline.local.job_process import JobProcess
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.local.producer import ProduceResult, ProducerPlan, produce
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from lineage_pipeline.local.topics import create_topic, partition_count
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings

# How long a wait may take before the test fails; generous, since a slow machine is no defect.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.2

Place = tuple[int, int]  # partition, offset


@dataclass(frozen=True)
class Record:
    """One record as a read_committed consumer gets it. `timestamp` in milliseconds since 1970."""

    payload: bytes | None
    timestamp: int
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def wait_until(seen: Callable[[], bool], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Poll until `seen`; fail the test when it stays away for `patience` seconds."""
    deadline = time.monotonic() + patience
    while not seen():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        time.sleep(PAUSE_SECONDS)


class Pipeline:
    """The topic and everything the job leaves below `directory`."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        directory: Path,
        environ: Mapping[str, str],
        s3: S3Server | None = None,
    ) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topic = topic
        self.directory = directory
        # what the server stores are plain files: looked at from behind, S3 is a directory like the other one
        self.lake = s3.bucket_directory / topic if s3 else directory / "lake"
        self.lake_uri = f"s3://{BUCKET}/{topic}" if s3 else str(self.lake)
        self.aws = s3.environ if s3 else {}
        self.config = directory / "lineage.yaml"
        self._read: dict[Path, pa.Table] = {}  # files of the lake never change once they have their name
        self.environ = dict(environ)
        self.job = JobProcess(self.config, directory / "log", free_ports(1)[0], self.environ, self.aws)
        self.configure()

    def configure(self, *, kafka: Mapping[str, Any] | None = None, **topic: Any) -> None:
        """Write lineage.yaml; `kafka` and `topic` are further keys of these sections."""
        content = {
            "kafka": {"bootstrap_servers": self.bootstrap_servers, **(kafka or {})},
            "lake": self.lake_uri,
            "checkpoint_interval": 1.0,
            "topics": [{"name": self.topic, "group": f"{self.topic}-job", "format": "avro", **topic}],
        }
        self.config.write_text(yaml.safe_dump(content), encoding="utf-8")

    @property
    def settings(self) -> Settings:
        return load_settings(self.aws, self.config)

    @property
    def topic_settings(self) -> TopicSettings:
        return self.settings.topic()

    # --- the job

    def start(self, *arguments: str) -> None:
        """`lineage job run` with further arguments; returns once all its tasks run."""
        self.job.start(arguments)

    def start_fails(self, *arguments: str) -> str:
        """Start the job, which must end by itself; returns its last sentence."""
        try:
            self.start(*arguments)
        except JobError as error:
            return str(error)
        return self.job.wait_failed(PATIENCE_SECONDS)

    def stop(self) -> None:
        """Stop with a savepoint, and see that nothing of the job is left."""
        self.job.stop()

    def kill(self) -> None:
        """SIGKILL for the whole job: command and JVM."""
        self.job.kill()

    def kill_jvm(self) -> str:
        """SIGKILL for Flink's JVM alone; returns the last sentence of the command, which must end by itself."""
        os.kill(self.jvm.pid, signal.SIGKILL)
        return self.job.wait_failed(PATIENCE_SECONDS)

    @property
    def runs(self) -> bool:
        """Whether the job's command has been started and has not ended."""
        process = self.job.process
        return process is not None and process.poll() is None

    @property
    def jvm(self) -> psutil.Process:
        """The running job's JVM."""
        process = self.job.process
        assert process is not None
        children = psutil.Process(process.pid).children(recursive=True)
        (java,) = [child for child in children if child.name() == "java"]
        return java

    # --- the topic

    def produce(self, count: int, **plan: Any) -> ProduceResult:
        """Write demo records as fast as the broker takes them."""
        return produce(ProducerPlan(self.bootstrap_servers, self.topic, count=count, **plan))

    @contextmanager
    def producing(self, rate_per_sec: float, **plan: Any) -> Iterator[Producing]:
        """Write demo records at that rate meanwhile, the last acknowledged before this returns."""
        running = Producing(ProducerPlan(self.bootstrap_servers, self.topic, rate_per_sec=rate_per_sec, **plan))
        try:
            yield running
        finally:
            running.finish()

    def readable(self) -> dict[Place, Record]:
        """What a plain read_committed consumer sees from the log start to the last stable offset."""
        partitions = partition_count(self.bootstrap_servers, self.topic)
        assert partitions, f"topic {self.topic} is not there"
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": f"{self.topic}-reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        found: dict[Place, Record] = {}
        reading = set(range(partitions))
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            consumer.assign([TopicPartition(self.topic, number, 0) for number in reading])
            while reading:
                assert time.monotonic() < deadline, f"partitions {reading} never ended"
                for message in consumer.consume(10_000, timeout=1):
                    error = message.error()
                    if error is None:
                        place = (message.partition(), message.offset())
                        headers = tuple((name, value) for name, value in message.headers() or ())
                        found[place] = Record(message.value(), message.timestamp()[1], message.key(), headers)
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF, error
                        reading.discard(message.partition())
        finally:
            consumer.close()
        return found

    # --- the lake

    def files(self, table: str) -> list[Path]:
        """The committed Parquet files of a table: output, quarantine or offset-index."""
        root = self.lake / table
        found = [path for path in root.rglob("*") if path.is_file()]
        return sorted(p for p in found if not any(part[:1] in "._" for part in p.relative_to(root).parts))

    def rows(self, table: str) -> pa.Table:
        """All rows of a table; an empty one when there is no file."""
        files = self.files(table)
        for path in files:
            if path not in self._read:
                self._read[path] = pq.read_table(path, partitioning=None)
        tables = [self._read[path] for path in files]
        # a table that a changed schema has widened has files of both kinds
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    def moved(self) -> int:
        """How many records have arrived: in the index and in a table, which commit one after the other."""
        index = self.rows("offset-index")
        indexed = sum(index["record_count"].to_pylist()) if index.num_rows else 0
        return min(indexed, self.rows("output").num_rows + self.rows("quarantine").num_rows)

    def wait_moved(self, records: int) -> None:
        """Wait until so many records have arrived; fail at once when the job ends instead."""

        def there() -> bool:
            assert self.runs, f"the job ended: {self.job.last_words()}"
            return self.moved() >= records

        wait_until(there, f"{records} records in the lake")

    @property
    def deployments(self) -> list[dict[str, Any]]:
        """The deployment records as JSON objects, oldest first."""
        folder = self.lake / "offset-index" / "_deployments"
        found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
        return sorted(found, key=lambda one: (one["started_at"], one["writer"]))


class Producing:
    """A producer in a thread of its own. `sent` tells how many records were handed over so far."""

    def __init__(self, plan: ProducerPlan) -> None:
        self.sent = 0
        self._stop = threading.Event()
        self._result: ProduceResult | BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(plan,), name="producing")
        self._thread.start()

    def wait_sent(self, count: int) -> None:
        """Wait until `count` records were handed over since the beginning."""
        wait_until(lambda: self.sent >= count or not self._thread.is_alive(), f"{count} records to be produced")
        assert self._thread.is_alive(), f"the producer ended: {self._result!r}"

    def finish(self) -> ProduceResult:
        """End it; every record it tells of is acknowledged. May be called again."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert isinstance(self._result, ProduceResult), f"the producer failed: {self._result!r}"
        return self._result

    def _run(self, plan: ProducerPlan) -> None:
        try:
            self._result = produce(plan, stop=self._stop, progress=self._note)
        except BaseException as error:  # noqa: BLE001 - told by finish(), in the test's own thread
            self._result = error

    def _note(self, sent: int) -> None:
        self.sent = sent


def new_topic(bootstrap_servers: str, name: str, partitions: int) -> str:
    """Make the topic and return its name."""
    create_topic(bootstrap_servers, name, partitions)
    return name
