"""Hostile payloads: never an exception, never a wrong value, never more memory than the bounds allow."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
import pyarrow as pa
import pytest

from lineage_pipeline.core.record_values import ERROR_CLASSES
from lineage_pipeline.flink.decode import Decoder

SCHEMA = json.loads(Path(__file__).with_name("test_decode_all_types.avsc").read_text(encoding="utf-8"))
ROUNDS = 30_000  # mutated payloads per format
BATCH = 500
# How PyFlink turns the UDF's columns into Arrow: anything that fails there would fail the task.
ARROW = {
    "BOOLEAN": pa.bool_(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BYTES": pa.binary(),
    "STRING": pa.utf8(),
    "DATE": pa.date32(),
    "TIME(3)": pa.time32("ms"),
    "TIMESTAMP(3)": pa.timestamp("ms"),
    "DECIMAL(38, 10)": pa.decimal128(38, 10),
    "DECIMAL(9, 2)": pa.decimal128(9, 2),
    "DECIMAL(5, 5)": pa.decimal128(5, 5),
}


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "logicalType"}
    return schema


PLAIN = fastavro.parse_schema(_bare(SCHEMA))
# Small numbers, so that a mutation of a length or an index often hits something; one value per type.
RECORD: dict[str, Any] = {
    **{field["name"]: None for field in SCHEMA["fields"]},
    **dict.fromkeys(
        ("int", "long", "date", "time_millis", "time_micros", "timestamp_millis", "timestamp_micros", "order"), 77
    ),
    **dict.fromkeys(("timestamp_nanos", "local_millis", "local_micros"), -77),
    **dict.fromkeys(("string", "uuid", "a `b` \"c\" 'd'", "ünï cödé.dot", "maybe_string"), "é"),
    "boolean": True,
    "float": 1.5,
    "double": 2.5,
    "bytes": b"\0\xff",
    "fixed": b"abcd",
    "enum": "HEARTS",
    "maybe_int": 5,
    "decimal": b"\1",
    "decimal_fixed": b"\0\0\0\0\1",
    "decimal_wide": b"\1",
    "uuid_fixed": bytes(16),
    "array": [1.0, 2.0],
    "map": {"a": b"b", "c": b""},
    "nulls": [None] * 3,
    "record": {"value": 1, "next": {"value": 2, "next": None}},
    "choice": ("string", "s"),
}


def _mutations(payload: bytes, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        mutated = bytearray(payload)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            at = rng.randrange(len(mutated) + 1)
            action = rng.randrange(5)
            if action == 0:
                mutated[at : at + 1] = bytes([rng.randrange(256)])
            elif action == 1:
                del mutated[at : at + rng.randrange(1, 9)]
            elif action == 2:
                mutated[at:at] = rng.randbytes(rng.randrange(1, 9))
            elif action == 3:
                mutated[at : at + 1] = b"\xff" * rng.randrange(1, 10) + b"\x01"
            elif at < len(mutated):
                mutated[at] ^= 1 << rng.randrange(8)
        yield bytes(mutated)


def _decoded(decoder: Decoder, payloads: list[bytes]) -> list[dict[str, Any]]:
    frame = decoder.decode(payloads)
    for name, sql in decoder.schema.transport_fields:
        column = frame[name]
        arrow = pa.Array.from_pandas(column, mask=column.isnull(), type=ARROW[sql])
        assert len(arrow) == len(payloads)
    rows: list[dict[str, Any]] = frame.to_dict("records")
    for row in rows:
        if row["error"] is not None:
            assert row["error"].partition(": ")[0] in ERROR_CLASSES - {"internal"}, row["error"]
            assert all(pd.isna(value) for name, value in row.items() if name != "error")
    return rows


def _batches(payloads: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for payload in payloads:
        batch.append(payload)
        if len(batch) == BATCH:
            yield batch
            batch = []


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_avro_is_decoded_as_fastavro_does_or_refused(seed: int) -> None:
    """The other reader accepts more (see core/avro_binary.py); what both accept must be equal, field by field."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PLAIN, RECORD)
    decoder = Decoder("avro", json.dumps(SCHEMA))
    columns = {column.name: column.transport_name for column in decoder.schema.columns}
    same = ("boolean", "int", "long", "bytes", "string", "fixed", "enum", "date", "timestamp_nanos", "maybe_string")
    accepted = 0
    classes = set()
    for batch in _batches(_mutations(out.getvalue(), seed)):
        for payload, row in zip(batch, _decoded(decoder, batch), strict=True):
            if row["error"] is not None:
                classes.add(row["error"].partition(": ")[0])
                continue
            accepted += 1
            stream = io.BytesIO(payload)
            record = fastavro.schemaless_reader(stream, PLAIN, None)
            assert stream.tell() == len(payload)
            for name in same:
                found = row[columns[name]]
                assert (None if pd.isna(found) else found) == record[name]
            assert json.loads(row[columns["record"]]) == record["record"]
            assert json.loads(row[columns["nulls"]]) == record["nulls"]
    assert accepted > ROUNDS // 20
    assert len(classes) > 8, classes


