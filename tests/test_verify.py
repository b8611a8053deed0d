"""Comparing by value as a whole: wrong values, broken pages, expired records, and what later audits say of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.core.value_comparison import Window
from lineage_pipeline.core.verification import Verification
from lineage_pipeline.errors import BrokerError, StoreError
from lineage_pipeline.verify import keep, verify_range, verify_sample
from lineage_pipeline.verify_scene import VerifyRequest
from tests.books.model_broker import ModelPartition
from tests.repair_world import BAD, MARKER, SETTLE, TOPIC, ModelRangeReader, RepairWorld, payload

RECORDS = 40


@pytest.fixture
def world() -> RepairWorld:
    """Everything is in the lake, in two files a table; a bad record and a marker are among it."""
    log: list[Any] = [payload(f"t{number}", number) for number in range(RECORDS)]
    log[7], log[8], log[30] = BAD, MARKER, None
    made = RepairWorld({0: log})
    made.wrote((0, 0, 20), name="part-1")
    made.wrote((0, 20, RECORDS), name="part-2")
    assert made.audit().verdict == "complete"
    return made


def request(world: RepairWorld) -> VerifyRequest:
    audit = world.audit_request
    assert audit.lake is not None
    assert audit.plan is not None
    return VerifyRequest(
        audit.index,
        audit.lake,
        world.broker,
        ModelRangeReader(world),
        world.request().lake.schema,
        "read_committed",
        audit.plan.state,
        audit.rules,
    )


def verify(
    world: RepairWorld, start: int = 0, end: int = RECORDS, wait: Callable[[float], None] | None = None
) -> Verification:
    asked = replace(request(world), wait=wait)
    return keep(asked, verify_range(asked, Window(0, OffsetRange(start, end)), lambda: world.now))


def commit_while_looking(world: RepairWorld, *, late: bool = False) -> Callable[[float], None]:
    """Once the lake is listed, the job commits five more records; `late`: those of data when the result is called."""
    world.log[0] += [payload(f"t{number}", number) for number in range(RECORDS, RECORDS + 5)]
    world.broker.partitions[TOPIC][0] = ModelPartition(RECORDS + 5)
    data = world.stores["output"]
    held: dict[str, bytes] = {}

    def commit() -> None:
        world.broker.on_look = lambda: None
        world.wrote((0, RECORDS, RECORDS + 5), name="part-3")
        if late:
            held.update({one: data.objects.pop(one)[0] for one in [*data.objects] if one.endswith("part-3")})

    def arrive(seconds: float) -> None:
        world.pass_time(seconds)
        for key, content in held.items():
            data.place(key, content)

    world.broker.on_look = commit
    return arrive


def rewrite(world: RepairWorld, name: str, **columns: Any) -> None:
    """Change values in a data file behind everybody's back: same size is not needed, the listing sees it."""
    key = next(one for one in world.stores["output"].objects if one.endswith(name))
    table = pq.read_table(io.BytesIO(world.stores["output"].objects[key][0]), partitioning=None)
    rows = table.to_pylist()
    for place, changes in columns.items():
        rows[int(place.removeprefix("row"))] |= changes
    buffer = io.BytesIO()
    pq.write_table(table.from_pylist(rows, schema=table.schema), buffer, compression="zstd", write_page_checksum=True)
    world.stores["output"].place(key, buffer.getvalue())


def flip(world: RepairWorld, name: str, column: str) -> None:
    """One bit of a page of that column, with size, time and tag as they were."""
    store = world.stores["output"]
    key = next(one for one in store.objects if one.endswith(name))
    data, tag, moment = store.objects[key]
    metadata = pq.read_metadata(io.BytesIO(data)).row_group(0)
    chunks = [metadata.column(number) for number in range(metadata.num_columns)]
    chunk = next(one for one in chunks if one.path_in_schema == column)
    at = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 3
    store.objects[key] = (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], tag, moment)


def test_right_records_are_right_in_both_tables(world: RepairWorld) -> None:
    found = verify(world)
    assert (found.verdict, found.records, found.objects) == ("complete", RECORDS - 1, 3)
    told = {one.kind: one for one in world.audit().findings}
    assert "39 records were compared with Kafka by value" in told["verified"].text


def test_a_sample_is_drawn_again_by_its_seed(world: RepairWorld) -> None:
    one, other = (verify_sample(request(world), 10, 5, lambda: world.now) for _ in range(2))
    assert one == other
    assert (one.verdict, one.seed) == ("complete", 5)
    assert 0 < one.records <= 60


