"""Protobuf records by descriptor set: values as protobuf gives them, nothing lost without a word."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.payload_decoder import PayloadDecoder
from lineage_pipeline.core.protobuf_text import descriptor_text
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import SchemaError
from lineage_pipeline.flink.decode import Decoder
from tests.protobuf_messages import (
    OLD,
    SCALARS,
    SHOP,
    Order,
    Record,
    Tree,
    add_field,
    descriptor_set,
    message_class,
    old_file,
    shop_file,
)

DECODERS = {
    (name, mode): PayloadDecoder(record_schema("protobuf", descriptor_text(where, name, mode)))
    for name, where in (("shop.Order", SHOP), ("shop.Tree", SHOP), ("old.Record", OLD))
    for mode in ("ignore", "keep", "refuse")
}
COLUMNS = {
    key: [
        one.name for one in record_schema("protobuf", descriptor_text(SHOP if "shop" in key[0] else OLD, *key)).columns
    ]
    for key in DECODERS
}


def decode(
    payload: Message | bytes, name: str = "shop.Order", mode: str = "ignore"
) -> tuple[dict[str, Any], str | None]:
    written = payload if isinstance(payload, bytes) else payload.SerializePartialToString()
    values, error = DECODERS[name, mode].decode(written)
    return dict(zip(COLUMNS[name, mode], values, strict=True)), error


def read(payload: Message | bytes, name: str = "shop.Order", mode: str = "ignore") -> dict[str, Any]:
    row, error = decode(payload, name, mode)
    assert error is None, error
    return row


def error_of(payload: Message | bytes, name: str = "shop.Order", mode: str = "ignore") -> str:
    row, error = decode(payload, name, mode)
    assert error is not None
    assert set(row.values()) == {None}
    return error


# ---- columns


def test_every_kind_of_field_becomes_its_column() -> None:
    columns = {one.name: one for one in record_schema("protobuf", descriptor_text(SHOP, "shop.Order")).columns}
    assert [columns[f"a_{kind}"].sql_type for kind in SCALARS] == [
        *("DOUBLE", "FLOAT", "INT", "INT", "INT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT"),
        *("DECIMAL(20, 0)", "DECIMAL(20, 0)", "BOOLEAN", "STRING", "BYTES"),
    ]
    sql = {
        name: columns[name].sql_type for name in ("kind", "tree", "trees", "by_name", "one_timestamp", "one_duration")
    }
    assert sql == dict.fromkeys(("kind", "tree", "trees", "by_name"), "STRING") | {
        "one_timestamp": "BIGINT",
        "one_duration": "BIGINT",
    }
    assert (columns["one_uint64value"].sql_type, columns["one_bytesvalue"].sql_type) == ("DECIMAL(20, 0)", "BYTES")
    assert {columns[f"all_{kind}"].sql_type for kind in SCALARS} == {"STRING"}
    assert columns["by_number"].source_type == "map<int64, uint64>"
    assert columns["trees"].source_type == "repeated shop.Tree"
    assert columns["kind"].source_type == "shop.Kind"
    assert not columns["a_int32"].nullable
    assert columns["maybe_int32"].nullable
    assert columns["left"].nullable
    assert columns["tree"].nullable


def test_the_text_of_a_declaration_rebuilds_it_without_comments_and_needless_files() -> None:
    file = shop_file()
    file.source_code_info.location.add(leading_comments="long")
    made = record_schema("protobuf", descriptor_text(descriptor_set(old_file(), file), ".shop.Order", "keep"))
    assert record_schema("protobuf", made.text) == made
    assert made.text == record_schema("protobuf", descriptor_text(SHOP, "shop.Order", "keep")).text


def test_a_set_in_any_order_is_read() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(SHOP).file
    backwards = descriptor_pb2.FileDescriptorSet(file=reversed(files)).SerializeToString()
    made = record_schema("protobuf", descriptor_text(backwards, "shop.Order"))
    assert made == record_schema("protobuf", descriptor_text(SHOP, "shop.Order"))


def broken_file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="b.proto", package="b", syntax="proto3")
    add_field(file.message_type.add(name="B"), "x", ".b.Missing", 1)
    return file


def named_file(field: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="n.proto", syntax="proto3")
    message = file.message_type.add(name="N")
    if field:
        add_field(message, field, "int32", 1)
    return file


@pytest.mark.parametrize(
    ("serialized", "name", "words"),
    [
        (b"", "shop.Order", "no descriptor set.*--include_imports"),
        (b"\xff", "shop.Order", "no descriptor set"),
        (b'{"type": "record"}', "shop.Order", "no descriptor set"),
        (SHOP, "shop.Ordr", r"no message 'shop\.Ordr': did you mean shop\.Order"),
        (SHOP, "Order", r"did you mean shop\.Order"),
        (SHOP, "zzz", r"known: .*shop\.Order"),
        (SHOP, "", "no message ''"),
        (
            descriptor_set(shop_file(), imports=False),
            "shop.Order",
            r"lacks google/protobuf/any\.proto.*--include_imports",
        ),
        (descriptor_set(broken_file()), "b.B", "cannot be used"),
        (descriptor_set(named_file("")), "N", "has no fields"),
        (descriptor_set(named_file("kafka_x")), "N", "kept for Kafka's own columns"),
        (descriptor_set(named_file("dt")), "N", "partition directory"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_in_a_sentence(serialized: bytes, name: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        record_schema("protobuf", descriptor_text(serialized, name))


def test_what_is_no_declaration_at_all_is_refused() -> None:
    for text in ("", "{", "[]", "{}", '{"descriptor_set": 1, "message": "x", "unknown_fields": "keep"}'):
        with pytest.raises(SchemaError, match="no protobuf declaration"):
            record_schema("protobuf", text)


def test_without_the_package_the_remedy_is_named() -> None:
    code = (
        "import sys; sys.modules['google.protobuf'] = None\n"
        "from lineage_pipeline.core.record_schema import record_schema\n"
        "try: record_schema('protobuf', '{}')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "record_schema('raw')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        "SchemaError format protobuf needs the package protobuf: pip install 'flink-lineage[protobuf]'" in done.stdout
    )


# ---- values


def test_what_is_not_set_is_its_default_or_null_where_the_field_has_presence() -> None:
    row = read(b"")
    assert (row["a_int32"], row["a_string"], row["a_bytes"], row["a_bool"]) == (0, "", b"", False)
    assert (row["a_uint64"], row["kind"], row["all_int32"], row["by_name"]) == (Decimal(0), "UNKNOWN", "[]", "{}")
    maybe = {name: value for name, value in row.items() if name.startswith("maybe_")}
    assert len(maybe) == len(SCALARS) + 1
    assert set(maybe.values()) == {None}
    assert (row["left"], row["right"], row["tree"], row["one_timestamp"]) == (None, None, None, None)
    set_to_zero = read(Order(maybe_int32=0, maybe_string="", left=0))
    assert (set_to_zero["maybe_int32"], set_to_zero["maybe_string"], set_to_zero["left"]) == (0, "", 0)


def test_numbers_are_exact_at_their_extremes() -> None:
    order = Order(a_int64=-(2**63), a_sint64=2**63 - 1, a_uint64=2**64 - 1, a_fixed64=2**63, a_uint32=2**32 - 1)
    order.all_uint64.append(2**64 - 1)
    order.one_uint64value.value = 2**64 - 1
    row = read(order)
    assert (row["a_int64"], row["a_sint64"], row["a_uint32"]) == (-(2**63), 2**63 - 1, 2**32 - 1)
    assert (row["a_uint64"], row["a_fixed64"]) == (Decimal(2**64 - 1), Decimal(2**63))
    assert row["one_uint64value"] == Decimal(2**64 - 1)
    assert row["all_uint64"] == '["18446744073709551615"]'


def test_enums_are_names_and_open_ones_keep_numbers_that_have_none() -> None:
    row = read(Order(kind=2, maybe_kind=7, kinds=[0, 1, -1]))
    assert (row["kind"], row["maybe_kind"], row["kinds"]) == ("FOOD", "7", '["UNKNOWN","BOOK",-1]')


def test_times_are_nanoseconds_and_beyond_64_bits_an_error() -> None:
    order = Order()
    order.one_timestamp.seconds, order.one_timestamp.nanos = -1, 999_999_999
    order.one_duration.seconds, order.one_duration.nanos = -1, -5
    row = read(order)
    assert (row["one_timestamp"], row["one_duration"]) == (-1, -1_000_000_005)
    for seconds, nanos in ((2**34, 0), (2**62, 0), (0, -1), (0, 10**9)):
        order.one_timestamp.seconds, order.one_timestamp.nanos = seconds, nanos
        assert error_of(order).startswith("out-of-range: field 'one_timestamp'")
    order.ClearField("one_timestamp")
    order.one_duration.seconds, order.one_duration.nanos = 1, -1
    assert error_of(order).startswith("out-of-range: field 'one_duration'")


def test_an_any_is_not_opened_so_nothing_can_hide_in_it() -> None:
    order = Order()
    order.one_any.Pack(Tree(size=5))
    assert json.loads(read(order)["one_any"]) == {"@type": "type.googleapis.com/shop.Tree", "value": "CAU="}


def test_maps_are_in_the_order_of_their_keys_so_that_a_repair_writes_the_same_text() -> None:
    first, other = Order(), Order()
    names = [f"k{number}" for number in range(50)]
    for order, keys in ((first, names), (other, reversed(names))):
        for key in keys:
            order.by_name[key].size = 1
    assert read(first)["by_name"] == read(other)["by_name"]
    assert list(json.loads(read(first)["by_name"])) == sorted(names)


# ---- proto2


def test_what_proto2_requires_must_be_there_at_every_depth() -> None:
    assert read(Record(id=5), "old.Record") == {"id": 5, "kind": None, "text": None, "inner": None}
    assert error_of(Record(kind=1), "old.Record") == "missing-field: field 'id' is required"
    inside = Record(id=1)
    inside.inner.SetInParent()
    assert error_of(inside, "old.Record") == "missing-field: field 'inner.must' is required"


def test_a_number_that_a_closed_enum_lacks_is_refused_rather_than_null() -> None:
    assert error_of(b"\x08\x01\x10\x07", "old.Record") == "bad-enum: field 'kind': 7 is no value of old.Kind"


def test_a_string_that_proto2_let_pass_is_no_text() -> None:
    assert error_of(b"\x08\x01\x1a\x01\xff", "old.Record").startswith("invalid-utf8: field 'text'")


# ---- unknown fields

UNKNOWN = b"\xd8\x3e\x96\x01\xe2\x3e\x02hi\xe5\x3e\1\0\0\0\xe9\x3e\2\0\0\0\0\0\0\0\xf3\x3e\x08\x05\xf4\x3e"


def test_unknown_fields_are_kept_by_their_number_and_how_they_were_written() -> None:
    order = Order(a_int32=1)
    row = read(order.SerializeToString() + UNKNOWN, mode="keep")
    assert json.loads(row[UNKNOWN_COLUMN]) == {
        "1003": [{"varint": 150}],
        "1004": [{"bytes": "aGk="}, {"fixed32": 1}],
        "1005": [{"fixed64": 2}],
        "1006": [{"group": {"1": [{"varint": 5}]}}],
    }
    assert read(order, mode="keep")[UNKNOWN_COLUMN] is None


def test_unknown_fields_of_nested_messages_are_kept_with_their_path() -> None:
    order = Order()
    order.tree.kids.add().MergeFromString(b"\x50\x07")
    order.by_name["a.b"].MergeFromString(b"\x50\x08")
    order.one_timestamp.MergeFromString(b"\x50\x09")
    kept = json.loads(read(order, mode="keep")[UNKNOWN_COLUMN])
    assert kept == {
        "tree.kids[0].10": [{"varint": 7}],
        "by_name['a.b'].10": [{"varint": 8}],
        "one_timestamp.10": [{"varint": 9}],
    }
    assert error_of(order, mode="refuse").startswith(
        "unknown-field: field tree.kids[0].10 is not declared in shop.Tree"
    )


def test_unknown_fields_are_ignored_by_default_but_not_when_there_is_nothing_else() -> None:
    assert read(Order(a_int32=1).SerializeToString() + UNKNOWN)["a_int32"] == 1
    assert error_of(UNKNOWN) == "wrong-type: it has no field of shop.Order"
    assert error_of(Order(a_int32=1).SerializeToString() + UNKNOWN, mode="refuse").startswith(
        "unknown-field: field 1003"
    )
    assert read(UNKNOWN, mode="keep")["a_int32"] == 0


def varint(number: int) -> bytes:
    """As protobuf writes it: a negative number in 64 bits."""
    number %= 2**64
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def written(field: str, number: int) -> bytes:
    """The field as a producer writes whose schema has a wider type there, which protobuf calls compatible."""
    return varint(Order.DESCRIPTOR.fields_by_name[field].number << 3) + varint(number)


@pytest.mark.parametrize(
    ("field", "low", "high", "zigzag"),
    [
        *((f"{name}_int32", -(2**31), 2**31 - 1, False) for name in ("a", "maybe", "all")),
        *((f"{name}_sint32", -(2**31), 2**31 - 1, True) for name in ("a", "maybe", "all")),
        *((f"{name}_uint32", 0, 2**32 - 1, False) for name in ("a", "maybe", "all")),
        *((name, -(2**31), 2**31 - 1, False) for name in ("kind", "maybe_kind", "kinds")),
    ],
)
@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**33), 2**33)), st.booleans())
def test_a_number_that_32_bits_cannot_hold_is_refused_rather_than_cut(
    field: str, low: int, high: int, zigzag: bool, number: int, packed: bool
) -> None:
    raw = (number << 1) ^ (number >> 63) if zigzag else number
    payload = written("left", 1) + written(field, raw)
    if packed and field.startswith(("all", "kinds")):
        inside = varint(3) + varint(raw)
        tag = varint(Order.DESCRIPTOR.fields_by_name[field].number << 3 | 2)
        payload = written("left", 1) + tag + varint(len(inside)) + inside
    row, error = decode(payload)
    if not low <= number <= high:
        assert str(error).startswith("out-of-range: field ")
        return
    assert error is None
    value = json.loads(row[field])[-1] if field.startswith(("all", "kinds")) else row[field]
    names = {one.number: one.name for one in Order.DESCRIPTOR.fields_by_name["kind"].enum_type.values}
    assert str(value) == (str(names.get(number, number)) if "kind" in field else str(number))


def test_a_number_that_32_bits_cannot_hold_is_refused_inside_of_messages_and_maps_too() -> None:
    must = b"\x22" + varint(len(varint(2**40)) + 1) + b"\x08" + varint(2**40)  # old.Record.inner.must
    assert error_of(b"\x08\x05" + must, "old.Record").startswith("out-of-range: field 1: 1099511627776")
    backwards = Order(a_int64=2**40).SerializeToString() + Order(a_int32=-7).SerializeToString()
    row = read(backwards)  # numbers of 64 bits may be as large, whatever the order
    assert (row["a_int64"], row["a_int32"]) == (2**40, -7)


def test_known_extensions_are_no_columns_and_so_kept_or_refused_as_unknown_fields_are() -> None:
    file = old_file()
    file.message_type[0].extension_range.add(start=100, end=200)
    for name, kind, number in (("extra", 9, 100), ("count", 5, 101)):
        file.extension.add(name=name, number=number, label=1, type=kind, extendee=".old.Record")
    payload = b"\x08\x05" + varint(100 << 3 | 2) + b"\x02hi"

    def row(mode: str, data: bytes = payload) -> tuple[list[Any], str | None]:
        text = descriptor_text(descriptor_set(file), "old.Record", mode)
        return PayloadDecoder(record_schema("protobuf", text)).decode(data)

    assert row("keep") == ([5, None, None, None, '{"[old.extra]":"hi"}'], None)
    assert str(row("refuse")[1]).startswith("unknown-field: field [old.extra]")
    assert row("ignore") == ([5, None, None, None], None)
    cut = b"\x08\x05" + varint(101 << 3) + varint(2**33)
    assert str(row("keep", cut)[1]).startswith("out-of-range: field 101")


def test_a_known_field_of_another_type_is_refused_rather_than_null() -> None:
    assert error_of(b"\x0a\x01x", "shop.Tree") == "wrong-type: field 'size' was written as bytes, which it is not"
    order = Order()
    order.tree.MergeFromString(b"\x10\x05")
    assert error_of(order) == "wrong-type: field 'tree.label' was written as varint, which it is not"


# ---- poison

GOOD = Tree(size=300, label="é").SerializeToString()
POISON = {
    "truncated in a number": (GOOD[:2], "truncated"),
    "truncated in a text": (GOOD[:-1], "truncated"),
    "length beyond the end": (b"\x12\xff\xff\xff\xff\x0f", "truncated"),
    "trailing byte": (GOOD + b"\x08", "truncated"),
    "trailing zero": (GOOD + b"\0", "bad-tag"),
    "field number zero": (b"\x02\x01x", "bad-tag"),
    "wire type 6": (b"\x0e", "bad-tag"),
    "group that ends without beginning": (b"\x0c", "bad-tag"),
    "group that ends as another": (b"\x7b\x84\x01", "bad-tag"),
    "group that does not end": (b"\x7b\x08\x01", "truncated"),
    "number of eleven bytes": (b"\x08" + b"\xff" * 10 + b"\x01", "out-of-range"),
    "invalid UTF-8": (b"\x12\x01\xff", "invalid-utf8"),
    "framed by a registry's serializer": (b"\0\0\0\0\1\0" + GOOD, "bad-magic-byte"),
    "another type": (b"\x0a\x01x", "wrong-type"),
    "another message": (b"\x7a\x01x", "wrong-type"),
    "deep nesting": (b"", "too-deep"),
}


def nested(times: int) -> bytes:
    payload = b""
    for _ in range(times):
        length = bytes([len(payload)]) if len(payload) < 128 else bytes([len(payload) & 127 | 128, len(payload) >> 7])
        payload = b"\x1a" + length + payload
    return payload


@pytest.mark.parametrize("kind", POISON)
def test_poison_goes_to_quarantine_with_its_right_reason(kind: str) -> None:
    payload, word = POISON[kind]
    assert error_of(payload or nested(80), "shop.Tree").partition(": ")[0] == word


def test_nesting_up_to_the_bound_of_all_formats_is_read() -> None:
    assert read(nested(30), "shop.Tree")["size"] == 0
    for times in (80, 99, 101, 150):
        assert error_of(nested(times), "shop.Tree").startswith("too-deep")


def test_a_framed_record_is_read_behind_its_header() -> None:
    decoder = PayloadDecoder(record_schema("protobuf-confluent", descriptor_text(SHOP, "shop.Tree")))
    header = b"\0\0\0\0\7"
    for indexes in (b"\x02\x02",):  # shop.Tree is the second message of its file
        assert decoder.decode(header + indexes + GOOD) == ([300, "é", "[]"], None)
    poison = {
        b"": "truncated",
        b"\1" + header[1:] + b"\x02\x02" + GOOD: "bad-magic-byte",
        header: "truncated",
        header + b"\x04\x02": "truncated",
        header + b"\0" + GOOD: "wrong-type",
        header + b"\x02\x04" + GOOD: "wrong-type",
        header + b"\x01" + GOOD: "negative-length",
        header + b"\xfe\xff\xff\xff\x0f" + GOOD: "truncated",
        header + b"\x02\x02" + GOOD[:2]: "truncated",
        b"\0\xff\xff\xff\xff\x02\x02" + GOOD: "unknown-schema",
    }
    assert {payload: (decoder.decode(payload)[1] or "").partition(": ")[0] for payload in poison} == poison


def test_nested_messages_are_named_by_their_whole_path() -> None:
    decoder = PayloadDecoder(record_schema("protobuf-confluent", descriptor_text(OLD, "old.Record.Inner")))
    assert decoder.decode(b"\0\0\0\0\7\x04\0\0\x08\x05") == ([5], None)
    first = PayloadDecoder(record_schema("protobuf-confluent", descriptor_text(OLD, "old.Record")))
    assert first.decode(b"\0\0\0\0\7\0\x08\x05")[0][0] == 5
    assert first.decode(b"\0\0\0\0\7\x02\0\x08\x05")[0][0] == 5


def test_a_tombstone_is_no_error() -> None:
    frame = Decoder("protobuf", descriptor_text(SHOP, "shop.Tree")).decode([None, GOOD])
    assert frame["error"].tolist() == [None, None]
    assert frame["f0"].tolist() == [None, 300]


# ---- properties

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(),
    "float": st.floats(width=32),
    **dict.fromkeys(("int32", "sint32", "sfixed32"), INT32),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), INT64),
    **dict.fromkeys(("uint32", "fixed32"), st.integers(0, 2**32 - 1)),
    **dict.fromkeys(("uint64", "fixed64"), st.integers(0, 2**64 - 1)),
    "bool": st.booleans(),
    "string": st.text(),
    "bytes": st.binary(),
}


def same(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or ((one == other and isinstance(one, Decimal)) or (type(one) is type(other) and one == other))


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional={kind: STRATEGIES[kind] for kind in SCALARS}))
def test_scalars_survive_exactly(values: dict[str, Any]) -> None:
    row = read(Order(**{f"{side}_{kind}": value for kind, value in values.items() for side in ("a", "maybe")}))
    for kind, value in values.items():
        expected = Decimal(value) if kind in ("uint64", "fixed64") else value
        assert same(row[f"a_{kind}"], expected), kind
        assert same(row[f"maybe_{kind}"], expected), kind


trees = st.recursive(
    st.builds(Tree, size=INT64, label=st.text(max_size=5)),
    lambda inner: st.builds(Tree, kids=st.lists(inner, max_size=3)),
    max_leaves=8,
)
lists = {f"all_{kind}": st.lists(STRATEGIES[kind], max_size=4) for kind in SCALARS}


@settings(max_examples=80)
@given(
    st.fixed_dictionaries({}, optional={**lists, "tree": trees, "trees": st.lists(trees, max_size=3)}),
    st.dictionaries(st.text(max_size=3), trees, max_size=3),
    st.dictionaries(INT64, STRATEGIES["uint64"], max_size=3),
    st.dictionaries(st.booleans(), st.floats(), max_size=2),
    st.integers(-62_135_596_800, 253_402_300_799),
)
def test_nested_values_are_protobufs_own_json(
    values: dict[str, Any], by_name: dict[str, Any], by_number: dict[int, int], by_flag: dict[bool, float], seconds: int
) -> None:
    order = Order(**values, by_number=by_number, by_flag=by_flag)
    for key, tree in by_name.items():
        order.by_name[key].CopyFrom(tree)
    order.all_timestamp.add(seconds=seconds, nanos=seconds % 10**9)
    order.all_duration.add(seconds=seconds, nanos=(abs(seconds) % 10**9) * (-1 if seconds < 0 else 1))
    order.one_struct.update({"n": 1.5, "none": None, "l": ["x", True, {"deep": 2}]})
    order.all_uint64value.add(value=2**64 - 1)
    row = read(order)
    plain = json_format.MessageToDict(order, preserving_proto_field_name=True)
    # The same floats, in fewer digits than the library spends on the smallest.
    floats = [json.loads(row.pop("all_float")), plain.pop("all_float", [])]
    assert [[struct.pack("<f", float(one)) for one in side] for side in floats] == [
        [struct.pack("<f", one) for one in order.all_float]
    ] * 2 or any(map(math.isnan, order.all_float))
    for name in COLUMNS["shop.Order", "ignore"]:
        if (
            name != "all_float"
            and isinstance(row[name], str)
            and row[name][:1] in "[{"
            and name not in ("a_string", "maybe_string")
        ):
            assert json.loads(row[name]) == plain.get(name, [] if row[name][0] == "[" else {}), name


@given(st.binary(max_size=60), st.sampled_from(["ignore", "keep", "refuse"]))
def test_any_bytes_are_a_row_or_a_reason(payload: bytes, mode: str) -> None:
    for name in ("shop.Order", "shop.Tree", "old.Record"):
        _, error = decode(payload, name, mode)
        assert error is None or not error.startswith(("internal", "invalid-protobuf", "out-of-memory"))


def test_a_float_in_a_list_has_its_own_digits() -> None:
    third = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert read(Order(all_float=[third, math.inf, -0.0]))["all_float"] == '[0.1,"Infinity",-0.0]'


def test_two_topics_may_have_different_messages_of_one_name() -> None:
    other = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    add_field(other.message_type.add(name="Tree"), "name", "string", 1)
    serialized = descriptor_set(other)
    decoder = PayloadDecoder(record_schema("protobuf", descriptor_text(serialized, "shop.Tree")))
    written = message_class(serialized, "shop.Tree")(name="oak").SerializeToString()  # type: ignore[call-arg]
    assert decoder.decode(written) == (["oak"], None)
    assert read(Tree(size=1), "shop.Tree")["size"] == 1
