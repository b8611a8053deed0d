"""Why an offset has no index row, told from a real broker: every cause, both looks, nothing green that was not seen.

The index files are written by hand, as a perfect writer (a read_committed consumer) or a losing one would write them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public by its documentation, not by its __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.audit_topic import AuditRequest, audit_topic, audit_twice
from lineage_pipeline.books import plain_consumer
from lineage_pipeline.books.hole_reader import KafkaHoleReader
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.kafka_offsets import KafkaBook
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.hole_reading import HoleBudget, Scan
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.topics import create_topic, delete_records, delete_topic
from tests.books.index_files import day, parquet, put, run

pytestmark = pytest.mark.e2e

SETTLE = 180.0
Ranges = list[tuple[int, int, str, str | None]]


class World:
    """One topic on the broker, its hand-written index, and an auditor whose clock only moves when it waits."""

    def __init__(self, bootstrap: str, topic: str, root: Path, partitions: int = 1, **config: str) -> None:
        self.bootstrap, self.topic, self.root = bootstrap, topic, root
        create_topic(bootstrap, topic, partitions, config or {"cleanup.policy": "delete"})
        self.now = datetime.now(timezone.utc)
        self.request = AuditRequest(
            IndexPath(open_store(str(root), {}), topic),
            KafkaBook(bootstrap, {}),
            "g",
            AuditRules(settle=SETTLE),
            KafkaHoleReader(bootstrap, {}),
        )

    def produce(self, count: int, *, keys: int = 1000, size: int = 20) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})
        for number in range(count):
            producer.produce(self.topic, b"v" * size, str(number % keys), partition=0)
            producer.poll(0)
        assert producer.flush(30) == 0

    def transactional(self, name: str) -> Producer:
        producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": f"{self.topic}-{name}"})
        producer.init_transactions(30)
        return producer

    def send(self, producer: Producer, count: int, partition: int = 0) -> None:
        """Begin a transaction and leave it open."""
        producer.begin_transaction()
        for number in range(count):
            producer.produce(self.topic, b"v", str(number), partition=partition)
        assert producer.flush(30) == 0

    def ends(self, partition: int = 0) -> tuple[int | None, int | None]:
        assert self.request.broker is not None
        seen = self.request.broker.snapshot(self.topic).partitions[partition]
        return seen.last_stable, seen.high_watermark

    def settled_at(self, end: int, partition: int = 0) -> None:
        """Markers are written after the broker has answered the commit."""
        eventually(lambda: self.ends(partition) == (end, end), lambda: f"{self.ends(partition)} instead of {end}")

    def readable(self, partition: int = 0) -> list[int]:
        """What a read_committed writer gets to see."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "writer",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(self.topic, partition, 0)])
        found: list[int] = []
        while True:
            message = consumer.poll(30)
            assert message is not None
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                consumer.close()
                return found
            found.append(message.offset())

    def write_index(self, losing: Collection[int] = (), partition: int = 0) -> list[int]:
        """Index rows for everything readable but `losing`; returns what was readable."""
        readable = self.readable(partition)
        rows: list[tuple[int, int]] = []
        for offset in readable:
            if offset in losing:
                continue
            if rows and rows[-1][1] == offset:
                rows[-1] = (rows[-1][0], offset + 1)
            else:
                rows.append((offset, offset + 1))
        put(self.root, day(self.topic, f"part-{partition}"), parquet([run(partition, a, b) for a, b in rows]))
        return readable

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def audit(self, **changed: Any) -> AuditReport:
        return audit_topic(replace(self.request, **changed), lambda: self.now)

    def audit_twice(self, **changed: Any) -> AuditReport:
        return audit_twice(replace(self.request, **changed), lambda: self.now, self.wait)


@pytest.fixture
def world(broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path) -> World:
    return World(broker.bootstrap_servers, topic_name(), tmp_path / "index")