def test_a_changed_value_is_found_told_by_later_audits_and_cleared_by_a_later_comparison(world: RepairWorld) -> None:
    rewrite(world, "part-1", row3={"text": "other"}, row4={"n": None})
    found = verify(world)
    assert (found.verdict, found.exit_code) == ("loss", 1)
    assert [(one.offset, one.kind, one.text[:4]) for one in found.differences] == [
        (3, "value", "text"),
        (4, "value", "n in"),
    ]
    assert "other" not in str(found.to_json()["differences"])
    report = world.audit()
    assert report.verdict == "undetermined"
    assert {one.kind: one.data.get("ranges") for one in report.findings}["values-differ"] == [[3, 5]]
    assert world.plan().plan.obstacles == ()
    verify(world, 10, 20)
    assert world.audit().verdict == "undetermined"
    rewrite(world, "part-1", row3={"text": "t3"}, row4={"n": 4})
    assert verify(world, 0, 5).verdict == "complete"
    assert world.audit().verdict == "complete"


def test_a_corrupt_page_is_found_though_no_listing_shows_it_and_then_repaired(world: RepairWorld) -> None:
    world.stop_job()
    flip(world, "part-2", "text")
    assert world.audit().verdict == "complete"
    found = verify(world, 25, 26)
    assert [(one.table, one.key[-6:]) for one in found.broken] == [("data", "part-2")]
    assert (found.verdict, found.differences) == ("loss", ())
    world.seen_twice()
    assert world.audit().totals["damaged"] == 20
    world.repair()
    assert world.audit().verdict == "complete"
    assert verify(world).verdict == "complete"


def test_what_kafka_has_removed_is_unknown_and_said(world: RepairWorld) -> None:
    world.broker.partitions[TOPIC][0] = ModelPartition(RECORDS, start=15)
    found = verify(world, 10, 20)
    assert (found.verdict, found.records) == ("undetermined", 5)
    assert [(str(one.range), one.why) for one in found.unknown] == [("[10, 15)", "expired: Kafka has removed them")]


def test_a_range_beyond_the_log_is_unknown(world: RepairWorld) -> None:
    found = verify(world, 35, 60)
    assert (found.verdict, found.records, str(found.unknown[0].range)) == ("undetermined", 5, "[40, 60)")
    assert "ends at 40" in found.unknown[0].why


def test_a_range_far_beyond_everything_is_one_unknown_range_and_ends(world: RepairWorld) -> None:
    found = verify(world, 0, MAX_END - 1)
    assert (found.verdict, found.records) == ("undetermined", RECORDS - 1)
    assert [(str(one.range), one.why) for one in found.unknown] == [(f"[40, {MAX_END - 1})", "Kafka's log ends at 40")]


def test_a_range_far_below_everything_is_one_unknown_range_and_ends(world: RepairWorld) -> None:
    world.broker.partitions[TOPIC][0] = ModelPartition(MAX_END - 1, start=MAX_END - 1)
    found = verify(world, RECORDS, MAX_END - 1)
    assert (found.verdict, found.records) == ("undetermined", 0)
    assert [(str(one.range), one.why) for one in found.unknown] == [
        (f"[40, {MAX_END - 1})", "expired: Kafka has removed them")
    ]


def test_a_row_far_beyond_the_log_is_looked_at_and_makes_the_range_no_longer(world: RepairWorld) -> None:
    rewrite(world, "part-2", row19={"kafka_offset": 1 << 60})
    found = verify(world, 30, MAX_END - 1)
    assert [(str(one.range), one.why) for one in found.unknown] == [
        ("[39, 40)", found.unknown[0].why),
        (f"[40, {MAX_END - 1})", "Kafka's log ends at 40"),
    ]


def test_a_partition_of_which_the_broker_says_nothing_is_one_unknown_range(world: RepairWorld) -> None:
    world.broker.partitions[TOPIC][0] = ModelPartition(RECORDS, fault="leader not available")
    found = verify(world, 0, MAX_END - 1)
    assert [(str(one.range), one.why) for one in found.unknown] == [(f"[0, {MAX_END - 1})", "leader not available")]


def test_lost_and_foreign_rows_are_told(world: RepairWorld) -> None:
    key = next(one for one in world.stores["quarantine"].objects if one.endswith("part-1"))
    del world.stores["quarantine"].objects[key]
    rewrite(world, "part-1", row0={"kafka_offset": 8})
    found = verify(world, 0, 20, world.pass_time)
    assert [(one.offset, one.kind) for one in found.differences] == [(0, "absent"), (7, "absent"), (8, "foreign")]


def test_rows_that_the_job_commits_while_the_lake_is_looked_at_are_found_and_not_absent(world: RepairWorld) -> None:
    commit_while_looking(world)
    found = verify(world, 0, RECORDS + 5)
    assert (found.verdict, found.records, found.differences) == ("complete", RECORDS + 4, ())


