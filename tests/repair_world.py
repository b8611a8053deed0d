"""A topic, its lake and its repairs in memory: any operation of a store can be the last one of a repair.

The log is a list by partition: a payload, None for a tombstone, a Sent with key and headers, MARKER where no record is.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lineage_pipeline.audit_topic import AuditRequest, audit_topic
from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.checkpoints import note_stopped
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.books.table_files import TableWriter, data_schema, index_bytes, quarantine_schema
from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.core.deployment import Deployment, Isolation, deployment_key
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.hole_reading import FoundRun, HoleBudget, Round, Scan, Stop, Window
from lineage_pipeline.core.index_runs import RunBuilder
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.core.table_rows import Headers, KafkaRecord, RowMaker
from lineage_pipeline.remembering import StatePlan
from lineage_pipeline.repair import Prepared, RepairRequest, execute, prepare
from lineage_pipeline.replay import Cluster, Lake, Replayed
from tests.books.memory_store import MemoryStore
from tests.books.model_broker import ModelBroker, ModelPartition

TOPIC = "orders"
START = datetime(2026, 11, 23, 23, 50, tzinfo=timezone.utc)
SETTLE = 60.0
MARKER = object()
SCHEMA = (
    '{"type": "record", "name": "R", "fields": [{"name": "text", "type": "string"}, {"name": "n", "type": "long"}]}'
)
BAD = b"\xff"
TIMESTAMP = 1_795_000_000_000


def payload(text: str, number: int) -> bytes:
    """Avro of SCHEMA for short texts and small numbers."""
    return bytes([len(text) << 1]) + text.encode() + bytes([number << 1])


class Sent(NamedTuple):
    """A record with its key and headers."""

    payload: bytes | None
    key: bytes | None = None
    headers: Headers = ()


class RepairWorld:
    """The clock only moves when told to. `stores` are by table: output, quarantine, index, audit, checkpoints."""

    def __init__(
        self, log: dict[int, list[Any]], schema: RecordSchema | None = None, fetch: FetchSchema | None = None
    ) -> None:
        self.log = log
        self.fetch = fetch
        self.schema = record_schema("avro", SCHEMA) if schema is None else schema
        self.now = START
        names = ("output", "quarantine", "index", "audit", "checkpoints")
        self.stores = {name: MemoryStore(name) for name in names}
        for store in self.stores.values():
            store.now = self._seconds
        self.broker = ModelBroker({TOPIC: {one: ModelPartition(len(records)) for one, records in log.items()}})
        self.deploy()

    def _seconds(self) -> float:
        return self.now.timestamp()

    # --- the job's part

    def deploy(self, writer: str = "job-1", **changed: Any) -> None:
        values: dict[str, Any] = {
            "writer": writer,
            "topic": TOPIC,
            "cluster_id": "cluster-1",
            "topic_id": "topic-1",
            "group": "g",
            "start_offsets": dict.fromkeys(self.log, 0),
            "isolation": "read_committed",
            "checkpoint_interval": 20.0,
            "plan_hash": "p",
            "started_at": self.now,
        }
        record = Deployment(**{**values, **changed})
        self.stores["index"].place(deployment_key(writer), record.to_json().encode())

    def stop_job(self, writer: str = "job-1") -> None:
        """The job is stopped with a savepoint, and FINISHED."""
        self.checkpoint(writer, "savepoints/savepoint-1", 99)
        note_stopped(self.stores["checkpoints"], TOPIC, writer, f"{TOPIC}/{writer}/savepoints/savepoint-1")

    def checkpoint(self, writer: str = "job-1", folder: str = "checkpoints/j/chk-1", number: int = 1) -> None:
        header = b"\x49\x60\x67\x2d\x00\x00\x00\x06" + number.to_bytes(8, "big")
        self.stores["checkpoints"].place(f"{TOPIC}/{writer}/{folder}/_metadata", header)

    def wrote(
        self, *ranges: tuple[int, int, int], name: str = "part-1", writer: str = "job-1", record: str | None = None
    ) -> None:
        """The job wrote these ranges of the log: data, quarantine and index; `record`: with another schema of Avro."""
        schema = self.schema if record is None else record_schema("avro", record)
        rows, runs = RowMaker(schema, self.fetch), []
        tables = {"data": TableWriter(data_schema(schema)), "quarantine": TableWriter(quarantine_schema(schema))}
        for partition, start, end in ranges:
            run = RunBuilder(partition, writer, 1_795_000_000_000)
            for offset in range(start, end):
                record = self.record(partition, offset)
                if record is None:
                    continue
                row = rows.row(partition, record)
                tables[row.table].add(row.values)
                run.add(offset, TIMESTAMP + offset, 0, quarantined=row.table == "quarantine")
            runs += run.finish()
        folder = f"kafka_topic={TOPIC}/dt=2026-11-22"
        if tables["data"].rows:
            self.stores["output"].place(f"{folder}/hour=22/{name}", tables["data"].finish())
        if tables["quarantine"].rows:
            self.stores["quarantine"].place(f"{folder}/{name}", tables["quarantine"].finish())
        self.stores["index"].place(f"{folder}/{name}", index_bytes(runs))

    def record(self, partition: int, offset: int) -> KafkaRecord | None:
        """What Kafka gives there; None for a marker."""
        content = self.log[partition][offset]
        if content is MARKER:
            return None
        sent = content if isinstance(content, Sent) else Sent(content)
        return KafkaRecord(offset, TIMESTAMP + offset, 0, *sent)

    # --- audits and repairs

    @property
    def audit_request(self) -> AuditRequest:
        state = AuditState(self.stores["audit"], TOPIC, self.stores["index"])
        return AuditRequest(
            IndexPath(self.stores["index"], TOPIC),
            self.broker,
            "g",
            AuditRules(SETTLE, 900.0, "seeded"),
            self,
            plan=StatePlan(state),
            lake=LakeBook(
                {"data": self.stores["output"], "quarantine": self.stores["quarantine"]},
                LakeLayout(TOPIC),
                self.stores["audit"],
                replays=ReplayLog(self.stores["index"], TOPIC),
            ),
        )

    def request(self, by: str = "Ada", **changed: Any) -> RepairRequest:
        values: dict[str, Any] = {
            "audit": self.audit_request,
            "lake": Lake(
                self.stores["output"], self.stores["quarantine"], self.stores["index"], self.schema, self.fetch
            ),
            "cluster": Cluster(self.broker, ModelRangeReader(self)),
            "checkpoints": self.stores["checkpoints"],
            "interval": 20.0,
            "by": by,
        }
        return RepairRequest(**{**values, **changed})

    def audit(self) -> AuditReport:
        return audit_topic(self.audit_request, lambda: self.now)

    def seen_twice(self) -> None:
        """A look, and the time after which another one decides."""
        self.audit()
        self.pass_time(SETTLE)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def plan(self, **changed: Any) -> Prepared:
        request = self.request(**changed)
        return prepare(request, lambda: audit_topic(request.audit, lambda: self.now))

    def repair(self, prepared: Prepared | None = None, **changed: Any) -> tuple[Replayed, ...]:
        """Plan and execute."""
        return execute(self.request(**changed), prepared or self.plan(**changed), lambda: self.now, lambda _count: None)

    # --- the lake as a reader sees it

    def rows(self, table: str) -> list[dict[str, Any]]:
        store = self.stores[table]
        keys = sorted(info.key for info in store.list())
        files = [pq.ParquetFile(io.BytesIO(store.objects[key][0])) for key in keys]
        found = [file.read(use_threads=False).to_pylist() for file in files]
        return [row for rows in found for row in rows]

    def places(self) -> Counter[tuple[int, int]]:
        """How often each offset is in data or quarantine."""
        both = [*self.rows("output"), *self.rows("quarantine")]
        return Counter((row["kafka_partition"], row["kafka_offset"]) for row in both)

    def records(self, partition: int, start: int, end: int) -> Counter[tuple[int, int]]:
        """The places of the records in a range of the log."""
        return Counter((partition, one) for one in range(start, end) if self.log[partition][one] is not MARKER)

    # --- the broker's records: a HoleReader

    def read(self, topic: str, rounds: Sequence[Round], isolation: Isolation, budget: HoleBudget) -> tuple[Scan, ...]:  # noqa: ARG002 - the port
        levels: tuple[Isolation, ...] = ("read_committed", "read_uncommitted")
        return tuple(self._scan(window, level) for listed in rounds for window in listed for level in levels)

    def _scan(self, window: Window, isolation: Isolation) -> Scan:
        found = [
            FoundRun(one, one + 1, TIMESTAMP + one, TIMESTAMP + one)
            for hole in window.holes
            for one in range(hole.start, hole.end)
            if self.log[window.partition][one] is not MARKER
        ]
        return Scan(window.partition, isolation, window.range, window.range.end, tuple(found))


class ModelRangeReader:
    """A RangeReader over the world's log; `before` runs before each reading."""

    def __init__(self, world: RepairWorld) -> None:
        self._world = world

    @contextmanager
    def open(self, topic: str, isolation: Isolation) -> Iterator[ModelRangeReader]:
        assert (topic, isolation) == (TOPIC, "read_committed")
        yield self

    def read(self, partition: int, wanted: OffsetRange) -> ModelReading:
        return ModelReading(self._world, partition, wanted)


class ModelReading:
    def __init__(self, world: RepairWorld, partition: int, wanted: OffsetRange) -> None:
        self.reached = wanted.start
        self.stopped: Stop | None = None
        self._world, self._partition, self._wanted = world, partition, wanted

    def __iter__(self) -> Iterator[KafkaRecord]:
        model = self._world.broker.partitions[TOPIC][self._partition]
        while self.reached < self._wanted.end:
            if self.reached < model.start or self._world.broker.down:
                self.stopped = Stop("unresolved", "the broker answered OFFSET_OUT_OF_RANGE")
                return
            at = self.reached
            self.reached += 1
            record = self._world.record(self._partition, at)
            if record is not None:
                yield record


def table_of(store: MemoryStore, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(store.objects[key][0]), partitioning=None)
