"""The Kafka book against a real broker, and without one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from lineage_pipeline.books.kafka_offsets import _LATEST, KafkaBook
from lineage_pipeline.errors import BrokerError, UnknownTopicError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.topics import create_topic, delete_topic

PASSWORD = "correct-horse-battery"


def book_of(broker: KafkaBroker) -> KafkaBook:
    return KafkaBook(broker.bootstrap_servers, {})


def produce(broker: KafkaBroker, topic: str, partition: int, count: int, **config: str) -> Producer:
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, **{k.replace("_", "."): v for k, v in config.items()}}
    )
    if config:
        producer.init_transactions()
        producer.begin_transaction()
    for number in range(count):
        producer.produce(topic, str(number), partition=partition)
    assert producer.flush(30) == 0
    return producer


def look(broker: KafkaBroker, topic: str) -> tuple[int | None, int | None]:
    seen = book_of(broker).snapshot(topic).partitions[0]
    return seen.last_stable, seen.high_watermark


def eventually(holds: Callable[[], bool], otherwise: str) -> None:
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, otherwise


@pytest.mark.e2e
def test_a_look_gives_each_partition_its_offsets_and_the_topics_identity(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 3, {"cleanup.policy": "delete"})
    produce(broker, topic, 1, 7)

    seen = book_of(broker).snapshot(topic, "a-group-that-never-was")

    assert seen.cluster_id == broker.cluster_id
    assert seen.topic_id
    assert {
        p: (o.log_start, o.last_stable, o.high_watermark, o.committed, o.error) for p, o in seen.partitions.items()
    } == {
        0: (0, 0, 0, None, None),
        1: (0, 7, 7, None, None),
        2: (0, 0, 0, None, None),
    }
    assert not seen.compacted
    assert int(seen.config["retention.ms"]) > 0
    # of a reading during which the leader changed nothing is believed, so the epoch must really come
    assert [one.leader_epoch for one in seen.partitions.values()] == [0, 0, 0]


@pytest.mark.e2e
def test_an_open_transaction_holds_the_last_stable_offset_below_the_high_watermark(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 1)
    produce(broker, topic, 0, 5)
    producer = produce(broker, topic, 0, 4, transactional_id=topic)

    open_one = book_of(broker).snapshot(topic).partitions[0]
    producer.commit_transaction(30)

    assert (open_one.last_stable, open_one.high_watermark) == (5, 9)
    # the broker writes the commit marker, one more offset, after it has answered
    eventually(lambda: look(broker, topic) == (10, 10), f"offsets of {topic} stay {look(broker, topic)}")


@pytest.mark.e2e
def test_records_that_come_during_the_look_are_no_open_transaction(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 2)
    still_open = produce(broker, topic, 1, 4, transactional_id=topic)
    arriving = [3, 2]  # between both requests for ends, and behind them

    class Busy(KafkaBook):
        def _offsets(self, admin: Any, partitions: Any, spec: Any, isolation: Any, *more: Any) -> Any:
            found = super()._offsets(admin, partitions, spec, isolation, *more)
            if spec is _LATEST and arriving:
                produce(broker, topic, 0, arriving.pop(0))
            return found

    seen = Busy(broker.bootstrap_servers, {}).snapshot(topic).partitions
    still_open.abort_transaction(30)

    assert (seen[0].last_stable, seen[0].high_watermark) == (3, 3)
    assert (seen[1].last_stable, seen[1].high_watermark) == (0, 4)


@pytest.mark.e2e
def test_offsets_set_for_a_group_are_what_the_next_look_shows(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 2)
    produce(broker, topic, 0, 9)
    book = book_of(broker)

    book.commit_group_offsets(topic, topic, {0: 4, 1: 0})

    seen = book.snapshot(topic, topic).partitions
    assert (seen[0].committed, seen[1].committed) == (4, 0)
    assert book.group_members(topic) == ()
    assert book.group_members("a-group-that-never-was") == ()


@pytest.mark.e2e
def test_a_commit_above_the_end_of_the_log_makes_the_partition_unknown(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 1)
    produce(broker, topic, 0, 3)
    book = book_of(broker)
    book.commit_group_offsets(topic, topic, {0: 1000})

    assert "committed 1000" in (book.snapshot(topic, topic).partitions[0].error or "")


@pytest.mark.e2e
def test_offsets_of_a_partition_that_is_not_there_cannot_be_set(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 1)

    with pytest.raises(BrokerError, match="partition"):
        book_of(broker).commit_group_offsets(topic, topic, {0: 0, 17: 3})


@pytest.mark.e2e
def test_a_recreated_topic_has_another_id(broker: KafkaBroker, topic_name: Callable[[], str]) -> None:
    topic = topic_name()
    create_topic(broker.bootstrap_servers, topic, 1)
    before = book_of(broker).snapshot(topic)
    delete_topic(broker.bootstrap_servers, topic)
    create_topic(broker.bootstrap_servers, topic, 1)

    assert book_of(broker).snapshot(topic).topic_id != before.topic_id


@pytest.mark.e2e
def test_a_missing_topic_is_named_as_such_and_is_not_created_by_asking(
    broker: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    for _ in range(2):
        with pytest.raises(UnknownTopicError, match=topic):
            book_of(broker).snapshot(topic, "g")


def test_an_unreachable_broker_is_named_with_its_address(unused_port: int) -> None:
    with pytest.raises(BrokerError, match=f"127.0.0.1:{unused_port}"):
        KafkaBook(f"127.0.0.1:{unused_port}", {}, timeout=1).snapshot("t", "g")


def test_no_property_value_reaches_a_message(unused_port: int) -> None:
    properties = {
        "security.protocol": SecretStr("SASL_PLAINTEXT"),
        "sasl.mechanism": SecretStr("PLAIN"),
        "sasl.username": SecretStr("auditor"),
        "sasl.password": SecretStr(PASSWORD),
    }
    book = KafkaBook(f"127.0.0.1:{unused_port}", properties, timeout=1)
    with pytest.raises(BrokerError) as unreachable:
        book.snapshot("t")
    with pytest.raises(BrokerError) as misspelt:
        KafkaBook("127.0.0.1:1", {"sasl.pasword": SecretStr(PASSWORD)}).snapshot("t")
    with pytest.raises(BrokerError) as misplaced:
        KafkaBook("127.0.0.1:1", {"security.protocol": SecretStr(PASSWORD)}).snapshot("t")

    for error in (unreachable, misspelt, misplaced):
        assert PASSWORD not in str(error.value)
        assert PASSWORD not in repr(error.value.__cause__)
    assert "sasl.pasword" in str(misspelt.value)