def test_rows_whose_sink_is_behind_that_of_the_index_are_open_and_no_later_report_calls_them_wrong(
    world: RepairWorld,
) -> None:
    arrive = commit_while_looking(world, late=True)
    found = verify(world, 38, RECORDS + 5)
    assert (found.verdict, found.records, found.differences) == ("undetermined", 2, ())
    assert [str(one.range) for one in found.unknown] == ["[40, 45)"]
    assert "--wait" in found.unknown[0].why
    arrive(60)
    assert world.audit().verdict == "complete"
    assert verify(world, 38, RECORDS + 5).verdict == "complete"


def test_a_second_look_after_the_settle_time_finds_what_came_late_and_calls_absent_what_did_not(
    world: RepairWorld,
) -> None:
    arrive = commit_while_looking(world, late=True)
    before = world.now
    found = verify(world, 38, RECORDS + 5, world.pass_time)
    assert [(one.offset, one.kind) for one in found.differences] == [(one, "absent") for one in range(40, 45)]
    assert (found.verdict, found.records, found.verified_at, world.now - before) == (
        "loss",
        2,
        before,
        timedelta(seconds=SETTLE),
    )
    assert verify(world, 38, RECORDS + 5, arrive).verdict == "complete"


def test_what_is_not_in_the_index_is_not_waited_for(world: RepairWorld) -> None:
    world.log[0].append(payload("new", 1))
    world.broker.partitions[TOPIC][0] = ModelPartition(RECORDS + 1)
    before = world.now
    assert verify(world, 39, 41, world.pass_time).verdict == "undetermined"
    assert world.now == before


def test_an_index_that_cannot_be_read_makes_nothing_absent(world: RepairWorld) -> None:
    for key in [one for one in world.stores["output"].objects if one.endswith("part-2")]:
        del world.stores["output"].objects[key]
    asked = replace(request(world), wait=world.pass_time)

    def fail(operation: str, prefix: str) -> None:
        if operation == "list" and not prefix.endswith("_deployments"):
            raise StoreError("the bucket is away")

    world.stores["index"].before = fail
    found = verify_range(asked, Window(0, OffsetRange(25, 26)), lambda: world.now)
    assert (found.verdict, found.differences) == ("undetermined", ())
    assert "the offset index could not be read" in found.problems[-1]


def test_records_that_the_job_has_not_written_yet_are_open(world: RepairWorld) -> None:
    world.log[0].append(payload("new", 1))
    world.broker.partitions[TOPIC][0] = ModelPartition(RECORDS + 1)
    found = verify(world, 39, 41)
    assert (found.verdict, found.records) == ("undetermined", 1)
    assert "lineage audit" in found.unknown[0].why


def test_copies_with_the_same_values_are_right_and_counted(world: RepairWorld) -> None:
    world.wrote((0, 0, 5), name="part-3")
    found = verify(world, 0, 6)
    assert (found.verdict, sum(one.repeated for one in found.compared)) == ("complete", 5)


def test_a_broker_that_stops_answering_makes_right_nothing(world: RepairWorld) -> None:
    asked = request(world)
    scene = world.broker.snapshot(TOPIC)
    world.broker.snapshot = lambda *_: scene  # type: ignore[method-assign]
    world.broker.down = True
    found = verify_range(asked, Window(0, OffsetRange(0, 5)), lambda: world.now)
    assert (found.verdict, found.records) == ("undetermined", 0)


def test_a_topic_recreated_meanwhile_is_no_evidence(world: RepairWorld) -> None:
    asked = request(world)
    looks = world.broker.looks
    world.broker.on_look = lambda: (
        world.broker.topic_ids.update({TOPIC: "other"}) if world.broker.looks > looks + 1 else None
    )
    with pytest.raises(BrokerError, match="was recreated"):
        verify_range(asked, Window(0, OffsetRange(0, 5)), lambda: world.now)


def test_what_cannot_be_remembered_is_a_problem(world: RepairWorld) -> None:
    world.broker.topic_ids[TOPIC] = "other"
    found = verify(world, 0, 5)
    assert "no audit has seen this topic yet" in found.problems[-1]
    assert keep(replace(request(world), state=None), found) is found


def test_what_left_the_lake_by_retention_is_not_absent(world: RepairWorld) -> None:
    asked = request(world)
    asked = replace(asked, lake=replace(asked.lake, data_days=1), wait=world.pass_time)
    window = Window(0, OffsetRange(10, 30))
    for table in ("output", "quarantine"):
        for key in [one for one in world.stores[table].objects if one.endswith("part-1")]:
            del world.stores[table].objects[key]
    assert {one.kind for one in verify_range(asked, window, lambda: world.now).differences} == {"absent"}
    world.pass_time(2 * 86_400)
    found = verify_range(asked, window, lambda: world.now)
    assert (found.verdict, found.records, found.differences) == ("undetermined", 10, ())
    assert [(str(one.range), one.why[:17]) for one in found.unknown] == [("[10, 20)", "left the lake, as")]


