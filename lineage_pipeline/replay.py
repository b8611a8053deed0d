"""Use case, the half of a repair that writes: a chunk's records from Kafka through the job's decoder into the lake.

Objects are put in this order: data, quarantine, index. An index row never tells of records that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lineage_pipeline.books.broker_book import BrokerBook, OpenRangeReader, RangeReader
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.table_files import TableWriter, data_schema, index_bytes, quarantine_schema
from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.core.index_runs import RunBuilder
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.core.repair_claim import RepairClaim, Task
from lineage_pipeline.core.table_rows import KafkaRecord, RowMaker
from lineage_pipeline.errors import BrokerError, StoreError

Progress = Callable[[int], None]  # called with the number of records just read


@dataclass(frozen=True)
class Lake:
    """Where the three tables are, and what their records are. `fetch`: schemas of a registry, see payload_decoder."""

    output: ObjectStore
    quarantine: ObjectStore
    offset_index: ObjectStore
    schema: RecordSchema
    fetch: FetchSchema | None = None


@dataclass(frozen=True)
class Cluster:
    """How records are read, and the topic's identity asked for."""

    broker: BrokerBook
    reader: RangeReader


@dataclass(frozen=True)
class Replayed:
    """What came of one task. `absent`: offsets that Kafka did not give any more, by why: `expired` or `gone`.

    `written` is False when nothing was put into the lake: nothing was readable, or not all of a whole chunk.
    """

    task: Task
    written: bool
    data: int = 0
    quarantined: int = 0
    expired: RangeSet = EMPTY
    gone: RangeSet = EMPTY


class Replay:
    """Replays the tasks of one claim, one after the other."""

    def __init__(self, claim: RepairClaim, lake: Lake, cluster: Cluster, progress: Progress) -> None:
        self._claim = claim
        self._lake = lake
        self._cluster = cluster
        self._progress = progress
        self._rows = RowMaker(lake.schema, lake.fetch)

    def run(self, tasks: tuple[Task, ...]) -> Iterator[Replayed]:
        """Write each task's objects. Raises BrokerError or StoreError; the tasks before are done then."""
        with self._cluster.reader.open(self._claim.topic, self._claim.isolation) as reader:
            for task in tasks:
                yield self._replay(reader, task)

    def _replay(self, reader: OpenRangeReader, task: Task) -> Replayed:
        objects = _ChunkObjects(self._claim, task, self._lake.schema, self._rows)
        expired = self._read(reader, task, objects)
        absent = task.offsets.difference(objects.found)
        done = Replayed(
            task,
            written=objects.rows > 0 and not (task.whole and len(absent)),
            data=objects.data.rows,
            quarantined=objects.quarantine.rows,
            expired=absent.intersection(expired),
            gone=absent.difference(expired),
        )
        if done.written:
            self._put(task, objects)
        return done

    def _read(self, reader: OpenRangeReader, task: Task, objects: _ChunkObjects) -> RangeSet:
        """Take the task's records into `objects`; returns what the log's start has passed meanwhile."""
        bounds = task.offsets.bounds
        assert bounds is not None
        start, expired = bounds.start, EMPTY
        while start < bounds.end:
            reading = reader.read(task.chunk.partition, OffsetRange(start, bounds.end))
            for record in reading:
                objects.take(record)
                self._progress(1)
            log_start = self._log_start(task.chunk.partition)
            if reading.stopped is None:
                break
            if log_start <= reading.reached:
                raise BrokerError(
                    f"partition {task.chunk.partition} could not be read behind offset {reading.reached}:"
                    f" {reading.stopped.text}; run the repair again, it goes on where it was"
                )
            expired = expired.union(RangeSet.of((reading.reached, log_start)))
            start = log_start
        return expired

    def _log_start(self, partition: int) -> int:
        """Where the log begins now. Raises BrokerError unless the topic is still the one of the claim."""
        snapshot = self._cluster.broker.snapshot(self._claim.topic)
        if (snapshot.cluster_id, snapshot.topic_id) != (self._claim.cluster_id, self._claim.topic_id):
            raise BrokerError(
                f"topic {self._claim.topic} was recreated, or this is another cluster: what was just read is not what"
                " was lost, so it is not written"
            )
        offsets = snapshot.partitions.get(partition)
        if offsets is None or offsets.log_start is None:
            why = offsets.error if offsets else "it is not among the broker's"
            raise BrokerError(f"the offsets of partition {partition} are not known ({why}): run the repair again")
        return offsets.log_start

    def _put(self, task: Task, objects: _ChunkObjects) -> None:
        claim, chunk, lake = self._claim, task.chunk, self._lake
        if objects.data.rows:
            put_same(lake.output, claim.data_key(chunk), objects.data.finish(), again=task.whole)
        if objects.quarantine.rows:
            put_same(lake.quarantine, claim.quarantine_key(chunk), objects.quarantine.finish(), again=task.whole)
        lake.offset_index.put(claim.index_key(chunk), index_bytes(objects.runs.finish()))


class _ChunkObjects:
    """The rows of one chunk's objects, in offset order."""

    def __init__(self, claim: RepairClaim, task: Task, schema: RecordSchema, rows: RowMaker) -> None:
        self.data = TableWriter(data_schema(schema))
        self.quarantine = TableWriter(quarantine_schema(schema))
        at = int(claim.at.timestamp() * 1000)
        self.runs = RunBuilder(task.chunk.partition, claim.writer, at)
        self._taken: list[tuple[int, int]] = []
        self._partition = task.chunk.partition
        self._wanted = _Members(task.offsets)
        self._lost = _Members(task.chunk.lost)
        self._rows = rows

    @property
    def rows(self) -> int:
        """Of both tables."""
        return self.data.rows + self.quarantine.rows

    @property
    def found(self) -> RangeSet:
        """The offsets that were taken."""
        return RangeSet.from_pairs(self._taken)

    def take(self, record: KafkaRecord) -> None:
        """Add the record if its offset is wanted; offsets rise."""
        offset = record.offset
        if offset not in self._wanted:
            return
        row = self._rows.row(self._partition, record)
        bad = row.table == "quarantine"
        (self.quarantine if bad else self.data).add(row.values, row.size)
        if offset in self._lost:
            self.runs.add(offset, record.timestamp, record.leader_epoch, quarantined=bad)
        if self._taken and self._taken[-1][1] == offset:
            self._taken[-1] = (self._taken[-1][0], offset + 1)
        else:
            self._taken.append((offset, offset + 1))


class _Members:
    """Whether rising offsets are in a set: each question costs a step at most, however many ranges there are."""

    def __init__(self, ranges: RangeSet) -> None:
        self._ranges = list(zip(ranges.starts.tolist(), ranges.ends.tolist(), strict=True))
        self._at = 0

    def __contains__(self, offset: int) -> bool:
        while self._at < len(self._ranges) and self._ranges[self._at][1] <= offset:
            self._at += 1
        return self._at < len(self._ranges) and self._ranges[self._at][0] <= offset


def put_same(store: ObjectStore, key: str, data: bytes, *, again: bool) -> None:
    """Put the object; one that is there with these bytes is left, since a new tag would look like a change."""
    if again:
        try:
            if store.get(key) == data:
                return
        except StoreError:
            pass  # not there yet, or not readable: then putting it tells
    store.put(key, data)
