"""The records behind the golden tables, and the rows that they became."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

TOPIC = "golden"
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "event",
    "fields": [
        {"name": "uuid", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "valid", "type": "boolean"},
        {"name": "count", "type": "int"},
        {"name": "total", "type": "long"},
        {"name": "ratio", "type": ["null", "double"]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "hash", "type": {"type": "fixed", "name": "hash", "size": 4}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}


@dataclass(frozen=True)
class Golden:
    """One record: where, when (milliseconds since 1970), and its value: a record, bytes as they are, or a tombstone."""

    partition: int
    timestamp: int
    value: dict[str, Any] | bytes | None


MOMENT = dt.datetime(2026, 11, 22, 22, 0, 0, 123_000, tzinfo=dt.timezone.utc)
MILLIS = (MOMENT - dt.datetime.fromtimestamp(0, dt.timezone.utc)) // dt.timedelta(milliseconds=1)
FULL = {
    "uuid": "7d444840-9dc0-41d1-b245-5ffdce74fad2",
    "timestamp": MOMENT,
    "valid": True,
    "count": -(2**31),
    "total": 2**63 - 1,
    "ratio": 0.1,
    "price": Decimal("-12345678.90"),
    "day": dt.date(2026, 11, 22),
    "hash": b"\x00\xff\x01\x02",
    "tags": ["é", 'a "quoted" one'],
}
BARE = FULL | {"ratio": None, "day": None, "tags": [], "valid": False, "price": Decimal("0.00")}
BATCHES = (
    (
        Golden(0, MILLIS, FULL),
        Golden(0, MILLIS + 1, b"no avro"),
        Golden(0, MILLIS - 1, None),
        Golden(1, 1, BARE),
    ),
    (
        Golden(0, MILLIS + 5, BARE),
        Golden(0, MILLIS + 4, b""),
    ),
)
