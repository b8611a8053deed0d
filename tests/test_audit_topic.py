"""The audit of a directory and a broker: order of looking, faults of every book, the second look, the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.audit_topic import AuditRequest, audit_request, audit_topic, audit_twice, index_path, store_report
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.object_store import ObjectInfo, open_store
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import UsageError
from lineage_pipeline.settings import load_settings
from tests.books.index_files import ORIGINAL_SCHEMA, day, parquet, put, run
from tests.books.model_broker import ModelBroker, ModelPartition

TOPIC = "lineage-input"


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def request_of(root: Path, broker: ModelBroker | None = None, **rules: Any) -> AuditRequest:
    return AuditRequest(IndexPath(open_store(str(root), {}), TOPIC), broker, "g", AuditRules(**rules))


def broker_with(end: int, **changed: Any) -> ModelBroker:
    return ModelBroker({TOPIC: {0: ModelPartition(end, **changed)}})


def classes(report: AuditReport) -> list[tuple[int, int, int, str, str | None]]:
    return [
        (one.partition, ranged.range.start, ranged.range.end, ranged.range_class, ranged.cause)
        for one in report.partitions
        for ranged in one.ranges
    ]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    put(tmp_path, day(TOPIC, "part-1"), parquet([run(0, 0, 10)]))
    put(tmp_path, day(TOPIC, "part-2"), parquet([run(0, 10, 20)]))
    return tmp_path


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    put(tmp_path, day(TOPIC, "part-1"), parquet([run(0, 0, 10), run(0, 12, 20)]))
    return tmp_path


def test_a_whole_topic_is_complete_with_and_without_the_broker(whole: Path, clock: Clock) -> None:
    assert audit_topic(request_of(whole), clock).verdict == "complete"
    report = audit_topic(request_of(whole, broker_with(20)), clock)
    assert (report.verdict, report.cluster_id, report.topic_id) == ("complete", "cluster-1", "topic-1")
    assert report.books == {"index": "read", "broker": "read", "lake": "not-consulted"}


def test_the_index_is_listed_before_the_broker_is_asked(whole: Path, clock: Clock) -> None:
    # otherwise a row that came in between would lie above the log's end, which looks like a truncated log
    broker = broker_with(20)

    def write() -> None:
        put(whole, day(TOPIC, "part-3"), parquet([run(0, 20, 30)]))

    broker.on_look = write
    assert audit_topic(request_of(whole, broker), clock).verdict == "complete"


@pytest.mark.parametrize("books", ["index", "index,broker"])
def test_nothing_to_look_at_is_never_complete(tmp_path: Path, clock: Clock, books: str) -> None:
    broker = broker_with(0) if "broker" in books else None
    missing = audit_topic(request_of(tmp_path / "nowhere", broker), clock)
    assert (missing.verdict, missing.exit_code, missing.books["index"]) == ("undetermined", 3, "unreadable")
    job_never_ran = audit_topic(request_of(tmp_path, broker_with(7) if broker else None), clock)
    assert (job_never_ran.verdict, job_never_ran.exit_code) == ("undetermined", 3)


def test_an_unknown_topic_and_a_broker_that_is_down_are_never_complete(whole: Path, clock: Clock) -> None:
    down = broker_with(20)
    down.down = True
    for broker in (down, ModelBroker()):
        report = audit_topic(request_of(whole, broker), clock)
        assert (report.verdict, report.exit_code, report.books["broker"]) == ("undetermined", 3, "unreadable")
        assert "broker" in report.problems[0]


@pytest.mark.parametrize("answer", [(-1001, -1001, -1001), (0, -1001, 20), (0, 20, -1), (0, 20, 5), (25, 20, 20)])
def test_a_senseless_answer_of_the_broker_is_never_complete(
    whole: Path, clock: Clock, answer: tuple[int, int, int]
) -> None:
    report = audit_topic(request_of(whole, broker_with(20, answer=answer)), clock)
    assert report.verdict == "undetermined"
    assert report.problems


def test_an_empty_topic_is_complete_on_the_brokers_word_only(tmp_path: Path, clock: Clock) -> None:
    assert audit_topic(request_of(tmp_path, broker_with(0)), clock).verdict == "complete"
    assert audit_topic(request_of(tmp_path), clock).verdict == "undetermined"


def test_a_job_dead_for_longer_than_max_delay_is_never_complete(whole: Path, clock: Clock) -> None:
    clock.wait(1000)
    assert audit_topic(request_of(whole, broker_with(50), max_delay=900), clock).verdict == "undetermined"
    assert audit_topic(request_of(whole, broker_with(20), max_delay=900), clock).verdict == "complete"


def test_as_many_lost_as_doubled_is_found_exactly(tmp_path: Path, clock: Clock) -> None:
    put(tmp_path, day(TOPIC, "part-1"), parquet([run(9, 0, 1900), run(9, 2200, 3000), run(9, 100, 400)]))
    report = audit_topic(request_of(tmp_path), clock)
    assert classes(report) == [(9, 100, 400, "duplicated", None), (9, 1900, 2200, "missing", "unresolved")]
    assert (report.totals["duplicated"], report.totals["missing"], report.exit_code) == (300, 300, 1)


def test_a_hole_gets_a_second_look_not_before_the_settle_time_is_over(holed: Path, clock: Clock) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        clock.wait(min(seconds, 25))  # a wait that returns early must not count

    broker = broker_with(20)
    report = audit_twice(request_of(holed, broker, settle=60.0), clock, wait)
    assert broker.looks == 2
    assert waits == [60, 35, 10]
    assert (report.state, classes(report)) == ("continued", [(0, 10, 12, "unknown", "unresolved")])


def test_without_a_hole_there_is_one_look(whole: Path, clock: Clock) -> None:
    broker = broker_with(20)
    assert audit_twice(request_of(whole, broker), clock, clock.wait).verdict == "complete"
    assert broker.looks == 1


def test_a_hole_that_closes_between_the_looks_is_complete(holed: Path, clock: Clock) -> None:
    def wait(seconds: float) -> None:
        put(holed, day(TOPIC, "late"), parquet([run(0, 10, 12)]))
        clock.wait(seconds)

    assert audit_twice(request_of(holed, broker_with(20)), clock, wait).verdict == "complete"


def test_the_original_format_in_any_layout_is_audited(tmp_path: Path, clock: Clock) -> None:
    put(tmp_path, "year=2026/x/part-1", parquet([run(0, 0, 10), run(0, 10, 20, record_count=8)], ORIGINAL_SCHEMA))
    report = audit_topic(request_of(tmp_path), clock)
    assert (report.verdict, classes(report)) == ("loss", [(0, 10, 20, "unknown", "inexact-window")])
    with_broker = audit_topic(request_of(tmp_path, broker_with(20)), clock)
    assert with_broker.verdict == "undetermined"


def test_a_refused_file_is_named_and_leaves_its_neighbours_holes_unknown(holed: Path, clock: Clock) -> None:
    put(holed, day(TOPIC, "part-9"), b"PAR1")
    report = audit_topic(request_of(holed), clock)
    assert (report.verdict, classes(report)) == ("undetermined", [(0, 10, 12, "unknown", "index-unreadable")])
    assert day(TOPIC, "part-9") in report.problems[0]


def test_a_listing_that_breaks_off_is_no_listing(whole: Path, clock: Clock) -> None:
    (whole / "kafka_topic=lineage-input" / "broken").symlink_to(whole / "gone")
    report = audit_topic(request_of(whole), clock)
    assert (report.verdict, report.books["index"]) == ("undetermined", "unreadable")


def test_a_file_that_vanishes_after_the_listing_is_named(whole: Path, clock: Clock) -> None:
    request = request_of(whole)

    class Vanishing:
        uri, in_flight = str(whole), 1

        def exists(self) -> bool:
            return True

        def list(self, prefix: str = "", *, hidden: bool = False) -> Iterator[ObjectInfo]:
            yield from request.index.store.list(prefix, hidden=hidden)
            if not prefix:
                yield ObjectInfo(day(TOPIC, "part-9"), 100, None, 0.0)

        def get(self, key: str) -> bytes:
            return request.index.store.get(key)

        def put(self, key: str, data: bytes) -> None:  # noqa: ARG002 - the port's signature
            raise AssertionError("an audit writes nothing to the index")

    report = audit_topic(AuditRequest(IndexPath(Vanishing(), TOPIC)), clock)
    assert report.verdict == "undetermined"
    assert "part-9" in report.problems[0]


def test_the_report_is_stored_as_json(whole: Path, tmp_path: Path, clock: Clock) -> None:
    report = audit_topic(request_of(whole), clock)
    key = store_report(open_store(str(tmp_path / "audit"), {}), report)
    assert key == f"kafka_topic={TOPIC}/latest.json"
    assert json.loads((tmp_path / "audit" / key).read_text()) == report.to_json()


@pytest.mark.parametrize("books", [["broker"], [], ["lake"], ["index", "brokr"]])
def test_books_that_cannot_be_audited_by_are_refused(books: list[str]) -> None:
    settings = load_settings({})
    with pytest.raises(UsageError, match="index"):
        audit_request(settings, settings.topic(), books)


def test_the_request_follows_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "lineage.yaml"
    config.write_text(
        "lake: /lake\n"
        "checkpoint_interval: 5\n"
        "topics:\n"
        "  - {name: a, baseline: {0: 7}, isolation: read_uncommitted, max_delay: 50, quarantine_limit: 0.05}\n"
        "  - {name: b, settle: 33, paths: {offset_index: /elsewhere}}\n"
    )
    settings = load_settings({}, config)
    first, second = (audit_request(settings, topic, ["index"]) for topic in settings.topics)
    assert first.rules == AuditRules(15.0, 50, {0: 7}, "read_uncommitted", 0.05)
    assert (second.rules.settle, second.broker) == (33.0, None)
    assert index_path(settings, settings.topic("a")).sole


def run_audit(root: Path, *arguments: str, **environ: str) -> Any:
    environment = {"OFFSET_INDEX_PATH": str(root), "AUDIT_PATH": str(root / ".audit"), **environ}
    return CliRunner().invoke(audit_command, list(arguments), env=environment)


@pytest.fixture(autouse=True)
def away_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file of the developer's, no variables of the machine's."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA_TOPIC", "LINEAGE_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def test_the_command_prints_one_json_object_and_the_verdicts_exit_code(whole: Path) -> None:
    done = run_audit(whole, "--books", "index", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["verdict"] == "complete"
    put(whole, day(TOPIC, "part-3"), parquet([run(0, 25, 30)]))
    assert run_audit(whole, "--books", "index", "--json").exit_code == 1
    assert run_audit(whole / "nowhere", "--books", "index", "--json").exit_code == 3


def test_the_command_prints_a_table_a_map_and_a_sentence_per_range(holed: Path) -> None:
    put(holed, day(TOPIC, "part-2"), parquet([run(0, 3, 5), run(1, 0, 1)]))
    done = run_audit(holed, "--books", "index")
    assert done.exit_code == 1
    assert "lineage-input: LOSS" in done.stdout
    assert "partition 0: offsets 10 to 11 (2) are missing (unresolved)" in done.stdout
    assert "partition 0: offsets 3 to 4 (2) are duplicated" in done.stdout
    map_line = next(line for line in done.stdout.splitlines() if line.split()[:2] == ["0", "0"])
    assert map_line.split()[2].count("X") == 2
    assert map_line.split()[2].count("2") == 2


def test_the_command_can_keep_its_report(whole: Path) -> None:
    assert run_audit(whole, "--books", "index", "--store").exit_code == 0
    assert (whole / ".audit" / f"kafka_topic={TOPIC}" / "latest.json").is_file()


def test_a_word_that_is_no_book_is_a_usage_error(whole: Path) -> None:
    assert isinstance(run_audit(whole, "--books", "indx").exception, UsageError)


def test_a_broker_that_is_not_there_leaves_the_default_audit_undetermined(whole: Path) -> None:
    done = run_audit(whole, "--json", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["books"]["broker"] == "unreadable"


def test_hundreds_of_partitions_and_ranges_are_summed_up(tmp_path: Path) -> None:
    rows = [run(number, 0, 10) for number in range(200)]
    rows += [run(0, start, start + 1) for start in range(12, 400, 2)]
    put(tmp_path, day(TOPIC, "part-1"), parquet(rows))
    done = run_audit(tmp_path, "--books", "index")
    assert done.exit_code == 1
    assert "199 further partitions are complete" in done.stdout
    assert "further ranges" in done.stdout