def recreate(world: RepairWorld) -> None:
    """The topic is made anew with other records, and the job starts again; the lake's files stay."""
    world.pass_time(3600)
    world.broker.topic_ids[TOPIC] = "topic-2"
    world.log[0] = [payload(f"u{number}", number) for number in range(RECORDS)]
    world.deploy("job-2", topic_id="topic-2")
    world.pass_time(60)


def test_files_of_a_topic_that_is_no_more_are_not_held_against_the_records_of_the_one_now(world: RepairWorld) -> None:
    recreate(world)
    world.wrote((0, 0, 30), name="part-9", writer="job-2")
    assert world.audit().verdict == "complete"
    found = verify(world, 0, 30)
    assert (found.verdict, found.records, found.differences) == ("complete", 30, ())
    assert verify_sample(request(world), 1000, 1, lambda: world.now).records == 30
    later = verify(world, 25, RECORDS)  # of the last ten there is no index row but that of the topic before
    assert (later.verdict, later.records, str(later.unknown[0].range)) == ("undetermined", 5, "[30, 40)")


def test_a_topic_recreated_without_a_start_of_the_job_is_compared_with_nothing(world: RepairWorld) -> None:
    world.broker.topic_ids[TOPIC] = "topic-2"
    world.log[0] = [payload(f"u{number}", number) for number in range(RECORDS)]
    for found in (verify(world), verify_sample(request(world), 1000, 1, lambda: world.now)):
        assert (found.verdict, found.records, found.differences) == ("undetermined", 0, ())
        assert "topic id topic-1, and the broker has cluster cluster-1, topic id topic-2" in found.problems[0]


def test_a_deployment_record_that_cannot_be_read_leaves_open_whose_the_files_are(world: RepairWorld) -> None:
    world.stores["index"].place("_deployments/job-2.json", b"{")
    found = verify(world)
    assert (found.verdict, found.records) == ("undetermined", 0)
    assert "job-2" in found.problems[0]


def test_a_partition_of_which_the_broker_says_nothing_is_left_out_of_a_sample_aloud() -> None:
    world = RepairWorld({0: [payload("a", 1)] * 20, 1: [payload("b", 1)] * 20})
    world.wrote((0, 0, 20), (1, 0, 20))
    assert verify_sample(request(world), 1000, 1, lambda: world.now).verdict == "complete"
    world.broker.partitions[TOPIC][1] = ModelPartition(20, fault="leader not available")
    found = verify_sample(request(world), 1000, 1, lambda: world.now)
    assert (found.verdict, found.records) == ("undetermined", 20)
    assert found.problems == ("partition 1 was left out of the sample: leader not available",)
    del world.broker.partitions[TOPIC][1]
    assert verify_sample(request(world), 1000, 1, lambda: world.now).verdict == "undetermined"


def test_an_object_found_broken_stays_so_for_the_next_comparison(world: RepairWorld) -> None:
    flip(world, "part-2", "text")
    for _ in range(3):
        found = verify_sample(request(world), 1000, 1, lambda: world.now)
        assert (found.verdict, [one.key[-6:] for one in found.broken]) == ("loss", ["part-2"])
    again = verify(world, 25, 26)
    assert (again.verdict, again.differences, [one.key[-6:] for one in again.broken]) == ("loss", (), ["part-2"])
    assert verify(world, 0, 20).verdict == "complete"
    world.broker.partitions[TOPIC][0] = ModelPartition(RECORDS, start=RECORDS)
    expired = verify(world, 25, RECORDS)
    assert (expired.verdict, [one.key[-6:] for one in expired.broken]) == ("loss", ["part-2"])


def test_an_object_that_cannot_be_read_for_another_reason_is_open_and_makes_nothing_absent(
    world: RepairWorld,
) -> None:
    key = next(one for one in world.stores["output"].objects if one.endswith("part-2"))
    buffer = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(world.stores["output"].objects[key][0])), buffer, compression="brotli")
    world.stores["output"].place(key, buffer.getvalue())
    for found in (verify(world, 20, 29), verify_sample(request(world), 1000, 1, lambda: world.now)):
        assert (found.verdict, found.differences) == ("undetermined", ())
        assert "BROTLI" in found.problems[0]


def test_an_empty_lake_proves_nothing() -> None:
    world = RepairWorld({0: [payload("x", 1)]})
    found = verify_sample(request(world), 10, 1, lambda: world.now)
    assert (found.verdict, found.records) == ("undetermined", 0)
