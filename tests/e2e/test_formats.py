"""Topics of JSON with a JSON Schema and of protobuf, through a real broker, the real job, verify and audit."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from lineage_pipeline.cli import lineage
from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from tests.e2e.conftest import PARTITIONS
from tests.e2e.pipeline import Pipeline
from tests.flink.mutated_payloads import JSON_SCHEMA, orders
from tests.protobuf_messages import SHOP, Order

pytestmark = pytest.mark.e2e

GOOD = 600
AT = dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone.utc)


def json_record(number: int) -> tuple[bytes, dict[str, Any]]:
    """A record with numbers that no float holds, and the row that it must become."""
    at = AT + dt.timedelta(milliseconds=number)
    amount, price = Decimal(number) / 100, number / 10
    unknown = f'{{"new":{{"n":1.{number:03}0,"big":12345678901234567890123}}}}' if number % 2 else None
    more = "" if unknown is None else f", {unknown[1:-1]}"
    text = (
        f'{{"id": {2**62 + number}, "wide": {2**64 - 1 - number}, "amount": {amount:.2f}, "price": {price!r},'
        f' "at": "{at.astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat()}", "day": "2026-02-28",'
        f' "name": "é{number}", "suit": "HEARTS", "blob": "AP8=", "either": {number},'
        f' "flag": {str(number % 3 == 0).lower()}, "lines": [{{"n": 1.10}}]{more}}}'
    )
    row = {
        "id": 2**62 + number,
        "wide": Decimal(2**64 - 1 - number),
        "amount": amount,
        "price": price,
        "at": at.replace(tzinfo=None),
        "day": dt.date(2026, 2, 28),
        "name": f"é{number}",
        "suit": "HEARTS",
        "blob": b"\0\xff",
        "either": str(number),
        "flag": number % 3 == 0,
        "lines": '[{"n":1.10}]',
        UNKNOWN_COLUMN: unknown,
    }
    return text.encode(), row


JSON_POISON = {
    b"": "invalid-json",
    b"[1]": "wrong-type",
    b'{"id": 1, "amount": 1': "invalid-json",
    b'{"id": 1, "amount": 1} 2': "trailing-bytes",
    b'{"id": 1, "amount": 1, "name": "\xff"}': "invalid-utf8",
    b'{"id": 1, "id": 1, "amount": 1}': "duplicate-key",
    b'{"id": 1}': "missing-field",
    b'{"id": 9223372036854775808, "amount": 1}': "out-of-range",
    b'{"id": 1, "amount": 1.005}': "out-of-range",
    b'{"id": 1, "amount": 1, "price": 0.1234567890123456789}': "out-of-range",
    b'{"id": 1, "amount": 1, "at": "2026-01-31T12:00:00"}': "bad-time",
    b'{"id": 1, "amount": 1, "suit": "STARS"}': "bad-enum",
    b'{"id": "1", "amount": 1}': "wrong-type",
    b'{"id": 1, "amount": 1, "x": ' + b"[" * 100 + b"]" * 100 + b"}": "too-deep",
}


def proto_record(number: int) -> tuple[bytes, dict[str, Any]]:
    order = Order(a_int64=-(2**62) - number, a_uint64=2**64 - 1 - number, a_string=f"é{number}", a_float=0.5, kind=2)
    order.all_uint64.extend((number, 2**64 - 1))
    order.by_name["b"].size = number
    order.by_name["a"].label = "x"
    order.one_timestamp.seconds, order.one_timestamp.nanos = 1_700_000_000, number
    if number % 2:
        order.maybe_int32 = 0
    payload = order.SerializeToString() + (b"\xd8\x3e\x05" if number % 3 == 0 else b"")
    row = {
        "a_int64": -(2**62) - number,
        "a_uint64": Decimal(2**64 - 1 - number),
        "a_string": f"é{number}",
        "a_float": 0.5,
        "a_double": 0.0,
        "kind": "FOOD",
        "all_uint64": f'["{number}","18446744073709551615"]',
        "by_name": f'{{"a":{{"label":"x"}},"b":{{"size":"{number}"}}}}' if number else '{"a":{"label":"x"},"b":{}}',
        "one_timestamp": 1_700_000_000 * 10**9 + number,
        "maybe_int32": 0 if number % 2 else None,
        "tree": None,
        UNKNOWN_COLUMN: '{"1003":[{"varint":5}]}' if number % 3 == 0 else None,
    }
    return payload, row


PROTO_POISON = {
    orders()[0][:-1]: "truncated",
    b"\x08": "truncated",
    b"\x0e": "bad-tag",
    b"\x0c": "bad-tag",
    b"\0\0\0\0\1\0": "bad-magic-byte",
    b"\x72\x01\xff": "invalid-utf8",
    b"\x30" + b"\xff" * 10 + b"\1": "out-of-range",
    b"\x72\xff\xff\xff\xff\x0f": "truncated",
    b"\x70\x05": "wrong-type",
    b"\x82\x05\x02\x10\xff": "truncated",
}

Make = Callable[[int], tuple[bytes, dict[str, Any]]]


def written(pipeline: Pipeline, make: Make, poison: dict[bytes, str]) -> tuple[dict[Any, Any], dict[Any, str]]:
    """Write records, poison and tombstones; the rows and the reasons that have to come of them, by what finds them."""
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    rows: dict[Any, Any] = {}
    made = [make(number) for number in range(GOOD)]
    payloads: list[bytes | None] = [payload for payload, _ in made] + list(poison) + [None, None]
    places: dict[int, tuple[int, int]] = {}

    def note(at: int) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            assert error is None
            places[at] = (message.partition(), message.offset())

        return delivered

    for at, payload in enumerate(payloads):
        producer.produce(pipeline.topic, payload, partition=at % PARTITIONS, on_delivery=note(at))
    producer.flush(60)
    assert len(places) == len(payloads)
    for at, (_, row) in enumerate(made):
        rows[places[at]] = row
    for at in (len(payloads) - 2, len(payloads) - 1):
        rows[places[at]] = dict.fromkeys(made[0][1])
    return rows, {places[GOOD + at]: word for at, word in enumerate(poison.values())}


def check_topic(pipeline: Pipeline, make: Make, poison: dict[bytes, str]) -> None:
    rows, reasons = written(pipeline, make, poison)
    pipeline.start()
    pipeline.wait_moved(len(rows) + len(reasons))
    pipeline.stop()
    data = {(row["kafka_partition"], row["kafka_offset"]): row for row in pipeline.rows("output").to_pylist()}
    assert data.keys() == rows.keys()
    for place, row in rows.items():
        assert {name: data[place][name] for name in row} == row, place
    quarantine = pipeline.rows("quarantine").to_pylist()
    words = {(row["kafka_partition"], row["kafka_offset"]): row["error"].partition(": ")[0] for row in quarantine}
    assert words == reasons
    index = pipeline.rows("offset-index").to_pylist()
    assert sum(run["record_count"] for run in index) == len(rows) + len(reasons)
    assert sum(run["quarantined_count"] for run in index) == len(reasons)
    audited = run(pipeline, "audit", "--books", "index,broker,lake", "--wait")
    assert audited.exit_code == 0, audited.output
    # What decodes outside of the job makes the same of every record.
    for partition in range(PARTITIONS):
        end = max(offset for one, offset in {**rows, **reasons} if one == partition) + 1
        verified = run(pipeline, "verify", str(partition), "0", str(end), "--json")
        found = json.loads(verified.output)
        assert (found["differences"], found["records"]) == ([], end), verified.output
        assert verified.exit_code == 0, verified.output


def run(pipeline: Pipeline, *arguments: str) -> Any:
    return CliRunner().invoke(lineage, [*arguments, "--config", str(pipeline.config)], env={"KAFKA_TOPIC": None})


def test_json_by_json_schema_keeps_every_number_and_every_unknown_field(pipeline: Pipeline) -> None:
    (pipeline.directory / "schema.json").write_text(json.dumps(JSON_SCHEMA), encoding="utf-8")
    pipeline.configure(format="json", schema="schema.json", unknown_fields="keep", settle=1)
    check_topic(pipeline, json_record, JSON_POISON)


def test_protobuf_by_descriptor_set_keeps_every_number_and_every_unknown_field(pipeline: Pipeline) -> None:
    (pipeline.directory / "shop.desc").write_bytes(SHOP)
    pipeline.configure(format="protobuf", schema="shop.desc", message="shop.Order", unknown_fields="keep", settle=1)
    check_topic(pipeline, proto_record, PROTO_POISON)
