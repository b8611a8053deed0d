"""Writes demo records to a topic and says exactly what became of them: an unacknowledged record is never a number."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from lineage_pipeline.errors import BrokerError, UsageError
from lineage_pipeline.local.demo_record import encode_event, poison
from lineage_pipeline.local.topics import broker_error, create_topic, partition_count

_FLUSH_SECONDS = 60.0
_TRANSACTION_SECONDS = 30.0
_TRANSACTION_TRIES = 5
_GIVE_UP_SECONDS = 5.0
_POLL_EVERY = 500  # records between two looks at delivery reports when nothing else makes us look
_PROGRESS_SECONDS = 0.2
_LONGEST_BACKLOG_SECONDS = 1.0  # after a pause, catch up on at most this much of the rate

Progress = Callable[[int], None]  # is told how many records have been handed to the client so far


@dataclass(frozen=True)
class ProducerPlan:
    """What to write. `count` None: until stopped; `rate_per_sec` None: as fast as it can."""

    bootstrap_servers: str
    topic: str
    partitions: int = 10  # of the topic when it has to be made; an existing topic is taken as it is
    count: int | None = None
    rate_per_sec: float | None = None
    poison_fraction: float = 0.0  # of the records, drawn with `seed`: undecodable payloads
    transaction_size: int | None = None  # records per transaction; None: no transactions
    abort_every: int | None = None  # every k-th transaction is aborted
    partition: int | None = None  # all records to this one; None: in turn
    seed: int | None = None  # of uuids and poison; None: another one each run, told by the result
    # librdkafka's, such as credentials
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Raise UsageError for values that make no sense."""
        checks = (
            (self.partitions >= 1, f"partitions must be at least 1, not {self.partitions}"),
            (self.count is None or self.count >= 0, f"count must not be negative: {self.count}"),
            (self.rate_per_sec is None or self.rate_per_sec > 0, f"rate must be above 0, not {self.rate_per_sec}"),
            (0 <= self.poison_fraction <= 1, f"poison must be from 0 to 1, not {self.poison_fraction}"),
            (self.transaction_size is None or self.transaction_size >= 1, "a transaction needs at least 1 record"),
            (self.abort_every is None or self.abort_every >= 1, "abort-every must be at least 1"),
            (self.abort_every is None or self.transaction_size is not None, "abort-every needs a transaction size"),
        )
        for fine, problem in checks:
            if not fine:
                raise UsageError(problem)


@dataclass(frozen=True)
class ProduceResult:
    """What the broker has acknowledged. In transactions: and what was committed, or aborted."""

    topic: str
    delivered: Mapping[int, int]  # partition -> records that a read_committed consumer sees
    poisoned: int  # how many of the delivered are undecodable
    aborted: int  # records that took offsets, but were aborted with their transaction
    transactions: int  # committed ones
    seed: int
    seconds: float

    @property
    def total(self) -> int:
        """All delivered records."""
        return sum(self.delivered.values())


def produce(
    plan: ProducerPlan, *, stop: threading.Event | None = None, progress: Progress = lambda _count: None
) -> ProduceResult:
    """Write what the plan says, making the topic if it is not there; return when all is acknowledged.

    `stop` ends it early and cleanly: what was handed over is flushed, an open transaction committed. Raises BrokerError
    when any record was not delivered, naming the partition and the cause, and UsageError for a partition that is not
    there.
    """
    partitions = _require_topic(plan)
    return _Run(plan, partitions, stop or threading.Event(), progress).run()