def test_mutated_json_never_fails_a_batch() -> None:
    record = {
        name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in RECORD.items()
    } | {"map": {"a": "b"}, "choice": "s", "uuid_fixed": "00000000-0000-0000-0000-000000000000"}
    record |= dict.fromkeys(("decimal", "decimal_fixed", "decimal_wide"), 1.25)
    decoder = Decoder("json", json.dumps(SCHEMA))
    accepted = 0
    classes = set()
    for batch in _batches(_mutations(json.dumps(record).encode(), 3)):
        for row in _decoded(decoder, batch):
            accepted += row["error"] is None
            classes.add((row["error"] or "").partition(": ")[0])
    assert accepted > ROUNDS // 100
    assert len(classes) > 8, classes


@pytest.mark.parametrize("record_format", ["avro", "json"])
def test_random_bytes_never_fail_a_batch(record_format: str) -> None:
    rng = random.Random(4)
    decoder = Decoder(record_format, json.dumps(SCHEMA))
    for _ in range(20):
        _decoded(decoder, [rng.randbytes(rng.randrange(200)) for _ in range(BATCH)])


HOSTILE = textwrap.dedent(
    """
    import json, resource, sys
    from lineage_pipeline.flink.decode import Decoder

    def long(value):
        value = value << 1 if value >= 0 else (-value << 1) - 1
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    empty = {"type": "record", "name": "Empty", "fields": []}
    fields = [{"name": "n" * 50 + str(i), "type": "null"} for i in range(99)]
    wide = {"type": "record", "name": "Wide", "fields": fields}
    node = {"type": "record", "name": "Node", "fields": [{"name": "all", "type": {"type": "array", "items": "Node"}}]}
    nothing = {"type": "fixed", "name": "Nothing", "size": 0}
    kinds = ["string", "bytes", {"type": "map", "values": "null"}]
    kinds += [{"type": "array", "items": item} for item in ("null", "int", "string", empty, wide, node, nothing)]
    decoders = [
        Decoder("avro", json.dumps({"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]}))
        for kind in kinds
    ]
    counts = [2**62, 2**40, 2**31, 2**24, -(2**63), -(2**40), 100_000]
    payloads = [long(count) + tail for count in counts for tail in (b"", b"\\x00", b"\\x02" * 5000, long(2**20) * 50)]
    numbers = Decoder("json", '{"type": "record", "name": "R", "fields": [{"name": "x", "type": "long"}]}')
    texts = [b'{"x": 1e999999999}', b'{"x": ' + b"9" * 10**6 + b"}", b"[" * 10**6, b'{"x":' * 10**5]

    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + 256 * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for decoder in decoders:
        for error in decoder.decode(payloads)["error"]:
            print(error)
    for error in numbers.decode(texts)["error"]:
        print(error)
    """
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space limits and /proc are Linux's")
def test_hostile_lengths_are_refused_within_256_mib() -> None:
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    errors = done.stdout.splitlines()
    assert len(errors) == 10 * 28 + 4
    expected = {"truncated", "negative-length", "too-large", "too-deep", "out-of-range", "trailing-bytes"}
    # Not out-of-memory: refused by its bound, not by the limit.
    assert {error.partition(": ")[0] for error in errors} <= expected | {"invalid-utf8", "duplicate-key"}
    assert sum(error.startswith(("truncated", "too-large", "negative-length")) for error in errors) > 250
