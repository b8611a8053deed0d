"""The quarantine listed and replayed over stores in memory: every row once in data, wherever a replay dies."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.core import quarantine_replay
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.quarantine_classes import Selection
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import LedgerError, RepairError
from lineage_pipeline.locate import Locator
from lineage_pipeline.quarantine import QuarantineRequest, list_quarantine
from lineage_pipeline.quarantine_plan import ReplayPlan, ReplayRequest, prepare
from lineage_pipeline.rebuild_index import plan_rebuild
from lineage_pipeline.render_quarantine import replay_json
from lineage_pipeline.replay_quarantine import Done, execute
from tests.books.memory_store import Died
from tests.repair_world import BAD, SCHEMA, TOPIC, RepairWorld, payload, table_of

RECORDS = 12
# the number is forgotten: every record has a byte too many
BROKEN = '{"type": "record", "name": "R", "fields": [{"name": "text", "type": "string"}]}'
# one more mistake, for another kind of reason
STRICTER = SCHEMA.replace('"string"', '"boolean"')


def fresh_world() -> RepairWorld:
    """Two partitions, read with a schema that forgot a field: all in quarantine, one record of each truly bad.

    A third one with a single record in data.
    """
    log: dict[int, list[Any]] = {
        one: [BAD if at == 3 else payload("x", at) for at in range(RECORDS)] for one in range(2)
    }
    made = RepairWorld({**log, 2: [payload("x", 0)]})
    made.wrote((2, 0, 1), name="part-0")
    made.wrote((0, 0, RECORDS), (1, 0, RECORDS), record=BROKEN)
    made.pass_time(3600)
    return made


@pytest.fixture
def world() -> RepairWorld:
    return fresh_world()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several objects and several claims for a few records."""
    monkeypatch.setattr(quarantine_replay, "PART_RECORDS", 5)
    monkeypatch.setattr(quarantine_replay, "MAX_RECORDS", 15)


def request(world: RepairWorld, schema: str = SCHEMA, by: str = "Ada", **selection: Any) -> ReplayRequest:
    book = world.audit_request.lake
    assert book is not None
    return ReplayRequest(
        TOPIC, world.stores["index"], book, record_schema("avro", schema), by, selection=Selection(**selection)
    )


def plan(world: RepairWorld, schema: str = SCHEMA, **selection: Any) -> ReplayPlan:
    return prepare(request(world, schema, **selection), lambda: world.now)


def replay(world: RepairWorld, schema: str = SCHEMA, **selection: Any) -> list[Done]:
    wanted = request(world, schema, **selection)
    return list(execute(wanted, prepare(wanted, lambda: world.now), lambda: world.now, lambda _count: None))


def listed(world: RepairWorld, **selection: Any) -> dict[str, Any]:
    book = world.audit_request.lake
    assert book is not None
    wanted = QuarantineRequest(TOPIC, world.stores["index"], book, Selection(**selection))
    found: dict[str, Any] = json.loads(json.dumps(list_quarantine(wanted, world.now).to_json()))
    return found


def in_data(world: RepairWorld) -> Counter[tuple[int, int]]:
    return Counter((row["kafka_partition"], row["kafka_offset"]) for row in world.rows("output"))


GOOD = Counter([(2, 0), *((one, at) for one in range(2) for at in range(RECORDS) if at != 3)])


def assert_replayed_once(world: RepairWorld) -> None:
    """Every good record once in data with its values, the quarantine untouched, and the audit complete."""
    assert in_data(world) == GOOD
    rows = {(row["kafka_partition"], row["kafka_offset"]): row for row in world.rows("output")}
    assert {place: (row["text"], row["n"]) for place, row in rows.items()} == {(one, at): ("x", at) for one, at in GOOD}
    assert len(world.rows("quarantine")) == 2 * RECORDS
    world.audit()
    world.pass_time(3600)
    report = world.audit()
    assert (report.verdict, report.totals["duplicated"]) == ("complete", 0), report
    assert report.totals["quarantined"] == 2 * RECORDS
    assert not report.problems


# ---- the list


