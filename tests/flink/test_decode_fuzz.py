"""Hostile payloads: never an exception, never a wrong value, never more memory than the bounds allow."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap

import pytest

from lineage_pipeline.core.json_declaration import declaration_text
from lineage_pipeline.core.protobuf_text import descriptor_text
from lineage_pipeline.flink.decode import Decoder
from tests.flink.mutated_payloads import BATCH, CHECKS, JSON_SCHEMA, SCHEMA, decoded
from tests.protobuf_messages import OLD, SHOP

# Mutated payloads, and how many of them at least are decoded or are refused, and for how many reasons at least. Those
# of avro-confluent are in its own file.
ROUNDS = {
    "avro": (15_000, 20, 8),
    "json by avro": (15_000, 100, 8),
    "json": (15_000, 20, 8),
    "protobuf": (6_000, 20, 5),
    "protobuf-confluent": (20_000, 20, 9),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_mutated_payloads_are_read_as_another_reader_does_or_refused(name: str) -> None:
    rounds, share, reasons = ROUNDS[name]
    outcomes = CHECKS[name](1, rounds)
    assert outcomes.total() == rounds
    assert outcomes["decoded"] > rounds // share
    assert len(outcomes) > reasons, outcomes


def test_every_format_but_raw_is_fuzzed() -> None:
    assert {*ROUNDS, "avro-confluent"} == set(CHECKS)


RANDOM = {
    "avro": json.dumps(SCHEMA),
    "json": declaration_text(json.dumps(JSON_SCHEMA), None, "keep"),
    "protobuf": descriptor_text(SHOP, "shop.Order", "keep"),
    "protobuf-confluent": descriptor_text(OLD, "old.Record"),
}


@pytest.mark.parametrize("record_format", RANDOM)
def test_random_bytes_never_fail_a_batch(record_format: str) -> None:
    rng = random.Random(4)
    decoder = Decoder(record_format, RANDOM[record_format])
    for _ in range(20):
        decoded(decoder, [rng.randbytes(rng.randrange(200)) for _ in range(BATCH)])


HOSTILE = textwrap.dedent(
    """
    import json, resource, sys
    from lineage_pipeline.core.json_declaration import declaration_text
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
    kept = Decoder("json", declaration_text(None, {"x": "json", "y": "double"}, "keep"))
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
    far = [b'{"y": 1e999999999}', b'{"y": ' + b"9" * 10**6 + b"}", b'{"y": 0.' + b"1" * 10**6 + b"}"]
    deep = [b'{"x":' + b"[" * 100 + b"]" * 100 + b"}", b'{"z":' + b"[" * 100 + b"]" * 100 + b"}"]
    for error in kept.decode([*far, *deep])["error"]:
        print(error)
    """
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space limits and /proc are Linux's")
def test_hostile_lengths_are_refused_within_256_mib() -> None:
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    errors = done.stdout.splitlines()
    assert len(errors) == 10 * 28 + 4 + 5
    expected = {"truncated", "negative-length", "too-large", "too-deep", "out-of-range", "trailing-bytes"}
    # Not out-of-memory: refused by its bound, not by the limit.
    assert {error.partition(": ")[0] for error in errors} <= expected | {"invalid-utf8", "duplicate-key"}
    assert sum(error.startswith(("truncated", "too-large", "negative-length")) for error in errors) > 250


HOSTILE_PROTOBUF = textwrap.dedent(
    """
    import resource, sys
    sys.path.insert(0, ".")
    from google.protobuf import descriptor_pb2
    from lineage_pipeline.core.protobuf_text import descriptor_text
    from lineage_pipeline.flink.decode import Decoder
    from tests.protobuf_messages import SHOP, add_field, descriptor_set

    def varint(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    def nested(tag, times):
        payload = b""
        for _ in range(times):
            payload = tag + varint(len(payload)) + payload
        return payload

    # A message of 500 fields takes kilobytes; two bytes announce one.
    file = descriptor_pb2.FileDescriptorProto(name="wide.proto", package="wide", syntax="proto3")
    wide = file.message_type.add(name="Wide")
    for number in range(2, 502):
        add_field(wide, f"f{number}", "int64", number)
    add_field(wide, "all", ".wide.Wide", 1, "repeated")
    decoder = Decoder("protobuf", descriptor_text(descriptor_set(file), "wide.Wide", "keep"))
    order = Decoder("protobuf", descriptor_text(SHOP, "shop.Order", "keep"))
    tree, all_int64, text = b"\\xd2\\x04", varint(46 << 3 | 2), varint(14 << 3 | 2)
    payloads = {
        decoder: [b"\\x0a\\x00" * 500_000, nested(b"\\x0a", 90), nested(b"\\x0a", 10_000)],
        order: [
            tree + b"\\xff\\xff\\xff\\xff\\x0f", text + varint(2**40) + b"x", text + varint(2**63),
            varint(20_000 << 3 | 2) + varint(2**31), varint(200 << 3 | 3) * 100_000,
            varint(200 << 3 | 3) * 80 + varint(200 << 3 | 4) * 80, tree + varint(2000) + nested(b"\\x1a", 90),
            all_int64 + varint(2**20) + b"\\xff" * 2**20, all_int64 + varint(2**20) + b"\\x80" * 2**20,
        ],
    }
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + 256 * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for one, hostile in payloads.items():
        for error in one.decode(hostile)["error"]:
            print(error)
    big = [b"\\xd2\\x04\\x02\\x08\\x01" * 150_000, varint(200 << 3) + b"\\x01"]
    print([error for error in order.decode(big)["error"]])
    """
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space limits and /proc are Linux's")
def test_hostile_protobuf_is_refused_within_256_mib() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE_PROTOBUF], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *errors, honest = done.stdout.splitlines()
    assert [error.partition(": ")[0] for error in errors] == [
        *("too-large", "too-deep", "too-deep"),
        *("truncated", "truncated", "truncated", "truncated", "too-deep", "too-deep", "truncated"),
        *("out-of-range", "out-of-range"),
    ]
    assert honest == "[None, None]"
