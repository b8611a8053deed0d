"""Keys and headers without Flink: a repair puts them back as the job wrote them, verify compares them by value."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.core.key_schema import key_schema, with_key
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from lineage_pipeline.core.value_comparison import Window
from lineage_pipeline.core.verification import Verification
from lineage_pipeline.errors import RepairError
from lineage_pipeline.verify import verify_range
from lineage_pipeline.verify_scene import VerifyRequest
from tests.repair_world import BAD, MARKER, SCHEMA, ModelRangeReader, RepairWorld, Sent, payload

VALUES = record_schema("avro", SCHEMA)
KEYED = with_key(VALUES, key_schema("avro", "long"), headers=True)
BAD_KEY = b"\x80"


def key(number: int) -> bytes:
    """Avro of a small long."""
    return bytes([number << 1])


def log(records: int = 24) -> list[Any]:
    """Keys, keyless records, tombstones, bad keys, bad values, repeated and empty headers, a marker."""
    made: list[Any] = []
    for at in range(records):
        value = None if at % 5 == 4 else BAD if at % 7 == 3 else payload(f"t{at}", at)
        made.append(
            Sent(
                value,
                None if at % 4 == 1 else BAD_KEY if at % 6 == 2 else key(at),
                () if at % 3 == 0 else (("n", b"%d" % at), ("twice", b"1"), ("twice", None), ("é", b"\xff")),
            )
        )
    made[6] = MARKER
    return made


def lossy(schema: RecordSchema = KEYED) -> RepairWorld:
    """The job wrote all of it, and everything but the last record was lost."""
    world = RepairWorld({0: log()}, schema)
    world.wrote((0, 23, 24))
    world.stop_job()
    world.seen_twice()
    return world


def whole(schema: RecordSchema = KEYED) -> RepairWorld:
    world = RepairWorld({0: log()}, schema)
    world.wrote((0, 0, 24))
    assert world.audit().verdict == "complete"
    return world


def rows(world: RepairWorld, table: str) -> list[dict[str, Any]]:
    return sorted(world.rows(table), key=lambda row: row["kafka_offset"])


def verify(world: RepairWorld, schema: RecordSchema | None = None) -> Verification:
    audit = world.audit_request
    assert audit.lake is not None
    request = VerifyRequest(
        audit.index,
        audit.lake,
        world.broker,
        ModelRangeReader(world),
        schema or world.schema,
        "read_committed",
        fetch=world.fetch,
    )
    return verify_range(request, Window(0, OffsetRange(0, 24)), lambda: world.now)


def rewrite(world: RepairWorld, table: str, offset: int, **changes: Any) -> None:
    """Change one row behind everybody's back."""
    (name,) = world.stores[table].objects
    read = pq.read_table(io.BytesIO(world.stores[table].objects[name][0]), partitioning=None)
    changed = [row | (changes if row["kafka_offset"] == offset else {}) for row in read.to_pylist()]
    buffer = io.BytesIO()
    pq.write_table(read.from_pylist(changed, schema=read.schema), buffer, write_page_checksum=True)
    world.stores[table].place(name, buffer.getvalue())


@pytest.mark.parametrize("table", ["output", "quarantine"])
def test_repaired_rows_have_the_keys_and_headers_that_the_job_wrote(table: str) -> None:
    world = lossy()
    world.repair()
    report = world.audit()
    assert (report.verdict, report.totals["duplicated"]) == ("complete", 0)
    assert rows(world, table) == rows(whole(), table)
    assert {row["kafka_key"] for row in rows(world, table)} >= {None, BAD_KEY if table == "quarantine" else key(12)}


def test_tombstones_keep_the_key_that_tells_what_they_delete() -> None:
    world = lossy()
    world.repair()
    found = {row["kafka_offset"]: row["kafka_key_value"] for row in rows(world, "output") if row["n"] is None}
    assert found == {4: 4, 9: None, 19: 19}  # 14 has a bad key


def test_right_keys_and_headers_are_right_in_both_tables_whatever_the_order_in_a_map() -> None:
    world = whole()
    turned = dict(reversed(rows(world, "output")[4]["kafka_headers"]))
    rewrite(world, "output", rows(world, "output")[4]["kafka_offset"], kafka_headers=turned)
    found = verify(world)
    assert (found.verdict, found.records, found.to_json()["partial"]) == ("complete", 23, 0)


