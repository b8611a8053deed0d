"""Records in the wire format of registries: three schema versions side by side, and poison with its right reason."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pandas as pd
import pytest

from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.core.payload_decoder import PayloadDecoder
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.core.record_values import ERROR_CLASSES, Undecodable
from lineage_pipeline.errors import SchemaError, SettingsError
from lineage_pipeline.flink.decode import Decoder
from tests.flink.mutated_payloads import mutations

ITEM = {"type": "record", "name": "Item", "fields": [{"name": "sku", "type": "string"}, {"name": "n", "type": "int"}]}
TREE = {"type": "record", "name": "Tree", "fields": [{"name": "of", "type": {"type": "array", "items": "Tree"}}]}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}


def order(*fields: tuple[Any, ...]) -> dict[str, Any]:
    declared = [{"name": one[0], "type": one[1], **(one[2] if len(one) > 2 else {})} for one in fields]
    return {"type": "record", "name": "Order", "namespace": "shop", "fields": declared}


V1 = order(("id", "int"), ("name", "string"), ("legacy", "boolean"), ("items", {"type": "array", "items": ITEM}))
V2 = order(
    ("id", "long"), ("name", "string"), ("items", {"type": "array", "items": ITEM}), ("paid", ["null", "double"])
)
V3 = order(
    ("customer", "string"), ("id", "long"), ("paid", ["null", "double"]), ("colour", COLOUR), ("tree", ["null", TREE]),
    ("items", {"type": "array", "items": ITEM}),
)  # fmt: skip
TABLE = order(
    ("id", "long"),
    ("customer", "string", {"aliases": ["name"]}),
    ("paid", ["null", "double"], {"default": None}),
    ("colour", COLOUR, {"default": "RED"}),
    ("tree", ["null", TREE], {"default": None}),
    ("items", {"type": "array", "items": ITEM}),
)
CLASHING = order(("id", "string"), ("name", "string"), ("items", {"type": "array", "items": ITEM}))
VERSIONS = {1: V1, 2: V2, 3: V3}
REGISTERED = {
    **{number: WrittenSchema(json.dumps(schema)) for number, schema in VERSIONS.items()},
    4: WrittenSchema(json.dumps(CLASHING)),
    5: WrittenSchema("message Order {}", kind="PROTOBUF"),
    6: WrittenSchema('{"type": "record", "name": "shop.Order"'),
    7: WrittenSchema(json.dumps({**V2, "name": "Refund"})),
    8: WrittenSchema('"string"'),
    9: WrittenSchema("bytes"),
}


def fetch(schema_id: int) -> WrittenSchema:
    if schema_id == 500:
        raise Undecodable("registry-unavailable", "the registry at X did not answer")
    if schema_id not in REGISTERED:
        raise Undecodable("unknown-schema", f"the registry at X has no schema {schema_id}")
    return REGISTERED[schema_id]


def payload(schema_id: int, value: dict[str, Any], schema: dict[str, Any] | None = None) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema or VERSIONS[schema_id]), value)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


def value_of(version: int, number: int) -> dict[str, Any]:
    common = {"id": number, "items": [{"sku": "a", "n": number}]}
    more: dict[int, dict[str, Any]] = {
        1: {"name": f"é{number}", "legacy": True},
        2: {"name": f"é{number}", "paid": 1.5},
        3: {"customer": f"é{number}", "paid": None, "colour": "BLUE", "tree": {"of": [{"of": []}]}},
    }
    return {**common, **more[version]}


def rows(decoder: Decoder, payloads: list[bytes | None]) -> list[dict[str, Any]]:
    frame = decoder.decode(payloads)
    names = {column.transport_name: column.name for column in decoder.schema.columns}
    return [
        {names.get(str(name), name): None if pd.isna(value) else value for name, value in row.items() if name != "nans"}
        for row in frame.to_dict("records")
    ]


@pytest.fixture
def decoder() -> Decoder:
    return Decoder("avro-confluent", json.dumps(TABLE), fetch)


def test_three_versions_side_by_side_become_rows_of_one_table(decoder: Decoder) -> None:
    payloads = [payload(1 + n % 3, value_of(1 + n % 3, n)) for n in range(300)]
    found = rows(decoder, [*payloads])
    assert found[3:6] == [
        {
            "id": number,
            "customer": f"é{number}",
            "paid": {1: None, 2: 1.5, 3: None}[version],
            "colour": "BLUE" if version == 3 else "RED",
            "tree": '{"of":[{"of":[]}]}' if version == 3 else None,
            "items": f'[{{"sku":"a","n":{number}}}]',
            "error": None,
        }
        for number, version in ((3, 1), (4, 2), (5, 3))
    ]
    assert all(row["error"] is None for row in found)
    assert [row["id"] for row in found] == list(range(300))


def test_the_columns_are_those_of_the_same_schema_as_plain_avro() -> None:
    assert record_schema("avro-confluent", TABLE).columns == record_schema("avro", TABLE).columns


def test_a_schema_is_fetched_once_and_a_failing_registry_is_asked_again() -> None:
    asked = []

    def counting(schema_id: int) -> WrittenSchema:
        asked.append(schema_id)
        if len(asked) < 3:
            raise Undecodable("registry-unavailable", "down")
        return fetch(schema_id)

    decoder = Decoder("avro-confluent", json.dumps(TABLE), counting)
    good = payload(2, value_of(2, 1))
    assert [row["error"] for row in rows(decoder, [good] * 6)] == ["registry-unavailable: down"] * 2 + [None] * 4
    assert asked == [2, 2, 2]
    # what is wrong with a schema itself is no question for the registry
    assert {row["error"] for row in rows(decoder, [b"\0\0\0\0\4"] * 5)} == {
        "unresolvable: field 'id': written as string, the table has long (schema 4)"
    }
    assert asked == [2, 2, 2, 4]


GOOD = payload(2, value_of(2, 7))
DEEP = payload(3, value_of(3, 7)).replace(b"\x02\x02\x02\x00\x00", b"\x02" + b"\x02" * 70 + b"\x00" * 71)
POISON = {
    "nothing at all": (b"", "truncated"),
    "the header alone": (GOOD[:5], "truncated"),
    "half a header": (GOOD[:3], "truncated"),
    "truncated": (GOOD[:-1], "truncated"),
    "no registry's serializer": (GOOD[5:], "bad-magic-byte"),
    "another magic byte": (b"\1" + GOOD[1:], "bad-magic-byte"),
    "wrong id": (b"\0\0\0\3\xe7" + GOOD[5:], "unknown-schema"),
    "an id beyond all": (b"\0\xff\xff\xff\xff" + GOOD[5:], "unknown-schema"),
    "trailing bytes": (GOOD + b"\0", "trailing-bytes"),
    "wrong branch": (GOOD[:-9] + b"\x04" + GOOD[-8:], "bad-union-branch"),
    "invalid UTF-8": (GOOD.replace("é".encode(), b"\xff\xff"), "invalid-utf8"),
    "a huge length": (b"\0\0\0\0\2\x0e" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", "truncated"),
    "a negative length": (b"\0\0\0\0\2\x0e\x01", "negative-length"),
    "a huge count": (b"\0\0\0\0\2\x0e\0" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "too-large"),
    "a number beyond 64 bits": (b"\0\0\0\0\2" + b"\xff" * 9 + b"\x7f", "out-of-range"),
    "an int beyond 32 bits": (b"\0\0\0\0\1" + b"\xff" * 6 + b"\x01", "out-of-range"),
    "no symbol": (payload(3, value_of(3, 7)).replace(b"\x0e\x00\x02\x02", b"\x0e\x00\x08\x02"), "bad-enum"),
    "no boolean": (payload(1, value_of(1, 7)).replace(b"\x01\x02\x02a", b"\x05\x02\x02a"), "bad-boolean"),
    "deep nesting": (DEEP, "too-deep"),
    "a type that clashes": (b"\0\0\0\0\4" + GOOD[5:], "unresolvable"),
    "another record": (b"\0\0\0\0\7" + GOOD[5:], "unresolvable"),
    "no record": (b"\0\0\0\0\x08" + GOOD[5:], "unresolvable"),
    "no record, by its bare name": (b"\0\0\0\0\x09" + GOOD[5:], "unresolvable"),
    "no Avro": (b"\0\0\0\0\5" + GOOD[5:], "bad-schema"),
    "an unsound schema": (b"\0\0\0\0\6" + GOOD[5:], "bad-schema"),
    "a registry that is away": (b"\0\0\0\1\xf4" + GOOD[5:], "registry-unavailable"),
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_goes_to_quarantine_with_its_right_reason(kind: str, decoder: Decoder) -> None:
    poison, expected = POISON[kind]
    before, bad, after = rows(decoder, [GOOD, poison, GOOD])
    assert before["error"] is None, before
    assert before == after
    assert bad["error"] is not None, bad
    assert bad["error"].partition(": ")[0] == expected, bad["error"]
    assert all(value is None for name, value in bad.items() if name != "error")


def test_a_clash_names_the_field_both_types_and_the_schema(decoder: Decoder) -> None:
    (row,) = rows(decoder, [POISON["a type that clashes"][0]])
    assert row["error"] == "unresolvable: field 'id': written as string, the table has long (schema 4)"
    (row,) = rows(decoder, [POISON["another record"][0]])
    assert "record shop.Refund" in row["error"]
    assert "record shop.Order" in row["error"]
    assert "alias" in row["error"]
    (row,) = rows(decoder, [POISON["no record, by its bare name"][0]])  # which no alias could join
    assert row["error"] == "unresolvable: written as bytes, the table has record shop.Order (schema 9)"


def test_a_tombstone_is_no_error(decoder: Decoder) -> None:
    (row,) = rows(decoder, [None])
    assert set(row.values()) == {None}


def test_the_repairs_decoder_reads_the_same() -> None:
    schema = record_schema("avro-confluent", TABLE)
    decoder = PayloadDecoder(schema, fetch)
    assert decoder.decode(GOOD) == ([7, "é7", 1.5, "RED", None, '[{"sku":"a","n":7}]'], None)
    assert decoder.decode(GOOD[:-1])[1] is not None


def test_without_a_registry_nothing_is_decoded_rather_than_everything_refused() -> None:
    with pytest.raises(SettingsError, match="schema_registry"):
        Decoder("avro-confluent", json.dumps(TABLE))
    with pytest.raises(SettingsError, match="SCHEMA_REGISTRY_URL"):
        PayloadDecoder(record_schema("avro-confluent", TABLE))


def test_a_default_that_is_none_is_said_when_the_table_is_made() -> None:
    wrong = order(("id", "long", {"default": "x"}))
    with pytest.raises(SchemaError, match="default of field 'id'"):
        record_schema("avro-confluent", wrong)


def test_types_that_other_subjects_define_are_known() -> None:
    written = order(("id", "long"), ("customer", "string"), ("items", {"type": "array", "items": "shop.Item"}))
    item = {**ITEM, "namespace": "shop"}
    registered = WrittenSchema(json.dumps(written), (json.dumps(item),))
    decoder = Decoder("avro-confluent", json.dumps(TABLE), lambda _: registered)
    fields = [
        field if field["name"] != "items" else {**field, "type": {"type": "array", "items": item}}
        for field in written["fields"]
    ]
    value = {"id": 1, "customer": "c", "items": [{"sku": "s", "n": 2}]}
    (row,) = rows(decoder, [payload(1, value, {**written, "fields": fields})])
    assert (row["error"], row["items"]) == (None, '[{"sku":"s","n":2}]')


# ---- mutations

ROUNDS = 10_000  # a seed; `python -m benchmarks.fuzz_decode` runs millions


def check_mutations(seed: int, rounds: int) -> dict[str, int]:
    """Decode that many mutated payloads; count the outcomes by class. What fastavro reads too must be equal."""
    decoder = Decoder("avro-confluent", json.dumps(TABLE), fetch)
    judges = {number: fastavro.parse_schema(schema) for number, schema in VERSIONS.items()}
    outcomes: dict[str, int] = {}
    originals = [payload(version, value_of(version, number)) for version in VERSIONS for number in (1, 77, 5000)]
    batch: list[bytes | None] = []
    for mutated in mutations(originals, seed, rounds, header=5):
        batch.append(mutated)
        if len(batch) == 500:
            _check_batch(decoder, batch, judges, outcomes)
            batch = []
    return outcomes


def _check_batch(decoder: Decoder, batch: list[bytes | None], judges: dict[int, Any], outcomes: dict[str, int]) -> None:
    for data, row in zip(batch, rows(decoder, batch), strict=True):
        assert data is not None
        word = (row["error"] or "decoded").partition(": ")[0]
        outcomes[word] = outcomes.get(word, 0) + 1
        if row["error"] is not None:
            assert word in ERROR_CLASSES - {"internal", "out-of-memory"}, row["error"]
            assert all(value is None for name, value in row.items() if name != "error")
            continue
        stream = io.BytesIO(data[5:])
        record: Any = fastavro.schemaless_reader(stream, judges[int.from_bytes(data[1:5], "big")], None)
        assert stream.tell() == len(data) - 5
        assert (row["id"], row["customer"]) == (record["id"], record.get("name", record.get("customer")))
        assert json.loads(row["items"]) == record["items"]
        paid = record.get("paid")
        assert row["paid"] == paid or paid != paid  # noqa: PLR0124 - NaN travels beside the value


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_payloads_are_read_as_fastavro_does_or_refused(seed: int) -> None:
    outcomes = check_mutations(seed, ROUNDS)
    assert outcomes["decoded"] > ROUNDS // 20
    assert len(outcomes) > 10, outcomes