def test_the_list_tells_classes_places_times_and_examples(world: RepairWorld) -> None:
    found = listed(world)
    assert (found["records"], found["replayed"], found["files"]) == (2 * RECORDS, 0, 1)
    trailing, truncated = found["classes"]
    assert (trailing["class"], trailing["records"]) == ("trailing-bytes", 22)
    assert trailing["partitions"] == [
        {"partition": one, "records": 11, "first_offset": 0, "last_offset": 11} for one in range(2)
    ]
    assert trailing["first"] == {"partition": 0, "offset": 0, "kafka_timestamp": "2026-11-18T11:06:40.000Z"}
    assert trailing["last"]["offset"] == RECORDS - 1
    assert (truncated["class"], truncated["records"]) == ("truncated", 2)
    (example,) = truncated["examples"]
    assert (example["partition"], example["offset"], example["payload"], example["payload_bytes"]) == (0, 3, "ff", 1)
    assert example["error"].startswith("truncated: ")


def test_the_list_can_be_narrowed(world: RepairWorld) -> None:
    assert listed(world, partition=1)["records"] == RECORDS
    assert listed(world, error_class="truncated")["records"] == 2
    assert listed(world, offsets=OffsetRange(2, 5), partition=0)["records"] == 3
    assert listed(world, since=world.now.timestamp())["files"] == 0


def test_a_file_that_cannot_be_read_is_a_problem_and_no_silence(world: RepairWorld) -> None:
    world.stores["quarantine"].place(f"kafka_topic={TOPIC}/dt=2026-11-22/torn", b"PAR1 torn PAR1")
    found = listed(world)
    assert (found["records"], len(found["problems"])) == (2 * RECORDS, 1)
    assert "torn" in found["problems"][0]


# ---- the plan


def test_the_plan_says_what_decodes_and_what_stays_why_and_writes_nothing(world: RepairWorld) -> None:
    before = {name: dict(store.objects) for name, store in world.stores.items() if name != "audit"}
    found = replay_json(plan(world), [], executed=False)
    assert (found["decodable"], found["undecodable"], found["obstacles"]) == (22, 2, [])
    trailing, truncated = found["classes"]
    assert (trailing["class"], trailing["records"], trailing["decodable"], trailing["still"]) == (
        *("trailing-bytes", 22, 22), [],
    )  # fmt: skip
    assert truncated["still"][0]["class"] == "truncated"
    assert {name: dict(store.objects) for name, store in world.stores.items() if name != "audit"} == before


def test_what_still_does_not_decode_is_told_with_its_new_reason(world: RepairWorld) -> None:
    (done,) = replay_json(plan(world, STRICTER, error_class="trailing-bytes"), [], executed=False)["classes"]
    assert done["decodable"] == 0
    assert {one["class"] for one in done["still"]} != {"trailing-bytes"}


def test_a_data_table_of_other_types_forbids_it(world: RepairWorld) -> None:
    replay(world, partition=0)
    other = SCHEMA.replace('"long"', '"boolean"')
    assert "column n" in plan(world, other).obstacles[0]


def test_a_file_that_may_hold_the_rows_already_forbids_it(world: RepairWorld) -> None:
    world.stores["output"].place(f"kafka_topic={TOPIC}/dt=2026-11-22/hour=22/torn", b"PAR1 torn PAR1")
    with pytest.raises(RepairError, match="torn"):
        replay(world)
    assert "replay" not in "".join(world.stores["output"].objects)


# ---- exactly once


def test_a_replay_writes_each_row_once_and_a_second_one_nothing(world: RepairWorld) -> None:
    assert sum(one.written for one in replay(world)) == 22
    assert_replayed_once(world)
    before = dict(world.stores["output"].objects)
    again = plan(world)
    assert (again.fresh, again.unfinished, again.standing.replayed) == (0, 0, 22)
    assert replay(world) == []
    assert world.stores["output"].objects == before


