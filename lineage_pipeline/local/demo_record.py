"""The demo's record as bytes: good ones, and ones that no decoder can read. Pure, apart from reading its own schema."""

from __future__ import annotations

import io
import json
import random
import struct
from functools import cache
from importlib import resources
from typing import Any

import fastavro

SCHEMA_NAME = "demo_record.avsc"
_FREE_BITS = ~((0xF << 76) | (0x3 << 62))
_VERSION_4 = (0x4 << 76) | (0x2 << 62)


def schema_text() -> str:
    """The Avro schema as JSON text; it stands once, in demo_record.avsc."""
    return resources.files(__package__).joinpath(SCHEMA_NAME).read_text("utf-8")


@cache
def _schema() -> Any:
    return fastavro.parse_schema(json.loads(schema_text()))


def encode_event(generator: random.Random, timestamp_ms: int) -> bytes:
    """One record, Avro without a header; its uuid comes from `generator`, `timestamp_ms` is milliseconds since 1970."""
    buffer = io.BytesIO()
    # A version 4 UUID without the uuid module, which would be half of the time a record takes.
    text = f"{generator.getrandbits(128) & _FREE_BITS | _VERSION_4:032x}"
    identity = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    fastavro.schemaless_writer(buffer, _schema(), {"uuid": identity, "timestamp": timestamp_ms})
    return buffer.getvalue()


def poison(good: bytes, generator: random.Random) -> bytes:
    """A payload that is not a record, made of `good`: one of several kinds, each a mistake seen in practice."""
    kinds = (
        b"",  # empty, but not a tombstone
        good[: 1 + generator.randrange(36)],  # cut off within the uuid
        good[:37],  # cut off before the timestamp
        good[:37] + b"\xff" * 5,  # the timestamp's last byte never comes
        b'{"uuid": "not-avro", "timestamp": 0}',  # JSON: its first byte is a negative length
        b"\x48" + b"\xff" * 36 + good[37:],  # the uuid is no UTF-8
        struct.pack(">bI", 5, 1) + b"\xfe" * 8,  # another protocol's header
    )
    return kinds[generator.randrange(len(kinds))]
