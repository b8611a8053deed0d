"""Kafka's book through confluent-kafka: metadata requests only, each with a time limit.

Every look makes a client of its own: a client that was used before answered -1001 as a success after its brokers had
gone. No request here creates a topic. A group's offsets go through a consumer that never subscribes: the admin client's
calls for them end the process with a segmentation fault when the group's coordinator is just starting (librdkafka
issue 5040, seen here with 2.16.1 on a fresh broker).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Any

import confluent_kafka.admin
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from lineage_pipeline.core.broker_snapshot import (
    BrokerSnapshot,
    PartitionOffsets,
    partition_offsets,
    unknown_offsets,
)
from lineage_pipeline.errors import BrokerError, UnknownTopicError

_NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # the zero id, given by brokers that know none
_NO_COMMIT = -1001
_CONFIG_KEYS = (
    *("cleanup.policy", "retention.ms", "retention.bytes"),
    *("min.compaction.lag.ms", "delete.retention.ms", "message.timestamp.type"),
)
_ADMIN: Any = confluent_kafka.admin  # it hands names on without declaring that it does
_EARLIEST = _ADMIN.OffsetSpec.earliest()
_LATEST = _ADMIN.OffsetSpec.latest()

_COMING_UP = frozenset(
    {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR}
)
_PAUSE_SECONDS = 0.25


class KafkaBook:
    """A BrokerBook over a real cluster.

    `properties` are librdkafka's client properties (TLS, SASL, ...); their values never reach a message.
    `timeout` in seconds bounds each request.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, SecretStr], timeout: float = 15.0) -> None:
        self._bootstrap = bootstrap
        self._timeout = timeout
        self._secrets = [value.get_secret_value() for value in properties.values()]
        self._config: dict[str, Any] = {
            "log_level": 0,  # what librdkafka would print comes back as an error here
            **{name: value.get_secret_value() for name, value in properties.items()},
            "bootstrap.servers": bootstrap,
            "error_cb": self._complained,
        }
        self._refusal = ""  # why the broker lets nobody in, as the client said it beside a request that got no answer

    def snapshot(self, topic: str, group: str | None = None) -> BrokerSnapshot:
        """One look at `topic`; see BrokerBook.snapshot."""
        admin = self._admin()
        try:
            what = "describe the cluster"
            cluster_id = self._ask(what, lambda: admin.describe_cluster(request_timeout=self._timeout))
        except BrokerError:
            admin.poll(0)  # what the client complained about meanwhile: the request itself only says "timed out"
            if not self._refusal:
                raise
            raise BrokerError(f"Kafka at {self._bootstrap} {self._refusal}") from None
        topic_id, numbers = self._describe(admin, topic)
        partitions = [TopicPartition(topic, number) for number in numbers]
        epochs: dict[int, int] = {}
        # the order matters: all of these only grow, so a later answer is never below an earlier one
        starts = self._offsets(admin, partitions, _EARLIEST, IsolationLevel.READ_UNCOMMITTED)
        committed = self._committed(topic, numbers, group)
        stable = self._offsets(admin, partitions, _LATEST, IsolationLevel.READ_COMMITTED)
        ends = self._offsets(admin, partitions, _LATEST, IsolationLevel.READ_UNCOMMITTED, epochs)
        stable |= self._stable_by_now(admin, topic, stable, ends)
        config = self._topic_config(admin, topic)
        if self._describe(admin, topic)[0] != topic_id:
            raise BrokerError(f"topic {topic} was deleted and created again during the look: audit again")
        return BrokerSnapshot(
            cluster_id=str(cluster_id.cluster_id),
            topic_id=topic_id,
            partitions={
                number: _partition(starts[number], stable[number], ends[number], committed[number], epochs.get(number))
                for number in numbers
            },
            config=config,
        )

    def commit_group_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Set the group's next offsets; see BrokerBook.commit_group_offsets."""
        wanted = [TopicPartition(topic, number, offset) for number, offset in sorted(offsets.items())]
        if not wanted:
            return
        with self._consumer(group) as consumer:
            # asking first waits until the group's coordinator is there; a commit would not wait for it
            self._call(f"read the offsets of group {group}", lambda: consumer.committed(wanted, timeout=self._timeout))
            what = f"set the offsets of group {group}"
            done = self._call(what, lambda: consumer.commit(offsets=wanted, asynchronous=False))
        refused = [f"{one.partition} ({one.error})" for one in done if one.error]
        missing = set(offsets) - {one.partition for one in done}
        if refused or missing:
            raise BrokerError(
                f"Kafka at {self._bootstrap} did not set the offsets of group {group} for partitions"
                f" {', '.join([*refused, *map(str, sorted(missing))])}: is the job still running?"
            )

    def group_members(self, group: str) -> tuple[str, ...]:
        """Who is in the group; see BrokerBook.group_members."""
        admin = self._admin()
        found = self._ask(
            f"describe group {group}",
            lambda: admin.describe_consumer_groups([group], request_timeout=self._timeout)[group],
        )
        return tuple(f"{member.client_id} @ {member.host}" for member in found.members) if found else ()

    def _admin(self) -> AdminClient:
        try:
            return AdminClient(self._config)
        except (KafkaException, TypeError, ValueError) as error:
            raise BrokerError(f"kafka.properties are not usable: {self._masked(error)}") from None

    @contextmanager
    def _consumer(self, group: str) -> Iterator[Consumer]:
        """A consumer that only carries the group's name: it never subscribes, so it never joins the group."""
        settings = {**self._config, "group.id": group, "enable.auto.commit": False}
        try:
            consumer = Consumer(settings)
        except (KafkaException, TypeError, ValueError) as error:
            raise BrokerError(f"kafka.properties are not usable: {self._masked(error)}") from None
        try:
            yield consumer
        finally:
            consumer.close()

    def _complained(self, error: KafkaError) -> None:
        """By the error's code alone: its text can hold values of properties."""
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001 - librdkafka's own codes have an underscore
            self._refusal = "refused the login: check sasl.mechanism, sasl.username and sasl.password in lineage.yaml"
        elif error.code() == KafkaError._SSL:  # noqa: SLF001 - the same
            self._refusal = "is not trusted, or wants another certificate: check the ssl.* properties in lineage.yaml"

    def _ask(self, what: str, request: Callable[[], Any]) -> Any:
        """The answer to one request of the admin client; None when the group asked about does not exist."""
        return self._call(what, lambda: request().result(self._timeout + 5))

    def _call(self, what: str, request: Callable[[], Any]) -> Any:
        """The answer to one request; a group's coordinator that is just starting is asked again until the timeout."""
        deadline = time.monotonic() + self._timeout
        while True:
            answer = self._answer(what, request)
            if not isinstance(answer, KafkaException):
                return answer
            if _code(answer) not in _COMING_UP or time.monotonic() > deadline:
                raise self._mapped(what, answer)
            time.sleep(_PAUSE_SECONDS)

    def _answer(self, what: str, request: Callable[[], Any]) -> Any:
        """The answer, None for a group that does not exist, or the KafkaException that came instead."""
        try:
            return request()
        except FutureTimeout:
            raise self._unreachable(what, f"no answer within {self._timeout:g} s") from None
        except (TypeError, ValueError) as error:
            raise BrokerError(f"cannot {what}: {self._masked(error)}") from None
        except KafkaException as error:
            return None if _code(error) == KafkaError.GROUP_ID_NOT_FOUND else error

    def _mapped(self, what: str, error: KafkaException) -> BrokerError:
        if _code(error) in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION}:
            return UnknownTopicError(
                f"Kafka at {self._bootstrap} has no such topic (asked to {what}): check KAFKA_TOPIC and the address"
            )
        return self._unreachable(what, self._masked(error))

    def _describe(self, admin: AdminClient, topic: str) -> tuple[str | None, list[int]]:
        """Topic id, None where the broker knows none, and the partitions' numbers."""
        names = TopicCollection([topic])
        found = self._ask(
            f"describe topic {topic}", lambda: admin.describe_topics(names, request_timeout=self._timeout)[topic]
        )
        numbers = sorted(partition.id for partition in found.partitions)
        if numbers != list(range(len(numbers))) or not numbers:
            raise BrokerError(f"Kafka at {self._bootstrap} gave partitions {numbers} for topic {topic}: audit again")
        topic_id = str(found.topic_id) if found.topic_id is not None else _NO_TOPIC_ID
        return (None if topic_id == _NO_TOPIC_ID else topic_id), numbers

    def _offsets(
        self,
        admin: AdminClient,
        partitions: Iterable[TopicPartition],
        spec: Any,
        isolation: IsolationLevel,
        epochs: dict[int, int] | None = None,
    ) -> dict[int, int | str]:
        """Partition -> offset as the broker gave it, senseless or not, or why there is none.

        Into `epochs` goes the leader epoch that the answers name, by partition.
        """
        asked = dict.fromkeys(partitions, spec)
        try:
            futures = admin.list_offsets(asked, isolation_level=isolation, request_timeout=self._timeout)
        except (KafkaException, TypeError, ValueError) as error:
            raise self._unreachable("list offsets", self._masked(error)) from None
        found: dict[int, int | str] = {}
        for partition in asked:
            answer = self._offset(futures.get(partition))
            found[partition.partition] = answer if isinstance(answer, str) else int(answer.offset)
            if epochs is not None and not isinstance(answer, str) and answer.leader_epoch is not None:
                epochs[partition.partition] = int(answer.leader_epoch)
        return found

    def _stable_by_now(
        self, admin: AdminClient, topic: str, stable: Mapping[int, int | str], ends: Mapping[int, int | str]
    ) -> dict[int, int | str]:
        """The last stable offset, asked again where the end is above: records may have come between both answers.

        Below that end no transaction is open if it is stable by now; what came even later belongs to the next look.
        """
        known = {number: end for number, end in ends.items() if isinstance(end, int)}
        behind = [TopicPartition(topic, n) for n, end in known.items() if isinstance(at := stable[n], int) and at < end]
        again = self._offsets(admin, behind, _LATEST, IsolationLevel.READ_COMMITTED) if behind else {}
        return {number: min(at, known[number]) for number, at in again.items() if isinstance(at, int)}

    def _offset(self, answer: Any) -> Any:
        """The broker's answer for one partition, or why there is none."""
        if answer is None:
            return "the partition is missing in the broker's answer"
        try:
            return answer.result(self._timeout + 5)
        except FutureTimeout:
            return f"no answer within {self._timeout:g} s"
        except KafkaException as error:
            return self._masked(error)

    def _committed(self, topic: str, numbers: list[int], group: str | None) -> dict[int, int | str | None]:
        """Partition -> the group's next offset, None without one, or why it is not known."""
        if group is None:
            return dict.fromkeys(numbers)
        wanted = [TopicPartition(topic, number) for number in numbers]
        with self._consumer(group) as consumer:
            found = self._call(
                f"read the offsets of group {group}", lambda: consumer.committed(wanted, timeout=self._timeout)
            )
        if found is None:
            return dict.fromkeys(numbers)
        answers: dict[int, int | str | None] = dict.fromkeys(numbers, "the partition is missing in the group's answer")
        for one in found:
            if one.error:
                answers[one.partition] = f"committed offset: {one.error}"
            else:
                answers[one.partition] = None if one.offset == _NO_COMMIT else one.offset
        return answers

    def _topic_config(self, admin: AdminClient, topic: str) -> dict[str, str]:
        """The topic's settings that matter here; empty when they may not be read, which promises nothing."""
        resource = _ADMIN.ConfigResource(_ADMIN.ResourceType.TOPIC, topic)
        try:
            found = self._ask(
                f"read the settings of topic {topic}",
                lambda: admin.describe_configs([resource], request_timeout=self._timeout)[resource],
            )
        except BrokerError:
            return {}
        return {key: str(found[key].value) for key in _CONFIG_KEYS if key in found and found[key].value is not None}

    def _unreachable(self, what: str, reason: str) -> BrokerError:
        return BrokerError(
            f"Kafka at {self._bootstrap} could not {what} ({reason}): check the address, the network and the rights"
        )

    def _masked(self, error: Exception) -> str:
        text = error.args[0].str() if _code(error) is not None else str(error)
        for secret in self._secrets:
            # a value like `PLAIN` or `1` is no secret, and masking it would only garble the message
            if len(secret) > 5 and not secret.isdecimal():  # noqa: PLR2004 - shorter than any password in use
                text = text.replace(secret, "***")
        return " ".join(str(text).split())[:300]


def _code(error: Exception) -> int | None:
    first = error.args[0] if error.args else None
    return int(first.code()) if isinstance(first, KafkaError) else None


def _partition(
    start: int | str, stable: int | str, end: int | str, committed: int | str | None, epoch: int | None
) -> PartitionOffsets:
    if isinstance(start, str) or isinstance(stable, str) or isinstance(end, str):
        return unknown_offsets(next(answer for answer in (start, stable, end) if isinstance(answer, str)))
    if isinstance(committed, str):
        return unknown_offsets(committed)
    return partition_offsets(start, stable, end, committed, epoch)