def test_parts_bring_neighbours_together_and_claims_are_bounded(world: RepairWorld) -> None:
    done = replay(world)
    assert [one.part.claim.number for one in done] == [1, 1, 1, 2, 2]
    assert [one.written for one in done] == [5, 5, 5, 5, 2]
    assert {one.part.key.rpartition("/")[0] for one in done} == {f"kafka_topic={TOPIC}/dt=2026-11-24/hour=00"}


def test_a_further_fix_replays_only_what_was_not_replayed(world: RepairWorld) -> None:
    replay(world, partition=0, offsets=OffsetRange(0, 6))
    assert sum(in_data(world).values()) == 1 + 5
    assert sum(one.written for one in replay(world)) == 17
    assert_replayed_once(world)


def steps(world: RepairWorld) -> int:
    """How many operations of stores a replay has, each of which can be its last."""
    count = 0

    def tick(_operation: str, _key: str) -> None:
        nonlocal count
        count += 1

    for store in world.stores.values():
        store.before = tick
    replay(world)
    for store in world.stores.values():
        store.before = lambda _operation, _key: None
    return count


def dying(world: RepairWorld, at: int, *, after: bool) -> None:
    count = 0

    def tick(_operation: str, _key: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Died

    for store in world.stores.values():
        setattr(store, "after" if after else "before", tick)
    with pytest.raises(Died):
        replay(world)
    for store in world.stores.values():
        store.before = store.after = lambda _operation, _key: None


def test_wherever_a_replay_dies_another_one_ends_it_and_the_audit_in_between_is_complete() -> None:
    for at in range(1, steps(fresh_world()) + 1):
        world = fresh_world()
        dying(world, at, after=False)
        between = world.audit()
        assert (between.verdict, between.totals["duplicated"]) == ("complete", 0), at
        world.pass_time(90_000)  # another day
        replay(world, by="Grace")
        assert_replayed_once(world)


def test_a_replay_that_dies_just_after_each_of_its_writes_is_ended_too() -> None:
    at = 0
    while True:
        at += 1
        world = fresh_world()
        try:
            dying(world, at, after=True)
        except pytest.fail.Exception:
            break  # it has no more writes
        world.pass_time(90_000)
        replay(world)
        assert_replayed_once(world)
    assert at > 8


def test_two_replays_at_once_one_gives_up_and_nothing_is_double(world: RepairWorld) -> None:
    mine, other = request(world), request(world, by="Grace")
    planned = prepare(mine, lambda: world.now)
    list(execute(other, prepare(other, lambda: world.now), lambda: world.now, lambda _count: None))
    with pytest.raises(RepairError, match="another replay"):
        list(execute(mine, planned, lambda: world.now, lambda _count: None))
    assert_replayed_once(world)


def test_two_that_end_the_same_killed_replay_write_the_same_objects(world: RepairWorld) -> None:
    dying(world, steps(fresh_world()) - 3, after=False)
    one, two = request(world), request(world, by="Grace")
    plans = [prepare(each, lambda: world.now) for each in (one, two)]
    for each, planned in zip((one, two), plans, strict=True):
        try:
            list(execute(each, planned, lambda: world.now, lambda _count: None))
        except RepairError:
            assert each is two
    replay(world)
    assert_replayed_once(world)


def test_a_row_that_is_in_quarantine_twice_is_written_once_and_told_as_duplicated(world: RepairWorld) -> None:
    (key,) = world.stores["quarantine"].objects
    world.stores["quarantine"].place(f"{key}-copy", world.stores["quarantine"].objects[key][0])
    replay(world)
    assert in_data(world) == GOOD
    assert world.audit().totals["duplicated"] == 2 * RECORDS  # of the quarantine's rows, as before


def test_what_is_in_data_without_a_replay_is_left_alone_and_stays_duplicated(world: RepairWorld) -> None:
    world.wrote((0, 0, 3), name="part-2", writer="job-2")
    found = plan(world)
    assert (found.fresh, quarantine_replay.count(found.standing.elsewhere)) == (19, 3)
    replay(world)
    assert in_data(world) == GOOD
    assert world.audit().totals["duplicated"] == 3


def test_a_claim_that_was_deleted_stops_everything(world: RepairWorld) -> None:
    replay(world)
    del world.stores["index"].objects[f"_replays/{TOPIC}/claims/000001.json"]
    with pytest.raises(LedgerError, match="replay claim 1 of orders is gone"):
        plan(world)
    report = world.audit()
    assert report.verdict == "undetermined"
    assert any("replay claim 1" in one for one in report.problems)


@pytest.mark.parametrize("named", ["with-number", "as-before", "unreadable"])
def test_the_last_claim_that_was_deleted_stops_everything_too(world: RepairWorld, named: str) -> None:
    replay(world)
    index = world.stores["index"]
    for number in ("000001", "000002"):
        del index.objects[f"_replays/{TOPIC}/claims/{number}.json"]
    for key in [one for one in index.objects if f"_replays/{TOPIC}/attempts/" in one]:
        data = index.objects[key][0]
        if named == "as-before":  # earlier versions left the number out of the name
            index.place(key.replace("/000001-", "/").replace("/000002-", "/"), data)
            del index.objects[key]
        elif named == "unreadable":
            index.place(key, b"")
    with pytest.raises(LedgerError, match="replay claim 1 of orders is gone"):
        plan(world)
    report = world.audit()
    assert report.verdict == "undetermined"
    assert any("replay claim 1" in one for one in report.problems)


@pytest.mark.parametrize("folder", ["claims", "attempts"])
def test_a_replay_that_begins_while_claims_are_read_takes_none_away(world: RepairWorld, folder: str) -> None:
    other = request(world, by="Grace")
    planned = prepare(other, lambda: world.now)

    def begin(operation: str, key: str) -> None:
        if (operation, key) == ("list", f"_replays/{TOPIC}/{folder}"):
            world.stores["index"].before = lambda *_: None
            list(execute(other, planned, lambda: world.now, lambda _count: None))

    world.stores["index"].before = begin
    assert len(ReplayLog(world.stores["index"], TOPIC).claims()) == 2


# ---- a schema that turns out wrong in the middle


def test_what_a_killed_replay_took_on_and_no_schema_reads_any_more_waits_for_one(world: RepairWorld) -> None:
    dying(world, steps(fresh_world()) - 3, after=False)
    written = sum(in_data(world).values())
    done = replay(world, BROKEN)
    assert sum(one.failures for one in done) > 0
    assert all("trailing-bytes" in one.failed for one in done)
    assert sum(in_data(world).values()) == written
    replay(world)
    assert_replayed_once(world)


def notes(world: RepairWorld) -> list[tuple[str, str]]:
    return [(one.what, one.text) for one in request(world).log.notes() if one.what != "begun"]


def test_what_a_killed_replay_took_on_and_no_quarantine_file_holds_any_more_is_no_success(world: RepairWorld) -> None:
    dying(world, steps(fresh_world()) - 3, after=False)
    world.audit()
    (old,) = world.stores["quarantine"].objects
    rows = table_of(world.stores["quarantine"], old)
    del world.stores["quarantine"].objects[old]
    buffer = io.BytesIO()
    pq.write_table(rows.filter(pc.equal(rows["kafka_offset"], 3)), buffer)  # what never decodes is left
    world.stores["quarantine"].place(f"{old}-2", buffer.getvalue())
    found = plan(world)
    assert found.unfinished == 7
    done = replay(world)
    assert [(one.written, one.gone, one.whole) for one in done] == [(0, 5, False), (0, 2, False)]
    assert replay_json(found, done, executed=True)["gone"] == 7
    assert ("failed", "0 records to data, 7 are in no quarantine file any more") in notes(world)
    world.audit()
    world.pass_time(3600)
    assert world.audit().totals["damaged"] == 7


def test_what_left_by_retention_is_neither_unfinished_nor_gone(world: RepairWorld) -> None:
    replay(world)
    world.pass_time(2 * 86_400)

    def kept_for_a_day() -> ReplayRequest:
        wanted = request(world)
        return replace(wanted, book=replace(wanted.book, data_days=1))

    prepare(kept_for_a_day(), lambda: world.now)
    for table in ("output", "quarantine"):
        world.stores[table].objects.clear()
    world.log[2] += [payload("x", 1), BAD]  # the tables go on
    world.wrote((2, 1, 3), name="part-2")
    for _ in range(2):
        found = prepare(kept_for_a_day(), lambda: world.now)
        assert (found.unfinished, found.fresh, found.obstacles) == (0, 0, ())
        assert list(execute(kept_for_a_day(), found, lambda: world.now, lambda _count: None)) == []


def test_an_object_that_cannot_be_written_anew_whole_is_left_and_that_is_no_success(world: RepairWorld) -> None:
    made = replay(world, partition=0, offsets=OffsetRange(0, 3))
    data, quarantine = world.stores["output"], world.stores["quarantine"]
    # the object loses a row, and the file of the quarantine that the others came from is gone
    key = made[0].part.key
    table = table_of(data, key)
    world.audit()
    buffer = io.BytesIO()
    pq.write_table(table.slice(0, 2), buffer)
    data.place(key, buffer.getvalue())
    (old,) = quarantine.objects
    rows = table_of(quarantine, old)
    del quarantine.objects[old]
    buffer = io.BytesIO()
    pq.write_table(rows.filter(pc.greater(rows["kafka_offset"], 1)), buffer)
    quarantine.place(f"{old}-2", buffer.getvalue())
    before = data.objects[key]
    (done,) = [one for one in replay(world) if one.part.key == key]
    assert (done.written, done.left, done.whole) == (0, True, False)
    assert data.objects[key] == before
    assert ("failed", "0 records to data, an object is left as it was") in notes(world)


# ---- what the books say afterwards


def test_an_object_of_a_replay_that_goes_is_damage_and_the_next_replay_writes_it_again(world: RepairWorld) -> None:
    done = replay(world)
    world.audit()
    del world.stores["output"].objects[done[0].part.key]
    world.pass_time(3600)
    assert world.audit().totals["pending"] == 5
    world.pass_time(3600)
    report = world.audit()
    assert (report.verdict, report.totals["damaged"]) == ("loss", 5)
    damaged = [one for one in report.partitions[0].ranges if one.range_class == "damaged"]
    assert {one.cause for one in damaged} == {"object-missing"}
    assert all("lineage quarantine replay --execute" in one.evidence for one in damaged)
    assert sum(one.written for one in replay(world)) == 5
    world.pass_time(3600)
    assert_replayed_once(world)


def test_a_repair_leaves_to_the_replay_what_the_quarantine_still_has(world: RepairWorld) -> None:
    done = replay(world)
    world.audit()
    world.stop_job()
    del world.stores["output"].objects[done[0].part.key]
    world.pass_time(3600)
    world.seen_twice()
    prepared = world.plan()
    assert prepared.plan.planned == ()
    assert all("lineage quarantine replay" in one.why for one in prepared.plan.refused)


def test_data_that_is_compacted_into_other_files_is_no_duplicate(world: RepairWorld) -> None:
    replay(world)
    world.audit()
    store = world.stores["output"]
    import pyarrow as pa  # noqa: PLC0415 - of this test alone
    import pyarrow.parquet as pq  # noqa: PLC0415 - of this test alone

    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables([table_of(store, key) for key in sorted(store.objects)]), sink)
    store.objects.clear()
    store.place(f"kafka_topic={TOPIC}/dt=2026-11-24/hour=00/compacted", sink.getvalue().to_pybytes())
    world.pass_time(3600)
    assert_replayed_once(world)
    store.objects.clear()
    store.place(f"kafka_topic={TOPIC}/dt=2026-11-24/hour=00/else", _none_of(world))
    world.pass_time(3600)
    world.audit()
    world.pass_time(3600)
    assert world.audit().totals["damaged"] == 1 + 22


