"""Holes read again with a plain Kafka consumer: assigned, never subscribed, nothing committed.

A pass counts as far as a record or the end of the log was seen behind it. Everything else that comes, an error, a
silence, a checksum that does not fit, ends the pass there, since the client goes on behind what it could not read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeGuard

from confluent_kafka import Consumer, KafkaException, TopicPartition
from pydantic import SecretStr

from lineage_pipeline.books.plain_consumer import END_OF_LOG, PlainConsumers, stop_of
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import FoundRun, HoleBudget, Round, Scan, Stop, Window
from lineage_pipeline.core.offsets import OffsetRange, RangeSet

_BATCH = 5_000  # records taken from the client at once
_POLL_SECONDS = 0.1
_RECORD_BYTES = 64  # what a record costs beside its value
_NO_TIMESTAMP = 0

_BUDGET = Stop("budget", "the audit's budget for reading again was used up; the next audit goes on")


class KafkaHoleReader:
    """A HoleReader over a real cluster.

    `properties` are librdkafka's client properties; `patience` in seconds is how long a silent broker is waited for.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, SecretStr], patience: float = 15.0) -> None:
        self._consumers = PlainConsumers(bootstrap, properties, patience)

    def read(self, topic: str, rounds: Sequence[Round], isolation: Isolation, budget: HoleBudget) -> tuple[Scan, ...]:
        """Both passes over each round's windows; see HoleReader.read."""
        other: Isolation = "read_uncommitted" if isolation == "read_committed" else "read_committed"
        deadline, left = time.monotonic() + budget.seconds, budget.bytes
        scans: list[Scan] = []
        silent: dict[int, Stop] = {}  # a partition that did not answer is waited for once
        with ExitStack() as stack:
            consumers = {one: stack.enter_context(self._consumers.open(one)) for one in (isolation, other)}
            for listed in rounds:
                if left <= 0 or time.monotonic() >= deadline:
                    break
                scans += [_not_begun(w, isolation, silent[w.partition]) for w in listed if w.partition in silent]
                windows = tuple(one for one in listed if one.partition not in silent)
                # half of it for each level, since neither proves anything without the other
                for level, limit in ((isolation, left - left // 2), (other, left)):
                    reading = _Pass(consumers[level], topic, level, windows)
                    done = self._run(reading, min(limit, left), deadline) if windows and left > 0 else []
                    scans += done
                    left -= reading.bytes
                    silent |= {one.partition: one.stopped for one in done if _is_silence(one.stopped)}
                    windows = tuple(_not_found(done, windows))
        return tuple(scans)

    def _run(self, one: _Pass, byte_limit: int, deadline: float) -> list[Scan]:
        """Read until every window is through, or has stopped."""
        try:
            one.start()
            heard = time.monotonic()
            while one.open:
                if one.take():
                    heard = time.monotonic()
                if one.bytes >= byte_limit or time.monotonic() >= deadline:
                    one.stop_all(_BUDGET)
                elif time.monotonic() - heard >= self._consumers.patience:
                    one.stop_all(self._consumers.silence())
        except KafkaException as error:
            one.stop_all(stop_of(error.args[0]))
        return one.scans


class _Pass:
    """One consumer over one round's windows, each of another partition."""

    def __init__(self, consumer: Consumer, topic: str, isolation: Isolation, windows: Round) -> None:
        self._consumer = consumer
        self._topic = topic
        self._progress = {window.partition: _Progress(window, isolation) for window in windows}
        self.open = set(self._progress)
        self.bytes = 0

    @property
    def scans(self) -> list[Scan]:
        """What came of each window; all of them must have ended."""
        return [one.scan() for one in self._progress.values()]

    def start(self) -> None:
        """Assign every window's start. Raises KafkaException."""
        self._consumer.assign(
            [TopicPartition(self._topic, number, one.reached) for number, one in self._progress.items()]
        )

    def take(self) -> bool:
        """Take what the client has; whether there was anything."""
        first = self._consumer.poll(_POLL_SECONDS)
        if first is None:
            return False
        for message in (first, *self._consumer.consume(_BATCH, timeout=0)):
            number = message.partition()
            if number in self.open and message.topic() == self._topic:
                self._tell(self._progress[number], message)
        return True

    def stop_all(self, stop: Stop) -> None:
        """End every open window where it is."""
        for number in tuple(self.open):
            self._progress[number].stop(stop)
            self.open.discard(number)

    def _tell(self, one: _Progress, message: Any) -> None:
        error = message.error()
        if error is None:
            self.bytes += len(message) + _RECORD_BYTES
            one.record(message)
        elif error.code() == END_OF_LOG:
            one.end_of_log(message.offset())
        else:
            one.stop(stop_of(error))
        if one.ended:
            self.open.discard(one.window.partition)
            # else the client would go on fetching what lies behind the window
            self._consumer.incremental_unassign([TopicPartition(self._topic, one.window.partition)])


class _Progress:
    """How far one window was read, and what was found at its holes."""

    def __init__(self, window: Window, isolation: Isolation) -> None:
        self.window = window
        self.isolation = isolation
        self.reached = window.range.start
        self.stopped: Stop | None = None
        self.ended = False
        self._holes = list(window.holes)
        self._hole = 0
        self._runs: list[FoundRun] = []
        self._epoch = -1
        self._end = window.range.end

    def record(self, message: Any) -> None:
        """A record came: everything before it was passed."""
        offset, epoch = message.offset(), message.leader_epoch()
        if offset < self.reached:
            self.stop(Stop("unresolved", f"the broker gave offset {offset} after {self.reached}"))
        elif epoch is not None and epoch < self._epoch:
            self._runs, self.reached = [], self.window.range.start
            text = f"the leader epoch falls from {self._epoch} to {epoch} at offset {offset}: the log was replaced"
            self.stop(Stop("incarnation", text))
        elif offset >= self._end:
            self._through()
        else:
            self._epoch = self._epoch if epoch is None else epoch
            self.reached = offset + 1
            self._found(offset, message)
            if self.reached == self._end:
                self._through()

    def end_of_log(self, offset: int) -> None:
        """The log ends there, for this isolation level: everything before it was passed."""
        if offset >= self._end:
            self._through()
            return
        self.reached = max(self.reached, offset)
        ends = "the last stable offset is" if self.isolation == "read_committed" else "the log ends at"
        self.stop(Stop("unresolved", f"{ends} {offset}, so a {self.isolation} reader cannot look further"))

    def stop(self, stop: Stop) -> None:
        """End where we are."""
        self.stopped, self.ended = stop, True

    def scan(self) -> Scan:
        """The outcome."""
        looked = OffsetRange(self.window.range.start, self._end)
        return Scan(self.window.partition, self.isolation, looked, self.reached, tuple(self._runs), self.stopped)

    def _through(self) -> None:
        self.reached, self.ended = self._end, True

    def _found(self, offset: int, message: Any) -> None:
        while self._hole < len(self._holes) and self._holes[self._hole].end <= offset:
            self._hole += 1
        if self._hole == len(self._holes) or offset < self._holes[self._hole].start:
            return
        kind, value = message.timestamp()
        timestamp = None if kind == _NO_TIMESTAMP else value
        last = self._runs[-1] if self._runs else None
        if last is not None and last.end == offset:
            self._runs[-1] = FoundRun(last.start, offset + 1, last.first_timestamp, timestamp)
        else:
            self._runs.append(FoundRun(offset, offset + 1, timestamp, timestamp))
        if self.window.tail:
            self._end = offset + 1  # what lies behind the first record is simply not due yet


def _not_found(scans: Sequence[Scan], windows: Round) -> Iterator[Window]:
    """For the second pass: the holes that the first one passed without finding a record."""
    for scan, window in zip(scans, windows, strict=False):  # no scans at all when there was nothing to read by
        found = RangeSet.from_pairs((run.start, run.end) for run in scan.found)
        left = window.holes.clip(scan.range.start, scan.reached).difference(found)
        bounds = left.bounds
        if bounds is not None:
            yield Window(window.partition, bounds, left)


def _is_silence(stop: Stop | None) -> TypeGuard[Stop]:
    return stop is not None and stop.cause == "broker-unreachable"


def _not_begun(window: Window, isolation: Isolation, reason: Stop) -> Scan:
    return Scan(window.partition, isolation, window.range, window.range.start, (), reason)
