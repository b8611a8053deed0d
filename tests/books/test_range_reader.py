"""Ranges read from a real broker: every record with its payload, and never a silent jump."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from lineage_pipeline.books.broker_book import RangeReading
from lineage_pipeline.books.range_reader import KafkaRangeReader
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