def _none_of(world: RepairWorld) -> bytes:
    from lineage_pipeline.books.table_files import TableWriter, data_schema  # noqa: PLC0415 - of this test alone

    writer = TableWriter(data_schema(record_schema("avro", SCHEMA)))
    writer.add(("x", 1, 5, 0, 1))
    return writer.finish()


def test_a_quarantine_that_is_tidied_up_after_a_replay_is_no_loss(world: RepairWorld) -> None:
    replay(world, offsets=OffsetRange(0, 3))
    replay(world)
    world.audit()
    (key,) = world.stores["quarantine"].objects
    bad = world.stores["quarantine"].objects[key][0]
    world.stores["quarantine"].objects.clear()
    world.stores["quarantine"].place(key.replace("part-1", "kept"), _bad_rows(bad))
    world.pass_time(3600)
    report = world.audit()
    assert (report.verdict, report.totals["duplicated"]) == ("complete", 0)
    assert not [one for one in report.findings if one.kind == "quarantine-differs"]


def _bad_rows(data: bytes) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - of this test alone
    import pyarrow.compute as pc  # noqa: PLC0415 - of this test alone
    import pyarrow.parquet as pq  # noqa: PLC0415 - of this test alone

    table = pq.read_table(pa.BufferReader(data))
    sink = pa.BufferOutputStream()
    pq.write_table(table.filter(pc.equal(table.column("kafka_offset"), 3)), sink)
    return bytes(sink.getvalue().to_pybytes())


