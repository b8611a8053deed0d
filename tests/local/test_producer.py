"""The producer against a real broker: its numbers are what consumers see."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, TopicPartition

from lineage_pipeline.errors import BrokerError, UsageError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.demo_record import schema_text
from lineage_pipeline.local.producer import ProducerPlan, produce
from lineage_pipeline.local.topics import create_topic

SCHEMA = fastavro.parse_schema(json.loads(schema_text()))


def read_all(broker: KafkaBroker, topic: str, partitions: int, isolation: str = "read_committed") -> list[Any]:
    """Every message up to the end of each partition, as a consumer of that isolation level sees it."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "unused",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    messages, ended = [], 0
    while ended < partitions:
        message = consumer.poll(30)
        assert message is not None, "the consumer waited in vain"
        if message.error() is None:
            messages.append(message)
        else:
            assert message.error().name() == "_PARTITION_EOF", message.error()
            ended += 1
    consumer.close()
    return messages


def is_record(payload: bytes) -> bool:
    try:
        fastavro.schemaless_reader(io.BytesIO(payload), SCHEMA, None)
    except (EOFError, UnicodeDecodeError, IndexError, ValueError):
        return False
    return True


@pytest.mark.e2e
def test_what_is_counted_is_what_a_consumer_reads(broker: KafkaBroker, topic_name: Callable[[], str]):
    topic = topic_name()
    result = produce(ProducerPlan(broker.bootstrap_servers, topic, count=5_003, poison_fraction=0.02))
    messages = read_all(broker, topic, 10)
    assert result.total == 5_003
    assert Counter(message.partition() for message in messages) == result.delivered
    assert sum(not is_record(message.value()) for message in messages) == result.poisoned > 0


@pytest.mark.e2e
def test_the_same_seed_writes_the_same_uuids_and_the_same_poison(broker: KafkaBroker, topic_name: Callable[[], str]):
    def payloads(seed: int) -> list[bytes]:
        topic = topic_name()
        produce(ProducerPlan(broker.bootstrap_servers, topic, partitions=1, count=300, poison_fraction=0.1, seed=seed))
        # The time, last in a record, differs.
        return [message.value()[:37] for message in read_all(broker, topic, 1)]

    assert payloads(5) == payloads(5)
    assert payloads(5) != payloads(6)


@pytest.mark.e2e
def test_aborted_transactions_take_offsets_but_are_not_delivered(broker: KafkaBroker, topic_name: Callable[[], str]):
    topic = topic_name()
    plan = ProducerPlan(
        broker.bootstrap_servers,
        topic,
        partitions=3,
        count=1_025,
        poison_fraction=0.1,
        transaction_size=50,
        abort_every=5,
    )
    result = produce(plan)
    committed = read_all(broker, topic, 3)
    assert (result.aborted, result.transactions) == (200, 17)
    assert Counter(message.partition() for message in committed) == result.delivered
    assert sum(not is_record(message.value()) for message in committed) == result.poisoned
    assert len(read_all(broker, topic, 3, "read_uncommitted")) == 1_025


@pytest.mark.e2e
def test_all_records_go_to_a_pinned_partition(broker: KafkaBroker, topic_name: Callable[[], str]):
    result = produce(ProducerPlan(broker.bootstrap_servers, topic_name(), partitions=3, count=30, partition=2))
    assert result.delivered == {0: 0, 1: 0, 2: 30}


@pytest.mark.e2e
def test_a_pinned_partition_that_is_not_there_is_refused(broker: KafkaBroker, topic_name: Callable[[], str]):
    with pytest.raises(UsageError, match="has partitions 0 to 2, not 3"):
        produce(ProducerPlan(broker.bootstrap_servers, topic_name(), partitions=3, count=1, partition=3))


@pytest.mark.e2e
def test_the_rate_is_kept(broker: KafkaBroker, topic_name: Callable[[], str]):
    result = produce(ProducerPlan(broker.bootstrap_servers, topic_name(), count=101, rate_per_sec=100))
    assert result.total == 101
    assert result.seconds >= 1, "100 pauses of a hundredth of a second"


@pytest.mark.e2e
@pytest.mark.parametrize("transaction_size", [None, 7])
def test_stopped_early_it_delivers_and_commits_what_was_sent(
    broker: KafkaBroker, topic_name: Callable[[], str], transaction_size: int | None
):
    stop = threading.Event()
    topic = topic_name()
    result = produce(
        ProducerPlan(
            broker.bootstrap_servers, topic, partitions=2, rate_per_sec=200, transaction_size=transaction_size
        ),
        stop=stop,
        progress=lambda sent: stop.set() if sent >= 20 else None,
    )
    assert result.total >= 20
    assert len(read_all(broker, topic, 2)) == result.total


@pytest.mark.e2e
def test_a_record_that_cannot_be_delivered_is_an_error(broker: KafkaBroker, topic_name: Callable[[], str]):
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 2, {"max.message.bytes": "80"})
    with pytest.raises(BrokerError, match=rf"could not deliver \d+ records, first to partition . of {topic}"):
        produce(ProducerPlan(broker.bootstrap_servers, topic, count=10))


@pytest.mark.e2e
def test_a_failed_transaction_is_an_error_and_leaves_nothing_open(broker: KafkaBroker, topic_name: Callable[[], str]):
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 1, {"max.message.bytes": "80"})
    with pytest.raises(BrokerError, match="could not deliver"):
        produce(ProducerPlan(broker.bootstrap_servers, topic, count=10, transaction_size=5))
    assert read_all(broker, topic, 1) == []


@pytest.mark.parametrize(
    "values",
    [
        {"count": -1},
        {"rate_per_sec": 0},
        {"poison_fraction": 1.1},
        {"poison_fraction": float("nan")},
        {"partitions": 0},
        {"transaction_size": 0},
        {"transaction_size": 1, "abort_every": 0},
        {"abort_every": 2},
    ],
)
def test_senseless_plans_are_refused(values: dict[str, Any]):
    with pytest.raises(UsageError):
        ProducerPlan("127.0.0.1:1", "t", **values)


def test_credentials_do_not_show_in_a_plan():
    plan = ProducerPlan("127.0.0.1:1", "t", properties={"sasl.password": "canary"})
    assert "canary" not in repr(plan)
