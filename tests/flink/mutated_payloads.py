"""Payloads of every format, mutated, and what must hold for each: a known reason, or the values another reader finds.

The tests run thousands of them, `python -m benchmarks.fuzz_decode` millions.
"""

from __future__ import annotations

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import fastavro
import pandas as pd
import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.json_declaration import declaration_text
from lineage_pipeline.core.protobuf_text import descriptor_text
from lineage_pipeline.core.record_values import ERROR_CLASSES
from lineage_pipeline.flink.decode import Decoder
from tests.protobuf_messages import OLD, SHOP, Order, Record

BATCH: Final = 500
# How PyFlink turns the UDF's columns into Arrow: anything that fails there would fail the task.
ARROW: Final = {
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
    "DECIMAL(38, 2)": pa.decimal128(38, 2),
    "DECIMAL(20, 0)": pa.decimal128(20, 0),
    "DECIMAL(12, 2)": pa.decimal128(12, 2),
    "DECIMAL(9, 2)": pa.decimal128(9, 2),
    "DECIMAL(5, 5)": pa.decimal128(5, 5),
}


def mutations(
    payloads: list[bytes], seed: int, rounds: int, *, header: int = 0, alphabet: bytes = bytes(range(256))
) -> Iterator[bytes]:
    """Mutated copies; half of the changes come behind the `header`, so that the records themselves are hit often.

    What is put in is taken from the `alphabet`, but for one change in five.
    """
    rng = random.Random(seed)
    for _ in range(rounds):
        mutated = bytearray(rng.choice(payloads))
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            first = 0 if rng.random() < 0.5 else header
            at = rng.randrange(first, max(len(mutated) + 1, first + 1))
            action = rng.randrange(5)
            if action == 0:
                mutated[at : at + 1] = bytes([rng.choice(alphabet)])
            elif action == 1:
                del mutated[at : at + rng.randrange(1, 9)]
            elif action == 2:
                mutated[at:at] = bytes(rng.choices(alphabet, k=rng.randrange(1, 9)))
            elif action == 3 and len(alphabet) == 256:
                mutated[at : at + 1] = b"\xff" * rng.randrange(1, 10) + b"\x01"
            elif at < len(mutated):
                mutated[at] ^= 1 << rng.randrange(8)
        yield bytes(mutated)


def decoded(decoder: Decoder, payloads: list[bytes]) -> list[dict[str, Any]]:
    """One row per payload by column name, with its error; as PyFlink will take them, with a reason that is known."""
    frame = decoder.decode(payloads)
    for name, sql in decoder.schema.transport_fields:
        column = frame[name]
        arrow = pa.Array.from_pandas(column, mask=column.isnull(), type=ARROW[sql])
        assert len(arrow) == len(payloads)
    names = {column.transport_name: column.name for column in decoder.schema.columns}
    rows = []
    for row in frame.rename(columns=names).to_dict("records"):
        if row["error"] is not None:
            assert row["error"].partition(": ")[0] in ERROR_CLASSES - {"internal", "out-of-memory"}, row["error"]
            assert all(pd.isna(value) for name, value in row.items() if name != "error")
        rows.append(row)
    return rows


def _outcomes(
    decoder: Decoder, payloads: Iterator[bytes], judge: Callable[[bytes, dict[str, Any]], None]
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    batch: list[bytes] = []

    def judged() -> None:
        for payload, row in zip(batch, decoded(decoder, batch), strict=True):
            outcomes[(row["error"] or "decoded").partition(": ")[0]] += 1
            judge(payload, row)
        batch.clear()

    for payload in payloads:
        batch.append(payload)
        if len(batch) == BATCH:
            judged()
    if batch:
        judged()
    return outcomes


def _null(value: Any) -> Any:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN travels beside the value


# ---- avro

SCHEMA: Final = json.loads(Path(__file__).with_name("test_decode_all_types.avsc").read_text(encoding="utf-8"))


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "logicalType"}
    return schema