def test_findings_tell_what_was_replayed_and_the_rate_is_of_what_is_left(world: RepairWorld) -> None:
    def findings(lake: bool = True) -> dict[str, Any]:
        rules = AuditRules(60.0, 900.0, "seeded", quarantine_limit=0.5)
        return {one.kind: one for one in _audit(world, rules, lake=lake).findings if one.partition is None}

    for number in range(10):  # enough records for a rate
        world.log[0] += [payload("y", at) for at in range(RECORDS)]
        start = RECORDS * (number + 1)
        world.wrote((0, start, start + RECORDS), name=f"part-{number + 2}", record=BROKEN)
    world.pass_time(3600)
    assert findings()["quarantine-rate"].data["quarantined"] == 144
    world.pass_time(3600)
    replay(world)
    world.pass_time(3600)
    found = findings()
    assert "quarantine-rate" not in found
    assert found["quarantine"].data == {"quarantined": 144, "records": 145, "replayed": 142}
    # the frequent audit, which does not read the lake, remembers
    world.pass_time(60)
    assert "quarantine-rate" not in findings(lake=False)


def _audit(world: RepairWorld, rules: AuditRules, *, lake: bool) -> Any:
    from lineage_pipeline.audit_topic import audit_topic  # noqa: PLC0415 - of this test alone

    asked = replace(world.audit_request, rules=rules)
    return audit_topic(asked if lake else replace(asked, lake=None), lambda: world.now)