def eventually(holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, otherwise()


def ranges(report: AuditReport, partition: int = 0) -> Ranges:
    found = next(one for one in report.partitions if one.partition == partition)
    return [(one.range.start, one.range.end, one.range_class, one.cause) for one in found.ranges]


def evidence(report: AuditReport) -> str:
    return report.partitions[0].ranges[0].evidence


def test_a_loss_is_suspected_at_first_and_repairable_at_the_second_look(world: World) -> None:
    world.produce(100)
    world.write_index(losing=range(40, 43))

    first, second = world.audit(), world.audit_twice()

    assert (first.verdict, ranges(first)) == ("undetermined", [(40, 43, "pending", "suspected")])
    assert (second.verdict, ranges(second)) == ("loss", [(40, 43, "missing", "repairable")])
    assert "3 records are readable from the broker (Kafka timestamp" in evidence(second)
    assert "retention.ms keeps them until" in evidence(second)
    assert "6 d 23 h from this audit" in evidence(second)


def test_a_window_that_counts_too_few_is_a_loss_only_where_the_broker_still_has_more(world: World) -> None:
    world.produce(20)
    rows = [run(0, 0, 10, record_count=8), run(0, 10, 20)]  # as the original job may write them: eight of ten
    put(world.root, day(world.topic, "part-0"), parquet(rows))

    assert world.audit().verdict == "undetermined"
    report = world.audit_twice()
    assert (report.verdict, ranges(report)) == ("loss", [(0, 10, "unknown", "inexact-window")])
    assert "count 8 records where 10 can be read" in evidence(report)

    delete_records(world.bootstrap, world.topic, {0: 2})  # what is left may be just those eight
    assert world.audit_twice().verdict == "undetermined"


def test_markers_are_explained_at_once_the_last_one_too(world: World) -> None:
    producer = world.transactional("a")
    for _ in range(4):
        world.send(producer, 10)
        producer.commit_transaction(30)
    world.settled_at(44)
    readable = world.write_index()

    report = world.audit()

    assert len(readable) == 40
    assert (report.verdict, report.totals["expected"], report.totals["actual"]) == ("complete", 40, 40)
    assert ranges(report) == [(at, at + 1, "explained", "control-marker") for at in (10, 21, 32, 43)]
    assert report.partitions[0].complete_through == report.partitions[0].end == 44


def test_aborted_records_and_their_markers_are_told_apart(world: World) -> None:
    producer = world.transactional("a")
    world.send(producer, 5)
    producer.commit_transaction(30)  # 0-4, marker 5
    world.send(producer, 3)
    producer.abort_transaction(30)  # 6-8, marker 9
    world.send(producer, 5)
    producer.commit_transaction(30)  # 10-14, marker 15
    world.send(producer, 2)
    producer.abort_transaction(30)  # 16-17, marker 18: only they are behind the index
    world.settled_at(19)
    world.write_index()

    report = world.audit()

    marker, aborted = ("explained", "control-marker"), ("explained", "aborted")
    assert report.verdict == "complete"
    assert ranges(report) == [
        (5, 6, *marker), (6, 9, *aborted), (9, 10, *marker),
        (15, 16, *marker), (16, 18, *aborted), (18, 19, *marker),
    ]  # fmt: skip


def test_for_a_writer_that_reads_uncommitted_aborted_records_are_lost_records(world: World) -> None:
    producer = world.transactional("a")
    world.send(producer, 3)
    producer.abort_transaction(30)
    world.send(producer, 3)
    producer.commit_transaction(30)
    world.settled_at(8)
    world.write_index()

    report = world.audit_twice(rules=AuditRules(settle=SETTLE, isolation="read_uncommitted", baseline="earliest"))

    assert ranges(report) == [
        (0, 3, "missing", "repairable"), (3, 4, "explained", "control-marker"), (7, 8, "explained", "control-marker")
    ]  # fmt: skip


def test_runs_of_markers_of_interleaved_producers_are_explained_at_any_width(world: World) -> None:
    for width in (3, 4, 5):
        producers = [world.transactional(f"{width}-{number}") for number in range(width)]
        for producer in producers:
            world.send(producer, 2)
        for producer in producers:
            producer.commit_transaction(30)
    world.settled_at(3 * 3 + 4 * 3 + 5 * 3)
    lost = {1}  # a real loss beside them
    world.write_index(losing=lost)

    report = world.audit_twice()

    explained = [(start, end) for start, end, kind, _ in ranges(report) if kind == "explained"]
    assert [end - start for start, end in explained] == [3, 4, 5]
    assert [one for one in ranges(report) if one[2] != "explained"] == [(1, 2, "missing", "repairable")]


def test_an_open_transaction_is_pending_and_what_was_stable_before_it_is_explained(world: World) -> None:
    producer, other = world.transactional("a"), world.transactional("b")
    world.send(producer, 5)
    producer.commit_transaction(30)
    eventually(lambda: world.ends() == (6, 6), lambda: str(world.ends()))
    world.send(other, 4)  # hangs
    world.send(producer, 3)
    producer.commit_transaction(30)
    eventually(lambda: world.ends() == (6, 14), lambda: str(world.ends()))
    world.write_index()

    report = world.audit()

    assert (report.verdict, report.totals["pending"]) == ("complete", 8)
    assert ranges(report) == [(5, 6, "explained", "control-marker"), (6, 14, "pending", "open-transaction")]
    assert [one.kind for one in report.findings if one.severity == "warn"] == ["open-transaction"]
    other.abort_transaction(30)
    world.settled_at(15)


def test_holes_of_a_compacted_topic_are_unproven_and_never_green(
    broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path
) -> None:
    config = {
        "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": "100", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200",
    }  # fmt: skip
    world = World(broker.bootstrap_servers, topic_name(), tmp_path, **config)
    world.produce(2, keys=2)  # offset 1 is the only record of its key, so compaction keeps it
    world.produce(50, keys=1)

    def compacted() -> bool:
        world.produce(1, keys=1)  # another record closes the segment
        return len(world.readable()) < 20

    eventually(compacted, lambda: "no compaction")
    readable = world.write_index()
    rules = AuditRules(settle=SETTLE, baseline="earliest")

    report = world.audit_twice(rules=rules)

    assert report.verdict == "undetermined"
    assert 1 in readable
    assert report.totals["unknown"] == readable[-1] + 1 - len(readable)
    assert {one[2:] for one in ranges(report)} == {("unknown", "unproven")}

    world.write_index(losing=[1])
    lost = world.audit_twice(rules=rules)
    assert (lost.verdict, lost.totals["missing"]) == ("loss", 1)
    assert (1, 2, "missing", "repairable") in ranges(lost)


def test_what_the_log_start_has_passed_is_expired_at_the_second_look(world: World) -> None:
    world.produce(100)
    put(world.root, day(world.topic, "part-0"), parquet([run(0, 0, 30), run(0, 40, 60)]))
    delete_records(world.bootstrap, world.topic, {0: 70})

    first, second = world.audit(), world.audit_twice()

    assert ranges(first) == [(30, 40, "pending", "suspected"), (60, 70, "pending", "suspected")]
    assert (second.verdict, ranges(second)) == (
        "loss", [(30, 40, "missing", "expired"), (60, 70, "missing", "expired")]
    )  # fmt: skip


def test_a_hole_that_the_log_start_has_passed_in_part_has_two_answers(world: World) -> None:
    world.produce(100)
    world.write_index(losing=range(30, 50))
    delete_records(world.bootstrap, world.topic, {0: 35})

    report = world.audit_twice()

    assert ranges(report) == [(30, 35, "missing", "expired"), (35, 50, "missing", "repairable")]


def test_markers_that_the_log_start_has_passed_unseen_are_not_called_a_loss(world: World) -> None:
    producer = world.transactional("a")
    for _ in range(3):
        world.send(producer, 4)
        producer.commit_transaction(30)
    world.settled_at(15)
    world.write_index()
    delete_records(world.bootstrap, world.topic, {0: 8})

    report = world.audit_twice()

    assert report.verdict == "undetermined"
    assert ranges(report) == [
        (4, 5, "unknown", "unproven"), (9, 10, "explained", "control-marker"), (14, 15, "explained", "control-marker")
    ]  # fmt: skip


def test_records_removed_while_they_are_read_are_expired(world: World) -> None:
    world.produce(100)
    world.write_index(losing=range(40, 60))

    def remove() -> None:
        delete_records(world.bootstrap, world.topic, {0: 50})

    report = world.audit_twice(reader=Meddling(world, remove))

    assert ranges(report) == [(40, 50, "missing", "expired"), (50, 60, "missing", "repairable")]


def test_a_topic_recreated_while_it_is_read_leaves_nothing_of_the_reading(world: World) -> None:
    world.produce(20)
    world.write_index(losing=[5])

    def recreate() -> None:
        delete_topic(world.bootstrap, world.topic)
        create_topic(world.bootstrap, world.topic, 1)

    report = world.audit(reader=Meddling(world, recreate))

    assert (report.verdict, ranges(report)) == ("undetermined", [(5, 6, "unknown", "incarnation")])


def test_an_empty_partition_beside_a_transactional_one_is_complete(
    broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path
) -> None:
    world = World(broker.bootstrap_servers, topic_name(), tmp_path, partitions=3)
    producer = world.transactional("a")
    world.send(producer, 5, partition=1)
    producer.commit_transaction(30)
    world.send(producer, 3, partition=2)  # of this partition nothing will ever be indexed
    producer.abort_transaction(30)
    world.settled_at(6, 1)
    world.settled_at(4, 2)
    world.write_index(partition=1)

    report = world.audit()

    assert (report.verdict, [one.verdict for one in report.partitions]) == ("complete", ["complete"] * 3)
    assert ranges(report, 2) == [(0, 3, "explained", "aborted"), (3, 4, "explained", "control-marker")]


def test_a_broker_killed_in_the_middle_of_the_reading_leaves_holes_unknown(
    tmp_path: Path, java: Java, kafka_jars: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with KafkaBroker(tmp_path / "broker", java, kafka_jars) as own:
        world = World(own.bootstrap_servers, "t", tmp_path / "index")
        world.produce(40_000, size=1000)
        world.write_index(losing=range(5_000, 35_000))
        process = own.process
        assert process is not None

        class Killing(Consumer):
            def poll(self, timeout: float) -> Any:  # type: ignore[override]  # the only way it is called here
                message = super().poll(timeout)
                if message is not None and process.poll() is None:
                    process.stop(0)
                return message

        monkeypatch.setattr(plain_consumer, "Consumer", Killing)
        request = {
            "reader": KafkaHoleReader(own.bootstrap_servers, {}, patience=3),
            "broker": KafkaBook(own.bootstrap_servers, {}, timeout=5),
        }

        report = world.audit(**request)

        assert process.poll() is not None
        assert ranges(report) == [(5_000, 35_000, "unknown", "broker-unreachable")]
        assert report.verdict == "undetermined"


def test_records_that_may_not_be_read_are_unknown_with_the_right_that_is_lacking(
    tmp_path: Path, java: Java, kafka_jars: list[Path]
) -> None:
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with KafkaBroker(tmp_path / "broker", java, kafka_jars, properties=properties) as own:
        world = World(own.bootstrap_servers, "t", tmp_path / "index")
        world.produce(20)
        producer = world.transactional("a")
        world.send(producer, 4)
        producer.commit_transaction(30)
        world.settled_at(25)
        world.write_index(losing=[7])
        grant(own, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
        deny_groups(own)

        unread = world.audit_twice(group=None)
        grant(own, AclOperation.READ)
        least = world.audit_twice(group=None)

        assert ranges(unread) == [(7, 8, "unknown", "unresolved")]
        assert "grant Read on the topic" in evidence(unread)
        assert unread.verdict == "undetermined"
        assert ranges(least) == [(7, 8, "missing", "repairable"), (24, 25, "explained", "control-marker")]


def grant(broker: KafkaBroker, *operations: AclOperation) -> None:
    """Once a topic has a rule, only what is granted is allowed."""
    acl(broker, ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, AclPermissionType.ALLOW, *operations)


def deny_groups(broker: KafkaBroker) -> None:
    acl(broker, ResourceType.GROUP, "lineage-", ResourcePatternType.PREFIXED, AclPermissionType.DENY, AclOperation.ALL)


def acl(
    broker: KafkaBroker, kind: ResourceType, name: str, pattern: ResourcePatternType,
    permission: AclPermissionType, *operations: AclOperation,
) -> None:  # fmt: skip
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    bindings = [AclBinding(kind, name, pattern, "User:*", "*", one, permission) for one in operations]
    for done in admin.create_acls(bindings).values():
        done.result(30)
    wanted = AclBindingFilter(kind, name, pattern, None, None, AclOperation.ANY, permission)
    eventually(lambda: len(admin.describe_acls(wanted).result(30)) >= len(operations), lambda: f"no rules for {name}")


def test_thousands_of_markers_are_read_in_one_go(world: World) -> None:
    producer = world.transactional("a")
    for _ in range(400):
        world.send(producer, 2)
        producer.commit_transaction(30)
    world.settled_at(1200)
    world.write_index()

    report = world.audit()

    assert (report.verdict, report.totals["explained"], report.totals["actual"]) == ("complete", 400, 800)


def test_what_the_budget_does_not_reach_is_unknown_and_taken_up_next_time(world: World) -> None:
    world.produce(5_000)
    world.write_index(losing=[*range(1000, 1010), *range(3000, 3010)])

    report = world.audit(budget=HoleBudget(ranges=1))

    assert ranges(report) == [(1000, 1010, "pending", "suspected"), (3000, 3010, "unknown", "budget")]
    assert ranges(world.audit_twice()) == [
        (1000, 1010, "missing", "repairable"), (3000, 3010, "missing", "repairable")
    ]  # fmt: skip


def test_the_command_finds_the_loss_with_one_call_that_waits(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(20)
    world.write_index(losing=[7])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lineage.yaml").write_text(
        f"kafka: {{bootstrap_servers: '{world.bootstrap}'}}\nlake: {tmp_path}\n"
        f"topics: [{{name: {world.topic}, settle: 1, paths: {{offset_index: {world.root}}}}}]\n"
    )

    done = CliRunner().invoke(audit_command, ["--json", "--wait"], catch_exceptions=False)

    report = json.loads(done.stdout)
    assert (done.exit_code, report["verdict"]) == (1, "loss")
    assert [(one["start"], one["end"], one["cause"]) for one in report["partitions"][0]["ranges"]] == [
        (7, 8, "repairable")
    ]


class Meddling:
    """A reader whose broker has something happen to it once, between the reading and the look after it."""

    def __init__(self, world: World, meddle: Callable[[], object]) -> None:
        self._reader = KafkaHoleReader(world.bootstrap, {})
        self._meddle = meddle

    def read(self, topic: str, rounds: Any, isolation: Any, budget: HoleBudget) -> tuple[Scan, ...]:
        scans = self._reader.read(topic, rounds, isolation, budget)
        self._meddle()
        self._meddle = lambda: None
        return scans
