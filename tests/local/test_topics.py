"""Topics on a real broker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lineage_pipeline.errors import BrokerError, UnknownTopicError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.local.producer import ProducerPlan, produce
from lineage_pipeline.local.topics import (
    add_partitions,
    create_topic,
    delete_records,
    delete_topic,
    partition_count,
)

pytestmark = pytest.mark.e2e


def test_a_topic_may_be_created_twice_in_the_same_way(broker: KafkaBroker, topic_name: Callable[[], str]):
    name = topic_name()
    for _ in range(2):
        create_topic(broker.bootstrap_servers, name, 3, {"cleanup.policy": "compact"})
    assert partition_count(broker.bootstrap_servers, name) == 3


def test_a_topic_of_another_shape_is_refused(broker: KafkaBroker, topic_name: Callable[[], str]):
    name = topic_name()
    create_topic(broker.bootstrap_servers, name, 2, {"retention.ms": "5000"})
    with pytest.raises(BrokerError, match=f"{name} exists with 2 partitions, not 3"):
        create_topic(broker.bootstrap_servers, name, 3)
    with pytest.raises(BrokerError, match=f"{name} exists with retention.ms=5000, not 6000"):
        create_topic(broker.bootstrap_servers, name, 2, {"retention.ms": "6000"})


def test_a_senseless_configuration_is_the_brokers_error(broker: KafkaBroker, topic_name: Callable[[], str]):
    with pytest.raises(BrokerError, match=r"could not create topic .*INVALID_CONFIG"):
        create_topic(broker.bootstrap_servers, topic_name(), 1, {"cleanup.policy": "nonsense"})


def test_partitions_are_added_and_never_taken_away(broker: KafkaBroker, topic_name: Callable[[], str]):
    name = topic_name()
    create_topic(broker.bootstrap_servers, name, 2)
    add_partitions(broker.bootstrap_servers, name, 4)
    assert partition_count(broker.bootstrap_servers, name) == 4
    with pytest.raises(BrokerError, match="could not widen topic"):
        add_partitions(broker.bootstrap_servers, name, 3)


def test_deleted_records_move_the_log_start(broker: KafkaBroker, topic_name: Callable[[], str]):
    name = topic_name()
    produce(ProducerPlan(broker.bootstrap_servers, name, partitions=2, count=20))
    assert delete_records(broker.bootstrap_servers, name, {0: 4, 1: 10}) == {0: 4, 1: 10}
    with pytest.raises(BrokerError, match="could not delete records"):
        delete_records(broker.bootstrap_servers, name, {0: 99})


def test_a_deleted_topic_is_gone_and_can_be_made_again(broker: KafkaBroker, topic_name: Callable[[], str]):
    name = topic_name()
    create_topic(broker.bootstrap_servers, name, 2)
    delete_topic(broker.bootstrap_servers, name)
    assert partition_count(broker.bootstrap_servers, name) is None
    create_topic(broker.bootstrap_servers, name, 3)


def test_an_absent_topic_is_said_to_be_absent(broker: KafkaBroker, topic_name: Callable[[], str]):
    name = topic_name()
    with pytest.raises(UnknownTopicError, match=f"could not delete topic {name}"):
        delete_topic(broker.bootstrap_servers, name)
    with pytest.raises(BrokerError):
        add_partitions(broker.bootstrap_servers, name, 2)


def test_a_broker_that_is_not_there_is_an_error():
    (closed,) = free_ports(1)
    with pytest.raises(BrokerError, match="could not look up topic x"):
        partition_count(f"127.0.0.1:{closed}", "x")
