"""The records behind the golden tables with keys and headers, and the rows that they became."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import fastavro
import pyarrow as pa
from confluent_kafka import Producer

from lineage_pipeline.books.lake_rows import plain_rows
from tests.golden.records import MILLIS

TOPIC = "golden-keyed"
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "order",
    "fields": [{"name": "amount", "type": "long"}, {"name": "note", "type": ["null", "string"]}],
}
KEY_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "order_key",
    "fields": [
        {"name": "tenant", "type": "string"},
        {"name": "id", "type": "long"},
        {"name": "dt", "type": {"type": "int", "logicalType": "date"}},  # a name that a value's field could not have
        {"name": "weight", "type": "double"},
    ],
}
SETTINGS = {"schema": "order.avsc", "key_format": "avro", "key_schema": "order_key.avsc", "headers": True}
FILES = {"order.avsc": json.dumps(SCHEMA), "order_key.avsc": json.dumps(KEY_SCHEMA)}

KEY_COLUMNS = ("kafka_key_tenant", "kafka_key_id", "kafka_key_dt", "kafka_key_weight")
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Keyed:
    """One record, as it is produced to partition 0. `error`: how the reason of its row in the quarantine begins."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: int = MILLIS
    error: str | None = None
    # what the data row says: of the value, of the key, of the headers
    amount: int | None = None
    note: str | None = None
    decoded: tuple[Any, ...] = (None, None, None, None)
    stored: dict[str, bytes | None] | None = None  # None: the headers as they are


def encoded(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """The value as one Avro record."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), value)
    return buffer.getvalue()


def key(number: int, weight: float = 0.5) -> bytes:
    """The key of an order."""
    return encoded(KEY_SCHEMA, {"tenant": "é", "id": number, "dt": 20_000, "weight": weight})


def value(amount: int, note: str | None = None) -> bytes:
    """An order."""
    return encoded(SCHEMA, {"amount": amount, "note": note})


def decoded(number: int, weight: float = 0.5) -> tuple[Any, ...]:
    """What becomes of `key(number)`; the date as days since 1970."""
    return ("é", number, 20_000, weight)


RECORDS = (
    Keyed(
        key(1),
        value(-5, "first"),
        (("trace-id", b"\x00\xff"), ("retry", b"1"), ("empty", b""), ("null", None), ("retry", b"2"), ("Ünï", b"x")),
        amount=-5,
        note="first",
        decoded=decoded(1),
        stored={"trace-id": b"\x00\xff", "retry": b"2", "empty": b"", "null": None, "Ünï": b"x"},
    ),
    Keyed(None, value(2**62), amount=2**62),  # neither key nor headers
    Keyed(key(1), None, (("why", b"deleted"),), decoded=decoded(1)),  # a tombstone tells what is deleted
    Keyed(None, None),
    Keyed(key(2)[:-1], value(1), (("trace-id", b"bad key"),), error="key-truncated: "),
    Keyed(key(2) + b"\0", None, error="key-trailing-bytes: "),
    Keyed(b"", value(1), error="key-truncated: "),
    Keyed(key(3), b"", (("trace-id", b"bad value"),), error="truncated: "),
    Keyed(b"\x03", b"\x03", error="truncated: "),  # of two errors the value's
    Keyed(
        key(4, float("nan")),
        value(4),
        (("same", b"1"), ("same", None)),
        amount=4,
        decoded=decoded(4, float("nan")),
        stored={"same": None},
    ),
)


def data_rows(partition: int = 0, times: int = 1) -> list[dict[str, Any]]:
    """The rows of the data table, times and dates as integers, headers as a mapping; RECORDS produced so often."""
    return [
        {
            "amount": one.amount,
            "note": one.note,
            "kafka_partition": partition,
            "kafka_offset": offset,
            "kafka_timestamp": one.timestamp,
            "kafka_key": one.key,
            **dict(zip(KEY_COLUMNS, one.decoded, strict=True)),
            "kafka_headers": dict(one.headers) if one.stored is None else one.stored,
        }
        for offset, one in enumerate(RECORDS * times)
        if one.error is None
    ]


def quarantine_rows(partition: int = 0, times: int = 1) -> list[dict[str, Any]]:
    """The rows of the quarantine; of the error only how it begins."""
    return [
        {
            "kafka_partition": partition,
            "kafka_offset": offset,
            "kafka_timestamp": one.timestamp,
            "error": one.error,
            "payload": one.value,
            "kafka_key": one.key,
            "kafka_headers": dict(one.headers) if one.stored is None else one.stored,
        }
        for offset, one in enumerate(RECORDS * times)
        if one.error is not None
    ]


def produce(bootstrap_servers: str, topic: str, partition: int = 0, times: int = 1) -> None:
    """Write the records, in order, so often."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for one in RECORDS * times:
        producer.produce(
            topic, one.value, one.key, partition=partition, timestamp=one.timestamp, headers=list(one.headers)
        )
    left = producer.flush(30)
    assert left == 0, f"{left} records were not delivered"


def comparable(table: pa.Table) -> list[dict[str, Any]]:
    """Rows in the order of their offsets; a NaN equal to itself, a map as a mapping, of an error its class."""
    rows = []
    for row in sorted(plain_rows(table), key=lambda one: (one["kafka_partition"], one["kafka_offset"])):
        pairs = row["kafka_headers"]
        assert len(dict(pairs)) == len(pairs)
        plain = {name: repr(one) if isinstance(one, float) else one for name, one in row.items()}
        plain |= {"kafka_headers": dict(pairs)}
        rows.append(plain | ({"error": row["error"].partition(" ")[0] + " "} if "error" in row else {}))
    return rows


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of this module, in the form of `comparable`."""
    return [{name: repr(one) if isinstance(one, float) else one for name, one in row.items()} for row in rows]