def test_locate_names_both_files_and_says_that_it_was_replayed(world: RepairWorld) -> None:
    (done,) = replay(world, partition=0, offsets=OffsetRange(5, 6))
    found = Locator(world.audit_request, world.now).locate(0, 5, record=True)
    assert (found.found, found.offset_class) == (True, "indexed")
    assert [one.listed.table for one in found.places] == ["data", "quarantine"]
    assert found.places[0].listed.key == done.part.key
    assert found.places[0].record is not None
    assert found.places[0].record["n"] == 5
    assert "replayed" in found.why


def test_a_lost_index_is_rebuilt_with_one_row_for_a_replayed_record(world: RepairWorld) -> None:
    replay(world)
    for key in [key for key in world.stores["index"].objects if key.startswith("kafka_topic=")]:
        del world.stores["index"].objects[key]
    world.pass_time(3600)
    rebuilt = plan_rebuild(world.audit_request, lambda: world.now, tail=True)
    rows = [row for file in rebuilt.rebuild.files for row in file.rows]
    assert sorted((row.kafka_partition, row.min_offset, row.max_offset, row.quarantined_count) for row in rows) == [
        (0, 0, RECORDS - 1, RECORDS), (1, 0, RECORDS - 1, RECORDS), (2, 0, 0, 0),
    ]  # fmt: skip


def test_the_list_knows_what_was_replayed_without_an_audit_in_between(world: RepairWorld) -> None:
    replay(world, partition=1)
    found = listed(world)
    assert (found["records"], found["replayed"]) == (2 * RECORDS, 11)


