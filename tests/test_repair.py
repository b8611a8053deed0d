"""Repairs as a whole over stores in memory: what is put back, what is refused, and every place where one can die."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from lineage_pipeline.books.claim_log import ended
from lineage_pipeline.books.job_signs import job_signs
from lineage_pipeline.books.repair_log import RepairLog
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import BrokerError, LedgerError, RepairError, UsageError
from lineage_pipeline.render_repair import render_history, render_plan
from tests.books.memory_store import Died
from tests.books.model_broker import ModelPartition
from tests.repair_world import BAD, MARKER, SCHEMA, TOPIC, RepairWorld, payload

Line = tuple[int, int, int]


def world_of(records: int = 12, partitions: int = 2) -> RepairWorld:
    """Each partition: good, bad and empty payloads with markers between; the job indexed its last record alone."""
    log: dict[int, list[Any]] = {
        number: [
            MARKER if at % 5 == 4 else BAD if at % 7 == 3 else None if at % 6 == 5 else payload("x", at % 60)
            for at in range(records)
        ]
        for number in range(partitions)
    }
    for listed in log.values():
        listed[-1] = payload("last", 1)
    world = RepairWorld(log)
    world.wrote(*((number, records - 1, records) for number in log))
    return world


@pytest.fixture
def world() -> RepairWorld:
    made = world_of()
    made.stop_job()
    made.seen_twice()
    return made


def everything(world: RepairWorld) -> Counter[tuple[int, int]]:
    return sum((world.records(one, 0, len(listed)) for one, listed in world.log.items()), start=Counter())


def of_repairs(world: RepairWorld, table: str = "output") -> dict[str, bytes]:
    """Key and content of each object that a repair wrote."""
    return {key: data for key, (data, *_) in world.stores[table].objects.items() if "/repair-" in key}


def planned(prepared: Any) -> list[Line]:
    return [(one.partition, one.range.start, one.range.end) for one in prepared.plan.planned]


def refused(prepared: Any) -> list[tuple[int, int, int, str]]:
    return [(one.partition, one.range.start, one.range.end, one.what) for one in prepared.plan.refused]


# ---- what is put back


def test_the_plan_writes_nothing(world: RepairWorld) -> None:
    before = set(world.stores["index"].objects)
    prepared = world.plan()
    assert planned(prepared)[:3] == [(0, 0, 4), (0, 5, 9), (0, 10, 11)]
    assert prepared.sample.records == prepared.plan.records == everything(world).total() - 2
    assert of_repairs(world) == of_repairs(world, "quarantine") == {}
    assert set(world.stores["index"].objects) == before


def test_a_loss_is_put_back_once_with_data_quarantine_and_index(world: RepairWorld) -> None:
    done = world.repair()
    assert world.places() == everything(world)
    report = world.audit()
    assert (report.verdict, report.totals["duplicated"]) == ("complete", 0)
    data, bad = world.rows("output"), world.rows("quarantine")
    assert (sum(one.data for one in done), sum(one.quarantined for one in done)) == (len(data) - 2, len(bad))
    assert {row["kafka_offset"]: (row["text"], row["n"]) for row in data if row["kafka_partition"] == 0} == {
        11: ("last", 1), 0: ("x", 0), 1: ("x", 1), 2: ("x", 2), 5: (None, None), 6: ("x", 6), 7: ("x", 7), 8: ("x", 8),
    }  # fmt: skip
    assert {(row["payload"], row["error"][:9]) for row in bad} == {(BAD, "truncated")}
    rows = [row for row in world.rows("index") if str(row["writer"]).startswith("repair-")]
    assert [(row["min_offset"], row["max_offset"], row["quarantined_count"]) for row in rows] == [
        (0, 3, 1), (5, 8, 0), (10, 10, 1),
    ] * 2  # fmt: skip
    assert {row["window_start"] for row in rows} == {world.now.replace(tzinfo=None)}


def test_a_second_repair_finds_nothing_to_do(world: RepairWorld) -> None:
    world.repair()
    prepared = world.plan()
    assert (prepared.plan.records, prepared.report.verdict) == (0, "complete")
    world.repair(prepared)
    assert world.places() == everything(world)
    assert len(RepairLog(world.stores["index"], TOPIC).claims()) == 1


def test_ranges_that_were_lost_later_are_another_repair(world: RepairWorld) -> None:
    world.repair()
    lose_more(world)
    world.repair(by="Bob")
    assert [one.by for one in RepairLog(world.stores["index"], TOPIC).claims()] == ["Ada", "Bob"]
    assert world.audit().verdict == "complete"
    assert set(world.places().values()) == {1}


def test_long_ranges_go_into_several_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage_pipeline.repair.object_width", lambda *_: 4)
    world = world_of(20, 1)
    world.stop_job()
    world.seen_twice()
    world.repair()
    keys = sorted(of_repairs(world))
    assert len(keys) == 5
    assert keys[0].endswith("-0-0-3.parquet")
    assert world.places() == everything(world)
    assert world.audit().verdict == "complete"


def test_who_repaired_what_is_kept(world: RepairWorld) -> None:
    world.repair(by="Ada")
    notes = RepairLog(world.stores["index"], TOPIC).notes()
    assert sorted((one.number, one.by, one.what) for one in notes) == [(1, "Ada", "begun"), (1, "Ada", "finished")]
    assert "14 records to data, 4 to quarantine" in " ".join(one.text for one in notes)


def test_the_history_tells_of_a_repair_that_was_killed_what_is_there(world: RepairWorld) -> None:
    world.repair(by="Ada")
    log, console = RepairLog(world.stores["index"], TOPIC), Console(record=True, width=200)
    (claim,) = log.claims()
    assert ended(claim, log.notes())
    render_history((claim,), log.notes()[:1], {1: len(log.unfinished(claim))}, console)
    parts = len(list(claim.chunks()))
    assert f"not noted as finished; {parts} of its {parts} parts are written and indexed" in console.export_text()


# ---- a repair that dies


def dying_at(world: RepairWorld, number: int, when: str) -> bool:
    """Let the repair die before or after its operation `number` that writes; whether it did."""
    count = 0

    def die(operation: str, _key: str) -> None:
        nonlocal count
        if operation in {"put", "put_new"}:
            count += 1
            if count == number:
                raise Died

    stores = [world.stores[name] for name in ("output", "quarantine", "index")]
    prepared = world.plan()
    for store in stores:
        setattr(store, when, die)
    try:
        world.repair(prepared)
    except Died:
        return True
    finally:
        for store in stores:
            setattr(store, when, lambda _operation, _key: None)
    return False


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_write_and_run_again_on_another_day_nothing_is_there_twice(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineage_pipeline.repair.object_width", lambda *_: 4)
    number = 0
    died = True
    while died:
        number += 1
        world = world_of()
        world.stop_job()
        world.seen_twice()
        died = dying_at(world, number, when)
        world.pass_time(86_400)
        world.repair(by="Bob")
        assert world.places() == everything(world), number
        report = world.audit()
        assert (report.verdict, report.totals["duplicated"]) == ("complete", 0), number
    assert number > 15


def test_killed_again_and_again_it_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage_pipeline.repair.object_width", lambda *_: 4)
    world = world_of()
    world.stop_job()
    world.seen_twice()
    for number in (4, 5, 4, 5, 4):
        assert dying_at(world, number, "after")
        world.pass_time(40_000)
    world.repair()
    assert world.places() == everything(world)
    assert world.audit().verdict == "complete"


def test_an_object_of_a_killed_repair_is_not_touched_when_kafka_has_not_all_of_it_any_more(world: RepairWorld) -> None:
    assert dying_at(world, 4, "after")  # claim, note, deployment record, first data object
    before = of_repairs(world)
    assert len(before) == 1
    world.broker.partitions[TOPIC][0] = ModelPartition(12, start=2)
    world.repair()
    assert before.items() <= of_repairs(world).items()
    assert world.audit().verdict != "complete"
    assert set(world.places().values()) == {1}


def test_an_object_of_a_killed_repair_is_not_touched_when_others_came_meanwhile(world: RepairWorld) -> None:
    assert dying_at(world, 4, "after")
    before = of_repairs(world)
    world.wrote((0, 0, 2), name="late")
    prepared = world.plan()
    assert "unfinished repair" in {what for *_, what in refused(prepared)}
    world.repair(prepared)
    assert before.items() <= of_repairs(world).items()


# ---- damaged: indexed, and their objects are gone


def damaged_world() -> RepairWorld:
    """The job wrote everything, in three files per table; the objects of the middle ones vanished afterwards."""
    world = world_of(30, 1)
    world.stores["index"].objects.clear()
    world.stores["output"].objects.clear()
    world.deploy()
    for number in range(3):
        world.wrote((0, 10 * number, 10 * number + 10), name=f"part-{number}")
    world.stop_job()
    assert world.audit().verdict == "complete"
    for table in ("output", "quarantine"):
        del world.stores[table].objects[next(key for key in world.stores[table].objects if key.endswith("part-1"))]
    world.pass_time(1)
    world.seen_twice()
    return world


def test_damaged_offsets_get_data_and_quarantine_and_no_second_index_row() -> None:
    world = damaged_world()
    prepared = world.plan()
    assert {(one.kind, one.range.start >= 10, one.range.end <= 20) for one in prepared.plan.planned} == {
        ("damaged", True, True)
    }
    before = sorted(str(row) for row in world.rows("index"))
    world.repair(prepared)
    assert sorted(str(row) for row in world.rows("index")) == before
    assert world.places() == everything(world)
    report = world.audit()
    assert (report.verdict, report.totals["duplicated"], report.totals["damaged"]) == ("complete", 0, 0)


def test_damage_is_repaired_once_also_when_the_repair_is_killed_at_any_write() -> None:
    number, died = 0, True
    while died:
        number += 1
        world = damaged_world()
        died = dying_at(world, number, "after")
        world.pass_time(86_400)
        world.repair()
        assert world.places() == everything(world), number
        assert world.audit().verdict == "complete", number
    assert number > 6


def test_a_file_that_was_cut_off_is_no_obstacle_and_stays_where_it_is() -> None:
    world = damaged_world()
    world.repair()
    key = next(key for key in world.stores["output"].objects if key.endswith("part-2"))
    world.stores["output"].place(key, world.stores["output"].objects[key][0][:100])
    world.seen_twice()
    world.repair()
    report = world.audit()
    assert report.verdict == "complete"
    assert "broken-file" in {one.kind for one in report.findings}
    assert len(world.stores["output"].objects[key][0]) == 100


def test_damage_is_not_repaired_without_a_look_at_the_lake() -> None:
    world = damaged_world()
    assert world.audit().totals["damaged"]
    prepared = world.plan(audit=replace(world.audit_request, lake=None))
    assert planned(prepared) == []
    assert "needs the lake book" in prepared.plan.refused[0].why


def test_what_the_lake_holds_without_index_rows_is_not_written_again(world: RepairWorld) -> None:
    world.wrote((0, 0, 4), name="part-2")
    del world.stores["index"].objects[f"kafka_topic={TOPIC}/dt=2026-11-22/part-2"]
    world.seen_twice()
    prepared = world.plan()
    assert (0, 0, 4) not in planned(prepared)
    assert "lineage index rebuild" in next(one.why for one in prepared.plan.refused if one.partition == 0)
    world.repair(prepared)
    assert world.places() == everything(world)


# ---- two repairs


def test_a_repair_planned_before_another_began_is_refused(world: RepairWorld) -> None:
    late = world.plan()
    world.repair()
    with pytest.raises(RepairError, match="another repair of orders began"):
        world.repair(late, by="Bob")
    assert world.places() == everything(world)


def test_two_that_go_on_with_the_same_killed_repair_write_the_same(world: RepairWorld) -> None:
    assert dying_at(world, 4, "after")
    late = world.plan()
    world.repair()
    world.repair(late)
    assert world.places() == everything(world)
    assert world.audit().verdict == "complete"


def lose_more(world: RepairWorld) -> None:
    """Three more records in each partition, of which the job indexed the last alone."""
    for number, listed in world.log.items():
        listed.extend([payload("new", 2)] * 3)
        world.broker.partitions[TOPIC][number] = ModelPartition(len(listed))
    world.wrote(*((number, len(one) - 1, len(one)) for number, one in world.log.items()), name="part-2")
    world.seen_twice()


def test_a_claim_that_is_changed_stops_every_repair(world: RepairWorld) -> None:
    world.repair()
    key = f"_repairs/{TOPIC}/claims/000001.json"
    world.stores["index"].place(key, world.stores["index"].objects[key][0].replace(b'"width": ', b'"width": 1'))
    with pytest.raises(LedgerError, match="cannot be read"):
        world.plan()


@pytest.mark.parametrize("number", [1, 2])
def test_a_claim_that_is_gone_stops_every_repair(world: RepairWorld, number: int) -> None:
    world.repair()
    lose_more(world)
    world.repair()
    del world.stores["index"].objects[f"_repairs/{TOPIC}/claims/{number:06d}.json"]
    with pytest.raises(LedgerError, match=f"repair claim {number} of orders is gone"):
        world.plan()


# ---- what is refused


def test_a_hole_seen_once_is_not_repaired() -> None:
    world = world_of()
    world.stop_job()
    prepared = world.plan()
    assert planned(prepared) == []
    assert {what for *_, what in refused(prepared)} == {"pending(suspected)"}


def test_what_a_killed_job_may_still_bring_is_not_repaired() -> None:
    world = world_of()
    world.checkpoint()
    world.seen_twice()
    prepared = world.plan()
    assert planned(prepared) == []
    assert "its last checkpoint may still appear" in prepared.plan.refused[0].why
    assert len(planned(world.plan(job_is_gone=True))) == 6
    world.checkpoint(folder="checkpoints/j/chk-2", number=2)  # it lives
    assert len(planned(world.plan())) == 6


def test_index_files_that_a_repair_or_a_rebuild_wrote_are_no_sign_of_life_of_the_job() -> None:
    world = world_of()
    index = world.stores["index"]
    del index.objects["_deployments/job-1.json"]  # a job of another make

    def alive_at() -> datetime | None:
        request = world.request()
        return job_signs(request.audit.index, request.checkpoints, request.interval, told_gone=False).alive_at

    written = world.now
    for name in ("repair-000001-0123456789ab-0-0-3.parquet", "rebuild-0123456789ab.parquet"):
        world.pass_time(60)
        index.place(f"kafka_topic={TOPIC}/dt=2026-11-23/{name}", b"")
        assert alive_at() == written, name
    index.place(f"kafka_topic={TOPIC}/dt=2026-11-23/part-2", b"")
    assert alive_at() == world.now


def test_a_job_that_came_back_after_a_clean_stop_is_a_running_one() -> None:
    world = world_of()
    world.stop_job()
    world.deploy("job-2", previous="job-1", reason="new-plan")
    world.seen_twice()
    prepared = world.plan()
    assert planned(prepared) == []
    assert "no completed checkpoint" in prepared.plan.refused[0].why


def test_what_expired_is_reported_and_the_rest_is_repaired(world: RepairWorld) -> None:
    world.broker.partitions[TOPIC][0] = ModelPartition(12, start=7)
    prepared = world.plan()
    assert [one for one in planned(prepared) if one[0] == 0] == [(0, 7, 9), (0, 10, 11)]
    assert [(end, what) for number, _, end, what in refused(prepared) if number == 0][-1][0] <= 7
    world.repair(prepared)
    assert world.audit().verdict != "complete"
    assert set(world.places().values()) == {1}


def test_what_expires_between_plan_and_reading_is_told_and_not_written(world: RepairWorld) -> None:
    prepared = world.plan()
    world.broker.partitions[TOPIC][0] = ModelPartition(12, start=6)
    done = world.repair(prepared)
    (first,) = [one for one in done if one.task.chunk.partition == 0]
    assert [str(one) for one in first.expired] == ["[0, 4)", "[5, 6)"]
    assert world.places() == world.records(0, 6, 12) + world.records(1, 0, 12)
    assert world.audit().verdict != "complete"


def test_an_accepted_gap_stays_accepted(world: RepairWorld) -> None:
    from lineage_pipeline.accept import Acceptance, accept_gap  # noqa: PLC0415 - only here

    world.audit()
    plan = world.audit_request.plan
    assert plan is not None
    accept_gap(
        plan.state, Acceptance(0, OffsetRange(0, 2), "test records", "Bob"), world.audit_request.rules, world.now
    )
    prepared = world.plan()
    assert planned(prepared)[0] == (0, 2, 4)
    assert prepared.plan.refused[0].why == "accepted by Bob: test records"


def test_nothing_is_repaired_while_the_evidence_is_not_whole(world: RepairWorld) -> None:
    world.stores["index"].place(f"kafka_topic={TOPIC}/dt=2026-11-22/broken", b"no parquet")
    prepared = world.plan()
    assert "index file" in prepared.plan.obstacles[0]
    with pytest.raises(RepairError, match="nothing is repaired"):
        world.repair(prepared)
    assert of_repairs(world) == {}


def test_records_of_another_schema_are_not_mixed_into_the_table(world: RepairWorld) -> None:
    lake = world.request().lake
    other = replace(lake, schema=record_schema("avro", SCHEMA.replace('"string"', '"bytes"')))
    prepared = world.plan(lake=other)
    assert "column text of kafka_topic=orders/" in prepared.plan.obstacles[0]
    with pytest.raises(RepairError, match="is string, and would be binary"):
        world.repair(prepared, lake=other)
    wider = replace(lake, schema=record_schema("avro", SCHEMA.replace('"text"', '"words"')))
    assert world.plan(lake=wider).plan.obstacles == ()


def test_a_recreated_topic_gets_nothing_of_the_one_before(world: RepairWorld) -> None:
    prepared = world.plan()
    world.broker.topic_ids[TOPIC] = "topic-2"
    with pytest.raises(BrokerError, match="was recreated"):
        world.repair(prepared)
    assert of_repairs(world) == {}


def test_a_broker_that_fails_stops_the_repair_which_goes_on_later(world: RepairWorld) -> None:
    prepared = world.plan()
    world.broker.on_look = lambda: setattr(world.broker, "down", True)
    with pytest.raises(BrokerError):
        world.repair(prepared)
    world.broker.on_look, world.broker.down = lambda: None, False
    assert [one.what for one in RepairLog(world.stores["index"], TOPIC).notes()] == ["begun", "failed"]
    world.pass_time(60)
    world.repair()
    assert world.audit().verdict == "complete"
    assert set(world.places().values()) == {1}


def test_without_a_memory_nothing_is_repaired(world: RepairWorld) -> None:
    with pytest.raises(UsageError, match="set AUDIT_PATH"):
        world.plan(audit=replace(world.audit_request, plan=None))


def test_duplicates_are_told_with_their_objects_and_writers_and_left_where_they_are(world: RepairWorld) -> None:
    world.wrote((0, 0, 4), name="part-2")
    world.wrote((0, 2, 4), name="part-3", writer="job-2")
    before = dict(world.stores["output"].objects)
    (found,) = world.plan().plan.duplicated
    assert (found.partition, str(found.range), found.writers) == (0, "[2, 4)", ("job-1", "job-2"))
    assert "part-2" in found.evidence
    assert "part-3" in found.evidence
    assert world.stores["output"].objects == before


def test_a_plan_is_also_json(world: RepairWorld) -> None:
    shown = json.loads(json.dumps(world.plan().plan.to_json()))
    assert shown["planned"][0] | {"evidence": ""} == {
        "partition": 0, "start": 0, "end": 4, "kind": "lost", "evidence": "", "repairable_until": None,
    }  # fmt: skip


def test_the_first_line_never_says_that_all_is_well_when_something_was_refused() -> None:
    world = world_of()
    world.seen_twice()  # and the job was killed: what it may still bring is refused

    def first_line() -> str:
        out = io.StringIO()
        render_plan(world.plan(), world.request().lake, Console(file=out, width=200))
        return out.getvalue().splitlines()[0]

    assert first_line() == f"{TOPIC}: nothing is repaired now; the audit says loss"
    world.stop_job()
    world.repair()
    assert first_line() == f"{TOPIC}: nothing to repair; the audit says complete"
