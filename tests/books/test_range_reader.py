"""Ranges read from a real broker: every record with its payload, and never a silent jump."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from lineage_pipeline.books.broker_book import RangeReading
from lineage_pipeline.books.plain_consumer import PlainConsumers
from lineage_pipeline.books.range_reader import KafkaRangeReader, _OpenReader
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.table_rows import KafkaRecord
from lineage_pipeline.errors import BrokerError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.topics import create_topic, delete_records

pytestmark = pytest.mark.e2e


@pytest.fixture
def topic(broker: KafkaBroker, topic_name: Callable[[], str]) -> str:
    """Two partitions; the first has five plain records, a tombstone, a committed and an aborted transaction of two."""
    name = topic_name()
    create_topic(broker.bootstrap_servers, name, 2)
    plain = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(5):
        plain.produce(name, b"v%d" % number, partition=0, timestamp=1_795_000_000_000 + number)
    plain.produce(name, None, key=b"k", partition=0)
    plain.produce(name, b"other", partition=1)
    assert plain.flush(30) == 0
    for end in ("commit_transaction", "abort_transaction"):
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": f"{name}-{end}"})
        producer.init_transactions(30)
        producer.begin_transaction()
        for _ in range(2):
            producer.produce(name, end.encode(), partition=0)
        assert producer.flush(30) == 0
        getattr(producer, end)(30)
    return name


def read(
    broker: KafkaBroker, topic: str, start: int, end: int, isolation: Isolation = "read_committed"
) -> tuple[list[KafkaRecord], RangeReading]:
    with KafkaRangeReader(broker.bootstrap_servers, {}).open(topic, isolation) as reader:
        reading = reader.read(0, OffsetRange(start, end))
        return list(reading), reading


def test_records_come_with_payload_timestamp_and_epoch_and_markers_do_not(broker: KafkaBroker, topic: str) -> None:
    # 0 to 4 plain, 5 tombstone, 6 and 7 committed, 8 its marker, 9 and 10 aborted, 11 its marker
    found, reading = read(broker, topic, 0, 12)
    assert [one.offset for one in found] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert found[3] == KafkaRecord(3, 1_795_000_000_003, 0, b"v3")
    assert found[5].payload is None
    assert (reading.reached, reading.stopped) == (12, None)
    found, _ = read(broker, topic, 6, 12, "read_uncommitted")
    assert [one.offset for one in found] == [6, 7, 9, 10]


def test_keys_come_always_and_headers_in_their_order_when_they_are_asked_for(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    name = topic_name()
    create_topic(broker.bootstrap_servers, name, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    headers = [("b", b"1"), ("a", None), ("b", b""), ("", b"2"), ("é", b"\xff")]
    producer.produce(name, b"v", key=b"", headers=headers)
    producer.produce(name, None)
    assert producer.flush(30) == 0
    for asked in (True, False):
        with KafkaRangeReader(broker.bootstrap_servers, {}, headers=asked).open(name, "read_committed") as reader:
            first, second = reader.read(0, OffsetRange(0, 2))
        assert (first.key, second.key) == (b"", None)
        assert (first.headers, second.headers) == ((tuple(headers), ()) if asked else (None, None))


class BadName:
    """A message whose header's name is not UTF-8: the client raises once, and would give a null pointer next time."""

    asked = 0

    def offset(self) -> int:
        return 7

    def timestamp(self) -> tuple[int, int]:
        return 1, 5

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def error(self) -> None:
        return None

    def leader_epoch(self) -> int:
        return 0

    def value(self) -> bytes:
        return b"v"

    def key(self) -> None:
        return None

    def headers(self) -> None:
        self.asked += 1
        raise SystemError("returned a result with an exception set")


class OneMessage:
    """A consumer with one message."""

    def __init__(self, message: BadName) -> None:
        self._message: BadName | None = message

    def poll(self, _timeout: float) -> BadName | None:
        message, self._message = self._message, None
        return message

    def consume(self, *_: object, **__: object) -> list[BadName]:
        return []

    def assign(self, *_: object) -> None: ...

    def unassign(self) -> None: ...


def test_headers_that_the_client_cannot_give_stop_the_reading_before_the_record() -> None:
    message = BadName()
    consumers = PlainConsumers("unused", {}, 1.0)
    opened = _OpenReader(OneMessage(message), "t", consumers, headers=True)
    reading = opened.read(0, OffsetRange(7, 9))
    assert list(reading) == []
    assert (reading.reached, message.asked) == (7, 1)
    assert reading.stopped is not None
    assert reading.stopped.text == "offset 7 has a header whose name is not UTF-8"
    unasked = _OpenReader(OneMessage(BadName()), "t", consumers, headers=False).read(0, OffsetRange(7, 8))
    assert [one.payload for one in unasked] == [b"v"]


def test_nothing_outside_of_the_range_is_given_and_one_reader_reads_many(broker: KafkaBroker, topic: str) -> None:
    with KafkaRangeReader(broker.bootstrap_servers, {}).open(topic, "read_committed") as reader:
        for start, end in ((1, 3), (4, 5), (0, 2)):
            assert [one.offset for one in reader.read(0, OffsetRange(start, end))] == list(range(start, end))
        first = next(iter(reader.read(0, OffsetRange(0, 5))))
        assert first.offset == 0
        (other,) = reader.read(1, OffsetRange(0, 1))
        assert other.payload == b"other"


def test_a_range_beyond_the_end_of_the_log_stops_there(broker: KafkaBroker, topic: str) -> None:
    found, reading = read(broker, topic, 4, 20)
    assert [one.offset for one in found] == [4, 5, 6, 7]
    assert reading.reached == 12
    assert reading.stopped is not None
    assert "ends at 12" in reading.stopped.text


def test_what_was_removed_is_an_error_and_never_jumped_over(broker: KafkaBroker, topic: str) -> None:
    delete_records(broker.bootstrap_servers, topic, {0: 3})
    found, reading = read(broker, topic, 1, 5)
    assert (found, reading.reached) == ([], 1)
    assert reading.stopped is not None
    assert [one.offset for one in read(broker, topic, 3, 5)[0]] == [3, 4]


def test_a_silent_broker_is_not_waited_for_for_ever(unused_port: int) -> None:
    with KafkaRangeReader(f"127.0.0.1:{unused_port}", {}, patience=1).open("t", "read_committed") as reader:
        reading = reader.read(0, OffsetRange(0, 5))
        assert list(reading) == []
    assert reading.stopped is not None
    assert (reading.reached, reading.stopped.cause) == (0, "broker-unreachable")


def test_properties_that_no_client_takes_are_said(unused_port: int) -> None:
    from pydantic import SecretStr  # noqa: PLC0415 - only here

    reader = KafkaRangeReader(f"127.0.0.1:{unused_port}", {"no.such.property": SecretStr("x")})
    with pytest.raises(BrokerError, match=r"kafka\.properties"), reader.open("t", "read_committed"):
        pass
