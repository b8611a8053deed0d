"""The world to be audited: a topic whose every offset is known, a writer with its index, and what can befall them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, partition_offsets, unknown_offsets
from lineage_pipeline.core.deployment import Deployment, Isolation, deployment_key
from lineage_pipeline.core.hole_reading import FoundRun, HoleBudget, Round, Scan, Window
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.errors import BrokerError
from tests.books.index_files import parquet, run
from tests.books.memory_store import MemoryStore

TOPIC, GROUP = "t", "g"
START = datetime(2026, 11, 22, 23, 0, tzinfo=timezone.utc)  # an hour before midnight: days change
SETTLE, MAX_DELAY, CHECKPOINT = 60.0, 300.0, 10.0


@dataclass(eq=False)
class Slot:
    """One offset of one log, and the index files that hold it. `excused`: nobody can know that another one was here."""

    data: bool
    files: set[str] = field(default_factory=set)
    excused: bool = False


@dataclass
class Log:
    start: int = 0
    slots: list[Slot] = field(default_factory=list)
    high: int = 0  # the highest end that the log ever had
    known_cut: int = 0  # since it was cut back last: below which offset audits know that records may be others

    @property
    def end(self) -> int:
        return len(self.slots)


@dataclass
class World:
    """One topic, one writer. Everything random comes from `dice`."""

    dice: random.Random
    transactional: bool = False
    index: MemoryStore = field(default_factory=lambda: MemoryStore("index"))
    now: datetime = START
    logs: dict[int, Log] = field(default_factory=dict)
    topic_number: int = 1
    position: dict[int, int] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    baseline: dict[int, int] = field(default_factory=dict)
    held: list[tuple[str, bytes, dict[int, int]]] = field(default_factory=list)
    writer: str | None = None
    writers: int = 0
    files: int = 0
    down: bool = False
    silent: int | None = None  # a partition that the broker gives no answer for
    elsewhere: bool = False  # the address leads to another cluster
    garbage: set[str] = field(default_factory=set)
    file_ends: dict[str, tuple[int, dict[int, int]]] = field(default_factory=dict)  # topic number, ends by partition
    unlisted: set[str] = field(default_factory=set)  # files of closed days that only a full audit finds gone
    ahead: timedelta = timedelta(0)  # of the job's clock, by which it names the days
    marks: set[str] = field(default_factory=set)  # what happened, to know what may be expected

    def __post_init__(self) -> None:
        self.index.now = self._seconds
        for number in range(self.dice.randint(1, 2)):
            self.logs[number] = Log()
        self.produce()
        self.deploy()

    def _seconds(self) -> float:
        return self.now.timestamp()

    # ---- the log

    def produce(self) -> None:
        for log in self.logs.values():
            for _ in range(self.dice.randint(0, 3)):
                for _ in range(self.dice.randint(1, 6)):
                    self._append(log, data=not (self.transactional and self.dice.random() < 0.1))
                if self.transactional:
                    self._append(log, data=False)
        self.note("produced")

    def _append(self, log: Log, *, data: bool) -> None:
        excused = log.known_cut <= log.end < log.high
        log.slots.append(Slot(data, excused=excused))
        log.high = max(log.high, log.end)

    def expire(self) -> None:
        log = self.dice.choice(list(self.logs.values()))
        log.start = self.dice.randint(log.start, log.end)
        self.note("expired")

    def cut_back(self) -> None:
        number = self.dice.choice(list(self.logs))
        log = self.logs[number]
        if log.end > log.start:
            del log.slots[self.dice.randint(log.start, log.end - 1) :]
            log.known_cut = 0
            self.committed[number] = min(self.committed.get(number, 0), log.end)
            self.note("cut-back")

    def add_partition(self) -> None:
        self.logs[len(self.logs)] = Log()
        self.note("partition-added")

    def recreate(self) -> None:
        self.topic_number += 1
        self.logs = {number: Log() for number in range(self.dice.randint(1, 2))}
        self.position, self.committed, self.baseline, self.held = {}, {}, {}, []
        self.writer = None
        self.note("recreated")

    # ---- the writer

    def deploy(self) -> None:
        """A start of the job: it declares itself before it reads; what was held back comes out."""
        self.release()
        self.writers += 1
        previous, self.writer = self.writer, f"w{self.writers}"
        for number in self.logs:
            self.position.setdefault(number, 0)
            self.baseline.setdefault(number, self.position[number])
        record = Deployment(
            writer=self.writer,
            topic=TOPIC,
            cluster_id="cluster",
            topic_id=f"topic-{self.topic_number}",
            group=GROUP,
            start_offsets=dict(self.position),
            isolation="read_committed",
            checkpoint_interval=CHECKPOINT,
            plan_hash="p",
            started_at=self.now,
            previous=previous,
        )
        self.index.place(deployment_key(self.writer), record.to_json().encode())
        self.note("deployed")

    def set_job_ahead(self, days: int) -> None:
        """Its clock decides in which day's directory a file is."""
        self.ahead = timedelta(days=days)
        self.note("job-ahead")

    def checkpoint(self, *, loses: bool = False, holds: bool = False) -> None:
        """Write what is readable since the last one; `loses` some of it, `holds` the file back for a while."""
        if self.writer is None:
            return
        rows, ends = [], {}
        key = f"kafka_topic={TOPIC}/dt={self.now + self.ahead:%Y-%m-%d}/part-{self.files}"
        for number in sorted(self.logs):
            log, position = self.logs[number], self.position.get(number, 0)
            if position < log.start:  # the job fails loudly: the records are gone
                continue
            gone = self._lost(position, log.end) if loses else range(0)
            for start, end in self._runs(log, position, gone):
                rows.append(run(number, start, end, writer=self.writer))
                for slot in log.slots[start:end]:
                    slot.files.add(key)
            ends[number] = self.position[number] = max(position, log.end)
        if not rows:
            return
        self.files += 1
        self.file_ends[key] = (self.topic_number, ends)
        content = parquet(rows, compression="none", use_dictionary=False)  # a third of the time of one as Flink has it
        if holds:
            self.held.append((key, content, ends))
            self.note("held-back")
        else:
            self.index.place(key, content)
            self.committed.update(ends)

    def release(self) -> None:
        for key, content, ends in self.held:
            self.index.place(key, content)
            self.committed.update(ends)
        self.held = []

    def stop(self) -> None:
        """The job is down; a file of its last checkpoint may come out only when it is back."""
        if self.writer is not None and not self.held:
            self.checkpoint(holds=True)
        self.stopped = self.writer
        self.writer = None
        self.note("stopped")

    stopped: str | None = None

    def resume(self) -> None:
        self.writer = self.stopped or self.writer
        self.stopped = None
        self.deploy()

    def _lost(self, start: int, end: int) -> range:
        if end - start < 1:
            return range(0)
        first = self.dice.randint(start, end - 1)
        self.note("lost")
        return range(first, self.dice.randint(first + 1, end))

    def _runs(self, log: Log, position: int, gone: range) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for offset in range(position, log.end):
            if not log.slots[offset].data or offset in gone:
                continue
            if found and found[-1][1] == offset and self.dice.random() < 0.8:
                found[-1] = (found[-1][0], offset + 1)
            else:
                found.append((offset, offset + 1))
        return found

    # ---- what befalls the index

    def files_now(self) -> list[str]:
        return [key for key in self.index.objects if key.startswith("kafka_topic=") and key not in self.garbage]

    def lose_file(self) -> None:
        if files := self.files_now():
            key = self.dice.choice(files)
            self._in_closed_day(key)
            del self.index.objects[key]
            self.note("file-vanished")

    def spoil_file(self) -> None:
        if files := self.files_now():
            key = self.dice.choice(files)
            self._in_closed_day(key)
            self.garbage.add(key)
            self.index.place(key, b"PAR1" + bytes(8))
            self.note("file-spoiled")

    def _in_closed_day(self, key: str) -> None:
        if key not in self.files_of_open_days():
            self.unlisted.add(key)

    def files_of_open_days(self) -> list[str]:
        """Which every audit lists: of the newest day and the one before, of yesterday, today and tomorrow.

        A file in a later day is seen by the next audit that lists every day.
        """
        days = {key: date.fromisoformat(key.split("/")[1].removeprefix("dt=")) for key in self.files_now()}
        today, day = self.now.date(), timedelta(days=1)
        first = min(today, max(days.values(), default=today)) - day
        return [key for key, one in days.items() if first <= one <= today + day]

    def copy_file(self) -> None:
        if files := self.files_now():
            key = self.dice.choice(files)
            copy = f"{key}-copy{len(self.index.objects)}"
            self.file_ends[copy] = self.file_ends[key]
            self.index.place(copy, self.index.objects[key][0])
            for log in self.logs.values():
                for slot in log.slots:
                    if key in slot.files:
                        slot.files.add(copy)
            self.note("file-copied")

    # ---- the truth

    def accounted(self, slot: Slot) -> bool:
        return any(key in self.index.objects and key not in self.garbage for key in slot.files)

    def waiting(self, slot: Slot) -> bool:
        return any(key in slot.files for key, _, _ in self.held)

    def lost(self) -> list[tuple[int, int]]:
        """Records behind the writer's back, in no index file and in none that will come."""
        return [
            (number, offset)
            for number, log in self.logs.items()
            for offset in range(self.baseline.get(number, 0), min(self.position.get(number, 0), log.end))
            for slot in [log.slots[offset]]
            if slot.data and not slot.excused and not self.accounted(slot) and not self.waiting(slot)
        ]

    def told_end(self, number: int) -> int:
        """How far readable index files and the group's commit say that the log of a partition reaches."""
        files = [self.file_ends[key] for key in self.files_now()]
        found = [ends.get(number, 0) for topic, ends in files if topic == self.topic_number]
        return max([self.committed.get(number, 0), *found])

    def indexed_end(self, number: int) -> int:
        """Behind the last offset that the files of open days have of the log that is now."""
        slots, open_days = self.logs[number].slots, {*self.files_of_open_days()}
        return max((offset + 1 for offset, slot in enumerate(slots) if slot.files & open_days), default=0)

    def note(self, mark: str) -> None:
        self.marks.add(mark)

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # ---- the broker as the auditor asks it

    def snapshot(self, topic: str, group: str | None = None) -> BrokerSnapshot:
        assert topic == TOPIC
        if self.down:
            raise BrokerError("the broker is down: start it")
        if self.elsewhere:
            return BrokerSnapshot("other", "topic-1", {0: partition_offsets(0, 3, 3)}, {"cleanup.policy": "delete"})
        answers: dict[int, PartitionOffsets] = {}
        for number, log in self.logs.items():
            committed = self.committed.get(number) if group else None
            answers[number] = partition_offsets(log.start, log.end, log.end, committed)
        if self.silent in answers:
            answers[self.silent] = unknown_offsets("no leader")
        topic_id = f"topic-{self.topic_number}"
        return BrokerSnapshot("cluster", topic_id, answers, {"cleanup.policy": "delete"})

    def commit_group_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:  # noqa: ARG002 - the port
        raise AssertionError("an audit commits nothing")

    def group_members(self, group: str) -> tuple[str, ...]:  # noqa: ARG002 - the port
        raise AssertionError("an audit asks for no members")

    def read(self, topic: str, rounds: Sequence[Round], isolation: Isolation, budget: HoleBudget) -> tuple[Scan, ...]:
        assert topic == TOPIC
        assert budget
        other: Isolation = "read_uncommitted" if isolation == "read_committed" else "read_committed"
        return tuple(self._scan(one, level) for windows in rounds for one in windows for level in (isolation, other))

    def _scan(self, window: Window, isolation: Isolation) -> Scan:
        slots = self.logs[window.partition].slots
        found = [
            FoundRun(offset, offset + 1)
            for one in window.holes
            for offset in range(one.start, min(one.end, len(slots)))
            if slots[offset].data
        ]
        if window.tail and found:  # what lies behind the first record is not due
            first = found[0]
            return Scan(window.partition, isolation, OffsetRange(window.range.start, first.end), first.end, (first,))
        return Scan(window.partition, isolation, window.range, window.range.end, tuple(found))
