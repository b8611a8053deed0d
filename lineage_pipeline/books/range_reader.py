"""A range of one partition's records, read by a plain consumer: everything in it, or the reason why it ended early."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, TopicPartition
from pydantic import SecretStr

from lineage_pipeline.books.broker_book import RangeReading
from lineage_pipeline.books.plain_consumer import END_OF_LOG, PlainConsumers, stop_of
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import Stop
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.table_rows import Headers, KafkaRecord

_BATCH = 2_000  # records taken from the client at once
_POLL_SECONDS = 0.1
_NO_NAME = (SystemError, UnicodeDecodeError)  # what confluent-kafka raises for a header's name that is not UTF-8
_NO_TIMESTAMP = -1  # as Kafka's own clients give it, and so the job writes it


class KafkaRangeReader:
    """A RangeReader over a real cluster.

    `properties` are librdkafka's client properties; `patience` in seconds is how long a silent broker is waited for.
    Without `headers` the records have none.
    """

    def __init__(
        self, bootstrap: str, properties: Mapping[str, SecretStr], patience: float = 15.0, *, headers: bool = False
    ) -> None:
        self._consumers = PlainConsumers(bootstrap, properties, patience)
        self._headers = headers

    @contextmanager
    def open(self, topic: str, isolation: Isolation) -> Iterator[_OpenReader]:
        """Readings of one topic in one isolation level, one after the other; see RangeReader.open."""
        with self._consumers.open(isolation) as consumer:
            yield _OpenReader(consumer, topic, self._consumers, headers=self._headers)


class _OpenReader:
    def __init__(self, consumer: Consumer, topic: str, consumers: PlainConsumers, *, headers: bool) -> None:
        self._consumer = consumer
        self._topic = topic
        self._consumers = consumers
        self._headers = headers

    def read(self, partition: int, wanted: OffsetRange) -> RangeReading:
        """The records of `wanted`; ends the reading before."""
        start = TopicPartition(self._topic, partition, wanted.start)
        return _Reading(self._consumer, self._consumers, start, wanted, headers=self._headers)


class _Reading:
    """One pass; see RangeReading."""

    def __init__(
        self,
        consumer: Consumer,
        consumers: PlainConsumers,
        start: TopicPartition,
        wanted: OffsetRange,
        *,
        headers: bool,
    ) -> None:
        self.reached = wanted.start
        self.stopped: Stop | None = None
        self._consumer = consumer
        self._consumers = consumers
        self._start = start
        self._end = wanted.end
        self._epoch = -1
        self._headers = headers

    def __iter__(self) -> Iterator[KafkaRecord]:
        try:
            self._consumer.assign([self._start])
            heard = time.monotonic()
            while self._open:
                first = self._consumer.poll(_POLL_SECONDS)
                if first is None:
                    if time.monotonic() - heard >= self._consumers.patience:
                        self.stopped = self._consumers.silence()
                    continue
                for message in (first, *self._consumer.consume(_BATCH, timeout=0)):
                    if self._open and self._is_ours(message) and self._is_record(message):
                        record = self._record(message)
                        if record is not None:
                            yield record
                heard = time.monotonic()  # not the time that the caller took
            self._consumer.unassign()
        except KafkaException as error:
            self.stopped = stop_of(error.args[0])

    @property
    def _open(self) -> bool:
        return self.stopped is None and self.reached < self._end

    def _is_ours(self, message: Any) -> bool:
        """Not an event of the reading before."""
        return bool(message.topic() == self._start.topic and message.partition() == self._start.partition)

    def _is_record(self, message: Any) -> bool:
        """Take note of the message; whether it is a record of the range."""
        error, offset = message.error(), message.offset()
        if error is not None:
            if error.code() != END_OF_LOG:
                self.stopped = stop_of(error)
            elif offset >= self._end:
                self.reached = self._end
            else:
                self.reached = max(self.reached, offset)
                self.stopped = Stop("unresolved", f"the log ends at {offset} for a reader of this isolation level")
            return False
        epoch = message.leader_epoch()
        if offset < self.reached:
            self.stopped = Stop("unresolved", f"the broker gave offset {offset} after {self.reached}")
        elif epoch is not None and epoch < self._epoch:
            text = f"the leader epoch falls from {self._epoch} to {epoch} at offset {offset}: the log was replaced"
            self.stopped = Stop("incarnation", text)
        elif offset >= self._end:
            self.reached = self._end
        else:
            self._epoch = self._epoch if epoch is None else epoch
            self.reached = offset + 1
            return True
        return False

    def _record(self, message: Any) -> KafkaRecord | None:
        """The record; None, and the reading stops before it, when it has headers that this client cannot give."""
        kind, timestamp = message.timestamp()
        epoch = message.leader_epoch()
        try:
            headers = _headers(message) if self._headers else None
        except _NO_NAME:
            self.reached = message.offset()
            self.stopped = Stop("unresolved", f"offset {self.reached} has a header whose name is not UTF-8")
            return None
        return KafkaRecord(
            offset=message.offset(),
            timestamp=_NO_TIMESTAMP if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
            leader_epoch=None if epoch is None or epoch < 0 else epoch,
            payload=message.value(),
            key=message.key(),
            headers=headers,
        )


def _headers(message: Any) -> Headers:
    """All headers in their order. Asked for once only: after an error the client gives null pointers (tried)."""
    return tuple((str(name), value) for name, value in message.headers() or ())
