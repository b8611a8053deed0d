"""A Kafka consumer that leaves no trace and never jumps: assigned, never subscribed, nothing committed, no reset."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from pydantic import SecretStr

from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import Stop, StopCause
from lineage_pipeline.errors import BrokerError

END_OF_LOG = KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka names its own codes with an underscore; they are public
# Codes of errors that say nothing about the records: the broker was not there.
_UNREACHABLE = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001  the same
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  the same
        KafkaError._TIMED_OUT,  # noqa: SLF001  the same
        KafkaError._RESOLVE,  # noqa: SLF001  the same
        KafkaError._AUTHENTICATION,  # noqa: SLF001  the same
        KafkaError._SSL,  # noqa: SLF001  the same
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)
_REFUSED = KafkaError.TOPIC_AUTHORIZATION_FAILED


class PlainConsumers:
    """Makes consumers of one cluster, and tells what they last complained about.

    `properties` are librdkafka's client properties; `patience` in seconds is how long a silent broker is waited for.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, SecretStr], patience: float) -> None:
        self.patience = patience
        self._bootstrap = bootstrap
        self._properties = {name: value.get_secret_value() for name, value in properties.items()}
        self._last_error = ""

    def silence(self) -> Stop:
        """Why a pass ended in which the broker said nothing for too long."""
        last = f" ({self._last_error})" if self._last_error else ""
        return Stop("broker-unreachable", f"Kafka at {self._bootstrap} was silent for {self.patience:g} s{last}")

    @contextmanager
    def open(self, isolation: Isolation) -> Iterator[Consumer]:
        """A consumer of that isolation level, closed at the end. Raises BrokerError when none can be made."""
        settings: dict[str, Any] = {
            **self._properties,
            "bootstrap.servers": self._bootstrap,
            "group.id": f"lineage-audit-{uuid.uuid4()}",  # required, and never used: nothing is committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # any other value would jump over what is gone
            "enable.partition.eof": True,
            "check.crcs": True,
            "isolation.level": isolation,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 100,  # a window often ends at the end of the log
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 16_384,
            "log_level": 0,  # what librdkafka would print comes back as an error here
            "error_cb": self._remember,
        }
        try:
            consumer = Consumer(settings)
        except (KafkaException, TypeError, ValueError):
            raise BrokerError("kafka.properties are not usable for a consumer: check them in lineage.yaml") from None
        try:
            yield consumer
        finally:
            consumer.close()

    def _remember(self, error: KafkaError) -> None:
        self._last_error = error.name()  # the name alone: texts can hold values of properties


def stop_of(error: KafkaError) -> Stop:
    """Why a pass ended, by an error's name alone: texts can hold values of properties."""
    if error.code() == _REFUSED:
        return Stop("unresolved", "the broker refused to let records be read: grant Read on the topic")
    cause: StopCause = "broker-unreachable" if error.code() in _UNREACHABLE else "unresolved"
    return Stop(cause, f"the broker answered {error.name()}")