class _Run:
    """One run's tallies and its client."""

    def __init__(self, plan: ProducerPlan, partitions: int, stop: threading.Event, progress: Progress) -> None:
        self._plan = plan
        self._partitions = partitions
        self._stop = stop
        self._progress = progress
        self._seed = secrets.randbits(32) if plan.seed is None else plan.seed
        self._failed: tuple[int, KafkaError] | None = None
        self._failures = 0
        # Of the open transaction, or of the whole run without transactions.
        self._acknowledged: Counter[int] = Counter()
        self._acknowledged_poison = 0
        self._sent = 0
        self._in_transaction = 0
        self._begun = 0
        self._delivered: Counter[int] = Counter()
        self._poisoned = self._aborted = self._committed = 0
        self._client = Producer(_client_config(plan))

    def run(self) -> ProduceResult:
        started = time.monotonic()
        if self._plan.transaction_size is not None:
            with _mapped("open the transactional producer"):
                self._client.init_transactions(_TRANSACTION_SECONDS)
        try:
            self._send_all()
            self._settle()
        except BaseException:
            self._give_up()
            raise
        self._progress(self._sent)
        return ProduceResult(
            topic=self._plan.topic,
            delivered={partition: self._delivered[partition] for partition in range(self._partitions)},
            poisoned=self._poisoned,
            aborted=self._aborted,
            transactions=self._committed,
            seed=self._seed,
            seconds=time.monotonic() - started,
        )

    def _send_all(self) -> None:
        identities = random.Random(self._seed)  # noqa: S311  test data, not secrets
        mistakes = random.Random(self._seed + 1)  # noqa: S311  the same
        told = time.monotonic()
        for index in _paced(self._plan, self._stop, lambda: self._client.poll(0)):
            good = encode_event(identities, time.time_ns() // 1_000_000)
            bad = mistakes.random() < self._plan.poison_fraction
            partition = index % self._partitions if self._plan.partition is None else self._plan.partition
            self._begin_when_due()
            self._send(partition, poison(good, mistakes) if bad else good, bad=bad)
            if self._in_transaction == self._plan.transaction_size:
                self._settle()
            if self._sent % _POLL_EVERY == 0:
                self._client.poll(0)
            if (now := time.monotonic()) - told > _PROGRESS_SECONDS:
                told = now
                self._progress(self._sent)
            self._raise_failure()

    def _send(self, partition: int, payload: bytes, *, bad: bool) -> None:
        report = self._report_poison if bad else self._report_good
        while not self._queued(partition, payload, report):
            self._client.poll(0.1)  # the client's queue is full: it drains as reports are served
            self._raise_failure()
        self._sent += 1
        self._in_transaction += 1

    def _queued(self, partition: int, payload: bytes, report: Callable[[KafkaError | None, Any], None]) -> bool:
        try:
            self._client.produce(self._plan.topic, payload, partition=partition, on_delivery=report)
        except BufferError:
            return False
        except KafkaException as error:
            raise broker_error(error.args[0], f"write to partition {partition} of {self._plan.topic}") from None
        return True

    def _report_good(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self._acknowledged[message.partition()] += 1
        else:
            self._note_failure(error, message)

    def _report_poison(self, error: KafkaError | None, message: Any) -> None:
        self._report_good(error, message)
        self._acknowledged_poison += error is None

    def _note_failure(self, error: KafkaError, message: Any) -> None:
        self._failures += 1
        self._failed = self._failed or (message.partition(), error)

    def _raise_failure(self) -> None:
        if self._failed is not None:
            partition, error = self._failed
            raise broker_error(
                error, f"deliver {self._failures} records, first to partition {partition} of {self._plan.topic}"
            )

    def _give_up(self) -> None:
        """After an error: send no more behind our caller's back, and try to leave no transaction open."""
        self._client.purge()
        if self._plan.transaction_size is not None and self._in_transaction:
            with contextlib.suppress(KafkaException):  # the first error is the one to tell
                self._client.abort_transaction(_GIVE_UP_SECONDS)

    def _begin_when_due(self) -> None:
        if self._plan.transaction_size is not None and self._in_transaction == 0:
            with _mapped("begin a transaction"):
                self._client.begin_transaction()
            self._begun += 1

    def _settle(self) -> None:
        """Wait for every acknowledgement, then commit or abort; only then do the numbers count."""
        left = self._client.flush(_FLUSH_SECONDS)
        self._raise_failure()
        if left or self._acknowledged.total() != self._in_transaction:
            raise BrokerError(
                f"{self._in_transaction - self._acknowledged.total()} records to {self._plan.topic} were not "
                f"acknowledged within {_FLUSH_SECONDS:.0f} s: check that the broker runs"
            )
        if self._in_transaction == 0:
            return
        every = self._plan.abort_every
        if every is not None and self._begun % every == 0:
            _retried("abort a transaction", self._client.abort_transaction)
            self._aborted += self._in_transaction
        else:
            if self._plan.transaction_size is not None:
                _retried("commit a transaction", self._client.commit_transaction)
                self._committed += 1
            self._delivered.update(self._acknowledged)
            self._poisoned += self._acknowledged_poison
        self._acknowledged.clear()
        self._acknowledged_poison = self._in_transaction = 0


def _require_topic(plan: ProducerPlan) -> int:
    found = partition_count(plan.bootstrap_servers, plan.topic, plan.properties)
    if found is None:
        create_topic(plan.bootstrap_servers, plan.topic, plan.partitions, properties=plan.properties)
        found = plan.partitions
    if plan.partition is not None and not 0 <= plan.partition < found:
        raise UsageError(f"topic {plan.topic} has partitions 0 to {found - 1}, not {plan.partition}")
    return found


def _client_config(plan: ProducerPlan) -> dict[str, Any]:
    config: dict[str, Any] = {
        **plan.properties,
        "bootstrap.servers": plan.bootstrap_servers,
        "enable.idempotence": True,  # a retried request must not become a second record
        "linger.ms": 5,
        "queue.buffering.max.messages": 200_000,
        "message.timeout.ms": int(_FLUSH_SECONDS * 1000),
        "log_level": 2,
    }
    if plan.transaction_size is not None:
        config["transactional.id"] = f"lineage-produce-{uuid.uuid4()}"
        config["transaction.timeout.ms"] = int(_FLUSH_SECONDS * 1000)
    return config


def _paced(plan: ProducerPlan, stop: threading.Event, serve: Callable[[], object]) -> Iterator[int]:
    """Indices of the records to send, each when it is due: evenly, and after a pause without a burst."""
    due = time.monotonic()
    index = 0
    while (plan.count is None or index < plan.count) and not stop.is_set():
        if plan.rate_per_sec is not None:
            wait = due - time.monotonic()
            if wait > 0:
                serve()  # delivery reports are served while there is time
                if stop.wait(wait):
                    return
            due = max(due, time.monotonic() - _LONGEST_BACKLOG_SECONDS) + 1 / plan.rate_per_sec
        yield index
        index += 1


def _retried(what: str, call: Callable[[float], None]) -> None:
    """Commit or abort: the client says itself which errors may be tried again."""
    error = _error_of(call)
    for _ in range(_TRANSACTION_TRIES - 1):
        if error is None or not error.retriable():
            break
        error = _error_of(call)
    if error is not None:
        raise broker_error(error, what)


def _error_of(call: Callable[[float], None]) -> KafkaError | None:
    try:
        call(_TRANSACTION_SECONDS)
    except KafkaException as error:
        found: KafkaError = error.args[0]
        return found
    return None


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise broker_error(error.args[0], what) from None