PLAIN: Final = fastavro.parse_schema(_bare(SCHEMA))
# Small numbers, so that a mutation of a length or an index often hits something; one value per type.
RECORD: Final[dict[str, Any]] = {
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


def check_avro(seed: int, rounds: int) -> Counter[str]:
    """Fastavro accepts more (see core/avro_binary.py); what both accept must be equal, field by field."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PLAIN, RECORD)
    same = ("boolean", "int", "long", "bytes", "string", "fixed", "enum", "date", "timestamp_nanos", "maybe_string")

    def judge(payload: bytes, row: dict[str, Any]) -> None:
        if row["error"] is not None:
            return
        stream = io.BytesIO(payload)
        record: Any = fastavro.schemaless_reader(stream, PLAIN, None)
        assert stream.tell() == len(payload)
        for name in same:
            assert (None if pd.isna(row[name]) else row[name]) == record[name]
        assert json.loads(row["record"]) == record["record"]
        assert json.loads(row["nulls"]) == record["nulls"]

    return _outcomes(Decoder("avro", json.dumps(SCHEMA)), mutations([out.getvalue()], seed, rounds), judge)


# ---- json

_JSON_BYTES: Final = b'{}[]",:0123456789eE.+-truefalsn\\u TZ\xc3\xa9'
JSON_RECORD: Final = {
    **{name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in RECORD.items()},
    "map": {"a": "b"},
    "choice": "s",
    "uuid_fixed": "00000000-0000-0000-0000-000000000000",
    **dict.fromkeys(("decimal", "decimal_fixed", "decimal_wide"), 1.25),
}
JSON_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "amount"],
    "properties": {
        "id": {"type": "integer"},
        "wide": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
        "amount": {"type": "number", "multipleOf": 0.01},
        "price": {"type": ["number", "null"]},
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "name": {"$ref": "#/$defs/name"},
        "suit": {"enum": ["SPADES", "HEARTS", None]},
        "blob": {"type": "string", "contentEncoding": "base64"},
        "lines": {"type": "array", "items": {"type": "object"}},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
        "flag": {"type": "boolean"},
    },
    "$defs": {"name": {"type": "string"}},
}
JSON_VALUES: Final = (
    b'{"id": 77, "amount": 12.30, "price": 0.1, "at": "2026-01-31T12:00:00.5+01:00", "day": "2026-02-28",'
    b' "name": "\xc3\xa9", "suit": "HEARTS", "blob": "AP8=", "lines": [{"n": 1.10}, {"n": 12345678901234567890123}],'
    b' "either": 5, "flag": true, "wide": 18446744073709551615, "new": {"deep": [1.0, 1e400]}, "newer": "x"}',
    b'{"id":-9223372036854775808,"amount":0,"price":null,"suit":null,"either":"s"}',
)


def check_json_of_avro(seed: int, rounds: int) -> Counter[str]:
    """Payloads that an Avro schema declares."""
    payload = json.dumps(JSON_RECORD).encode()
    return _outcomes(
        Decoder("json", json.dumps(SCHEMA)),
        mutations([payload], seed, rounds, alphabet=_JSON_BYTES),
        lambda _payload, _row: None,
    )


def check_json(seed: int, rounds: int) -> Counter[str]:
    """What is decoded is what a reader of exact numbers finds; nothing of the payload is lost."""
    text = declaration_text(json.dumps(JSON_SCHEMA), {"price": "double"}, "keep")
    return _outcomes(
        Decoder("json", text), mutations(list(JSON_VALUES), seed, rounds, alphabet=_JSON_BYTES), _judge_json
    )


def _exact(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _judge_json(payload: bytes, row: dict[str, Any]) -> None:
    if row["error"] is not None:
        return
    record = _exact(payload)
    for name in ("id", "wide", "amount", "name", "suit", "flag"):
        assert _null(row[name]) == record.get(name), name
    assert (record.get("price") is None) == (_null(row["price"]) is None or record["price"] == "NaN")
    if isinstance(record.get("price"), Decimal):
        spelled = (Decimal(repr(row["price"])), Decimal(f"{row['price']:.17g}"), Decimal(row["price"]))
        assert record["price"] in spelled
    for name in ("lines", "either"):
        assert (row[name] is None) == (record.get(name) is None)
        assert row[name] is None or _exact(row[name]) == record[name]
    if record.get("blob") is not None:
        assert base64.b64encode(row["blob"]).decode() == record["blob"] or row["blob"] == base64.b64decode(
            record["blob"]
        )
    unknown = {name: value for name, value in record.items() if name not in JSON_SCHEMA["properties"]}
    assert (_exact(row[UNKNOWN_COLUMN]) if row[UNKNOWN_COLUMN] else {}) == unknown


# ---- protobuf

_BY_OUR_RULES: Final = {
    *("bad-enum", "bad-magic-byte", "invalid-utf8", "missing-field", "out-of-range", "too-deep", "too-large"),
    *("unknown-field", "wrong-type"),
}


def orders() -> list[bytes]:
    """A record with something in every kind of field, and two small ones."""
    full = Order(a_double=0.1, a_float=0.5, a_int64=-(2**63), a_uint64=2**64 - 1, a_string="é", a_bytes=b"\0\xff")
    full.maybe_bool, full.kind, full.maybe_int32, full.left = False, 2, -1, 7
    full.all_sint64.extend((-1, 2**62))
    full.all_fixed32.extend((1, 2))
    full.all_string.extend(("a", ""))
    full.kinds.extend((0, 1, 2))
    full.tree.size, full.tree.label = 5, "top"
    full.tree.kids.add(size=6).kids.add(label="x")
    full.by_name["b"].size = 1
    full.by_number[-5] = 2**64 - 1
    full.by_flag[True] = 1.5
    full.one_timestamp.seconds, full.one_timestamp.nanos = 1_700_000_000, 123_456_789
    full.all_duration.add(seconds=-1, nanos=-500_000_000)
    full.one_struct.update({"a": [1, None, "x", True]})
    full.one_any.type_url, full.one_any.value = "type.googleapis.com/shop.Tree", b"\x08\x01"
    full.one_uint64value.value = 2**64 - 1
    return [full.SerializeToString(deterministic=True), Order(a_int32=5, kind=1).SerializeToString(), b"\x8a\x01\x01x"]


def _judge_order(payload: bytes, row: dict[str, Any]) -> None:
    try:
        message = Order.FromString(payload)
    except DecodeError:
        assert row["error"] is not None
        return
    if row["error"] is not None:
        assert row["error"].partition(": ")[0] in _BY_OUR_RULES, row["error"]
        return
    for name in ("a_double", "a_float", "a_int64", "a_uint64", "a_string", "a_bytes", "a_bool", "a_sint32"):
        found, expected = row[name], getattr(message, name)
        assert found == expected or (expected != expected and pd.isna(found)), name  # noqa: PLR0124 - NaN
    assert _null(row["left"]) == (message.left if message.HasField("left") else None)
    message.ClearField("one_any")  # not opened, on purpose
    message.ClearField("all_any")
    try:
        plain = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (json_format.SerializeToJsonError, ValueError):
        return  # a NaN in a Struct, or paths that protobuf's mapping cannot spell
    nested = ("all_sint64", "all_string", "kinds", "tree", "trees", "by_name", "by_number", "by_flag", "all_duration")
    for name in (*nested, "one_struct", "one_fieldmask"):
        assert ((json.loads(row[name]) if row[name] else None) or None) == (plain.get(name) or None), name


def check_protobuf(seed: int, rounds: int) -> Counter[str]:
    """What protobuf parses is refused by our own rules only; what is decoded is what its own JSON mapping says."""
    decoder = Decoder("protobuf", descriptor_text(SHOP, "shop.Order", "keep"))
    return _outcomes(decoder, mutations(orders(), seed, rounds), _judge_order)


def check_protobuf_confluent(seed: int, rounds: int) -> Counter[str]:
    """A record of proto2, with the header of a registry's serializer."""
    record = Record(id=5, kind=1, text="é")
    record.inner.must = 1
    header = b"\0\0\0\0\7\0"
    payloads = [header + record.SerializeToString(), header + Record(id=1).SerializeToString()]

    def judge(payload: bytes, row: dict[str, Any]) -> None:
        if row["error"] is None:
            message = Record.FromString(payload[_behind_indexes(payload) :])
            assert (row["id"], row["text"]) == (message.id, message.text if message.HasField("text") else None)

    decoder = Decoder("protobuf-confluent", descriptor_text(OLD, "old.Record"))
    return _outcomes(decoder, mutations(payloads, seed, rounds, header=6), judge)


def _behind_indexes(payload: bytes) -> int:
    """Where the message begins: behind a count, and so many indexes."""
    at, left = 5, 1
    while left:
        start = at
        while payload[at] > 127:
            at += 1
        at += 1
        left -= 1
        if start == 5:
            left = sum((byte & 127) << 7 * place for place, byte in enumerate(payload[start:at])) >> 1
    return at


def check_avro_confluent(seed: int, rounds: int) -> Counter[str]:
    """Three schema versions side by side: the payloads and their judge are those of the tests on avro-confluent."""
    from tests.flink.test_decode_confluent import check_mutations  # noqa: PLC0415 - that file uses this one

    return Counter(check_mutations(seed, rounds))


CHECKS: Final[dict[str, Callable[[int, int], Counter[str]]]] = {
    "avro": check_avro,
    "avro-confluent": check_avro_confluent,
    "json by avro": check_json_of_avro,
    "json": check_json,
    "protobuf": check_protobuf,
    "protobuf-confluent": check_protobuf_confluent,
}
