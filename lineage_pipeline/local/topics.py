"""Topics of the embedded broker: make, widen, shorten, delete. A call returns once the broker shows the effect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public by its documentation, not by its __all__
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from lineage_pipeline.errors import BrokerError, UnknownTopicError

REQUEST_SECONDS = 10.0
_PROBE_SECONDS = 2.0
_PAUSE_SECONDS = 0.05
_UNKNOWN_TOPIC_CODES = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  librdkafka names its own codes with an underscore; this is public
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  the same
)


def cluster_id_of(bootstrap_servers: str, properties: Mapping[str, str] | None = None) -> str | None:
    """The id of the cluster that answers there, or None when none answers within two seconds."""
    try:
        found = _admin(bootstrap_servers, properties).list_topics(timeout=_PROBE_SECONDS).cluster_id
    except KafkaException:
        return None
    return str(found) if found else None


def create_topic(
    bootstrap_servers: str, name: str, partitions: int, config: Mapping[str, str] | None = None,
    *, properties: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Make the topic, or see that it is there just so. `properties` are further client properties.

    Raises BrokerError when it exists with another number of partitions or another value of `config`.
    """
    admin = _admin(bootstrap_servers, properties)
    wanted = dict(config or {})
    with _mapped(f"create topic {name}"):
        try:
            admin.create_topics([NewTopic(name, partitions, config=wanted)])[name].result(REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _until(lambda: partition_count(bootstrap_servers, name, properties) is not None, f"topic {name} to be there")
    found = partition_count(bootstrap_servers, name, properties)
    if found != partitions:
        raise BrokerError(
            f"topic {name} exists with {found} partitions, not {partitions}: delete it, widen it, or ask for {found}"
        )
    _require_config(admin, name, wanted)


def partition_count(bootstrap_servers: str, name: str, properties: Mapping[str, str] | None = None) -> int | None:
    """How many partitions the topic has, each with a leader; None when it is not there, or not ready."""
    with _mapped(f"look up topic {name}"):
        topic = _admin(bootstrap_servers, properties).list_topics(timeout=REQUEST_SECONDS).topics.get(name)
    if topic is None or topic.error is not None:
        return None
    led = all(partition.error is None and partition.leader >= 0 for partition in topic.partitions.values())
    return len(topic.partitions) if led and topic.partitions else None


def add_partitions(bootstrap_servers: str, name: str, total: int) -> None:
    """Widen the topic to `total` partitions. Raises BrokerError when it has more already, or is not there."""
    if partition_count(bootstrap_servers, name) != total:
        with _mapped(f"widen topic {name} to {total} partitions"):
            admin = _admin(bootstrap_servers)
            admin.create_partitions([NewPartitions(name, total)])[name].result(REQUEST_SECONDS)
    _until(lambda: partition_count(bootstrap_servers, name) == total, f"topic {name} to have {total} partitions")


def delete_records(bootstrap_servers: str, name: str, before: Mapping[int, int]) -> dict[int, int]:
    """Delete the records below the given offset of each partition, as retention would. Returns the new log starts."""
    wanted = [TopicPartition(name, partition, offset) for partition, offset in before.items()]
    admin = _admin(bootstrap_servers)  # held: a client that is collected takes its requests with it
    with _mapped(f"delete records of topic {name}"):
        futures = admin.delete_records(wanted)
        return {each.partition: future.result(REQUEST_SECONDS).low_watermark for each, future in futures.items()}


def delete_topic(bootstrap_servers: str, name: str) -> None:
    """Delete the topic. Raises UnknownTopicError when it is not there."""
    admin = _admin(bootstrap_servers)  # held, as above
    with _mapped(f"delete topic {name}"):
        admin.delete_topics([name])[name].result(REQUEST_SECONDS)
    _until(lambda: partition_count(bootstrap_servers, name) is None, f"topic {name} to be gone")


def _require_config(admin: Any, name: str, wanted: Mapping[str, str]) -> None:
    if not wanted:
        return
    with _mapped(f"read the configuration of topic {name}"):
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = admin.describe_configs([resource])[resource].result(REQUEST_SECONDS)
    for key, value in wanted.items():
        found = entries[key].value if key in entries else None
        if found != value:
            raise BrokerError(
                f"topic {name} exists with {key}={found}, not {value}: delete it, or alter its configuration"
            )


def _admin(bootstrap_servers: str, properties: Mapping[str, str] | None = None) -> Any:
    # Refused connections while a broker starts are expected; errors reach us as exceptions, not as lines on stderr.
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda _error: None}
    return AdminClient({**(properties or {}), "bootstrap.servers": bootstrap_servers, **quiet})


def _until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + REQUEST_SECONDS
    while not seen():
        if time.monotonic() > deadline:
            raise BrokerError(f"waited {REQUEST_SECONDS:.0f} s for {what}: look into the broker's log")
        time.sleep(_PAUSE_SECONDS)


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise broker_error(error.args[0], what) from None
    except TimeoutError:
        raise BrokerError(f"could not {what}: the broker gave no answer within {REQUEST_SECONDS:.0f} s") from None


def broker_error(error: KafkaError, what: str) -> BrokerError:
    """Our error for one of librdkafka; `what` completes "could not ..."."""
    if error.code() in _UNKNOWN_TOPIC_CODES:
        return UnknownTopicError(f"could not {what}: Kafka knows no such topic or partition; check the name")
    return BrokerError(f"could not {what}: {error.str()} ({error.name()}); check that the broker runs and may be used")
