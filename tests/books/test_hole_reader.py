"""Reading holes again from a real broker: how far a pass counts, and that nothing jumps, joins or commits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from lineage_pipeline.books.hole_reader import KafkaHoleReader, _Progress
from lineage_pipeline.books.plain_consumer import stop_of
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import FoundRun, HoleBudget, Scan, Window
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.errors import BrokerError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.topics import create_topic, delete_records
from tests.books.test_kafka_offsets import eventually, look, produce

RC: Isolation = "read_committed"
RU: Isolation = "read_uncommitted"


def window(start: int, end: int, *holes: tuple[int, int], partition: int = 0, tail: bool = False) -> Window:
    return Window(partition, OffsetRange(start, end), RangeSet.of(*(holes or ((start, end),))), tail)


def read(bootstrap: str, topic: str, *windows: Window, budget: HoleBudget | None = None, **props: str) -> list[Scan]:
    """One window per round."""
    properties = {name.replace("_", "."): SecretStr(value) for name, value in props.items()}
    reader = KafkaHoleReader(bootstrap, properties, patience=10)
    return list(reader.read(topic, [(one,) for one in windows], RC, budget or HoleBudget()))


def spans(scan: Scan) -> list[tuple[int, int]]:
    return [(run.start, run.end) for run in scan.found]


@pytest.fixture
def topic(broker: KafkaBroker, topic_name: Callable[[], str]) -> str:
    name = topic_name()
    create_topic(broker.bootstrap_servers, name, 2)
    return name


@pytest.mark.e2e
def test_only_records_at_holes_are_found_and_a_loss_needs_no_second_pass(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 100)

    (scan,) = read(broker.bootstrap_servers, topic, window(10, 60, (10, 12), (20, 21), (55, 60)))

    assert (scan.isolation, scan.reached, scan.stopped) == (RC, 60, None)
    assert spans(scan) == [(10, 12), (20, 21), (55, 60)]
    assert scan.found[0].first_timestamp is not None


@pytest.mark.e2e
def test_the_second_pass_reads_what_the_first_one_passed_without_a_record(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 3)
    produce(broker, topic, 0, 4, transactional_id=topic).abort_transaction(30)
    eventually(lambda: look(broker, topic) == (8, 8), "no marker")

    first, second = read(broker.bootstrap_servers, topic, window(0, 8, (1, 2), (3, 8)))

    assert (first.isolation, spans(first), first.stopped) == (RC, [(1, 2)], None)
    assert (second.isolation, second.range, spans(second), second.stopped) == (RU, OffsetRange(3, 8), [(3, 7)], None)


@pytest.mark.e2e
def test_an_open_transaction_ends_the_committed_pass_at_the_last_stable_offset(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 3)
    producer = produce(broker, topic, 0, 4, transactional_id=topic)

    (scan,) = read(broker.bootstrap_servers, topic, window(1, 7, (3, 7)))
    producer.abort_transaction(30)

    assert scan.reached == 3
    assert scan.stopped is not None
    assert scan.stopped.cause == "unresolved"
    assert "last stable offset is 3" in scan.stopped.text


@pytest.mark.e2e
def test_a_pass_that_begins_below_the_log_start_stops_and_does_not_jump(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 50)
    delete_records(broker.bootstrap_servers, topic, {0: 20})

    (scan,) = read(broker.bootstrap_servers, topic, window(5, 40), auto_offset_reset="earliest")

    assert (scan.reached, scan.found) == (5, ())
    assert scan.stopped is not None
    assert scan.stopped.cause == "unresolved"


@pytest.mark.e2e
def test_settings_of_the_user_cannot_change_what_a_pass_proves(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 3)
    produce(broker, topic, 0, 4, transactional_id=topic).abort_transaction(30)
    eventually(lambda: look(broker, topic) == (8, 8), "no marker")
    careless = {"isolation_level": "read_uncommitted", "enable_partition_eof": "false", "check_crcs": "false"}

    first, second = read(broker.bootstrap_servers, topic, window(3, 8), **careless)

    assert (spans(first), spans(second)) == ([], [(3, 7)])


@pytest.mark.e2e
def test_a_tail_is_read_up_to_its_first_record(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 2, transactional_id=topic).abort_transaction(30)
    eventually(lambda: look(broker, topic) == (3, 3), "no marker")
    produce(broker, topic, 0, 50)

    first, second = read(broker.bootstrap_servers, topic, window(0, 53, tail=True))

    assert (first.range, spans(first), first.stopped) == (OffsetRange(0, 4), [(3, 4)], None)
    assert (second.range, spans(second), second.stopped) == (OffsetRange(0, 3), [(0, 2)], None)


@pytest.mark.e2e
def test_partitions_of_a_round_are_read_side_by_side_and_one_that_is_not_there_stops_alone(
    broker: KafkaBroker, topic: str
) -> None:
    for partition in (0, 1):
        produce(broker, topic, partition, 10)
    reader = KafkaHoleReader(broker.bootstrap_servers, {}, patience=10)
    side_by_side = tuple(window(2, 5, partition=number) for number in (0, 1, 7))

    found = {scan.partition: scan for scan in reader.read(topic, [side_by_side], RC, HoleBudget())}

    assert (spans(found[0]), spans(found[1])) == ([(2, 5)], [(2, 5)])
    assert found[7].reached == 2
    assert found[7].stopped is not None


@pytest.mark.e2e
def test_a_budget_of_bytes_stops_both_levels_somewhere_and_later_windows_are_not_read(
    broker: KafkaBroker, topic: str
) -> None:
    produce(broker, topic, 0, 20_000, transactional_id=topic).abort_transaction(30)
    eventually(lambda: look(broker, topic) == (20_001, 20_001), "no marker")

    scans = read(
        broker.bootstrap_servers, topic, window(0, 15_000), window(15_000, 20_000), budget=HoleBudget(bytes=400_000)
    )

    first, second = scans
    assert (first.isolation, first.stopped) == (RC, None)  # a reader of committed records is handed none
    assert second.isolation == RU
    assert 0 < second.reached < 15_000
    assert second.stopped is not None
    assert second.stopped.cause == "budget"
    assert spans(second) == [(0, second.reached)]


@pytest.mark.e2e
def test_a_reading_leaves_no_group_behind(broker: KafkaBroker, topic: str) -> None:
    produce(broker, topic, 0, 10)
    read(broker.bootstrap_servers, topic, window(2, 5))

    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})  # held: its requests go with it
    listed = admin.list_consumer_groups().result(30)

    assert listed.errors == []
    assert not [one.group_id for one in listed.valid if one.group_id.startswith("lineage-audit")]


@pytest.mark.e2e
def test_a_batch_whose_checksum_does_not_fit_ends_the_pass(tmp_path: Path, java: Java, kafka_jars: list[Path]) -> None:
    with KafkaBroker(tmp_path, java, kafka_jars) as own:
        create_topic(own.bootstrap_servers, "t", 1)
        for text in ("first", "second", "third"):
            producer = Producer({"bootstrap.servers": own.bootstrap_servers})
            for _ in range(10):
                producer.produce("t", text, partition=0)
            assert producer.flush(30) == 0
    segment = tmp_path / "data" / "t-0" / "00000000000000000000.log"
    content = segment.read_bytes()
    assert content.count(b"second") == 10
    segment.write_bytes(content.replace(b"second", b"sEcond", 1))

    with KafkaBroker(tmp_path, java, kafka_jars) as again:
        (scan, *rest) = read(again.bootstrap_servers, "t", window(5, 30))

    assert (scan.reached, spans(scan)) == (10, [(5, 10)])
    assert scan.stopped is not None
    assert scan.stopped.cause == "unresolved"
    assert rest == []


def test_a_broker_that_is_not_there_stops_every_window_and_raises_nothing(unused_port: int) -> None:
    reader = KafkaHoleReader(f"127.0.0.1:{unused_port}", {}, patience=1)
    rounds = [(window(0, 5), window(3, 9, partition=1)), (window(10, 20),), (window(30, 40),)]

    scans = reader.read("t", rounds, RC, HoleBudget())

    assert len(scans) == 4
    for scan in scans:
        assert scan.stopped is not None
        assert (scan.stopped.cause, scan.reached) == ("broker-unreachable", scan.range.start)
        assert f"127.0.0.1:{unused_port}" in scan.stopped.text


def test_no_time_left_means_nothing_is_read(unused_port: int) -> None:
    reader = KafkaHoleReader(f"127.0.0.1:{unused_port}", {})
    assert reader.read("t", [(window(0, 5),)], RC, HoleBudget(seconds=0)) == ()


def test_properties_that_no_client_takes_are_an_error_without_their_values(unused_port: int) -> None:
    properties = {"security.protocol": SecretStr("correct-horse-battery")}
    with pytest.raises(BrokerError) as refused:
        KafkaHoleReader(f"127.0.0.1:{unused_port}", properties).read("t", [(window(0, 5),)], RC, HoleBudget())
    assert "correct-horse" not in str(refused.value)


@dataclass
class Record:
    """As much of a message as a pass looks at."""

    at: int
    epoch: int | None = None

    def offset(self) -> int:
        return self.at

    def leader_epoch(self) -> int | None:
        return self.epoch

    def timestamp(self) -> tuple[int, int]:
        return (0, -1)


def progress(*records: Record) -> _Progress:
    one = _Progress(window(10, 20), RC)
    for record in records:
        one.record(record)
    return one


def test_a_leader_epoch_that_falls_leaves_nothing_of_the_pass() -> None:
    one = progress(Record(10, 5), Record(11, None), Record(12, 4))
    scan = one.scan()
    assert (scan.reached, scan.found) == (10, ())
    assert scan.stopped is not None
    assert scan.stopped.cause == "incarnation"
    assert "from 5 to 4 at offset 12" in scan.stopped.text


def test_an_offset_that_comes_again_ends_the_pass() -> None:
    scan = progress(Record(10), Record(14), Record(12)).scan()
    assert scan.reached == 15
    assert scan.stopped is not None


def test_a_record_behind_the_window_completes_it() -> None:
    scan = progress(Record(12), Record(25)).scan()
    assert (scan.reached, scan.stopped, scan.found) == (20, None, (FoundRun(12, 13),))


def test_the_end_of_the_log_completes_a_window_only_from_its_end_on() -> None:
    behind, within = progress(Record(12)), progress(Record(12))
    behind.end_of_log(20)
    within.end_of_log(19)
    assert (behind.scan().reached, behind.scan().stopped) == (20, None)
    assert within.scan().reached == 19
    assert within.scan().stopped is not None


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (KafkaError._TRANSPORT, "broker-unreachable"),
        (KafkaError._AUTO_OFFSET_RESET, "unresolved"),
        (KafkaError._BAD_MSG, "unresolved"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "unresolved"),
    ],
)
def test_an_error_is_told_by_its_name_alone(code: int, cause: str) -> None:
    stop = stop_of(KafkaError(code, "s3cret"))
    assert stop.cause == cause
    assert "s3cret" not in stop.text