@pytest.mark.parametrize(
    ("table", "offset", "changes"),
    [
        ("output", 4, {"kafka_key": None}),
        ("output", 4, {"kafka_key_value": 5}),
        ("output", 4, {"kafka_headers": {"n": b"4", "twice": b"1", "é": b"\xff"}}),
        ("output", 4, {"kafka_headers": None}),
        ("output", 0, {"kafka_headers": None}),
        ("output", 4, {"kafka_headers": {"n": b"4", "twice": None}}),
        ("quarantine", 2, {"kafka_key": b"\x81"}),
        ("quarantine", 2, {"kafka_headers": {}}),
    ],
)
def test_another_key_or_another_header_is_a_wrong_value(table: str, offset: int, changes: dict[str, Any]) -> None:
    world = whole()
    rewrite(world, table, offset, **changes)
    found = verify(world)
    assert [(one.offset, one.kind) for one in found.differences] == [(offset, "value")]
    assert found.differences[0].text.startswith(f"{next(iter(changes))} in ")


def test_objects_from_before_keys_were_asked_for_are_compared_without_them_and_that_is_said() -> None:
    world = whole(with_key(VALUES, key_schema("raw"), headers=False))
    found = verify(world, replace(world.schema, headers=True))
    assert (found.verdict, found.records, found.to_json()["partial"]) == ("complete", 23, 23)
    rewrite(world, "output", 4, kafka_key=b"other")
    assert [one.offset for one in verify(world, replace(world.schema, headers=True)).differences] == [4]


def test_a_repair_without_the_jobs_key_settings_is_refused() -> None:
    world = lossy()
    for schema, lacking in (
        (VALUES, "kafka_key, kafka_key_value, kafka_headers"),
        (with_key(VALUES, key_schema("raw"), headers=True), "kafka_key_value"),
        (replace(KEYED, headers=False), "kafka_headers"),
    ):
        lake = replace(world.request().lake, schema=schema)
        prepared = world.plan(lake=lake)
        assert f"the newest data object has {lacking}, and" in prepared.plan.obstacles[0]
        with pytest.raises(RepairError, match="key_format"):
            world.repair(prepared, lake=lake)
    assert len(world.rows("output")) == 1


def test_keys_may_be_asked_for_later_than_the_table_began() -> None:
    world = lossy(VALUES)
    lake = replace(world.request().lake, schema=KEYED)
    prepared = world.plan(lake=lake)
    assert prepared.plan.obstacles == ()
    world.repair(prepared, lake=lake)
    assert world.audit().verdict == "complete"


def test_keys_of_another_type_are_not_mixed_into_the_table() -> None:
    world = lossy()
    lake = replace(world.request().lake, schema=with_key(VALUES, key_schema("avro", "string"), headers=True))
    assert "column kafka_key_value of" in world.plan(lake=lake).plan.obstacles[0]


def test_values_and_keys_of_a_registry_are_repaired_and_compared_too() -> None:
    schemas = {1: WrittenSchema(SCHEMA), 2: WrittenSchema('"int"')}
    schema = with_key(record_schema("avro-confluent", SCHEMA), key_schema("avro-confluent", "long"), headers=False)
    sent = [Sent(b"\0\0\0\0\1" + payload(f"t{at}", at), b"\0\0\0\0\2" + key(at)) for at in range(24)]
    sent[5] = Sent(sent[5].payload, sent[5].payload)  # a value's schema where the key's should be
    world = RepairWorld({0: sent}, schema, schemas.__getitem__)
    world.wrote((0, 23, 24))
    world.stop_job()
    world.seen_twice()
    world.repair()
    found = verify(world)
    assert (found.verdict, found.records) == ("complete", 24)
    assert {row["kafka_offset"]: row["kafka_key_value"] for row in rows(world, "output")} == {
        at: at for at in range(24) if at != 5
    }
    assert [row["error"][:17] for row in rows(world, "quarantine")] == ["key-unresolvable:"]
