"""The demo's record: what Avro reads back, and what nobody can read."""

from __future__ import annotations

import io
import json
import random
import uuid
from typing import Any

import fastavro
import pytest

from lineage_pipeline.local.demo_record import encode_event, poison, schema_text

SCHEMA = fastavro.parse_schema(json.loads(schema_text()))
TIME_MS = 1_763_000_000_000


def decode(payload: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(payload), SCHEMA, None)


def test_the_schema_is_the_contract():
    assert fastavro.schema.fullname(json.loads(schema_text())) == "lineage.Event"
    assert [field["name"] for field in json.loads(schema_text())["fields"]] == ["uuid", "timestamp"]


def test_a_record_reads_back_with_a_real_uuid_and_its_time():
    record = decode(encode_event(random.Random(1), TIME_MS))
    assert uuid.UUID(record["uuid"]).version == 4
    assert uuid.UUID(record["uuid"]).variant == uuid.RFC_4122
    assert record["timestamp"].timestamp() * 1000 == TIME_MS


def test_the_same_seed_gives_the_same_records():
    one, other = random.Random(7), random.Random(7)
    assert [encode_event(one, TIME_MS) for _ in range(5)] == [encode_event(other, TIME_MS) for _ in range(5)]


def test_no_poison_of_any_kind_can_be_decoded():
    generator = random.Random(3)
    payloads = {poison(encode_event(generator, TIME_MS), generator) for _ in range(2000)}
    assert {b"", b'{"uuid": "not-avro", "timestamp": 0}'} < payloads
    for payload in payloads:
        with pytest.raises((EOFError, UnicodeDecodeError, IndexError, ValueError)):
            decode(payload)