# ---- a topic that was recreated


def test_rows_of_a_topic_that_is_no_more_are_not_replayed_and_their_claims_take_nothing(world: RepairWorld) -> None:
    replay(world, partition=0)
    world.pass_time(3600)
    world.deploy("job-2", topic_id="topic-2", cluster_id="cluster-1")
    world.pass_time(60)
    found = plan(world)
    assert (found.fresh, found.unfinished, found.standing.replayed) == (0, 0, 0)
    world.wrote((0, 0, RECORDS), name="part-9", writer="job-2", record=BROKEN)
    assert sum(one.written for one in replay(world)) == RECORDS - 1
    assert len(ReplayLog(world.stores["index"], TOPIC).claims()) == 2


def test_a_repair_leaves_nothing_to_replays_of_a_topic_that_is_no_more(world: RepairWorld) -> None:
    replay(world)
    world.audit()
    world.pass_time(3600)
    world.broker.topic_ids[TOPIC] = "topic-2"
    world.deploy("job-2", topic_id="topic-2")
    world.pass_time(60)
    world.wrote((0, 0, RECORDS), (1, 0, RECORDS), (2, 0, 1), name="part-9", writer="job-2")
    assert world.audit().verdict == "complete"
    for key in [one for one in world.stores["output"].objects if one.endswith("part-9")]:
        del world.stores["output"].objects[key]
    world.seen_twice()
    found = world.plan(job_is_gone=True).plan
    assert [(one.what, one.why) for one in found.refused] == []
    assert sum(len(one.range) for one in found.planned) == 2 * (RECORDS - 1) + 1


def test_where_a_record_of_a_start_cannot_be_read_nothing_is_replayed(world: RepairWorld) -> None:
    world.stores["index"].place("_deployments/job-2.json", b"{")  # it may be of a topic created anew
    with pytest.raises(RepairError, match=r"whose rows these are is not known: .*job-2"):
        replay(world)
    assert "job-2" in listed(world)["problems"][0]


def test_where_the_records_of_all_starts_are_gone_what_was_claimed_is_not_claimed_again(world: RepairWorld) -> None:
    dying(world, steps(fresh_world()) - 3, after=False)
    del world.stores["index"].objects["_deployments/job-1.json"]
    assert "restore _deployments" in plan(world).obstacles[0]
    world.deploy()
    replay(world)
    assert_replayed_once(world)


def test_what_was_claimed_before_a_start_declared_its_topic_is_finished_after_it() -> None:
    world = fresh_world()
    del world.stores["index"].objects["_deployments/job-1.json"]
    dying(world, steps(fresh_world()) - 3, after=False)
    world.deploy()
    replay(world)
    assert len(ReplayLog(world.stores["index"], TOPIC).claims()) == 2
    assert_replayed_once(world)


def test_the_history_tells_who_replayed_what(world: RepairWorld) -> None:
    replay(world, partition=1)
    log = ReplayLog(world.stores["index"], TOPIC)
    assert [(one.number, one.by, one.records) for one in log.claims()] == [(1, "Ada", 11)]
    assert [(one.what, one.text) for one in log.notes()] == [("begun", ""), ("finished", "11 records to data")]


def test_a_claim_is_read_back_as_it_was_or_refused(world: RepairWorld) -> None:
    replay(world)
    key = f"_replays/{TOPIC}/claims/000001.json"
    data = world.stores["index"].objects[key][0]
    changes: list[Callable[[dict[str, Any]], None]] = [
        lambda raw: raw["parts"][0].update({"0": [[0, 9]]}),
        lambda raw: raw.update(by=7),
        lambda raw: raw.update(number=2),
        lambda raw: raw.pop("at"),
        lambda raw: raw.update(format="lineage-replay/2"),
    ]
    for change in changes:
        raw = json.loads(data)
        change(raw)
        world.stores["index"].place(key, json.dumps(raw).encode())
        with pytest.raises(LedgerError, match="replay claim"):
            plan(world)
